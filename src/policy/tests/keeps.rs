//! Which policies surely let cross all that another one does.

use diagnostic::SourceFile;

use crate::Policy;

fn policy(text: &str) -> Policy {
    match Policy::parse(&[SourceFile::new("a.toml", text)]) {
        Ok((policy, _)) => policy,
        Err(problems) => panic!("{problems}"),
    }
}

const BEFORE: &str = r#"
[[rule]]
name = "ovens"
action = "forward"
group = "G"
allow-metrics = ["Temperature/**"]
[rule.rate]
messages-per-s = 5
[[rule]]
name = "no-recipes"
action = "deny"
group = "*"
deny-metrics = "**/Recipe*"
"#;

#[test]
fn what_forbids_more_or_shows_less_is_told_from_what_does_not() {
    let before = policy(BEFORE);
    let added = "[[rule]]\nname = \"x\"\ngroup = \"H\"\n";
    let cases: [(String, bool); 16] = [
        (BEFORE.to_owned(), true),
        (format!("# a remark\n{BEFORE}"), true),
        (BEFORE.replace("messages-per-s = 5", "messages-per-s = 1"), true),
        (BEFORE.replace("[\"Temperature/**\"]", "[\"Pressure\", \"Temperature/**\"]"), true),
        (BEFORE.replace("allow-metrics = [\"Temperature/**\"]\n", ""), true),
        (format!("{BEFORE}{added}action = \"forward\"\n"), true),
        (format!("{BEFORE}{added}action = \"deny\"\nmode = \"observe\"\n"), true),
        (format!("{BEFORE}{added}action = \"deny\"\n"), false),
        (format!("{BEFORE}{added}action = \"redact\"\n"), false),
        (format!("{BEFORE}{added}action = \"forward\"\ndeny-metrics = \"x\"\n"), false),
        (format!("{BEFORE}{added}action = \"forward\"\nredact-metrics = \"x\"\n"), false),
        // In front of the others it would shape what they forward.
        (format!("{added}action = \"forward\"\n{BEFORE}"), false),
        (BEFORE.replace("Temperature/**", "Temperature/Oil"), false),
        (BEFORE.replace("[rule.rate]", "[rule.shape]\nmax = 5\n[rule.rate]"), false),
        (BEFORE.replace("[rule.rate]", "not-after = 2030-01-01T00:00:00Z\n[rule.rate]"), false),
        (format!("{BEFORE}[rename.group]\n\"G\" = \"other\"\n"), false),
    ];
    for (text, keeps) in cases {
        let mut after = policy(&text);
        assert_eq!(after.keeps_all_of(&before), keeps, "{text}");
        // Whatever the hour is.
        after.set_time(1_700_000_000_000);
        assert_eq!(after.keeps_all_of(&before), keeps, "{text}");
    }
    assert!(!policy("").keeps_all_of(&before));
}
