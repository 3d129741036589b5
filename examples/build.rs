//! With the feature `bindgen`: makes what stands in series_layout.rs from series.h.

#[cfg(feature = "bindgen")]
#[path = "../rust/bindgen.rs"]
mod bindings;

fn main() {
    println!("cargo:rerun-if-changed=series.h");
    #[cfg(feature = "bindgen")]
    bindings::generate(
        "series.h",
        "(series|SERIES)_?.*",
        "std::os::raw",
        &std::path::Path::new(&std::env::var_os("OUT_DIR").unwrap()).join("series_layout.rs"),
    );
}
