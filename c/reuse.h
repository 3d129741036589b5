/* Memory that a realloc has left when it moved a block, and to which a later realloc may move another one. The caller
 * has said that the old block is dead, and how large it was, so blocks need no headers for it.
 *
 * A heap has none if somebody may need its old contents: if it is persistent; after a sync; and after a fork, if the
 * child has mapped the heap because there is no copy. */
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

/* For a heap that is opened or reset, or that a child of fork has got: there is none yet. Under the lock. */
void fz_reuse_begin(struct filz_heap *heap);

/* From now on there is none, until the heap is reset. Under the lock. */
void fz_reuse_end(struct filz_heap *heap);

/* A block in such memory, or NULL. Under the lock. */
void *fz_reuse_take(struct filz_heap *heap, size_t size, size_t align);

/* The block is dead: it was copied to another one, for which fz_reuse_take was asked. Takes the lock. */
void fz_reuse_leave(struct filz_heap *heap, uintptr_t block, size_t size);

#endif
