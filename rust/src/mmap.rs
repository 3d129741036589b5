//! A heap that is a file.
//!
//! ```
//! use filz::mmap::MAlloc;
//!
//! #[global_allocator]
//! static ALLOCATOR: MAlloc = MAlloc::new();
//!
//! fn main() {
//!     let words = vec!["these", "are", "in", "a", "file"];
//!     let heap = ALLOCATOR.stats().expect("the first allocation has opened the heap");
//!     println!("{} words, {} bytes used of {}", words.len(), heap.used, heap.capacity);
//! }
//! ```
//!
//! The file is mapped into the address space, and an allocation bumps a pointer through it: no headers on blocks, no
//! lock, no freeing. Blocks are aligned as `malloc` aligns them, or as [`Packed`](crate::Packed). [The front
//! page](crate#where-the-heap-file-goes) says where the file goes. If a heap can't be opened, [`MAlloc::open`] returns
//! why; a first allocation reports it in one line on standard error, and fails.
//!
//! # Persistent heaps
//!
//! A heap is a file, so the next run can map it again, with every pointer in it valid. Nothing is read or parsed. A
//! [`persistent`](MAlloc::persistent) heap continues where the last run ended, and the program finds its data from the
//! [root](MAlloc::set_root). After an orderly end, opening it takes the same time for any size.
//!
//! ```no_run
//! use std::alloc::{GlobalAlloc, Layout};
//!
//! use filz::mmap::MAlloc;
//!
//! static HEAP: MAlloc = MAlloc::new().path(c"runs.filz").persistent(1);
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
//! A run may be killed at any moment: the next one finds every block. A power cut may come at any moment: what
//! [`sync`](MAlloc::sync) has brought to the disk is there afterwards. PERSISTENT HEAPS in `filz/mmap.h` says what is
//! promised and what isn't.
//!
//! # Soundness
//!
//! [The front page](crate#safety) says why opening a heap is safe. The heap *is* the file. Writing to the file changes
//! this program's memory under it, and truncating it makes the next access past its end a SIGBUS. That applies to other
//! programs, and to this one if it opens the file that [`Stats::path`] names. Reading the file is harmless, but a
//! program that reads it into the same heap never reaches its end, because the file grows meanwhile. Only its owner can
//! access the file (mode 0600), and it is locked. If that isn't enough, use an unnamed one.
//!
//! Each thread allocates from a chunk of its own. After `fork`, parent and child each have a heap of their own with the
//! same contents at the same addresses. Without a copy (with `FILZ_FORK=private`, or when there is no room for one),
//! the child may see what the parent writes later, in pages that it hasn't written itself. It must then use nothing
//! that the parent changes. A child of `_Fork` or a raw `clone` has no heap of its own and must call `exec` or `_exit`.
//! A signal handler must not allocate here; [`crate::stack`] is for that.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::{c_void, CStr};
use core::marker::PhantomData;
use core::mem::{self, MaybeUninit};
use core::{fmt, ptr, str};
#[cfg(feature = "std")]
use std::{ffi::CString, os::unix::ffi::OsStrExt, path::Path};

use crate::atomic::{AtomicUsize, Ordering};
use crate::ffi;
use crate::global::{usual_global_alloc, Exact};

/// A bump allocator over a memory-mapped file, opened by its first allocation, or by [`open`](Self::open).
///
/// It has the layout of C's `filz_mmap`. Dropping it closes the heap. It may be moved at any time.
#[must_use]
#[repr(transparent)]
pub struct MAlloc(UnsafeCell<ffi::filz_mmap>);

/// How full a [`MAlloc`] is, in bytes: used <= in_chunks <= committed <= capacity.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Stats<'a> {
    /// Where the file is, an absolute path; `None` if it has no name. It must not be written to: see
    /// [the module](self#soundness).
    pub path: Option<&'a [u8]>,
    /// The limit, as far as the address space allows it.
    pub capacity: usize,
    /// Size of the file, or of what is backed by it and by anonymous memory.
    pub committed: usize,
    /// Carved into chunks: what is used, and the tails of chunks.
    pub in_chunks: usize,
    /// Allocated, with padding and all that realloc has left, and the heap's own headers.
    pub used: usize,
    /// Blocks allocated. One that realloc copies into reused space isn't counted again.
    pub blocks: usize,
    /// Chunks that the heap is carved into.
    pub chunks: usize,
    /// Threads that have allocated, in all runs.
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
    /// Not yet carved into a chunk.
    Free,
    /// At least one byte is allocated, or holds a header.
    Used,
    /// In the unused tail of a chunk.
    Tail,
}

impl Page {
    /// What it is used for.
    #[must_use]
    pub fn kind(self) -> PageKind {
        match u32::from(self.0) & ffi::FILZ_PAGE_KIND {
            ffi::FILZ_PAGE_USED => PageKind::Used,
            ffi::FILZ_PAGE_TAIL => PageKind::Tail,
            _ => PageKind::Free,
        }
    }

    /// Whether it is in RAM.
    #[must_use]
    pub fn in_ram(self) -> bool {
        u32::from(self.0) & ffi::FILZ_PAGE_IN_RAM != 0
    }

    /// The thread whose chunk it is in: 1 to 31, and from 32 on counted again from 1.
    #[must_use]
    pub fn thread(self) -> Option<u8> {
        Some(self.0 >> 3).filter(|&thread| thread != 0)
    }
}

// SAFETY: a heap belongs to no thread; <filz/mmap.h>: it may be moved at any time.
unsafe impl Send for MAlloc {}
// SAFETY: <filz/mmap.h>, THREADS: what takes `&self` may be called from any thread at any time.
unsafe impl Sync for MAlloc {}

impl MAlloc {
    /// A heap with all defaults: the file goes where [the front page](crate#where-the-heap-file-goes) says; the
    /// capacity is `$FILZ_CAPACITY` or else 64 GiB (512 MiB on 32-bit systems), or less where the address space
    /// requires it.
    pub const fn new() -> Self {
        let (path, heap) = (ptr::null(), ptr::null_mut());
        MAlloc(UnsafeCell::new(ffi::filz_mmap {
            path,
            capacity: 0,
            flags: 0,
            tag: 0,
            base: 0,
            reported: 0,
            id: 0,
            heap,
        }))
    }

    /// The settings of a heap whose path is known at run time only.
    ///
    /// ```no_run
    /// use filz::mmap::MAlloc;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let path = std::env::args_os().nth(1).unwrap_or("words.filz".into());
    /// let heap = MAlloc::options().capacity(1 << 30).read_only(1).open(path)?;
    /// # drop(heap);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "std")]
    pub fn options() -> Options {
        Options(Self::new())
    }

    /// The same heap, but in the file at `path`, which must be one of filz's own, or empty, or not exist yet. Has no
    /// effect on an open heap. [`options`](Self::options) is for a path that isn't known when the program is compiled.
    ///
    /// ```
    /// use filz::mmap::MAlloc;
    ///
    /// static HEAP: MAlloc = MAlloc::new().path(c"words.filz").capacity(1 << 30).persistent(1);
    /// ```
    pub const fn path(self, path: &'static CStr) -> Self {
        let mut heap = self.into_raw();
        heap.path = path.as_ptr();
        MAlloc(UnsafeCell::new(heap))
    }

    /// The same heap, but of at most `capacity` bytes, rounded up to whole pages, its header page included; 0 is the
    /// default. Address space for it is reserved when it is opened; the file grows as the heap does. Has no effect on
    /// an open heap.
    pub const fn capacity(self, capacity: usize) -> Self {
        let mut heap = self.into_raw();
        heap.capacity = capacity;
        MAlloc(UnsafeCell::new(heap))
    }

    /// The struct itself, without the drop that would close it.
    const fn into_raw(self) -> ffi::filz_mmap {
        // SAFETY: a MAlloc is a `filz_mmap` (repr(transparent)), this is its only owner, and it may be moved at any
        // time.
        unsafe { mem::transmute(self) }
    }

    /// The same heap, but in core dumps of the program, as far as the process's `coredump_filter` (core(5)) lets shared
    /// mappings in: by default those of unnamed files (bit 1), and with bit 3 those of named ones too. Other heaps are
    /// left out, because a heap may be large and hold secrets. Has no effect on an open heap.
    ///
    /// ```
    /// use filz::mmap::MAlloc;
    ///
    /// static HEAP: MAlloc = MAlloc::new().in_core_dumps();
    /// HEAP.open()?;
    /// # Ok::<(), filz::mmap::Error>(())
    /// ```
    pub const fn in_core_dumps(self) -> Self {
        let mut heap = self.into_raw();
        heap.flags |= ffi::FILZ_MMAP_DUMP;
        MAlloc(UnsafeCell::new(heap))
    }

    /// The same heap, but it outlives the program: the next run that opens it continues where this one ended, with
    /// every block at its address. See [persistent heaps](self#persistent-heaps). `tag` is a number of the program's
    /// choice that says what is in the heap: a file with another one isn't opened. Of two calls, the last one counts.
    /// Needs [`path`](Self::path). Has no effect on an open heap.
    ///
    /// Opening it has more errors than other heaps have ([`ErrorKind`]), and after one the file is as it was. A heap
    /// that isn't `persistent` never overwrites one that is.
    pub const fn persistent(self, tag: u64) -> Self {
        self.opened_with(ffi::FILZ_MMAP_PERSISTENT, tag)
    }

    /// The heap in the file at [`path`](Self::path), which any number of programs may read at the same time. Nothing in
    /// the file changes. `tag` is the one that the heap was made [`persistent`](Self::persistent) with. The file may be
    /// read-only, and root's, but nobody except its owner may be able to write it. [`root`](Self::root),
    /// [`stats`](Self::stats) and [`pages`](Self::pages) work as usual. Allocation fails, and anything else that would
    /// change the heap is an error ([`ErrorKind::System`], EROFS). A store to the memory is a SIGSEGV, so use its
    /// contents through `&`, without interior mutability.
    ///
    /// ```no_run
    /// use filz::mmap::MAlloc;
    ///
    /// static WORDS: MAlloc = MAlloc::new().path(c"words.filz").read_only(1);
    /// WORDS.open()?;
    /// # Ok::<(), filz::mmap::Error>(())
    /// ```
    pub const fn read_only(self, tag: u64) -> Self {
        self.opened_with(ffi::FILZ_MMAP_READ_ONLY, tag)
    }

    /// Like [`read_only`](Self::read_only), but the memory may be written, and blocks allocated. What this process
    /// writes stays its own, and is gone when it ends.
    pub const fn private(self, tag: u64) -> Self {
        self.opened_with(ffi::FILZ_MMAP_PRIVATE, tag)
    }

    /// Like [`persistent`](Self::persistent), but other processes may have the heap open [to read](Self::read_only) it
    /// meanwhile. They see each store at once, because it is the same memory. Publish finished data by
    /// [`set_root`](Self::set_root), or by an atomic store with release order, and don't change what is published in
    /// any other way. [`reset`](Self::reset) is an error ([`ErrorKind::System`], EBUSY) while they have it open.
    /// READERS in `filz/mmap.h` says when a shared writer is refused itself. Linux only.
    ///
    /// ```no_run
    /// use filz::mmap::MAlloc;
    ///
    /// static EVENTS: MAlloc = MAlloc::new().path(c"events.filz").shared(1);
    /// EVENTS.open()?;
    /// # Ok::<(), filz::mmap::Error>(())
    /// ```
    pub const fn shared(self, tag: u64) -> Self {
        self.opened_with(ffi::FILZ_MMAP_SHARED, tag)
    }

    const fn opened_with(self, flag: u32, tag: u64) -> Self {
        let mut heap = self.into_raw();
        heap.flags |= flag;
        heap.tag = tag;
        MAlloc(UnsafeCell::new(heap))
    }

    /// A new [`persistent`](Self::persistent) heap begins at this address, rounded up to a page, and not at one chosen
    /// at random. An existing heap keeps its address.
    pub const fn at_address(self, base: usize) -> Self {
        let mut heap = self.into_raw();
        heap.base = base;
        MAlloc(UnsafeCell::new(heap))
    }

    /// The `filz_mmap *` that C code may use for as long as this heap lives and isn't moved.
    #[inline]
    #[must_use]
    pub const fn as_ptr(&self) -> *mut c_void {
        self.0.get().cast()
    }

    /// Opens the heap: makes and locks its file and maps it. The first allocation does it too; a program calls it to
    /// see the error. Does nothing on an open heap. After an error the heap is closed, and a later call tries again.
    pub fn open(&self) -> Result<(), Error> {
        // SAFETY: filz_mmap_open: a `filz_mmap` whose path, if any, is a C string that lives for good.
        Error::of(unsafe { ffi::filz_mmap_open(self.0.get()) })
    }

    /// Publishes a finished heap for others to read: [syncs](Self::sync) it, renames its file to `path` in one step,
    /// and closes it. A reader that opens `path` finds the old heap or all of the new one, and a reader that has the
    /// old one open continues with that. `path` must be on the same file system. If there is a file, it must be a heap
    /// that no writer has open. After an error the heap has its old name, and may be closed. A path with a zero byte in
    /// it is [`ErrorKind::Path`].
    #[cfg(feature = "std")]
    pub fn publish(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.publish_c_str(&c_string(path.as_ref())?)
    }

    /// [`publish`](Self::publish) without `std`, to a C string.
    pub fn publish_c_str(&mut self, path: &CStr) -> Result<(), Error> {
        // SAFETY: filz_mmap_publish: a `filz_mmap`, and a C string.
        Error::of(unsafe { ffi::filz_mmap_publish(self.0.get(), path.as_ptr()) })
    }

    /// Whether the name that the heap was opened by still leads to its file, and no other heap was
    /// [published](Self::publish) there. False without a name.
    #[must_use]
    pub fn is_current(&self) -> bool {
        // SAFETY: filz_mmap_is_current: a `filz_mmap`.
        unsafe { ffi::filz_mmap_is_current(self.0.get()) }
    }

    /// How full it is. An error if it isn't open, or a chunk's header is invalid. Takes time proportional to the number
    /// of chunks. What other threads allocate meanwhile may be counted or not.
    pub fn stats(&self) -> Result<Stats<'_>, Error> {
        let mut info = MaybeUninit::uninit();
        // SAFETY: filz_mmap_stats: a `filz_mmap`, and `info` is ours to write.
        Error::of(unsafe { ffi::filz_mmap_stats(self.0.get(), info.as_mut_ptr()) })?;
        // SAFETY: filz_mmap_stats: filled, since it returned 0.
        let info = unsafe { info.assume_init() };
        Ok(Stats {
            // SAFETY: filz_mmap_info: NULL or a C string, valid until the heap is closed, which needs `&mut self`.
            path: unsafe { bytes_of(info.path) },
            capacity: info.capacity,
            committed: info.committed,
            in_chunks: info.in_chunks,
            used: info.used,
            blocks: info.blocks,
            chunks: info.chunks,
            threads: info.threads,
            page_size: info.page_size,
        })
    }

    /// Writes the state of each page of the file, from page `first` on, to `pages`, and returns those written: fewer
    /// than asked for where the file ends. Page 0 is the file's header. The errors are those of [`stats`](Self::stats).
    pub fn pages<'a>(&self, first: usize, pages: &'a mut [Page]) -> Result<&'a [Page], Error> {
        let mut count = pages.len();
        // SAFETY: filz_mmap_pages: writes at most `count` bytes; a Page is a byte.
        Error::of(unsafe { ffi::filz_mmap_pages(self.0.get(), first, &mut count, pages.as_mut_ptr().cast()) })?;
        Ok(&pages[..count])
    }

    /// Whether `address` lies in the heap's address space, allocated or not. A closed heap owns nothing.
    #[must_use]
    pub fn owns<T: ?Sized>(&self, address: *const T) -> bool {
        // SAFETY: filz_mmap_owns: any address may be asked about.
        unsafe { ffi::filz_mmap_owns(self.0.get(), address.cast()) }
    }

    /// Stores one address, the root, from which the next run of the program finds everything else in a
    /// [`persistent`](Self::persistent) heap; null for none. A thread that reads it with [`root`](Self::root) sees what
    /// was written before it was set. An error if the heap isn't open, or the address isn't in one of its chunks.
    pub fn set_root<T>(&self, root: *const T) -> Result<(), Error> {
        // SAFETY: filz_mmap_set_root: any address may be asked for.
        Error::of(unsafe { ffi::filz_mmap_set_root(self.0.get(), root.cast()) })
    }

    /// The root that this run, or an earlier one, has set; `None` if there is none, or the heap isn't open.
    ///
    /// # Safety
    ///
    /// The root must be the address of a `T` that is still whole, and that is written to only through a
    /// [`Cell`](core::cell::Cell) or the like for as long as the borrow lives, by a [`shared`](Self::shared) writer in
    /// another process only through an atomic. If another run may have written it, then
    ///
    /// - it had a `T` of the same layout: `repr(C)`, or built by the same compiler from the same source. Give the heap
    ///   another [tag](Self::persistent) whenever `T`, or anything that it leads to, changes.
    /// - all that it leads to lies in this heap, or is a plain value. These don't: references to statics, string
    ///   literals included; function pointers; `dyn` (it has a vtable); handles of files and threads; locks; a hasher
    ///   with a new seed in each run. Some types hide a static, such as an *empty* `hashbrown` table.
    /// - a collection in it has an allocator that means the same in each run: [`In`], not `&MAlloc`.
    /// - it was whole when it was set as the root, because a run may be killed at any moment. If power may be cut too,
    ///   it was on the disk by then, with all that it leads to: see [`sync`](Self::sync).
    ///
    /// Unless `T`, and all that it leads to, is `Sync`, only one thread uses it at a time.
    #[must_use]
    pub unsafe fn root<T: 'static>(&self) -> Option<&T> {
        // SAFETY: filz_mmap_root: a `filz_mmap`; NULL or an address; the caller's promise.
        unsafe { ffi::filz_mmap_root(self.0.get()).cast::<T>().as_ref() }
    }

    /// When it returns `Ok`, everything written to the heap before the call is on the disk, and survives a power cut.
    /// If the newest state doesn't, the heap opens as it was at that sync, root included. To make a root durable only
    /// with what it leads to, write the data, sync, set the root, and sync, in this order. Takes as long as the disk
    /// does. An error if the heap isn't open, or its file has no name, or the disk fails.
    pub fn sync(&self) -> Result<(), Error> {
        // SAFETY: filz_mmap_sync: a `filz_mmap`, not closed meanwhile, which needs `&mut self`.
        Error::of(unsafe { ffi::filz_mmap_sync(self.0.get()) })
    }

    /// Ends every block, and reuses the memory. What borrows the heap can't outlive this. Blocks taken through the
    /// unsafe functions of [`GlobalAlloc`] must not be used any more.
    ///
    /// A static can't be borrowed as `&mut`, and a `#[global_allocator]` is never reset. For work in rounds, use a
    /// separate heap in a variable. The file keeps its size.
    ///
    /// A heap that was [synced](Self::sync) is first made empty on the disk, which takes as long as the disk does.
    /// After an error, nothing has changed.
    pub fn reset(&mut self) -> Result<(), Error> {
        // SAFETY: filz_mmap_reset: `&mut self` says that no other call is under way.
        Error::of(unsafe { ffi::filz_mmap_reset(self.0.get()) })
    }
}

/// The settings of a heap, from [`MAlloc::options`] until [`open`](Self::open).
#[cfg(feature = "std")]
#[derive(Debug)]
#[must_use]
pub struct Options(MAlloc);

#[cfg(feature = "std")]
macro_rules! settings {
    ($($name:ident($($argument:ident: $type:ty)?))*) => {
        $(
            #[doc = concat!("See [`MAlloc::", stringify!($name), "`].")]
            pub fn $name(self, $($argument: $type)?) -> Self {
                Options(self.0.$name($($argument)?))
            }
        )*
    };
}

#[cfg(feature = "std")]
impl Options {
    settings! {
        capacity(capacity: usize)
        persistent(tag: u64)
        read_only(tag: u64)
        private(tag: u64)
        shared(tag: u64)
        in_core_dumps()
        at_address(base: usize)
    }

    /// Opens the heap in the file at `path`. After [`publish`](MAlloc::publish) has closed it, it can't be opened again
    /// ([`ErrorKind::Flags`]), because it keeps no path. A path with a zero byte in it is [`ErrorKind::Path`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<MAlloc, Error> {
        let mut heap = self.0;
        let path = c_string(path.as_ref())?;
        heap.0.get_mut().path = path.as_ptr();
        let opened = heap.open();
        let settings = heap.0.get_mut();
        settings.path = ptr::null(); // C reads it only when the heap is opened
        settings.flags |= ffi::FILZ_MMAP_PERSISTENT; // which needs a path to open
        opened.map(|()| heap)
    }
}

#[cfg(feature = "std")]
fn c_string(path: &Path) -> Result<CString, Error> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Error(ffi::FILZ_EPATH))
}

/// # Safety
///
/// `string` is NULL or a C string that lives for `'a`.
unsafe fn bytes_of<'a>(string: *const ffi::c::c_char) -> Option<&'a [u8]> {
    if string.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    Some(unsafe { CStr::from_ptr(string) }.to_bytes())
}

/// What a program is about to do with a heap, or a part of it: see [`MAlloc::advise`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Advice {
    /// As suits the heap's size: one page at a fault if it is larger than memory, else more.
    Auto,
    /// Random access: one page at a fault.
    Random,
    /// Access in order: the kernel reads far ahead, and evicts pages soon.
    Sequential,
    /// All of it is needed soon: the kernel reads it now.
    WillNeed,
    /// Not needed soon.
    Cold,
    /// Not needed for long: the kernel evicts now what is on the disk.
    PageOut,
}

impl Advice {
    fn raw(self) -> ffi::filz_advice {
        match self {
            Advice::Auto => ffi::FILZ_ADVICE_AUTO,
            Advice::Random => ffi::FILZ_ADVICE_RANDOM,
            Advice::Sequential => ffi::FILZ_ADVICE_SEQUENTIAL,
            Advice::WillNeed => ffi::FILZ_ADVICE_WILL_NEED,
            Advice::Cold => ffi::FILZ_ADVICE_COLD,
            Advice::PageOut => ffi::FILZ_ADVICE_PAGE_OUT,
        }
    }
}

impl MAlloc {
    /// Tells the kernel what the program is about to do with the heap. The first three kinds of [`Advice`] also replace
    /// `$FILZ_ADVICE`, and hold for what is added to the heap. It is only a hint: no byte changes. An error if the heap
    /// isn't open. By default, each page fault reads one page from the disk in a heap that is larger than memory. Use
    /// [`Advice::Sequential`] before a walk through it, and [`Advice::Auto`] after it.
    pub fn advise(&self, advice: Advice) -> Result<(), Error> {
        // SAFETY: filz_mmap_advise: a `filz_mmap`; NULL stands for all of the heap.
        Error::of(unsafe { ffi::filz_mmap_advise(self.0.get(), ptr::null(), 0, advice.raw()) })
    }

    /// The same for a value in the heap, for example a slice: an error if it isn't there.
    pub fn advise_value<T: ?Sized>(&self, value: &T, advice: Advice) -> Result<(), Error> {
        let start: *const T = value;
        // SAFETY: filz_mmap_advise: any addresses may be asked for, and those of a value aren't NULL.
        Error::of(unsafe { ffi::filz_mmap_advise(self.0.get(), start.cast(), mem::size_of_val(value), advice.raw()) })
    }
}

impl Default for MAlloc {
    fn default() -> Self {
        Self::new()
    }
}

/// The settings, and whether it is open. Takes no lock and reads nothing of the heap, so it may be called at any time.
impl fmt::Debug for MAlloc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let raw = self.0.get();
        // SAFETY: the settings are written only through a `MAlloc` that nobody else has yet, or `&mut self`; C and Rust
        // change `id` atomically. The path, if any, is a C string that lives as long as it is there.
        let (path, capacity, id) = unsafe {
            ((*raw).path, (*raw).capacity, (*ptr::addr_of!((*raw).id).cast::<AtomicUsize>()).load(Ordering::Relaxed))
        };
        let mut fields = f.debug_struct("MAlloc");
        fields.field("address", &raw);
        // SAFETY: the same.
        match unsafe { bytes_of(path) } {
            Some(path) => fields.field("path", &format_args!("\"{}\"", path.escape_ascii())),
            None => fields.field("path", &None::<()>),
        };
        match capacity {
            0 => fields.field("capacity", &format_args!("default")),
            _ => fields.field("capacity", &capacity),
        };
        fields.field("open", &(id != 0)).finish()
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
unsafe impl Exact for MAlloc {
    #[inline]
    unsafe fn exact_alloc(&self, size: usize, align: usize) -> *mut u8 {
        // SAFETY: filz_mmap_alloc: a `filz_mmap`, opened if need be.
        unsafe { ffi::filz_mmap_alloc(self.0.get(), size, align).cast() }
    }

    #[inline]
    unsafe fn exact_alloc_zeroed(&self, size: usize, align: usize) -> *mut u8 {
        // SAFETY: filz_mmap_alloc_zeroed: a `filz_mmap`, opened if need be.
        unsafe { ffi::filz_mmap_alloc_zeroed(self.0.get(), size, align).cast() }
    }

    #[inline]
    unsafe fn exact_realloc(&self, block: *mut u8, size: usize, align: usize, new_size: usize) -> *mut u8 {
        // SAFETY: filz_mmap_realloc: the caller promises that `block` came from here, and is so large and so aligned.
        unsafe { ffi::filz_mmap_realloc(self.0.get(), block.cast(), size, align, new_size).cast() }
    }
}

usual_global_alloc!([] MAlloc);

/// The static heap that a type stands for, so that an [`In`] of it finds that heap in every run.
/// [`static_heap!`](crate::static_heap) makes both.
///
/// # Safety
///
/// `heap` returns the same heap each time, and doesn't unwind: a collection grows a block where it got it.
///
/// ```compile_fail,E0200
/// use filz::mmap::{MAlloc, StaticHeap};
///
/// struct Either;
///
/// impl StaticHeap for Either { // without `unsafe`
///     fn heap() -> &'static MAlloc {
///         unimplemented!()
///     }
/// }
/// ```
pub unsafe trait StaticHeap: 'static {
    /// Always the same heap.
    fn heap() -> &'static MAlloc;
}

/// Declares static heaps, each with the type that stands for it in an [`In`](crate::mmap::In). Attributes,
/// `#[global_allocator]` for example, are those of the static.
///
/// ```
/// use filz::mmap::{In, MAlloc};
///
/// filz::static_heap! {
///     /// The words of all texts.
///     static HEAP: Words = MAlloc::new();
/// }
///
/// HEAP.open()?;
/// let handle = In::<Words>::NEW; // an `Allocator`, with the feature `allocator-api2` or `nightly`
/// assert_eq!(std::mem::size_of_val(&handle), 0);
/// # Ok::<(), filz::mmap::Error>(())
/// ```
#[macro_export]
macro_rules! static_heap {
    () => {};
    ($(#[$attribute:meta])* $visibility:vis static $heap:ident: $handle:ident = $value:expr; $($others:tt)*) => {
        $crate::static_heap! { $(#[$attribute])* $visibility static $heap: $handle = $value }
        $crate::static_heap! { $($others)* }
    };
    ($(#[$attribute:meta])* $visibility:vis static $heap:ident: $handle:ident = $value:expr) => {
        $(#[$attribute])*
        $visibility static $heap: $crate::mmap::MAlloc = $value;

        #[doc = concat!("Stands for the heap [`", stringify!($heap), "`].")]
        #[derive(Clone, Copy, Debug)]
        $visibility struct $handle;

        // SAFETY: a static is the same heap each time.
        unsafe impl $crate::mmap::StaticHeap for $handle {
            #[inline]
            fn heap() -> &'static $crate::mmap::MAlloc {
                &$heap
            }
        }
    };
}

/// A handle to a static heap that takes no space. So it may be stored in a persistent heap, where an address of the
/// program may not: `Vec<u32, In<Words>>`. It is an `Allocator` with the feature `allocator-api2` or `nightly`.
pub struct In<H>(PhantomData<fn() -> H>);

impl<H> In<H> {
    /// The handle, which is empty.
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

/// Why a heap can't be opened, or what an open heap couldn't do: an error of filz or of the system.
///
/// With the feature `std`, which is on by default, it is a `std::error::Error`, and `?` makes a `std::io::Error` of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error(i32);

/// The kind of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The capacity is at most one page, or more than there are addresses.
    Capacity,
    /// `$FILZ_CAPACITY` isn't a number of bytes, or `$FILZ_ADVICE` isn't one of its words.
    Variable,
    /// The heap is [`persistent`](MAlloc::persistent), [`read_only`](MAlloc::read_only), [`private`](MAlloc::private)
    /// or [`shared`](MAlloc::shared), and has no path, or none any more ([`MAlloc::options`]); or it is more than one
    /// of the last three.
    Flags,
    /// The absolute path is longer than 2,000 bytes, or has a zero byte in it.
    Path,
    /// The path doesn't lead to a regular file.
    NotFile,
    /// The file has more than one name (hard links).
    Links,
    /// The file belongs to another user.
    Owner,
    /// Other users may write the file, or it is read-only.
    Mode,
    /// Another process, or another heap of this one, has the file open.
    InUse,
    /// The file isn't one of filz's, and is left as it is.
    NotHeap,
    /// The file is a persistent heap, and is left as it is, because this heap isn't [`persistent`](MAlloc::persistent).
    Persistent,
    /// The heap in the file has another format, as other versions of filz may write it.
    Format,
    /// A program of another word size, or byte order, made the heap in the file.
    WordSize,
    /// The heap in the file was made for another page size.
    PageSize,
    /// The heap in the file has another [tag](MAlloc::persistent).
    Tag,
    /// A header in the heap is invalid.
    Damaged,
    /// The file ends before the heap in it does.
    Truncated,
    /// The heap in the file is larger than the capacity.
    TooSmall,
    /// Something else is at the heap's address in this process.
    Base,
    /// The heap isn't open.
    Closed,
    /// The address isn't in the heap.
    Address,
    /// The heap's file has no name, or doesn't hold all of the heap.
    Unnamed,
    /// The heap is the parent's, because this process was made by `_Fork` or `clone`.
    Forked,
    /// The system refused: see [`Error::raw_os_error`].
    System,
}

impl Error {
    /// The kind of the error.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self.0 {
            ffi::FILZ_ECAPACITY => ErrorKind::Capacity,
            ffi::FILZ_EVARIABLE => ErrorKind::Variable,
            ffi::FILZ_EFLAGS => ErrorKind::Flags,
            ffi::FILZ_EPATH => ErrorKind::Path,
            ffi::FILZ_ENOTFILE => ErrorKind::NotFile,
            ffi::FILZ_ELINKS => ErrorKind::Links,
            ffi::FILZ_EOWNER => ErrorKind::Owner,
            ffi::FILZ_EMODE => ErrorKind::Mode,
            ffi::FILZ_EINUSE => ErrorKind::InUse,
            ffi::FILZ_ENOTHEAP => ErrorKind::NotHeap,
            ffi::FILZ_EPERSISTENT => ErrorKind::Persistent,
            ffi::FILZ_EFORMAT => ErrorKind::Format,
            ffi::FILZ_EWORDSIZE => ErrorKind::WordSize,
            ffi::FILZ_EPAGESIZE => ErrorKind::PageSize,
            ffi::FILZ_ETAG => ErrorKind::Tag,
            ffi::FILZ_EDAMAGED => ErrorKind::Damaged,
            ffi::FILZ_ETRUNCATED => ErrorKind::Truncated,
            ffi::FILZ_ETOOSMALL => ErrorKind::TooSmall,
            ffi::FILZ_EBASE => ErrorKind::Base,
            ffi::FILZ_ECLOSED => ErrorKind::Closed,
            ffi::FILZ_EADDRESS => ErrorKind::Address,
            ffi::FILZ_EUNNAMED => ErrorKind::Unnamed,
            ffi::FILZ_EFORKED => ErrorKind::Forked,
            _ => ErrorKind::System,
        }
    }

    /// The `errno` value of an error of the system; `None` for an error of filz.
    #[must_use]
    pub const fn raw_os_error(&self) -> Option<i32> {
        if self.0 > 0 {
            Some(self.0)
        } else {
            None
        }
    }

    fn of(result: i32) -> Result<(), Self> {
        match result {
            0 => Ok(()),
            error => Err(Error(error)),
        }
    }

    fn text(&self) -> &'static str {
        // SAFETY: filz_error_text: a string literal, whatever the number.
        let text = unsafe { bytes_of(ffi::filz_error_text(self.0)) };
        str::from_utf8(text.unwrap_or_default()).unwrap_or_default()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.raw_os_error() {
            Some(errno) => write!(f, "{} (os error {errno})", self.text()),
            None => f.write_str(self.text()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Error");
        fields.field("kind", &self.kind());
        if let Some(errno) = self.raw_os_error() {
            fields.field("code", &errno);
        }
        fields.field("message", &self.text()).finish()
    }
}

#[cfg(feature = "std")]
impl std::error::Error for Error {}

/// An error of the system keeps its number. An error of filz becomes one of the closest `std::io::ErrorKind`, and
/// `get_ref` gives it back.
#[cfg(feature = "std")]
impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        use std::io::ErrorKind as Io;

        if let Some(errno) = error.raw_os_error() {
            return Self::from_raw_os_error(errno);
        }
        let kind = match error.kind() {
            ErrorKind::Capacity | ErrorKind::Variable | ErrorKind::Flags | ErrorKind::Path => Io::InvalidInput,
            ErrorKind::NotFile | ErrorKind::TooSmall | ErrorKind::Address => Io::InvalidInput,
            ErrorKind::Links | ErrorKind::Owner | ErrorKind::Mode => Io::PermissionDenied,
            ErrorKind::InUse => Io::WouldBlock,
            ErrorKind::NotHeap | ErrorKind::Persistent => Io::AlreadyExists,
            ErrorKind::Format | ErrorKind::WordSize | ErrorKind::PageSize | ErrorKind::Tag => Io::InvalidData,
            ErrorKind::Damaged => Io::InvalidData,
            ErrorKind::Truncated => Io::UnexpectedEof,
            ErrorKind::Unnamed => Io::Unsupported,
            ErrorKind::Base | ErrorKind::Closed | ErrorKind::Forked | ErrorKind::System => Io::Other,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::{ffi, Error, ErrorKind};

    #[test]
    fn each_filz_error_has_its_own_kind_and_text() {
        for error in ffi::FILZ_EFORKED..0 {
            assert_eq!(Error(error).raw_os_error(), None);
            assert_ne!(Error(error).kind(), ErrorKind::System, "{error}");
            for other in error + 1..0 {
                assert_ne!(Error(error).kind(), Error(other).kind(), "{error} and {other}");
                assert_ne!(Error(error).text(), Error(other).text(), "{error} and {other}");
            }
        }
        assert_eq!(Error(ffi::FILZ_EFORKED - 1).text(), "an unknown error", "FILZ_EFORKED isn't the last one");
    }
}
