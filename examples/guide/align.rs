//! A struct is laid out as a bump allocator would do it, field after field, unless the compiler may choose the order.

use std::mem::{align_of, size_of};

/// In the order in which it is written, as in C.
#[repr(C)]
#[derive(Default)]
struct InOrder {
    flag: u8,
    number: u32,
    name: [u8; 5],
    time: u64,
    port: u16,
}

/// The same fields, in whatever order the compiler likes.
#[derive(Default)]
struct AnyOrder {
    flag: u8,
    number: u32,
    name: [u8; 5],
    time: u64,
    port: u16,
}

macro_rules! show {
    ($type:ty, $($field:ident)*) => {{
        let it = <$type>::default();
        print!("{:8} of {} bytes, aligned to {}:", stringify!($type), size_of::<$type>(), align_of::<$type>());
        $(print!(" {} at {}", stringify!($field), &it.$field as *const _ as usize - &it as *const _ as usize);)*
        println!();
    }};
}

fn main() {
    show!(InOrder, flag number name time port);
    show!(AnyOrder, flag number name time port);
}
