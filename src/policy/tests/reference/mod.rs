//! The language's definition once more, as directly as it can be written, for property tests that
//! compare the compiled policy with it. Nothing here uses the code under test but for its words:
//! rules are kept as text, globs and filters are matched by recursion.

pub(crate) mod globs;
pub(crate) mod rules;
pub(crate) mod shape_steps;
pub(crate) mod shapes;
