/* An open heap, and the file under it: mapping, committing, closing. Where the file goes is place.h's matter.
 *
 * An open heap is one reservation of address space:
 *
 *     | struct filz_heap | header | chunk | chunk | ... | not yet committed |
 *                        ^ base                                              ^ base + capacity
 *
 * From base on it is the file (format.h), as far as that is committed. The page before it is private to this process,
 * and holds all that isn't the file's. */
#ifndef FILZ_HEAP_FILE_H
#define FILZ_HEAP_FILE_H

#include "chunk.h"
#include "place.h"
#include "reserve.h"

#include <stddef.h>
#include <stdint.h>

struct filz_mmap;

struct filz_heap {
    struct filz_heap *next; /* in filz_heaps */
    struct filz_header *header;
    struct filz_reservation reservation;
    size_t id;
    size_t capacity;
    size_t page_size;
    size_t cursor;         /* the header's, where no other process can move it */
    size_t committed;      /* bytes from base that are backed */
    struct filz_file file; /* that growth goes to */
    size_t origin;         /* offset in the heap at which that file begins */
    bool lent;             /* a child has the file mapped privately: it must not get shorter */
    bool dumped;           /* FILZ_MMAP_DUMP */
    bool kept;             /* FILZ_MMAP_REOPEN */
    bool name_is_synced;   /* atomic; its folder is on the disk */
    struct filz_chunk *last;
    struct filz_chunk *rests;
    uintptr_t fresh;         /* from this address on nothing was ever handed out */
    struct filz_file copy;   /* made for the child while a fork is under way */
    struct filz_place place; /* last: it is as long as the page allows */
};

/* Every open heap of this process. Under the lock. */
extern struct filz_heap *filz_heaps;

/* The one lock: everything that isn't the fast path holds it. It also keeps the thread from being cancelled, since open
 * and fallocate are cancellation points, and nothing may unwind through an allocator; `cancel_state` is for unlock. */
void filz_heaps_lock(int *cancel_state);
void filz_heaps_unlock(int cancel_state);
/* In the child of a fork that ran no handlers, whoever held the lock is gone. */
void filz_heaps_lock_anew(void);

/* The open heap with this id, or NULL. Under the lock. */
struct filz_heap *filz_heap_find(size_t id);

static inline uintptr_t filz_heap_base(const struct filz_heap *heap)
{
    return (uintptr_t)heap->header;
}

static inline uintptr_t filz_heap_limit(const struct filz_heap *heap)
{
    return filz_heap_base(heap) + heap->capacity;
}

/* Where the next chunk will begin. */
static inline uintptr_t filz_heap_cursor(const struct filz_heap *heap)
{
    return filz_heap_base(heap) + heap->cursor;
}

/* Whether the address lies in the file that growth goes to; if so, `*offset` is where. */
static inline bool filz_heap_offset_in_file(const struct filz_heap *heap, uintptr_t address, size_t *offset)
{
    *offset = address - filz_heap_base(heap) - heap->origin;
    return address - filz_heap_base(heap) >= heap->origin;
}

static inline void filz_heap_set_cursor(struct filz_heap *heap, size_t cursor)
{
    heap->cursor = cursor;
    __atomic_store_n(&heap->header->cursor, cursor, __ATOMIC_RELEASE);
}

/* The chunk becomes the heap's last one. */
static inline void filz_heap_set_last(struct filz_heap *heap, struct filz_chunk *chunk)
{
    heap->last = chunk;
    __atomic_store_n(&heap->header->last, (uintptr_t)chunk - filz_heap_base(heap), __ATOMIC_RELEASE);
}

/* Opens what `self` asks for and sets `self->heap` and `self->id`. Returns 0 or an errno value, and in `about`, of
 * FILZ_PATH_MAX + 1 bytes, what the error is about: a path, a variable, or nothing. Under the lock. */
int filz_heap_open(struct filz_mmap *self, char *about);
void filz_heap_close(struct filz_heap *heap);

/* Writes to the header: that there is no chunk yet; and whose heap this is from now on, under a new id. */
void filz_heap_begin(struct filz_heap *heap);
void filz_heap_sign(struct filz_heap *heap);

/* Ends every block. */
void filz_heap_reset(struct filz_heap *heap);

/* Keeps what was newly mapped in [`start`, `end`) out of core dumps, if that is to be. Returns 0 or an errno value. */
int filz_heap_hide(const struct filz_heap *heap, size_t start, size_t end);

/* Makes sure that the file holds all up to the address `end`; goes ahead of it where it can. Returns 0 or an errno
 * value. Under the lock. */
int filz_heap_commit(struct filz_heap *heap, uintptr_t end);

/* Maps the file, which is long enough, up to the offset `size`; it was mapped up to `committed`. Returns 0 or an errno
 * value. */
int filz_heap_map(struct filz_heap *heap, size_t size);

/* Takes the file out of the address space from the offset `size` on. Returns 0 or an errno value. Under the lock. */
int filz_heap_uncommit(struct filz_heap *heap, size_t size);

#endif
