/* Chapter 1, exercise 2: which tests for "does it fit" hold for every size. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { CAPACITY = 48 };

static bool fits_by_sum(size_t used, size_t size)
{
    return used + size <= CAPACITY;
}

static bool fits_by_difference(size_t used, size_t size)
{
    return size <= CAPACITY - used;
}

static void check(bool holds, const char *what)
{
    if (!holds) {
        printf("wrong: %s\n", what);
        exit(1);
    }
}

int main(void)
{
    for (size_t used = 0; used <= CAPACITY; used++)
        for (size_t size = 0; size <= 2 * CAPACITY; size++)
            check(fits_by_sum(used, size) == fits_by_difference(used, size), "small sizes: both say the same");

    /* 40 + SIZE_MAX is 39. */
    check(fits_by_sum(40, SIZE_MAX), "the sum has wrapped");
    check(!fits_by_difference(40, SIZE_MAX), "the difference can't");
    size_t accepted = 0;
    for (size_t used = 0; used <= CAPACITY; used++)
        for (size_t size = SIZE_MAX; size > SIZE_MAX - 100; size--) {
            accepted += fits_by_sum(used, size);
            check(!fits_by_difference(used, size), "no huge size fits");
        }
    printf("of 4900 huge requests, the sum lets %zu through, the difference none\n", accepted);
    return 0;
}
