//! Every target over its corpus.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{TARGETS, Target};

/// What `tests/fuzz/corpus` has for a target, in the order of the names.
fn corpus(target: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target);
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn run(target: &str) {
    let body: Target = TARGETS.iter().find(|(name, _)| *name == target).unwrap().1;
    let files = corpus(target);
    assert!(files.len() >= 10, "{target} has {} inputs", files.len());
    for file in files {
        let input = fs::read(&file).unwrap();
        let outcome = std::panic::catch_unwind(|| body(&input));
        assert!(outcome.is_ok(), "{target} on {}", file.display());
    }
    body(&[]);
}

macro_rules! corpora {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            run(stringify!($target));
        })*

        #[test]
        fn every_target_runs_over_its_corpus() {
            let tested = [$(stringify!($target)),*];
            assert_eq!(tested, TARGETS.map(|(name, _)| name));
            let fuzzers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz_targets");
            for name in tested {
                let text = fs::read_to_string(fuzzers.join(format!("{name}.rs"))).unwrap();
                assert!(text.contains(&format!("targets::{name}(")), "{name}: {text}");
            }
        }
    };
}

corpora! {
    capture configuration it_connection it_connection_five it_fast_path journal_segment link_blocks
    link_datagrams link_window mirror ot_connection ot_connection_five ot_fast_path payload pipeline policy_text state_files topic
}
