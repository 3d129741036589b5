/* filz/local.h: a part of a mapped heap from which one thread allocates inline, without a call.
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
 * filz_mmap_alloc is a call of 17 instructions. filz_local_alloc is inline: if the alignment is a constant, it takes 8
 * instructions to allocate a block from a piece of 64 KiB that the heap has allocated.
 *
 * If the piece has no room, a block of up to FILZ_LOCAL_LARGEST bytes comes from a new piece, and the tail of the old
 * piece stays unused. A larger block is allocated from the heap itself. So is a block that is aligned to more than
 * FILZ_LOCAL_ALIGN, and a block for which the heap has room although it has none for a new piece.
 *
 * BLOCKS are those of <filz/mmap.h>. They live until the heap is reset or closed, even after the local heap is closed.
 * A failed request allocates nothing, returns NULL, and sets errno as filz_mmap_alloc does. There is no dealloc.
 *
 * THREADS. No two threads may use one local heap at the same time, but each can have its own on the same heap. Any
 * thread may use the blocks.
 *
 * CLOSE ALL LOCAL HEAPS before the heap is reset, closed or published. One that is still open afterwards would allocate
 * from memory that it doesn't own. This isn't checked. A program that is killed, or forgets to close a local heap,
 * loses at most the tail of its piece, until the heap is reset.
 *
 * AFTER FORK, parent and child each continue in a piece of their own, as with the heap. A child of _Fork must not
 * allocate.
 *
 * A PIECE COUNTS AS ONE BLOCK of the heap (`used` and `blocks` in filz_mmap_stats, the tool filz). AddressSanitizer
 * treats all of it as allocated. */
#ifndef FILZ_LOCAL_H
#define FILZ_LOCAL_H

#include "mmap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A local heap. All fields are private. It may be moved at any time, but only one copy may be used. */
typedef struct filz_local {
    filz_mmap *heap;
    char *end;   /* of the piece, a multiple of FILZ_LOCAL_ALIGN; NULL: there is none */
    size_t left; /* bytes of the piece that aren't allocated: its last ones */
} filz_local;

/* Initializes a local heap of `heap`, a filz_mmap *, which must not be moved while the local heap is in use. Opens and
 * allocates nothing yet. */
/* clang-format off */
#define FILZ_LOCAL_INIT(heap) {(heap), NULL, 0}
/* clang-format on */

/* In bytes: the largest block for which a new piece is allocated, and the largest alignment of a block in a piece. */
#define FILZ_LOCAL_LARGEST 8192
#define FILZ_LOCAL_ALIGN 64

/* The part of filz_local_alloc that isn't inline. Programs call filz_local_alloc instead. */
FILZ_API FILZ_ALLOCATES(2, 3) void *filz_local_alloc_slow(filz_local *self, size_t size, size_t align);

/* Returns a block of `size` bytes at a multiple of `align`, as filz_mmap_alloc does.
 *
 * The end of the piece is a multiple of `align`. With `left` rounded down to a multiple, `end - left` is one too. */
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

/* Changes the size of `block`, as filz_mmap_realloc does. `block` must have come from this local heap, or from another
 * one of the same heap. The newest block of the piece grows in place, as long as the piece has room. Any block keeps
 * its address when it shrinks. If it was in a piece, the bytes that it loses aren't allocated again. */
FILZ_API FILZ_ALLOCATES(5, 4) void *filz_local_realloc(filz_local *self, void *block, size_t size, size_t align,
                                                       size_t new_size);

/* Returns the tail of the piece to the heap, if the heap has allocated nothing after the piece. Every block stays. Does
 * nothing if the local heap has no piece. The local heap may allocate again afterwards. */
FILZ_API void filz_local_close(filz_local *self);

#ifdef __cplusplus
}
#endif

#endif
