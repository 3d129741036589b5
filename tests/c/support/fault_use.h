/* A program that uses a heap while calls to the system fail: it allocates blocks, resizes them and looks at them, and
 * knows which errors are right. */
#ifndef FILZ_TESTS_FAULT_USE_H
#define FILZ_TESTS_FAULT_USE_H

#include "support.h"

#include "faults.h"

/* Strict: nothing may fail. Else what fails must fail as it should. */
static bool strict;

struct block {
    unsigned char *start;
    size_t size;
    int fill;
};

static struct block blocks[256];
static size_t block_count;

static int intact(void)
{
    for (size_t i = 0; i < block_count; i++)
        EXPECT(is_filled(blocks[i].start, blocks[i].fill, blocks[i].size));
    return 0;
}

static void fill(struct block *block, int byte)
{
    block->fill = byte;
    memset(block->start, byte, block->size);
}

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        if ((call) != 0)                                                                                               \
            return 1;                                                                                                  \
    } while (0)

static bool is_open(const filz_mmap *heap)
{
    filz_mmap_info info;
    return filz_mmap_stats(heap, &info) == 0;
}

/* Whether a heap that couldn't be opened because of the fault may say so. */
static bool is_right(int error)
{
    switch (faults->fault.error) {
    case FAULT_NOTHING: /* the file looks empty, or full */
    case FAULT_SHORT:   /* a short write; a short read of what stands in the file */
        return error == ENOSPC || error == EIO || error == FILZ_ENOTHEAP;
    case ENXIO: /* open(2) says it of a socket */
        return error == ENXIO || error == FILZ_ENOTFILE;
    case EOPNOTSUPP: /* so does that of the BSDs */
        return error == EOPNOTSUPP || (ON_POSIX && error == FILZ_ENOTFILE);
    case EINVAL: /* mmap(2) says it of a length, and is then taken to have no room for it */
        return error == EINVAL || error == ENOMEM;
    case ERANGE:
        return error == FILZ_EPATH;
    case EWOULDBLOCK: /* flock(2) says it of a file that is in use */
        return error == EWOULDBLOCK || error == FILZ_EINUSE;
    default:
        return error == faults->fault.error;
    }
}

/* After a block couldn't be had. */
static int failed_rightly(bool was_open, int error)
{
    EXPECT(!strict);
    EXPECT(error == ENOMEM || (!was_open && is_right(error)));
    return 0;
}

/* Whether this call is the one that fails. */
MAYBE_UNUSED static bool failed(const char *call)
{
    const struct fault *fault = &faults->fault;
    return fault->call != NULL &&
           (strcmp(fault->call->name, call) == 0 || (fault->broken && strcmp(call, "ftruncate") == 0));
}

/* -- Blocks -------------------------------------------------------------------------------------------------------- */

#define LEFT_ALONE 12345

static int allocate(filz_mmap *heap, size_t size, size_t align, bool zeroed)
{
    bool was_open = is_open(heap);
    errno = LEFT_ALONE;
    unsigned char *start = zeroed ? filz_mmap_alloc_zeroed(heap, size, align) : filz_mmap_alloc(heap, size, align);
    if (start == NULL)
        return failed_rightly(was_open, errno);
    EXPECT(errno == LEFT_ALONE);
    EXPECT(is_aligned(start, align) && filz_mmap_owns(heap, start) && filz_mmap_owns(heap, start + size - 1));
    EXPECT(!zeroed || is_filled(start, 0, size));
    EXPECT(block_count < COUNT(blocks));
    blocks[block_count] = (struct block){.start = start, .size = size};
    fill(&blocks[block_count], (int)block_count % 255 + 1);
    block_count++;
    return 0;
}

static int resize(filz_mmap *heap, size_t i, size_t new_size)
{
    if (i >= block_count)
        return 0;
    struct block *block = &blocks[i];
    errno = LEFT_ALONE;
    unsigned char *start = filz_mmap_realloc(heap, block->start, block->size, 1, new_size);
    if (start == NULL)
        return failed_rightly(true, errno);
    EXPECT(errno == LEFT_ALONE);
    block->start = start;
    EXPECT(is_filled(start, block->fill, block->size < new_size ? block->size : new_size));
    block->size = new_size;
    fill(block, block->fill);
    return 0;
}

MAYBE_UNUSED static int look(filz_mmap *heap)
{
    unsigned char pages[64];
    filz_mmap_info info;
    if (filz_mmap_stats(heap, &info) != 0)
        return 0;
    EXPECT(info.used <= info.in_chunks && info.in_chunks <= info.committed && info.committed <= info.capacity);
    EXPECT(pages_of(heap, 0, COUNT(pages), pages) > 0);
    EXPECT((pages[0] & FILZ_PAGE_KIND) == FILZ_PAGE_USED);
    return 0;
}

/* A named file is as long as the heap says: what an extension took that failed is given back. */
MAYBE_UNUSED static int file_is_as_long_as_the_heap(filz_mmap *heap)
{
    filz_mmap_info info;
    struct stat status;
    if (filz_mmap_stats(heap, &info) != 0 || info.path == NULL || stat(info.path, &status) != 0)
        return 0;
    EXPECT((size_t)status.st_size == info.committed);
    return 0;
}

/* Small blocks, a large one, several extensions of the file, blocks resized where they stand and moved. */
MAYBE_UNUSED static int use_heap(filz_mmap *heap)
{
    for (size_t i = 0; i < 20; i++)
        TRY(allocate(heap, 700 * (i + 1), (size_t)1 << i % 13, i % 2));
    TRY(allocate(heap, 300 * KIB, 4096, true));
    for (size_t i = 0; i < 4; i++)
        TRY(allocate(heap, 60 * KIB, 16, false));
    TRY(resize(heap, block_count - 1, 90 * KIB));
    TRY(resize(heap, block_count - 1, 400 * KIB));
    TRY(resize(heap, block_count - 1, 380 * KIB));
    TRY(resize(heap, 3, 20 * KIB));
    TRY(look(heap));
    return intact();
}

static void *use_in_thread(void *heap)
{
    for (size_t i = 0; i < 3; i++)
        if (allocate(heap, 10 * KIB, 8, false) != 0)
            return heap;
    return NULL;
}

MAYBE_UNUSED static int use_from_threads(filz_mmap *heap)
{
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        void *wrong;
        EXPECT(pthread_create(&thread, NULL, use_in_thread, heap) == 0);
        EXPECT(pthread_join(thread, &wrong) == 0 && wrong == NULL);
    }
    return intact();
}

#endif
