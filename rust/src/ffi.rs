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

/// C's types: `core::ffi` has them only since Rust 1.64.
pub(crate) mod c {
    pub use core::ffi::c_void;

    pub type c_char = u8; // only behind pointers, where its sign is of no account
    pub type c_int = i32;
    pub type c_uint = u32;
    pub type c_uchar = u8;
}
