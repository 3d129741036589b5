/* Sets address space aside. What it may not do: replace a mapping that somebody else has. */
#define _GNU_SOURCE 1
#define _FILE_OFFSET_BITS 64
#include "reserve.h"

#include "bump.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/random.h>

#define GIB ((uintptr_t)1 << 30)

/* Where Linux puts neither programs nor libraries nor stacks, so that a heap can be mapped there again. The first is
 * free however much it randomises addresses (vm.mmap_rnd_bits is at most 32 on x86-64, 33 on aarch64), and with an
 * unlimited stack too, with which aarch64 maps from 0x400000000000 upwards. Below 0x400000000000, V8 and TCMalloc put
 * things at random. Sanitizers take most of the address space: ThreadSanitizer leaves the second, which is free with
 * the usual 28 bits. Where addresses have 39 bits (aarch64), there is the last one only. */
static const struct {
    uintptr_t start, size;
} always_free[] = {
#if UINTPTR_MAX <= UINT32_MAX
    {0x60000000, 0x70000000},
#else
#if defined(__aarch64__)
    {0x610000000000, 15360 * GIB},
#else
    {0x400000000000, 16384 * GIB},
#endif
    {0x7e8000000000, 480 * GIB},
    {0x001000000000, 256 * GIB},
#endif
};

#define TRIES 8

static void *map_nothing(void *address, size_t length)
{
    return mmap(address, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static int reserve_anywhere(struct filz_reservation *reservation, size_t capacity, size_t page)
{
    reservation->length = capacity + FILZ_BASE_ALIGN;
    reservation->start = map_nothing(NULL, reservation->length);
    if (reservation->start == MAP_FAILED)
        return ENOMEM;
    reservation->base = align_up((uintptr_t)reservation->start + page, FILZ_BASE_ALIGN);
    return 0;
}

/* The kernel takes the address for a wish, and fulfils it where nothing else is. MAP_FIXED_NOREPLACE would say more,
 * but sanitizers and Valgrind don't know it, and one of them then maps address 0. */
static int reserve_at(struct filz_reservation *reservation, size_t capacity, size_t page, uintptr_t base)
{
    void *wanted = (void *)(base - page);
    size_t length = capacity + page;
    void *start = map_nothing(wanted, length);
    if (start == MAP_FAILED)
        return ENOMEM;
    if (start != wanted) {
        munmap(start, length);
        return EADDRINUSE;
    }
    *reservation = (struct filz_reservation){start, length, base};
    return 0;
}

/* At random, so that heaps of different programs can be open in one. */
static int reserve_always_free(struct filz_reservation *reservation, size_t capacity, size_t page)
{
    int error = ENOMEM;
    for (size_t i = 0; i < sizeof(always_free) / sizeof(always_free[0]); i++)
        for (int tries = 0; tries < TRIES && capacity < always_free[i].size; tries++) {
            uint64_t random = 0;
            (void)!getrandom(&random, sizeof(random), 0);
            uintptr_t offset = (uintptr_t)(random % (always_free[i].size - capacity));
            error = reserve_at(reservation, capacity, page, align_up(always_free[i].start + offset, FILZ_BASE_ALIGN));
            if (error == 0)
                return 0;
        }
    return error;
}

int filz_reserve(struct filz_reservation *reservation, size_t capacity, uintptr_t where)
{
    size_t page = filz_page_size();
    if (where == FILZ_ANYWHERE)
        return reserve_anywhere(reservation, capacity, page);
    if (where == FILZ_ALWAYS_FREE)
        return reserve_always_free(reservation, capacity, page);
    return reserve_at(reservation, capacity, page, where);
}
