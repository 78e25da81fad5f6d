//! sparkdiode: a one-way relay for Sparkplug B over MQTT, at Purdue level 3.5.
//!
//! ```text
//!  OT broker                        the appliance                          IT broker
//! ┌─────────┐  ┌────────────────────────┐    ┌─────────────────────────┐  ┌─────────┐
//! │ level 3 │─>│ ot                     │    │ it                      │─>│ level 4 │
//! └─────────┘  │  connection  subscribe │    │  driver     tail        │  └─────────┘
//!              │  plant       decode    │    │  mirror     follow      │
//!              │  pipeline    judge     │    │  backfill   catch up    │
//!              │  worker      append    │    │  connection publish     │
//!              └───────────┬────────────┘    └───────────▲─────────────┘
//!                          │ journal::Writer             │ journal::Reader
//!                          └──────────> journal ─────────┘
//! ```
//!
//! No byte and no decision travels from right to left. The two halves are separate processes
//! under separate users; the journal, a directory of append-only segment files that one side
//! may only write and the other may only read, is all that they share.
//!
//! | module | what it is |
//! |---|---|
//! | [`sparkplug`] | leaf: topics, payloads, datatypes, values; no I/O, no clock |
//! | [`policy`] | forward policies: language, compile to plans, judge; no I/O, no clock |
//! | [`journal`] | leaf: the one-way pipe; [`journal::Writer`] and [`journal::Reader`] |
//! | [`ot`] | subscriber, plant state, pipeline; can't publish, can't read a journal |
//! | [`it`] | mirror (sans-IO), sessions, cursor, backfill; can't write a journal |
//! | [`learn`] | drafts of policies from recordings |
//! | [`rehearsal`] | policies tried on given traffic, through the OT half's pipeline |
//! | [`config`] | configuration files: raw (serde) to typed, diagnostics |
//! | [`signature`] | leaf: signed policies: keys, manifest, verification |
//! | [`capture`] | leaf: recordings of real traffic for the policy tools |
//! | [`broker`], [`state`] | leaves: how to reach a broker; a half's own state directory |
//! | [`sandbox`] | what a half gives up before it connects; the only `unsafe` code |
//! | [`telemetry`] | drop reasons, counters, logging |
//! | [`cli`] | one file per subcommand |
//! | [`manual`] | longer texts for people who run the relay, one page a file |
//! | `demo` | brokers, a plant and a strict host around both halves (feature `demo`) |

pub mod broker;
pub mod capture;
pub mod cli;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod it;
pub mod journal;
pub mod learn;
pub mod manual;
pub mod ot;
pub mod policy;
pub mod rehearsal;
pub mod sandbox;
pub mod signature;
pub mod sparkplug;
pub mod state;
pub mod telemetry;
