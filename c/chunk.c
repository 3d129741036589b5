/* Carves chunks from the heap, grows the last one, passes on the tails of the others. Everything here is under the
 * lock, and runs once for many blocks. It may not change anything before all that it needs is committed. */
#include "chunk.h"

#include "filz/mmap.h"

#include <string.h>

/* A thread's first chunk has 4 pages; each further step is twice as large, up to this. */
#define STEP_MAX ((size_t)1 << 20)

static uintptr_t address_of(const struct fz_chunk *chunk)
{
    return (uintptr_t)chunk;
}

static uintptr_t first_byte(const struct fz_chunk *chunk)
{
    return address_of(chunk) + sizeof(*chunk);
}

static struct fz_chunk *chunk_at(const struct filz_heap *heap, uint64_t offset)
{
    return (struct fz_chunk *)(heap->backing.base + (uintptr_t)offset);
}

/* How far to extend a chunk ahead for blocks of up to `need` bytes, at most FZ_LARGE: a power of two, with room for
 * four such blocks. */
static size_t step_for(const struct filz_heap *heap, const struct fz_chunk *active, size_t need)
{
    size_t step = 4 * heap->backing.page_size;
    while (step < STEP_MAX && active != NULL && step <= active->size)
        step *= 2;
    while (step < 4 * need)
        step *= 2;
    return step;
}

/* Less than `step` ahead, and divisible by every power of two that fits in between: the fast path's rule. */
static uintptr_t step_end(uintptr_t start, size_t step)
{
    return align_down(start + step - 1, step / 2);
}

/* Where a chunk must end to hold one block after `cursor`; 0 if that is past the heap. */
static uintptr_t exact_end(const struct filz_heap *heap, uintptr_t cursor, size_t size, size_t align)
{
    uintptr_t block;
    if (!bump_fits(cursor, fz_heap_limit(heap), size, align, &block))
        return 0;
    return align_up(block + size, heap->backing.page_size);
}

static bool commit(struct filz_heap *heap, uintptr_t end)
{
    uintptr_t before = fz_heap_committed_end(heap);
    int error = fz_backing_commit(&heap->backing, end - heap->backing.base);
    fz_poison(before, fz_heap_committed_end(heap));
    return error == 0;
}

/* Commits from `cursor` on: `step` ahead if there is one, else just the block. Near the heap's limit it takes no steps,
 * because other threads need some too. Returns the end, or 0. */
static uintptr_t commit_for(struct filz_heap *heap, uintptr_t cursor, size_t size, size_t align, size_t step)
{
    if (step != 0 && step <= (fz_heap_limit(heap) - cursor) / 8 && commit(heap, step_end(cursor, step)))
        return step_end(cursor, step);
    uintptr_t end = exact_end(heap, cursor, size, align);
    return end != 0 && commit(heap, end) ? end : 0;
}

static void set_last(struct filz_heap *heap, struct fz_chunk *chunk)
{
    heap->last = chunk;
    __atomic_store_n(&heap->header->last, address_of(chunk) - heap->backing.base, __ATOMIC_RELEASE);
}

/* A process that reads the file between two of these stores, because this one was killed there or is running, can walk
 * it, and takes no allocated byte for free. At worst, the last chunk ends after the cursor. */
static void extend(struct filz_heap *heap, struct fz_chunk *chunk, uintptr_t end)
{
    size_t left = end - fz_chunk_cursor(chunk);
    heap->header->clean = 0;
    chunk->size = end - address_of(chunk);
    fz_chunk_set_left(chunk, left);
    fz_heap_set_cursor(heap, end - heap->backing.base);
}

/* The opposite of `extend`, in the opposite order, for the same reason. */
static void shorten(struct filz_heap *heap, struct fz_chunk *chunk, uintptr_t end)
{
    size_t left = end - fz_chunk_cursor(chunk);
    heap->header->clean = 0;
    fz_heap_set_cursor(heap, end - heap->backing.base);
    fz_chunk_set_left(chunk, left);
    __atomic_store_n(&chunk->size, end - address_of(chunk), __ATOMIC_RELEASE);
}

/* heap->fresh, within [start, end]. Memory before it was allocated before a reset, and may hold anything. */
static uintptr_t fresh_within(const struct filz_heap *heap, uintptr_t start, uintptr_t end)
{
    return heap->fresh < start ? start : heap->fresh > end ? end : heap->fresh;
}

/* Writing a chunk's header faults its page in, and many small ones after it. So this prefaults the first pages of a new
 * chunk, and only those, because it is under the lock. Returns the others, except pages used before a reset. */
static struct fz_fresh_pages prefault_first(const struct filz_heap *heap, uintptr_t start, uintptr_t end)
{
    const struct fz_backing *backing = &heap->backing;
    if (start < heap->fresh)
        return fz_backing_fresh_pages(backing, fresh_within(heap, start, end), end);
    if (end - start < 2 * FZ_WORTH_PREFAULTING)
        return fz_backing_fresh_pages(backing, start + backing->page_size, end);
    struct fz_fresh_pages first = fz_backing_fresh_pages(backing, start, start + FZ_WORTH_PREFAULTING);
    fz_backing_prefault(&first);
    return fz_backing_fresh_pages(backing, first.end, end);
}

/* The chunk is empty, with no bytes left yet. */
static void write_header(const struct filz_heap *heap, struct fz_chunk *chunk, uintptr_t fresh)
{
    static const struct fz_chunk full = {.size = sizeof(full), .state = FZ_ACTIVE};
    *chunk = full;
    memset((char *)chunk + offsetof(struct fz_chunk, fill), 0xFF, sizeof(uint64_t)); /* both halves of an FZ_WORD */
    fz_chunk_set_fresh(chunk, fresh);
    chunk->offset = address_of(chunk) - heap->backing.base;
    chunk->generation = heap->header->generation;
}

static struct fz_chunk *carve(struct filz_heap *heap, size_t size, size_t align, size_t step,
                              struct fz_fresh_pages *fresh_pages)
{
    struct fz_chunk *chunk = (struct fz_chunk *)fz_heap_cursor(heap);
    if (address_of(chunk) == fz_heap_limit(heap))
        return NULL;
    uintptr_t end = commit_for(heap, first_byte(chunk), size, align, step);
    if (end == 0)
        return NULL;
    if (step != 0)
        *fresh_pages = prefault_first(heap, address_of(chunk), end);
    fz_unpoison(address_of(chunk), first_byte(chunk));
    write_header(heap, chunk, fresh_within(heap, first_byte(chunk), end));
    extend(heap, chunk, end);
    set_last(heap, chunk);
    return chunk;
}

/* The heap's last chunk can grow without moving anything. */
static bool grow_last(struct filz_heap *heap, size_t size, size_t align, size_t step,
                      struct fz_fresh_pages *fresh_pages)
{
    struct fz_chunk *chunk = heap->last;
    uintptr_t old_end = fz_chunk_end(chunk);
    uintptr_t end = commit_for(heap, fz_chunk_cursor(chunk), size, align, step);
    if (end == 0)
        return false;
    if (heap->fresh > old_end)
        fz_chunk_set_fresh(chunk, fresh_within(heap, old_end, end));
    extend(heap, chunk, end);
    if (step != 0)
        *fresh_pages = fz_backing_fresh_pages(&heap->backing, fresh_within(heap, old_end, end), end);
    return true;
}

/* Whether no thread allocates from it: its thread left it, or was in an earlier run. */
static bool is_free(const struct filz_heap *heap, const struct fz_chunk *chunk)
{
    return chunk->state == FZ_TAIL || (chunk->state == FZ_ACTIVE && chunk->owner <= heap->threads_before);
}

/* The chunk at this offset of the list, in which offsets decrease, so it is before `later`. The list may come from the
 * last run, and a power cut may have lost parts of it, so an invalid chunk ends it. */
static struct fz_chunk *in_list(const struct filz_heap *heap, uint64_t offset, uint64_t later)
{
    if (offset == 0 || offset >= later || offset % heap->backing.page_size != 0)
        return NULL;
    struct fz_chunk *chunk = chunk_at(heap, offset);
    if (fz_is_poisoned(address_of(chunk), sizeof(*chunk)))
        return NULL;
    bool is_right = fz_check_chunk(heap->header, offset, chunk).error == 0 && chunk->state != FZ_DEDICATED &&
                    fz_chunk_end(chunk) <= fz_heap_cursor(heap) &&
                    fz_chunk_end_suits(fz_chunk_end(chunk), fz_chunk_left(chunk));
    return is_right ? chunk : NULL;
}

/* The first chunk that is free and has `need` bytes left, or NULL. */
static struct fz_chunk *find_tail(const struct filz_heap *heap, size_t need)
{
    struct fz_chunk *chunk = in_list(heap, heap->tails, heap->cursor);
    while (chunk != NULL && (!is_free(heap, chunk) || fz_chunk_left(chunk) < need))
        chunk = in_list(heap, chunk->next_tail, chunk->offset);
    return chunk;
}

/* Unlinks free chunks with less, so that each is visited once. */
static void drop_smaller_tails(struct filz_heap *heap, size_t need)
{
    uint64_t *link = &heap->tails, later = heap->cursor;
    struct fz_chunk *chunk;
    while ((chunk = in_list(heap, *link, later)) != NULL) {
        later = chunk->offset;
        if (is_free(heap, chunk) && fz_chunk_left(chunk) < need)
            *link = chunk->next_tail;
        else
            link = &chunk->next_tail;
    }
}

/* The number of the thread whose active chunk was `active`. */
static uint32_t thread_number(struct filz_heap *heap, const struct fz_chunk *active)
{
    if (active != NULL)
        return active->owner;
    if (heap->header->threads < UINT32_MAX)
        heap->header->threads++;
    return (uint32_t)heap->header->threads;
}

/* For a thread: a chunk with a free tail of unknown contents, or else a new one. */
static struct fz_chunk *take_chunk(struct filz_heap *heap, const struct fz_chunk *active, size_t size, size_t align,
                                   size_t step, struct fz_fresh_pages *fresh_pages)
{
    size_t need = size + (align - 1);
    struct fz_chunk *chunk = step != 0 ? find_tail(heap, need) : NULL;
    if (chunk != NULL) {
        chunk->fresh = chunk->size;
    } else {
        chunk = carve(heap, size, align, step, fresh_pages);
        if (chunk == NULL)
            return NULL;
        chunk->next_tail = heap->tails;
        heap->tails = chunk->offset;
    }
    heap->header->clean = 0;
    chunk->state = FZ_ACTIVE;
    chunk->owner = thread_number(heap, active);
    if (step != 0)
        drop_smaller_tails(heap, need);
    return chunk;
}

/* The chunk has room for the block. */
static void *place_block(struct fz_chunk *chunk, size_t size, size_t align)
{
    uintptr_t block = align_up(fz_chunk_cursor(chunk), align);
    fz_chunk_set_left(chunk, fz_chunk_end(chunk) - (block + size));
    fz_chunk_count_block(chunk);
    fz_unpoison(block, block + size);
    return (void *)block;
}

static void *alloc_dedicated(struct filz_heap *heap, const struct fz_chunk *active, size_t size, size_t align)
{
    struct fz_chunk *chunk = carve(heap, size, align, 0, NULL);
    if (chunk == NULL)
        return NULL;
    chunk->state = FZ_DEDICATED;
    chunk->owner = active->owner;
    return place_block(chunk, size, align);
}

void *fz_chunk_alloc(struct filz_heap *heap, struct fz_chunk **active, size_t size, size_t align,
                     struct fz_fresh_pages *fresh_pages)
{
    if (size > heap->backing.capacity || align > heap->backing.capacity || !fz_backing_may_change(&heap->backing))
        return NULL;
    size_t need = size + (align - 1);
    bool large = need > FZ_LARGE;
    size_t step = large ? 0 : step_for(heap, *active, need);
    if (*active != NULL && *active == heap->last && grow_last(heap, size, align, step, fresh_pages))
        return place_block(*active, size, align);
    if (large && *active != NULL)
        return alloc_dedicated(heap, *active, size, align);
    struct fz_chunk *chunk = take_chunk(heap, *active, size, align, step, fresh_pages);
    if (chunk == NULL)
        return NULL;
    if (*active != NULL)
        fz_chunk_leave(heap, *active);
    *active = chunk;
    return place_block(chunk, size, align);
}

/* The heap's last chunk, if the calling thread may change it and its newest block ends at `block_end`. */
static struct fz_chunk *last_with_block_end(const struct filz_heap *heap, const struct fz_chunk *active,
                                            uintptr_t block_end)
{
    struct fz_chunk *last = heap->last;
    bool may_change = last != NULL && (last == active || last->state == FZ_DEDICATED);
    return may_change && fz_backing_may_change(&heap->backing) && fz_chunk_cursor(last) == block_end ? last : NULL;
}

bool fz_chunk_grow_block(struct filz_heap *heap, struct fz_chunk *active, uintptr_t block_end, size_t extra,
                         struct fz_fresh_pages *fresh_pages)
{
    struct fz_chunk *last = last_with_block_end(heap, active, block_end);
    if (last == NULL)
        return false;
    size_t step = extra > FZ_LARGE || last->state == FZ_DEDICATED ? 0 : step_for(heap, last, extra);
    if (extra > fz_chunk_left(last) && !grow_last(heap, extra, 1, step, fresh_pages))
        return false;
    fz_chunk_set_left(last, fz_chunk_left(last) - extra);
    fz_unpoison(block_end, block_end + extra);
    return true;
}

/* A root in memory that the heap gives back leads nowhere. */
static void drop_root_after(struct filz_heap *heap, uintptr_t end)
{
    if (heap->header->root >= end)
        __atomic_store_n(&heap->header->root, 0, __ATOMIC_RELEASE);
}

void fz_chunk_shrink_block(struct filz_heap *heap, struct fz_chunk *active, uintptr_t old_end, uintptr_t block_end)
{
    struct fz_chunk *last = last_with_block_end(heap, active, old_end);
    block_end = larger_of(block_end, fz_heap_synced_up_to(heap));
    if (last == NULL || block_end >= old_end)
        return;
    uintptr_t end = align_up(block_end, heap->backing.page_size);
    if (last == active && !fz_chunk_end_suits(end, end - block_end))
        return;
    if (heap->fresh < fz_chunk_end(last))
        __atomic_store_n(&heap->fresh, fz_chunk_end(last), __ATOMIC_RELAXED);
    if (fz_chunk_fresh(last) < fz_chunk_end(last))
        fz_chunk_set_fresh(last, fz_chunk_end(last));
    fz_chunk_set_left(last, fz_chunk_end(last) - block_end);
    drop_root_after(heap, end);
    shorten(heap, last, end);
}

void fz_chunk_leave(struct filz_heap *heap, struct fz_chunk *chunk)
{
    if (heap->backing.growth != FZ_NOWHERE)
        chunk->state = FZ_TAIL;
}

/* A fork's snapshot may have no chunk, although there was one afterwards. */
static struct fz_chunk *first_chunk(struct filz_heap *heap)
{
    struct fz_chunk *first = chunk_at(heap, heap->backing.page_size);
    if (address_of(first) == fz_heap_cursor(heap))
        return NULL;
    write_header(heap, first, first_byte(first));
    first->owner = thread_number(heap, NULL);
    return first;
}

void fz_chunk_settle_last(struct filz_heap *heap, struct fz_chunk *last)
{
    if (last == NULL)
        last = first_chunk(heap);
    heap->last = last;
    if (last == NULL)
        return;
    set_last(heap, last);
    size_t size = fz_heap_cursor(heap) - address_of(last);
    if (last->size != size) {
        fz_chunk_set_left(last, 0);
        __atomic_store_n(&last->size, size, __ATOMIC_RELEASE);
    }
    last->fresh = last->size;
}

int fz_chunk_next(const struct filz_heap *heap, struct fz_chunk **chunk)
{
    uintptr_t next = *chunk != NULL ? fz_chunk_end(*chunk) : heap->backing.base + heap->backing.page_size;
    *chunk = NULL;
    if (next >= fz_heap_cursor(heap))
        return 0;
    if (fz_is_poisoned(next, sizeof(**chunk)))
        return FILZ_EDAMAGED;
    struct fz_chunk *found = (struct fz_chunk *)next;
    struct fz_problem problem = fz_check_chunk(heap->header, next - heap->backing.base, found);
    bool may_end_later = heap->backing.growth == FZ_READ_ONLY && (found == heap->last || heap->is_followed);
    bool ends_too_late = fz_chunk_end(found) > fz_heap_cursor(heap) && !may_end_later;
    if (problem.error != 0 || ends_too_late)
        return FILZ_EDAMAGED;
    *chunk = found;
    return 0;
}
