//! Settings of the mirror that is tried, and its copies of the policy.

use std::sync::Arc;
use std::time::Duration;

use diagnostic::SourceFile;
use it::mirror::{Aliases, DataDatatypes, MirrorSettings, OnGap, Qos};
use policy::Policy;
use sparkplug::{Budget, Caps};

/// Copies of the OT half's policy. Nothing called `denied` crosses under any but the last, which
/// stands for none.
pub const POLICIES: [&str; 4] = [
    "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"*\"\ndeny-metrics = \"denied\"\n",
    "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"G\"\n\
     deny-metrics = [\"int\", \"denied\"]\nredact-metrics = \"switch\"\n",
    "[[rule]]\nname = \"some\"\naction = \"forward\"\ngroup = \"G\"\nallow-metrics = \"double\"\n\
     [rule.shape]\nmax = 500\nout-of-range = \"null\"\n\
     [[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"G\"\ndevice = \"D1\"\n\
     deny-metrics = \"denied\"\n[rule.shape]\nmax-length = 2\n",
    "",
];
/// No copy of the policy.
pub const NONE: usize = POLICIES.len() - 1;

/// The copy with this number.
pub fn copy(number: usize) -> Option<Arc<Policy>> {
    if number == NONE {
        return None;
    }
    match Policy::parse(&[SourceFile::new("fuzz.toml", POLICIES[number])]) {
        Ok((policy, _)) => Some(Arc::new(policy)),
        Err(problems) => panic!("{problems}"),
    }
}

/// Settings of a mirror by eight flags.
pub fn settings(flags: u8) -> MirrorSettings {
    MirrorSettings {
        stale_after: Duration::from_secs(10),
        on_gap: [OnGap::Mark, OnGap::Death, OnGap::Ignore, OnGap::Mark][usize::from(flags & 3)],
        rebirth_min_interval: Duration::from_millis(u64::from(flags & 4) * 250),
        primary_host: (flags & 0x18 == 0x18).then(|| "scada".to_owned()),
        confirm_every: Duration::from_secs(2),
        data_qos: if flags & 0x20 == 0 { Qos::AtMostOnce } else { Qos::AtLeastOnce },
        data_datatypes: DataDatatypes::AsPlant,
        aliases: match flags & 3 {
            3 => Aliases::Always,
            2 => Aliases::AsPlant,
            _ => Aliases::Never,
        },
        fold: None,
        compress_births_above: (flags & 7 == 7).then_some(256),
        max_nodes: 4,
        max_devices_per_node: 2,
        budget: Budget::UNLIMITED,
        backfill: flags & 0x40 == 0,
        caps: Caps { metrics: 500, ..Caps::default() },
    }
}
