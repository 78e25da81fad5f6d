//! A pattern as an automaton: its states are the positions between its tokens, and a text that
//! leads to the position behind the last one matches.

/// One step of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    Literal(char),
    /// `?`
    One,
    /// `*`
    Run,
    /// `**`
    DeepRun,
    /// Start of `**/` at the start of a segment: any number of whole segments, also none.
    /// Always followed by [`Token::InSegments`].
    Segments,
    /// Inside the segments that [`Token::Segments`] takes; left only after a `/`.
    InSegments,
}

/// Runs the pattern as an automaton whose states are the positions in `tokens`, all of them at
/// once (Thompson). Each character visits each position at most once, hence the linear bound.
pub(super) fn simulate(tokens: &[Token], text: &str) -> bool {
    let mut active = Positions::new(tokens.len());
    let mut next = Positions::new(tokens.len());
    active.enter(tokens, 0);
    for character in text.chars() {
        for index in 0..active.list.len() {
            let Some(&position) = active.list.get(index) else { continue };
            step(tokens, position, character, &mut next);
        }
        std::mem::swap(&mut active, &mut next);
        next.clear();
        if active.list.is_empty() {
            return false;
        }
    }
    active.list.contains(&tokens.len())
}

/// Where a pattern can stand before any character, ascending. A text that leads to the position
/// behind the last token matches.
pub fn first_positions(tokens: &[Token]) -> Vec<usize> {
    let mut first = Positions::new(tokens.len());
    first.enter(tokens, 0);
    first.list.sort_unstable();
    first.list
}

/// Where it can stand after `character`, if it stood at `positions`, ascending.
pub fn next_positions(tokens: &[Token], positions: &[usize], character: char) -> Vec<usize> {
    let mut next = Positions::new(tokens.len());
    for &position in positions {
        step(tokens, position, character, &mut next);
    }
    next.list.sort_unstable();
    next.list
}

/// Enters the positions that `character` leads to from `position`.
fn step(tokens: &[Token], position: usize, character: char, next: &mut Positions) {
    let Some(&token) = tokens.get(position) else { return };
    let after = position.saturating_add(1);
    match token {
        Token::Literal(literal) if literal == character => next.enter(tokens, after),
        Token::One if character != '/' => next.enter(tokens, after),
        Token::Run if character != '/' => next.enter(tokens, position),
        Token::DeepRun => next.enter(tokens, position),
        Token::InSegments => {
            next.enter(tokens, position);
            if character == '/' {
                next.enter(tokens, after);
            }
        }
        Token::Literal(_) | Token::One | Token::Run | Token::Segments => {}
    }
}

/// A set of positions in a pattern, in the order in which they were entered.
struct Positions {
    list: Vec<usize>,
    entered: Vec<bool>,
}

impl Positions {
    fn new(tokens: usize) -> Positions {
        // One position more than tokens: the end, where a match has happened.
        Positions { list: Vec::new(), entered: vec![false; tokens.saturating_add(1)] }
    }

    fn clear(&mut self) {
        for position in self.list.drain(..) {
            if let Some(entered) = self.entered.get_mut(position) {
                *entered = false;
            }
        }
    }

    /// Enters `position` and every position that can be reached from it without a character.
    /// Ends: it only moves forward, and stops where it was before.
    fn enter(&mut self, tokens: &[Token], mut position: usize) {
        loop {
            match self.entered.get_mut(position) {
                Some(entered) if !*entered => *entered = true,
                _ => return,
            }
            self.list.push(position);
            position = match tokens.get(position) {
                Some(Token::Run | Token::DeepRun) => position.saturating_add(1),
                Some(Token::Segments) => {
                    self.enter_inside(position.saturating_add(1));
                    position.saturating_add(2)
                }
                _ => return,
            };
        }
    }

    fn enter_inside(&mut self, position: usize) {
        if let Some(entered) = self.entered.get_mut(position)
            && !*entered
        {
            *entered = true;
            self.list.push(position);
        }
    }
}
