use serde_json::json;

use super::tests::{Run, compile, rendered};
use super::*;

/// Lists of 4,000 and 12,000 items, texts of 30,000 bytes, and a list of lists.
fn large() -> Run {
    let (short, long) = (vec![1; 4_000], vec![1; 12_000]);
    let text = "ab".repeat(15_000);
    let rows = vec![vec![1; 100]; 120];
    Run { input: json!({ "l": short, "m": long, "n": long, "s": text, "t": text, "rows": rows }) }
}

/// Renders over large data: what failed, and the work it took.
fn spent(template: Value) -> (Option<String>, usize) {
    let mut work = Work::default();
    let rendered = compile(&template).unwrap().render(&large(), &mut work);
    (rendered.err().map(|failure| failure.message), work.units)
}

/// What reading the large data costs, beside what the strings of a tree may spend.
const READING_MAX: usize = 100_000;

fn runs_out(template: Value) {
    let (failed, units) = spent(template.clone());
    let failed = failed.unwrap_or_default();
    assert!(failed.contains("more work"), "{template}: {failed:?}");
    assert!(units <= TREE_WORK_MAX + READING_MAX, "{template}: {units}");
}

fn looped(expression: &str) -> Value {
    format!("{{% for a in input.l %}}{{% if {expression} %}}{{% endif %}}{{% endfor %}}").into()
}

#[test]
fn operators_in_loops_pay_for_all_that_is_in_their_operands() {
    for expression in [
        "input.m == input.n",
        "input.m != input.n",
        "input.m < input.n",
        "input.m > input.n",
        "input.m <= input.n",
        "input.m >= input.n",
        "2 in input.m",
        "2 not in input.m",
        "'c' in input.s",
        "input.s ~ a",
        "a ~ input.s",
        "input.s + input.t",
        "input.m + input.n",
        "[input.m] == [input.n]",
        "{'a': input.m} == {'a': input.n}",
        "(input.m if a else 1) == (input.n if a else 2)",
        "1 == 1 == (input.m == input.n)",
        "input.rows == input.rows",
        "[[1]] in [input.rows]",
        "not input.m == input.n",
        "input.m is eq input.n",
        "input.m is ne(input.n)",
        "input.m is lessthan input.n",
        "2 is in input.m",
        "input.s is endingwith input.t",
        "input.s[:-1] is defined",
        "input.s[::-1][0:1] is defined",
        "input['m'][::-1] is defined",
    ] {
        runs_out(looped(expression));
    }
}

#[test]
fn filters_in_loops_pay_for_what_they_look_into() {
    for expression in [
        "input.rows | tojson | length",
        "input.rows | sort | length",
        "input.rows | unique | length",
        "input.rows | max",
        "input.rows | join | length",
        "input.rows | string | length",
        "input.rows | map('tojson') | list | length",
        "input.m | select('eq', 2) | list | length",
        "[input.rows] | map('unique') | list | length",
        "[input.m, input.n] | select('eq', input.n) | list",
    ] {
        runs_out(looped(expression));
    }
    runs_out(looped("(input.rows | sort) == (input.rows | sort)"));
}

#[test]
fn written_values_are_paid_for_even_where_little_is_written() {
    runs_out("{% for a in input.l %}{{ '' if input.m == input.n else a }}{% endfor %}".into());
    let (failed, units) = spent("{% for a in input.l %}{{ input.m }}{% endfor %}".into());
    assert!(failed.is_some() && units <= TREE_WORK_MAX + READING_MAX, "{failed:?}: {units}");
}

/// All strings of one tree share one bound: a thousand cost no more than one.
#[test]
fn the_strings_of_a_tree_share_its_work() {
    let pill = looped("input.m == input.n");
    runs_out(json!({ "l": vec![pill; 1_000] }));
    let once = "{{ (input.m | sort) == (input.n | sort) }}";
    assert_eq!(spent(once.into()).0, None);
    runs_out(json!(vec![once; 1_000]));
    let fuel = "{% for a in input.l %}{% if a %}{% endif %}{% endfor %}";
    assert_eq!(spent(fuel.into()).0, None);
    runs_out(json!(vec![fuel; 1_000]));
}

#[test]
fn reading_and_writing_is_work() {
    let (failed, units) = spent("{{ input.s }}".into());
    assert_eq!(failed, None);
    assert!(units >= (100_000 + 30_000) / JSON_BYTES_PER_UNIT, "{units}");
    let mut work = Work::default();
    let constant = compile(&json!({ "a": "{{ 1 + 1 }}" })).unwrap();
    constant.render(&large(), &mut work).unwrap();
    assert_eq!(work.units, 0, "what reads nothing was rendered long before");
}

/// Strings that read nothing are evaluated when they are compiled, from one purse.
#[test]
fn constants_of_a_definition_share_their_work() {
    let text = "x".repeat(60_000);
    let pill = format!("{{{{ '{text}' | list | sort | sort | sort | length }}}}");
    let why = rendered(pill.into()).unwrap_err();
    assert!(why.contains("EXPRESSION_LIMIT"));
    let items = "1,".repeat(100);
    let dear = format!("{{{{ [{items}] | sort | sort | sort | length }}}}");
    assert_eq!(rendered(dear.as_str().into()), Ok(json!(100)));
    let why = rendered(json!(vec![dear; 1_000])).unwrap_err();
    assert!(why.contains("EXPRESSION_LIMIT"), "{why}");
}

/// The demands leave the meaning of an expression as it is.
#[test]
fn demands_change_no_meaning() {
    for (expression, expected) in [
        ("1 + 2 * 3 - -4 == 11", json!(true)),
        ("-1 + 2", json!(1)),
        ("1 - 2 + 3", json!(2)),
        ("1 == --1", json!(true)),
        ("1 < 2 < 3", json!(true)),
        ("1 in [1] and 2 not in [1]", json!(true)),
        ("not 1 in [2]", json!(true)),
        ("'a' ~ (1 + 1) ~ -1", json!("a2-1")),
        ("1 ~ -2 ~ 'x'[0:]", json!("1-2x")),
        ("'a' in {'a': 1}", json!(true)),
        ("[1, 2, 3][1:][0]", json!(2)),
        ("[[1, 2, 3], 2][0][1:][::-1]", json!([3, 2])),
        ("{'a': [1, 2, 3]}.a[:2]", json!([1, 2])),
        ("{'in': 1, 'not': [1]}.in in {'not': [1]}.not", json!(true)),
        ("({'a': 'xyz'})['a'][1:] ~ 'abc'[:1][0:] | upper", json!("yzA")),
        ("2 is in [1, 2] == true", json!(true)),
        ("1 is eq 1 and 2 is not eq 1", json!(true)),
        ("[1] + [2] == [1, 2]", json!(true)),
        ("[1, 2] | map('float') | list == [1.0, 2.0]", json!(true)),
        ("(1 if 2 == 2 else 3) * 2 + 1", json!(3)),
        ("[4, 5] | select('gt', 4) | first ~ '!'", json!("5!")),
    ] {
        assert_eq!(
            rendered(format!("{{{{ {expression} }}}}").into()),
            Ok(expected),
            "{expression}"
        );
    }
}
