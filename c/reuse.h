/* Reuses memory that a realloc left when it moved a block: a later realloc may move another block there. The caller has
 * said that the old block is dead, and how large it was, so blocks need no headers for this.
 *
 * A heap reuses nothing if its old contents may be needed: if it is persistent, after a sync, and after a fork in which
 * the child mapped the heap because there is no copy. */
#ifndef FZ_REUSE_H
#define FZ_REUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct filz_heap;

struct fz_span {
    uintptr_t start, end;
};

enum { FZ_SPANS = 16 };

struct fz_reuse {
    bool is_on; /* atomic */
    struct fz_span spans[FZ_SPANS];
};

/* Starts empty, for a heap that is opened or reset, or in the child of a fork. Under the lock. */
void fz_reuse_begin(struct filz_heap *heap);

/* Reuses nothing from now on, until reset. Under the lock. */
void fz_reuse_end(struct filz_heap *heap);

/* A block in such memory, or NULL. Under the lock. */
void *fz_reuse_take(struct filz_heap *heap, size_t size, size_t align);

/* The block is dead: it was copied to another, for which fz_reuse_take was asked. Takes the lock. */
void fz_reuse_leave(struct filz_heap *heap, uintptr_t block, size_t size);

#endif
