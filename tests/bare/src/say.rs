//! A line of output, wherever that goes.

#[macro_export]
macro_rules! say {
    ($($arguments:tt)*) => { $crate::say::say(format_args!($($arguments)*)) };
}

#[cfg(target_os = "none")]
pub fn say(text: core::fmt::Arguments) {
    let _ = core::fmt::Write::write_fmt(&mut crate::bare_metal::Host, text);
}

/// `host` is what tests/bare/wasm.js imports.
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub fn say(text: core::fmt::Arguments) {
    #[link(wasm_import_module = "host")]
    extern "C" {
        fn print(text: *const u8, length: usize);
    }
    let text = text.to_string();
    // SAFETY: the host reads that many bytes.
    unsafe { print(text.as_ptr(), text.len()) };
}

#[cfg(not(any(target_os = "none", all(target_family = "wasm", target_os = "unknown"))))]
pub fn say(text: core::fmt::Arguments) {
    print!("{text}");
}
