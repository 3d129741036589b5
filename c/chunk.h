/* How a heap is cut into chunks. A chunk is a run of whole pages that begins with a header of one cache line; chunks
 * lie back to back from the file's second page on, so whoever has the file can walk them.
 *
 *     | header | blocks handed out ........ | left ............. |
 *     ^ chunk                               ^ cursor             ^ end
 *
 * Each chunk is open in at most one thread, which bumps in it without a lock. How far it has come stands in the header,
 * in the file, and not in the thread: so whoever looks at the file sees what is handed out, to the byte, while the
 * program runs and after it was killed. "Under the lock" means that filz_heaps_lock is held (heap_file.h). */
#ifndef FILZ_CHUNK_H
#define FILZ_CHUNK_H

#include "bump.h"
#include "format.h"

#include <stdint.h>

struct filz_heap;

/* Pages in which nothing is handed out yet, that a thread should bring in before it uses them. */
struct filz_span {
    uintptr_t start, end;
};

static inline size_t filz_chunk_blocks(const struct filz_chunk *chunk)
{
    return __atomic_load_n(&chunk->blocks, __ATOMIC_RELAXED);
}

static inline size_t filz_chunk_size(const struct filz_chunk *chunk)
{
    return chunk->end - (uintptr_t)chunk;
}

static inline uintptr_t filz_chunk_cursor(const struct filz_chunk *chunk)
{
    return chunk->end - filz_chunk_left(chunk);
}

static inline void filz_chunk_set_left(struct filz_chunk *chunk, size_t left)
{
    __atomic_store_n(&chunk->fill, SIZE_MAX - left, __ATOMIC_RELEASE);
}

/* Only the owner writes to its chunk, so this needs no atomic addition. */
#if defined(__clang__) || defined(__SANITIZE_THREAD__)
static inline void filz_chunk_count_block(struct filz_chunk *chunk)
{
    __atomic_store_n(&chunk->blocks, filz_chunk_blocks(chunk) + 1, __ATOMIC_RELAXED);
}
#else
/* The same; but gcc makes one instruction of this, and three of an atomic load and store. */
static inline void filz_chunk_count_block(struct filz_chunk *chunk)
{
    chunk->blocks++;
}
#endif

/* The fast path. `fill` is an odometer, which overflows where the chunk does. A number before a multiple of `align`
 * ends in ones, so `fill | (align - 1)` takes the padding too, since the end of an open chunk is a multiple of every
 * power of two that fits into what is left (see filz_chunk_end_suits). `align` is a power of two, or 0, which takes
 * everything; size 0 doesn't fit. */
static inline bool filz_chunk_bump(struct filz_chunk *chunk, size_t size, size_t align, void **block)
{
    size_t before = chunk->fill | (align - 1);
    size_t after = before + size;
    if (after <= before)
        return false;
    __atomic_store_n(&chunk->fill, after, __ATOMIC_RELAXED);
    filz_chunk_count_block(chunk);
    *block = (void *)(chunk->end + before + 1);
    return true;
}

/* Whether `left` bytes may be left before `end` in an open chunk: the rule that the fast path rests on. */
static inline bool filz_chunk_end_suits(uintptr_t end, size_t left)
{
    return left == 0 || padding_for(end, floor_power_of_two(left)) == 0;
}

/* Serves a block that the calling thread's open chunk (`*open`, or NULL) has no room for: grows that chunk if it is the
 * heap's last, gives a large block a chunk of its own, else opens another chunk and puts it into `*open`. NULL if the
 * block doesn't fit the heap or the disk; nothing has changed then. If there are new pages that the caller should bring
 * in after unlocking, `*fresh_pages` says which; else it is left alone. Under the lock. */
void *filz_chunk_serve(struct filz_heap *heap, struct filz_chunk **open, size_t size, size_t align,
                       struct filz_span *fresh_pages);

/* Grows the block that ends at `block_end` by `extra` bytes where it stands, if nothing was handed out behind it and
 * the heap goes on there; `*fresh_pages` as above. Under the lock. */
bool filz_chunk_grow_block(struct filz_heap *heap, struct filz_chunk *open, uintptr_t block_end, size_t extra,
                           struct filz_span *fresh_pages);

/* Gives back all of `chunk` behind `block_end`, the end of its newest block after it shrank, if the heap goes on there.
 * Under the lock. */
void filz_chunk_trim(struct filz_heap *heap, struct filz_chunk *chunk, uintptr_t block_end);

/* A thread is done with `chunk`: the next thread that needs one may have its rest. Under the lock. */
void filz_chunk_leave(struct filz_heap *heap, struct filz_chunk *chunk);

/* Walks the chunks: the first with NULL; NULL after the last. Under the lock. */
struct filz_chunk *filz_chunk_next(const struct filz_heap *heap, const struct filz_chunk *chunk);

#endif
