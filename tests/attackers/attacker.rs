//! What an attacker is: a name, a side, what it sends, and what the log has to say about it.

use std::fmt;

use crate::edge::Edge;
use crate::hand::Shot;

/// A half of the relay, and the broker that an attacker is a client of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The plant's.
    Ot,
    /// The enterprise's.
    It,
}

/// What is tried. Attackers of one kind stand in one file, and are tested beside one good node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Packets and payloads that are too large.
    Sizes,
    /// Too many of what a payload can have many of.
    Counts,
    /// What is within itself, and what is short and grows.
    Nesting,
    /// Texts that are none.
    Utf8,
    /// Texts and names that are long or odd.
    Texts,
    /// Values that don't fit what is said of them.
    Types,
    /// Sequence numbers, times, copies.
    Sequence,
    /// Births and deaths.
    Lives,
    /// More nodes and devices than there are.
    Crowds,
    /// More messages than anybody has use for.
    Floods,
    /// Topics and payloads that are none.
    Topics,
    /// What clients of the IT broker can do.
    Commands,
}

/// A line that the log of a half must have.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// Whose log.
    pub half: Side,
    /// The event's MSGID.
    pub event: &'static str,
    /// The MSGID that will do instead: which of the two comes is a matter of pace.
    pub or: Option<&'static str>,
    /// Words of the line; `{node}` stands for the attacker's edge node, `{group}` for its group.
    pub words: &'static [&'static str],
}

/// Someone who harms whom they can.
#[derive(Clone, Copy)]
pub struct Attacker {
    /// Also the name of the edge node that it says it is.
    pub name: &'static str,
    pub kind: Kind,
    pub side: Side,
    /// Of the edge node that it says it is.
    pub group: &'static str,
    /// Of what it publishes, where nothing else is said.
    pub qos: u8,
    /// Steps after which it has done all that it can do; then it begins again.
    pub steps: u64,
    /// What it does before anybody is there.
    pub before: fn(&mut Edge) -> Vec<Shot>,
    /// What it does between two messages of the good node.
    pub step: fn(&mut Edge, u64) -> Vec<Shot>,
    /// Lines that the log must have.
    pub told: &'static [Told],
    /// Why the log has none, where it has none.
    pub untold: Option<&'static str>,
    /// Attacks the good node's own mirror by what hosts may do, so that births are answers.
    pub asks_births: bool,
    /// What its mirror says on IT is judged by the strict host, which for some takes minutes.
    pub is_judged: bool,
}

impl Attacker {
    /// A publisher on the OT broker.
    pub(crate) const fn ot(
        kind: Kind,
        name: &'static str,
        step: fn(&mut Edge, u64) -> Vec<Shot>,
    ) -> Attacker {
        Attacker {
            name,
            kind,
            side: Side::Ot,
            group: "Plant",
            qos: 1,
            steps: 10,
            before: |_| Vec::new(),
            step,
            told: &[],
            untold: None,
            asks_births: false,
            is_judged: true,
        }
    }

    /// A client of the IT broker.
    pub(crate) const fn it(name: &'static str, step: fn(&mut Edge, u64) -> Vec<Shot>) -> Attacker {
        Attacker { side: Side::It, ..Attacker::ot(Kind::Commands, name, step) }
    }

    pub(crate) const fn told(self, told: &'static [Told]) -> Attacker {
        Attacker { told, ..self }
    }

    /// Nothing has to be said of it, for this reason.
    pub(crate) const fn untold(self, why: &'static str) -> Attacker {
        Attacker { untold: Some(why), ..self }
    }

    pub(crate) const fn at(self, qos: u8) -> Attacker {
        Attacker { qos, ..self }
    }

    pub(crate) const fn within(self, group: &'static str) -> Attacker {
        Attacker { group, ..self }
    }

    pub(crate) const fn before(self, before: fn(&mut Edge) -> Vec<Shot>) -> Attacker {
        Attacker { before, ..self }
    }

    pub(crate) const fn for_steps(self, steps: u64) -> Attacker {
        Attacker { steps, ..self }
    }

    pub(crate) const fn asking_births(self) -> Attacker {
        Attacker { asks_births: true, ..self }
    }

    pub(crate) const fn unjudged(self) -> Attacker {
        Attacker { is_judged: false, ..self }
    }

    /// The edge node that it says it is.
    pub fn edge(&self) -> Edge {
        Edge::new(self.group, self.name, self.qos)
    }

    /// The client identifier of its connection.
    pub fn client_id(&self) -> String {
        format!("attacker-{}", self.name)
    }
}

impl fmt::Debug for Attacker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({:?}, {:?}, QoS {})", self.name, self.side, self.kind, self.qos)
    }
}

impl Told {
    /// A line of the OT half.
    pub(crate) const fn ot(event: &'static str, words: &'static [&'static str]) -> Told {
        Told { half: Side::Ot, event, or: None, words }
    }

    /// A line of the IT half.
    pub(crate) const fn it(event: &'static str, words: &'static [&'static str]) -> Told {
        Told { half: Side::It, event, or: None, words }
    }

    /// Or else a line with this event.
    pub(crate) const fn or(self, event: &'static str) -> Told {
        Told { or: Some(event), ..self }
    }

    /// The words for this attacker.
    pub fn words_of(&self, attacker: &Attacker) -> Vec<String> {
        let word =
            |word: &&str| word.replace("{node}", attacker.name).replace("{group}", attacker.group);
        self.words.iter().map(word).collect()
    }

    /// Whether `log` has the line.
    pub fn is_in(&self, log: &str, attacker: &Attacker) -> bool {
        let words = self.words_of(attacker);
        let is_told = |line: &str| {
            let mut events = std::iter::once(self.event).chain(self.or);
            events.any(|event| line.contains(&format!(": {event} ")))
        };
        log.lines()
            .any(|line| is_told(line) && words.iter().all(|word| line.contains(word.as_str())))
    }
}
