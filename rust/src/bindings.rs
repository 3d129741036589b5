// Made from include/filz.h with the feature `bindgen`; not to be edited.

pub const FILZ_VERSION_MAJOR: u32 = 0;
pub const FILZ_VERSION_MINOR: u32 = 1;
pub const FILZ_VERSION_PATCH: u32 = 0;
pub const FILZ_VERSION: &::core::ffi::CStr = c"0.1.0";
pub const FILZ_MMAP_PERSISTENT: u32 = 1;
pub const FILZ_MMAP_DUMP: u32 = 2;
pub const FILZ_MMAP_READ_ONLY: u32 = 4;
pub const FILZ_MMAP_PRIVATE: u32 = 8;
pub const FILZ_MMAP_SHARED: u32 = 16;
pub const FILZ_PAGE_FREE: u32 = 0;
pub const FILZ_PAGE_USED: u32 = 1;
pub const FILZ_PAGE_TAIL: u32 = 2;
pub const FILZ_PAGE_KIND: u32 = 3;
pub const FILZ_PAGE_IN_RAM: u32 = 4;
pub const FILZ_LOCAL_LARGEST: u32 = 8192;
pub const FILZ_LOCAL_ALIGN: u32 = 64;
#[repr(C)]
#[derive(Copy, Clone)]
pub struct filz_stack {
    pub capacity: usize,
    pub used: usize,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub struct filz_stack_info {
    pub capacity: usize,
    pub used: usize,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub struct filz_mmap {
    pub path: *const super::c::c_char,
    pub capacity: usize,
    pub flags: super::c::c_uint,
    pub tag: u64,
    pub base: usize,
    pub reported: super::c::c_uint,
    pub id: usize,
    pub heap: *mut filz_heap,
}
pub const FILZ_ECAPACITY: filz_error = -1;
pub const FILZ_EVARIABLE: filz_error = -2;
pub const FILZ_EFLAGS: filz_error = -3;
pub const FILZ_EPATH: filz_error = -4;
pub const FILZ_ENOTFILE: filz_error = -5;
pub const FILZ_ELINKS: filz_error = -6;
pub const FILZ_EOWNER: filz_error = -7;
pub const FILZ_EMODE: filz_error = -8;
pub const FILZ_EINUSE: filz_error = -9;
pub const FILZ_ENOTHEAP: filz_error = -10;
pub const FILZ_EPERSISTENT: filz_error = -11;
pub const FILZ_EFORMAT: filz_error = -12;
pub const FILZ_EWORDSIZE: filz_error = -13;
pub const FILZ_EPAGESIZE: filz_error = -14;
pub const FILZ_ETAG: filz_error = -15;
pub const FILZ_EDAMAGED: filz_error = -16;
pub const FILZ_ETRUNCATED: filz_error = -17;
pub const FILZ_ETOOSMALL: filz_error = -18;
pub const FILZ_EBASE: filz_error = -19;
pub const FILZ_ECLOSED: filz_error = -20;
pub const FILZ_EADDRESS: filz_error = -21;
pub const FILZ_EUNNAMED: filz_error = -22;
pub const FILZ_EFORKED: filz_error = -23;
pub type filz_error = super::c::c_int;
#[repr(C)]
#[derive(Copy, Clone)]
pub struct filz_mmap_info {
    pub path: *const super::c::c_char,
    pub capacity: usize,
    pub committed: usize,
    pub in_chunks: usize,
    pub used: usize,
    pub blocks: usize,
    pub chunks: usize,
    pub threads: usize,
    pub page_size: usize,
}
pub const FILZ_ADVICE_AUTO: filz_advice = 0;
pub const FILZ_ADVICE_RANDOM: filz_advice = 1;
pub const FILZ_ADVICE_SEQUENTIAL: filz_advice = 2;
pub const FILZ_ADVICE_WILL_NEED: filz_advice = 3;
pub const FILZ_ADVICE_COLD: filz_advice = 4;
pub const FILZ_ADVICE_PAGE_OUT: filz_advice = 5;
pub type filz_advice = super::c::c_uint;
#[repr(C)]
#[derive(Copy, Clone)]
pub struct filz_local {
    pub heap: *mut filz_mmap,
    pub end: *mut super::c::c_char,
    pub left: usize,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub struct filz_heap {
    pub _address: u8,
}
extern "C" {
    pub fn filz_stack_init(memory: *mut super::c::c_void, bytes: usize) -> *mut filz_stack;
    pub fn filz_stack_alloc(self_: *mut filz_stack, size: usize, align: usize) -> *mut super::c::c_void;
    pub fn filz_stack_alloc_zeroed(self_: *mut filz_stack, size: usize, align: usize) -> *mut super::c::c_void;
    pub fn filz_stack_realloc(
        self_: *mut filz_stack,
        block: *mut super::c::c_void,
        size: usize,
        align: usize,
        new_size: usize,
    ) -> *mut super::c::c_void;
    pub fn filz_stack_dealloc(self_: *mut filz_stack, block: *mut super::c::c_void, size: usize, align: usize);
    pub fn filz_stack_owns(self_: *const filz_stack, address: *const super::c::c_void) -> bool;
    pub fn filz_stack_mark(self_: *const filz_stack) -> usize;
    pub fn filz_stack_rewind(self_: *mut filz_stack, mark: usize);
    pub fn filz_stack_reset(self_: *mut filz_stack);
    pub fn filz_stack_stats(self_: *const filz_stack, out: *mut filz_stack_info);
    pub fn filz_error_text(error: super::c::c_int) -> *const super::c::c_char;
    pub fn filz_mmap_open(self_: *mut filz_mmap) -> super::c::c_int;
    pub fn filz_mmap_close(self_: *mut filz_mmap) -> super::c::c_int;
    pub fn filz_mmap_alloc(self_: *mut filz_mmap, size: usize, align: usize) -> *mut super::c::c_void;
    pub fn filz_mmap_alloc_zeroed(self_: *mut filz_mmap, size: usize, align: usize) -> *mut super::c::c_void;
    pub fn filz_mmap_realloc(
        self_: *mut filz_mmap,
        block: *mut super::c::c_void,
        size: usize,
        align: usize,
        new_size: usize,
    ) -> *mut super::c::c_void;
    pub fn filz_mmap_dealloc(self_: *mut filz_mmap, block: *mut super::c::c_void, size: usize, align: usize);
    pub fn filz_mmap_owns(self_: *const filz_mmap, address: *const super::c::c_void) -> bool;
    pub fn filz_mmap_reset(self_: *mut filz_mmap) -> super::c::c_int;
    pub fn filz_mmap_set_root(self_: *mut filz_mmap, root: *const super::c::c_void) -> super::c::c_int;
    pub fn filz_mmap_root(self_: *const filz_mmap) -> *mut super::c::c_void;
    pub fn filz_mmap_sync(self_: *mut filz_mmap) -> super::c::c_int;
    pub fn filz_mmap_publish(self_: *mut filz_mmap, path: *const super::c::c_char) -> super::c::c_int;
    pub fn filz_mmap_is_current(self_: *const filz_mmap) -> bool;
    pub fn filz_mmap_advise(
        self_: *mut filz_mmap,
        start: *const super::c::c_void,
        size: usize,
        advice: filz_advice,
    ) -> super::c::c_int;
    pub fn filz_mmap_stats(self_: *const filz_mmap, out: *mut filz_mmap_info) -> super::c::c_int;
    pub fn filz_mmap_pages(
        self_: *const filz_mmap,
        first: usize,
        count: *mut usize,
        states: *mut super::c::c_uchar,
    ) -> super::c::c_int;
    pub fn filz_local_alloc_slow(self_: *mut filz_local, size: usize, align: usize) -> *mut super::c::c_void;
    pub fn filz_local_alloc_zeroed(self_: *mut filz_local, size: usize, align: usize) -> *mut super::c::c_void;
    pub fn filz_local_realloc(
        self_: *mut filz_local,
        block: *mut super::c::c_void,
        size: usize,
        align: usize,
        new_size: usize,
    ) -> *mut super::c::c_void;
    pub fn filz_local_close(self_: *mut filz_local);
    pub fn filz_version() -> *const super::c::c_char;
}
