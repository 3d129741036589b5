#![doc = include_str!("../README.md")]
#![no_std]
#![cfg_attr(feature = "nightly", feature(allocator_api))]
#![deny(missing_docs, unsafe_op_in_unsafe_fn)]
#![deny(clippy::undocumented_unsafe_blocks)]

#[cfg(feature = "std")]
extern crate std;

mod allocator;
mod atomic;
mod ffi;
mod global;
#[cfg(filz_has_mmap)]
mod local;
#[cfg(filz_has_mmap)] // Linux, macOS, FreeBSD, NetBSD (see build.rs); for other targets there is only `filz::stack`
pub mod mmap;
#[cfg(all(filz_has_mmap, feature = "persistent"))]
pub mod persistent;
#[cfg(any(target_has_atomic = "ptr", feature = "critical-section"))]
pub mod stack;
#[cfg(any(target_has_atomic = "ptr", feature = "critical-section"))]
mod values;

#[cfg(any(target_has_atomic = "ptr", feature = "critical-section"))]
pub use values::{AllocError, Arena};

pub use global::Packed;
#[cfg(filz_has_mmap)]
pub use local::Local;

#[cfg(not(any(target_has_atomic = "ptr", feature = "critical-section")))]
compile_error!(
    "this target has no compare-and-swap: enable filz's feature `critical-section`, and have an implementation of the \
     crate critical-section in the program; see the documentation of `filz::stack`"
);
