//! The OT half: subscribes, judges, and appends to the journal. It can't publish and it can't
//! read a journal that another process writes.

mod pipeline;
mod plant;

pub use pipeline::{Counters, Now, Pipeline, PipelineSettings, Received};
