/* Chapter 2, exercise 2: a buffer that allocates from both ends. Downwards, aligning needs no padding first:
 * what lies below the block is what is left. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bump.h"

/* What is left lies between the two. */
struct two_ends {
    uintptr_t front, back;
};

static void *alloc_front(struct two_ends *self, size_t size, size_t align)
{
    uintptr_t block;
    if (!bump_fits(self->front, self->back, size, align, &block))
        return NULL;
    self->front = block + size;
    return (void *)block;
}

static void *alloc_back(struct two_ends *self, size_t size, size_t align)
{
    if (size > self->back - self->front)
        return NULL;
    uintptr_t block = align_down(self->back - size, align);
    if (block < self->front)
        return NULL;
    self->back = block;
    return (void *)block;
}

static void check(bool holds, const char *what)
{
    if (!holds) {
        printf("wrong: %s\n", what);
        exit(1);
    }
}

int main(void)
{
    static _Alignas(64) unsigned char buffer[64];
    struct two_ends both = {(uintptr_t)buffer, (uintptr_t)buffer + sizeof(buffer)};

    check(alloc_front(&both, 3, 1) == buffer, "the first byte");
    check(alloc_back(&both, 3, 1) == buffer + 61, "the last byte");
    check(alloc_front(&both, 8, 8) == buffer + 8, "up to a multiple of 8");
    check(alloc_back(&both, 8, 8) == buffer + 48, "down to a multiple of 8");
    check(alloc_back(&both, 1, 32) == buffer + 32, "as far down as it takes");
    check(alloc_back(&both, 1, 32) == NULL, "there the front is in the way");
    check(alloc_front(&both, 17, 1) == NULL, "16 bytes are left");
    check(alloc_back(&both, SIZE_MAX, 1) == NULL, "nothing wraps");
    check(alloc_back(&both, 16, 1) == buffer + 16 && both.front == both.back, "they meet");
    check(alloc_front(&both, 1, 1) == NULL && alloc_back(&both, 1, 1) == NULL, "nothing is left");
    puts("64 bytes, from both ends");
    return 0;
}
