//! libfilz as Rust sees it. No other module includes the bindings.

#![allow(non_camel_case_types, missing_docs, dead_code)]

#[cfg(not(feature = "bindgen"))]
#[path = "bindings.rs"]
mod bindings;

#[cfg(feature = "bindgen")]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

pub(crate) use bindings::*;

/// C's types, by the name that the bindings have for them.
pub(crate) mod c {
    pub use core::ffi::{c_char, c_int, c_uchar, c_uint, c_void};
}
