/* Chapter 2, exercise 1: -address & (align - 1) is the padding, for each address and alignment that is tried here. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "bump.h"

/* One byte at a time. */
static size_t slow_padding(uintptr_t address, size_t align)
{
    size_t padding = 0;
    while ((address + padding) % align != 0)
        padding++;
    return padding;
}

/* With a division, as one writes it at first. */
static size_t padding_by_remainder(uintptr_t address, size_t align)
{
    return (align - address % align) % align;
}

static void check(bool holds, const char *what)
{
    if (!holds) {
        printf("wrong: %s\n", what);
        exit(1);
    }
}

static void check_from(uintptr_t start)
{
    for (uintptr_t address = start; address - start < 600; address++)
        for (size_t align = 1; align <= 256; align *= 2) {
            size_t padding = padding_for(address, align);
            check(padding == padding_by_remainder(address, align), "the remainder says the same");
            check(padding == slow_padding(address, align), "it is the least that works");
        }
}

int main(void)
{
    check_from(0);
    check_from(UINTPTR_MAX / 2 - 300);
    check_from(UINTPTR_MAX - 599);

    /* The next multiple of 24 after 30 is 48. The mask, 23, has a hole in it, and leads to 32, a multiple of 8. */
    check(slow_padding(30, 24) == 18 && padding_for(30, 24) == 2, "24 is no power of two");
    puts("the padding is right for 16200 pairs");
    return 0;
}
