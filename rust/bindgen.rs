// Everything that decides what the bindings look like; used by build.rs under the feature `bindgen`.

use std::path::Path;

pub fn generate(output: &Path) {
    bindgen::builder()
        .header("include/filz.h")
        .clang_args(["-Iinclude", "-std=c11"])
        .allowlist_item("(filz|FILZ)_.*")
        .use_core()
        .ctypes_prefix("super::c")
        .rust_target("1.63".parse().expect("a version that bindgen knows"))
        .generate_comments(false)
        .derive_debug(false)
        .layout_tests(false)
        .merge_extern_blocks(true)
        .disable_header_comment()
        .raw_line("// Made from include/filz.h with the feature `bindgen`; not to be edited.")
        .generate()
        .expect("bindings for include/filz.h")
        .write_to_file(output)
        .expect("bindings.rs written");
}
