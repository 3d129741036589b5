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
 * The allocator is a small header with the buffer right after it, so it may live anywhere: in .bss, on the stack, in a
 * page of a driver. An allocation bumps one number, `used`, by one compare-and-swap, and writes nothing else. A block
 * costs its size plus the padding that its alignment needs. Blocks of alignment 1 fill the buffer to its last byte.
 * Nothing is freed before `filz_stack_reset` or `filz_stack_rewind`.
 *
 * THREADS. alloc, realloc, dealloc, owns, mark and stats are lock-free. They may be called at any time from any thread,
 * signal handler or interrupt. init, reset and rewind require exclusive access: no other call on the allocator may be
 * under way, and the blocks that they end must not be used afterwards.
 *
 * WITHOUT COMPARE-AND-SWAP. Some processors have no compare-and-swap (Cortex-M0 and M0+, RISC-V without the A
 * extension). libfilz compiles for them only with -DFILZ_COMPARE_AND_SWAP, which says that the program supplies
 * filz_compare_and_swap. On a Cortex-M0, it may be:
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
 * Masking interrupts is correct only on one core, in privileged code. In unprivileged code a Cortex-M silently ignores
 * `cpsid`, and `cpsid` doesn't stop a second core: in both cases two blocks would overlap. It doesn't stop an interrupt
 * that can't be masked either, so such an interrupt must not allocate.
 *
 * ADDRESSSANITIZER. If the library is compiled with -fsanitize=address, an access to memory that isn't allocated is
 * caught, except in up to 7 bytes after a block. This covers FILZ_STACK's buffer, and the memory that filz_stack_init
 * is given unless that is on the stack, because nothing would unpoison it there. The memory may be freed, or become an
 * allocator again; before any other use, call __asan_unpoison_memory_region on it. Its allocator can't be moved.
 * ASAN_OPTIONS=allow_user_poisoning=0 turns the check off.
 *
 * ERRORS. A function that can't allocate, because `align` isn't a power of two or the block doesn't fit, returns NULL
 * and allocates nothing. It leaves errno alone.
 *
 * See D. R. Hanson, "Fast allocation and deallocation of memory based on object lifetimes", Software: Practice and
 * Experience 20(1), 1990. */
#ifndef FILZ_STACK_H
#define FILZ_STACK_H

#include "api.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The header. Its buffer of `capacity` bytes follows it in memory. It holds no pointer, so it may be moved (copied,
 * with its buffer) as long as nothing has been allocated. Read the fields with filz_stack_stats. */
typedef struct filz_stack {
    size_t capacity; /* bytes in the buffer */
    size_t used;     /* bytes allocated so far, padding included */
} filz_stack;

typedef struct filz_stack_info {
    size_t capacity; /* bytes in the buffer */
    size_t used;     /* bytes allocated so far, padding included */
} filz_stack_info;

/* Used at file scope. Defines `name`, a `filz_stack *` for this source file, with a buffer of `bytes` bytes in .bss, so
 * the program file doesn't grow by the buffer. A constructor initializes it before main, and on ELF systems before
 * constructors without a priority. A freestanding program that runs no constructors calls filz_stack_init itself. */
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
/* The program supplies this function, see WITHOUT COMPARE-AND-SWAP. If `*at` is `expected`, it sets `*at` to `desired`
 * and returns true, else it changes nothing and returns false. Nothing that may call this library may run between the
 * comparison and the store. */
bool filz_compare_and_swap(size_t *at, size_t expected, size_t desired);
#endif

/* Makes an allocator in the `bytes` bytes at `memory`. The caller owns them, and may free them when the allocator isn't
 * used any more. The header goes to the first aligned address in them. The bytes after it, whatever they hold, become
 * the buffer. Returns NULL if the header doesn't fit, or `memory` is NULL. */
FILZ_API filz_stack *filz_stack_init(void *memory, size_t bytes);

/* Returns a block of `size` bytes at a multiple of `align`, a power of two of any size. Size 0 gives a block of its
 * own, as size 1 does. The block isn't cleared. NULL: see ERRORS. */
FILZ_API FILZ_ALLOCATES(2, 3) void *filz_stack_alloc(filz_stack *self, size_t size, size_t align);

/* The same, and the block is zero. It is always cleared, because the buffer may have been written before. */
FILZ_API FILZ_ALLOCATES(2, 3) void *filz_stack_alloc_zeroed(filz_stack *self, size_t size, size_t align);

/* Changes the size of `block`, which must have come from this allocator with this `size` and `align`. A build without
 * NDEBUG traps where that can't be true; other builds don't check it. The newest block grows and shrinks in place. Any
 * other block keeps its address when it shrinks, and is copied to a new block when it grows. If this returns NULL, the
 * old block is unchanged. If `block` is NULL, this is an alloc. A `new_size` of 0 is taken as 1. */
FILZ_API FILZ_ALLOCATES(5, 4) void *filz_stack_realloc(filz_stack *self, void *block, size_t size, size_t align,
                                                       size_t new_size);

/* Does nothing: a block lives until reset or rewind. */
FILZ_API void filz_stack_dealloc(filz_stack *self, void *block, size_t size, size_t align);

/* Whether `address` lies in the buffer, allocated or not. */
FILZ_API bool filz_stack_owns(const filz_stack *self, const void *address);

/* Returns how many bytes are allocated, as a mark for filz_stack_rewind. */
FILZ_API size_t filz_stack_mark(const filz_stack *self);

/* Sets the allocated bytes back to `mark`, and so ends all that lies after it: every block allocated since, and the
 * bytes by which an older block has grown. Only if an older block has shrunk since may a newer block lie before `mark`.
 * Such a block stays, except for its bytes after `mark`. A mark above the bytes in use changes nothing. */
FILZ_API void filz_stack_rewind(filz_stack *self, size_t mark);

/* Ends every block. */
FILZ_API void filz_stack_reset(filz_stack *self);

/* Fills `out`. */
FILZ_API void filz_stack_stats(const filz_stack *self, filz_stack_info *out);

#ifdef __cplusplus
}
#endif

#endif
