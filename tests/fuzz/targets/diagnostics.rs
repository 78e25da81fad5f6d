//! What a message about a text must be, whatever the text.

use diagnostic::Diagnostics;

/// Renders them, and checks their places against the texts that were read.
pub fn check(problems: &Diagnostics, texts: &[&str]) {
    for problem in problems.iter() {
        assert!(!problem.title.is_empty() && !problem.code.is_empty());
        let Some(span) = &problem.span else { continue };
        assert!(texts.contains(&&*problem.source), "a message about another text");
        assert!(problem.source.get(span.clone()).is_some(), "{span:?} of {:?}", problem.source);
        let (line, column) = problem.position().expect("a place has a line");
        let lines = problem.source.matches('\n').count() + 1;
        assert!((1..=lines).contains(&line) && column >= 1, "{line}:{column}");
    }
    let rendered = problems.render(false);
    assert_eq!(rendered.is_empty(), problems.is_empty());
    let is_bare = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    assert!(!rendered.contains(is_bare), "{rendered:?} drives the terminal");
    // A dozen lines a message, each with an excerpt of bounded width.
    assert!(rendered.len() <= 16_384 * (problems.len() + 1), "{} bytes", rendered.len());
}
