//! Compiles libfilz into the crate. Where a crate that depends on it has C code of its own, its build script finds the
//! headers in `DEP_FILZ_INCLUDE`.

use std::env;

#[cfg(feature = "bindgen")]
#[path = "bindgen.rs"]
mod bindings;

/// The systems that libfilz has an os_*.c for. Everywhere else the crate is `filz::stack` alone.
const SYSTEMS_WITH_MMAP: &[&str] = &["freebsd", "linux", "macos", "netbsd"];

/// Flags that the environment can't override. cc gives the compiler those of `CFLAGS` after all others, so these go to
/// the end of them, in the variable that cc finds first.
fn set_last_flags(flags: &str) {
    let target = env::var("TARGET").unwrap();
    let kind = if env::var("HOST").unwrap() == target { "HOST" } else { "TARGET" };
    let variables = [
        format!("CFLAGS_{target}"),
        format!("CFLAGS_{}", target.replace(['-', '.'], "_")),
        format!("{kind}_CFLAGS"),
        String::from("CFLAGS"),
    ];
    let variable = variables.iter().find(|name| env::var_os(name).is_some()).unwrap_or(&variables[3]);
    env::set_var(variable, env::var(variable).unwrap_or_default() + " " + flags);
}

fn last_flags() -> String {
    let mut flags = String::from("-std=c11 -w");
    // Only a linker that is told so, as by -Clinker-plugin-lto, reads what a compiler leaves with -flto.
    let rustflags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    if !rustflags.contains("linker-plugin-lto") {
        flags += " -fno-lto";
    }
    // -fPIE is for programs; the crate may be linked into a cdylib.
    if env::var_os("CARGO_CFG_UNIX").is_some() {
        flags += " -fPIC";
    }
    flags
}

fn main() {
    for path in ["build.rs", "bindgen.rs", "c", "include"] {
        println!("cargo:rerun-if-changed={path}");
    }
    println!("cargo:include={}/include", env::var("CARGO_MANIFEST_DIR").unwrap());

    println!("cargo:rustc-check-cfg=cfg(filz_has_mmap)");
    let has_mmap = SYSTEMS_WITH_MMAP.contains(&target("OS").as_str());
    let mut library = cc::Build::new();
    if has_mmap {
        println!("cargo:rustc-cfg=filz_has_mmap");
        library.file("c/filz.c");
    } else {
        library.file("c/stack.c").flag("-ffreestanding");
    }
    println!("cargo:rerun-if-env-changed=FILZ_OS");
    if env::var_os("FILZ_OS").is_some_and(|system| system == "posix") {
        library.define("FZ_POSIX", None); // nothing of the system but what c/os_posix.c uses, on Linux too
    }
    if !target("HAS_ATOMIC").split(',').any(|width| width == "ptr") {
        library.define("FILZ_COMPARE_AND_SWAP", None); // src/atomic.rs has it
    }
    if env::var_os("CARGO_FEATURE_PLUGIN").is_some() {
        library.define("FZ_DYNAMIC_TLS", None).flag_if_supported("-mtls-dialect=gnu2");
    }
    set_last_flags(&last_flags());
    library
        .include("include")
        .define("NDEBUG", None) // a Layout is right, or the caller is unsound
        .opt_level(2) // in debug builds too: the allocator is not what is being debugged
        .compile("filz");

    #[cfg(feature = "bindgen")]
    bindings::generate(
        "include/filz.h",
        "(filz|FILZ)_.*",
        "super::c",
        &std::path::Path::new(&env::var_os("OUT_DIR").unwrap()).join("bindings.rs"),
    );
}

/// What cargo says of the target that the crate is built for.
fn target(property: &str) -> String {
    env::var(format!("CARGO_CFG_TARGET_{property}")).unwrap_or_default()
}
