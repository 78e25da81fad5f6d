//! What a check found, for people.

use std::fmt;

use text::counted;

use super::{Defect, Finding, Verification};

/// For people: a summary, one line per defect, a verdict.
impl fmt::Display for Verification {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "journal `{}`: {}, {}, {}",
            self.dir.display(),
            counted(self.segments, "segment"),
            counted(self.bytes, "byte"),
            counted(self.frames, "frame")
        )?;
        if let Some((first, last)) = self.range {
            write!(formatter, " ({first} to {last})")?;
        }
        writeln!(formatter)?;
        for finding in &self.findings {
            writeln!(formatter, "{finding}")?;
        }
        if self.more_findings > 0 {
            writeln!(formatter, "and {}", counted(self.more_findings, "more defect"))?;
        }
        if self.unknown_bodies > 0 {
            let frames = counted(self.unknown_bodies, "frame");
            writeln!(formatter, "{frames} of a kind unknown to this version")?;
        }
        if self.late_frames > 0 {
            let frames = counted(self.late_frames, "frame");
            writeln!(formatter, "{frames} came late over the link")?;
        }
        if self.missing_frames > 0 {
            let frames = counted(self.missing_frames, "frame");
            writeln!(formatter, "{frames} didn't come over the link")?;
        }
        if self.without_layout > 0 {
            let frames = counted(self.without_layout, "frame");
            writeln!(formatter, "{frames} of data whose names are among those that didn't come")?;
        }
        if self.torn_bytes > 0 {
            let bytes = counted(self.torn_bytes, "byte");
            writeln!(formatter, "{bytes} of an unfinished append at the end")?;
        }
        if self.is_sound() {
            writeln!(formatter, "sound")
        } else {
            writeln!(formatter, "damaged: {} lost", counted(self.lost_frames, "frame"))
        }
    }
}

/// `{segment}:{offset}: {defect}`
impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.segment, self.offset, self.defect)
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Defect::Header { why } => write!(formatter, "segment is unreadable: {why}"),
            Defect::HeaderCopy => write!(formatter, "one copy of the header is damaged"),
            Defect::Frames { first, last, bytes } if first == last => {
                write!(formatter, "frame {first} is unreadable ({})", counted(*bytes, "byte"))
            }
            Defect::Frames { first, last, bytes } => {
                write!(
                    formatter,
                    "frames {first} to {last} are unreadable ({})",
                    counted(*bytes, "byte")
                )
            }
            Defect::Body { seq } => write!(formatter, "body of frame {seq} can't be decoded"),
            Defect::Garbage { bytes } => {
                write!(formatter, "{} after the last frame", counted(*bytes, "unreadable byte"))
            }
            Defect::NoStart => write!(formatter, "segment doesn't begin with a Start of its epoch"),
            Defect::NotOfHead { seq } => {
                write!(formatter, "frame {seq} of the head is neither Start nor keyframe")
            }
            Defect::ShortHead { frames, wanted } => {
                write!(formatter, "head has {frames} of {}", counted(*wanted, "frame"))
            }
            Defect::Missing { first, last } => {
                write!(formatter, "frames {first} to {last} are missing before this segment")
            }
            Defect::NotMissing { seq } => {
                write!(formatter, "frame {seq} came late, and is there already")
            }
            Defect::Note => write!(formatter, "a note of the receiver can't be decoded"),
            Defect::Overlap { expected } => {
                write!(formatter, "segment begins with numbers before {expected}, which were used")
            }
            Defect::EpochBack { epoch, before } => {
                write!(formatter, "epoch {epoch} comes after epoch {before}")
            }
        }
    }
}
