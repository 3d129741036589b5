/* Cuts chunks from the heap, grows the last one, hands over the rests of the others. Everything here is under the lock,
 * and happens once for many blocks. What it may not do: change anything before all that it needs is committed. */
#include "chunk.h"

#include "heap_file.h"

/* A thread's first chunk is of 4 pages, each further step is twice as large, up to this. */
#define STEP_MAX ((size_t)1 << 20)

/* A block larger than this doesn't go into a chunk with others: the rest that it would leave in the chunk before, or
 * the pages brought in ahead of it, would cost too much. */
#define LARGE (STEP_MAX / 4)

static uintptr_t address_of(const struct filz_chunk *chunk)
{
    return (uintptr_t)chunk;
}

static uintptr_t first_byte(const struct filz_chunk *chunk)
{
    return address_of(chunk) + sizeof(*chunk);
}

/* How far to open a chunk ahead, for blocks of up to `need` bytes, which is at most LARGE: a power of two, with room
 * for four such blocks. */
static size_t step_for(const struct filz_heap *heap, const struct filz_chunk *open, size_t need)
{
    size_t step = 4 * heap->page_size;
    while (step < STEP_MAX && open != NULL && step <= filz_chunk_size(open))
        step *= 2;
    while (step < 4 * need)
        step *= 2;
    return step;
}

/* Less than `step` ahead, and so that every power of two which fits in between divides it: the fast path's rule. */
static uintptr_t step_end(uintptr_t start, size_t step)
{
    return align_down(start + step - 1, step / 2);
}

/* Where a chunk must end to hold one block behind `cursor`; 0 if that is beyond the heap. */
static uintptr_t exact_end(const struct filz_heap *heap, uintptr_t cursor, size_t size, size_t align)
{
    uintptr_t block;
    if (!bump_fits(cursor, filz_heap_limit(heap), size, align, &block))
        return 0;
    return align_up(block + size, heap->page_size);
}

static bool commit(struct filz_heap *heap, uintptr_t end)
{
    return filz_heap_commit(heap, end) == 0;
}

/* Commits from `cursor` on: `step` ahead if there is one, else just the block. The last of the heap isn't given away in
 * steps: other threads need some too. Returns the end, or 0. */
static uintptr_t commit_for(struct filz_heap *heap, uintptr_t cursor, size_t size, size_t align, size_t step)
{
    if (step != 0 && step <= (filz_heap_limit(heap) - cursor) / 8 && commit(heap, step_end(cursor, step)))
        return step_end(cursor, step);
    uintptr_t end = exact_end(heap, cursor, size, align);
    return end != 0 && commit(heap, end) ? end : 0;
}

/* Whoever looks at the file between two of these stores, since the process was killed there or since it goes on, can
 * walk it, and finds no byte left that was handed out: at worst, the last chunk ends behind the cursor. */
static void extend(struct filz_heap *heap, struct filz_chunk *chunk, uintptr_t end)
{
    size_t left = end - filz_chunk_cursor(chunk);
    heap->header->clean = 0;
    chunk->end = end;
    filz_chunk_set_left(chunk, left);
    filz_heap_set_cursor(heap, end - filz_heap_base(heap));
}

/* The same the other way round. */
static void cut_short(struct filz_heap *heap, struct filz_chunk *chunk, uintptr_t end)
{
    size_t left = end - filz_chunk_cursor(chunk);
    filz_heap_set_cursor(heap, end - filz_heap_base(heap));
    filz_chunk_set_left(chunk, left);
    __atomic_store_n(&chunk->end, end, __ATOMIC_RELEASE);
}

/* heap->fresh, within [start, end]: what lies before it was handed out before a reset, and may hold anything. */
static uintptr_t fresh_within(const struct filz_heap *heap, uintptr_t start, uintptr_t end)
{
    return heap->fresh < start ? start : heap->fresh > end ? end : heap->fresh;
}

/* Writing a chunk's header brings in its page; if by a fault, then with many small ones behind it. So the first pages
 * are written ahead here, and only those, since this is under the lock. Returns from where on pages are still to be
 * brought in: none, where they were used before. */
static uintptr_t bring_in_first(const struct filz_heap *heap, uintptr_t start, uintptr_t end)
{
    size_t offset;
    if (start < heap->fresh)
        return fresh_within(heap, start, end);
    if (end - start < 2 * FILZ_LITTLE || !filz_heap_offset_in_file(heap, start, &offset) ||
        !filz_file_write_ahead(&heap->file, offset, FILZ_LITTLE))
        return start + heap->page_size;
    return start + FILZ_LITTLE;
}

static struct filz_chunk *cut(struct filz_heap *heap, size_t size, size_t align, size_t step,
                              struct filz_span *fresh_pages)
{
    struct filz_chunk *chunk = (struct filz_chunk *)filz_heap_cursor(heap);
    if (address_of(chunk) == filz_heap_limit(heap))
        return NULL;
    uintptr_t end = commit_for(heap, first_byte(chunk), size, align, step);
    if (end == 0)
        return NULL;
    if (step != 0)
        *fresh_pages = (struct filz_span){bring_in_first(heap, address_of(chunk), end), end};
    *chunk = (struct filz_chunk){
        .end = first_byte(chunk),
        .fill = SIZE_MAX,
        .fresh = fresh_within(heap, first_byte(chunk), end),
    };
    extend(heap, chunk, end);
    filz_heap_set_last(heap, chunk);
    return chunk;
}

/* The heap's last chunk can grow without moving anything. */
static bool grow_last(struct filz_heap *heap, size_t size, size_t align, size_t step, struct filz_span *fresh_pages)
{
    struct filz_chunk *chunk = heap->last;
    uintptr_t old_end = chunk->end;
    uintptr_t end = commit_for(heap, filz_chunk_cursor(chunk), size, align, step);
    if (end == 0)
        return false;
    if (heap->fresh > old_end)
        chunk->fresh = fresh_within(heap, old_end, end);
    extend(heap, chunk, end);
    if (step != 0)
        *fresh_pages = (struct filz_span){fresh_within(heap, old_end, end), end};
    return true;
}

/* A rest that is too small for this block is dropped: so each is looked at once. */
static struct filz_chunk *take_rest(struct filz_heap *heap, size_t need)
{
    struct filz_chunk *chunk = heap->rests;
    while (chunk != NULL && filz_chunk_left(chunk) < need)
        chunk = chunk->next_rest;
    heap->rests = chunk != NULL ? chunk->next_rest : NULL;
    return chunk;
}

/* The chunk has room for the block. */
static void *place_block(struct filz_chunk *chunk, size_t size, size_t align)
{
    uintptr_t block = align_up(filz_chunk_cursor(chunk), align);
    filz_chunk_set_left(chunk, chunk->end - (block + size));
    filz_chunk_count_block(chunk);
    return (void *)block;
}

/* The number of the thread whose open chunk was `open`. */
static unsigned thread_number(struct filz_heap *heap, const struct filz_chunk *open)
{
    return open != NULL ? open->owner : (unsigned)++heap->header->threads;
}

static void *serve_large(struct filz_heap *heap, const struct filz_chunk *open, size_t size, size_t align)
{
    struct filz_chunk *chunk = cut(heap, size, align, 0, NULL);
    if (chunk == NULL)
        return NULL;
    chunk->alone = 1;
    chunk->owner = open->owner;
    return place_block(chunk, size, align);
}

void *filz_chunk_serve(struct filz_heap *heap, struct filz_chunk **open, size_t size, size_t align,
                       struct filz_span *fresh_pages)
{
    if (size > heap->capacity || align > heap->capacity)
        return NULL;
    size_t need = size + (align - 1);
    bool large = need > LARGE;
    size_t step = large ? 0 : step_for(heap, *open, need);
    if (*open != NULL && *open == heap->last && grow_last(heap, size, align, step, fresh_pages))
        return place_block(*open, size, align);
    if (large && *open != NULL)
        return serve_large(heap, *open, size, align);
    struct filz_chunk *rests = heap->rests;
    struct filz_chunk *chunk = large ? NULL : take_rest(heap, need);
    if (chunk == NULL)
        chunk = cut(heap, size, align, step, fresh_pages);
    if (chunk == NULL) {
        heap->rests = rests;
        return NULL;
    }
    chunk->owner = thread_number(heap, *open);
    if (*open != NULL)
        filz_chunk_leave(heap, *open);
    *open = chunk;
    return place_block(chunk, size, align);
}

bool filz_chunk_grow_block(struct filz_heap *heap, struct filz_chunk *open, uintptr_t block_end, size_t extra,
                           struct filz_span *fresh_pages)
{
    struct filz_chunk *last = heap->last;
    if (last == NULL || (last != open && !last->alone) || filz_chunk_cursor(last) != block_end)
        return false;
    size_t step = extra > LARGE || last->alone ? 0 : step_for(heap, last, extra);
    if (extra > filz_chunk_left(last) && !grow_last(heap, extra, 1, step, fresh_pages))
        return false;
    filz_chunk_set_left(last, filz_chunk_left(last) - extra);
    return true;
}

void filz_chunk_trim(struct filz_heap *heap, struct filz_chunk *chunk, uintptr_t block_end)
{
    if (chunk != heap->last)
        return;
    if (heap->fresh < chunk->end)
        __atomic_store_n(&heap->fresh, chunk->end, __ATOMIC_RELAXED);
    if (chunk->fresh < chunk->end)
        chunk->fresh = chunk->end;
    filz_chunk_set_left(chunk, chunk->end - block_end);
    cut_short(heap, chunk, align_up(block_end, heap->page_size));
}

void filz_chunk_leave(struct filz_heap *heap, struct filz_chunk *chunk)
{
    chunk->next_rest = heap->rests;
    heap->rests = chunk;
}

/* In a child that shares its parent's file, a chunk may have become anything. */
static bool is_plausible(const struct filz_heap *heap, const struct filz_chunk *chunk)
{
    size_t size = filz_chunk_size(chunk);
    return size != 0 && size <= filz_heap_cursor(heap) - address_of(chunk) && size % heap->page_size == 0 &&
           filz_chunk_left(chunk) < size;
}

struct filz_chunk *filz_chunk_next(const struct filz_heap *heap, const struct filz_chunk *chunk)
{
    uintptr_t next = chunk != NULL ? chunk->end : filz_heap_base(heap) + heap->page_size;
    if (next >= filz_heap_cursor(heap))
        return NULL;
    struct filz_chunk *found = (struct filz_chunk *)next;
    return is_plausible(heap, found) ? found : NULL;
}
