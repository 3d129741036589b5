/* filz/stack.h: a bump allocator over a fixed buffer.
 *
 *     #include <filz/stack.h>
 *     #include <stdio.h>
 *
 *     FILZ_STACK(scratch, 4096)
 *
 *     int main(void)
 *     {
 *         char *name = filz_stack_alloc(scratch, 32, 1);
 *         if (name == NULL)
 *             return 1;
 *         snprintf(name, 32, "block at byte %zu", filz_stack_mark(scratch) - 32);
 *         puts(name);
 *         filz_stack_reset(scratch);
 *         return 0;
 *     }
 *
 * The allocator is a small header and the buffer right after it, so it may live anywhere: in .bss, on the stack, in a
 * page of a driver. An allocation moves one number, `used`, by one compare-and-swap; nothing else is written. A block
 * costs its size plus the padding that its alignment needs, and blocks of alignment 1 fill the buffer to its last byte.
 * Nothing is given back before `filz_stack_reset` or `filz_stack_rewind`.
 *
 * THREADS. alloc, realloc, dealloc, owns, mark and stats may be called from any thread, and from a signal handler or an
 * interrupt, at any time; they are lock-free. init, reset and rewind require exclusive access: no other call on it may
 * be under way, and the blocks they end must not be used afterwards.
 *
 * WITHOUT COMPARE-AND-SWAP. Some processors have none (Cortex-M0 and M0+, RISC-V without the A extension), and libfilz
 * isn't compiled for them unless -DFILZ_COMPARE_AND_SWAP says that the program supplies filz_compare_and_swap. On a
 * Cortex-M0, that may be:
 *
 *     bool filz_compare_and_swap(size_t *at, size_t expected, size_t desired)
 *     {
 *         unsigned masked;
 *         __asm__ volatile("mrs %0, primask\n cpsid i" : "=r"(masked)::"memory");
 *         bool same = *at == expected;
 *         if (same)
 *             *at = desired;
 *         __asm__ volatile("msr primask, %0" ::"r"(masked) : "memory");
 *         return same;
 *     }
 *
 * Masking interrupts is right only where nothing else can come between: on one core, in privileged code. In
 * unprivileged code a Cortex-M ignores `cpsid` without a word, and a second core isn't stopped by it: two blocks would
 * overlap. Nor does it stop an interrupt that can't be masked, which must not allocate.
 *
 * ADDRESSSANITIZER. Where the library is compiled with -fsanitize=address, an access to what isn't allocated is caught,
 * but for up to 7 bytes after a block: in FILZ_STACK's buffer, and in what filz_stack_init is given unless that is on
 * the stack, where nobody would unpoison it. Such memory may be freed, and may become an allocator again; for another
 * use call __asan_unpoison_memory_region first. It can't be moved. ASAN_OPTIONS=allow_user_poisoning=0 turns it off.
 *
 * ERRORS. A function that can't allocate returns NULL and takes nothing: `align` isn't a power of two, or the block
 * doesn't fit. errno is left alone.
 *
 * The idea is as old as the stack pointer; see D. R. Hanson, "Fast allocation and deallocation of memory based on
 * object lifetimes", Software: Practice and Experience 20(1), 1990. */
#ifndef FILZ_STACK_H
#define FILZ_STACK_H

#include "api.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The header. Its buffer of `capacity` bytes follows it in memory. It holds no pointer, so it may be moved (copied,
 * with its buffer) as long as nothing has been allocated. The fields are read with filz_stack_stats. */
typedef struct filz_stack {
    size_t capacity; /* bytes in the buffer */
    size_t used;     /* bytes allocated so far, padding included */
} filz_stack;

typedef struct filz_stack_info {
    size_t capacity; /* bytes in the buffer */
    size_t used;     /* bytes allocated so far, padding included */
} filz_stack_info;

/* At file scope: defines `name`, a `filz_stack *` for this source file, with a buffer of `bytes` bytes in .bss.
 * A constructor sets it up before main and before other constructors; the program file doesn't grow by the buffer. A
 * freestanding program that runs no constructors calls filz_stack_init itself. */
#define FILZ_STACK(name, bytes)                                                                                        \
    static struct {                                                                                                    \
        filz_stack header;                                                                                             \
        unsigned char buffer[bytes];                                                                                   \
    } name##_memory;                                                                                                   \
    static filz_stack *const name = &name##_memory.header;                                                             \
    __attribute__((constructor(101))) static void name##_set_up(void)                                                  \
    {                                                                                                                  \
        filz_stack_init(&name##_memory, sizeof(filz_stack) + sizeof(name##_memory.buffer));                            \
    }

#ifdef FILZ_COMPARE_AND_SWAP
/* Supplied by the program, see WITHOUT COMPARE-AND-SWAP: if `*at` is `expected`, makes it `desired` and returns true,
 * else changes nothing and returns false. Nothing that may call this library comes between the two. */
bool filz_compare_and_swap(size_t *at, size_t expected, size_t desired);
#endif

/* Makes an allocator in `bytes` bytes of the caller's at `memory`, which stay the caller's to free once the allocator
 * isn't used any more. The header is put at the first aligned address in them; the rest, whatever it holds, becomes the
 * buffer. Returns NULL if not even the header fits, or `memory` is NULL. */
FILZ_API filz_stack *filz_stack_init(void *memory, size_t bytes);

/* A block of `size` bytes at a multiple of `align`, a power of two of any size. Size 0 gives a block of its own, as
 * size 1 does. The contents are whatever was there. NULL: see ERRORS. */
FILZ_API FILZ_ALLOCATES(2, 3) void *filz_stack_alloc(filz_stack *self, size_t size, size_t align);

/* The same, and the block is zero. The buffer may have been written before, so this always clears it. */
FILZ_API FILZ_ALLOCATES(2, 3) void *filz_stack_alloc_zeroed(filz_stack *self, size_t size, size_t align);

/* Changes the size of `block`, which must have come from this allocator with this `size` and `align`: a build
 * without NDEBUG traps where that can't be, no other build checks it. The newest block grows and shrinks where it
 * stands; any other block keeps its address when it shrinks, and is copied to a new one when it grows. NULL leaves the
 * old block as it was. A `block` of NULL is an alloc. */
FILZ_API FILZ_ALLOCATES(5, 4) void *filz_stack_realloc(filz_stack *self, void *block, size_t size, size_t align,
                                                       size_t new_size);

/* Does nothing: a block lives until reset or rewind. */
FILZ_API void filz_stack_dealloc(filz_stack *self, void *block, size_t size, size_t align);

/* Whether `address` lies in the buffer, allocated or not. */
FILZ_API bool filz_stack_owns(const filz_stack *self, const void *address);

/* How many bytes are allocated: a place to come back to. */
FILZ_API size_t filz_stack_mark(const filz_stack *self);

/* Sets what is allocated back to `mark`, and so ends what lies after it: every block allocated since, and what an
 * older one has grown by. Only where an older one has shrunk since may a younger one lie before `mark`: it stays, but
 * for what reaches beyond `mark`. A mark above what is in use changes nothing. */
FILZ_API void filz_stack_rewind(filz_stack *self, size_t mark);

/* Ends every block. */
FILZ_API void filz_stack_reset(filz_stack *self);

/* Fills `out`. */
FILZ_API void filz_stack_stats(const filz_stack *self, filz_stack_info *out);

#ifdef __cplusplus
}
#endif

#endif
