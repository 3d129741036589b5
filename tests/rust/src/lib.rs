//! Nothing: the tests of the crate are in `tests/`, one binary for each global allocator.
