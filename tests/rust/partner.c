/* The C side of a program in which C and Rust share a heap and hand each other blocks: tests/rust/tests/shared_heap.rs.
 * A block carries a checksum of what is in it, so that its receiver can tell that it arrived whole. */
#include <filz.h>

#include <stdint.h>
#include <string.h>

struct partner_block {
    uint32_t size; /* bytes after this header */
    uint32_t sum;
    unsigned char bytes[];
};

/* FNV-1a: G. Fowler, L. C. Noll, K.-P. Vo, 1991. */
static uint32_t sum_of(const unsigned char *bytes, size_t size)
{
    uint32_t sum = 2166136261u;
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ bytes[i]) * 16777619u;
    return sum;
}

static void fill(struct partner_block *block, uint32_t size, unsigned seed)
{
    block->size = size;
    for (uint32_t i = 0; i < size; i++)
        block->bytes[i] = (unsigned char)(seed + i * 13);
    block->sum = sum_of(block->bytes, size);
}

bool partner_is_whole(const struct partner_block *block)
{
    return block->sum == sum_of(block->bytes, block->size);
}

struct partner_block *partner_make(filz_mmap *heap, uint32_t size, unsigned seed)
{
    struct partner_block *block = filz_mmap_alloc(heap, sizeof(*block) + size, _Alignof(struct partner_block));
    if (block != NULL)
        fill(block, size, seed);
    return block;
}

struct partner_block *partner_make_on_stack(filz_stack *stack, uint32_t size, unsigned seed)
{
    struct partner_block *block = filz_stack_alloc(stack, sizeof(*block) + size, _Alignof(struct partner_block));
    if (block != NULL)
        fill(block, size, seed);
    return block;
}

/* Grows a block that either side made, and fills it anew. */
struct partner_block *partner_grow(filz_mmap *heap, struct partner_block *block, uint32_t size, unsigned seed)
{
    struct partner_block *grown = filz_mmap_realloc(heap, block, sizeof(*block) + block->size,
                                                    _Alignof(struct partner_block), sizeof(*block) + size);
    if (grown == NULL || !partner_is_whole(grown))
        return NULL;
    fill(grown, size, seed);
    return grown;
}
