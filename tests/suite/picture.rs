//! The README's picture is what a terminal showed, and `.ci/picture` draws what a command prints.

use std::fs;
use std::path::Path;
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What stands in a picture, part by part.
fn texts(svg: &str) -> Vec<String> {
    let texts = svg.split("<text ").skip(1).map(|text| {
        let (_, text) = text.split_once('>').unwrap();
        text.split_once("</text>").unwrap().0.replace("&lt;", "<").replace("&amp;", "&")
    });
    texts.collect()
}

#[test]
fn the_picture_of_the_demo_shows_a_run_that_holds() {
    let svg = fs::read_to_string(Path::new(ROOT).join("src/manual/demo.svg")).unwrap();
    let texts = texts(&svg);
    for wanted in [
        "sparkdiode demo",
        "Line1",
        "denied",
        "STRICT HOST",
        "0 violations",
        "refused: commands never cross",
    ] {
        assert!(texts.iter().any(|text| text == wanted), "{wanted}: {texts:?}");
    }
    assert!(!texts.iter().any(|text| text.starts_with("ended:")), "{texts:?}");
}

#[test]
fn what_a_command_leaves_on_the_screen_is_drawn() {
    if Command::new("python3").arg("--version").output().is_err() {
        return crate::broker::skipped("no python3");
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.svg");
    // The alternate screen, drawn twice; then back.
    let script = r"printf '\033[?1049h\033[2Jgone\033[H\033[1mleft\033[0m  a<b \033[32mgreen\033[0m\033[K\r\n──┬──\r\n'
        printf '\033[2;1Hnew\033[K\033[?1049l'; echo behind; exit 3";
    let run = Command::new(Path::new(ROOT).join(".ci/picture"))
        .args(["--size", "40x5", "-o", file.to_str().unwrap(), "sh", "-c", script])
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(1), "the command failed: {run:?}");
    assert!(String::from_utf8_lossy(&run.stderr).contains("ended with 3"), "{run:?}");
    let svg = fs::read_to_string(&file).unwrap();
    assert_eq!(texts(&svg), ["left", "a<b", "green", "new"], "{svg}");
    assert!(svg.contains("font-weight=\"bold\">left<"), "{svg}");
    assert!(svg.contains("fill=\"#98c379\">green<"), "{svg}");
}
