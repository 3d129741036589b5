//! A Rust program whose heap is a file, without `std`: the other systems' isn't in any package. It is linked, not run.

#![no_std]
#![no_main]
#![feature(alloc_error_handler)]

extern crate alloc;

use filz::mmap::MAlloc;

#[global_allocator]
static ALLOCATOR: MAlloc = MAlloc::new();

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[alloc_error_handler]
fn out_of_memory(_: core::alloc::Layout) -> ! {
    loop {}
}

#[no_mangle]
pub extern "C" fn main() -> i32 {
    let numbers: alloc::vec::Vec<i32> = (1..=9).collect();
    (numbers.iter().sum::<i32>() != 45).into()
}
