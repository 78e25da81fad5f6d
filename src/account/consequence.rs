//! What becomes of an entity of which something was refused: readers must not go on believing what
//! isn't so any more. One table for both halves; the manual has the same one.

use alloc::string::String;

use super::Reason;

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refused {
    /// A birth.
    Birth,
    /// A data message as a whole.
    Data,
    /// A death.
    Death,
    /// The value of one metric of a data message.
    Value,
}

/// What becomes of what readers know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Consequence {
    /// Nothing: readers know nothing of it, the policy wants it so, or what they know holds.
    Nothing,
    /// The metric's value is null and bad (Quality 0) until the next one.
    MetricBad,
    /// The values of the edge node and its devices are STALE (Quality 500) until they are seen again;
    /// those of one device, where its data is refused.
    Doubted,
    /// The edge node or device is dead until its next birth: data can't be read without that.
    Buried,
}

impl Refused {
    pub const ALL: [Refused; 4] = [Refused::Birth, Refused::Data, Refused::Death, Refused::Value];
}

impl Consequence {
    /// As the manual calls it.
    pub const fn words(self) -> &'static str {
        match self {
            Consequence::Nothing => "–",
            Consequence::MetricBad => "metric bad",
            Consequence::Doubted => "doubted",
            Consequence::Buried => "dead",
        }
    }
}

impl Reason {
    /// What becomes of an entity of which something was refused for this reason.
    pub const fn consequence(self, refused: Refused) -> Consequence {
        match self {
            // The plant said something new, and nobody here knows what.
            Reason::MalformedPayload
            | Reason::TooLarge
            | Reason::OverCap
            | Reason::BadCompression
            | Reason::Overload
            | Reason::SetAside => match refused {
                Refused::Birth | Refused::Death => Consequence::Buried,
                Refused::Data => Consequence::Doubted,
                Refused::Value => Consequence::MetricBad,
            },
            // What can't be remembered isn't told either.
            Reason::OverMemory => match refused {
                Refused::Birth => Consequence::Buried,
                Refused::Data | Refused::Value => Consequence::Doubted,
                Refused::Death => Consequence::Nothing,
            },
            // Each value for itself; a birth has the metric without it.
            Reason::TypeMismatch => match refused {
                Refused::Value => Consequence::MetricBad,
                Refused::Birth | Refused::Data | Refused::Death => Consequence::Nothing,
            },
            // What it was nobody knows on IT: the next keyframe says how the node is. A metric that a
            // birth can't have, readers don't know.
            Reason::BadFrame => match refused {
                Refused::Birth | Refused::Data | Refused::Death => Consequence::Doubted,
                Refused::Value => Consequence::Nothing,
            },
            // The copy of the policy says what readers get.
            Reason::Recheck => Consequence::Nothing,
            // No message of an entity, or nothing new.
            Reason::NotSparkplug
            | Reason::MalformedTopic
            | Reason::UnknownType
            | Reason::Command
            | Reason::State
            | Reason::StoredBirth
            | Reason::StaleDeath
            | Reason::Duplicate
            | Reason::Late => Consequence::Nothing,
            // The policy says what readers get: where it leaves a value out, it wants the one
            // before it, or none, to stand.
            Reason::NoRule
            | Reason::Denied
            | Reason::Datatype
            | Reason::Redacted
            | Reason::Opaque
            | Reason::Unshapeable
            | Reason::TooOld
            | Reason::Future
            | Reason::OutOfRange
            | Reason::TooLong
            | Reason::NotAllowed
            | Reason::Deadband
            | Reason::Interval
            | Reason::NameCollision
            | Reason::Rate
            | Reason::NodeRate
            | Reason::LinkRate
            | Reason::Amplification
            | Reason::Conflated
            | Reason::ControlMetric => Consequence::Nothing,
            // Readers don't know the entity, or the metric.
            Reason::DataBeforeBirth
            | Reason::UnknownMetric
            | Reason::OverCapacity
            | Reason::NameTaken => Consequence::Nothing,
        }
    }
}

/// The table of the manual, in Markdown: the reasons that have consequences.
pub fn table() -> String {
    let mut table =
        String::from("| reason | birth | data | death | one value |\n|---|---|---|---|---|\n");
    for reason in Reason::ALL {
        let row = Refused::ALL.map(|refused| reason.consequence(refused));
        if row.iter().all(|consequence| *consequence == Consequence::Nothing) {
            continue;
        }
        table.push_str("| `");
        table.push_str(reason.name());
        table.push('`');
        for consequence in row {
            table.push_str(" | ");
            table.push_str(consequence.words());
        }
        table.push_str(" |\n");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_has_the_table() {
        let manual = include_str!("../manual/refusals.md");
        assert!(manual.contains(&table()), "{}", table());
    }

    #[test]
    fn what_is_refused_unread_never_leaves_what_was_known_for_good() {
        let unread = [
            Reason::MalformedPayload,
            Reason::TooLarge,
            Reason::OverCap,
            Reason::BadCompression,
            Reason::Overload,
            Reason::SetAside,
        ];
        for reason in unread {
            for refused in Refused::ALL {
                assert_ne!(reason.consequence(refused), Consequence::Nothing, "{reason}");
            }
        }
    }
}
