//! Links between the README, the manual and the files beside them lead somewhere, and the manual's
//! pages become man pages that man can show.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sparkdiode::manual::PAGES;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Everything that people read in Markdown.
fn files() -> Vec<PathBuf> {
    let root = Path::new(ROOT);
    let single =
        ["README.md", "certs/README.md", "tests/fuzz/README.md"].map(|name| root.join(name));
    let mut files = Vec::from(single);
    for directory in ["src/manual", ".github"] {
        for entry in fs::read_dir(root.join(directory)).unwrap() {
            let path = entry.unwrap().path();
            files.extend(path.extension().is_some_and(|end| end == "md").then_some(path));
        }
    }
    files.sort();
    files
}

/// The text without blocks of code.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut prose = String::new();
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        if !fenced && !line.starts_with("```") {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

/// The anchors of headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| -> String {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|one| one.is_alphanumeric() || " -_".contains(*one));
        kept.map(|one| if one == ' ' { '-' } else { one }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut links = 0;
    let mut wrong = Vec::new();
    for file in files() {
        let text = fs::read_to_string(&file).unwrap();
        for part in prose(&text).split("](").skip(1) {
            let target = part.split([')', ' ']).next().unwrap();
            if target.starts_with("http") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path =
                if path.is_empty() { file.clone() } else { file.parent().unwrap().join(path) };
            let there = path.exists()
                && (anchor.is_empty()
                    || anchors(&fs::read_to_string(&path).unwrap_or_default()).contains(anchor));
            if !there {
                wrong.push(format!("{}: {target}", file.display()));
            }
            links += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(links > 150, "{links}");
}

#[test]
fn pages_become_man_pages() {
    let available = |tool: &str| {
        let mut help = Command::new(tool);
        help.arg("--help").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        help.status().is_ok()
    };
    if !available("go-md2man") || !available("man") {
        return crate::broker::skipped("no go-md2man, or no man");
    }
    let directory = tempfile::tempdir().unwrap();
    for page in PAGES {
        let name = format!("sparkdiode-{}.{}", page.name, page.section);
        let source = directory.path().join(format!("{name}.md"));
        let made = directory.path().join(&name);
        fs::write(&source, page.as_man_markdown()).unwrap();
        let run = Command::new("go-md2man").arg("-in").arg(&source).arg("-out").arg(&made).status();
        assert!(run.unwrap().success(), "{name}");
        let shown = Command::new("man")
            .args(["--local-file", "--warnings=w"])
            .arg(&made)
            .env("MANWIDTH", "100")
            .env("LC_ALL", "C.UTF-8")
            .env("PAGER", "cat")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&shown.stdout);
        assert!(shown.status.success(), "{name}");
        let complaints = String::from_utf8_lossy(&shown.stderr);
        assert!(!complaints.contains("wider than line width"), "{name}: {complaints}");
        let flat: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let title = format!("sparkdiode-{}", page.name);
        assert!(flat.contains(&title) && flat.contains("SEE ALSO"), "{name}: {text}");
        // What the page says in its last row or line is there, too: nothing is cut.
        assert!(text.lines().count() > 15, "{name}: {text}");
    }
}
