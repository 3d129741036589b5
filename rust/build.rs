//! Compiles libfilz into the crate.

#[cfg(feature = "bindgen")]
#[path = "bindgen.rs"]
mod bindings;

/// The systems that libfilz has an os_*.c for. Everywhere else the crate is `filz::stack` alone.
const SYSTEMS_WITH_MMAP: &[&str] = &["freebsd", "linux", "macos", "netbsd"];

fn main() {
    for path in ["build.rs", "bindgen.rs", "c", "include"] {
        println!("cargo:rerun-if-changed={path}");
    }
    println!("cargo:rustc-check-cfg=cfg(filz_has_mmap)");
    let has_mmap = SYSTEMS_WITH_MMAP.contains(&target("OS").as_str());
    let mut library = cc::Build::new();
    if has_mmap {
        println!("cargo:rustc-cfg=filz_has_mmap");
        library.file("c/filz.c");
    } else {
        library.file("c/stack.c").flag("-ffreestanding");
    }
    if !target("HAS_ATOMIC").split(',').any(|width| width == "ptr") {
        library.define("FILZ_COMPARE_AND_SWAP", None); // src/atomic.rs has it
    }
    if std::env::var_os("CARGO_FEATURE_PLUGIN").is_some() {
        library.define("FZ_DYNAMIC_TLS", None).flag_if_supported("-mtls-dialect=gnu2");
    }
    library
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

/// What cargo says of the target that the crate is built for.
fn target(property: &str) -> String {
    std::env::var(format!("CARGO_CFG_TARGET_{property}")).unwrap_or_default()
}
