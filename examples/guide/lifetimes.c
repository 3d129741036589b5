/* What never freeing costs, in bytes, for five kinds of program. Each block is asked for from filz, and also counted as
 * two others would have it: one that needs nothing but what is alive at the moment, and one with a free list for each
 * power of two, which allocates a block from the list if it can. */
#include <filz/mmap.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static filz_mmap heap;
static size_t alive, alive_at_most;
static size_t free_blocks[32], in_lists; /* blocks in each free list; bytes that the lists ever took */
static size_t used_at_most;

/* --- three allocators at once --- */

static unsigned order_of(size_t size)
{
    unsigned order = 4; /* 16 bytes: a free block has to hold a pointer */
    while ((size_t)1 << order < size)
        order++;
    return order;
}

static void count_taken(size_t size)
{
    unsigned order = order_of(size);
    if (free_blocks[order] > 0)
        free_blocks[order]--;
    else
        in_lists += (size_t)1 << order;
}

static void count_alive(size_t more)
{
    alive += more;
    if (alive > alive_at_most)
        alive_at_most = alive;
}

static void *must_be(void *block)
{
    if (block != NULL)
        return block;
    perror("filz");
    exit(1);
}

static void *take(size_t size)
{
    count_taken(size);
    count_alive(size);
    return must_be(filz_mmap_alloc(&heap, size, 8));
}

static void give(size_t size)
{
    free_blocks[order_of(size)]++;
    alive -= size;
}

static void *grow(void *block, size_t size, size_t new_size)
{
    count_taken(new_size);
    free_blocks[order_of(size)]++;
    count_alive(new_size - size);
    return must_be(filz_mmap_realloc(&heap, block, size, 8, new_size));
}

static void note_used(void)
{
    filz_mmap_info info;
    filz_mmap_stats(&heap, &info);
    if (info.used > used_at_most)
        used_at_most = info.used;
}

/* --- five programs --- */

static size_t some_size(void)
{
    static uint32_t state = 1;
    state = state * 1664525 + 1013904223; /* see Numerical Recipes, 7.1 */
    return 16 + (state >> 24) % 112;
}

static void build_and_end(void)
{
    for (int i = 0; i < 100000; i++)
        take(some_size());
}

static void rounds_with_reset(void)
{
    static size_t sizes[10000];
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 10000; i++)
            take(sizes[i] = some_size());
        for (int i = 0; i < 10000; i++)
            give(sizes[i]);
        note_used();
        filz_mmap_reset(&heap);
    }
}

static void replace_forever(void)
{
    static size_t sizes[1000];
    for (int i = 0; i < 200000; i++) {
        if (i >= 1000)
            give(sizes[i % 1000]);
        take(sizes[i % 1000] = some_size());
    }
}

static void grow_side_by_side(int vectors)
{
    void *blocks[100];
    size_t most = (size_t)4000000 / (size_t)vectors;
    for (int i = 0; i < vectors; i++)
        blocks[i] = take(16);
    size_t size = 16;
    for (; size < most; size *= 2)
        for (int i = 0; i < vectors; i++)
            blocks[i] = grow(blocks[i], size, 2 * size);
}

static void one_vector(void)
{
    grow_side_by_side(1);
}

static void hundred_vectors(void)
{
    grow_side_by_side(100);
}

static void run(const char *name, void (*program)(void))
{
    alive = alive_at_most = in_lists = used_at_most = 0;
    for (int i = 0; i < 32; i++)
        free_blocks[i] = 0;
    program();
    note_used();
    filz_mmap_close(&heap);
    printf("%-28s%10zu%13zu%13zu%8.2f\n", name, alive_at_most, in_lists, used_at_most,
           (double)used_at_most / (double)alive_at_most);
}

int main(void)
{
    printf("%-28s%10s%13s%13s%8s\n", "bytes", "alive", "free lists", "filz", "ratio");
    run("builds something and ends", build_and_end);
    run("works in rounds, and resets", rounds_with_reset);
    run("grows one vector", one_vector);
    run("grows 100 side by side", hundred_vectors);
    run("replaces 1,000 blocks", replace_forever);
    return 0;
}
