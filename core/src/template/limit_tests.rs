use serde_json::json;

use super::tests::{Run, check, compile, refused, rendered};
use super::*;

#[test]
fn a_tree_computes_a_bounded_number_of_templates() {
    let many = |template: &str, count: usize| compile(&json!(vec![template; count])).map(|_| ());
    assert_eq!(many("{{ input.count }}", 5_000), Ok(()));
    assert_eq!(many("{{ input.count + 1 }}", TEMPLATES_MAX), Ok(()));
    let why = many("{{ input.count + 1 }}", TEMPLATES_MAX + 1).unwrap_err();
    assert!(why.contains("EXPRESSION_LIMIT"), "{why}");
}

#[test]
fn work_is_bounded() {
    let limits = [
        "{% for a in input.l %}{% for b in input.l %}{% for c in input.l %}{% for d in input.l %}\
         {% endfor %}{% endfor %}{% endfor %}{% endfor %}"
            .to_owned(),
        format!("{{{{ {}1 }}}}", "1+".repeat(40)),
        format!("{{{{ {}1 }}}}", "not ".repeat(300)),
        format!("{{{{ {}1 }}}}", "-".repeat(300)),
        format!("{{{{ input{} }}}}", ".a".repeat(300)),
        format!("{{{{ {}1{} }}}}", "(".repeat(200), ")".repeat(200)),
        format!("{}x", "{% if true %}".repeat(20)),
        format!("{{{{ 1 }}}}{}", "x".repeat(TEMPLATE_BYTES_MAX)),
    ];
    for template in &limits {
        refused(template, "EXPRESSION_LIMIT");
    }
    for template in [
        "{{ [0] * 100000000 }}",
        "{{ 2 * [0] }}",
        "{{ ([[0] * 100000000] * 100000000) | map('sum') | sum }}",
        "{{ 'x' * 100000000 }}",
        "{{ 3 * 'x' | upper }}",
        "{{ 1 * (2 * input.customer.tags) }}",
        "{{ input.customer.tags * input.count }}",
        "{{ input.count * input.customer.name }}",
    ] {
        refused(template, "numbers");
    }
    for template in ["{{ 2 * -3 }}", "{{ -3 * 2 }}", "{{ -(1 + 2) * 2 }}"] {
        check(template, json!(-6));
    }
    check("{{ 2 * 3 + 4 * 5 == 26 and 2 * input.count < 5 }}", json!(true));
    check("{{ 'a' if 2 * 2 == 4 else 2 * 2 }}", json!("a"));
    check("{{ 2 * [1, 2, 3] | length * (1 + 1) }}", json!(12));
    check("{{ 7 // 2 * 2 ** 2 }}", json!(12));
}

#[test]
fn loops_over_large_data_run_out_of_fuel() {
    let items: Vec<u32> = (0..5_000).collect();
    let run = Run { input: json!({ "l": items, "s": "x".repeat(60_000) }) };
    let failing = |template: &str| {
        compile(&template.into())
            .unwrap()
            .render(&run, &mut Work::default())
            .unwrap_err()
            .to_owned()
    };
    let nested = "{% for a in input.l %}{% for b in input.l %}{% endfor %}{% endfor %}";
    assert!(failing(nested).message.contains("more work"), "{:?}", failing(nested));
    let sorts = "{% for a in input.l %}{% if input.l|sort|length == 0 %}{% endif %}{% endfor %}";
    assert!(failing(sorts).message.contains("more work"), "{:?}", failing(sorts));
    let joined = "{{ input.l | join(input.s) }}";
    assert!(failing(joined).message.contains("more work"), "{:?}", failing(joined));
    let replaced = "{{ input.s | replace('', input.s) }}";
    assert!(failing(replaced).message.contains("more work"), "{:?}", failing(replaced));
}

#[test]
fn what_is_rendered_is_no_larger_than_a_payload() {
    let half = PAYLOAD_BYTES_MAX / 2 + 1;
    let run = Run { input: json!({ "s": "x".repeat(half), "l": [1, 2] }) };
    let rendered = |template| compile(&template).unwrap().render(&run, &mut Work::default());
    assert!(rendered(json!("{{ input.s }}")).is_ok());
    for template in [
        json!("{{ input.s }}{{ input.s }}"),
        json!(["{{ input.s }}", "{{ input.s }}"]),
        json!("{% for a in input.l %}{{ input.s }}{% endfor %}"),
    ] {
        let refused = rendered(template).unwrap_err();
        assert_eq!(refused.code, codes::PAYLOAD_TOO_LARGE, "{}", refused.message);
    }
}

/// The deepest expressions that pass, on the stack of a worker thread.
#[test]
fn the_deepest_expressions_fit_a_small_stack() {
    let deepest = || {
        for template in [
            format!("{{{{ {}input.flag }}}}", "not ".repeat(EXPRESSION_TOKENS_MAX - 3)),
            format!("{{{{ {}input.count }}}}", "-".repeat(EXPRESSION_TOKENS_MAX - 3)),
            format!("{{{{ input{} }}}}", ".a".repeat(EXPRESSION_TOKENS_MAX / 2 - 1)),
            format!("{{{{ input.count{} }}}}", "-1".repeat(EXPRESSION_TOKENS_MAX / 2 - 2)),
            format!("{{{{ input.count{} }}}}", "|abs".repeat(EXPRESSION_TOKENS_MAX / 2 - 2)),
            format!("{{{{ {}input.count{} }}}}", "[".repeat(120), "]".repeat(120)),
            format!("{{{{ {}1{} }}}}", "(".repeat(120), ")".repeat(120)),
            format!("{{{{ {}1 }}}}", "1 if input.flag else ".repeat(40)),
            format!("{{{{ input.count{} }}}}", "*1".repeat(EXPRESSION_TOKENS_MAX / 2 - 2)),
        ] {
            let rendered = rendered(template.as_str().into());
            let _seen = rendered.is_ok();
        }
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(deepest).unwrap().join().unwrap();
}
