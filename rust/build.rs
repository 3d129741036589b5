//! Compiles libfilz into the crate.

#[cfg(feature = "bindgen")]
#[path = "bindgen.rs"]
mod bindings;

/// The files of `c/`, without their `.c`.
const SOURCES: &str = "chunk file fork heap_file mmap place stack stack_errno thread_cache";

fn main() {
    for path in ["build.rs", "bindgen.rs", "c", "include"] {
        println!("cargo:rerun-if-changed={path}");
    }
    cc::Build::new()
        .files(SOURCES.split(' ').map(|name| format!("c/{name}.c")))
        .include("include")
        .flag("-std=c11")
        .flag("-ftls-model=initial-exec")
        .opt_level(2) // in debug builds too: the allocator is not what is being debugged
        .warnings(false)
        .compile("filz");

    #[cfg(feature = "bindgen")]
    bindings::generate(&std::path::Path::new(&std::env::var_os("OUT_DIR").unwrap()).join("bindings.rs"));
}
