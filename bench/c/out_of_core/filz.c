/* filz, as a program has it that sets nothing; before a walk, it may say so. */
#include "out_of_core.h"

#include <filz/mmap.h>

static filz_mmap heap = {.path = "out-of-core.filz", .flags = FILZ_MMAP_PERSISTENT};

static void check(int error)
{
    if (error != 0)
        fail(filz_error_text(error));
}

void allocator_begin(void)
{
    check(filz_mmap_open(&heap));
}

void *allocator_allocate(size_t size)
{
    return filz_mmap_alloc(&heap, size, 8);
}

bool allocator_keep(void *first)
{
    check(filz_mmap_set_root(&heap, first));
    check(filz_mmap_sync(&heap));
    check(filz_mmap_close(&heap));
    return true;
}

void *allocator_open(void)
{
    heap.flags = FILZ_MMAP_READ_ONLY;
    check(filz_mmap_open(&heap));
    return filz_mmap_root(&heap);
}

bool peer_advise(enum pattern pattern)
{
    check(filz_mmap_advise(&heap, NULL, 0, pattern == IN_ORDER ? FILZ_ADVICE_SEQUENTIAL : FILZ_ADVICE_AUTO));
    return true;
}
