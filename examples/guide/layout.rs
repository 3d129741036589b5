//! Where the fields of C's `filz_mmap` lie, as Rust lays them out: with `repr(C)`, and as it likes. Then a block that C
//! has allocated in a heap of Rust's.

#![allow(dead_code)] // the fields are never read

use std::ffi::c_void;
use std::mem::{align_of, size_of, MaybeUninit};
use std::os::raw::{c_char, c_uint};
use std::ptr;

use filz::mmap::MAlloc;

macro_rules! like_filz_mmap {
    ($(#[$attribute:meta])? $name:ident) => {
        $(#[$attribute])?
        struct $name {
            path: *const c_char,
            capacity: usize,
            flags: c_uint,
            tag: u64,
            base: usize,
            reported: c_uint,
            id: usize,
            heap: *mut c_void,
        }

        impl $name {
            fn show(title: &str) {
                println!("{title}: {} bytes, align {}", size_of::<Self>(), align_of::<Self>());
                let place = MaybeUninit::<Self>::uninit();
                let start = place.as_ptr();
                // SAFETY: only addresses are taken, nothing is read.
                unsafe {
                    show_field(start, "path", ptr::addr_of!((*start).path));
                    show_field(start, "capacity", ptr::addr_of!((*start).capacity));
                    show_field(start, "flags", ptr::addr_of!((*start).flags));
                    show_field(start, "tag", ptr::addr_of!((*start).tag));
                    show_field(start, "base", ptr::addr_of!((*start).base));
                    show_field(start, "reported", ptr::addr_of!((*start).reported));
                    show_field(start, "id", ptr::addr_of!((*start).id));
                    show_field(start, "heap", ptr::addr_of!((*start).heap));
                }
            }
        }
    };
}

like_filz_mmap!(
    #[repr(C)]
    AsInC
);
like_filz_mmap!(AsRustLikes);

fn show_field<S, F>(start: *const S, name: &str, field: *const F) {
    println!("    {name:<11} {} bytes at {}", size_of::<F>(), field as usize - start as usize);
}

// What bindgen would write, by hand.
extern "C" {
    fn filz_mmap_alloc(heap: *mut c_void, size: usize, align: usize) -> *mut c_void;
    fn strlen(text: *const c_char) -> usize;
}

static HEAP: MAlloc = MAlloc::new();

fn main() {
    AsInC::show("Rust, repr(C)");
    AsRustLikes::show("Rust, as it likes");
    println!("MAlloc: {} bytes", size_of::<MAlloc>());

    // SAFETY: <filz/mmap.h>: any thread may allocate; the heap is open from then on.
    let block = unsafe { filz_mmap_alloc(HEAP.as_ptr(), 16, 1) }.cast::<u8>();
    if block.is_null() {
        println!("no heap can be opened here");
        return;
    }
    let text = b"over the border\0";
    // SAFETY: the block has 16 bytes, and so has the text, which ends in a zero as C expects it.
    let length = unsafe {
        block.copy_from_nonoverlapping(text.as_ptr(), text.len());
        strlen(block.cast())
    };
    println!("C gives a block of Rust's heap: {}", HEAP.owns(block));
    println!("Rust writes a text, C measures it: {length}");
}
