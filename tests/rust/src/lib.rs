//! Nothing: the tests of the crate are in `tests/`, one binary for each global allocator.

/// The programs of the project's front page, which are compiled and run.
#[doc = include_str!("../../../README.md")]
#[cfg(doctest)]
pub struct ReadMe;
