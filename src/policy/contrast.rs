//! What isn't the same where two policies let something through, in words, and which of them shows more.

/// Under which of two policies more crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shows {
    /// Under the second one.
    More,
    /// Under the first one: what crosses under the second one does so, or tells more, under the first.
    Less,
    /// Other things, or it isn't certain.
    Otherwise,
}

/// What of a metric isn't the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Matter {
    /// Its name on IT.
    Name,
    /// How much of it crosses when there is more.
    Limit,
    /// Whose turn it is when there is more.
    Order,
    /// Texts: as values, and beside and inside of them.
    Texts,
    /// Other values.
    Values,
    /// What stands beside values, and inside of templates and data sets.
    Beside,
    /// Which times values may have.
    Times,
    /// How far apart values are.
    Spacing,
}

/// One thing that isn't the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Contrast {
    pub shows: Shows,
    pub matter: Matter,
    /// The second one says nothing about it.
    pub is_unsaid: bool,
    /// What the second one says, in words.
    pub now: String,
    /// What the first one said; empty where that says nothing.
    pub before: String,
}

impl Contrast {
    /// Of what goes by earlier values other ones cross.
    pub(crate) fn held_back() -> Contrast {
        Contrast {
            shows: Shows::Otherwise,
            matter: Matter::Spacing,
            is_unsaid: false,
            now:
                "single values cross that did not: deadband and interval go by what crossed before"
                    .to_owned(),
            before: String::new(),
        }
    }
}
