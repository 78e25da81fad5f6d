//! Who may know whom, and what no part of the program may do: the walls that the promises rest
//! on.
//!
//! Most of them are crates: what isn't among a crate's dependencies can't be named in it.
//! [`dependencies`] compares them with a written table, and [`compile_fail`] shows that misuse
//! doesn't compile. What no crate boundary can hold is read from the source as the compiler
//! parses it ([`words`], [`rules`]), and each rule is shown a planted fault ([`planted`]).

mod circles;
mod compile_fail;
mod dependencies;
mod layout;
mod manifests;
mod planted;
mod rules;
mod source;
mod words;
