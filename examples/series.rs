//! Reads what series.c has left in series.filz in place: nothing is parsed or copied.

use filz::mmap::MAlloc;
use std::error::Error;
use std::ffi::CStr;
use std::slice;

/// Made from series.h.
#[allow(non_camel_case_types)]
mod layout {
    include!("series_layout.rs");
}

static HEAP: MAlloc = MAlloc::new().path(c"series.filz").read_only(layout::SERIES_TAG);

fn show(series: &layout::series) {
    // SAFETY: series.c: a string and `count` numbers in the same heap, which aren't changed.
    let (name, values) = unsafe { (CStr::from_ptr(series.name), slice::from_raw_parts(series.values, series.count)) };
    println!("{}: {values:?}", name.to_string_lossy());
}

fn main() -> Result<(), Box<dyn Error>> {
    HEAP.open().map_err(|error| format!("series.filz: {error}"))?;
    // SAFETY: the tag says that the root is a `series` of series.h, and that leads to nothing outside the heap.
    let mut next = unsafe { HEAP.root::<layout::series>() };
    while let Some(series) = next {
        show(series);
        // SAFETY: the same: another one, or null.
        next = unsafe { series.next.as_ref() };
    }
    Ok(())
}
