/* A program that allocates once. */
#include "bench.h"

int main(void)
{
    bench_open();
    bench_touch(bench_alloc(64, 8));
    return EXIT_SUCCESS;
}
