//! The guard over mirrored nodes that are worked on by themselves and not for a frame: while they are
//! restored, born, or something is due for them. The driver marks them by it, and knows those with
//! which the half was ended twice. These are dropped from what is remembered, and so is what the OT
//! half repeats of them: for hosts they are dead, until the plant's next birth.

use super::Mirror;

/// What is done with a node, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Restored,
    /// Its session is ready, what is due for it, or news.
    Due,
}

impl Deed {
    /// After "while".
    pub const fn words(self) -> &'static str {
        match self {
            Deed::Restored => "it was restored",
            Deed::Due => "something was due for it",
        }
    }
}

/// Asked with group and edge node before each deed; false: the half was ended by it twice.
pub type Asked = Box<dyn FnMut(&str, &str, Deed) -> bool + Send>;

#[derive(Default)]
pub(super) struct Guard(Option<Asked>);

impl std::fmt::Debug for Guard {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Guard").field(&self.0.is_some()).finish()
    }
}

impl Guard {
    pub(super) fn lets(&mut self, group: &str, edge_node: &str, deed: Deed) -> bool {
        self.0.as_mut().is_none_or(|asked| asked(group, edge_node, deed))
    }
}

impl Mirror {
    /// Has `asked` called before a node is worked on by itself.
    pub fn set_guard(&mut self, asked: Asked) {
        self.guard = Guard(Some(asked));
    }
}
