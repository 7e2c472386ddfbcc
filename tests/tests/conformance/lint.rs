//! The rules of `promtool check metrics`, as its linter (promlint of client_golang, Apache-2.0) has
//! them. `make promtool` runs the real one, which needs the network.

use std::collections::BTreeMap;

/// Base units, and others with the base unit to use in their place.
const UNITS: [(&str, &str); 23] = [
    ("amperes", "amperes"),
    ("bytes", "bytes"),
    ("celsius", "celsius"),
    ("grams", "grams"),
    ("joules", "joules"),
    ("kelvin", "kelvin"),
    ("meters", "meters"),
    ("metres", "metres"),
    ("moles", "moles"),
    ("seconds", "seconds"),
    ("volts", "volts"),
    ("minutes", "seconds"),
    ("hours", "seconds"),
    ("days", "seconds"),
    ("weeks", "seconds"),
    ("kelvins", "kelvin"),
    ("fahrenheit", "celsius"),
    ("rankine", "celsius"),
    ("inches", "meters"),
    ("yards", "meters"),
    ("miles", "meters"),
    ("bits", "bytes"),
    ("calories", "joules"),
];
const PREFIXES: [&str; 19] = [
    "", "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega",
    "mibi", "giga", "gibi", "tera", "tebi", "peta", "pebi",
];
const ABBREVIATIONS: [&str; 15] =
    ["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d", "min"];
const TYPES: [&str; 4] = ["counter", "gauge", "histogram", "summary"];

/// A metric as it is printed.
#[derive(Debug, Default)]
struct Family {
    help: String,
    kind: String,
    labels: Vec<String>,
    samples: usize,
}

/// What is wrong with a text of metrics.
pub fn problems(text: &str) -> Vec<String> {
    let mut families = BTreeMap::<String, Family>::new();
    let mut problems = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some((name, help)) = described(line, "# HELP ") {
            families.entry(name).or_default().help = help;
        } else if let Some((name, kind)) = described(line, "# TYPE ") {
            families.entry(name).or_default().kind = kind;
        } else if let Some((name, labels)) = sample(line) {
            let name = family(&families, name);
            let own = families.entry(name).or_default();
            own.samples += 1;
            own.labels.extend(labels);
        } else {
            problems.push(format!("no line of metrics: {line}"));
        }
    }
    for (name, own) in &families {
        let found = wrong(name, own).into_iter();
        problems.extend(found.map(|problem| format!("{name}: {problem}")));
    }
    problems
}

fn described(line: &str, word: &str) -> Option<(String, String)> {
    let (name, rest) = line.strip_prefix(word)?.split_once(' ')?;
    Some((name.to_owned(), rest.to_owned()))
}

/// The name of a sample, and those of its labels; nothing of what is none.
fn sample(line: &str) -> Option<(&str, Vec<String>)> {
    let (named, value) = line.rsplit_once(' ')?;
    value.parse::<f64>().ok()?;
    let Some((name, labels)) = named.split_once('{') else { return Some((named, Vec::new())) };
    let mut rest = labels.strip_suffix('}')?;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (label, value) = rest.split_once("=\"")?;
        found.push(label.trim_start_matches(',').to_owned());
        let mut escaped = false;
        let end = value.find(|own: char| {
            let ends = own == '"' && !escaped;
            escaped = own == '\\' && !escaped;
            ends
        })?;
        rest = &value[end + 1..];
    }
    Some((name, found))
}

/// The metric that a sample belongs to: of histograms and summaries they have endings.
fn family(families: &BTreeMap<String, Family>, name: &str) -> String {
    let bases = ["_bucket", "_sum", "_count"].iter().filter_map(|own| name.strip_suffix(own));
    let made = |base: &&str| {
        let kind = families.get(*base).map(|own| own.kind.as_str());
        matches!(kind, Some("histogram" | "summary"))
    };
    bases.into_iter().find(made).unwrap_or(name).to_owned()
}

fn wrong(name: &str, own: &Family) -> Vec<String> {
    let mut found = Vec::new();
    let mut rule = |broken: bool, problem: &str| {
        if broken {
            found.push(problem.to_owned());
        }
    };
    let kind = own.kind.as_str();
    let labelled = |label: &str| own.labels.iter().any(|own| own == label);
    rule(own.help.is_empty(), "no help text");
    rule(!TYPES.contains(&kind), "no type");
    rule(own.samples == 0, "no samples");
    rule(kind == "counter" && !name.ends_with("_total"), "a counter ends in _total");
    rule(kind != "counter" && name.ends_with("_total"), "only a counter ends in _total");
    rule(kind != "histogram" && name.ends_with("_bucket"), "only a histogram ends in _bucket");
    let counts = matches!(kind, "histogram" | "summary");
    rule(!counts && name.ends_with("_count"), "only histograms and summaries end in _count");
    rule(!counts && name.ends_with("_sum"), "only histograms and summaries end in _sum");
    rule(kind != "histogram" && labelled("le"), "only a histogram has the label le");
    rule(kind != "summary" && labelled("quantile"), "only a summary has the label quantile");
    rule(name.contains(':'), "`:` is for recording rules");
    rule(
        [name].into_iter().chain(own.labels.iter().map(String::as_str)).any(is_camel),
        "camelCase",
    );
    let parts: Vec<_> = name.split('_').collect();
    rule(parts.iter().skip(1).any(|part| TYPES.contains(part)), "a type in the name");
    rule(parts.iter().skip(1).any(|part| ABBREVIATIONS.contains(part)), "an abbreviated unit");
    for (unit, base) in UNITS {
        let other =
            |part: &&str| part.strip_suffix(unit).is_some_and(|own| PREFIXES.contains(&own));
        let used = parts.iter().any(|part| other(part) && part != &base);
        rule(used, &format!("use the base unit {base}"));
    }
    found
}

fn is_camel(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.windows(2).any(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase())
}

#[test]
fn what_the_linter_refuses_is_found() {
    let good = "# HELP a_total A\n# TYPE a_total counter\na_total{x=\"}\\\" 1\"} 2\n\
                # HELP b_seconds B\n# TYPE b_seconds histogram\nb_seconds_bucket{le=\"+Inf\"} 1\n\
                b_seconds_sum 0.5\nb_seconds_count 1\n";
    assert_eq!(problems(good), Vec::<String>::new());
    for (bad, problem) in [
        ("# HELP a A\n# TYPE a counter\na 1", "a: a counter ends in _total"),
        (
            "# HELP a_total A\n# TYPE a_total gauge\na_total 1",
            "a_total: only a counter ends in _total",
        ),
        ("# TYPE a gauge\na 1", "a: no help text"),
        (
            "# HELP a A\n# TYPE a gauge\na{quantile=\"1\"} 1",
            "a: only a summary has the label quantile",
        ),
        ("# HELP a_ms A\n# TYPE a_ms gauge\na_ms 1", "a_ms: an abbreviated unit"),
        (
            "# HELP a_milliseconds A\n# TYPE a_milliseconds gauge\na_milliseconds 1",
            "a_milliseconds: use the base unit seconds",
        ),
        ("# HELP aB A\n# TYPE aB gauge\naB 1", "aB: camelCase"),
        ("a one", "no line of metrics: a one"),
    ] {
        assert_eq!(problems(bad), [problem], "{bad}");
    }
}
