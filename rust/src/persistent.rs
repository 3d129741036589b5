//! Types in a [persistent heap](crate::mmap#persistent-heaps) without `unsafe`; needs the feature `persistent`.
//!
//! [`persistent!`](crate::persistent!) declares a heap, its file, and all types that may be in it. The next run of the
//! program finds the root of the heap by [`Heap::open`], and reads and parses nothing:
//!
//! ```no_run
//! use filz::persistent::{Error, Heap, Map, Ref, Slice, Str};
//!
//! filz::persistent! {
//!     /// The words of a text.
//!     pub heap Words: Index = "words.filz";
//!
//!     pub struct Index {
//!         lines: u32,
//!         words: Map<Str<Words>, Slice<u32, Words>, Words>,
//!         before: Option<Ref<Index, Words>>,
//!     }
//! }
//!
//! fn main() -> Result<(), Error> {
//!     let before = Words::open()?; // of the run before
//!     if let Some(index) = before {
//!         println!("{} lines; fish in {:?}", index.lines, index.words.get("fish"));
//!     }
//!     let words = Map::new([(Str::new("fish")?, Slice::new([1, 2])?), (Str::new("red")?, Slice::new([2])?)])?;
//!     let index = Words::set_root(Index { lines: 2, words, before })?;
//!     assert_eq!(*index.words["fish"], [1, 2]);
//!     Ok(())
//! }
//! ```
//!
//! # The rule
//!
//! **Values in the heap never change.** A program makes a value, moves it into the heap ([`Ref::new`], [`Slice::new`],
//! [`Str::new`], [`Map::new`]), and has shared references to it from then on. To change its data, it makes a new root,
//! which may share blocks with the old one, because [`Ref`], [`Slice`], [`Str`] and [`Map`] are `Copy`. It collects new
//! data with the standard library's collections, in ordinary memory.
//!
//! The rest follows from this:
//!
//! - A run may be killed at any moment. The next one finds the old root or the new one, and each is whole. A vector
//!   changed in place could be left with its new length and without its last element.
//! - A power cut may come at any moment: [`Heap::set_root`] brings the data to the disk before it sets the root.
//! - Any number of threads use the same `&T`, and any number of processes that have [opened the heap to
//!   read](Heap::open_read_only). In memory that is mapped read-only, a store through a `Cell` or an atomic would
//!   fault. Beside a [shared writer](crate::mmap::MAlloc::shared), which this module doesn't have, a plain load would
//!   be a data race.
//! - References are `'static`, because nothing ever closes or resets the heap. To start again, remove the file before
//!   it is opened.
//!
//! A forked child has a copy of the heap and no file. It may use and make values, but `set_root` and `sync` are errors.
//!
//! [`Heap::open_at`] opens a file named at run time.
//!
//! Old roots keep their space. A program that makes many builds a new file from time to time.
//!
//! # What may be in the heap
//!
//! The types that are [`Persist`]: integers, floats, `bool`, `char`, `()`, arrays, `NonZero…`, the types of this
//! module, `Option` of a [`Ref`] or a `NonZero…`, and the structs and enums that the same
//! [`persistent!`](crate::persistent!) declares. Anything else is a compile error.
//!
//! Interior mutability, atomics and locks:
//!
//! ```compile_fail,E0277
//! filz::persistent! {
//!     heap Counts: Count = "counts.filz";
//!     struct Count { number: std::cell::Cell<u32> }
//! }
//! ```
//!
//! ```compile_fail,E0277
//! filz::persistent! {
//!     heap Counts: Count = "counts.filz";
//!     struct Count { number: std::sync::atomic::AtomicU32 }
//! }
//! ```
//!
//! ```compile_fail,E0277
//! filz::persistent! {
//!     heap Counts: Count = "counts.filz";
//!     struct Count { number: std::sync::Mutex<u32> }
//! }
//! ```
//!
//! Addresses of the program: references, functions, types with a vtable.
//!
//! ```compile_fail,E0277
//! filz::persistent! {
//!     heap Names: Name = "names.filz";
//!     struct Name { text: &'static str }
//! }
//! ```
//!
//! ```compile_fail,E0277
//! filz::persistent! {
//!     heap Names: Name = "names.filz";
//!     struct Name { make: fn() -> u32 }
//! }
//! ```
//!
//! ```compile_fail,E0277
//! filz::persistent! {
//!     heap Names: Name = "names.filz";
//!     struct Name { text: Box<dyn std::fmt::Debug> }
//! }
//! ```
//!
//! Collections whose memory is elsewhere, or whose layout is private to another crate:
//!
//! ```compile_fail,E0277
//! filz::persistent! {
//!     heap Names: Name = "names.filz";
//!     struct Name { text: String }
//! }
//! ```
//!
//! Values in another heap, which the next run may not open:
//!
//! ```compile_fail,E0277
//! use filz::persistent::Str;
//!
//! filz::persistent! { heap Others: Str<Others> = "others.filz"; }
//! filz::persistent! {
//!     heap Names: Name = "names.filz";
//!     struct Name { text: Str<Others> }
//! }
//! ```
//!
//! Types of another declaration, because the tag of this heap doesn't cover them:
//!
//! ```compile_fail,E0277
//! use filz::persistent::Ref;
//!
//! filz::persistent! { heap Others: Other = "others.filz"; struct Other { number: u32 } }
//! filz::persistent! {
//!     heap Names: Name = "names.filz";
//!     struct Name { other: Ref<Other, Names> }
//! }
//! ```
//!
//! And values in the heap can't be changed:
//!
//! ```compile_fail,E0594
//! use filz::persistent::Heap;
//!
//! filz::persistent! { heap Counts: Count = "counts.filz"; struct Count { number: u32 } }
//! let mut count = Counts::set_root(Count { number: 1 }).unwrap();
//! count.number += 1;
//! ```
//!
//! # The layout
//!
//! [`Heap::TAG`] is the heap's tag: a hash of the names, sizes and alignments of all types of the declaration and of
//! their fields, in their order, and of the types that each field names. The structs are `repr(C)` and the enums
//! `repr(u8)`, so it doesn't depend on the compiler. A heap of another layout is an error
//! ([`ErrorKind::Tag`](crate::mmap::ErrorKind::Tag)), and stays as it is. If the meaning of a field changes, rename a
//! type to refuse old files.
//!
//! # What is trusted
//!
//! The file. [Writing to it](crate::mmap#soundness) changes the memory of the program. A program that makes a heap with
//! the same tag by other means than this module, in C or by an [`MAlloc`], is responsible for its contents. So is one
//! that makes two layouts with the same hash on purpose; by chance, 1 in 2^64 pairs has the same.

use core::alloc::{GlobalAlloc, Layout};
use core::borrow::Borrow;
use core::marker::PhantomData;
use core::num::{NonZeroI128, NonZeroI16, NonZeroI32, NonZeroI64, NonZeroI8, NonZeroIsize};
use core::num::{NonZeroU128, NonZeroU16, NonZeroU32, NonZeroU64, NonZeroU8, NonZeroUsize};
use core::ops::{Deref, Index};
use core::ptr::NonNull;
use core::{cmp, fmt, hash, mem, slice, str};

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::vec::Vec;

use crate::mmap::{self, MAlloc};

/// A type that may be in the persistent heap `H`: see [the module](self#what-may-be-in-the-heap).
///
/// ```compile_fail,E0200
/// use filz::persistent::{Persist, Str};
///
/// filz::persistent! { heap Names: Str<Names> = "names.filz"; }
/// struct Name(&'static str);
/// impl Persist<Names> for Name {}
/// ```
///
/// # Safety
///
/// A value has no interior mutability. Its bytes mean the same in each process that has opened `H`: all that it leads
/// to is in `H`. `LAYOUT` differs from that of each type that the tag of `H` doesn't tell it from.
/// [`persistent!`](crate::persistent!) implements it for the program's types.
pub unsafe trait Persist<H>: Sized + 'static {
    /// The type as the hash of a field has it: what is known without following it.
    #[doc(hidden)]
    const LAYOUT: u64;

    /// The names and types of a struct's fields.
    #[doc(hidden)]
    const FIELDS: u64 = 0;
}

/// A persistent heap, which [`persistent!`](crate::persistent!) declares.
///
/// # Safety
///
/// `storage` always returns the same [`Storage`], which belongs to no other type and has the tag `TAG`. Two types with
/// the same tag have a root of the same layout, with all that it leads to.
pub unsafe trait Heap: Sized + 'static {
    /// The type that [`set_root`](Self::set_root) takes.
    type Root: Persist<Self>;

    /// The heap's tag: a hash of [the layout](self#the-layout) of all that may be in it.
    const TAG: u64;

    #[doc(hidden)]
    fn storage() -> &'static Storage;

    /// Opens the heap, if it isn't open, and returns its root: `None` if none was ever set. The first value made in the
    /// heap opens it too. No other process may have it open. An error if this process has opened it [to
    /// read](Self::open_read_only).
    fn open() -> Result<Option<Ref<Self::Root, Self>>, Error> {
        // SAFETY: it is `Self`'s, and open.
        Ok(unsafe { root(Self::storage().writer()?) })
    }

    /// Opens the heap, if it isn't open, only to read it, as any number of processes may at the same time. Nothing in
    /// the file changes; anything that would change it is [`Error::ReadOnly`]. An error if there is no heap.
    fn open_read_only() -> Result<Option<Ref<Self::Root, Self>>, Error> {
        // SAFETY: it is `Self`'s, and open.
        Ok(unsafe { root(Self::storage().any()?) })
    }

    /// [Opens](Self::open) the heap in another file than the declaration names. [`Error::Open`] if the heap is open
    /// already: all references of one heap type lead into one file.
    fn open_at(path: impl AsRef<Path>) -> Result<Option<Ref<Self::Root, Self>>, Error> {
        // SAFETY: it is `Self`'s, and open.
        Ok(unsafe { root(Self::storage().open(path.as_ref(), Access::Write)?) })
    }

    /// [Opens only to read](Self::open_read_only) the heap in another file than the declaration names, as
    /// [`open_at`](Self::open_at) does.
    fn open_read_only_at(path: impl AsRef<Path>) -> Result<Option<Ref<Self::Root, Self>>, Error> {
        // SAFETY: it is `Self`'s, and open.
        Ok(unsafe { root(Self::storage().open(path.as_ref(), Access::Read)?) })
    }

    /// Moves a value into the heap, from which the next run finds everything else. Brings the data to the disk before
    /// it sets the root, which takes as long as the disk does. Whatever happens then, the root is the old one or this
    /// one, and whole. After [`sync`](Self::sync), it is this one even after a power cut.
    fn set_root(root: Self::Root) -> Result<Ref<Self::Root, Self>, Error> {
        let root = Ref::new(root)?;
        let heap = Self::storage().writer()?;
        heap.sync()?;
        heap.set_root(root.0.as_ptr())?;
        Ok(root)
    }

    /// When it returns `Ok`, the root is on the disk.
    fn sync() -> Result<(), Error> {
        Ok(Self::storage().writer()?.sync()?)
    }
}

/// # Safety
///
/// It is the heap of `H`, and open.
unsafe fn root<H: Heap>(heap: &'static MAlloc) -> Option<Ref<H::Root, H>> {
    // SAFETY: MAlloc::root: it is never closed, and has the tag that says that a `H::Root` of this layout, which leads
    // to nothing outside the heap, was set as its root by `Heap::set_root`, after a sync. Nothing writes to it.
    let root = unsafe { heap.root::<H::Root>() };
    root.map(|root| Ref(NonNull::from(root), PhantomData))
}

/// Why a value can't be put into a heap, or the heap can't be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The heap can't be opened, or an operation on an open heap failed.
    Heap(mmap::Error),
    /// The value doesn't fit the capacity or the disk.
    NoSpace,
    /// This process has opened the heap to read it.
    ReadOnly,
    /// This process has opened the heap already.
    Open,
}

impl From<mmap::Error> for Error {
    fn from(error: mmap::Error) -> Self {
        Error::Heap(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Heap(error) => error.fmt(f),
            Error::NoSpace => f.write_str("the value doesn't fit the heap's capacity or the disk"),
            Error::ReadOnly => f.write_str("the heap is open only to be read"),
            Error::Open => f.write_str("the heap is open already"),
        }
    }
}

impl std::error::Error for Error {}

/// The static part of a [`Heap`]: opened once, and never closed, so that all references of one heap type lead into one
/// file.
#[doc(hidden)]
pub struct Storage {
    path: &'static str,
    tag: u64,
    heap: OnceLock<(MAlloc, Access)>,
    opening: Mutex<()>,
}

#[derive(Clone, Copy, PartialEq)]
enum Access {
    Read,
    Write,
}

impl Storage {
    #[doc(hidden)]
    pub const fn new(path: &'static str, tag: u64) -> Self {
        Self { path, tag, heap: OnceLock::new(), opening: Mutex::new(()) }
    }

    fn open(&self, path: &Path, access: Access) -> Result<&MAlloc, Error> {
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if self.heap.get().is_some() {
            return Err(Error::Open);
        }
        let options = match access {
            Access::Read => MAlloc::options().read_only(self.tag),
            Access::Write => MAlloc::options().persistent(self.tag),
        };
        let heap = options.open(path)?;
        Ok(&self.heap.get_or_init(|| (heap, access)).0)
    }

    /// The heap, opened by the first caller.
    fn opened(&self, access: Access) -> Result<&(MAlloc, Access), Error> {
        if self.heap.get().is_none() {
            match self.open(Path::new(self.path), access) {
                Ok(_) | Err(Error::Open) => {}
                Err(error) => return Err(error),
            }
        }
        self.heap.get().ok_or(Error::Open)
    }

    fn writer(&self) -> Result<&MAlloc, Error> {
        match self.opened(Access::Write)? {
            (heap, Access::Write) => Ok(heap),
            (_, Access::Read) => Err(Error::ReadOnly),
        }
    }

    fn any(&self) -> Result<&MAlloc, Error> {
        self.opened(Access::Read).map(|(heap, _)| heap)
    }
}

/// A block for this many `T`, which nothing else refers to, and which is never freed.
fn allocate<T, H: Heap>(count: usize) -> Result<NonNull<T>, Error> {
    let layout = Layout::array::<T>(count).map_err(|_| Error::NoSpace)?;
    let layout = Layout::from_size_align(layout.size().max(1), layout.align()).map_err(|_| Error::NoSpace)?;
    // SAFETY: GlobalAlloc::alloc: the size isn't zero.
    let block = unsafe { H::storage().writer()?.alloc(layout) };
    NonNull::new(block.cast()).ok_or(Error::NoSpace)
}

/// A `T` in the heap `H`: a pointer, for which `Option` takes no more space.
#[repr(transparent)]
pub struct Ref<T: 'static, H>(NonNull<T>, PhantomData<fn() -> H>);

impl<T: Persist<H>, H: Heap> Ref<T, H> {
    /// Moves a value into the heap.
    pub fn new(value: T) -> Result<Self, Error> {
        let block = allocate::<T, H>(1)?;
        // SAFETY: it is a block for one `T`.
        unsafe { block.as_ptr().write(value) };
        Ok(Ref(block, PhantomData))
    }
}

impl<T, H> Ref<T, H> {
    /// A reference that isn't bound to `this`.
    pub fn to_static(this: Self) -> &'static T {
        // SAFETY: only `Ref::new` and `root` make one: a `T` is there, which never changes, in an open heap that is
        // never closed.
        unsafe { &*this.0.as_ptr() }
    }
}

impl<T, H> Deref for Ref<T, H> {
    type Target = T;

    fn deref(&self) -> &T {
        Ref::to_static(*self)
    }
}

/// Some `T`s in a row, in the heap `H`.
#[repr(C)]
pub struct Slice<T: 'static, H> {
    start: NonNull<T>, // of no block, if there are no bytes
    length: usize,
    heap: PhantomData<fn() -> H>,
}

impl<T: Persist<H>, H: Heap> Slice<T, H> {
    /// Moves values into the heap. To append to an older slice: `Slice::new(old.iter().copied().chain(new))`. An empty
    /// slice takes no memory there.
    pub fn new(items: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        let mut items: Vec<T> = items.into_iter().collect();
        let length = items.len();
        if length == 0 {
            return Ok(Self::EMPTY);
        }
        let start = allocate::<T, H>(length)?;
        // SAFETY: the block has room for all of them, and is new. They aren't dropped here, as they are there now.
        unsafe {
            start.as_ptr().copy_from_nonoverlapping(items.as_ptr(), length);
            items.set_len(0);
        }
        Ok(Slice { start, length, heap: PhantomData })
    }
}

impl<T, H> Slice<T, H> {
    /// An empty one.
    pub const EMPTY: Self = Slice { start: NonNull::dangling(), length: 0, heap: PhantomData };

    /// A slice that isn't bound to `self`.
    pub fn to_static(self) -> &'static [T] {
        // SAFETY: only `Slice::new` and `EMPTY` make one: so many `T`s are there, as in `Ref::to_static`, or the length
        // is zero, and the start is aligned.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl<T, H> Deref for Slice<T, H> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.to_static()
    }
}

impl<'a, T, H> IntoIterator for &'a Slice<T, H> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> slice::Iter<'a, T> {
        self.iter()
    }
}

impl<T, H> Default for Slice<T, H> {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// A text in the heap `H`.
#[repr(transparent)]
pub struct Str<H>(Slice<u8, H>);

impl<H: Heap> Str<H> {
    /// Copies a text into the heap. Each call takes memory there, even for a text that the heap has already. To avoid
    /// that, reuse the older `Str`, which is `Copy`.
    pub fn new(text: &str) -> Result<Self, Error> {
        Slice::new(text.bytes()).map(Str)
    }
}

impl<H> Str<H> {
    /// An empty one.
    pub const EMPTY: Self = Str(Slice::EMPTY);

    /// A text that isn't bound to `self`.
    pub fn to_static(self) -> &'static str {
        // SAFETY: only `Str::new` and `EMPTY` make one, of the bytes of a `str`.
        unsafe { str::from_utf8_unchecked(self.0.to_static()) }
    }
}

impl<H> Deref for Str<H> {
    type Target = str;

    fn deref(&self) -> &str {
        self.to_static()
    }
}

impl<H> Default for Str<H> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<H> fmt::Display for Str<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Keys and their values, in the heap `H`: an array in the order of the keys.
#[repr(transparent)]
pub struct Map<K: 'static, V: 'static, H>(Slice<Entry<K, V>, H>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
struct Entry<K, V> {
    key: K,
    value: V,
}

impl<K: Persist<H> + Ord, V: Persist<H>, H: Heap> Map<K, V, H> {
    /// Moves entries into the heap; of several with the same key, the last one.
    pub fn new<I: IntoIterator<Item = (K, V)>>(entries: I) -> Result<Self, Error> {
        let sorted: BTreeMap<K, V> = entries.into_iter().collect();
        Slice::new(sorted.into_iter().map(|(key, value)| Entry { key, value })).map(Map)
    }
}

impl<K, V, H> Map<K, V, H> {
    /// An empty one.
    pub const EMPTY: Self = Map(Slice::EMPTY);

    /// The value of a key, found by binary search.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let found = self.0.binary_search_by(|entry| entry.key.borrow().cmp(key));
        found.ok().map(|at| &self.0[at].value)
    }

    /// All entries, in the order of the keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&K, &V)> + DoubleEndedIterator {
        self.0.iter().map(|entry| (&entry.key, &entry.value))
    }

    /// All keys, in their order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &K> + DoubleEndedIterator {
        self.0.iter().map(|entry| &entry.key)
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &V> + DoubleEndedIterator {
        self.0.iter().map(|entry| &entry.value)
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K, V, H> Default for Map<K, V, H> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<K: Borrow<Q>, Q: Ord + ?Sized, V, H> Index<&Q> for Map<K, V, H> {
    type Output = V;

    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("no such key")
    }
}

impl<K: fmt::Debug, V: fmt::Debug, H> fmt::Debug for Map<K, V, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// What `&'static $target` implements, for a type that is `Copy` and compared by content like one.
macro_rules! impl_as_reference {
    ($([$($generics:ident)*] $type:ty => $target:ty, $content:ident;)*) => {$(
        impl<$($generics,)* H> Clone for $type {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<$($generics,)* H> Copy for $type {}

        impl<$($generics: PartialEq,)* H> PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                $content!(self) == $content!(other)
            }
        }

        impl<$($generics: Eq,)* H> Eq for $type {}

        impl<$($generics: Ord,)* H> PartialOrd for $type {
            fn partial_cmp(&self, other: &Self) -> Option<cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl<$($generics: Ord,)* H> Ord for $type {
            fn cmp(&self, other: &Self) -> cmp::Ordering {
                $content!(self).cmp($content!(other))
            }
        }

        impl<$($generics: hash::Hash,)* H> hash::Hash for $type {
            fn hash<S: hash::Hasher>(&self, state: &mut S) {
                $content!(self).hash(state);
            }
        }

        // SAFETY: it is used like a `&'static $target`.
        unsafe impl<$($generics: Sync,)* H> Send for $type {}
        // SAFETY: the same.
        unsafe impl<$($generics: Sync,)* H> Sync for $type {}
    )*};
}

macro_rules! pointee {
    ($pointer:expr) => {
        &**$pointer
    };
}

macro_rules! entries {
    ($map:expr) => {
        &*$map.0
    };
}

impl_as_reference! {
    [T] Ref<T, H> => T, pointee;
    [T] Slice<T, H> => [T], pointee;
    [] Str<H> => str, pointee;
    [K V] Map<K, V, H> => [Entry<K, V>], entries;
}

macro_rules! impl_as_target {
    ($([$($generics:ident)*] $type:ty => $target:ty;)*) => {$(
        impl<$($generics: fmt::Debug,)* H> fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<$($generics,)* H> Borrow<$target> for $type {
            fn borrow(&self) -> &$target {
                self
            }
        }

        impl<$($generics,)* H> AsRef<$target> for $type {
            fn as_ref(&self) -> &$target {
                self
            }
        }
    )*};
}

impl_as_target! {
    [T] Ref<T, H> => T;
    [T] Slice<T, H> => [T];
    [] Str<H> => str;
}

/// A hash (FNV-1a) of a layout. A change of what is hashed is a change of [`SCHEME`].
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Fingerprint(u64);

const SCHEME: u64 = 1;

impl Fingerprint {
    #[doc(hidden)]
    pub const fn new(name: &str) -> Self {
        Fingerprint(0xcbf2_9ce4_8422_2325).number(SCHEME).text(name)
    }

    const fn bytes(mut self, bytes: &[u8]) -> Self {
        let mut at = 0;
        while at < bytes.len() {
            self.0 = (self.0 ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
            at += 1;
        }
        self
    }

    #[doc(hidden)]
    pub const fn number(self, number: u64) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    /// With its length, so that two texts differ from another two.
    #[doc(hidden)]
    pub const fn text(self, text: &str) -> Self {
        self.number(text.len() as u64).bytes(text.as_bytes())
    }

    #[doc(hidden)]
    pub const fn size_of<T>(self) -> Self {
        self.number(mem::size_of::<T>() as u64).number(mem::align_of::<T>() as u64)
    }

    /// Never 0, the tag of heaps that have none.
    #[doc(hidden)]
    pub const fn finish(self) -> u64 {
        if self.0 == 0 {
            1
        } else {
            self.0
        }
    }
}

macro_rules! impl_persist {
    ($($type:ident)*) => {$(
        // SAFETY: each of its values is plain bytes, whose meaning the name, the size and the alignment say.
        unsafe impl<H> Persist<H> for $type {
            const LAYOUT: u64 = Fingerprint::new(stringify!($type)).size_of::<Self>().finish();
        }
    )*};
}

impl_persist! {
    u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 bool char
    NonZeroU8 NonZeroU16 NonZeroU32 NonZeroU64 NonZeroU128 NonZeroUsize
    NonZeroI8 NonZeroI16 NonZeroI32 NonZeroI64 NonZeroI128 NonZeroIsize
}

/// For types that are built of others.
macro_rules! impl_persist_with {
    ($([$($generics:tt)*] $type:ty, $name:literal $(, $part:expr)*;)*) => {$(
        // SAFETY: no bytes but its parts', which are `Persist<H>`, lengths, and addresses of such parts in `H`, or
        // null, or not dereferenced; and the layout is the language's, or `repr(C)`.
        unsafe impl<$($generics)*> Persist<H> for $type {
            const LAYOUT: u64 = Fingerprint::new($name)$(.number($part))*.size_of::<Self>().finish();
        }
    )*};
}

/// For types whose `Option<T>` is [`Persist`] too.
///
/// # Safety
///
/// The language says that an `Option` of it is laid out as it is, with a zero for `None`.
#[doc(hidden)]
pub unsafe trait NonZero {}

// SAFETY: core::option: so it is for a `NonNull`, and for what is `repr(transparent)` around one.
unsafe impl<T, H> NonZero for Ref<T, H> {}

macro_rules! impl_non_zero {
    ($($type:ident)*) => {$(
        // SAFETY: core::num: so it is.
        unsafe impl NonZero for $type {}
    )*};
}

impl_non_zero! {
    NonZeroU8 NonZeroU16 NonZeroU32 NonZeroU64 NonZeroU128 NonZeroUsize
    NonZeroI8 NonZeroI16 NonZeroI32 NonZeroI64 NonZeroI128 NonZeroIsize
}

impl_persist_with! {
    [H] (), "unit";
    [T: Persist<H>, const N: usize, H] [T; N], "array", T::LAYOUT, N as u64;
    [T: NonZero + Persist<H>, H] Option<T>, "Option", T::LAYOUT;
    [T: Persist<H>, H: 'static] Ref<T, H>, "Ref", T::LAYOUT;
    [T: Persist<H>, H: 'static] Slice<T, H>, "Slice", T::LAYOUT;
    [H: 'static] Str<H>, "Str", <Slice<u8, H> as Persist<H>>::LAYOUT;
    [K: Persist<H>, V: Persist<H>, H] Entry<K, V>, "Entry", K::LAYOUT, V::LAYOUT;
    [K: Persist<H>, V: Persist<H>, H: 'static] Map<K, V, H>, "Map", K::LAYOUT, V::LAYOUT;
}

/// Declares a persistent heap and the types that may be in it: see [`filz::persistent`](mod@crate::persistent).
///
/// First comes the heap: a name, the type of its root, and the path of its file, which is a string literal or a
/// `concat!`. Structs with named fields and enums without fields follow. They may have attributes, such as `derive`,
/// and may refer to each other and to themselves through [`Ref`](crate::persistent::Ref),
/// [`Slice`](crate::persistent::Slice) and [`Map`](crate::persistent::Map). The macro makes them `repr(C)` and
/// `repr(u8)`. It implements unsafe traits, so a crate may deny `unsafe_code`, but not forbid it.
///
/// ```no_run
/// use filz::persistent::{Heap, Ref, Str};
///
/// filz::persistent! {
///     heap Notes: Note = "notes.filz";
///
///     #[derive(Debug, PartialEq)]
///     struct Note {
///         kind: Kind,
///         text: Str<Notes>,
///         before: Option<Ref<Note, Notes>>,
///     }
///
///     #[derive(Clone, Copy, Debug, PartialEq)]
///     enum Kind {
///         Thought,
///         Task,
///     }
/// }
///
/// let before = Notes::open()?;
/// let note = Notes::set_root(Note { kind: Kind::Task, text: Str::new("feed the fish")?, before })?;
/// assert_eq!(note.text, Str::new("feed the fish")?);
/// # Ok::<(), filz::persistent::Error>(())
/// ```
#[macro_export]
macro_rules! persistent {
    (
        $(#[$heap_attribute:meta])*
        $heap_vis:vis heap $Heap:ident: $Root:ty = $path:expr;
        $($(#[$attribute:meta])* $vis:vis $kind:ident $Name:ident { $($body:tt)* })*
    ) => {
        $(#[$heap_attribute])*
        $heap_vis enum $Heap {}

        // SAFETY: one static; a tag of all structs and enums that are `Persist<$Heap>`.
        #[allow(unsafe_code)]
        unsafe impl $crate::persistent::Heap for $Heap {
            type Root = $Root;

            const TAG: u64 = $crate::persistent::Fingerprint::new("heap")
                .number(<$Root as $crate::persistent::Persist<$Heap>>::LAYOUT)
                $(
                    .number(<$Name as $crate::persistent::Persist<$Heap>>::LAYOUT)
                    .number(<$Name as $crate::persistent::Persist<$Heap>>::FIELDS)
                )*
                .finish();

            fn storage() -> &'static $crate::persistent::Storage {
                static STORAGE: $crate::persistent::Storage = $crate::persistent::Storage::new(
                    $path,
                    <$Heap as $crate::persistent::Heap>::TAG,
                );
                &STORAGE
            }
        }

        $($crate::persistent! { @unsafe $kind $Heap [$(#[$attribute])*] [$vis] $Name { $($body)* } })*
    };

    // `unsafe`, because a type outside the heap's declaration isn't part of its tag.
    (
        @unsafe struct $Heap:ident [$(#[$attribute:meta])*] [$vis:vis] $Name:ident {
            $($(#[$field_attribute:meta])* $field_vis:vis $field:ident: $Field:ty),* $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[repr(C)]
        $vis struct $Name {
            $($(#[$field_attribute])* $field_vis $field: $Field,)*
        }

        // SAFETY: `repr(C)`, and each field is `Persist<$Heap>`: else this doesn't compile.
        #[allow(unsafe_code)]
        unsafe impl $crate::persistent::Persist<$Heap> for $Name {
            const LAYOUT: u64 =
                $crate::persistent::Fingerprint::new("struct").text(::core::stringify!($Name)).finish();
            const FIELDS: u64 = $crate::persistent::Fingerprint::new("fields")
                .size_of::<Self>()
                $(
                    .text(::core::stringify!($field))
                    .number(<$Field as $crate::persistent::Persist<$Heap>>::LAYOUT)
                    .size_of::<$Field>()
                )*
                .finish();
        }

        // It has exactly these fields, of these types, whatever the attributes have done.
        const _: () = {
            #[allow(dead_code)]
            fn fields(value: &$Name) {
                let $Name { $($field),* } = value;
                $(let _: *const $Field = ::core::ptr::addr_of!(*$field);)*
            }
        };
    };

    (
        @unsafe enum $Heap:ident [$(#[$attribute:meta])*] [$vis:vis] $Name:ident {
            $($(#[$variant_attribute:meta])* $Variant:ident $(= $value:expr)?),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[repr(u8)]
        $vis enum $Name {
            $($(#[$variant_attribute])* $Variant $(= $value)?,)+
        }

        // SAFETY: `repr(u8)`, without fields: else the casts don't compile.
        #[allow(unsafe_code)]
        unsafe impl $crate::persistent::Persist<$Heap> for $Name {
            const LAYOUT: u64 = $crate::persistent::Fingerprint::new("enum").text(::core::stringify!($Name)).finish();
            const FIELDS: u64 = $crate::persistent::Fingerprint::new("variants")
                .size_of::<Self>()
                $(.text(::core::stringify!($Variant)).number($Name::$Variant as u8 as u64))+
                .finish();
        }
    };
}
