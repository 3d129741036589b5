//! Compiles C code that includes filz's headers, where the crate `filz` says that they are.

fn main() {
    println!("cargo:rerun-if-changed=c/words.c");
    std::env::remove_var("CFLAGS"); // what they do to filz is tested, not what they do to this
    let include = std::env::var("DEP_FILZ_INCLUDE").expect("set for those that depend on filz");
    cc::Build::new().file("c/words.c").include(include).compile("words");
}
