//! Parts of a payload that can't be used, in a payload that can: the value of one metric, or what
//! stands beside it.

use core::fmt;

use super::Exceeded;
use super::wire::Fault;

/// A part that was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPart {
    /// Place of its metric in the payload.
    pub metric: usize,
    pub part: Part,
    /// Why; of several properties the first one's.
    pub fault: PartFault,
}

/// What was left out of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its value: it has none now.
    Value,
    /// Some or all of its properties, or its metadata.
    Beside,
}

/// Why a part can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartFault {
    Malformed(&'static str),
    OverCap(Exceeded),
}

impl fmt::Display for PartFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartFault::Malformed(what) => formatter.write_str(what),
            PartFault::OverCap(exceeded) => exceeded.fmt(formatter),
        }
    }
}

impl From<Fault> for PartFault {
    fn from(fault: Fault) -> PartFault {
        match fault {
            Fault::Malformed { what, .. } => PartFault::Malformed(what),
            Fault::OverCap(exceeded) => PartFault::OverCap(exceeded),
        }
    }
}
