//! Prints figures for the harness to read: a name and a number a line.

use std::fs;
use std::time::Instant;

pub fn say(name: &str, figure: u128) {
    println!("{name} {figure}");
}

/// The number after `name` in a file of /proc/self.
fn in_proc(file: &str, name: &str) -> u128 {
    let text = fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Pages brought in so far without the disk, by a fault or ahead of one: the tenth number of the file.
fn pages() -> u128 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().nth(7).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn anonymous_and_file() -> [u128; 2] {
    let file = in_proc("status", "RssFile:") + in_proc("status", "RssShmem:");
    [in_proc("status", "RssAnon:") * 1024, file * 1024]
}

/// Runs a workload and says how long it took, how much memory it left in use, and how many pages came in.
pub fn measure(workload: impl FnOnce()) {
    let ([anonymous, file], pages_before) = (anonymous_and_file(), pages());
    let start = Instant::now();
    workload();
    say("nanoseconds", start.elapsed().as_nanos());
    say("pages", pages() - pages_before);
    let [anonymous_now, file_now] = anonymous_and_file();
    say("anonymous", anonymous_now.saturating_sub(anonymous));
    say("file", file_now.saturating_sub(file));
    say("peak", in_proc("status", "VmHWM:") * 1024);
}
