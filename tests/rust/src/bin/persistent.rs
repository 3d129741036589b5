//! One run of a program on a persistent heap, in the working directory: see tests/persistent.rs.
//!
//! `persistent run` adds a run to those before it and prints all their names; `persistent other-tag` and `persistent
//! overwrite` print why they can't open the same file.

#![cfg_attr(feature = "nightly", feature(allocator_api))]

use allocator_api2::boxed::Box as BoxIn;
use allocator_api2::vec::Vec as VecIn;
use filz::mmap::{In, MAlloc};
use std::{env, iter};

const TAG: u64 = 0x7275_6e73;

filz::static_heap! {
    static HEAP: Runs = MAlloc::new().path(c"runs.filz").persistent(TAG);
}

/// What one run leaves, and the runs before it.
struct Run {
    name: VecIn<u8, In<Runs>>,
    before: Option<&'static Run>,
}

fn one_more_run() {
    HEAP.open().expect("a heap");
    // SAFETY: what is in runs.filz under this tag was left by this function, in this very program.
    let before = unsafe { HEAP.root::<Run>() };
    let number = iter::successors(before, |run| run.before).count();
    let mut name = VecIn::new_in(In::NEW);
    name.extend_from_slice(format!("run {number}").as_bytes());
    let last: &Run = BoxIn::leak(BoxIn::new_in(Run { name, before }, In::<Runs>::NEW));
    HEAP.set_root(last).expect("an address in the heap");
    HEAP.sync().expect("a disk");
    let names = iter::successors(Some(last), |run| run.before).map(|run| String::from_utf8_lossy(&run.name));
    print!("{}", names.collect::<Vec<_>>().join(", "));
}

fn main() {
    static OTHER_TAG: MAlloc = MAlloc::new().path(c"runs.filz").persistent(TAG + 1);
    static NOT_PERSISTENT: MAlloc = MAlloc::new().path(c"runs.filz");
    match env::args().nth(1).as_deref() {
        Some("run") => one_more_run(),
        Some("other-tag") => print!("{}", OTHER_TAG.open().expect_err("another program's heap")),
        Some("overwrite") => print!("{}", NOT_PERSISTENT.open().expect_err("a persistent heap")),
        _ => panic!("run, other-tag or overwrite"),
    }
}
