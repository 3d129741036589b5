//! A plugin on `MAlloc` (`examples/plugin.rs`) is loaded, used, and unloaded. The program itself knows nothing of filz.
//! Each test is a process of its own, because a thread that ends after the plugin is gone could end that process.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Barrier;
use std::{env, fs, mem, slice, thread};

const WORDS: usize = 10_000;

/// Where cargo has put it, beside this program's directory.
fn plugin_path() -> PathBuf {
    let program = env::current_exe().expect("this program's path");
    let target = program.parent().and_then(Path::parent).expect("target/<profile>/deps");
    let path = target.join("examples/libplugin.so");
    assert!(path.exists(), "{path:?} is missing: `cargo test` builds it, or `cargo build --examples`");
    path
}

type LeakWords = extern "C" fn(u64, usize) -> *const u64;
type Owns = extern "C" fn(*const u64) -> bool;

struct Plugin {
    library: *mut libc::c_void,
    leak_words: LeakWords,
    owns: Owns,
}

// SAFETY: dlopen's handle belongs to no thread.
unsafe impl Send for Plugin {}
// SAFETY: the functions may be called from any thread.
unsafe impl Sync for Plugin {}

impl Plugin {
    fn load(path: &Path) -> Result<Self, String> {
        let c_path = CString::new(path.as_os_str().as_bytes()).expect("no NUL");
        // SAFETY: the plugin's initialisation does nothing but what filz's and std's does.
        let library = unsafe { libc::dlopen(c_path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if library.is_null() {
            // SAFETY: dlopen has failed in this thread, so there is a message, until the next call.
            return Err(unsafe { CStr::from_ptr(libc::dlerror()) }.to_string_lossy().into_owned());
        }
        let find = |name: &CStr| {
            // SAFETY: the library is open.
            let function = unsafe { libc::dlsym(library, name.as_ptr()) };
            assert!(!function.is_null(), "{name:?}");
            function
        };
        let leak_words = find(c"leak_words");
        let owns = find(c"owns");
        // SAFETY: examples/plugin.rs defines it with this type.
        let leak_words = unsafe { mem::transmute::<*mut libc::c_void, LeakWords>(leak_words) };
        // SAFETY: the same.
        let owns = unsafe { mem::transmute::<*mut libc::c_void, Owns>(owns) };
        Ok(Plugin { library, leak_words, owns })
    }

    fn use_it(&self) {
        let block = (self.leak_words)(7, WORDS);
        assert!((self.owns)(block));
        // SAFETY: leak_words returns so many words, which live as long as the plugin.
        assert!(unsafe { slice::from_raw_parts(block, WORDS) }.iter().all(|&word| word == 7));
    }

    /// Nothing of it is left.
    fn unload(&self) {
        // SAFETY: nobody else is in the plugin, and its blocks aren't used any more.
        assert_eq!(unsafe { libc::dlclose(self.library) }, 0);
        let maps = fs::read_to_string("/proc/self/maps").expect("/proc");
        assert!(!maps.contains("libplugin.so"), "it is still mapped");
    }
}

fn load_use_and_unload() {
    let plugin = Plugin::load(&plugin_path()).expect("a plugin that can be loaded");
    plugin.use_it();
    plugin.unload();
}

fn fork_once() {
    let mut status = 0;
    // SAFETY: the child only ends.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::_exit(0);
        }
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
    }
    assert_eq!(status, 0);
}

/// Runs the test of this name in a process of its own; `body` is what it does there.
fn in_child(name: &str, body: fn()) {
    if cfg!(not(target_env = "gnu")) {
        println!("skipped {name}: this C library can't load a plugin with static thread-local storage");
        return;
    }
    if env::var_os("FILZ_TEST_UNLOAD").is_some() {
        return body();
    }
    let mut program = Command::new(env::current_exe().expect("this program's path"));
    let program = program.args(["--exact", name, "--nocapture"]).env("FILZ_TEST_UNLOAD", "1");
    let output = program.output().expect("this program");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
}

#[test]
fn a_thread_may_load_a_plugin_use_it_unload_it_and_end() {
    in_child("a_thread_may_load_a_plugin_use_it_unload_it_and_end", || {
        thread::spawn(load_use_and_unload).join().expect("a thread that has ended");
        fork_once();
    });
}

#[test]
fn a_thread_that_has_used_a_plugin_may_outlive_it() {
    in_child("a_thread_that_has_used_a_plugin_may_outlive_it", || {
        let plugin = Plugin::load(&plugin_path()).expect("a plugin that can be loaded");
        let used = Barrier::new(2);
        let unloaded = Barrier::new(2);
        thread::scope(|scope| {
            let (plugin, used, unloaded) = (&plugin, &used, &unloaded);
            scope.spawn(move || {
                plugin.use_it();
                used.wait();
                unloaded.wait();
            });
            used.wait();
            plugin.unload();
            fork_once();
            unloaded.wait();
        });
        fork_once();
    });
}

/// How many descriptors and mappings the process has, and how many bytes these are.
fn holdings() -> (usize, usize, u64) {
    let descriptors = fs::read_dir("/proc/self/fd").expect("/proc").count();
    let maps = fs::read_to_string("/proc/self/maps").expect("/proc");
    let address = |text| u64::from_str_radix(text, 16).expect("an address");
    let bytes = maps.lines().map(|line| {
        let (start, end) = line.split(' ').next().and_then(|range| range.split_once('-')).expect("a range");
        address(end) - address(start)
    });
    (descriptors, maps.lines().count(), bytes.sum())
}

#[test]
fn fifty_reloads_leak_no_descriptor_and_no_mapping() {
    in_child("fifty_reloads_leak_no_descriptor_and_no_mapping", || {
        for _ in 0..5 {
            load_use_and_unload(); // what is taken once is taken now
        }
        let before = holdings();
        for _ in 0..50 {
            load_use_and_unload();
        }
        let after = holdings();
        println!("(descriptors, mappings, bytes): {before:?}, and after 50 more reloads {after:?}");
        assert_eq!((before.0, before.1), (after.0, after.1));
        assert!(after.2 < before.2 + (1 << 20), "a heap is 64 GiB, or 512 MiB");
    });
}

/// Without the feature, about 17 find room in what glibc has reserved for the thread-local storage of libraries.
#[cfg(feature = "plugin")]
#[test]
fn a_hundred_plugins_with_the_feature_are_loaded_and_used_at_once() {
    in_child("a_hundred_plugins_with_the_feature_are_loaded_and_used_at_once", || {
        let directory = env::temp_dir().join(format!("filz-test-plugins-{}", std::process::id()));
        fs::create_dir(&directory).expect("a new directory");
        let copies: Vec<PathBuf> = (0..100).map(|i| directory.join(format!("libplugin.so.{i}"))).collect();
        let loaded: Result<Vec<Plugin>, String> = copies
            .iter()
            .map(|copy| {
                fs::copy(plugin_path(), copy).expect("disk space");
                Plugin::load(copy)
            })
            .collect();
        fs::remove_dir_all(&directory).expect("what was made");
        let plugins = loaded.expect("plugins that can be loaded");
        plugins.iter().for_each(Plugin::use_it);
        thread::scope(|scope| {
            // Joined: a scope alone doesn't wait for what the plugins do at the thread's end.
            scope.spawn(|| plugins.iter().for_each(Plugin::use_it)).join().expect("a thread that has ended");
        });
        println!("{} plugins", plugins.len());
        plugins.iter().rev().for_each(|plugin| {
            // SAFETY: nobody else is in the plugin, and its blocks aren't used any more.
            assert_eq!(unsafe { libc::dlclose(plugin.library) }, 0);
        });
    });
}
