//! A heap that is a file.
//!
//! ```
//! use filz::mmap::MAlloc;
//!
//! #[global_allocator]
//! static ALLOCATOR: MAlloc = MAlloc::new();
//!
//! fn main() {
//!     let words = vec!["kept", "in", "a", "file"];
//!     let heap = ALLOCATOR.stats().expect("the first allocation has opened the heap");
//!     println!("{} words, {} bytes used of {}", words.len(), heap.used, heap.capacity);
//! }
//! ```
//!
//! The file is mapped into the address space and an allocation moves a pointer through it: no headers on blocks, no
//! lock, no freeing. [The front page](crate#where-the-heap-file-goes) says where the file goes. A heap that can't be
//! opened is an error of [`MAlloc::open`]; the first allocation says it in one line on standard error, and fails.
//!
//! # Soundness
//!
//! The heap *is* the file: whoever writes to it or cuts it short changes this program's memory under it, and the next
//! access may be a signal. That goes for other programs, and for this one if it opens the file that
//! [`Stats::path`] names. Read it as much as you like, but not to its end while it grows; write to it never. The file is
//! its owner's alone (mode 0600) and locked; where even that isn't enough, give it no name.
//!
//! Each thread allocates from a chunk of its own. After `fork`, parent and child each have a heap of their own with the
//! same contents at the same addresses. A signal handler must not allocate here; [`crate::stack`] is for that.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::mem::{self, MaybeUninit};
use core::{fmt, ptr, slice, str};

use crate::ffi;

/// A bump allocator over a memory-mapped file, opened by its first allocation, or by [`open`](Self::open).
///
/// It has the layout of C's `filz_mmap`. Dropping it closes the heap. It may be moved at any time.
#[repr(transparent)]
pub struct MAlloc(UnsafeCell<ffi::filz_mmap>);

/// How full a [`MAlloc`] is, in bytes: used <= reserved <= committed <= capacity.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Stats<'a> {
    /// Where the file is, an absolute path; `None` if it has no name. Nobody may write to it: see
    /// [the module](self#soundness).
    pub path: Option<&'a [u8]>,
    /// Address space set aside.
    pub capacity: usize,
    /// Size of the file.
    pub committed: usize,
    /// Cut into chunks: what is used, and the rests of chunks.
    pub reserved: usize,
    /// Handed out, with padding, and the heap's own headers.
    pub used: usize,
    /// Blocks handed out.
    pub blocks: usize,
    /// Chunks that the heap is cut into.
    pub chunks: usize,
    /// Threads that have allocated.
    pub threads: usize,
    /// Bytes in a page.
    pub page_size: usize,
}

/// What a page of the file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Page(u8);

/// What a page is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageKind {
    /// Not yet cut into a chunk.
    Free,
    /// At least one byte is handed out, or holds a header.
    Used,
    /// The unused rest of a chunk.
    Rest,
}

impl Page {
    /// What it is used for.
    pub fn kind(self) -> PageKind {
        match u32::from(self.0) & ffi::FILZ_PAGE_KIND {
            ffi::FILZ_PAGE_USED => PageKind::Used,
            ffi::FILZ_PAGE_REST => PageKind::Rest,
            _ => PageKind::Free,
        }
    }

    /// Whether it is in RAM.
    pub fn in_ram(self) -> bool {
        u32::from(self.0) & ffi::FILZ_PAGE_IN_RAM != 0
    }

    /// The thread whose chunk it is in: 1 to 31, from 32 on counting again from 1.
    pub fn thread(self) -> Option<u8> {
        Some(self.0 >> 3).filter(|&thread| thread != 0)
    }
}

// SAFETY: a heap belongs to no thread; <filz/mmap.h>: it may be moved at any time.
unsafe impl Send for MAlloc {}
// SAFETY: <filz/mmap.h>, THREADS: what takes `&self` may be called from any thread at any time.
unsafe impl Sync for MAlloc {}

impl MAlloc {
    /// A heap with all defaults: the file goes where [the front page](crate#where-the-heap-file-goes) says; the capacity is `$FILZ_CAPACITY` or else
    /// 64 GiB (512 MiB on 32-bit systems), or less under an address-space limit.
    pub const fn new() -> Self {
        Self::with(ptr::null(), 0)
    }

    /// A heap of at most `capacity` bytes, rounded up to whole pages, its header page included. The address space is
    /// set aside; the file grows as the heap does.
    pub const fn with_capacity(capacity: usize) -> Self {
        Self::with(ptr::null(), capacity)
    }

    /// A heap in the file at `path`, which ends in a zero byte, like `b"words.filz\0"` or
    /// `c"words.filz".to_bytes_with_nul()`. It must be one of filz's own, or empty, or not be there yet.
    ///
    /// # Panics
    ///
    /// If the last byte of `path` isn't its only zero byte; in a `static` or `const`, that is a compile error.
    ///
    /// ```compile_fail
    /// static HEAP: filz::mmap::MAlloc = filz::mmap::MAlloc::with_path(b"words.filz");
    /// ```
    pub const fn with_path(path: &'static [u8]) -> Self {
        Self::with_path_and_capacity(path, 0)
    }

    /// [`with_path`](Self::with_path) and [`with_capacity`](Self::with_capacity) in one.
    ///
    /// # Panics
    ///
    /// As `with_path` does.
    pub const fn with_path_and_capacity(path: &'static [u8], capacity: usize) -> Self {
        let mut length = 0;
        while length < path.len() && path[length] != 0 {
            length += 1;
        }
        assert!(length + 1 == path.len(), "a path ends in its only zero byte, like b\"words.filz\\0\"");
        Self::with(path.as_ptr(), capacity)
    }

    const fn with(path: *const ffi::c::c_char, capacity: usize) -> Self {
        let heap = ptr::null_mut();
        MAlloc(UnsafeCell::new(ffi::filz_mmap { path, capacity, flags: 0, complained: 0, id: 0, heap }))
    }

    /// The same heap, but in core dumps of the program; it is kept out of them otherwise, as it may be large and hold
    /// secrets. Opening it then sets bits 1 and 3 of `/proc/self/coredump_filter`. Has no effect on an open heap.
    ///
    /// ```
    /// use filz::mmap::MAlloc;
    ///
    /// static HEAP: MAlloc = MAlloc::new().in_core_dumps();
    /// HEAP.open()?;
    /// # Ok::<(), filz::mmap::Error>(())
    /// ```
    #[must_use]
    pub const fn in_core_dumps(self) -> Self {
        // SAFETY: a MAlloc is a `filz_mmap` (repr(transparent)), nobody else has it, and it may be moved at any time.
        let mut heap: ffi::filz_mmap = unsafe { mem::transmute(self) };
        heap.flags |= ffi::FILZ_MMAP_DUMP;
        MAlloc(UnsafeCell::new(heap))
    }

    /// The `filz_mmap *` that C code may use for as long as this heap lives and isn't moved.
    #[inline]
    pub const fn as_ptr(&self) -> *mut c_void {
        self.0.get().cast()
    }

    /// Opens the heap: makes, locks and maps its file. The first allocation does it too; this is how to see the error.
    /// Does nothing on an open heap.
    pub fn open(&self) -> Result<(), Error> {
        // SAFETY: filz_mmap_open: a `filz_mmap` whose path, if any, is a C string that lives for good.
        match unsafe { ffi::filz_mmap_open(self.0.get()) } {
            0 => Ok(()),
            errno => Err(Error(errno)),
        }
    }

    /// How full it is; `None` if it isn't open. Takes time in the number of chunks. What other threads allocate
    /// meanwhile may be counted or not.
    pub fn stats(&self) -> Option<Stats<'_>> {
        let mut info = MaybeUninit::uninit();
        // SAFETY: filz_mmap_stats: a `filz_mmap`, and `info` is ours to write.
        if unsafe { ffi::filz_mmap_stats(self.0.get(), info.as_mut_ptr()) } != 0 {
            return None;
        }
        // SAFETY: filz_mmap_stats: filled, since it returned 0.
        let info = unsafe { info.assume_init() };
        Some(Stats {
            // SAFETY: filz_mmap_info: NULL or a C string, valid until the heap is closed, which needs `&mut self`.
            path: unsafe { bytes_of(info.path) },
            capacity: info.capacity,
            committed: info.committed,
            reserved: info.reserved,
            used: info.used,
            blocks: info.blocks,
            chunks: info.chunks,
            threads: info.threads,
            page_size: info.page_size,
        })
    }

    /// Writes what each page of the file is, from page `first` on, to `pages`, and returns those written: fewer than
    /// asked for where the file ends. Page 0 is the file's header. Empty if the heap isn't open.
    pub fn pages<'a>(&self, first: usize, pages: &'a mut [Page]) -> &'a [Page] {
        // SAFETY: filz_mmap_pages: writes at most `pages.len()` bytes; a Page is a byte.
        let count = unsafe { ffi::filz_mmap_pages(self.0.get(), first, pages.len(), pages.as_mut_ptr().cast()) };
        &pages[..count]
    }

    /// Whether `address` lies in the heap's address space, handed out or not. A closed heap owns nothing.
    pub fn owns<T: ?Sized>(&self, address: *const T) -> bool {
        // SAFETY: filz_mmap_owns: any address may be asked about.
        unsafe { ffi::filz_mmap_owns(self.0.get(), address.cast()) }
    }

    /// Ends every block; the memory is used again. What borrows the heap can't outlive this; what was taken through the
    /// unsafe functions of [`GlobalAlloc`] must not be used any more.
    pub fn reset(&mut self) {
        // SAFETY: filz_mmap_reset: `&mut self` says that no other call is under way. It has no errors.
        unsafe { ffi::filz_mmap_reset(self.0.get()) };
    }
}

/// # Safety
///
/// `string` is NULL or a C string that lives for `'a`.
unsafe fn bytes_of<'a>(string: *const ffi::c::c_char) -> Option<&'a [u8]> {
    if string.is_null() {
        return None;
    }
    // SAFETY: the caller's promise: bytes up to a zero byte.
    unsafe {
        let length = (0..).find(|&i| *string.add(i) == 0)?;
        Some(slice::from_raw_parts(string, length))
    }
}

impl Default for MAlloc {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for MAlloc {
    fn drop(&mut self) {
        // SAFETY: filz_mmap_close: `&mut self` says that no other call is under way. It has no errors.
        unsafe { ffi::filz_mmap_close(self.0.get()) };
    }
}

// SAFETY: <filz/mmap.h>: a block is as large and as aligned as asked for, overlaps no other, and lives until reset or
// close; nothing unwinds.
unsafe impl GlobalAlloc for MAlloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: filz_mmap_alloc: a `filz_mmap`, opened if need be.
        unsafe { ffi::filz_mmap_alloc(self.0.get(), layout.size(), layout.align()).cast() }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: filz_mmap_alloc_zeroed: a `filz_mmap`, opened if need be.
        unsafe { ffi::filz_mmap_alloc_zeroed(self.0.get(), layout.size(), layout.align()).cast() }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let raw = self.0.get();
        // SAFETY: filz_mmap_realloc: the caller promises that `block` came from here with this layout.
        unsafe { ffi::filz_mmap_realloc(raw, block.cast(), layout.size(), layout.align(), new_size).cast() }
    }

    /// Does nothing: a block lives until reset or drop.
    #[inline]
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

/// Why a heap can't be opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error(i32);

impl Error {
    /// The number that C calls `errno`, for `std::io::Error::from_raw_os_error`.
    pub const fn raw_os_error(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: filz_mmap_reason: a string literal, whatever the number.
        let reason = unsafe { bytes_of(ffi::filz_mmap_reason(self.0)) }.unwrap_or_default();
        write!(f, "{} (os error {})", str::from_utf8(reason).unwrap_or_default(), self.0)
    }
}

#[cfg(feature = "std")]
impl std::error::Error for Error {}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
