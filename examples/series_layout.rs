// Made from series.h with the feature `bindgen`; not to be edited.

pub const SERIES_TAG: u64 = 126879548401011;
#[repr(C)]
#[derive(Copy, Clone)]
pub struct series {
    pub name: *const std::os::raw::c_char,
    pub values: *const f64,
    pub count: usize,
    pub next: *const series,
}
