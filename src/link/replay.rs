//! Which counters of a session were seen: a sliding window.

/// Counters that the window spans: datagrams that may be overtaken, by a path that is slower too.
pub const WINDOW: u64 = 1 << 18;
const WORD_BITS: u64 = 64;
const WORDS: u64 = WINDOW / WORD_BITS;

/// What a counter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Never seen before; now it was.
    New,
    /// Seen before.
    Before,
    /// Below the window, or at most the edge: whether it was seen can't be said, so it was.
    TooOld,
}

/// Marks of the last [`WINDOW`] counters up to the highest that was seen.
#[derive(Clone, Debug)]
pub struct Window {
    /// Counter c is bit c mod [`WINDOW`].
    marks: Vec<u64>,
    highest: Option<u64>,
    /// The lowest counter that isn't refused as such.
    lowest: u64,
}

impl Window {
    /// Refuses all below `lowest`: what came before this window was kept.
    pub fn new(lowest: u64) -> Window {
        Window { marks: vec![0; usize::try_from(WORDS).unwrap_or(0)], highest: None, lowest }
    }

    /// The highest counter that was seen.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// What the counter is; from now on it was seen.
    pub fn see(&mut self, counter: u64) -> Seen {
        if counter < self.lowest {
            return Seen::TooOld;
        }
        match self.highest {
            Some(highest) if counter <= highest => {
                if highest.saturating_sub(counter) >= WINDOW {
                    return Seen::TooOld;
                }
            }
            highest => self.slide(highest, counter),
        }
        let (word, bit) = place(counter);
        let Some(word) = self.marks.get_mut(word) else {
            mistake::mistake!("a window without a word");
            return Seen::TooOld;
        };
        if *word & bit != 0 {
            return Seen::Before;
        }
        *word |= bit;
        Seen::New
    }

    /// Clears what the marks of the new counters meant before.
    fn slide(&mut self, highest: Option<u64>, counter: u64) {
        self.highest = Some(counter);
        let steps = highest.map_or(WINDOW, |highest| counter.saturating_sub(highest));
        if steps >= WINDOW {
            self.marks.fill(0);
            return;
        }
        // At most the window: whole words where that is possible.
        let mut next = highest.unwrap_or(0).saturating_add(1);
        while next <= counter {
            let (word, bit) = place(next);
            let whole = bit == 1 && counter.saturating_sub(next) >= WORD_BITS;
            if let Some(word) = self.marks.get_mut(word) {
                *word &= if whole { 0 } else { !bit };
            }
            next = next.saturating_add(if whole { WORD_BITS } else { 1 });
        }
    }
}

/// Word and bit of a counter.
fn place(counter: u64) -> (usize, u64) {
    let word = (counter % WINDOW) / WORD_BITS;
    (usize::try_from(word).unwrap_or(usize::MAX), 1 << (counter % WORD_BITS))
}

#[cfg(test)]
mod tests;
