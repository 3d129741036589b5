//! A program whose heap is a file, for macOS, FreeBSD and NetBSD: linked, not run. It has no `std`, which needs more of
//! these systems than the compiler that links it has.

#![no_std]
#![no_main]

extern crate alloc;

use filz::mmap::MAlloc;

#[global_allocator]
static ALLOCATOR: MAlloc = MAlloc::new();

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[no_mangle]
pub extern "C" fn main() -> i32 {
    let numbers: alloc::vec::Vec<i32> = (1..=9).collect();
    (numbers.iter().sum::<i32>() != 45).into()
}
