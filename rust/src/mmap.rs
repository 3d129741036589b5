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
//! # Kept heaps
//!
//! A heap is a file, so a data structure in it can be had again, pointers and all, without reading or parsing it: a
//! [`kept`](MAlloc::kept) heap goes on, in the next run, where the last one ended, and from its
//! [root](MAlloc::set_root) the program finds the rest. Opening it takes the same time whatever its size.
//!
//! ```no_run
//! use std::alloc::{GlobalAlloc, Layout};
//!
//! use filz::mmap::MAlloc;
//!
//! static HEAP: MAlloc = MAlloc::with_path(b"runs.filz\0").kept(1);
//!
//! #[repr(C)]
//! struct Run {
//!     number: u32,
//!     before: *const Run,
//! }
//!
//! HEAP.open()?;
//! // SAFETY: all runs of this program set a `Run` of this layout, which leads to others in the same heap.
//! let last = unsafe { HEAP.root::<Run>() };
//! let this = Run { number: last.map_or(1, |run| run.number + 1), before: last.map_or(std::ptr::null(), |run| run) };
//! println!("run {}", this.number);
//!
//! // SAFETY: a `Run` isn't empty; the block is as large and as aligned as one.
//! let block = unsafe { HEAP.alloc(Layout::new::<Run>()) }.cast::<Run>();
//! assert!(!block.is_null(), "no room");
//! // SAFETY: the same.
//! unsafe { block.write(this) };
//! HEAP.set_root(block)?;
//! # Ok::<(), filz::mmap::Error>(())
//! ```
//!
//! A run that is killed at any moment loses nothing that it had allocated. `filz/mmap.h` says under KEPT HEAPS what is
//! promised and what isn't.
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
use core::marker::PhantomData;
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
    /// A heap with all defaults: the file goes where [the front page](crate#where-the-heap-file-goes) says; the capacity
    /// is `$FILZ_CAPACITY` or else 64 GiB (512 MiB on 32-bit systems), or less under an address-space limit.
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
        MAlloc(UnsafeCell::new(ffi::filz_mmap { path, capacity, flags: 0, tag: 0, complained: 0, id: 0, heap }))
    }

    const fn with_settings(self, flags: ffi::c::c_uint, tag: u64) -> Self {
        // SAFETY: a MAlloc is a `filz_mmap` (repr(transparent)), nobody else has it, and it may be moved at any time.
        let mut heap: ffi::filz_mmap = unsafe { mem::transmute(self) };
        heap.flags |= flags;
        heap.tag |= tag;
        MAlloc(UnsafeCell::new(heap))
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
        self.with_settings(ffi::FILZ_MMAP_DUMP, 0)
    }

    /// The same heap, but it outlives the program: the next run that opens it goes on where this one ended, with every
    /// block at its address. See [kept heaps](self#kept-heaps). `tag` is a number of your own choice that says what is
    /// in the heap: a file with another one isn't opened. Needs [`with_path`](Self::with_path).
    ///
    /// Opening it has more errors than other heaps: `filz/mmap.h` lists them under `filz_mmap_open`, and the file is
    /// left as it was. A heap that isn't `kept` never overwrites one that is.
    #[must_use]
    pub const fn kept(self, tag: u64) -> Self {
        self.with_settings(ffi::FILZ_MMAP_REOPEN, tag)
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
        Error::of(unsafe { ffi::filz_mmap_open(self.0.get()) })
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

    /// Keeps one address, from which the next run of the program finds all else in a [`kept`](Self::kept) heap; null for
    /// none. Whoever reads it with [`root`](Self::root), in any thread, sees what was written before it was set. An
    /// error if the heap isn't open, or the address is in none of its chunks.
    pub fn set_root<T>(&self, root: *const T) -> Result<(), Error> {
        // SAFETY: filz_mmap_set_root: any address may be asked for.
        Error::of(unsafe { ffi::filz_mmap_set_root(self.0.get(), root.cast()) })
    }

    /// The root that this run, or an earlier one, has set; `None` if there is none, or the heap isn't open.
    ///
    /// # Safety
    ///
    /// The root must be the address of a `T` that is still whole, and that nobody writes to but through a
    /// [`Cell`](core::cell::Cell) or the like for as long as the borrow lives. If another run may have written it, then
    ///
    /// - it had a `T` of the same layout: `repr(C)`, or built by the same compiler from the same source. Give the heap
    ///   another [tag](Self::kept) whenever `T`, or anything that it leads to, changes.
    /// - all that it leads to lies in this heap, or is a plain value. Not so are: references to statics, string literals
    ///   included; function pointers; `dyn` (it has a vtable); handles of files and threads; locks; a hasher that is
    ///   seeded anew in each run. Some types hide a static: an *empty* `hashbrown` table is one.
    /// - a collection in it has an allocator that means the same in each run: [`In`], not `&MAlloc`.
    ///
    /// Unless `T`, and all that it leads to, is `Sync`, only one thread uses it at a time.
    pub unsafe fn root<T: 'static>(&self) -> Option<&T> {
        // SAFETY: filz_mmap_root: a `filz_mmap`; NULL or an address; the caller's promise.
        unsafe { ffi::filz_mmap_root(self.0.get()).cast::<T>().as_ref() }
    }

    /// When it returns, all that was written to the heap before is on the disk, and survives a power cut. Takes as long
    /// as the disk does. Data, sync, root, sync, in this order, make a root durable only with what it leads to.
    pub fn sync(&self) -> Result<(), Error> {
        // SAFETY: filz_mmap_sync: a `filz_mmap`, not closed meanwhile, which needs `&mut self`.
        Error::of(unsafe { ffi::filz_mmap_sync(self.0.get()) })
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

/// The static heap that a type stands for, so that an [`In`] of it finds that heap in every run.
///
/// ```
/// use filz::mmap::{MAlloc, StaticHeap};
///
/// static HEAP: MAlloc = MAlloc::new();
///
/// struct Words;
///
/// impl StaticHeap for Words {
///     fn heap() -> &'static MAlloc {
///         &HEAP
///     }
/// }
/// ```
pub trait StaticHeap: 'static {
    /// Always the same heap.
    fn heap() -> &'static MAlloc;
}

/// A handle to a static heap that takes no space, and so may be stored in a kept heap, where an address of the program
/// may not: `Vec<u32, In<Words>>`. It is an `Allocator` with the feature `allocator-api2` or `nightly`.
pub struct In<H>(PhantomData<fn() -> H>);

impl<H> In<H> {
    /// The handle; there is nothing in it.
    pub const NEW: Self = In(PhantomData);
}

impl<H> Clone for In<H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for In<H> {}

impl<H> Default for In<H> {
    fn default() -> Self {
        Self::NEW
    }
}

impl<H> fmt::Debug for In<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("In")
    }
}

/// Why a heap can't be opened, or what one that is open couldn't do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error(i32);

impl Error {
    /// The number that C calls `errno`, for `std::io::Error::from_raw_os_error`.
    pub const fn raw_os_error(self) -> i32 {
        self.0
    }

    fn of(errno: i32) -> Result<(), Self> {
        match errno {
            0 => Ok(()),
            errno => Err(Error(errno)),
        }
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
