// Made from index/index.h with the feature `bindgen`; not to be edited.

pub const INDEX_PATH: &::core::ffi::CStr = c"index.filz";
pub const INDEX_TAG: u64 = 115922851690497;
pub const INDEX_LINES: u32 = 100;
#[repr(C)]
#[derive(Copy, Clone)]
pub struct word {
    pub text: *const std::os::raw::c_char,
    pub lines: *const u32,
    pub count: usize,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub struct line {
    pub words: *const *const word,
    pub count: usize,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub struct statistics {
    pub words: usize,
    pub most_frequent: *const word,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub struct index {
    pub version: u64,
    pub last: bool,
    pub words: *const word,
    pub word_count: usize,
    pub lines: *const line,
    pub line_count: usize,
    pub statistics: *const statistics,
}
