/* Where filz has no mmap allocator: what support.h calls of it. No test there has a mapped heap, so nothing of this
 * runs but the close of a heap that isn't open. */
#ifndef FILZ_TESTS_NO_MMAP_H
#define FILZ_TESTS_NO_MMAP_H

typedef struct filz_mmap {
    size_t capacity;
} filz_mmap;

typedef struct filz_mmap_info {
    size_t used;
} filz_mmap_info;

static int filz_mmap_close(filz_mmap *self)
{
    (void)self;
    return 0;
}

#define filz_mmap_open(self) ((void)(self), ENOSYS)
#define filz_mmap_reset(self) ((void)(self), ENOSYS)
#define filz_mmap_stats(self, out) ((void)(self), (out)->used = 0, ENOSYS)
#define filz_mmap_pages(self, first, count, states) ((void)(self), (void)(first), (void)(states), *(count) = 0, ENOSYS)
#define filz_mmap_alloc(self, size, align) NULL
#define filz_mmap_alloc_zeroed(self, size, align) NULL
#define filz_mmap_realloc(self, block, size, align, new_size) NULL
#define filz_mmap_dealloc(self, block, size, align) ((void)0)
#define filz_mmap_owns(self, address) false

#endif
