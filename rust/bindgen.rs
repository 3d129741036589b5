// Everything that decides what bindings look like; used by build.rs, and that of examples/, under the feature `bindgen`.

use std::path::Path;

/// Makes Rust of what in `header` matches `items`; C's types are those of the module `c_types`.
pub fn generate(header: &str, items: &str, c_types: &str, output: &Path) {
    bindgen::builder()
        .header(header)
        .clang_args(["-Iinclude", "-std=c11"])
        .allowlist_item(items)
        .use_core()
        .ctypes_prefix(c_types)
        .rust_target("1.77".parse().expect("a version that bindgen knows"))
        .rust_edition(bindgen::RustEdition::Edition2021)
        .generate_cstr(true)
        .generate_comments(false)
        .derive_debug(false)
        .layout_tests(false)
        .prepend_enum_name(false)
        .merge_extern_blocks(true)
        .disable_header_comment()
        .raw_line(format!("// Made from {header} with the feature `bindgen`; not to be edited."))
        .generate()
        .unwrap_or_else(|error| panic!("bindings for {header}: {error}"))
        .write_to_file(output)
        .expect("bindings written");
}
