//! Patterns of other languages are known with what they mean, and names are left alone.

use super::*;

fn meant(pattern: &str, slashes: bool) -> Option<Vec<String>> {
    foreign(pattern, slashes).map(|found| {
        assert!(pattern.get(found.span.clone()).is_some_and(|part| !part.is_empty()));
        found.meant
    })
}

#[test]
fn patterns_of_other_languages_are_known_with_what_they_mean_here() {
    for (pattern, wanted) in [
        ("Line[1-3]", &["Line1", "Line2", "Line3"][..]),
        ("Line[0-9]", &["Line?"]),
        ("Line[0-9]+", &["Line*"]),
        ("Line[!0]", &[]),
        ("Line[^a-c]x", &[]),
        ("Line[1-30]", &["Line*"]),
        ("Line[8-11]", &["Line8", "Line9", "Line10", "Line11"]),
        ("Line{1..3}", &["Line1", "Line2", "Line3"]),
        ("Line{1-3}", &["Line1", "Line2", "Line3"]),
        ("Line[1,2]", &["Line1", "Line2"]),
        ("Line1, Line2", &["Line1", "Line2"]),
        ("Line1; Line2", &["Line1", "Line2"]),
        ("Line\\d{2}", &["Line*"]),
        ("Line[AB]", &["LineA", "LineB"]),
        ("Line1,Line2", &["Line1", "Line2"]),
        ("Line1|Line2", &["Line1", "Line2"]),
        ("Line1 | Line2", &["Line1", "Line2"]),
        ("Line1;Line2", &["Line1", "Line2"]),
        ("Line(1|2)", &["Line1", "Line2"]),
        ("Line{1,2}x", &["Line1x", "Line2x"]),
        ("Line.*", &["Line*"]),
        (".*", &["*"]),
        ("Line.+", &["Line*"]),
        ("^Line", &["Line*"]),
        ("^Line1$", &["Line1"]),
        ("Line\\d+", &["Line*"]),
        ("Line%", &["Line*"]),
        (" Line1", &["Line1"]),
        ("Line[13]", &["Line1", "Line3"]),
        ("Line[13579]", &["Line1", "Line3", "Line5", "Line7", "Line9"]),
        ("Line[[:digit:]]", &["Line?"]),
        ("Line[[:digit:]]+", &["Line*"]),
        ("Line.?", &["Line", "Line?"]),
        ("(?i)line1", &["line1", "Line1", "LINE1"]),
        ("(Line1)", &["Line1"]),
        ("!Line1", &[]),
        ("Line1 or Line2", &["Line1", "Line2"]),
        ("Line1 ", &["Line1"]),
    ] {
        let wanted: Vec<String> = wanted.iter().map(|one| (*one).to_owned()).collect();
        assert_eq!(meant(pattern, false), Some(wanted), "{pattern}");
    }
    for pattern in ["Recipe, Batch", "Recipe; Batch", "Recipe/**, Batch/**"] {
        assert_eq!(meant(pattern, true).map(|meant| meant.len()), Some(2), "{pattern}");
    }
    for (pattern, wanted) in [
        ("Temperature/#", "Temperature/**"),
        ("#", "**"),
        ("+/Temperature", "*/Temperature"),
        ("Temperature.*", "Temperature**"),
        ("^Temp", "Temp**"),
        ("Folder\\Name", "Folder/Name"),
        ("Recipe+", "Recipe*"),
        ("Recipe/%", "Recipe/**"),
        ("%", "**"),
    ] {
        assert_eq!(meant(pattern, true), Some(vec![wanted.to_owned()]), "{pattern}");
    }
    for (pattern, wanted) in [
        ("Recipe/", &["Recipe", "Recipe/**"][..]),
        ("!Recipe", &[]),
        ("(?i)recipe/.*", &["recipe/**", "Recipe/**", "RECIPE/**"]),
        ("Recipe* or Batch*", &["Recipe*", "Batch*"]),
        ("Zone[1357]", &["Zone1", "Zone3", "Zone5", "Zone7"]),
        ("Recipe.?", &["Recipe", "Recipe?"]),
    ] {
        let wanted: Vec<String> = wanted.iter().map(|one| (*one).to_owned()).collect();
        assert_eq!(meant(pattern, true), Some(wanted), "{pattern}");
    }
}

#[test]
fn names_and_globs_of_this_language_are_left_alone() {
    for pattern in [
        "Line1",
        "Line*",
        "Line?",
        "**/Temperature",
        "Motor[1]/Speed",
        "Motor[12]/Speed",
        "DB1.Speed",
        "Power, kW",
        "Motor#1",
        "a+b",
        "Level (%)",
        "{Guid-1}",
        "Line\\[1-3\\]",
        "a\\|b",
        "a\\,b",
        "a\\.*",
        "\\^a",
        "a\\\\b",
        "*",
        "**",
        "Zone [left]",
        "5 $",
        "-",
        "x - y",
        "Temperature °C",
        "(raw)",
        "[Speed]",
        "C++",
        "Na+",
        "Motor[123]",
        "Motor[10]",
        "Open or Closed",
        "Recipe\\+",
        "Recipe\\/",
        "\\!Recipe",
        "Alarm!",
        "Speed\\.?",
        "Humidity%",
        "/Recipe",
    ] {
        assert_eq!(foreign(pattern, true), None, "{pattern}");
    }
}
