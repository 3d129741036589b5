//! Only documentation tests: the others are in `tests/`, one binary for each global allocator.

#[cfg(doctest)]
mod forbidden;

/// The programs of the project's front page, which are compiled and run.
#[doc = include_str!("../../../README.md")]
#[cfg(doctest)]
pub struct ReadMe;
