/* Both allocators by one set of names, for tests of what both promise; and what a mapped heap says of itself. */
#ifndef FILZ_TESTS_ALLOCATORS_H
#define FILZ_TESTS_ALLOCATORS_H

#include "basics.h"

#ifndef FILZ_HAS_MMAP
#include "no_mmap.h"
#endif

struct heap {
    filz_stack *stack; /* NULL: this heap is mapped */
    void *memory;      /* the stack allocator's, or NULL */
    filz_mmap mmap;
    void (*meanwhile)(void); /* what happens before each call, or NULL */
};

static void pass_time(const struct heap *heap)
{
    if (heap->meanwhile != NULL)
        heap->meanwhile();
}

#ifdef _WIN32
static void *new_pages(size_t bytes)
{
    return _aligned_malloc(bytes, 4096);
}

static void free_pages(void *pages)
{
    _aligned_free(pages);
}
#else
static void *new_pages(size_t bytes)
{
    void *pages = NULL;
    assert_int_equal(posix_memalign(&pages, 4096, bytes), 0);
    return pages;
}

static void free_pages(void *pages)
{
    free(pages);
}
#endif

/* A stack allocator of `capacity` bytes, its buffer at a multiple of 4,096. */
MAYBE_UNUSED static struct heap *new_stack_heap(size_t capacity)
{
    struct heap *heap = calloc(1, sizeof(*heap));
    assert_non_null(heap);
    heap->memory = new_pages(4096 + capacity);
    assert_non_null(heap->memory);
    memset(heap->memory, 0xDB, 4096 + capacity);
    size_t skip = 4096 - sizeof(filz_stack);
    heap->stack = filz_stack_init((char *)heap->memory + skip, sizeof(filz_stack) + capacity);
    assert_non_null(heap->stack);
    return heap;
}

MAYBE_UNUSED static struct heap *new_mmap_heap(size_t capacity)
{
    struct heap *heap = calloc(1, sizeof(*heap));
    assert_non_null(heap);
    heap->mmap.capacity = capacity;
    assert_int_equal(filz_mmap_open(&heap->mmap), 0);
    return heap;
}

MAYBE_UNUSED static void free_heap(struct heap *heap)
{
    assert_int_equal(filz_mmap_close(&heap->mmap), 0);
    free_pages(heap->memory);
    free(heap);
}

/* A stack allocator leaves errno alone. The tests of both find in it what a mapped heap would say. */
static void *stack_answer(void *block, size_t align, int errno_before)
{
    assert_int_equal(errno, errno_before);
    if (block == NULL)
        errno = align != 0 && (align & (align - 1)) == 0 ? ENOMEM : EINVAL;
    return block;
}

MAYBE_UNUSED static void *heap_alloc(struct heap *heap, size_t size, size_t align)
{
    pass_time(heap);
    int before = errno;
    return heap->stack ? stack_answer(filz_stack_alloc(heap->stack, size, align), align, before)
                       : filz_mmap_alloc(&heap->mmap, size, align);
}

MAYBE_UNUSED static void *heap_alloc_zeroed(struct heap *heap, size_t size, size_t align)
{
    pass_time(heap);
    int before = errno;
    return heap->stack ? stack_answer(filz_stack_alloc_zeroed(heap->stack, size, align), align, before)
                       : filz_mmap_alloc_zeroed(&heap->mmap, size, align);
}

MAYBE_UNUSED static void *heap_realloc(struct heap *heap, void *block, size_t size, size_t align, size_t new_size)
{
    pass_time(heap);
    int before = errno;
    return heap->stack ? stack_answer(filz_stack_realloc(heap->stack, block, size, align, new_size), align, before)
                       : filz_mmap_realloc(&heap->mmap, block, size, align, new_size);
}

MAYBE_UNUSED static void heap_dealloc(struct heap *heap, void *block, size_t size, size_t align)
{
    pass_time(heap);
    if (heap->stack)
        filz_stack_dealloc(heap->stack, block, size, align);
    else
        filz_mmap_dealloc(&heap->mmap, block, size, align);
}

MAYBE_UNUSED static bool heap_owns(const struct heap *heap, const void *address)
{
    pass_time(heap);
    return heap->stack ? filz_stack_owns(heap->stack, address) : filz_mmap_owns(&heap->mmap, address);
}

MAYBE_UNUSED static void heap_reset(struct heap *heap)
{
    pass_time(heap);
    if (heap->stack)
        filz_stack_reset(heap->stack);
    else
        assert_int_equal(filz_mmap_reset(&heap->mmap), 0);
}

MAYBE_UNUSED static size_t heap_used(const struct heap *heap)
{
    filz_stack_info stack;
    filz_mmap_info mapped;
    if (heap->stack) {
        filz_stack_stats(heap->stack, &stack);
        return stack.used;
    }
    return filz_mmap_stats(&heap->mmap, &mapped) == 0 ? mapped.used : SIZE_MAX;
}

/* How many pages filz_mmap_pages has written of `count` asked for; 0 after an error. */
MAYBE_UNUSED static size_t pages_of(const filz_mmap *heap, size_t first, size_t count, unsigned char *states)
{
    int error = filz_mmap_pages(heap, first, &count, states);
    return error == 0 ? count : 0;
}

MAYBE_UNUSED static filz_mmap_info stats_of(const filz_mmap *heap)
{
    filz_mmap_info info;
    assert_int_equal(filz_mmap_stats(heap, &info), 0);
    return info;
}

#endif
