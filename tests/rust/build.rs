//! Compiles the C side of `tests/shared_heap.rs`.

fn main() {
    println!("cargo:rerun-if-changed=partner.c");
    println!("cargo:rerun-if-changed=../../include");
    cc::Build::new().file("partner.c").include("../../include").flag("-std=c11").compile("partner");
}
