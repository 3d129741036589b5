/* Address space for a heap, set aside before there is a file. */
#ifndef FILZ_RESERVE_H
#define FILZ_RESERVE_H

#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#define FILZ_BASE_ALIGN ((size_t)2 << 20)

static inline size_t filz_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

struct filz_reservation {
    void *start;
    size_t length;
    uintptr_t base; /* where the heap's file will be mapped; a page of the reservation lies before it */
};

/* Where a reservation goes: to this address, or */
#define FILZ_ANYWHERE ((uintptr_t)0)
#define FILZ_ALWAYS_FREE ((uintptr_t)1) /* where no run of any program is likely to have anything */

/* Sets aside `capacity` bytes at `where`, and says in `reservation->base` from which address on. Nothing can be read or
 * written there yet. Returns 0 or an errno value: EADDRINUSE if something else is there. */
int filz_reserve(struct filz_reservation *reservation, size_t capacity, uintptr_t where);

#endif
