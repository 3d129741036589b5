/* Operations on mapped heaps: ten of them, more than a thread keeps chunks of, the first two with one file, in threads
 * that run to their end while the one that started them has chunks open. */
#define _GNU_SOURCE 1
#include "operations.h"

#include <filz/mmap.h>
#include <pthread.h>
#include <unistd.h>

enum { HEAPS = 10, NAMED = 2, DEEPEST = 3, MOST_PAGES = 2048 };

struct heap {
    filz_mmap self;
    bool is_open;
    size_t allocated; /* since open or reset; what moves is allocated again, unless it moves to where another one was */
};

static struct heap heaps[HEAPS];

/* -- What must hold between two operations ------------------------------------------------------------------------- */

static filz_mmap_info info_of(const struct heap *heap)
{
    filz_mmap_info info;
    CLAIM(filz_mmap_stats(&heap->self, &info) == 0);
    return info;
}

static bool is_same(const filz_mmap_info *a, const filz_mmap_info *b)
{
    return a->path == b->path && a->capacity == b->capacity && a->committed == b->committed &&
           a->in_chunks == b->in_chunks && a->used == b->used && a->blocks == b->blocks && a->chunks == b->chunks &&
           a->threads == b->threads && a->page_size == b->page_size;
}

static void check_stats(unsigned index)
{
    const struct heap *heap = &heaps[index];
    filz_mmap_info info = info_of(heap);
    CLAIM(info.used <= info.in_chunks && info.in_chunks <= info.committed && info.committed <= info.capacity);
    CLAIM(info.capacity - heap->self.capacity < info.page_size);
    CLAIM(info.in_chunks % info.page_size == 0 && info.committed % info.page_size == 0);
    CLAIM(info.blocks == heap->allocated);
    CLAIM((info.blocks > 0) == (info.chunks > 0) && (info.blocks > 0) == (info.threads > 0));
    CLAIM((info.path != NULL) == (index < NAMED));
    size_t least = info.page_size;
    for (size_t i = 0; i < block_count; i++)
        least += blocks[i].heap == index ? taken(blocks[i].size) : 0;
    CLAIM(least <= info.used);
}

static void check_page_kinds(const filz_mmap_info *info, const unsigned char *states)
{
    size_t in_chunks = info->in_chunks / info->page_size, used = 0;
    CLAIM((states[0] & ~FILZ_PAGE_IN_RAM) == FILZ_PAGE_USED);
    for (size_t i = 1; i < info->committed / info->page_size; i++) {
        unsigned kind = states[i] & FILZ_PAGE_KIND;
        CLAIM(i < in_chunks ? kind == FILZ_PAGE_USED || kind == FILZ_PAGE_TAIL : kind == FILZ_PAGE_FREE);
        CLAIM((FILZ_PAGE_THREAD(states[i]) != 0) == (i < in_chunks));
        used += kind == FILZ_PAGE_USED;
    }
    CLAIM(info->used <= (used + 1) * info->page_size);
}

/* How many were written. */
static size_t pages_of(const filz_mmap *self, size_t first, size_t count, unsigned char *states)
{
    CLAIM(filz_mmap_pages(self, first, &count, states) == 0);
    return count;
}

static void check_pages(unsigned index, struct input *input)
{
    static unsigned char states[MOST_PAGES + 1], some[MOST_PAGES + 1];
    const filz_mmap *self = &heaps[index].self;
    filz_mmap_info info = info_of(&heaps[index]);
    size_t pages = info.committed / info.page_size;
    CLAIM(pages_of(self, 0, MOST_PAGES + 1, states) == pages);
    check_page_kinds(&info, states);
    size_t first = next_size(input) % (pages + 2), count = next_size(input) % (MOST_PAGES + 1);
    size_t left = first < pages ? pages - first : 0;
    size_t expected = count < left ? count : left;
    some[expected] = 0xDB;
    CLAIM(pages_of(self, first, count, some) == expected && some[expected] == 0xDB);
    for (size_t i = 0; i < expected; i++)
        CLAIM(((some[i] ^ states[first + i]) & ~FILZ_PAGE_IN_RAM) == 0);
}

static void check_closed(const filz_mmap *self, const void *address)
{
    filz_mmap_info info;
    unsigned char state;
    size_t count = 1;
    CLAIM(filz_mmap_stats(self, &info) == FILZ_ECLOSED);
    CLAIM(filz_mmap_pages(self, 0, &count, &state) == FILZ_ECLOSED && count == 0);
    CLAIM(!filz_mmap_owns(self, address));
}

static void check_heap(unsigned index, struct input *input)
{
    if (!heaps[index].is_open) {
        check_closed(&heaps[index].self, blocks[0].at);
        return;
    }
    check_stats(index);
    check_pages(index, input);
}

/* -- Open, close, reset -------------------------------------------------------------------------------------------- */

/* The last is the largest: as many pages as check_pages has room for. */
static void choose_capacity(struct heap *heap, unsigned choice)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t capacities[] = {2 * page,        page,
                                 3 * page + 1,    8 * page,
                                 (size_t)1 << 18, 300000,
                                 (size_t)1 << 20, 3000000,
                                 (size_t)1 << 22, MOST_PAGES * (size_t)4096};
    heap->self.capacity = capacities[choice % COUNT(capacities)];
}

/* What opening the heap must return. */
static int expect_open(unsigned index)
{
    if (heaps[index].is_open)
        return 0;
    if (heaps[index].self.capacity <= (size_t)sysconf(_SC_PAGESIZE))
        return FILZ_ECAPACITY;
    return index < NAMED && heaps[1 - index].is_open ? FILZ_EINUSE : 0;
}

static void open_heap(unsigned index)
{
    int expected = expect_open(index);
    CLAIM(filz_mmap_open(&heaps[index].self) == expected);
    heaps[index].is_open = expected == 0;
}

static void close_heap(unsigned index, unsigned next_capacity)
{
    struct heap *heap = &heaps[index];
    drop_blocks_after(index, NULL);
    CLAIM(filz_mmap_close(&heap->self) == 0);
    heap->is_open = false;
    heap->allocated = 0;
    choose_capacity(heap, next_capacity);
}

static void reset_heap(unsigned index)
{
    struct heap *heap = &heaps[index];
    filz_mmap_info before = heap->is_open ? info_of(heap) : (filz_mmap_info){0};
    drop_blocks_after(index, NULL);
    CLAIM(filz_mmap_reset(&heap->self) == 0);
    heap->allocated = 0;
    if (!heap->is_open)
        return;
    filz_mmap_info after = info_of(heap);
    CLAIM(after.used == after.page_size && after.in_chunks == after.page_size && after.chunks == 0);
    CLAIM(after.committed == before.committed && after.capacity == before.capacity);
}

/* -- Blocks -------------------------------------------------------------------------------------------------------- */

/* A call failed that could open the heap, and then had no room: it took nothing, and was right to fail. The
 * disk has room for all heaps. */
static void check_no_room(const struct heap *heap, const filz_mmap_info *before, size_t size, size_t align)
{
    enum { CHUNK_HEADER = 64 };
    filz_mmap_info after = info_of(heap);
    CLAIM(before->page_size == 0 || is_same(before, &after));
    size_t left = after.capacity - after.in_chunks;
    CLAIM(left < CHUNK_HEADER || size > left - CHUNK_HEADER || align - 1 > left - CHUNK_HEADER - size);
}

static void check_owner(const struct block *block)
{
    for (unsigned i = 0; i < HEAPS; i++) {
        CLAIM(filz_mmap_owns(&heaps[i].self, block->at) == (i == block->heap));
        CLAIM(filz_mmap_owns(&heaps[i].self, block->at + taken(block->size) - 1) == (i == block->heap));
    }
}

static void allocate(unsigned index, unsigned how, size_t size, size_t align)
{
    struct heap *heap = &heaps[index];
    int error = is_power_of_two(align) ? expect_open(index) : EINVAL;
    filz_mmap_info before = heap->is_open ? info_of(heap) : (filz_mmap_info){0};
    struct block block = {.size = size, .align = align, .heap = index};
    errno = UNTOUCHED;
    block.at = how == 0   ? filz_mmap_alloc(&heap->self, size, align)
               : how == 1 ? filz_mmap_alloc_zeroed(&heap->self, size, align)
                          : filz_mmap_realloc(&heap->self, NULL, 0, align, size);
    int reason = errno;
    if (is_power_of_two(align))
        heap->is_open = error == 0;
    if (block.at == NULL) {
        CLAIM(reason == (error == EINVAL ? EINVAL : ENOMEM));
        if (error == 0)
            check_no_room(heap, &before, size, align);
        return;
    }
    CLAIM(error == 0 && reason == UNTOUCHED);
    heap->allocated++;
    if (how == 1)
        check_zero(&block);
    check_owner(&block);
    add_block(block);
}

static void reallocate(struct block *block, size_t align, size_t new_size)
{
    struct heap *heap = &heaps[block->heap];
    filz_mmap_info before = info_of(heap);
    errno = UNTOUCHED;
    unsigned char *at = filz_mmap_realloc(&heap->self, block->at, block->size, align, new_size);
    int reason = errno;
    if (at == NULL) {
        CLAIM(reason == (is_power_of_two(align) ? ENOMEM : EINVAL));
        CLAIM(reason == EINVAL || new_size > block->size);
        if (reason == ENOMEM)
            check_no_room(heap, &before, new_size, align);
        return;
    }
    CLAIM(reason == UNTOUCHED && is_power_of_two(align));
    CLAIM(at == block->at || new_size > block->size);
    filz_mmap_info after = info_of(heap);
    CLAIM(after.blocks - before.blocks <= (at != block->at));
    CLAIM(at == block->at || after.blocks != before.blocks || after.used == before.used);
    heap->allocated += after.blocks - before.blocks;
    resize_block(block, at, new_size);
    check_owner(block);
}

/* -- Operations ---------------------------------------------------------------------------------------------------- */

struct work {
    struct input *input;
    size_t operations;
    int depth;
};

static void work_in_thread(struct work work);

static void operate(struct input *input, int depth)
{
    /* Opening a heap takes longer than all else: mostly the same few. */
    static const unsigned char indices[16] = {0, 0, 0, 0, 2, 2, 2, 2, 1, 3, 4, 5, 6, 7, 8, 9};
    unsigned byte = next_byte(input), index = indices[byte / 16];
    struct block *block;
    if (block_count > MOST_BLOCKS - 2)
        return;
    switch (byte % 16) {
    default:
        allocate(index, byte % 16 % 3, next_size(input), next_align(input));
        break;
    case 6:
    case 7:
    case 8:
        if ((block = next_block(input)) != NULL)
            reallocate(block, block->align, next_size(input));
        break;
    case 9:
        allocate(index, byte / 16 % 3, next_impossible_size(input), next_align(input));
        allocate(index, byte / 16 % 3, next_size(input), next_bad_align(input));
        break;
    case 10:
        if ((block = next_block(input)) != NULL) {
            reallocate(block, block->align, next_impossible_size(input));
            reallocate(block, next_bad_align(input), next_size(input));
            filz_mmap_dealloc(&heaps[block->heap].self, block->at, block->size, block->align);
        }
        break;
    case 11:
        reset_heap(index);
        break;
    case 12:
        close_heap(index, next_byte(input));
        break;
    case 13:
        open_heap(index);
        break;
    case 14:
        check_heap(index, input);
        check_all_contents();
        break;
    case 15:
        if (depth < DEEPEST)
            work_in_thread((struct work){input, next_byte(input) % 32, depth + 1});
    }
    if (heaps[index].is_open)
        check_stats(index);
}

static void *run(void *argument)
{
    struct work *work = argument;
    while (work->operations-- > 0 && work->input->at < work->input->end)
        operate(work->input, work->depth);
    return NULL;
}

static void work_in_thread(struct work work)
{
    pthread_t thread;
    CLAIM(pthread_create(&thread, NULL, run, &work) == 0);
    CLAIM(pthread_join(thread, NULL) == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    unsetenv("FILZ_DIR");
    unsetenv("FILZ_CAPACITY");
    setenv("FILZ_QUIET", "1", 1);
    return 0;
}

/* In a thread of its own: nothing of the input before is in its cache. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    for (unsigned i = 0; i < HEAPS; i++) {
        heaps[i] = (struct heap){.self = {.path = i < NAMED ? "named.filz" : NULL}};
        choose_capacity(&heaps[i], i + next_byte(&input) % 16);
    }
    work_in_thread((struct work){&input, SIZE_MAX, 0});
    for (unsigned i = 0; i < HEAPS; i++)
        close_heap(i, 0);
    return 0;
}
