// Made from include/filz.h with the feature `bindgen`; not to be edited.

pub const FILZ_VERSION_MAJOR: u32 = 0;
pub const FILZ_VERSION_MINOR: u32 = 1;
pub const FILZ_VERSION_PATCH: u32 = 0;
pub const FILZ_VERSION: &[u8; 6] = b"0.1.0\0";
pub const FILZ_MMAP_DUMP: u32 = 1;
pub const FILZ_MMAP_REOPEN: u32 = 2;
pub const FILZ_PAGE_FREE: u32 = 0;
pub const FILZ_PAGE_USED: u32 = 1;
pub const FILZ_PAGE_REST: u32 = 2;
pub const FILZ_PAGE_KIND: u32 = 3;
pub const FILZ_PAGE_IN_RAM: u32 = 4;
#[repr(C)]
#[derive(Copy, Clone)]
pub struct filz_mmap {
    pub path: *const super::c::c_char,
    pub capacity: usize,
    pub flags: super::c::c_uint,
    pub tag: u64,
    pub complained: super::c::c_uint,
    pub id: usize,
    pub heap: *mut filz_heap,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub struct filz_mmap_info {
    pub path: *const super::c::c_char,
    pub capacity: usize,
    pub committed: usize,
    pub reserved: usize,
    pub used: usize,
    pub blocks: usize,
    pub chunks: usize,
    pub threads: usize,
    pub page_size: usize,
}
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
pub struct filz_heap {
    pub _address: u8,
}
extern "C" {
    pub fn filz_mmap_open(self_: *mut filz_mmap) -> super::c::c_int;
    pub fn filz_mmap_reason(error: super::c::c_int) -> *const super::c::c_char;
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
    pub fn filz_mmap_stats(self_: *const filz_mmap, out: *mut filz_mmap_info) -> super::c::c_int;
    pub fn filz_mmap_pages(
        self_: *const filz_mmap,
        first: usize,
        count: usize,
        states: *mut super::c::c_uchar,
    ) -> usize;
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
    pub fn filz_stack_try_alloc(self_: *mut filz_stack, size: usize, align: usize) -> *mut super::c::c_void;
    pub fn filz_stack_try_alloc_zeroed(self_: *mut filz_stack, size: usize, align: usize) -> *mut super::c::c_void;
    pub fn filz_stack_try_realloc(
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
    pub fn filz_stack_stats(self_: *const filz_stack, out: *mut filz_stack_info) -> super::c::c_int;
}
