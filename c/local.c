/* Local heaps: what <filz/local.h> doesn't do inline. A piece is a block of the mapped heap. Nothing here may use more
 * of that heap than its public functions. */
#include "filz/local.h"

#include "bump.h"

#include <errno.h>
#include <string.h>

#define PIECE ((size_t)64 << 10)

_Static_assert(PIECE % FILZ_LOCAL_ALIGN == 0, "its end is as aligned as its beginning");

/* The tail of the piece before stays unused: less than FILZ_LOCAL_LARGEST + FILZ_LOCAL_ALIGN bytes. */
static bool take_piece(filz_local *self)
{
    int errno_before = errno;
    char *piece = filz_mmap_alloc(self->heap, PIECE, FILZ_LOCAL_ALIGN);
    errno = errno_before;
    if (piece == NULL)
        return false;
    self->end = piece + PIECE;
    self->left = PIECE;
    return true;
}

void *filz_local_alloc_slow(filz_local *self, size_t size, size_t align)
{
    if (size == 0)
        return filz_local_alloc(self, 1, align);
    bool is_for_a_piece = size <= FILZ_LOCAL_LARGEST && align <= FILZ_LOCAL_ALIGN && is_power_of_two(align);
    if (is_for_a_piece && take_piece(self))
        return filz_local_alloc(self, size, align);
    return filz_mmap_alloc(self->heap, size, align);
}

void *filz_local_alloc_zeroed(filz_local *self, size_t size, size_t align)
{
    if (size > FILZ_LOCAL_LARGEST)
        return filz_mmap_alloc_zeroed(self->heap, size, align);
    void *block = filz_local_alloc(self, size, align);
    return block != NULL ? memset(block, 0, size) : NULL;
}

/* A block above FILZ_LOCAL_LARGEST may be the heap's own, which can do more with it. If it isn't, the heap sees that it
 * ends inside a piece, and copies it. What a block loses when it shrinks stays unused: a checkpoint may need it. */
void *filz_local_realloc(filz_local *self, void *block, size_t size, size_t align, size_t new_size)
{
    if (block == NULL)
        return filz_local_alloc(self, new_size, align);
    size_t old_size = at_least_one(size);
    size_t extra = new_size - old_size;
    bool is_newest = (uintptr_t)block + old_size == (uintptr_t)self->end - self->left;
    if (is_newest && is_power_of_two(align) && new_size > old_size && extra <= self->left) {
        self->left -= extra;
        return block;
    }
    if (old_size > FILZ_LOCAL_LARGEST || !is_power_of_two(align))
        return filz_mmap_realloc(self->heap, block, size, align, new_size);
    if (new_size <= old_size)
        return block;
    void *copy = filz_local_alloc(self, new_size, align);
    return copy != NULL ? memcpy(copy, block, size) : NULL;
}

void filz_local_close(filz_local *self)
{
    if (self->left != 0) {
        void *piece = self->end - PIECE;
        piece = filz_mmap_realloc(self->heap, piece, PIECE, FILZ_LOCAL_ALIGN, PIECE - self->left);
        (void)piece; /* unmoved: it shrinks */
    }
    self->end = NULL;
    self->left = 0;
}
