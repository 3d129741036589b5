/* Operations on stack allocators. The model says of each call where its block must be, so nothing is left open. */
#include "operations.h"

#include <filz/stack.h>

enum { STACKS = 3 };

struct stack {
    filz_stack *self; /* NULL: not even the header fits */
    unsigned char *memory;
    size_t capacity, used, mark;
};

static struct stack stacks[STACKS];

static size_t padding(uintptr_t address, size_t align)
{
    return address % align ? align - address % align : 0;
}

static unsigned char *buffer_of(const struct stack *stack)
{
    return (unsigned char *)(stack->self + 1);
}

/* Memory of any size at any address; the allocator's end is the memory's, where AddressSanitizer watches. */
static void set_up(struct stack *stack, struct input *input)
{
    size_t bytes = next_size(input) % (80 * 1024);
    size_t shift = next_byte(input) % 32;
    unsigned char *memory = malloc(shift + bytes + 1);
    CLAIM(memory != NULL);
    memset(memory, 0xDB, shift + bytes + 1);
    *stack = (struct stack){.memory = memory};
    size_t header = padding((uintptr_t)(memory + 1 + shift), _Alignof(filz_stack)) + sizeof(filz_stack);
    stack->self = filz_stack_init(memory + 1 + shift, bytes);
    CLAIM((stack->self != NULL) == (header <= bytes));
    if (stack->self == NULL)
        return;
    stack->capacity = bytes - header;
    CLAIM(buffer_of(stack) == memory + 1 + shift + header);
}

static void check_stats(const struct stack *stack)
{
    filz_stack_info info;
    filz_stack_stats(stack->self, &info);
    CLAIM(info.capacity == stack->capacity && info.used == stack->used);
    CLAIM(filz_stack_mark(stack->self) == stack->used);
    CLAIM(!filz_stack_owns(stack->self, buffer_of(stack) - 1));
    CLAIM(!filz_stack_owns(stack->self, buffer_of(stack) + stack->capacity));
}

/* Where a new block must be; NULL if it doesn't fit. Moves `used`. */
static unsigned char *expect_block(struct stack *stack, size_t size, size_t align)
{
    if (!is_power_of_two(align))
        return NULL;
    size_t left = stack->capacity - stack->used;
    size_t skipped = padding((uintptr_t)buffer_of(stack) + stack->used, align);
    if (skipped > left || taken(size) > left - skipped)
        return NULL;
    stack->used += skipped + taken(size);
    return buffer_of(stack) + stack->used - taken(size);
}

static unsigned char *expect_realloc(struct stack *stack, const struct block *block, size_t align, size_t new_size)
{
    if (!is_power_of_two(align))
        return NULL;
    size_t start = (size_t)(block->at - buffer_of(stack));
    bool newest = start + taken(block->size) == stack->used;
    if (newest && taken(new_size) <= stack->capacity - start) {
        stack->used = start + taken(new_size);
        return block->at;
    }
    return taken(new_size) <= taken(block->size) ? block->at : expect_block(stack, new_size, align);
}

static void allocate(unsigned index, struct input *input, size_t size, size_t align)
{
    filz_stack *self = stacks[index].self;
    unsigned how = next_byte(input) % 3;
    void *expected = expect_block(&stacks[index], size, align);
    struct block block = {.size = size, .align = align, .heap = index};
    errno = UNTOUCHED;
    switch (how) {
    case 0:
        block.at = filz_stack_alloc(self, size, align);
        break;
    case 1:
        block.at = filz_stack_alloc_zeroed(self, size, align);
        break;
    default:
        block.at = filz_stack_realloc(self, NULL, 0, align, size);
    }
    CLAIM(errno == UNTOUCHED);
    CLAIM(block.at == expected);
    if (block.at == NULL)
        return;
    CLAIM(filz_stack_owns(self, block.at) && filz_stack_owns(self, block.at + taken(size) - 1));
    if (how == 1)
        check_zero(&block);
    add_block(block);
}

static void reallocate(struct block *block, size_t align, size_t new_size)
{
    struct stack *stack = &stacks[block->heap];
    void *expected = expect_realloc(stack, block, align, new_size);
    errno = UNTOUCHED;
    unsigned char *at = filz_stack_realloc(stack->self, block->at, block->size, align, new_size);
    CLAIM(errno == UNTOUCHED);
    CLAIM(at == expected);
    if (at != NULL)
        resize_block(block, at, new_size);
}

static void end_blocks(unsigned index, size_t mark)
{
    if (mark < stacks[index].used)
        stacks[index].used = mark;
    drop_blocks_after(index, buffer_of(&stacks[index]) + stacks[index].used);
}

static void rewind_or_reset(unsigned index, struct input *input)
{
    struct stack *stack = &stacks[index];
    unsigned kind = next_byte(input) % 4;
    if (kind == 0) {
        stack->mark = filz_stack_mark(stack->self);
        return;
    }
    size_t mark = kind == 1 ? stack->mark : kind == 2 ? next_size(input) : 0;
    end_blocks(index, mark);
    if (kind == 3)
        filz_stack_reset(stack->self);
    else
        filz_stack_rewind(stack->self, mark);
}

static void operate(struct input *input)
{
    unsigned byte = next_byte(input), index = byte / 16 % STACKS;
    struct block *block;
    if (stacks[index].self == NULL || block_count == MOST_BLOCKS)
        return;
    switch (byte % 16) {
    default:
        allocate(index, input, next_size(input), next_align(input));
        break;
    case 8:
    case 9:
    case 10:
    case 11:
        if ((block = next_block(input)) != NULL)
            reallocate(block, block->align, next_size(input));
        break;
    case 12:
        rewind_or_reset(index, input);
        break;
    case 13:
        allocate(index, input, next_impossible_size(input), next_align(input));
        allocate(index, input, next_size(input), next_bad_align(input));
        break;
    case 14:
        if ((block = next_block(input)) != NULL) {
            reallocate(block, block->align, next_impossible_size(input));
            reallocate(block, next_bad_align(input), next_size(input));
        }
        break;
    case 15:
        if ((block = next_block(input)) != NULL)
            filz_stack_dealloc(stacks[block->heap].self, block->at, block->size, block->align);
        check_all_contents();
    }
    check_stats(&stacks[index]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    for (unsigned i = 0; i < STACKS; i++)
        set_up(&stacks[i], &input);
    while (input.at < input.end)
        operate(&input);
    for (unsigned i = 0; i < STACKS; i++) {
        drop_blocks_after(i, NULL);
        free(stacks[i].memory);
    }
    return 0;
}
