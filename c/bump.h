/* The arithmetic of bump allocation, for both allocators: is this an alignment, where does a block begin, does it fit.
 * Every test compares a size with the bytes left, and never a sum that could wrap. Nothing here may touch memory. */
#ifndef FZ_BUMP_H
#define FZ_BUMP_H

#include "filz/api.h"

#ifdef FILZ_WITHOUT_HEADERS
typedef __UINTPTR_TYPE__ uintptr_t;
#define SIZE_MAX __SIZE_MAX__
#else
#include <stdint.h>
#endif

static inline bool is_power_of_two(size_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* The largest power of two up to `n`, which isn't 0. */
static inline size_t floor_power_of_two(size_t n)
{
    return (SIZE_MAX / 2 + 1) >> (sizeof(size_t) == sizeof(long) ? __builtin_clzl(n) : __builtin_clz((unsigned)n));
}

/* Every block takes at least one byte, so that no two blocks share an address. */
static inline size_t at_least_one(size_t size)
{
    return size + (size == 0);
}

static inline size_t smaller_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t larger_of(size_t a, size_t b)
{
    return a > b ? a : b;
}

static inline uintptr_t align_down(uintptr_t address, size_t align)
{
    return address & ~(uintptr_t)(align - 1);
}

/* The number of bytes from `address` to the next multiple of `align`. */
static inline size_t padding_for(uintptr_t address, size_t align)
{
    return (size_t)(-address & (align - 1));
}

/* Wraps to 0 if there is no such multiple. */
static inline uintptr_t align_up(uintptr_t address, size_t align)
{
    return address + padding_for(address, align);
}

/* Whether an aligned block of `size` bytes fits between `cursor` and `end`. If so, sets `*block` to its address. */
static inline bool bump_fits(uintptr_t cursor, uintptr_t end, size_t size, size_t align, uintptr_t *block)
{
    size_t left = end - cursor;
    size_t padding = padding_for(cursor, align);
    if (padding > left || size > left - padding)
        return false;
    *block = cursor + padding;
    return true;
}

#endif
