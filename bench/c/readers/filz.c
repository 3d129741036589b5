/* A persistent heap of filz's: a sorted array, and a block for each value. */
#include "readers.h"

#include <filz/mmap.h>
#include <string.h>

struct entry {
    char key[KEY_SIZE];
    const char *value;
};

struct entries {
    uint64_t count;
    struct entry entry[];
};

static filz_mmap heap = {.path = "readers.filz", .tag = 1};
static const struct entries *entries;

static void check(int error)
{
    if (error != 0)
        fail(filz_error_text(error));
}

static void *allocate(size_t size)
{
    void *block = filz_mmap_alloc(&heap, size, 8);
    if (block == NULL)
        fail("out of memory");
    return block;
}

void peer_make(uint64_t count)
{
    heap.flags = FILZ_MMAP_PERSISTENT;
    struct entries *made = allocate(sizeof(*made) + count * sizeof(made->entry[0]));
    made->count = count;
    for (uint64_t n = 0; n < count; n++) {
        struct pair pair = pair_of(n);
        memcpy(made->entry[n].key, pair.key, KEY_SIZE);
        made->entry[n].value = memcpy(allocate(VALUE_SIZE), pair.value, VALUE_SIZE);
    }
    check(filz_mmap_sync(&heap));
    check(filz_mmap_set_root(&heap, made));
    check(filz_mmap_sync(&heap));
    check(filz_mmap_close(&heap));
}

void peer_open(void)
{
    heap.flags = FILZ_MMAP_READ_ONLY;
    check(filz_mmap_open(&heap));
    entries = filz_mmap_root(&heap);
}

void peer_close(void)
{
    check(filz_mmap_close(&heap));
}

const char *peer_find(const char *key)
{
    uint64_t low = 0, high = entries->count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        int order = memcmp(entries->entry[middle].key, key, KEY_SIZE);
        if (order == 0)
            return entries->entry[middle].value;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
