/* Carves a heap into chunks. A chunk is a run of whole pages that begins with a header of one cache line. Chunks lie
 * back to back from the file's second page on, so any process with the file can walk them.
 *
 *     | header | blocks ................... | tail ............. |
 *     ^ chunk                               ^ cursor             ^ end
 *
 * Each chunk is active in at most one thread, which allocates from it without a lock. The cursor is in the header, in
 * the file, and not in the thread, so any process that reads the file sees what is allocated, to the byte, while the
 * program runs and after it was killed. */
#ifndef FZ_CHUNK_H
#define FZ_CHUNK_H

#include "bump.h"
#include "heap.h"
#include "poison.h"

/* A larger block doesn't share a chunk with others, because the tail that it would leave in the chunk before, or the
 * pages prefaulted for it, would cost too much. */
#define FZ_LARGE ((size_t)256 << 10)

static inline size_t fz_chunk_blocks(const struct fz_chunk *chunk)
{
    return (size_t)__atomic_load_n(&chunk->blocks, __ATOMIC_RELAXED);
}

static inline uintptr_t fz_chunk_end(const struct fz_chunk *chunk)
{
    return (uintptr_t)chunk + (size_t)chunk->size;
}

static inline uintptr_t fz_chunk_cursor(const struct fz_chunk *chunk)
{
    return fz_chunk_end(chunk) - fz_chunk_left(chunk);
}

static inline void fz_chunk_set_left(struct fz_chunk *chunk, size_t left)
{
    __atomic_store_n(&chunk->fill, SIZE_MAX - left, __ATOMIC_RELEASE);
}

/* From this address on, nothing in the chunk was ever allocated. */
static inline uintptr_t fz_chunk_fresh(const struct fz_chunk *chunk)
{
    return (uintptr_t)chunk + (size_t)chunk->fresh;
}

static inline void fz_chunk_set_fresh(struct fz_chunk *chunk, uintptr_t fresh)
{
    chunk->fresh = fresh - (uintptr_t)chunk;
}

/* Only the owner writes to its chunk, so this needs no atomic add. */
#if defined(__clang__) || defined(__SANITIZE_THREAD__)
static inline void fz_chunk_count_block(struct fz_chunk *chunk)
{
    __atomic_store_n(&chunk->blocks, fz_chunk_blocks(chunk) + 1, __ATOMIC_RELAXED);
}
#else
/* The same, but gcc makes one instruction of this, and three of an atomic load and store. */
static inline void fz_chunk_count_block(struct fz_chunk *chunk)
{
    chunk->blocks++;
}
#endif

/* The fast path. `fill` is an odometer, which overflows when the chunk is full. A number before a multiple of `align`
 * ends in ones, so `fill | (align - 1)` adds the padding too, because the end of an active chunk is a multiple of every
 * power of two that fits into what is left (fz_chunk_end_suits). `align` is a power of two, or 0, which takes
 * everything; size 0 doesn't fit. */
static inline bool fz_chunk_bump(struct fz_chunk *chunk, size_t size, size_t align, void **block)
{
    size_t before = (size_t)chunk->fill | (align - 1);
    size_t after = before + size;
    if (after <= before)
        return false;
    __atomic_store_n(&chunk->fill, after, __ATOMIC_RELAXED);
    fz_chunk_count_block(chunk);
    *block = (void *)(fz_chunk_end(chunk) + before + 1);
    return true;
}

/* Whether an active chunk may have `left` bytes before `end`: the rule that the fast path rests on. */
static inline bool fz_chunk_end_suits(uintptr_t end, size_t left)
{
    return left == 0 || padding_for(end, floor_power_of_two(left)) == 0;
}

/* Allocates a block for which the calling thread's active chunk (`*active`, or NULL) has no room: grows that chunk if
 * it is the heap's last, gives a large block a dedicated chunk, or makes another chunk active. NULL if the block
 * doesn't fit the heap or the disk; then no chunk has changed. If the caller should prefault new pages after unlocking,
 * sets `*fresh_pages`; else leaves it alone. Under the lock. */
void *fz_chunk_alloc(struct filz_heap *heap, struct fz_chunk **active, size_t size, size_t align,
                     struct fz_fresh_pages *fresh_pages);

/* Grows the block that ends at `block_end` by `extra` bytes in place, if nothing was allocated after it and the heap
 * can grow there; `*fresh_pages` as above. Under the lock. */
bool fz_chunk_grow_block(struct filz_heap *heap, struct fz_chunk *active, uintptr_t block_end, size_t extra,
                         struct fz_fresh_pages *fresh_pages);

/* Gives back what is after `block_end`, to which a block shrank from `old_end`, if that block is the last in the heap's
 * last chunk and this is `active` or dedicated. Under the lock. */
void fz_chunk_shrink_block(struct filz_heap *heap, struct fz_chunk *active, uintptr_t old_end, uintptr_t block_end);

/* A thread is done with `chunk`: the next that needs one may take its tail. Under the lock. */
void fz_chunk_leave(struct filz_heap *heap, struct fz_chunk *chunk);

/* Makes `last`, or NULL, the last chunk of a reopened or forked heap, and end at the heap's cursor. Under the lock. */
void fz_chunk_settle_last(struct filz_heap *heap, struct fz_chunk *last);

/* Walks the chunks; NULL is the start and the end. The last one of a heap that is only read may end after its cursor.
 * Returns 0, or FILZ_EDAMAGED if the next chunk is invalid. Under the lock. */
int fz_chunk_next(const struct filz_heap *heap, struct fz_chunk **chunk);

/* Poison what isn't allocated in a chunk, or NULL; and in a whole heap, whose last chunk may end after its mapping.
 * Under the lock. */
static inline void fz_chunk_poison_tail(const struct fz_chunk *chunk)
{
    if (FZ_POISONS && chunk != NULL)
        fz_poison(fz_chunk_cursor(chunk), fz_chunk_end(chunk));
}

static inline void fz_chunk_poison_tails(const struct filz_heap *heap)
{
    struct fz_chunk *chunk = NULL;
    while (FZ_POISONS && fz_chunk_next(heap, &chunk) == 0 && chunk != NULL)
        fz_poison(fz_chunk_cursor(chunk), smaller_of(fz_chunk_end(chunk), fz_heap_cursor(heap)));
    fz_poison(fz_heap_cursor(heap), fz_heap_committed_end(heap));
}

#endif
