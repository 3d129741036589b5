//! Cortex-M0 and M3.

use core::arch::asm;

use super::{fault, start};

/// What the processor calls: after the first stack pointer, which the linker script puts before them.
#[no_mangle]
#[link_section = ".vectors"]
static VECTORS: [unsafe extern "C" fn(); 15] = {
    let mut vectors = [on_fault as unsafe extern "C" fn(); 15];
    vectors[0] = on_reset;
    vectors[14] = on_timer;
    vectors
};

unsafe extern "C" fn on_reset() {
    start()
}

unsafe extern "C" fn on_fault() {
    fault()
}

unsafe extern "C" fn on_timer() {
    timer::stop();
    crate::interrupts::timer_interrupt();
}

/// # Safety
///
/// `argument` is what semihosting asks for with this operation.
pub unsafe fn ask_host(operation: usize, argument: usize) {
    // SAFETY: the caller's promise.
    unsafe { asm!("bkpt 0xab", inlateout("r0") operation => _, in("r1") argument) };
}

/// SysTick, with one interrupt for each start.
pub mod timer {
    const CONTROL: *mut u32 = 0xe000_e010 as *mut u32;
    const RELOAD: *mut u32 = 0xe000_e014 as *mut u32;
    const CURRENT: *mut u32 = 0xe000_e018 as *mut u32;

    pub fn start(ticks: u32) {
        // SAFETY: the registers of the processor's own timer, and the handler is there.
        unsafe {
            RELOAD.write_volatile(ticks);
            CURRENT.write_volatile(0);
            CONTROL.write_volatile(0b111);
        }
    }

    pub fn stop() {
        // SAFETY: the same.
        unsafe { CONTROL.write_volatile(0) };
    }
}

/// Says whether they were masked before.
#[cfg(not(target_has_atomic = "ptr"))]
pub fn mask_interrupts() -> bool {
    let primask: u32;
    // SAFETY: privileged code may.
    unsafe { asm!("mrs {}, primask", "cpsid i", out(reg) primask) };
    primask & 1 == 1
}

#[cfg(not(target_has_atomic = "ptr"))]
pub fn unmask_interrupts() {
    // SAFETY: privileged code may.
    unsafe { asm!("cpsie i") };
}
