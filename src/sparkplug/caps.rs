//! Bounds of payloads from an untrusted network, with their defaults and the reasons for them, and
//! what is said where one of them is exceeded.

use core::fmt;

/// Bounds of one payload; every one is enforced before what it bounds is allocated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// Bytes of a compressed payload once it is inflated.
    pub inflated_bytes: usize,
    /// Metrics in all, with those inside templates.
    pub metrics: usize,
    /// Metrics directly inside of one template.
    pub members: usize,
    /// Templates within templates, property sets within property sets; above
    /// [`Caps::MAX_DEPTH`] it counts as that.
    pub depth: usize,
    /// Bytes of one name: of metrics, members, parameters, properties, columns.
    pub name_bytes: usize,
    /// Bytes of one text: values, descriptions, versions.
    pub text_bytes: usize,
    /// Rows, cells and column names of all data sets together.
    pub cells: usize,
    /// Keys, values and sets of properties, and template parameters, together.
    pub properties: usize,
    /// Properties of one metric, and its quality. More are left out.
    pub metric_properties: usize,
}

impl Caps {
    /// Those of [`Caps::PAYLOAD_BYTES`].
    pub const DEFAULT: Caps = Caps::of_payloads(Caps::PAYLOAD_BYTES);

    /// 1 MiB: the default packet limit of the connections; births of large nodes with a few
    /// thousand tags are about 300 KiB.
    pub const PAYLOAD_BYTES: usize = 1024 * 1024;
    /// 50,000, or one for each 32 bytes of the largest payload if that is more: gateways have 10^4
    /// to 10^6 tags, of some 30 to 100 bytes each in a birth. A metric takes some 600 bytes of
    /// memory in a half beside its texts.
    pub const METRICS: usize = 50_000;
    /// 20,000: templates in real plants have some dozens.
    pub const MEMBERS: usize = 20_000;
    /// 16: nested types in real plants are three or four deep.
    pub const DEPTH: usize = 16;
    /// 32: keeps the message nesting (at most twice that, and a few more) under prost's own
    /// recursion limit of 100, and the reader's recursion on the stack small.
    pub const MAX_DEPTH: usize = 32;
    /// 1 KiB: what a policy can name. Paths of tags have some hundred, and each of data by alias
    /// becomes a name on its way.
    pub const NAME_BYTES: usize = 1024;
    /// 256 KiB: a document as a value. A text takes its own bytes of memory and no more.
    pub const TEXT_BYTES: usize = 256 * 1024;
    /// 200,000: a table of 10,000 rows by 20 columns; or one for each 8 bytes of the largest
    /// payload if that is more. A cell takes some 32 bytes of memory.
    pub const CELLS: usize = 200_000;
    /// 262,144: six properties, each a key and a value, on each of 20,000 metrics; or one for each 8
    /// bytes of the largest payload if that is more. Key and value take some 130 bytes of memory.
    pub const PROPERTIES: usize = 262_144;
    /// 256: the properties of one metric. Those of real gateways are some dozens.
    pub const METRIC_PROPERTIES: usize = 256;

    /// Two million, beyond which no configuration goes: the metrics of an entity.
    pub const MOST_METRICS: usize = 2_000_000;
    /// 64 MiB, beyond which no configuration goes: bytes of a payload or text.
    pub const MOST_BYTES: usize = 64 * 1024 * 1024;

    /// The defaults where the largest payload has so many bytes.
    pub const fn of_payloads(payload_bytes: usize) -> Caps {
        Caps {
            payload_bytes,
            inflated_bytes: payload_bytes,
            metrics: larger(Caps::METRICS, payload_bytes / 32),
            members: Caps::MEMBERS,
            depth: Caps::DEPTH,
            name_bytes: Caps::NAME_BYTES,
            text_bytes: Caps::TEXT_BYTES,
            cells: larger(Caps::CELLS, payload_bytes / 8),
            properties: larger(Caps::PROPERTIES, payload_bytes / 8),
            metric_properties: Caps::METRIC_PROPERTIES,
        }
    }

    /// The defaults for what a relay wrote, where the largest of its payloads has so many bytes: twice
    /// as many metrics as one payload of the plant may have, since births have those that came late;
    /// names with what a policy puts before them.
    pub const fn of_journal(payload_bytes: usize) -> Caps {
        let caps = Caps::of_payloads(payload_bytes);
        Caps {
            metrics: larger(2 * Caps::METRICS, caps.metrics),
            properties: larger(2 * Caps::PROPERTIES, caps.properties),
            cells: larger(2 * Caps::CELLS, caps.cells),
            name_bytes: 4 * Caps::NAME_BYTES,
            ..caps
        }
    }

    /// Largest payload that is made of one of these: twice as large, since aliases become names and
    /// every metric gets a time; never less than [`Caps::LEAST_RELAYED`].
    pub const fn relayed_bytes(&self) -> usize {
        larger(Caps::LEAST_RELAYED, self.payload_bytes.saturating_mul(2))
    }

    /// How deep anything may be nested.
    pub const fn nesting(&self) -> usize {
        if self.depth < Caps::MAX_DEPTH { self.depth } else { Caps::MAX_DEPTH }
    }

    /// The value of one of them; `None` for what isn't one of a payload's.
    pub const fn of(&self, cap: Cap) -> Option<usize> {
        Some(match cap {
            Cap::PayloadBytes => self.payload_bytes,
            Cap::InflatedBytes => self.inflated_bytes,
            Cap::Metrics => self.metrics,
            Cap::Members => self.members,
            Cap::Properties => self.properties,
            Cap::MetricProperties => self.metric_properties,
            Cap::NameBytes => self.name_bytes,
            Cap::TextBytes => self.text_bytes,
            Cap::Depth => self.depth,
            Cap::Cells => self.cells,
            Cap::RelayedBytes => self.relayed_bytes(),
            Cap::Groups => return None,
        })
    }

    /// What a relay may find in a journal of its own.
    pub const fn of_own_journal(&self) -> Caps {
        let bytes = self.relayed_bytes();
        Caps {
            payload_bytes: bytes,
            inflated_bytes: bytes,
            metrics: bytes,
            members: bytes,
            depth: Caps::MAX_DEPTH,
            name_bytes: bytes,
            text_bytes: bytes,
            cells: bytes,
            properties: bytes,
            metric_properties: bytes,
        }
    }

    /// 4 MiB, less room for what is around it.
    pub const LEAST_RELAYED: usize = 4 * 1024 * 1024 - 128 * 1024;
}

const fn larger(left: usize, right: usize) -> usize {
    if left > right { left } else { right }
}

impl Default for Caps {
    fn default() -> Self {
        Caps::DEFAULT
    }
}

/// The table of keys that bound the parts of a payload, and what follows it.
const TABLE: &str = "limits.";

/// Which bound it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cap {
    PayloadBytes,
    InflatedBytes,
    Metrics,
    Members,
    Properties,
    MetricProperties,
    NameBytes,
    TextBytes,
    Depth,
    Cells,
    Groups,
    RelayedBytes,
}

impl Cap {
    /// Those of which both halves have a key of their own in `[limits]`.
    pub const OF_BOTH: [Cap; 8] = [
        Cap::Metrics,
        Cap::Members,
        Cap::Properties,
        Cap::MetricProperties,
        Cap::Cells,
        Cap::NameBytes,
        Cap::TextBytes,
        Cap::Depth,
    ];

    /// The key in `[limits]`, without the name of that table.
    pub const fn key_in_limits(self) -> Option<&'static str> {
        let Some(key) = self.key() else { return None };
        match key.split_at_checked(TABLE.len()) {
            Some((table, rest)) if table.eq_ignore_ascii_case(TABLE) => Some(rest),
            _ => None,
        }
    }

    /// What it counts.
    pub const fn words(self) -> &'static str {
        match self {
            Cap::PayloadBytes => "bytes in a payload",
            Cap::InflatedBytes => "bytes in an inflated payload",
            Cap::Metrics => "metrics in a payload",
            Cap::Members => "members in a template",
            Cap::Properties => "property keys, property values and parameters in a payload",
            Cap::MetricProperties => "properties of a metric",
            Cap::NameBytes => "bytes in a name",
            Cap::TextBytes => "bytes in a text",
            Cap::Depth => "levels of nesting",
            Cap::Cells => "rows, cells and columns of data sets in a payload",
            Cap::Groups => "levels of groups",
            Cap::RelayedBytes => "bytes in what is relayed of a message",
        }
    }

    /// The key of the configuration that sets it, if one does.
    pub const fn key(self) -> Option<&'static str> {
        match self {
            // What is relayed may be twice as large as what is received.
            Cap::PayloadBytes | Cap::RelayedBytes => Some("broker.max-packet-bytes"),
            Cap::InflatedBytes => Some("limits.inflated-bytes"),
            Cap::Metrics => Some("limits.metrics-per-payload"),
            Cap::Members => Some("limits.members-per-template"),
            Cap::Properties => Some("limits.properties-per-payload"),
            Cap::MetricProperties => Some("limits.properties-per-metric"),
            Cap::NameBytes => Some("limits.name-bytes"),
            Cap::TextBytes => Some("limits.text-bytes"),
            Cap::Depth => Some("limits.nesting"),
            Cap::Cells => Some("limits.cells-per-payload"),
            // Nobody uses groups, which are older than Sparkplug.
            Cap::Groups => None,
        }
    }

    /// Exceeded by so many.
    pub const fn exceeded(self, limit: usize, got: usize) -> Exceeded {
        Exceeded { cap: self, limit, got: Some(got) }
    }

    /// Exceeded by more than were counted.
    pub const fn passed(self, limit: usize) -> Exceeded {
        Exceeded { cap: self, limit, got: None }
    }
}

/// A bound that something was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    pub cap: Cap,
    pub limit: usize,
    /// What came; `None`: more than the limit, where counting stopped.
    pub got: Option<usize>,
}

impl fmt::Display for Exceeded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (limit, words) = (self.limit, self.cap.words());
        match self.got {
            Some(got) => write!(formatter, "{got} of {limit} {words}"),
            None => write!(formatter, "more than {limit} {words}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn what_was_exceeded_is_said_in_numbers() {
        assert_eq!(Cap::Metrics.exceeded(20, 25).to_string(), "25 of 20 metrics in a payload");
        assert_eq!(Cap::Metrics.passed(20).to_string(), "more than 20 metrics in a payload");
    }

    #[test]
    fn counts_follow_the_size_of_payloads() {
        let large = Caps::of_payloads(16 * 1024 * 1024);
        assert!(large.metrics >= 200_000 && large.properties >= 2_000_000);
        assert_eq!(large.relayed_bytes(), 32 * 1024 * 1024);
        assert_eq!(Caps::DEFAULT.relayed_bytes(), Caps::LEAST_RELAYED);
    }
}
