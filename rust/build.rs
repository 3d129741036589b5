//! Compiles libfilz into the crate.

#[cfg(feature = "bindgen")]
#[path = "bindgen.rs"]
mod bindings;

fn main() {
    for path in ["build.rs", "bindgen.rs", "c", "include"] {
        println!("cargo:rerun-if-changed={path}");
    }
    cc::Build::new()
        .files(sources())
        .include("include")
        .define("NDEBUG", None) // a Layout is right, or the caller is unsound
        .flag("-std=c11")
        .flag("-ftls-model=initial-exec")
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

fn sources() -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir("c").expect("libfilz's sources");
    let paths = files.map(|file| file.expect("an entry of c/").path());
    paths.filter(|path| path.extension().map_or(false, |extension| extension == "c")).collect()
}
