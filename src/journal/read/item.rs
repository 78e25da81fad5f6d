//! What a reader gets of a journal, and where in it.

use journal_format::Frame;

/// A place between two frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    /// The writer's start that wrote the frame before; 0 where that isn't known, and then a
    /// rewound journal isn't noticed.
    pub epoch: u64,
    /// Number of the next frame wanted.
    pub seq: u64,
}

/// Where to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The oldest frame that is left.
    Oldest,
    /// The beginning of the newest segment, which repeats the state of every live node.
    Newest,
    /// A position that an earlier reader had; frames lost since are reported.
    At(Position),
}

/// What a reader gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Frame(Frame),
    Lost(Lost),
    /// A frame of a journal that was received over a link, which came after later ones: its number
    /// was [lost](Lost) before. Says nothing of what is now. Its data is by names; without a body
    /// where nobody can know what it means.
    Late(Frame),
}

/// A run of frames that this reader wanted and can't have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Number of the first lost frame.
    pub first: u64,
    /// Number of the last lost frame, inclusive.
    pub last: u64,
    pub cause: LostCause,
}

/// Why frames are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostCause {
    /// Retention deleted them before they were read.
    Retention,
    /// Their bytes are unreadable, or their segment is missing.
    Damage,
    /// They didn't come over the link; what comes late is given as such.
    Link,
    /// They are larger than what this reader was told to take.
    TooLarge,
    /// The writer lost them after this reader had read them (a power loss without
    /// `durability = "power"`), and goes on with the same numbers: frames `first..=last` come
    /// again with other contents.
    Rewound,
}

impl LostCause {
    /// One word, as in logs and the status file.
    pub const fn name(self) -> &'static str {
        match self {
            LostCause::Retention => "retention",
            LostCause::Damage => "damage",
            LostCause::Link => "link",
            LostCause::TooLarge => "too_large",
            LostCause::Rewound => "rewound",
        }
    }
}

impl Lost {
    /// How many frames.
    pub fn frames(&self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}
