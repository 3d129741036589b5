//! With the feature `bindgen`: generates series_layout.rs from series.h, and index/index_layout.rs from index/index.h.

#[cfg(feature = "bindgen")]
#[path = "../rust/bindgen.rs"]
mod bindings;

fn main() {
    println!("cargo:rerun-if-changed=series.h");
    println!("cargo:rerun-if-changed=index/index.h");
    #[cfg(feature = "bindgen")]
    {
        generate("series.h", "(series|SERIES)_?.*", "series_layout.rs");
        generate("index/index.h", "index|INDEX_.*", "index_layout.rs");
    }
}

#[cfg(feature = "bindgen")]
fn generate(header: &str, items: &str, layout: &str) {
    let directory = std::env::var_os("OUT_DIR").unwrap();
    bindings::generate(header, items, "std::os::raw", &std::path::Path::new(&directory).join(layout));
}
