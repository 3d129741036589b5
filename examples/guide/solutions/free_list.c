/* Chapter 10, exercise 1: a free list for blocks of one size, on top of a heap that never frees. A free block holds
 * the address of the next one. */
#include <filz/mmap.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIZE = 64, ALIVE = 1000, TURNS = 200000 };

struct free_block {
    struct free_block *next;
};

static filz_mmap heap;
static struct free_block *first_free;

static void check(int is_well, const char *what)
{
    if (is_well)
        return;
    fprintf(stderr, "not so: %s\n", what);
    exit(1);
}

static void *take(void)
{
    struct free_block *block = first_free;
    if (block == NULL)
        return filz_mmap_alloc(&heap, SIZE, 8);
    first_free = block->next;
    return block;
}

static void give(void *block)
{
    struct free_block *freed = block;
    freed->next = first_free;
    first_free = freed;
}

int main(void)
{
    static int *blocks[ALIVE];
    for (int i = 0; i < TURNS; i++) {
        if (i >= ALIVE) {
            check(*blocks[i % ALIVE] == i - ALIVE, "a block in use is nobody else's");
            give(blocks[i % ALIVE]);
        }
        blocks[i % ALIVE] = take();
        check(blocks[i % ALIVE] != NULL, "there is room");
        *blocks[i % ALIVE] = i;
    }
    filz_mmap_info info;
    filz_mmap_stats(&heap, &info);
    check(info.blocks == ALIVE, "no more blocks were allocated than are alive");
    printf("%d blocks replaced, %zu ever allocated\n", TURNS - ALIVE, info.blocks);
    return filz_mmap_close(&heap);
}
