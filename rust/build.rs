//! Compiles libfilz into the crate.

#[cfg(feature = "bindgen")]
#[path = "bindgen.rs"]
mod bindings;

fn main() {
    for path in ["build.rs", "bindgen.rs", "c", "include"] {
        println!("cargo:rerun-if-changed={path}");
    }
    let mut library = cc::Build::new();
    if std::env::var_os("CARGO_FEATURE_PLUGIN").is_some() {
        library.define("FZ_DYNAMIC_TLS", None).flag_if_supported("-mtls-dialect=gnu2");
    }
    library
        .file("c/filz.c")
        .include("include")
        .define("NDEBUG", None) // a Layout is right, or the caller is unsound
        .flag("-std=c11")
        .opt_level(2) // in debug builds too: the allocator is not what is being debugged
        .warnings(false)
        .compile("filz");

    #[cfg(feature = "bindgen")]
    bindings::generate(
        "include/filz.h",
        "(filz|FILZ)_.*",
        "super::c",
        &std::path::Path::new(&std::env::var_os("OUT_DIR").unwrap()).join("bindings.rs"),
    );
}
