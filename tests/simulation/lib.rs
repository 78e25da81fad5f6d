//! Empty: the simulation is `sim`, which the test (`test.rs`) and the command (`bench.rs`) share.
