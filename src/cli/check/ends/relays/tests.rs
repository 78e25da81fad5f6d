//! Two relays that share a plant, each with a link between two boxes.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::cli::check::{CheckArgs, run};

/// The files of both, each box in a directory of its own. `exchange`: words in files of the second.
fn files(root: &std::path::Path, exchange: &[(&str, &str)]) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for relay in 1..=2 {
        let boxes = [
            (
                "plant",
                [
                    (
                        "ot.toml",
                        format!(
                            "name = \"relay-{relay}\"\n[broker]\naddress = \"10.0.0.{relay}:1883\"\n\
                             plaintext = true\n[policies]\npaths = [\"p.toml\"]\n[journal]\npath = \"journal\"\n\
                             [state]\npath = \"ot\"\n[relay]\nshard = \"{relay}/2\"\n"
                        ),
                    ),
                    (
                        "send.toml",
                        format!(
                            "[link]\nname = \"link-{relay}\"\nkey-file = \"link.key\"\n[[path]]\nto = \"10.9.{relay}.2:7400\"\n\
                             [journal]\npath = \"journal\"\n[state]\npath = \"send\"\n"
                        ),
                    ),
                ],
            ),
            (
                "office",
                [
                    (
                        "receive.toml",
                        format!(
                            "[link]\nname = \"link-{relay}\"\nkey-file = \"link.key\"\n[[path]]\n\
                             listen = \"10.9.{relay}.2:7400\"\n[journal]\npath = \"received\"\n[state]\npath = \"receive\"\n"
                        ),
                    ),
                    (
                        "it.toml",
                        format!(
                            "[broker]\naddress = \"10.0.1.{relay}:1883\"\nplaintext = true\n[journal]\n\
                             path = \"received\"\n[state]\npath = \"it\"\n[health]\nedge-node = \"relay-{relay}\"\n"
                        ),
                    ),
                ],
            ),
        ];
        for (name, files) in boxes {
            let directory = root.join(format!("{name}-{relay}"));
            fs::create_dir(&directory).unwrap();
            let key = directory.join("link.key");
            let digits = format!("{relay}a0b1c2d3e4f5a6b").repeat(4);
            fs::write(&key, digits).unwrap();
            fs::set_permissions(&key, Permissions::from_mode(0o400)).unwrap();
            let rule = "[[rule]]\nname = \"a\"\naction = \"forward\"\ngroup = \"G\"\n";
            fs::write(directory.join("p.toml"), rule).unwrap();
            for (name, mut text) in files {
                for (from, to) in exchange.iter().filter(|_| relay == 2) {
                    text = text.replace(from, to);
                }
                fs::write(directory.join(name), text).unwrap();
                paths.push(directory.join(name));
            }
        }
    }
    paths
}

fn said(exchange: &[(&str, &str)], more: &[usize]) -> String {
    let root = tempfile::tempdir().unwrap();
    let mut paths = files(root.path(), exchange);
    for again in more {
        // Another file with the same words.
        let copy = paths[*again].with_file_name("more.toml");
        fs::copy(&paths[*again], &copy).unwrap();
        paths.push(copy);
    }
    match run(&CheckArgs { paths }) {
        Ok(_) => String::new(),
        Err(failure) => format!("{failure:?}"),
    }
}

#[test]
fn each_relay_has_a_link_of_its_own() {
    assert_eq!(said(&[], &[]), "");
}

#[test]
fn ends_that_are_of_no_relay_or_of_one_that_has_them_are_named() {
    let said_of = |exchange: &[(&str, &str)], more: &[usize], words: &str| {
        let said = said(exchange, more);
        assert!(said.contains(words), "{words}: {said}");
    };
    said_of(&[], &[1], "a second time the file of a link's sending end");
    said_of(&[], &[2], "a second time the file of a link's receiving end");
    // Two ends of one link name, of two relays.
    said_of(
        &[("to = \"10.9.2.2:7400\"", "to = \"10.9.3.2:7400\"")],
        &[],
        "nobody listens at 10.9.3.2",
    );
    said_of(
        &[(
            "path = \"received\"\n[state]\npath = \"receive\"",
            "path = \"other\"\n[state]\npath = \"receive\"",
        )],
        &[],
        "the IT half reads another journal",
    );
}
