/* filz/local.h: a part of a mapped heap that one thread allocates from without a call.
 *
 *     #include <filz/local.h>
 *     #include <stdio.h>
 *
 *     struct node {
 *         struct node *next;
 *         int value;
 *     };
 *
 *     int main(void)
 *     {
 *         filz_mmap heap = FILZ_MMAP_INIT;
 *         filz_local local = FILZ_LOCAL_INIT(&heap);
 *         struct node *list = NULL;
 *         int sum = 0;
 *         for (int i = 1; i <= 1000; i++) {
 *             struct node *node = filz_local_alloc(&local, sizeof(struct node), _Alignof(struct node));
 *             if (node == NULL)
 *                 return 1;
 *             *node = (struct node){list, i};
 *             list = node;
 *         }
 *         filz_local_close(&local);
 *         for (; list != NULL; list = list->next)
 *             sum += list->value;
 *         printf("the sum of the list is %d\n", sum);
 *         return filz_mmap_close(&heap);
 *     }
 *
 * filz_mmap_alloc is a call of 17 instructions. filz_local_alloc is inline: it takes a block from a piece of 64 KiB
 * that was allocated from the heap, by 8 instructions where the alignment is a constant. Where the piece has no room, a
 * block of up to FILZ_LOCAL_LARGEST bytes comes from a new piece, and what is left of the old one stays unused; a
 * larger block is allocated from the heap itself. So is one that is aligned to more than FILZ_LOCAL_ALIGN, and one for
 * which the heap has room, but not for a piece.
 *
 * BLOCKS are those of <filz/mmap.h>: they live until the heap is reset or closed, not only as long as the local heap;
 * a failed request takes nothing, gives NULL and sets errno as filz_mmap_alloc does. There is no dealloc.
 *
 * THREADS. No two threads may use one local heap at the same time; each can have one of its own on the same heap. Their
 * blocks may be used by any thread.
 *
 * BEFORE THE HEAP IS RESET, CLOSED OR PUBLISHED, close its local heaps: afterwards one that is still open would
 * allocate from memory that is another's, which isn't checked. A program that is killed, or forgets to close a local
 * heap, loses at most the rest of its piece, until the heap is reset.
 *
 * AFTER FORK, parent and child each go on in a piece of their own, as with the heap. A child of _Fork must not
 * allocate.
 *
 * A PIECE IS ONE BLOCK of the heap, wherever that counts them (`used`, `blocks` in filz_mmap_stats, the tool filz), and
 * AddressSanitizer takes all of it for allocated. */
#ifndef FILZ_LOCAL_H
#define FILZ_LOCAL_H

#include "mmap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A local heap. All of it is private. It may be moved at any time, but only one copy may be used. */
typedef struct filz_local {
    filz_mmap *heap;
    char *end;   /* of the piece, a multiple of FILZ_LOCAL_ALIGN; NULL: there is none */
    size_t left; /* bytes of the piece that aren't allocated: its last ones */
} filz_local;

/* A local heap of `heap`, a filz_mmap *, which must stay where it is. Nothing is opened or allocated yet. */
/* clang-format off */
#define FILZ_LOCAL_INIT(heap) {(heap), NULL, 0}
/* clang-format on */

/* In bytes: the largest block for which a new piece is taken, and the largest alignment of a block in a piece. */
#define FILZ_LOCAL_LARGEST 8192
#define FILZ_LOCAL_ALIGN 64

/* What filz_local_alloc does where it isn't done inline. Programs call that one. */
FILZ_API FILZ_ALLOCATES(2, 3) void *filz_local_alloc_slow(filz_local *self, size_t size, size_t align);

/* A block of `size` bytes at a multiple of `align`, as filz_mmap_alloc gives it.
 *
 * The end of the piece is a multiple of `align`. So what is left, rounded down to one, begins at one. */
FILZ_ALLOCATES(2, 3) static inline void *filz_local_alloc(filz_local *self, size_t size, size_t align)
{
    size_t left = self->left & ~(align - 1);
    if (size - 1 >= left || align - 1 >= FILZ_LOCAL_ALIGN || (align & (align - 1)) != 0)
        return filz_local_alloc_slow(self, size, align);
    self->left = left - size;
    return self->end - left;
}

/* The same, and the block is zero. */
FILZ_API FILZ_ALLOCATES(2, 3) void *filz_local_alloc_zeroed(filz_local *self, size_t size, size_t align);

/* Changes the size of `block`, as filz_mmap_realloc does, which must have come from this local heap, or another of the
 * same heap. The newest block of the piece grows where it stands, as long as the piece has room. Any block keeps its
 * address when it shrinks; what it loses isn't allocated again, if it was in a piece. */
FILZ_API FILZ_ALLOCATES(5, 4) void *filz_local_realloc(filz_local *self, void *block, size_t size, size_t align,
                                                       size_t new_size);

/* Gives the rest of the piece back to the heap, if nothing was allocated after it there. Every block stays. Does
 * nothing on one that has no piece. It may allocate again afterwards. */
FILZ_API void filz_local_close(filz_local *self);

#ifdef __cplusplus
}
#endif

#endif
