//! The written tables against what is read: each key is known, no key is missing, and ranges,
//! words and defaults are those of the code.

use std::collections::BTreeSet;
use std::time::UNIX_EPOCH;

use diagnostic::{Diagnostics, SourceFile};

use super::{FILES, Row, Table};
use crate::reader::{Environment, Reader};
use crate::{ItConfig, OtConfig, ReceiveConfig, SendConfig};

/// Keys that a table takes for the sake of a better error, and that belong into the other file.
const OF_THE_OTHER_FILE: &[(&str, &str, &str)] = &[
    ("ot.toml", "[broker]", "client-id-prefix"),
    ("it.toml", "[broker]", "client-id"),
    ("it.toml", "[broker]", "share-sessions"),
    ("ot.toml", "[broker]", "topic-aliases"),
    ("it.toml", "[broker]", "session-expiry-s"),
    ("it.toml", "[policies]", "observe"),
    ("it.toml", "[policies]", "pseudonym-key-file"),
];

/// Numbers of which the error names another default, since without the key there is no number.
const WITHOUT_A_NUMBER: &[(&str, &str)] = &[("[link]", "bytes-per-s")];

/// What has to be there for a table to be read.
fn before(file: &str, table: &str) -> &'static str {
    match table {
        // By that alone it would be the OT half's.
        "[journal]" if file == "receive.toml" => "[[path]]\nlisten = \"192.168.77.2:7400\"\n",
        "[policies.require-signature]" => "[policies]\npaths = [\"policies\"]\n",
        "[syslog.tls]" => "[[syslog]]\nto = \"tls\"\naddress = \"10.0.0.9:6514\"\n",
        "[limits]" => "[broker]\naddress = \"10.0.0.9:8883\"\nplaintext = true\n",
        _ => "",
    }
}

/// What is said of a file with `line` in the table and nothing else.
fn said(file: &str, table: &str, line: &str) -> String {
    let text = format!("{}{table}\n{line}\n", before(file, table));
    let source = SourceFile::new(format!("/etc/sparkdiode/{file}"), text);
    let environment = Environment {
        credentials_directory: None,
        checking: true,
        unit_dirs: Vec::new(),
        now: UNIX_EPOCH,
    };
    let reader = Reader::new(source, environment);
    let problems: Diagnostics = match file {
        "ot.toml" => OtConfig::read(reader).unwrap_err(),
        "send.toml" => SendConfig::read(reader).unwrap_err(),
        "receive.toml" => ReceiveConfig::read(reader).unwrap_err(),
        _ => ItConfig::read(reader).unwrap_err(),
    };
    let errors = problems.iter().map(|problem| {
        format!(
            "{} {} {}\n{}\n",
            problem.code,
            problem.title,
            problem.label,
            problem.help.join("\n")
        )
    });
    errors.collect()
}

fn all() -> Vec<(&'static str, &'static Table, &'static Row)> {
    let tables = FILES.into_iter().flat_map(|(file, tables)| tables.iter().map(move |t| (file, t)));
    tables.flat_map(|(file, table)| table.rows().map(move |row| (file, table, row))).collect()
}

/// The keys that the error about an unknown one lists.
fn known(file: &str, table: &str) -> BTreeSet<String> {
    let said = said(file, table, "no-such-key = 1");
    let lines: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("keys of ")).collect();
    assert_eq!(lines.len(), 1, "{file} {table}: {said}");
    let (_, keys) = lines[0].split_once(": ").unwrap();
    keys.split(", ").map(str::to_owned).collect()
}

#[test]
fn every_key_that_is_read_is_in_the_table_and_no_other() {
    for (file, tables) in FILES {
        let mut named: BTreeSet<&str> = BTreeSet::new();
        for table in tables {
            let mut wanted = known(file, table.name);
            let stranger = |key: &str| OF_THE_OTHER_FILE.contains(&(file, table.name, key));
            wanted.retain(|key| !stranger(key));
            if table.name.is_empty() {
                wanted.retain(|key| table.rows().any(|row| row.key == key.as_str()));
            }
            let written: BTreeSet<String> = table.rows().map(|row| row.key.to_owned()).collect();
            assert_eq!(written, wanted, "{file} {}", table.name);
            let outer = table.name.trim_matches(['[', ']']).split('.').next().unwrap();
            named.insert(outer);
        }
        // And the tables are those of the file.
        let own: BTreeSet<&str> = match tables.first().filter(|table| table.name.is_empty()) {
            Some(table) => table.rows().map(|row| row.key).collect(),
            None => BTreeSet::new(),
        };
        let top = known(file, "");
        for name in &top {
            let there = named.contains(name.as_str()) || own.contains(name.as_str());
            assert!(there, "{file}: `{name}` has no table");
        }
        named.remove("");
        for name in named {
            assert!(top.contains(name), "{file}: no table `{name}`");
        }
    }
}

#[test]
fn ranges_and_defaults_of_numbers_are_those_of_the_code() {
    let mut numbers = 0;
    for (file, table, row) in all() {
        let said = said(file, table.name, &format!("{} = -1", row.key));
        let place = format!("{file} {} {}: {said}", table.name, row.key);
        let is_number = said.contains(&format!("`{}` is out of range: -1", row.key));
        let Some((first, last)) = row.range.split_once(" to ").filter(|(first, _)| is_count(first))
        else {
            assert!(!is_number || row.range.starts_with("at least"), "{place}");
            continue;
        };
        if !is_count(last) {
            // Characters, or what the file itself says.
            continue;
        }
        assert!(is_number, "{place}");
        assert!(said.contains(&format!("wanted {first} to {last}\n")), "{place}");
        let default = said.split("without the key it is ").nth(1).unwrap().lines().next().unwrap();
        let exempt = WITHOUT_A_NUMBER.contains(&(table.name, row.key));
        let written = row.default.split(|other: char| !other.is_ascii_digit());
        assert!(exempt || written.clone().any(|number| number == default), "{place}");
        numbers += 1;
    }
    assert!(numbers > 75, "{numbers}");
}

fn is_count(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[test]
fn every_word_that_a_key_takes_is_in_its_row() {
    let mut words = 0;
    for (file, table, row) in all() {
        let said = said(file, table.name, &format!("{} = \"no such word\"", row.key));
        let title = format!("unknown value of `{}`", row.key);
        let Some(line) = said.lines().find(|line| line.contains(&title)) else { continue };
        let (_, wanted) = line.split_once(" wanted ").unwrap();
        for word in wanted.split(" or ").map(|word| word.trim().trim_matches('`')) {
            // `local0` … `local7` has its ends.
            let inner = word.strip_prefix("local").is_some_and(|end| ("1"..="6").contains(&end));
            let there = inner || row.meaning.contains(&format!("`\"{word}\"`"));
            assert!(there, "{file} {} {}: {word}", table.name, row.key);
            words += 1;
        }
    }
    assert!(words > 50, "{words}");
}

#[test]
fn what_a_file_has_to_have_is_called_required() {
    // Tables that are there have to be complete.
    for (file, table, row) in all() {
        let said = said(file, table.name, "");
        let missing = format!("missing key: `{}` in ", row.key);
        let place = match table.name.trim_matches(['[', ']']) {
            "" => "the file".to_owned(),
            name => format!("`[{name}]`"),
        };
        let demanded = said.contains(&format!("{missing}{place}"));
        // What depends on `to` is told once that is said.
        let later = table.name == "[[syslog]]" && row.key != "to";
        // Of a connection without TLS the error has words of its own.
        let tls = (table.name, row.key) == ("[broker]", "tls");
        assert!(
            later || tls || demanded == row.default.starts_with("required"),
            "{file} {} {}: {said}",
            table.name,
            row.key
        );
    }
}
