/* Inspects a heap: how full it is, and what each page is. May not change anything. */
#include "chunk.h"
#include "filz/mmap.h"

/* Where the tail begins. While another process changes the chunk's size, the bytes left may be from another moment. */
static uintptr_t tail_of(const struct filz_heap *heap, const struct fz_chunk *chunk)
{
    size_t size = (size_t)chunk->size, left = fz_chunk_left(chunk);
    uintptr_t start = (uintptr_t)chunk, tail = left < size ? start + size - left : start + sizeof(*chunk);
    return smaller_of(tail, fz_heap_cursor(heap));
}

static int count_chunks(const struct filz_heap *heap, filz_mmap_info *info)
{
    struct fz_chunk *chunk = NULL;
    int error;
    info->used = heap->backing.page_size;
    while ((error = fz_chunk_next(heap, &chunk)) == 0 && chunk != NULL) {
        info->chunks++;
        info->blocks += fz_chunk_blocks(chunk);
        info->used += tail_of(heap, chunk) - (uintptr_t)chunk;
    }
    return error;
}

/* A chunk that the heap's writer is changing may look damaged to a reader, which then tries again. */
static bool look_again(const struct filz_heap *heap, int error, int *tries)
{
    return error == FILZ_EDAMAGED && heap->is_followed && ++*tries < 100;
}

static int take_stock(struct filz_heap *heap, filz_mmap_info *out)
{
    const struct fz_backing *backing = &heap->backing;
    fz_heap_follow(heap);
    *out = (filz_mmap_info){
        .path = backing->location.disposition == FZ_UNNAMED ? NULL : backing->location.path,
        .capacity = backing->capacity,
        .committed = backing->committed,
        .in_chunks = heap->cursor,
        .threads = (size_t)heap->header->threads,
        .page_size = backing->page_size,
    };
    return count_chunks(heap, out);
}

int fz_stats(struct filz_heap *heap, filz_mmap_info *out)
{
    int error, tries = 0;
    do
        error = take_stock(heap, out);
    while (look_again(heap, error, &tries));
    return error;
}

/* The pages [first, first + count) of a heap, and their states. */
struct page_view {
    size_t first, count;
    unsigned char *states;
};

static void mark_residency(const struct filz_heap *heap, struct page_view view)
{
    char *start = (char *)heap->header + view.first * heap->backing.page_size;
    bool known = fz_os_residency(start, view.count, view.states) == 0;
    for (size_t i = 0; i < view.count; i++)
        view.states[i] = known && (view.states[i] & 1) ? FILZ_PAGE_IN_RAM : 0;
}

static void mark(struct page_view view, size_t first, size_t last, unsigned bits)
{
    for (size_t i = larger_of(first, view.first); i < last && i < view.first + view.count; i++)
        view.states[i - view.first] |= (unsigned char)bits;
}

static size_t page_of(const struct filz_heap *heap, uintptr_t address)
{
    return (address - heap->backing.base) / heap->backing.page_size;
}

static int mark_chunks(const struct filz_heap *heap, struct page_view view)
{
    struct fz_chunk *chunk = NULL;
    int error;
    mark(view, 0, 1, FILZ_PAGE_USED);
    while ((error = fz_chunk_next(heap, &chunk)) == 0 && chunk != NULL) {
        size_t tail = page_of(heap, align_up(tail_of(heap, chunk), heap->backing.page_size));
        unsigned thread = (chunk->owner - 1) % 31 + 1;
        mark(view, page_of(heap, (uintptr_t)chunk), tail, FILZ_PAGE_USED | thread << 3);
        mark(view, tail, page_of(heap, fz_chunk_end(chunk)), FILZ_PAGE_TAIL | thread << 3);
    }
    return error;
}

static int look_at_pages(struct filz_heap *heap, struct page_view *view)
{
    fz_heap_follow(heap);
    size_t pages = heap->backing.committed / heap->backing.page_size;
    view->count = view->first < pages ? smaller_of(view->count, pages - view->first) : 0;
    if (view->count == 0)
        return 0;
    mark_residency(heap, *view);
    return mark_chunks(heap, *view);
}

int fz_pages(struct filz_heap *heap, size_t first, size_t *count, unsigned char *states)
{
    struct page_view view = {first, *count, states};
    int error, tries = 0;
    do
        error = look_at_pages(heap, &view);
    while (look_again(heap, error, &tries));
    *count = error == 0 ? view.count : 0;
    return error;
}
