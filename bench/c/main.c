/* bench-PEER WORKLOAD ARGUMENT...: runs one workload on one peer and prints its figures, a name and a number a line.
 * The heap isn't closed at the end, as it isn't in a program that allocates until it exits. */
#define _GNU_SOURCE 1
#include "bench.h"

#include <time.h>

static const struct {
    const char *name, *arguments;
    int count;
    void (*run)(char **arguments);
} workloads[] = {
    {"blocks", "COUNT THREADS", 2, bench_blocks},
    {"fast", "PIECES ROUNDS THREADS", 3, bench_fast},
    {"vector", "ELEMENTS STEP", 2, bench_vector},
    {"vectors", "ELEMENTS VECTORS", 2, bench_vectors},
    {"zeroed", "COUNT SIZE", 2, bench_fresh_zeroed},
    {"zeroed-touched", "COUNT SIZE", 2, bench_touched_zeroed},
    {"sparse", "SIZE", 1, bench_sparse},
    {"larger", "COUNT SIZE", 2, bench_larger},
    {"json", "FILE", 1, bench_json},
    {"words", "FILE", 1, bench_words},
};

enum { WORKLOADS = sizeof(workloads) / sizeof(workloads[0]) };

void bench_say(const char *name, double figure)
{
    printf("%s %.0f\n", name, figure);
}

double bench_nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

size_t bench_number(const char *argument)
{
    return strtoull(argument, NULL, 10);
}

static void measure(void (*run)(char **), char **arguments)
{
    struct bench_memory before = bench_memory_now();
    double start = bench_nanoseconds();
    bench_open();
    run(arguments);
    bench_say("nanoseconds", bench_nanoseconds() - start);
    struct bench_memory after = bench_memory_now();
    bench_say("anonymous", after.anonymous - before.anonymous);
    bench_say("file", after.file - before.file);
    bench_say("written", after.written - before.written);
    if (after.faults >= 0)
        bench_say("faults", after.faults - before.faults);
    bench_say("pages", after.pages - before.pages);
    bench_say("used", (double)bench_used());
    bench_say("peak", after.peak);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < WORKLOADS; i++)
        if (strcmp(argv[1], workloads[i].name) == 0 && argc - 2 == workloads[i].count) {
            measure(workloads[i].run, argv + 2);
            return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        }
    for (size_t i = 0; i < WORKLOADS; i++)
        fprintf(stderr, "usage: %s %s %s\n", argv[0], workloads[i].name, workloads[i].arguments);
    return 2;
}
