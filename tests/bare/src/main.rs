//! What the stack allocator does where it is all of filz: on WebAssembly, on Windows, and without a system. The first
//! check that fails ends the program with an error.

#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_op_in_unsafe_fn)]

extern crate alloc;

#[cfg(target_os = "none")]
mod bare_metal;
mod checks;
#[cfg(target_os = "none")]
mod interrupts;
mod say;

use filz::stack::StackAllocator;

/// A BBC micro:bit has 16 KiB of RAM.
#[cfg(target_os = "none")]
const CAPACITY: usize = 6 << 10;
#[cfg(not(target_os = "none"))]
const CAPACITY: usize = 64 << 10;

#[global_allocator]
static ALLOCATOR: StackAllocator<CAPACITY> = StackAllocator::new();

/// One check after the other, each in memory that the last one has left.
fn main() {
    let mut passed = 0;
    for (name, check) in CHECKS {
        let mark = ALLOCATOR.mark();
        check();
        // SAFETY: what a check allocates ends with it, and nothing else runs.
        unsafe { ALLOCATOR.rewind(mark) };
        passed += 1;
        say!("ok: {name}\n");
    }
    say!("{passed} passed, 0 failed\n");
}

type Check = (&'static str, fn());

const CHECKS: &[Check] = &[
    ("collections keep their contents", checks::collections_keep_their_contents),
    ("blocks are aligned, whole and apart", checks::blocks_are_aligned_whole_and_apart),
    ("zeroed blocks are zero in used memory", checks::zeroed_blocks_are_zero_in_used_memory),
    ("the newest block grows where it stands", checks::the_newest_block_grows_where_it_stands),
    ("a full buffer refuses and stays as it is", checks::a_full_buffer_refuses_and_stays_as_it_is),
    ("a region without memory refuses", checks::a_region_without_memory_refuses),
    ("a region is given memory once", checks::a_region_is_given_memory_once),
    #[cfg(target_os = "none")]
    ("a region lies between two symbols of the linker", checks::a_region_lies_between_two_symbols_of_the_linker),
    #[cfg(target_os = "none")]
    ("interrupts allocate between any two instructions", interrupts::allocate_between_any_two_instructions),
];
