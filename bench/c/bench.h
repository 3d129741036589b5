/* What the workloads use. BENCH_PEER is the header of one peer: an allocator's functions under the names
 *
 *     void bench_open(void)
 *     void *bench_alloc(size_t size, size_t align)      `align` is at most 16, here and below
 *     void *bench_zeroed(size_t size, size_t align)
 *     void *bench_realloc(void *block, size_t size, size_t align, size_t new_size)
 *     void bench_free(void *block)
 *     bool bench_reset(void)       ends every block, or all of the calling thread, and keeps the memory; false: the
 *                                  blocks are to be freed one by one
 *     size_t bench_used(void)      bytes allocated, as the allocator itself counts them; 0 if it doesn't
 *
 * They are inline, so that the workloads are compiled for each peer as a user's program would be. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The state of a peer is defined in support.c. */
#ifdef BENCH_STATE_HERE
#define BENCH_STATE
#else
#define BENCH_STATE extern
#endif

/* Ends the program: a measurement of something that failed is none. */
_Noreturn void bench_fail(const char *why);

/* Address space that takes no memory until it is touched. */
void *bench_region(size_t bytes);

/* The directory on the disk's own file system for heap files. */
const char *bench_directory(void);

#include BENCH_PEER

/* Prints a figure for the harness to read. */
void bench_say(const char *name, double figure);

double bench_nanoseconds(void);

struct bench_memory {
    double anonymous, file, peak; /* bytes in RAM */
    double written;               /* bytes that the disk has got or will get */
    double faults, pages;         /* page faults, -1 if not known; pages brought in */
};

struct bench_memory bench_memory_now(void);

/* What the compiler can't see through: it must believe that `block` is used. */
static inline void bench_escape(void *block)
{
    __asm__ volatile("" : : "r"(block) : "memory");
}

/* A block that must have been had, its first word written. */
static inline void bench_touch(void *block)
{
    if (block == NULL)
        bench_fail("out of memory");
    *(volatile uint32_t *)block = 1;
    bench_escape(block);
}

/* Small blocks are 16 to 79 bytes, aligned to 8. */
static inline size_t bench_small_size(size_t i)
{
    return 16 + i % 64;
}

/* The workloads; see the table in main.c for their arguments. */
void bench_blocks(char **arguments);
void bench_fast(char **arguments);
void bench_vector(char **arguments);
void bench_vectors(char **arguments);
void bench_fresh_zeroed(char **arguments);
void bench_touched_zeroed(char **arguments);
void bench_sparse(char **arguments);
void bench_larger(char **arguments);
void bench_json(char **arguments);
void bench_words(char **arguments);

size_t bench_number(const char *argument);

#endif
