/* Chapter 8, exercise 3: one thread, and more heaps than it keeps chunks of: what does that cost? */
#include <filz/mmap.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 9, ROUNDS = 10 };

static void check(bool is_so, const char *what)
{
    if (is_so)
        return;
    printf("wrong: %s\n", what);
    exit(1);
}

/* Uses `count` heaps in turn. Returns how often the thread had to get a chunk of the first one. */
static size_t turns_at_the_lock(size_t count)
{
    filz_mmap heaps[MOST] = {FILZ_MMAP_INIT};
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < count; i++) {
            heaps[i].capacity = 1 << 20;
            check(filz_mmap_alloc(&heaps[i], 16, 16) != NULL, "a block");
        }
    filz_mmap_info info;
    check(filz_mmap_stats(&heaps[0], &info) == 0 && info.blocks == ROUNDS, "a block for each round");
    check(info.chunks == 1, "the rest that was left is taken again");
    for (size_t i = 0; i < count; i++)
        filz_mmap_close(&heaps[i]);
    return info.threads; /* a thread that comes again counts again */
}

int main(void)
{
    size_t eight = turns_at_the_lock(8), nine = turns_at_the_lock(9);
    check(eight == 1, "eight heaps: each has its place");
    check(nine == ROUNDS, "nine: the one that is needed has always just gone");
    printf("%d rounds: eight heaps, %zu time at the lock for the first; nine heaps, %zu times\n", ROUNDS, eight, nine);
    return 0;
}
