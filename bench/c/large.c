/* Zeroed blocks of one size, a sparse block, and more blocks than there is memory. */
#include "bench.h"

enum { PAGE = 4096 };

static void touch_pages(char *block, size_t size)
{
    for (size_t offset = 0; offset < size; offset += PAGE)
        bench_touch(block + offset);
}

void bench_fresh_zeroed(char **arguments)
{
    size_t count = bench_number(arguments[0]), size = bench_number(arguments[1]);
    for (size_t i = 0; i < count; i++) {
        void *block = bench_zeroed(size, 8);
        if (block == NULL)
            bench_fail("out of memory");
        bench_escape(block);
    }
}

void bench_touched_zeroed(char **arguments)
{
    size_t count = bench_number(arguments[0]), size = bench_number(arguments[1]);
    for (size_t i = 0; i < count; i++)
        touch_pages(bench_zeroed(size, 8), size);
}

void bench_sparse(char **arguments)
{
    size_t size = bench_number(arguments[0]);
    char *block = bench_alloc(size, 8);
    if (block == NULL)
        bench_fail("out of memory");
    bench_touch(block + size / 2);
}

/* Each block is written, and all are read again: what was pushed out of memory must come back right. */
void bench_larger(char **arguments)
{
    size_t count = bench_number(arguments[0]), size = bench_number(arguments[1]);
    size_t **blocks = bench_region(count * sizeof(*blocks));
    for (size_t i = 0; i < count; i++) {
        blocks[i] = bench_alloc(size, 8);
        if (blocks[i] == NULL)
            bench_fail("out of memory");
        for (size_t word = 0; word < size / sizeof(size_t); word++)
            blocks[i][word] = i + word;
    }
    for (size_t i = 0; i < count; i++)
        for (size_t word = 0; word < size / sizeof(size_t); word++)
            if (blocks[i][word] != i + word)
                bench_fail("a block has changed");
}
