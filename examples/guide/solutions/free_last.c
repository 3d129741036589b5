/* Chapter 1, exercise 1: a bump allocator can take back its newest block, and only that. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { CAPACITY = 48 };

static char buffer[CAPACITY];
static size_t used;

static char *alloc(size_t size)
{
    if (size > CAPACITY - used)
        return NULL;
    char *block = buffer + used;
    used += size;
    return block;
}

/* The caller says how large the block is: the allocator keeps no record of it. */
static bool give_back(const char *block, size_t size)
{
    size_t start = (size_t)(block - buffer);
    if (size > used || start != used - size)
        return false;
    used = start;
    return true;
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
    char *a = alloc(10);
    char *b = alloc(20);
    check(!give_back(a, 10), "an older block stays");
    check(used == 30, "a refusal changes nothing");
    check(!give_back(buffer + 40, (size_t)-10), "no sum wraps");
    check(give_back(b, 20), "the newest block goes");
    check(alloc(38) == b, "its bytes are allocated again");
    check(give_back(b, 38), "the newest block goes again");
    check(give_back(a, 10), "now the first is the newest");
    check(used == 0 && alloc(CAPACITY) == a, "all is free");
    puts("the newest block can be given back");
    return 0;
}
