//! Who may know whom: the module boundaries that the promises rest on, read from the source.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of code (no comments, no tests) of every Rust file below `src/<module>`.
fn code_of(module: &str) -> Vec<(PathBuf, usize, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(module);
    let mut files = Vec::new();
    collect(&root, &mut files);
    let read = |file: &PathBuf| fs::read_to_string(file).unwrap();
    let test_modules: Vec<String> =
        files.iter().flat_map(|file| test_modules(&read(file))).collect();
    files.retain(|file| {
        let below = file.strip_prefix(&root).unwrap_or(file).with_extension("");
        !below.iter().any(|part| test_modules.iter().any(|name| part == name.as_str()))
    });
    assert!(!files.is_empty(), "no source below {}", root.display());
    let mut lines = Vec::new();
    for file in files {
        let text = read(&file);
        // Unit tests sit at the bottom of a file.
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (at, line) in code.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            lines.push((file.clone(), at + 1, line.to_owned()));
        }
    }
    lines
}

/// Names of the modules that exist in tests only.
fn test_modules(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            let next = lines.next().unwrap_or_default();
            let name = next.split("mod ").nth(1).and_then(|name| name.strip_suffix(';'));
            names.extend(name.map(str::to_owned));
        }
    }
    names
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Fails with the place if any line of `module` has one of `words`.
fn never(module: &str, words: &[&str], why: &str) {
    for (file, line, code) in code_of(module) {
        for word in words {
            assert!(
                !has_word(&code, word),
                "{}:{line}: `{word}` in `{module}`: {why}\n    {}",
                file.display(),
                code.trim()
            );
        }
    }
}

/// Whether `word` is in `code`, and not as the end of a longer name.
fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
    })
}

#[test]
fn a_name_that_ends_like_a_word_is_another_name() {
    assert!(has_word("use crate::journal::Writer;", "Writer"));
    assert!(has_word("journal::{Reader, WriterOptions}", "Writer"));
    assert!(!has_word("use crate::sparkplug::PayloadWriter;", "Writer"));
}

#[test]
fn the_halves_do_not_know_each_other() {
    never("ot", &["crate::it", "super::it", "it::mirror"], "the OT half can't know the IT half");
    never("it", &["crate::ot", "super::ot"], "the IT half can't know the OT half");
}

#[test]
fn the_ot_half_cannot_read_a_journal_and_the_it_half_cannot_write_one() {
    never("ot", &["Reader"], "a reader in the OT half could learn what IT does");
    // The word by itself: other things are writers too.
    let words = [" Writer", ":Writer", "{Writer", "(Writer", "<Writer", "&Writer"];
    never("it", &words, "the IT half may not write a journal");
}

#[test]
fn the_ot_half_has_no_word_for_a_publication() {
    let words = ["publish(", "PublishOptions", "LastWill", "set_last_will", "ValidatedTopic"];
    never("ot", &words, "nothing can be published on the OT broker");
}

#[test]
fn only_the_connection_files_know_the_mqtt_client() {
    for half in ["ot", "it"] {
        for (file, line, code) in code_of(half) {
            let knows = code.contains("rumqttc");
            let may = file.file_name().is_some_and(|name| name == "connection.rs");
            assert!(may || !knows, "{}:{line}: {code}", file.display());
        }
    }
}

#[test]
fn leaves_have_no_input_output_and_no_clock() {
    let words =
        ["std::fs", "std::net", "std::io", "tokio::", "std::process", "Instant::", "SystemTime::"];
    for module in ["sparkplug", "policy", "it/mirror", "ot/pipeline", "ot/plant", "rehearsal"] {
        // Inflating is reading from a slice; no other reader is at hand there.
        let lines = code_of(module).into_iter();
        let lines = lines.filter(|(file, ..)| !file.ends_with("sparkplug/decode.rs"));
        for (file, line, code) in lines {
            for word in words {
                assert!(!code.contains(word), "{}:{line}: `{word}`", file.display());
            }
        }
    }
}

#[test]
fn what_runs_knows_no_rehearsal_and_a_rehearsal_no_driver() {
    for half in ["ot", "it", "journal", "policy", "sparkplug", "telemetry"] {
        never(half, &["rehearsal"], "what is tried out has no part in what runs");
    }
    let drivers = ["crate::it", "crate::cli", "ot::run", "Writer", "Reader", "tokio"];
    never("rehearsal", &drivers, "a rehearsal drives the pipeline alone");
}

#[test]
fn leaves_know_nothing_above_them() {
    let above = ["crate::ot", "crate::it", "crate::config", "crate::cli"];
    never("journal", &[&above[..], &["crate::policy", "crate::sparkplug"]].concat(), "a leaf");
    never(
        "sparkplug",
        &[&above[..], &["crate::policy", "crate::journal", "crate::telemetry"]].concat(),
        "a leaf",
    );
    never("it/mirror", &["crate::config", "crate::cli", "rumqttc"], "the mirror has no driver");
}

#[test]
fn unsafe_code_is_only_in_the_sandbox() {
    for (file, line, code) in code_of("") {
        let sandbox = file.components().any(|part| part.as_os_str() == "sandbox");
        let has = code.contains("unsafe ") || code.contains("allow(unsafe_code");
        assert!(sandbox || !has, "{}:{line}: {code}", file.display());
    }
}

#[test]
fn only_a_sealed_process_can_run_a_half() {
    for half in ["ot", "it"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/{half}/mod.rs"));
        let text = fs::read_to_string(file).unwrap();
        let demands = "pub fn run(opened: Opened, _sealed: &Confined)";
        assert!(text.contains(demands), "{half}::run demands no proof");
        assert_eq!(text.matches("pub fn run(").count(), 1);
    }
    // The proof has one maker: privacy keeps other modules from it, this other functions of its
    // own module.
    let mut makers = 0;
    for (file, _, code) in code_of("sandbox") {
        let makes =
            code.contains("Confined {") && !code.contains("struct") && !code.contains("impl");
        if makes || code.contains("Self {") {
            assert!(file.ends_with("sandbox/mod.rs"), "{}", file.display());
            makers += 1;
        }
    }
    assert_eq!(makers, 1);
}
