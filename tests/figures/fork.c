/* Prints how many milliseconds fork takes with 512 MiB in use: the median of 9. */
#define _POSIX_C_SOURCE 200809L
#include <filz/mmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FORKS = 9 };

static const size_t USED = (size_t)512 << 20;

static double milliseconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* The parent's time, from the call until it goes on; -1 if the child isn't right. */
static double fork_once(const char *block)
{
    double start = milliseconds_now();
    pid_t child = fork();
    if (child == 0)
        _exit(block[0] != 1 || block[USED - 1] != 1);
    double taken = milliseconds_now() - start;
    int status;
    return waitpid(child, &status, 0) == child && status == 0 ? taken : -1;
}

static int by_size(const void *one, const void *other)
{
    double difference = *(const double *)one - *(const double *)other;
    return (difference > 0) - (difference < 0);
}

int main(void)
{
    static filz_mmap heap = {.path = "fork.filz", .capacity = (size_t)1 << 30};
    char *block = filz_mmap_alloc(&heap, USED, 1);
    if (block == NULL)
        return EXIT_FAILURE;
    memset(block, 1, USED);
    double taken[FORKS];
    for (int i = 0; i < FORKS; i++) {
        taken[i] = fork_once(block);
        if (taken[i] < 0)
            return EXIT_FAILURE;
    }
    qsort(taken, FORKS, sizeof(taken[0]), by_size);
    printf("%.0f\n", taken[FORKS / 2]);
    return filz_mmap_close(&heap);
}
