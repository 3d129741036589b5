/* Chapter 11, exercise 1: two numbers that must change together, in a heap whose program is killed between any two
 * steps. The pair is never changed in place: a new one is written, and then the root moves to it. */
#include <filz/mmap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct pair {
    int number, square;
};

static filz_mmap heap = {.path = "versions.filz", .flags = FILZ_MMAP_PERSISTENT, .tag = 1};

static void check(int is_well, const char *what)
{
    if (is_well)
        return;
    fprintf(stderr, "not so: %s\n", what);
    exit(1);
}

static void step(int number, int killed_before)
{
    if (number == killed_before)
        raise(SIGKILL);
}

static void go_on(int killed_before)
{
    check(filz_mmap_open(&heap) == 0, "opened");
    const struct pair *old = filz_mmap_root(&heap);
    int number = old != NULL ? old->number + 1 : 1;
    step(0, killed_before);
    struct pair *fresh = filz_mmap_alloc(&heap, sizeof(*fresh), _Alignof(struct pair));
    check(fresh != NULL, "there is room");
    step(1, killed_before);
    fresh->number = number;
    step(2, killed_before);
    fresh->square = number * number;
    step(3, killed_before);
    check(filz_mmap_set_root(&heap, fresh) == 0, "published");
    step(4, killed_before);
    filz_mmap_close(&heap);
    exit(0);
}

int main(void)
{
    int expected = 0;
    remove(heap.path);
    for (int killed_before = 0; killed_before <= 5; killed_before++) {
        int status;
        pid_t child = fork();
        if (child == 0)
            go_on(killed_before);
        check(child > 0 && waitpid(child, &status, 0) == child, "a child ran");
        check(killed_before == 5 ? status == 0 : WIFSIGNALED(status), "it was killed but in the last run");
        expected += killed_before >= 4;

        check(filz_mmap_open(&heap) == 0, "the heap is in order");
        const struct pair *pair = filz_mmap_root(&heap);
        check(expected == 0 ? pair == NULL : pair->number == expected, "published pairs are there, and no others");
        check(pair == NULL || pair->square == pair->number * pair->number, "the pair is whole");
        filz_mmap_close(&heap);
    }
    puts("killed before each of 5 steps: the pair is the old one or the new one");
    return remove(heap.path);
}
