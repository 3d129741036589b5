/* An open heap, the registry of them, and the one lock. "Under the lock" means that fz_lock is held.
 *
 *     | struct filz_heap | header | chunk | chunk | ... | not yet committed |
 *                        ^ base                                              ^ base + capacity
 *
 * From base on it is the file (format.h), as far as that is committed. The page before is private to this process, and
 * holds all that isn't in the file. */
#ifndef FZ_HEAP_H
#define FZ_HEAP_H

#include "backing.h"
#include "filz/mmap.h"
#include "format.h"
#include "reuse.h"

/* The state of the heap when a forked child's copy was made. */
struct fz_snapshot {
    size_t id; /* 0: none */
    size_t cursor;
    struct fz_chunk *last;
    struct fz_file copy;
};

struct filz_heap {
    struct filz_heap *next; /* in the registry */
    struct fz_header *header;
    size_t id;
    size_t cursor; /* the header's, where no other process can change it */
    struct fz_chunk *last;
    bool is_followed;        /* it is only read, and its writer may continue: the header has its end and root */
    uintptr_t root_to_read;  /* of any other that is only read: its checkpoint's may differ from the header's */
    uint64_t tails;          /* offset of the newest chunk in the list of those with a tail; 0 for none */
    uint64_t threads_before; /* the header's `threads` when it was opened: their chunks are free */
    uintptr_t fresh;         /* from this address on nothing was ever allocated; atomic */
    size_t synced_up_to;     /* atomic: no byte before this offset is reused, because a checkpoint may need it */
    uint64_t sequence;       /* of the newest checkpoint begun */
    bool name_is_synced;     /* the file's directory is on the disk */
    struct fz_snapshot snapshot;
    struct fz_reuse reuse;
    struct fz_backing backing; /* last: it is as long as the page allows */
};

_Static_assert(sizeof(struct filz_heap) <= 4096, "it has the page before the header");

static inline uintptr_t fz_heap_limit(const struct filz_heap *heap)
{
    return heap->backing.base + heap->backing.capacity;
}

static inline uintptr_t fz_heap_committed_end(const struct filz_heap *heap)
{
    return heap->backing.base + heap->backing.committed;
}

/* A checkpoint may need everything before this address. */
static inline uintptr_t fz_heap_synced_up_to(const struct filz_heap *heap)
{
    return heap->backing.base + __atomic_load_n(&heap->synced_up_to, __ATOMIC_RELAXED);
}

static inline void fz_heap_set_synced_up_to(struct filz_heap *heap, size_t offset)
{
    __atomic_store_n(&heap->synced_up_to, offset, __ATOMIC_RELAXED);
}

/* Where the next chunk will begin. */
static inline uintptr_t fz_heap_cursor(const struct filz_heap *heap)
{
    return heap->backing.base + heap->cursor;
}

static inline void fz_heap_set_cursor(struct filz_heap *heap, size_t cursor)
{
    heap->cursor = cursor;
    __atomic_store_n(&heap->header->cursor, cursor, __ATOMIC_RELEASE);
}

/* --- registry.c --- */

/* Every open heap of this process. Under the lock. */
extern struct filz_heap *fz_heaps;

/* Everything except the fast path holds the lock. It also disables cancellation, because open and fallocate are
 * cancellation points, and nothing may unwind through an allocator; `cancel_state` is for fz_unlock. The first call in
 * a child of _Fork or clone, whose heaps are its parent's, makes their growth go nowhere. */
void fz_lock(int *cancel_state);
void fz_unlock(int cancel_state);

/* Releases the lock, but leaves cancellation disabled until fz_allow_cancelling. */
void fz_unlock_uncancelled(void);
void fz_allow_cancelling(int cancel_state);

/* In the child of a fork, the thread that had the lock is gone. */
void fz_lock_anew(void);

/* The open heap with this id, or NULL. Under the lock. */
struct filz_heap *fz_heap_find(size_t id);

/* An id that no heap of this process has had. Under the lock. */
size_t fz_heap_new_id(void);

/* --- heap.c: a heap's beginning and end --- */

/* What a program asks for: see <filz/mmap.h>. */
struct fz_settings {
    const char *path;
    size_t capacity;
    unsigned flags;
    uint64_t tag;
    uintptr_t base;
};

/* What an error is about: a path, a variable, or nothing; and, if not NULL, what is wrong with the variable. */
struct fz_about {
    char text[FZ_PATH_MAX + 1];
    const char *reason;
};

/* Opens a heap and enters it in the registry. Returns 0, an errno value or a FILZ_E constant. Under the lock. */
int fz_heap_open(const struct fz_settings *settings, struct filz_heap **opened, struct fz_about *about);

/* Updates a reader's heap to the writer's progress. Under the lock. */
void fz_heap_follow(struct filz_heap *heap);

/* Ends the heap, and all of its blocks. Under the lock. */
void fz_heap_close(struct filz_heap *heap);

/* Ends every block; the heap gets another id. Under the lock. */
int fz_heap_reset(struct filz_heap *heap);

/* Notes the state of the heap that filz_mmap_sync is to bring to the disk; and, when it is there, records it in the
 * header. Under the lock. */
struct fz_checkpoint fz_heap_begin_sync(struct filz_heap *heap);
void fz_heap_record_sync(struct filz_heap *heap, const struct fz_checkpoint *checkpoint);

/* --- fork.c --- */

void fz_register_fork_handlers(void);

/* --- stats.c: filz_mmap_stats and filz_mmap_pages. Under the lock --- */

int fz_stats(struct filz_heap *heap, filz_mmap_info *out);
int fz_pages(struct filz_heap *heap, size_t first, size_t *count, unsigned char *states);

#endif
