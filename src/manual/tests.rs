//! Pages: what they begin with, that what is made from the code is the code's, and how they look
//! as man pages and on a terminal.

use std::fs;
use std::path::{Path, PathBuf};

use text::Paint;

use super::*;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual")
}

#[test]
fn every_page_has_one_heading_that_says_what_it_is() {
    for page in PAGES {
        let mut fenced = false;
        let mut headings = 0;
        for line in page.text.lines() {
            fenced ^= line.starts_with("```");
            headings += usize::from(!fenced && line.starts_with("# "));
        }
        assert!(page.text.starts_with("# "), "{}", page.name);
        assert_eq!(headings, 1, "{}", page.name);
        assert!(page.heading().len() > 5, "{}", page.name);
    }
}

#[test]
fn every_file_is_a_page_and_every_page_is_listed_once() {
    let mut files: Vec<String> = Vec::new();
    for entry in fs::read_dir(directory()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        files.extend(name.strip_suffix(".md").map(str::to_owned));
    }
    files.sort();
    let listed: Vec<&str> = PAGES.iter().map(|page| page.name).collect();
    assert_eq!(files, listed);
}

#[test]
fn what_is_made_from_the_code_is_the_codes() {
    let bless = std::env::var_os("SPARKDIODE_BLESS").is_some();
    let mut parts = 0;
    let mut old = Vec::new();
    for page in PAGES {
        let path = directory().join(format!("{}.md", page.name));
        let text = fs::read_to_string(&path).unwrap();
        parts += text.matches(made::BEGIN).count();
        let anew = match made::page(page.name) {
            Some(anew) => anew,
            None => made::anew(&text).unwrap_or_else(|why| panic!("{}: {why}", page.name)),
        };
        if bless {
            fs::write(&path, anew).unwrap();
        } else if anew != text {
            old.push(page.name);
        }
    }
    assert!(old.is_empty(), "old: {old:?}; SPARKDIODE_BLESS=1 cargo test --lib manual, and look");
    let tables: usize = config::keys::FILES.iter().map(|(_, tables)| tables.len()).sum();
    let tables = tables + policy_keys::TABLES.len();
    // And the codes of MQTT 5.
    assert_eq!(parts, tables + 1, "every table of the files and of a policy, once");
}

#[test]
fn a_part_that_nobody_makes_is_found() {
    let text = |name: &str| format!("a\n<!-- from the code: {name} -->\nold\n<!-- end -->\nb\n");
    let anew = made::anew(&text("ot.toml [state]")).unwrap();
    assert!(anew.contains("| `path` | ") && !anew.contains("old"), "{anew}");
    assert!(made::anew(&text("ot.toml [stat]")).is_err());
    assert!(made::anew("<!-- from the code: ot.toml [state] -->\n").is_err());
}

#[test]
fn links_of_a_man_page_are_references_and_comments_are_gone() {
    let page = Page {
        name: "x",
        section: 7,
        text: "# What x is\n\n<!-- end -->\nSee [the policy\nfile](policy.md#globs) and \
               [a file](../../certs/README.md).\n\n```text\n[a](policy.md)\n```\n",
    };
    let man = page.as_man_markdown();
    assert!(
        man.starts_with(
            "% sparkdiode-x 7\n\n# NAME\n\nsparkdiode-x - What x is\n\n# DESCRIPTION\n"
        ),
        "{man}"
    );
    assert!(man.contains("See the policy\nfile (sparkdiode-policy(5)) and a file.\n"), "{man}");
    assert!(man.contains("\n[a](policy.md)\n"), "code stays as it is: {man}");
    assert!(man.contains("# SEE ALSO\n\nsparkdiode-policy(5), sparkdiode(1)\n"), "{man}");
    for page in PAGES {
        let man = page.as_man_markdown();
        assert!(!man.contains("<!--") && !man.contains(".md#"), "{}", page.name);
    }
}

#[test]
fn a_table_with_long_cells_is_a_list_in_a_man_page() {
    let long = "a meaning that takes far more than thirty characters";
    let text = format!(
        "\n| key | meaning | default |\n|---|---|---|\n| `a` | {long} | 7 |\n\n| x | y |\n|---|---|\n| 1 | 2 |\n"
    );
    assert_eq!(
        markdown::for_man(&text),
        format!("\n\n`a`\n: {long}. *default*: 7\n\n\n| x | y |\n|---|---|\n| 1 | 2 |\n")
    );
}

#[test]
fn stars_of_globs_stay_on_a_terminal_and_those_of_bold_text_go() {
    for (text, wanted) in [
        ("`*` any, `**` any with `/`", "`*` any, `**` any with `/`\n"),
        ("**`deny` wins**, `**/Recipe*/**` too", "`deny` wins, `**/Recipe*/**` too\n"),
        ("``a ` ** b`` **c** `d **", "``a ` ** b`` c `d **\n"),
        ("*first* of `a*b*`", "first of `a*b*`\n"),
        ("| `**` | **x** |", "`**`  x\n"),
    ] {
        assert_eq!(for_terminal(text, 80, Paint::new(false)), wanted);
    }
    for page in PAGES {
        let shown = for_terminal(page.text, 100, Paint::new(false));
        let (globs, left) = (page.text.matches("**/").count(), shown.matches("**/").count());
        assert_eq!(globs, left, "{}", page.name);
    }
}

#[test]
fn a_page_fits_a_terminal() {
    let text = "# A page\n\n*First.* One two three four five six\nseven [eight](policy.md).\n\n- a point\n  of two lines\n- another\n\n\
                | key | meaning | default |\n|---|---|---|\n| `a` | b c d e f g h i j k l m n | 7 |\n\n\
                | x | y |\n|---|---|\n| 1 | 2 |\n";
    let shown = for_terminal(text, 24, Paint::new(false));
    assert_eq!(
        shown,
        "A page\n\nFirst. One two three\nfour five six seven\neight (`sparkdiode help\npolicy`).\n\n\
         - a point of two lines\n- another\n\n`a`\n    b c d e f g h i j k\n    l m n\n    default: 7\n\n\
         x  y\n1  2\n"
    );
    for page in PAGES {
        let mut fenced = 0;
        for line in for_terminal(page.text, 78, Paint::new(false)).lines() {
            // Code is as it is, and a word that is too long has a line of its own.
            let is_code = line.starts_with("    ");
            let is_word = !line.trim().contains(' ');
            fenced += usize::from(is_code);
            let columns = line.chars().count();
            assert!(columns <= 78 || is_code || is_word, "{}: {line}", page.name);
        }
        let has_code = page.text.contains("\n```");
        assert!(!has_code || fenced > 0, "{}", page.name);
    }
}
