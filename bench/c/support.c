/* What the workloads and the program that allocates once share, and the state of the peer. */
#define _GNU_SOURCE 1
#define BENCH_STATE_HERE 1
#include "bench.h"

#include <sys/mman.h>

_Noreturn void bench_fail(const char *why)
{
    fprintf(stderr, "bench: %s\n", why);
    exit(EXIT_FAILURE);
}

void *bench_region(size_t bytes)
{
    void *region = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return region != MAP_FAILED ? region : NULL;
}

const char *bench_directory(void)
{
    const char *directory = getenv("FILZ_DIR");
    if (directory == NULL)
        bench_fail("FILZ_DIR isn't set");
    return directory;
}
