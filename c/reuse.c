/* See reuse.h. Adjacent spans are joined, so what small arrays leave when they grow in turn has room for larger ones.
 * The list of spans is in the heap's private page. This may not touch the memory itself, of which it knows only what
 * its callers say. */
#include "reuse.h"

#include "bump.h"
#include "heap.h"
#include "poison.h"

/* Fewer bytes are faster from a chunk. */
enum { LEAST = 128 };

void fz_reuse_begin(struct filz_heap *heap)
{
    heap->reuse = (struct fz_reuse){.is_on = heap->header->persistent == FZ_OVERWRITTEN};
}

void fz_reuse_end(struct filz_heap *heap)
{
    __atomic_store_n(&heap->reuse.is_on, false, __ATOMIC_RELAXED);
}

static bool is_wanted(const struct filz_heap *heap, size_t size)
{
    return size >= LEAST && __atomic_load_n(&heap->reuse.is_on, __ATOMIC_RELAXED);
}

static size_t size_of(struct fz_span span)
{
    return span.end - span.start;
}

/* If there are too many, the smallest is lost. */
static void keep(struct fz_reuse *reuse, struct fz_span span)
{
    struct fz_span *smallest = reuse->spans;
    for (struct fz_span *other = reuse->spans; other < reuse->spans + FZ_SPANS; other++) {
        if (other->end == span.start || other->start == span.end) {
            span.start = smaller_of(span.start, other->start);
            span.end = larger_of(span.end, other->end);
            *other = (struct fz_span){0, 0};
        }
        if (size_of(*other) < size_of(*smallest))
            smallest = other;
    }
    if (size_of(*smallest) < size_of(span))
        *smallest = span;
}

/* The smallest that has room for the block, or NULL. */
static struct fz_span *find_span(struct fz_reuse *reuse, size_t size, size_t align, uintptr_t *block)
{
    struct fz_span *best = NULL;
    uintptr_t start;
    for (struct fz_span *span = reuse->spans; span < reuse->spans + FZ_SPANS; span++)
        if ((best == NULL || size_of(*span) < size_of(*best)) &&
            bump_fits(span->start, span->end, size, align, &start)) {
            best = span;
            *block = start;
        }
    return best;
}

void *fz_reuse_take(struct filz_heap *heap, size_t size, size_t align)
{
    uintptr_t block;
    if (!fz_backing_may_change(&heap->backing))
        fz_reuse_end(heap);
    struct fz_span *span = is_wanted(heap, size) ? find_span(&heap->reuse, size, align, &block) : NULL;
    if (span == NULL)
        return NULL;
    span->start = block + size;
    fz_unpoison(block, block + size);
    return (void *)block;
}

void fz_reuse_leave(struct filz_heap *heap, uintptr_t block, size_t size)
{
    int cancel_state;
    if (!is_wanted(heap, size))
        return;
    fz_lock(&cancel_state);
    fz_poison(block, block + size);
    keep(&heap->reuse, (struct fz_span){block, block + size});
    fz_unlock(cancel_state);
}
