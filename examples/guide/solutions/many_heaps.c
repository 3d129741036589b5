/* Chapter 8, exercise 3: one thread, and more heaps than it keeps active chunks of. How many is that, and what does one
 * heap more cost? */
#include <filz/mmap.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 600, ROUNDS = 10 };

static void check(bool is_so, const char *what)
{
    if (is_so)
        return;
    printf("wrong: %s\n", what);
    exit(1);
}

struct trial {
    size_t count; /* of heaps */
    size_t turns; /* how often the thread had to get a chunk of the first one */
};

/* Uses the heaps in turn. */
static void *use_heaps(void *argument)
{
    static filz_mmap heaps[MOST];
    struct trial *trial = argument;
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < trial->count; i++) {
            heaps[i].capacity = 1 << 20;
            check(filz_mmap_alloc(&heaps[i], 16, 16) != NULL, "a block");
        }
    filz_mmap_info info;
    check(filz_mmap_stats(&heaps[0], &info) == 0 && info.blocks == ROUNDS, "a block for each round");
    check(info.chunks == 1, "the tail that was left is taken again");
    for (size_t i = 0; i < trial->count; i++)
        filz_mmap_close(&heaps[i]);
    trial->turns = info.threads; /* a thread that comes again counts again */
    return NULL;
}

/* In a thread that has used no heap before. */
static size_t turns_at_the_lock(size_t count)
{
    struct trial trial = {.count = count};
    pthread_t thread;
    check(pthread_create(&thread, NULL, use_heaps, &trial) == 0, "a thread");
    check(pthread_join(thread, NULL) == 0, "its end");
    return trial.turns;
}

int main(void)
{
    size_t kept = 8, too_many = MOST;
    check(turns_at_the_lock(kept) == 1, "eight heaps: the thread keeps a chunk of each");
    if (turns_at_the_lock(MOST) == 1) {
        printf("a thread keeps the chunks of %d heaps, or more\n", MOST);
        return 0;
    }
    while (too_many - kept > 1) {
        size_t middle = kept + (too_many - kept) / 2;
        if (turns_at_the_lock(middle) == 1)
            kept = middle;
        else
            too_many = middle;
    }
    check(turns_at_the_lock(too_many) == ROUNDS, "one more: the chunk that is needed has always just gone");
    printf("%d rounds: %zu heaps, 1 time at the lock for the first; %zu heaps, %d times\n", ROUNDS, kept, too_many,
           ROUNDS);
    return 0;
}
