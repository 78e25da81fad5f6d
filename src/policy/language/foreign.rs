//! Patterns of other languages that are taken literally here: classes, lists and alternatives of
//! shells and regular expressions, wildcards of MQTT and SQL. Such a pattern is safe, since it matches
//! nothing that anybody meant, and that is why its author has to be told.
//!
//! Every one of these characters can stand in a name: with a `\` in front it is meant, and nothing is
//! said.

#[cfg(test)]
mod tests;

use std::ops::Range;

use diagnostic::{Diagnostic, Placed, SourceFile, inside};

/// What somebody may have meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// Where in the pattern, in bytes.
    pub(crate) span: Range<usize>,
    /// What stands there, in words.
    pub(crate) what: &'static str,
    /// What would say the same here: one pattern, or several for a list.
    pub(crate) meant: Vec<String>,
}

/// Letters of a unit, as it stands behind the name of a quantity.
const UNIT: usize = 4;

/// Patterns that a class or a list is spelled out to at most; beyond that a wildcard is proposed.
const MAX_MEANT: usize = 6;

/// Finds what looks like a pattern of another language; `slashes`: over names of metrics.
pub(crate) fn foreign(pattern: &str, slashes: bool) -> Option<Foreign> {
    let letters = Letters::of(pattern);
    let trimmed = pattern.trim();
    if trimmed != pattern && !trimmed.is_empty() {
        let start = pattern.len().saturating_sub(pattern.trim_start().len());
        let span = if start > 0 { 0..start } else { trimmed.len()..pattern.len() };
        let what = "a space at the beginning or end belongs to the name";
        return Some(Foreign { span, what, meant: vec![trimmed.to_owned()] });
    }
    if slashes && let Some(found) = mqtt(pattern) {
        return Some(found);
    }
    // What a regular expression means by `.*`.
    let any = if slashes { "**" } else { "*" };
    flags(pattern, slashes)
        .or_else(|| escapes(pattern))
        .or_else(|| negation(pattern, &letters))
        .or_else(|| posix(pattern))
        .or_else(|| anchors(pattern, &letters, any))
        .or_else(|| numbers(pattern, &letters))
        .or_else(|| alternatives(pattern, &letters, slashes))
        .or_else(|| class(pattern, &letters, slashes))
        .or_else(|| repeated(pattern, &letters, any))
        .or_else(|| optional(pattern, &letters))
        .or_else(|| words(pattern, slashes))
        .or_else(|| match slashes {
            true => plus(pattern, &letters).or_else(|| folder(pattern, &letters)),
            false => percent(pattern, &letters).or_else(|| brackets(pattern, &letters)),
        })
}

/// The characters of a pattern that stand for themselves without a `\`.
struct Letters(Vec<(usize, char)>);

impl Letters {
    fn of(pattern: &str) -> Letters {
        let mut letters = Vec::new();
        let mut escaped = false;
        for (at, letter) in pattern.char_indices() {
            match (escaped, letter) {
                (true, _) => escaped = false,
                (false, '\\') => escaped = true,
                (false, letter) => letters.push((at, letter)),
            }
        }
        Letters(letters)
    }

    fn find(&self, wanted: char) -> Option<usize> {
        self.0.iter().find(|(_, letter)| *letter == wanted).map(|(at, _)| *at)
    }

    /// The first pair of brackets: where it opens and closes.
    fn pair(&self, open: char, close: char) -> Option<(usize, usize)> {
        let opens = self.find(open)?;
        let mut after = self.0.iter().filter(|(at, _)| *at > opens);
        after.find(|(_, letter)| *letter == close).map(|(closes, _)| (opens, *closes))
    }
}

/// `#`, `+` and `%` as whole segments.
fn mqtt(pattern: &str) -> Option<Foreign> {
    let segments: Vec<&str> = pattern.split('/').collect();
    let mut start = 0_usize;
    for (place, segment) in segments.iter().enumerate() {
        let span = start..start.saturating_add(segment.len());
        let last = place.saturating_add(1) == segments.len();
        let what = match *segment {
            "#" if last => "`#` is no wildcard here",
            "+" => "`+` is no wildcard here",
            "%" => "`%` is no wildcard here",
            _ => {
                start = span.end.saturating_add(1);
                continue;
            }
        };
        let translated = segments.iter().map(|segment| match *segment {
            "#" | "%" => "**",
            "+" => "*",
            other => other,
        });
        let meant = vec![translated.collect::<Vec<_>>().join("/")];
        return Some(Foreign { span, what, meant });
    }
    None
}

/// `(?i)recipe`.
fn flags(pattern: &str, slashes: bool) -> Option<Foreign> {
    let (flags, rest) = pattern.strip_prefix("(?")?.split_once(')')?;
    let plain = rest.trim_start_matches('^').trim_end_matches('$');
    let is_flag = |flag: char| flag.is_ascii_lowercase() || flag == '-' || flag == ':';
    if !flags.chars().all(is_flag) || plain.is_empty() {
        return None;
    }
    // Of what stands behind it a pattern of its own may be meant.
    let inner = foreign(plain, slashes).map_or(vec![plain.to_owned()], |found| found.meant);
    let mut meant: Vec<String> = Vec::new();
    for one in inner {
        let mut letters = one.chars();
        let first = letters.next().map(|first| first.to_uppercase().to_string());
        let title = format!("{}{}", first.unwrap_or_default(), letters.as_str());
        for spelled in [one.clone(), title, one.to_uppercase()] {
            if !meant.contains(&spelled) {
                meant.push(spelled);
            }
        }
    }
    let end = pattern.len().saturating_sub(rest.len());
    let what = "there are no flags, and capitals count: each way of writing is a pattern";
    Some(Foreign { span: 0..end, what, meant: few(meant)? })
}

/// `!Line1`.
fn negation(pattern: &str, letters: &Letters) -> Option<Foreign> {
    letters.0.first().filter(|(at, letter)| *at == 0 && *letter == '!')?;
    let named = pattern.chars().nth(1).is_some_and(|next| next.is_alphanumeric() || next == '*');
    let what = "`!` is an ordinary character: no pattern leaves names out";
    named.then_some(Foreign { span: 0..1, what, meant: Vec::new() })
}

/// `Line[[:digit:]]`.
fn posix(pattern: &str) -> Option<Foreign> {
    let open = pattern.find("[[:")?;
    let (before, from) = pattern.split_at_checked(open)?;
    let (class, after) = from.split_once(":]]")?;
    let span = open..open.saturating_add(class.len()).saturating_add(":]]".len());
    let rest = after.trim_start_matches(['+', '*']);
    let any = if rest == after { "?" } else { "*" };
    let what = "there are no classes of characters: brackets are ordinary characters";
    Some(Foreign { span, what, meant: vec![format!("{before}{any}{rest}")] })
}

/// `Recipe.?` at the end.
fn optional(pattern: &str, letters: &Letters) -> Option<Foreign> {
    let before = pattern.strip_suffix(".?").filter(|before| !before.is_empty())?;
    let dot = before.len();
    letters.0.iter().find(|(at, _)| *at == dot)?;
    let what = "`.` is an ordinary character, and `?` one character";
    let meant = vec![before.to_owned(), format!("{before}?")];
    Some(Foreign { span: dot..pattern.len(), what, meant })
}

/// `Line1 or Line2`; names of metrics may be sentences, unless there is a wildcard in them.
fn words(pattern: &str, slashes: bool) -> Option<Foreign> {
    if slashes && !pattern.contains('*') {
        return None;
    }
    let found = [" or ", " and "].into_iter().find_map(|word| Some((pattern.find(word)?, word)));
    let (at, word) = found?;
    let meant: Vec<String> = pattern.split(word).map(|part| part.trim().to_owned()).collect();
    let what = "several names are a list of texts";
    let named = meant.iter().all(|part| !part.is_empty());
    named.then_some(Foreign { span: at..at.saturating_add(word.len()), what, meant })
}

/// `Recipe+`; `C++` and `Na+` are names.
fn plus(pattern: &str, letters: &Letters) -> Option<Foreign> {
    let (at, _) = letters.0.last().filter(|(_, letter)| *letter == '+')?;
    let before = pattern.strip_suffix('+')?;
    let word = before.chars().rev().take_while(|letter| letter.is_alphanumeric()).count();
    let what = "`+` is no wildcard here";
    let meant = vec![format!("{before}*")];
    (word >= UNIT).then_some(Foreign { span: *at..pattern.len(), what, meant })
}

/// `Recipe/`.
fn folder(pattern: &str, letters: &Letters) -> Option<Foreign> {
    let (at, _) = letters.0.last().filter(|(_, letter)| *letter == '/')?;
    let before = pattern.strip_suffix('/').filter(|before| !before.is_empty())?;
    let what = "a name that ends in a slash is that of nothing";
    let meant = vec![before.to_owned(), format!("{before}/**")];
    Some(Foreign { span: *at..pattern.len(), what, meant })
}

/// `(Line1)`, of levels.
fn brackets(pattern: &str, letters: &Letters) -> Option<Foreign> {
    let (open, close) = letters.pair('(', ')')?;
    let is_whole = open == 0 && close.saturating_add(1) == pattern.len();
    let inner = pattern.get(1..close).filter(|inner| is_whole && !inner.is_empty())?;
    let what = "brackets are ordinary characters";
    Some(Foreign { span: 0..pattern.len(), what, meant: vec![inner.to_owned()] })
}

/// `\d`, and a backslash between names.
fn escapes(pattern: &str) -> Option<Foreign> {
    let mut letters = pattern.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let Some((_, next)) = letters.next_if(|_| letter == '\\') else { continue };
        if !next.is_alphanumeric() {
            continue;
        }
        let end = at.saturating_add(1).saturating_add(next.len_utf8());
        let (before, rest) = (pattern.get(..at)?, pattern.get(end..)?);
        let class = matches!(next, 'd' | 'w' | 's' | 'D' | 'W' | 'S');
        let alone = !rest.starts_with(char::is_alphanumeric);
        let meant = match class && alone {
            true => {
                let rest = rest.trim_start_matches(['+', '*']);
                // So many of them.
                let counted = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
                let is_count =
                    |count: &str| count.chars().all(|one| one.is_ascii_digit() || one == ',');
                let rest =
                    counted.filter(|(count, _)| is_count(count)).map_or(rest, |(_, rest)| rest);
                format!("{before}*{rest}")
            }
            false => pattern.replace('\\', "/"),
        };
        let what = "`\\` takes the next character literally, and is gone";
        return Some(Foreign { span: at..end, what, meant: vec![meant] });
    }
    None
}

/// `^Line` and `Line$`.
fn anchors(pattern: &str, letters: &Letters, any: &str) -> Option<Foreign> {
    let first = letters.0.first().filter(|(at, letter)| *at == 0 && *letter == '^');
    let end = pattern.len().saturating_sub(1);
    let spaced = pattern.get(..end).is_some_and(|before| before.ends_with(' '));
    let last = letters.0.last().filter(|(at, letter)| *at == end && *letter == '$' && !spaced);
    let (at, _) = first.or(last)?;
    if pattern.len() < 2 {
        return None;
    }
    let mut meant = pattern.trim_start_matches('^').to_owned();
    if last.is_some() {
        meant.truncate(meant.len().saturating_sub(1));
    } else {
        meant.push_str(any);
    }
    let what = "patterns match whole names, and `^` and `$` are ordinary characters";
    Some(Foreign { span: *at..at.saturating_add(1), what, meant: vec![meant] })
}

/// `Line[1-30]`, `Line{1..3}`, `Line{1-3}`: numbers from one to another.
fn numbers(pattern: &str, letters: &Letters) -> Option<Foreign> {
    let braces = letters.pair('{', '}');
    let (open, close) = letters.pair('[', ']').or(braces)?;
    let inner = pattern.get(open.saturating_add(1)..close)?;
    let (from, to) = inner.split_once("..").or_else(|| inner.split_once('-'))?;
    // One digit each is a class, and no more than that.
    if braces.is_none() && (from.len(), to.len()) == (1, 1) {
        return None;
    }
    let (from, to): (u32, u32) = (from.parse().ok()?, to.parse().ok()?);
    let (before, after) = (pattern.get(..open)?, pattern.get(close.saturating_add(1)..)?);
    let count = usize::try_from(to.checked_sub(from)?).ok()?;
    let meant = match count < MAX_MEANT {
        true => (from..=to).map(|number| format!("{before}{number}{after}")).collect(),
        false => vec![format!("{before}*{after}")],
    };
    let what = "there are no ranges of numbers: brackets are ordinary characters";
    Some(Foreign { span: open..close.saturating_add(1), what, meant })
}

/// `a|b`, `Line(1|2)`, `Line{1,2}`, `Line[1,2]`, `Line1,Line2`.
fn alternatives(pattern: &str, letters: &Letters, slashes: bool) -> Option<Foreign> {
    let between = |(open, close): (usize, usize), separator: char| {
        let inner = pattern.get(open.saturating_add(1)..close)?;
        let parts: Vec<&str> = inner.split(separator).map(str::trim).collect();
        let (before, after) = (pattern.get(..open)?, pattern.get(close.saturating_add(1)..)?);
        let all = parts.len() > 1 && parts.iter().all(|part| !part.is_empty());
        let meant = parts.iter().map(|part| format!("{before}{part}{after}")).collect();
        all.then_some((open..close.saturating_add(1), meant))
    };
    let braces = letters.pair('{', '}').and_then(|pair| between(pair, ','));
    let brackets = letters.pair('(', ')').and_then(|pair| between(pair, '|'));
    let class = letters.pair('[', ']').and_then(|pair| between(pair, ','));
    if let Some((span, meant)) = braces.or(brackets).or(class) {
        let what = "alternatives are a list, and brackets are ordinary characters";
        return Some(Foreign { span, what, meant: few(meant)? });
    }
    for separator in ['|', ',', ';'] {
        let Some(at) = letters.find(separator) else { continue };
        let parts: Vec<&str> = pattern.split(separator).map(str::trim).collect();
        // `Power, kW` is the name of a metric.
        let spaced = pattern.get(at.saturating_add(1)..).is_some_and(|rest| rest.starts_with(' '));
        let is_unit = |part: &&str| part.chars().count() <= UNIT && !part.contains(['*', '?', '/']);
        let is_name = slashes && spaced && separator != '|' && parts.last().is_some_and(is_unit);
        let names = parts.iter().all(|part| !part.is_empty());
        if parts.len() > 1 && names && !is_name {
            let meant = parts.into_iter().map(str::to_owned).collect();
            let what = "several names are a list of texts";
            return Some(Foreign { span: at..at.saturating_add(1), what, meant: few(meant)? });
        }
    }
    None
}

/// Digits in brackets that are a class, and no place in a list, of levels and of metrics.
const CLASS_OF_DIGITS: (usize, usize) = (2, 4);

/// `Line[1-3]`, `Line[!a]`, `Line[AB]`, `Line[135]`; of metrics `Motor[12]` is a name.
fn class(pattern: &str, letters: &Letters, slashes: bool) -> Option<Foreign> {
    let (open, close) = letters.pair('[', ']')?;
    let inner = pattern.get(open.saturating_add(1)..close)?;
    let (before, after) = (pattern.get(..open)?, pattern.get(close.saturating_add(1)..)?);
    let marks: Vec<char> = inner.chars().collect();
    let is_range = |window: &[char]| match window {
        [from, '-', to] => from.is_ascii_alphanumeric() && to.is_ascii_alphanumeric() && from < to,
        _ => false,
    };
    let negated = matches!(marks.first(), Some('!' | '^')) && marks.len() > 1;
    let ranged = marks.windows(3).any(is_range);
    let letters_alone = (2..=4).contains(&marks.len())
        && marks.iter().all(char::is_ascii_alphabetic)
        && marks
            .iter()
            .enumerate()
            .all(|(at, one)| !marks.iter().skip(at.saturating_add(1)).any(|other| other == one))
        && marks.windows(2).all(|pair| matches!(pair, [left, right] if left < right));
    let fewest = if slashes { CLASS_OF_DIGITS.1 } else { CLASS_OF_DIGITS.0 };
    let digits_alone = marks.len() >= fewest
        && marks.iter().all(char::is_ascii_digit)
        && marks.windows(2).all(|pair| matches!(pair, [left, right] if left < right));
    if !negated && !ranged && !letters_alone && !digits_alone {
        return None;
    }
    // A class stands for one character, and may be repeated.
    let one = after.trim_start_matches(['+', '*']);
    let is_repeated = one != after;
    let after = one;
    let any = if is_repeated { "*" } else { "?" };
    let wildcard = || vec![format!("{before}{any}{after}")];
    let mut each: Vec<char> = Vec::new();
    let mut at = 0_usize;
    while let Some(mark) = marks.get(at).filter(|_| !negated) {
        match (marks.get(at.saturating_add(1)), marks.get(at.saturating_add(2))) {
            (Some('-'), Some(to)) if mark < to => {
                each.extend(*mark..=*to);
                at = at.saturating_add(3);
            }
            _ => {
                each.push(*mark);
                at = at.saturating_add(1);
            }
        }
    }
    let spelled = each.iter().map(|one| format!("{before}{one}{after}")).collect();
    let meant = match each.len() {
        1..=MAX_MEANT if !is_repeated => spelled,
        // A wildcard would take in what is to be left out.
        0 if negated => Vec::new(),
        _ => wildcard(),
    };
    let what = "there are no classes of characters: brackets are ordinary characters";
    Some(Foreign { span: open..close.saturating_add(1), what, meant })
}

/// `Temperature.*`, `Line.+`.
fn repeated(pattern: &str, letters: &Letters, any: &str) -> Option<Foreign> {
    let pair = letters.0.windows(2).find_map(|pair| match pair {
        [(at, '.'), (next, '*' | '+')] if at.saturating_add(1) == *next => Some((*at, *next)),
        _ => None,
    });
    let (at, next) = pair?;
    let (before, after) = (pattern.get(..at)?, pattern.get(next.saturating_add(1)..)?);
    let what = "`.` is an ordinary character";
    let meant = vec![format!("{before}{any}{after}")];
    Some(Foreign { span: at..next.saturating_add(1), what, meant })
}

/// `Line%`.
fn percent(pattern: &str, letters: &Letters) -> Option<Foreign> {
    let at = letters.find('%').filter(|_| pattern.len() > 1)?;
    let meant = vec![pattern.replace('%', "*")];
    let what = "`%` is an ordinary character";
    Some(Foreign { span: at..at.saturating_add(1), what, meant })
}

fn few(meant: Vec<String>) -> Option<Vec<String>> {
    (!meant.is_empty()).then_some(meant)
}

impl Foreign {
    /// What to write instead.
    pub(crate) fn help(&self) -> String {
        let quoted = |one: &String| format!("{one:?}");
        match self.meant.as_slice() {
            [] => "nothing can be left out of a wildcard: list the names that are meant, or have another \
                   rule deny the others"
                .to_owned(),
            [only] => format!("did you mean {}?", quoted(only)),
            many => {
                let shown: Vec<String> = many.iter().take(MAX_MEANT).map(quoted).collect();
                let more = if many.len() > MAX_MEANT { ", …" } else { "" };
                format!("did you mean the list [{}{more}]?", shown.join(", "))
            }
        }
    }
}

/// The warning that names what was meant.
pub(crate) fn warn_of_foreign(
    file: &SourceFile,
    pattern: &Placed<String>,
    found: &Foreign,
) -> Diagnostic {
    let span = inside(file, pattern, &found.span);
    let title = format!("a pattern of another language is taken literally: `{}`", pattern.value);
    Diagnostic::warning("P105", file, span, title)
        .label(found.what)
        .help(found.help())
        .help("if the name is so in the plant, write `\\` in front of that character: nothing is said then")
}
