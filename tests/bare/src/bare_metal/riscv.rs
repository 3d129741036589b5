//! RISC-V in machine mode.

use core::arch::{asm, global_asm};

use super::{fault, start};

// The linker script puts .start first, where QEMU begins. A trap handler keeps every register that Rust may change.
global_asm!(
    ".section .start, \"ax\"",
    ".global _start",
    "_start:",
    "la sp, __stack",
    "la t0, on_trap",
    "csrw mtvec, t0",
    "j on_start",
    ".balign 4",
    "on_trap:",
    "addi sp, sp, -64",
    "sw ra, 0(sp)",
    "sw t0, 4(sp)",
    "sw t1, 8(sp)",
    "sw t2, 12(sp)",
    "sw t3, 16(sp)",
    "sw t4, 20(sp)",
    "sw t5, 24(sp)",
    "sw t6, 28(sp)",
    "sw a0, 32(sp)",
    "sw a1, 36(sp)",
    "sw a2, 40(sp)",
    "sw a3, 44(sp)",
    "sw a4, 48(sp)",
    "sw a5, 52(sp)",
    "sw a6, 56(sp)",
    "sw a7, 60(sp)",
    "csrr a0, mcause",
    "call on_cause",
    "lw ra, 0(sp)",
    "lw t0, 4(sp)",
    "lw t1, 8(sp)",
    "lw t2, 12(sp)",
    "lw t3, 16(sp)",
    "lw t4, 20(sp)",
    "lw t5, 24(sp)",
    "lw t6, 28(sp)",
    "lw a0, 32(sp)",
    "lw a1, 36(sp)",
    "lw a2, 40(sp)",
    "lw a3, 44(sp)",
    "lw a4, 48(sp)",
    "lw a5, 52(sp)",
    "lw a6, 56(sp)",
    "lw a7, 60(sp)",
    "addi sp, sp, 64",
    "mret",
);

#[no_mangle]
extern "C" fn on_start() -> ! {
    start()
}

#[no_mangle]
extern "C" fn on_cause(cause: usize) {
    const MACHINE_TIMER: usize = 1 << 31 | 7;
    if cause != MACHINE_TIMER {
        fault()
    }
    timer::stop();
    crate::interrupts::timer_interrupt();
}

/// # Safety
///
/// `argument` is what semihosting asks for with this operation.
pub unsafe fn ask_host(operation: usize, argument: usize) {
    // SAFETY: the caller's promise. The three instructions are in one page and not compressed, as semihosting wants it.
    unsafe {
        asm!(
            ".balign 16",
            ".option push",
            ".option norvc",
            "slli x0, x0, 0x1f",
            "ebreak",
            "srai x0, x0, 7",
            ".option pop",
            inlateout("a0") operation => _,
            in("a1") argument,
        );
    }
}

/// The machine timer of QEMU's `virt`, with one interrupt for each start.
pub mod timer {
    use core::arch::asm;

    const COMPARE: *mut [u32; 2] = 0x0200_4000 as *mut [u32; 2];
    const NOW: *const u32 = 0x0200_bff8 as *const u32;
    const TIMER_INTERRUPT: usize = 1 << 7;
    const INTERRUPTS: usize = 1 << 3;

    pub fn start(ticks: u32) {
        // SAFETY: the registers of the timer, and the handler is there. All of this takes less than 2^32 ticks.
        unsafe {
            COMPARE.write_volatile([NOW.read_volatile() + ticks, 0]);
            asm!("csrs mie, {}", in(reg) TIMER_INTERRUPT);
            asm!("csrs mstatus, {}", in(reg) INTERRUPTS);
        }
    }

    pub fn stop() {
        // SAFETY: the same.
        unsafe { COMPARE.write_volatile([u32::MAX; 2]) };
    }
}

/// Says whether they were masked before.
#[cfg(not(target_has_atomic = "ptr"))]
pub fn mask_interrupts() -> bool {
    let status: usize;
    // SAFETY: machine mode may.
    unsafe { asm!("csrrci {}, mstatus, 8", out(reg) status) };
    status & 8 == 0
}

#[cfg(not(target_has_atomic = "ptr"))]
pub fn unmask_interrupts() {
    // SAFETY: machine mode may.
    unsafe { asm!("csrsi mstatus, 8") };
}
