//! What a case may say: pseudonyms, patterns, observing rules, datatypes of earlier steps, names on IT.

use super::*;

const NAMED: &str = r#"
    [[rule]]
    name = "line"
    action = "forward"
    group = "P"
    edge-node = "L1"
    strip-prefix = "PLC/"
    add-prefix = "line/"
    [[rule.metric]]
    names = ["Operator"]
    pseudonym = true
    [[rule.metric]]
    names = ["Badge"]
    pseudonym = '[0-9]{4}'

    [[rule]]
    name = "would-deny"
    action = "deny"
    group = "P"
    deny-metrics = "Operator"
    mode = "observe"

    [[rule]]
    name = "would-forward"
    action = "forward"
    group = "P"
    edge-node = "L2"
    mode = "observe"

    [rename.group]
    "P" = "north"
    [rename.edge-node]
    "P/L1" = "bread"
"#;

/// Whether each check of the only case passes, and its words.
fn checks(text: &str) -> Vec<(bool, String, String, Vec<String>)> {
    let (policy, cases) = with_cases(&format!("{NAMED}\n{text}"));
    let report = case::run(&policy, &cases[0]);
    let told = report.checks.iter().map(|check| {
        (check.passed, check.expected.clone(), check.got_in_words(&policy), check.notes.clone())
    });
    told.collect()
}

fn passes(given: &str, expected: &str) -> bool {
    let text = format!(
        "[[case]]\nname = \"x\"\ntopic = \"spBv1.0/P/NDATA/L1\"\n{given}\nexpect = \"forward\"\n{expected}\n"
    );
    checks(&text).iter().all(|(passed, ..)| *passed)
}

#[test]
fn a_case_expects_a_pseudonym_without_knowing_which() {
    let operator = "metric = \"Operator\"\nvalue = \"M. Meier\"";
    let badge = "metric = \"Badge\"\nvalue = \"id 4711\"";
    let other = "metric = \"Comment\"\nvalue = \"M. Meier\"";
    for (given, expected, wanted) in [
        (operator, "arrives.pseudonym = true", true),
        (operator, "arrives.pseudonym = false", false),
        (operator, "arrives.pattern = 'pn-[0-9a-f]{32}'", true),
        (operator, "arrives.pattern = 'pn-[0-9a-f]{31}'", false),
        (operator, "arrives.value = \"M. Meier\"", false),
        (badge, "arrives.pseudonym = true", true),
        (badge, "arrives.pattern = 'id pn-.*'", true),
        (other, "arrives.pseudonym = true", false),
        (other, "arrives.pseudonym = false", true),
        (other, "arrives.pattern = '[A-Z]\\. M.*'", true),
        ("metric = \"n\"\nvalue = 1", "arrives.pattern = '1'", false),
        ("metric = \"n\"\nvalue = 1", "arrives.pseudonym = true", false),
    ] {
        assert_eq!(passes(given, expected), wanted, "{given} {expected}");
    }
    // What only looks like one is no pseudonym of the relay's.
    let forged = format!("metric = \"Comment\"\nvalue = \"pn-{}\"", "0".repeat(32));
    assert!(!passes(&forged, "arrives.pseudonym = true"));
    let told = &checks(&format!(
        "[[case]]\nname = \"x\"\ntopic = \"spBv1.0/P/NDATA/L1\"\n{operator}\nexpect = \"forward\"\n\
         arrives.value = \"pn-00\"\n"
    ))[0];
    assert!(told.2.starts_with("forward by `line`, arriving as \"pn-"), "value first: {told:?}");
    assert!(told.3[0].contains("arrives = { pseudonym = true }"), "{told:?}");
}

#[test]
fn a_case_expects_what_an_observing_rule_would_do() {
    let case = |node: &str, metric: &str, expected: &str| {
        let text = format!(
            "[[case]]\nname = \"x\"\ntopic = \"spBv1.0/P/NDATA/{node}\"\nmetric = \"{metric}\"\n\
             value = \"v\"\n{expected}\n"
        );
        checks(&text).remove(0)
    };
    let forward = |by: &str| format!("expect = \"forward\"\nobserved-by = {by}");
    for (node, metric, expected, wanted) in [
        ("L1", "Operator", forward("\"would-deny\""), true),
        ("L1", "Operator", forward("[\"would-deny\"]"), true),
        ("L1", "Operator", forward("[]"), false),
        ("L1", "Comment", forward("[]"), true),
        ("L1", "Comment", forward("\"would-deny\""), false),
        ("L2", "T", "expect = \"drop\"\nobserved-by = \"would-forward\"".to_owned(), true),
    ] {
        let told = case(node, metric, &expected);
        assert_eq!(told.0, wanted, "{told:?}");
    }
    let told = case("L1", "Operator", &forward("[]"));
    assert!(told.1.ends_with("observed by no rule"), "{told:?}");
    assert!(told.2.ends_with("observed by `would-deny`"), "{told:?}");
}

#[test]
fn a_step_has_the_datatype_that_an_earlier_one_says() {
    let told = checks(
        r#"
        [[case]]
        name = "x"
        topic = "spBv1.0/P/NDATA/L1"
        [[case.step]]
        metric = "T"
        datatype = "Float"
        value = 1.0
        expect = "forward"
        [[case.step]]
        metric = "T"
        value = 2
        expect = "forward"
        arrives.value = 2.0
        [[case.step]]
        metric = "T"
        value = "two"
        expect = "forward"
        arrives = { null = true, quality = 0 }
        [[case.step]]
        after-ms = 100
        metric = "T"
        expect = "nothing"
        [[case.step]]
        after-ms = 100
        metrics = [{ metric = "T", expect = "nothing" }]
        [[case.step]]
        metric = "T"
        null = true
        expect = "forward"
        "#,
    );
    assert_eq!(told.len(), 6);
    assert!(told.iter().all(|(passed, ..)| *passed), "{told:#?}");
}

#[test]
fn a_case_with_names_on_it_is_told_so() {
    let text = "[[case]]\nname = \"x\"\ntopic = \"spBv1.0/north/NDATA/bread\"\nmetric = \"T\"\nvalue = 1\n\
                expect = \"drop\"\n";
    let told = &checks(text)[0];
    assert!(told.3[0].contains("`north` is what the group `P` is called on IT"), "{told:?}");
    assert!(told.3[1].contains("`bread` is what the edge node `L1`"), "{told:?}");
    let sources = [SourceFile::new("test.toml", format!("{NAMED}\n{text}"))];
    let (_, _, warnings) = cases::read(&sources).unwrap();
    let codes: Vec<&str> = warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(codes, ["P253", "P253"], "{warnings}");
    let metric = "[[case]]\nname = \"x\"\ntopic = \"spBv1.0/P/NDATA/L9\"\nmetric = \"line/T\"\nvalue = 1\n\
                  expect = \"drop\"\nobserved-by = \"line\"\n";
    let (_, _, warnings) =
        cases::read(&[SourceFile::new("test.toml", format!("{NAMED}\n{metric}"))]).unwrap();
    assert_eq!(warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), ["P252"]);
}
