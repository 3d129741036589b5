/* Tells AddressSanitizer which bytes of a heap are allocated, if the library is compiled with it. In other builds this
 * compiles to nothing. Nothing here may call the system, or anything of filz except bump.h.
 *
 * For each aligned 8 bytes, AddressSanitizer knows how many of the first may be accessed. So it doesn't see
 *
 *   - the padding before a block that begins within 8 bytes, and the header of the next chunk;
 *   - up to 7 bytes at the old end of a block that shrank;
 *   - up to 7 bytes after a block of the stack allocator, because several threads allocate from the same 8 bytes.
 *
 * Unmapped addresses are unpoisoned first, because others may use them. Valgrind is told nothing: its requests are
 * instructions in every build. Nor is MemorySanitizer, which takes mapped memory for initialized, as a file's is. */
#ifndef FZ_POISON_H
#define FZ_POISON_H

#include "bump.h"

#ifdef __SANITIZE_ADDRESS__
#define FZ_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FZ_ASAN
#endif
#endif

#define FZ_POISON_GRANULE 8

#ifdef FZ_ASAN

enum { FZ_POISONS = 1, FZ_UNCHECKED_PART = 1 << 20 };

/* From <sanitizer/asan_interface.h>, which a freestanding compiler may lack. They are in another library. */
#pragma GCC visibility push(default)
void __asan_poison_memory_region(const volatile void *start, size_t size);
void __asan_unpoison_memory_region(const volatile void *start, size_t size);
void *__asan_region_is_poisoned(void *start, size_t size);
const char *__asan_locate_address(void *address, char *name, size_t name_size, void **region, size_t *region_size);
#pragma GCC visibility pop

/* None of it may be accessed. A chunk's header is never poisoned. */
static inline void fz_poison(uintptr_t start, uintptr_t end)
{
    if (start < end)
        __asan_poison_memory_region((void *)start, end - start);
}

/* All of it may be accessed. */
static inline void fz_unpoison(uintptr_t start, uintptr_t end)
{
    if (start < end)
        __asan_unpoison_memory_region((void *)start, end - start);
}

/* Whether any of it may not be accessed. */
static inline bool fz_is_poisoned(uintptr_t start, size_t size)
{
    return __asan_region_is_poisoned((void *)start, size) != NULL;
}

/* The kind of variable it is in: 's' on a thread's stack, 'g' global; others; 0 for none. */
static inline char fz_variable_kind(uintptr_t address)
{
    char name[1];
    void *region;
    size_t size;
    const char *kind = __asan_locate_address((void *)address, name, sizeof(name), &region, &size);
    return kind != NULL ? kind[0] : '\0';
}

typedef size_t __attribute__((may_alias)) fz_word;

/* Copies the first of `*length` bytes to `copy`, for a function that AddressSanitizer checks, and sets `*length` to how
 * many. Volatile, so that it isn't made a memcpy, which is checked. Word by word, because other threads change the
 * numbers in their chunks. Both addresses are a word's. */
__attribute__((no_sanitize("address"), noinline, unused)) static const void *
fz_unchecked(const void *bytes, size_t *length, unsigned char *copy)
{
    *length = smaller_of(*length, FZ_UNCHECKED_PART);
    size_t words = *length / sizeof(fz_word);
    for (size_t i = 0; i < words; i++)
        ((fz_word *)(void *)copy)[i] = ((const volatile fz_word *)bytes)[i];
    for (size_t i = words * sizeof(fz_word); i < *length; i++)
        copy[i] = ((const volatile unsigned char *)bytes)[i];
    return copy;
}

#else

enum { FZ_POISONS = 0, FZ_UNCHECKED_PART = 1 };

static inline void fz_poison(uintptr_t start, uintptr_t end)
{
    (void)start, (void)end;
}

static inline void fz_unpoison(uintptr_t start, uintptr_t end)
{
    (void)start, (void)end;
}

static inline bool fz_is_poisoned(uintptr_t start, size_t size)
{
    (void)start, (void)size;
    return false;
}

static inline char fz_variable_kind(uintptr_t address)
{
    (void)address;
    return '\0';
}

static inline const void *fz_unchecked(const void *bytes, size_t *length, unsigned char *copy)
{
    (void)length, (void)copy;
    return bytes;
}

#endif

/* What a block lost when it shrank. Another thread may be allocating from `end` on, in the same 8 bytes. */
static inline void fz_poison_shrunk(uintptr_t start, uintptr_t end)
{
    fz_poison(start, align_down(end, FZ_POISON_GRANULE));
}

#endif
