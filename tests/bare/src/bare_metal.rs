//! What a program without a system needs, on the machines that QEMU has: a start, a timer, and a host for its output
//! ("semihosting", <https://github.com/ARM-software/abi-aa/blob/main/semihosting/semihosting.rst>).

use core::fmt;
use core::panic::PanicInfo;

#[cfg(target_arch = "arm")]
#[path = "bare_metal/cortex_m.rs"]
mod machine;
#[cfg(target_arch = "riscv32")]
#[path = "bare_metal/riscv.rs"]
mod machine;

pub use machine::timer;

pub struct Host;

impl fmt::Write for Host {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        const SYS_WRITEC: usize = 3;
        for byte in text.bytes() {
            // SAFETY: SYS_WRITEC reads one byte.
            unsafe { machine::ask_host(SYS_WRITEC, &byte as *const u8 as usize) };
        }
        Ok(())
    }
}

fn exit(code: usize) -> ! {
    const SYS_EXIT_EXTENDED: usize = 0x20;
    const APPLICATION_EXIT: usize = 0x20026;
    let reason = [APPLICATION_EXIT, code];
    // SAFETY: SYS_EXIT_EXTENDED reads two words.
    unsafe { machine::ask_host(SYS_EXIT_EXTENDED, reason.as_ptr() as usize) };
    loop {}
}

/// What `machine` calls first, once there is a stack.
fn start() -> ! {
    crate::main();
    exit(0)
}

fn fault() -> ! {
    crate::say!("the processor has met a fault\n");
    exit(1)
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    crate::say!("{info}\n");
    exit(1)
}

#[cfg(not(target_has_atomic = "ptr"))]
mod masked {
    use super::machine;

    struct Masked;
    critical_section::set_impl!(Masked);

    // SAFETY: one core, privileged code: with the interrupts masked, nothing comes between.
    unsafe impl critical_section::Impl for Masked {
        unsafe fn acquire() -> bool {
            machine::mask_interrupts()
        }

        unsafe fn release(were_masked: bool) {
            if !were_masked {
                machine::unmask_interrupts();
            }
        }
    }
}
