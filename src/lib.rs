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
//!                          │ journal_write               │ journal_read  
//!                          └──────────> journal ─────────┘
//! ```
//!
//! No byte and no decision travels from right to left. The two halves are separate processes
//! under separate users; the journal, a directory of append-only segment files that one side
//! may only write and the other may only read, is all that they share.
//!
//! Every folder of `src` is a crate of its own; a crate knows only crates below it.
//!
//! | crate | what it is |
//! |---|---|
//! | `mistake` | leaf: states that can't be, counted |
//! | [`text`], [`diagnostic`] | leaves: what people read, and the files that they write |
//! | [`sparkplug`] | leaf: topics, payloads, datatypes, values; no I/O, no clock |
//! | [`account`] | leaf: reasons, rule numbers, the ledger that balances |
//! | [`tls`], [`broker`], [`state`] | how to reach a server; a half's own state directory |
//! | [`journal_format`], [`journal_read`], [`journal_write`] | the one-way pipe and its two ends |
//! | [`signature`] | signed policies: keys, manifest, verification |
//! | [`policy`] | forward policies: language, compile to plans, judge; no I/O, no clock |
//! | [`telemetry`] | events, logging, syslog, status |
//! | [`sandbox`] | what a half gives up before it connects; the only `unsafe` code |
//! | [`config`] | configuration files: raw (serde) to typed |
//! | [`ot`] | subscriber, plant state, pipeline; can't publish, can't read a journal |
//! | [`it`] | mirror (sans-IO), sessions, cursor, backfill; can't write a journal |
//! | [`tools`] | for policies: recordings, drafts, dry runs; no running half links them |
//! | `demo` | brokers, a plant and a strict host around both halves (feature `demo`) |
//! | [`cli`], [`manual`] | the program: one file per subcommand; longer texts, one page a file |

pub mod cli;
pub mod manual;
