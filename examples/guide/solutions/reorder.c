/* The fields of filz_mmap in another order: nothing is lost to padding, and what a program may set no longer comes
 * first. */
#include <filz/mmap.h>
#include <stdio.h>

struct reordered {
    const char *path;
    size_t capacity;
    uint64_t tag;
    size_t id;
    struct filz_heap *heap;
    unsigned flags;
    unsigned complained;
};

_Static_assert(sizeof(struct reordered) == 4 * sizeof(void *) + sizeof(uint64_t) + 2 * sizeof(unsigned), "no padding");
_Static_assert(sizeof(struct reordered) <= sizeof(filz_mmap), "not larger than it was");

int main(void)
{
    printf("%zu bytes, without padding; filz_mmap has %zu\n", sizeof(struct reordered), sizeof(filz_mmap));
    return 0;
}
