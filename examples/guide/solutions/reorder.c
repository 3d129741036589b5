/* Chapter 7, exercise 2: the fields of filz_mmap in an order without padding; the settings still come first. A program
 * that was compiled with the published order would write its flags where a library with this one looks for the tag. */
#include <filz/mmap.h>
#include <stddef.h>
#include <stdio.h>

struct reordered {
    const char *path;
    size_t capacity;
    uint64_t tag;
    uintptr_t base;
    unsigned flags;
    unsigned reported;
    size_t id;
    struct filz_heap *heap;
};

#define FIELDS (5 * sizeof(void *) + sizeof(uint64_t) + 2 * sizeof(unsigned))

_Static_assert(sizeof(struct reordered) < FIELDS + _Alignof(struct reordered), "no padding, except at the end");
_Static_assert(offsetof(struct reordered, reported) > offsetof(struct reordered, flags), "the settings come first");
_Static_assert(sizeof(struct reordered) <= sizeof(filz_mmap), "not larger than it was");

int main(void)
{
    printf("%zu bytes, without padding; filz_mmap has %zu\n", sizeof(struct reordered), sizeof(filz_mmap));
    return 0;
}
