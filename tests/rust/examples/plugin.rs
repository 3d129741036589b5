//! A plugin on `MAlloc`, which `tests/unload.rs` loads and unloads.

use filz::mmap::MAlloc;

#[global_allocator]
static ALLOCATOR: MAlloc = MAlloc::new();

/// Allocates, and forgets what it allocated: `count` words that say `word`, so that nobody can free them.
#[no_mangle]
pub extern "C" fn leak_words(word: u64, count: usize) -> *const u64 {
    let mut words = Vec::new();
    for _ in 0..count {
        words.push(word); // grows several times
    }
    words.leak().as_ptr()
}

/// Whether the block is the heap's of this plugin.
#[no_mangle]
pub extern "C" fn owns(block: *const u64) -> bool {
    ALLOCATOR.owns(block)
}
