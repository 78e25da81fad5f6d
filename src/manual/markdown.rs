//! The Markdown of the manual for man pages and for a terminal.

use text::{Paint, Tone};

use super::PAGES;

/// Spaces before what belongs to a line above.
const INDENT: &str = "    ";

/// A line is in a block of code, or text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Text,
}

/// The lines, without comments, images and the fences of code, each with what it is.
fn lines(text: &str) -> Vec<(Kind, &str)> {
    let mut lines = Vec::new();
    let mut fenced = false;
    let mut image = false;
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if fenced {
            lines.push((Kind::Code, line));
            continue;
        }
        // An image and what it shows may take several lines.
        image |= line.starts_with("![");
        if image {
            image = !line.contains(')');
            continue;
        }
        if !line.starts_with("<!--") {
            lines.push((Kind::Text, line));
        }
    }
    lines
}

/// `text` with what `show` makes of each link, given what it says and where it goes.
fn with_links(text: &str, show: impl Fn(&str, &str) -> String) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        let link = before.rfind('[').and_then(|at| {
            let label = before.get(at.checked_add(1)?..)?;
            let (target, behind) = after.split_once(')')?;
            Some((before.get(..at)?, label, target, behind))
        });
        let Some((before, label, target, behind)) = link else {
            shown.push_str(before);
            shown.push_str("](");
            rest = after;
            continue;
        };
        shown.push_str(before);
        shown.push_str(&show(label, target));
        rest = behind;
    }
    shown.push_str(rest);
    shown
}

/// What a link says, and the man page that it goes to.
fn reference(label: &str, target: &str) -> String {
    let file = target.split('#').next().unwrap_or_default();
    if let Some(page) = PAGES.iter().find(|page| file.strip_suffix(".md") == Some(page.name)) {
        return format!("{label} ({})", page.reference());
    }
    match target.starts_with("http") {
        true => format!("{label} ({target})"),
        false => label.to_owned(),
    }
}

/// The same for who reads it with `sparkdiode help`.
fn help_reference(label: &str, target: &str) -> String {
    let file = target.split('#').next().unwrap_or_default();
    match PAGES.iter().find(|page| file.strip_suffix(".md") == Some(page.name)) {
        Some(page) => format!("{label} (`sparkdiode help {}`)", page.name),
        None => reference(label, target),
    }
}

/// For `go-md2man`. A table whose cells aren't all short becomes a list: man can't break its lines.
pub(super) fn for_man(text: &str) -> String {
    let mut out = String::new();
    let mut paragraph = String::new();
    let mut table: Vec<&str> = Vec::new();
    let mut fenced = false;
    for line in text.lines().filter(|line| !line.starts_with("<!--")) {
        if line.starts_with('|') && !fenced {
            out.push_str(&with_links(&paragraph, reference));
            paragraph.clear();
            table.push(line);
            continue;
        }
        put_man_table(&mut out, &table);
        table.clear();
        if line.starts_with("```") || fenced {
            out.push_str(&with_links(&paragraph, reference));
            paragraph.clear();
            out.push_str(line);
            out.push('\n');
            fenced ^= line.starts_with("```");
            continue;
        }
        paragraph.push_str(line);
        paragraph.push('\n');
        if line.is_empty() {
            out.push_str(&with_links(&paragraph, reference));
            paragraph.clear();
        }
    }
    put_man_table(&mut out, &table);
    out.push_str(&with_links(&paragraph, reference));
    out
}

/// Longer cells, and wider tables, look bad in a man page.
const MAN_CELL: usize = 30;
const MAN_TABLE: usize = 66;

fn put_man_table(out: &mut String, lines: &[&str]) {
    let rows: Vec<Vec<String>> =
        lines.iter().filter(|line| !is_rule(line)).map(|line| man_cells(line)).collect();
    let Some((head, body)) = rows.split_first() else { return };
    let columns =
        |row: &Vec<String>| row.iter().map(|cell| cell.chars().count().saturating_add(3)).sum();
    let wide = rows.iter().map(columns).max().unwrap_or(0_usize) > MAN_TABLE;
    let long = rows.iter().flatten().any(|cell| cell.chars().count() > MAN_CELL);
    if !wide && !long {
        for line in lines {
            out.push_str(&with_links(line, reference));
            out.push('\n');
        }
        return;
    }
    for row in body {
        let mut cells = row.iter().zip(head);
        let Some((first, _)) = cells.next() else { continue };
        let mut said = Vec::new();
        for (at, (cell, name)) in cells.enumerate().filter(|(_, (cell, _))| !cell.is_empty()) {
            said.push(match (at, name.as_str()) {
                (0, _) | (_, "") => cell.clone(),
                (_, name) => format!("*{name}*: {cell}"),
            });
        }
        let first = if first.is_empty() { "–" } else { first };
        let said = if said.is_empty() { "–".to_owned() } else { said.join(". ") };
        out.push_str(&format!("\n{first}\n: {said}\n"));
    }
    out.push('\n');
}

fn man_cells(row: &str) -> Vec<String> {
    let inner = row.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(|cell| with_links(cell.trim(), reference)).collect()
}

/// What stands between the head of a table and its rows.
fn is_rule(row: &str) -> bool {
    row.chars().all(|letter| "|-: ".contains(letter))
}

/// For a terminal of `width` columns.
pub fn for_terminal(text: &str, width: usize, paint: Paint) -> String {
    let mut out = String::new();
    let mut paragraph: Vec<&str> = Vec::new();
    let mut table: Vec<&str> = Vec::new();
    for (kind, line) in lines(text) {
        let row = kind == Kind::Text && line.starts_with('|');
        if !row && !table.is_empty() {
            put_table(&mut out, &table, width, paint);
            table.clear();
        }
        let starts_anew = line.trim_start().starts_with("- ") || is_numbered(line);
        let ends = kind == Kind::Code || row || line.is_empty() || line.starts_with('#');
        if (starts_anew || ends) && !paragraph.is_empty() {
            put_paragraph(&mut out, &paragraph, width);
            paragraph.clear();
        }
        match kind {
            Kind::Code if line.is_empty() => out.push('\n'),
            Kind::Code => out.push_str(&format!("{INDENT}{line}\n")),
            Kind::Text if row => table.push(line),
            Kind::Text if line.is_empty() => {
                if !out.is_empty() && !out.ends_with("\n\n") {
                    out.push('\n');
                }
            }
            Kind::Text if line.starts_with('#') => {
                let heading = plain(line.trim_start_matches('#').trim());
                out.push_str(&paint.paint(Tone::Strong, heading));
                out.push('\n');
            }
            Kind::Text => paragraph.push(line),
        }
    }
    put_table(&mut out, &table, width, paint);
    put_paragraph(&mut out, &paragraph, width);
    out
}

/// `1. …`
fn is_numbered(line: &str) -> bool {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    digits > 0 && line.get(digits..).is_some_and(|rest| rest.starts_with(". "))
}

/// Links as what they say, and no stars: backticks stay, since they hold names together.
fn plain(text: &str) -> String {
    let text = without_bold(&with_links(text, help_reference)).replace("\\|", "|");
    // What a paragraph begins with in italics.
    match text.strip_prefix('*').and_then(|rest| rest.split_once('*')) {
        Some((italic, rest)) => format!("{italic}{rest}"),
        None => text,
    }
}

/// Without the stars that stand outside of backticks: in them they are a glob's.
fn without_bold(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    // A span begins and ends with as many backticks.
    while let Some(at) = rest.find('`') {
        let (before, from) = rest.split_at(at);
        let ticks = from.len().saturating_sub(from.trim_start_matches('`').len());
        let (open, inner) = from.split_at(ticks);
        let end = inner.find(open).map_or(inner.len(), |end| end.saturating_add(ticks));
        let (code, after) = inner.split_at(end);
        shown.push_str(&before.replace("**", ""));
        shown.push_str(open);
        shown.push_str(code);
        rest = after;
    }
    shown.push_str(&rest.replace("**", ""));
    shown
}

fn put_paragraph(out: &mut String, lines: &[&str], width: usize) {
    let Some(first) = lines.first() else { return };
    let text = plain(&lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" "));
    let text = text.trim_start_matches("> ");
    let lead = first.len().saturating_sub(first.trim_start().len());
    let item = text.starts_with("- ") || is_numbered(text);
    let hang = if item { lead.saturating_add(2) } else { lead };
    put_wrapped(out, text, lead, hang, width);
}

/// Words in lines, the first one after `lead` spaces and the others after `hang`.
fn put_wrapped(out: &mut String, text: &str, lead: usize, hang: usize, width: usize) {
    let mut line = " ".repeat(lead);
    let mut used = lead;
    let mut empty = true;
    for word in text.split_whitespace() {
        let letters = word.chars().count();
        if !empty && used.saturating_add(letters).saturating_add(1) > width {
            out.push_str(&line);
            out.push('\n');
            line = " ".repeat(hang);
            used = hang;
            empty = true;
        }
        if !empty {
            line.push(' ');
            used = used.saturating_add(1);
        }
        line.push_str(word);
        used = used.saturating_add(letters);
        empty = false;
    }
    if !empty {
        out.push_str(&line);
        out.push('\n');
    }
}

fn cells(row: &str) -> Vec<String> {
    let inner = row.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(|cell| plain(cell.trim())).collect()
}

/// In columns where they have room, else one entry below the other.
fn put_table(out: &mut String, rows: &[&str], width: usize, paint: Paint) {
    let rows: Vec<Vec<String>> =
        rows.iter().filter(|row| !is_rule(row)).map(|row| cells(row)).collect();
    let Some((head, body)) = rows.split_first() else { return };
    let columns = head.len();
    let wide = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(wide).collect();
    let all = widths.iter().fold(0_usize, |sum, wide| sum.saturating_add(*wide).saturating_add(2));
    if all <= width.saturating_add(2) {
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, wide)| format!("{cell:<wide$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        if head.iter().any(|cell| !cell.is_empty()) {
            out.push_str(&paint.paint(Tone::Faint, line(head)));
            out.push('\n');
        }
        for row in body {
            out.push_str(&line(row));
            out.push('\n');
        }
        return;
    }
    for row in body {
        let mut cells = row.iter().zip(head);
        let Some((first, _)) = cells.next() else { continue };
        let mut wrapped = String::new();
        put_wrapped(&mut wrapped, first, 0, 0, width);
        for line in wrapped.lines() {
            out.push_str(&paint.paint(Tone::Strong, line));
            out.push('\n');
        }
        for (at, (cell, name)) in cells.enumerate().filter(|(_, (cell, _))| !cell.is_empty()) {
            // The second column says what the first one is; the others need their names.
            let text = match at {
                0 => cell.clone(),
                _ => format!("{name}: {cell}"),
            };
            put_wrapped(out, &text, INDENT.len(), INDENT.len(), width);
        }
    }
}
