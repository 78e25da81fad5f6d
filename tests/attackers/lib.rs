//! Publishers that harm whom they can, one for each construct and limit of the protocol, and the
//! good node that has to go on beside them as if they weren't there (promise P9).
//!
//! [`all`] is the table of them; to add one is to add an entry to a file in `table`. An attacker
//! says what it sends within a *step*, which is the time between two messages of the good node
//! (20 a second). The tests walk through steps without a clock, the benchmark and the long run
//! with one. MQTT and protobuf are written here by hand: nothing that the product reads or writes
//! them with also attacks it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "only tests have this crate: a failure is a panic, and it drives real time"
)]

mod address;
mod attacker;
mod beside;
mod clock;
mod edge;
mod good;
mod hand;
mod metrics;
mod packets;
mod proto;
mod table;
mod witness;

pub use address::{Address, Stream};
pub use attacker::{Attacker, Kind, Side, Told};
pub use beside::{Figures, STEP, Scene, before, percentile};
pub use edge::Edge;
pub use good::{GROUP, Good, NODE};
pub use hand::{Hand, Shot};
pub use packets::Will;
pub use proto::Proto;
pub use table::all;
pub use witness::{Heard, Seen, Witness};

/// What the relay is told to forward beside the attackers: everything of the group `Plant`, with
/// all that a rule can open, so that nothing is spared by being refused before it is read; groups
/// whose values are shaped and renamed; and nodes of any group, so that all groups come.
pub const POLICY: &str = r#"
[[rule]]
name = "everything"
action = "forward"
group = "Plant"
deny-metrics = ["denied/**"]
[rule.shape]
max-bytes = 1000000
columns = ["**"]
parameters = ["**"]
properties = ["**"]

[[rule]]
name = "shaped"
action = "forward"
group = "Shaped"
[rule.shape]
deadband = 0.5
max-length = 1000
properties = ["**"]

[[rule]]
name = "renamed"
action = "forward"
group = "Renamed"
add-prefix = "site/"

[[rule]]
name = "roaming"
action = "forward"
group = "*"
edge-node = "Roaming*"
"#;
