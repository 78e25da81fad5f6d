//! Bounds of payloads from an untrusted network, with their defaults and the reasons for them.

/// Bounds of one payload; every one is enforced before what it bounds is allocated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Bytes of a payload, and of an inflated one.
    pub payload_bytes: usize,
    /// Metrics in all, with those inside templates.
    pub metrics: usize,
    /// Templates within templates, property sets within property sets; above
    /// [`Caps::MAX_DEPTH`] it counts as that.
    pub depth: usize,
    /// Bytes of one string (names, text values, descriptions).
    pub string_bytes: usize,
    /// Rows, cells and column names of all data sets together.
    pub cells: usize,
    /// Keys, values and sets of properties, and template parameters, together.
    pub properties: usize,
}

impl Caps {
    /// All of the defaults below.
    pub const DEFAULT: Caps = Caps {
        payload_bytes: Caps::PAYLOAD_BYTES,
        metrics: Caps::METRICS,
        depth: Caps::DEPTH,
        string_bytes: Caps::STRING_BYTES,
        cells: Caps::CELLS,
        properties: Caps::PROPERTIES,
    };

    /// 1 MiB: the default packet limit of the connections; births of large nodes with a few
    /// thousand tags are about 300 KiB.
    pub const PAYLOAD_BYTES: usize = 1024 * 1024;
    /// 20,000: several times the largest births known; at most some 6 MiB of decoded metrics.
    pub const METRICS: usize = 20_000;
    /// 16: nested types in real plants are three or four deep.
    pub const DEPTH: usize = 16;
    /// 32: keeps the message nesting (at most twice that, and a few more) under prost's own
    /// recursion limit of 100, and the reader's recursion on the stack small.
    pub const MAX_DEPTH: usize = 32;
    /// 64 KiB: the longest string of MQTT itself, and long for a text value.
    pub const STRING_BYTES: usize = 64 * 1024;
    /// 200,000: a table of 10,000 rows by 20 columns.
    pub const CELLS: usize = 200_000;
    /// 256: the properties of one metric. Those of real gateways are some dozens.
    pub const METRIC_PROPERTIES: usize = 256;
    /// 100,000: five properties on each of 20,000 metrics would be keys alone.
    pub const PROPERTIES: usize = 100_000;
}

impl Default for Caps {
    fn default() -> Self {
        Caps::DEFAULT
    }
}
