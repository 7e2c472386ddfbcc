//! Rows of the contract: what was found of each, and what the table says.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::Value;

/// The rows: what each is about, and what those that are not built wait for.
#[derive(Debug, Deserialize)]
struct Table {
    built: BTreeMap<String, String>,
    later: BTreeMap<String, String>,
}

/// What was found of each row.
#[derive(Debug, Default)]
pub struct Report(BTreeMap<String, Vec<String>>);

impl Report {
    /// A row was asked about, and this was wrong.
    pub fn row(&mut self, id: &str, problems: Vec<String>) {
        self.0.entry(id.to_owned()).or_default().extend(problems);
    }

    /// A row holds if all of this does.
    pub fn holds<const N: usize>(&mut self, id: &str, claims: [(bool, &dyn std::fmt::Display); N]) {
        let wrong = claims.into_iter().filter(|(holds, _)| !holds);
        self.row(id, wrong.map(|(_, told)| format!("not so: {told:#}")).collect());
    }

    /// An answer has every field that is printed; those listed may be null.
    pub fn as_printed(&mut self, id: &str, printed: &Value, told: &Value, nullable: &[&str]) {
        self.row(id, differences(printed, told, "", nullable));
    }

    /// What is wrong with the rows, and with the table.
    pub fn problems(&self, table: &str) -> Vec<String> {
        let table: Table = toml::from_str(table).expect("the table is TOML");
        let mut problems = Vec::new();
        for (id, found) in &self.0 {
            if !table.built.contains_key(id) {
                problems.push(format!("{id} is asked about and not built by the table"));
            }
            problems.extend(found.iter().map(|own| format!("{id}: {own}")));
        }
        for id in table.built.keys() {
            if table.later.contains_key(id) {
                problems.push(format!("{id} is both built and to come"));
            }
            if !self.0.contains_key(id) {
                problems.push(format!("{id} is built and nobody asks about it"));
            }
        }
        problems
    }

    /// Every row with what became of it, and the counts.
    pub fn told(&self, table: &str) -> String {
        let table: Table = toml::from_str(table).expect("the table is TOML");
        let mut rows = BTreeMap::new();
        for (id, about) in &table.built {
            let good = self.0.get(id).is_some_and(Vec::is_empty);
            let word = if good { "as printed" } else { "NOT as printed" };
            rows.insert(order(id), format!("{id} {word}: {about}"));
        }
        for (id, reason) in &table.later {
            rows.insert(order(id), format!("{id} not yet: {reason}"));
        }
        let mut told = String::new();
        rows.values().for_each(|row| writeln!(told, "{row}").expect("a text takes lines"));
        let good = self.0.values().filter(|own| own.is_empty()).count();
        let (built, later) = (table.built.len(), table.later.len());
        told + &format!(
            "{good} of {built} built rows as printed, {later} not yet, {} in all",
            built + later
        )
    }
}

/// Numbers count by their value.
fn order(id: &str) -> (String, u32) {
    let (document, number) = id.split_once('-').expect("`document-number`");
    (document.to_owned(), number.parse().expect("a number"))
}

/// Fields of one value that another lacks, or has with another type. Of a list the first item is
/// looked at; an empty object may hold anything.
pub fn differences(printed: &Value, told: &Value, at: &str, nullable: &[&str]) -> Vec<String> {
    if told.is_null() && !printed.is_null() && nullable.contains(&at) {
        return Vec::new();
    }
    match (printed, told) {
        (Value::Object(fields), Value::Object(own)) => {
            let found = fields.iter().flat_map(|(name, printed)| {
                let at = format!("{at}/{name}");
                match own.get(name) {
                    Some(told) => differences(printed, told, &at, nullable),
                    None => vec![format!("{at} is missing")],
                }
            });
            found.collect()
        }
        (Value::Array(printed), Value::Array(told)) => match (printed.first(), told.first()) {
            (Some(printed), Some(told)) => differences(printed, told, &format!("{at}/0"), nullable),
            (Some(_), None) => vec![format!("{at} is empty")],
            (None, _) => Vec::new(),
        },
        (printed, told) if kind(printed) == kind(told) => Vec::new(),
        (printed, told) => vec![format!("{at} is {told} and not {}", kind(printed))],
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[test]
fn missing_fields_other_types_and_forgotten_rows_are_found() {
    use serde_json::json;
    let printed = json!({ "a": 1, "b": { "c": "x" }, "d": [{ "e": true }], "f": 2 });
    let told = json!({ "a": "1", "b": {}, "d": [{ "e": null }], "f": null });
    let found = differences(&printed, &told, "", &["/f"]);
    let wanted =
        ["/a is \"1\" and not a number", "/b/c is missing", "/d/0/e is null and not a truth value"];
    assert_eq!(found, wanted);
    let mut report = Report::default();
    report.row("000-1", vec!["wrong".to_owned()]);
    report.row("000-3", Vec::new());
    let table = "[built]\n000-1 = 'a'\n000-2 = 'b'\n[later]\n000-10 = 'c'\n";
    assert_eq!(
        report.problems(table),
        [
            "000-1: wrong",
            "000-3 is asked about and not built by the table",
            "000-2 is built and nobody asks about it"
        ]
    );
    assert!(report.told(table).ends_with("1 of 2 built rows as printed, 1 not yet, 3 in all"));
}
