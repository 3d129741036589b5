/* What both fuzz targets share: bytes decoded as operations, and a model that knows every live block. A claim that
 * isn't so ends the program, which libFuzzer takes for a crash. */
#ifndef FILZ_TESTS_OPERATIONS_H
#define FILZ_TESTS_OPERATIONS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define CLAIM(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno);                  \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* No error has this number: errno keeps it where it must be left alone. */
enum { UNTOUCHED = 12345 };

/* -- Bytes decoded ------------------------------------------------------------------------------------------------- */

struct input {
    const uint8_t *at, *end;
};

/* 0 when there are none left. */
static unsigned next_byte(struct input *input)
{
    return input->at < input->end ? *input->at++ : 0;
}

/* Small, or within 128 bytes of a power of two up to 4 MiB. */
static size_t next_size(struct input *input)
{
    unsigned kind = next_byte(input);
    if (kind < 160)
        return kind;
    return ((size_t)1 << (7 + kind % 16)) + next_byte(input) - 128;
}

/* Mostly small, but any power of two. */
static size_t next_align(struct input *input)
{
    unsigned kind = next_byte(input);
    return (size_t)1 << (kind < 192 ? kind % 8 : kind % (8 * sizeof(size_t)));
}

static size_t next_bad_align(struct input *input)
{
    static const size_t bad[] = {0, 3, 6, 24, 4095, SIZE_MAX / 2, SIZE_MAX - 1, SIZE_MAX};
    return bad[next_byte(input) % COUNT(bad)];
}

/* More than any heap has. */
static size_t next_impossible_size(struct input *input)
{
    return (next_byte(input) % 2 ? SIZE_MAX : SIZE_MAX / 2 + 1) - next_size(input);
}

static bool is_power_of_two(size_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* -- Live blocks --------------------------------------------------------------------------------------------------- */

enum { MOST_BLOCKS = 1024 };

struct block {
    unsigned char *at;
    size_t size, align;
    unsigned heap;
    unsigned char seed;
};

static struct block blocks[MOST_BLOCKS];
static size_t block_count;

/* A block of size 0 takes a byte, so that it has an address of its own. */
static size_t taken(size_t size)
{
    return size ? size : 1;
}

/* Large blocks are written and read at their edges and at some places of every page in between. */
static size_t next_place(const struct block *block, size_t i)
{
    enum { EDGE = 256, STRIDE = 509 };
    if (i < EDGE || block->size - i <= EDGE)
        return i + 1;
    return block->size - i - EDGE < STRIDE ? block->size - EDGE : i + STRIDE;
}

static unsigned char byte_at(const struct block *block, size_t i)
{
    return (unsigned char)(block->seed + i * 7);
}

static void fill(struct block *block)
{
    static unsigned char seed;
    block->seed = seed += 31;
    for (size_t i = 0; i < block->size; i = next_place(block, i))
        block->at[i] = byte_at(block, i);
}

/* The first `size` bytes of what the block was filled with are at `at`. */
static void check_contents(const struct block *block, const unsigned char *at, size_t size)
{
    for (size_t i = 0; i < block->size && i < size; i = next_place(block, i))
        CLAIM(at[i] == byte_at(block, i));
}

static void check_place(const struct block *block)
{
    CLAIM((uintptr_t)block->at % block->align == 0);
    for (const struct block *other = blocks; other < blocks + block_count; other++)
        CLAIM(other == block || other->at + taken(other->size) <= block->at ||
              block->at + taken(block->size) <= other->at);
}

static void check_zero(const struct block *block)
{
    CLAIM(block->size == 0 || (block->at[0] == 0 && memcmp(block->at, block->at + 1, block->size - 1) == 0));
}

static void add_block(struct block block)
{
    check_place(&block);
    fill(&block);
    blocks[block_count++] = block;
}

/* The block is `new_size` bytes at `at` now. */
static void resize_block(struct block *block, unsigned char *at, size_t new_size)
{
    check_contents(block, at, new_size);
    block->at = at;
    block->size = new_size;
    check_place(block);
    fill(block);
}

static void drop_block(struct block *block)
{
    check_contents(block, block->at, block->size);
    *block = blocks[--block_count];
}

/* Those of one heap that begin or end after `end`, which may be NULL. */
static void drop_blocks_after(unsigned heap, const unsigned char *end)
{
    for (size_t i = block_count; i-- > 0;)
        if (blocks[i].heap == heap && blocks[i].at + taken(blocks[i].size) > end)
            drop_block(&blocks[i]);
}

/* A live block, often the newest, the one that can grow where it stands; NULL if there is none. */
static struct block *next_block(struct input *input)
{
    size_t back = next_byte(input);
    return block_count == 0 ? NULL : &blocks[block_count - 1 - (back < 128 ? 0 : back - 128) % block_count];
}

static void check_all_contents(void)
{
    for (size_t i = 0; i < block_count; i++)
        check_contents(&blocks[i], blocks[i].at, blocks[i].size);
}

#endif
