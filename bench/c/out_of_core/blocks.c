/* What all allocators have in common: a block for each record, and a hash table of them. Where each block is stands in
 * a table that isn't in the heap, so that what is read from the disk is what the program asks for, and no more. */
#include "out_of_core.h"

#include <string.h>
#include <sys/mman.h>

/* What is kept: in the heap. */
struct kept {
    uint64_t count;
    struct record *blocks[];
};

static uint64_t count;
static struct record **blocks, **slots;

const bool peer_has_threads = true;

void peer_prepare(uint64_t how_many)
{
    size_t size = (size_t)how_many * sizeof(struct record *);
    count = how_many;
    blocks = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (blocks == MAP_FAILED)
        fail("out of memory");
}

static void *allocate(size_t size)
{
    void *block = allocator_allocate(size);
    if (block == NULL)
        fail("out of memory");
    return block;
}

void peer_begin(void)
{
    allocator_begin();
}

void peer_add(uint64_t number)
{
    struct record *block = blocks[number] = allocate(sizeof(*block));
    memset(block, 1, sizeof(*block));
    block->number = number;
}

void peer_end_adding(void)
{
    slots = allocate((size_t)count * sizeof(struct record *));
    for (uint64_t i = 0; i < count; i++)
        slots[i] = blocks[mix(i) % count];
}

bool peer_keep(void)
{
    struct kept *kept = allocate(sizeof(*kept) + (size_t)count * sizeof(struct record *));
    kept->count = count;
    memcpy(kept->blocks, blocks, (size_t)count * sizeof(struct record *));
    return allocator_keep(kept);
}

void peer_open(void)
{
    struct kept *kept = allocator_open();
    blocks = kept->blocks;
    count = kept->count;
}

uint64_t peer_read(uint64_t number)
{
    return *(volatile uint64_t *)&blocks[number]->number;
}

void peer_write(uint64_t number, uint64_t word)
{
    *(volatile uint64_t *)&blocks[number]->rest[0] = word;
}

uint64_t peer_walk(void)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; i++)
        sum += peer_read(i);
    return sum;
}

bool peer_walk_slots(uint64_t first, uint64_t how_many, uint64_t *sum)
{
    for (uint64_t i = first; i < first + how_many; i++)
        *sum += *(volatile uint64_t *)&slots[i % count]->number;
    return true;
}
