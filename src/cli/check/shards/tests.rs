//! What is said of the files of four relays, and of each way in which they don't fit together.

use diagnostic::SourceFile;

use super::*;

const RULE: &str = "[[rule]]\nname = \"a\"\naction = \"forward\"\ngroup = \"G\"\n";

/// The files of so many relays, each pair in a directory of its own.
struct Files {
    root: tempfile::TempDir,
    ot: Vec<String>,
    it: Vec<String>,
    policies: Vec<String>,
    /// All in one directory.
    flat: bool,
}

/// What was said: text, warnings, errors, and which IT half is of which relay.
struct Said {
    text: String,
    warnings: String,
    errors: String,
    pairs: Vec<Option<usize>>,
}

impl Files {
    fn of(count: usize) -> Files {
        let ot = |index: usize| {
            format!(
                "name = \"relay-{index}\"\n[broker]\naddress = \"10.0.0.7:1883\"\nplaintext = true\n\
                 [policies]\npaths = [\"p.toml\"]\n[journal]\npath = \"journal\"\n[state]\npath = \"ot\"\n\
                 [relay]\nshard = \"{index}/{count}\"\n"
            )
        };
        let it = "[broker]\naddress = \"10.0.1.7:1883\"\nplaintext = true\n[journal]\npath = \"journal\"\n\
                  [state]\npath = \"it\"\n";
        Files {
            root: tempfile::tempdir().unwrap(),
            ot: (1..=count).map(ot).collect(),
            it: vec![it.to_owned(); count],
            policies: vec![RULE.to_owned(); count],
            flat: false,
        }
    }

    /// Exchanges something in the files of one relay.
    fn with(mut self, relay: usize, from: &str, to: &str) -> Files {
        for text in [&mut self.ot[relay], &mut self.it[relay]] {
            *text = text.replace(from, to);
        }
        self
    }

    fn check(&self) -> Said {
        let place = |relay: usize, name: &str| match self.flat {
            true => self.root.path().join(format!("{relay}-{name}")),
            false => self.root.path().join(relay.to_string()).join(name),
        };
        let paths = |name: &str, count: usize| -> Vec<_> {
            (0..count).map(|relay| place(relay, name)).collect()
        };
        let (ot_paths, it_paths) =
            (paths("ot.toml", self.ot.len()), paths("it.toml", self.it.len()));
        let parsed = |text: &str| Policy::parse(&[SourceFile::new("p.toml", text)]).unwrap().0;
        let of_ot: Vec<_> = ot_paths
            .iter()
            .zip(&self.ot)
            .zip(&self.policies)
            .map(|((path, text), policy)| {
                let (config, _) = OtConfig::check(SourceFile::new(path, text.as_str())).unwrap();
                Checked { path, config, policy: Some(parsed(policy)) }
            })
            .collect();
        let of_it: Vec<_> = it_paths
            .iter()
            .zip(&self.it)
            .map(|(path, text)| {
                let (config, _) = ItConfig::check(SourceFile::new(path, text.as_str())).unwrap();
                Checked { path, config, policy: None }
            })
            .collect();
        assert!(are_shared(&of_ot));
        let mut text = String::new();
        let (mut warnings, mut errors) = (Diagnostics::new(), Diagnostics::new());
        let relays = describe(&mut text, &of_ot, &of_it, &[], (&mut warnings, &mut errors));
        let place_of =
            |it: &Checked<'_, ItConfig>| it_paths.iter().position(|path| *path == it.path);
        let pairs = relays.iter().map(|(_, it)| it.and_then(place_of)).collect();
        Said { text, warnings: warnings.to_string(), errors: errors.to_string(), pairs }
    }
}

#[test]
fn four_relays_that_fit_together_are_said_to() {
    let said = Files::of(4).check();
    assert!(said.errors.is_empty() && said.warnings.is_empty(), "{}{}", said.errors, said.warnings);
    assert_eq!(said.pairs, [Some(0), Some(1), Some(2), Some(3)]);
    assert!(said.text.contains("4 relays that share a plant"), "{}", said.text);
    for shard in 1..=4 {
        assert!(
            said.text.contains(&format!("shard {shard}/4     `relay-{shard}`")),
            "{}",
            said.text
        );
    }
    assert!(said.text.contains("exactly one of them"));
    assert!(!said.text.contains("limits.link"));
}

#[test]
fn a_limit_of_the_link_holds_for_each() {
    let mut files = Files::of(3);
    for policy in &mut files.policies {
        policy.push_str("[limits.link]\nmessages-per-s = 100\n");
    }
    let said = files.check();
    assert!(said.text.contains("together they may send 3 times as much"), "{}", said.text);
}

#[test]
fn what_is_missing_double_or_of_another_number_is_named() {
    for (files, wanted) in [
        (
            Files::of(4).with(1, "2/4", "3/4"),
            vec!["shard 3/4 is that of `", "no file has the shard 2/4"],
        ),
        (
            Files::of(4).with(3, "4/4", "4/5"),
            vec!["`shard = \"4/5\"`, and `", "of how many relays?", "no file has the shard 4/4"],
        ),
        (
            Files::of(2).with(1, "shard = \"2/2\"", ""),
            vec!["no `[relay] shard`, beside", "no file has the shard 2/2"],
        ),
        (
            Files::of(2).with(0, "1/2", "1/20").with(1, "2/2", "2/20"),
            vec!["no file has the shard 3/20, 4/20", "10/20 and 10 more"],
        ),
    ] {
        let said = files.check();
        for wanted in wanted {
            assert!(said.errors.contains(wanted), "{wanted}: {}", said.errors);
        }
        assert!(!said.text.contains("share a plant"), "{}", said.text);
    }
}

#[test]
fn what_each_needs_for_itself_is_named_with_both_files() {
    let errors = |files: Files| files.check().errors;
    let same_name = errors(Files::of(2).with(1, "relay-2", "relay-1"));
    assert!(same_name.contains("is called `relay-1`, too"), "{same_name}");
    assert!(
        same_name.contains("the client identifier `sparkdiode-ot-relay-1`, too"),
        "{same_name}"
    );
    assert!(same_name.contains("shows itself as `sparkdiode/relay-1`, too"), "{same_name}");
    let same_id = errors(Files::of(2).with(
        1,
        "[policies]",
        "client-id = \"sparkdiode-ot-relay-1\"\n[policies]",
    ));
    assert!(
        same_id.contains("the client identifier") && !same_id.contains("is called"),
        "{same_id}"
    );
    let own = "[health]\nedge-node = \"relay\"\n[broker]";
    let mut files = Files::of(2);
    files.it.iter_mut().for_each(|text| *text = text.replace("[broker]", own));
    let same_node = files.check().errors;
    assert!(same_node.contains("shows itself as `sparkdiode/relay`, too"), "{same_node}");
    assert!(same_node.contains("0/it.toml"), "{same_node}");
}

#[test]
fn one_policy_holds_for_all() {
    let mut files = Files::of(3);
    files.policies[2].push_str("device = \"D\"\n");
    let errors = files.check().errors;
    assert!(errors.contains("another policy than that of `"), "{errors}");
    assert_eq!(errors.matches("another policy").count(), 1);
}

#[test]
fn what_may_be_right_on_several_machines_is_a_warning() {
    let warned = |files: Files| {
        let said = files.check();
        assert!(said.errors.is_empty(), "{}", said.errors);
        assert!(said.text.contains("share a plant"));
        said.warnings
    };
    let ot = warned(Files::of(2).with(1, "10.0.0.7", "10.0.0.8"));
    assert!(ot.contains("another broker on OT than `") && ot.contains("10.0.0.8:1883"), "{ot}");
    let it = warned(Files::of(2).with(1, "10.0.1.7", "10.0.1.8"));
    assert!(it.contains("another broker on IT than `"), "{it}");
    let mut files = Files::of(2);
    for texts in [&mut files.ot, &mut files.it] {
        texts
            .iter_mut()
            .for_each(|text| *text = text.replace("\"journal\"", "\"/nowhere/journal\""));
    }
    let journal = warned(files);
    assert_eq!(journal.matches("the journal of `").count(), 1, "{journal}");
    let host = warned(Files::of(2).with(
        1,
        "[state]\npath = \"it\"",
        "[state]\npath = \"it\"\n[mirror]\nprimary-host = \"scada\"",
    ));
    assert!(
        host.contains("wait for `scada`, and those of `") && host.contains("for nobody"),
        "{host}"
    );
}

#[test]
fn a_file_of_an_it_half_is_of_the_relay_beside_it_or_of_the_journal_that_it_reads() {
    let mut files = Files::of(2);
    files.it.remove(1);
    let said = files.check();
    assert!(said.errors.contains("no file of this relay's IT half"), "{}", said.errors);
    assert_eq!(said.pairs, [Some(0), None]);
    let mut files = Files::of(2);
    let stray = files.it[0].replace("\"journal\"", "\"/nowhere/else\"");
    files.it.push(stray);
    let said = files.check();
    assert!(said.errors.contains("which relay's IT half is this? It reads `/nowhere/else`"));
    // All in one directory: then by the journal.
    let mut files = Files { flat: true, ..Files::of(3) };
    for (relay, (ot, it)) in files.ot.iter_mut().zip([2, 0, 1]).enumerate() {
        *ot = ot.replace("\"journal\"", &format!("\"journal-{relay}\""));
        *ot = ot.replace("\"ot\"", &format!("\"ot-{relay}\""));
        let reads = files.it[it].replace("\"journal\"", &format!("\"journal-{relay}\""));
        files.it[it] = reads.replace("\"it\"", &format!("\"it-{relay}\""));
    }
    let said = files.check();
    assert_eq!(said.pairs, [Some(2), Some(0), Some(1)]);
    assert!(said.errors.is_empty() && said.warnings.is_empty(), "{}{}", said.errors, said.warnings);
}
