/* Changes a heap file at random as somebody would who means harm: single fields of the header, of the checkpoints and
 * of chunks, a chunk of its own, bits and bytes, and the file's length. */
#ifndef FILZ_TESTS_HOSTILE_CHANGES_H
#define FILZ_TESTS_HOSTILE_CHANGES_H

#include "support.h"

#include "../../../c/chunk.h"
#include "../../../c/heap.h"

enum { MOST_CHUNKS = 16, MOST_ADDED = 1 << 16 };

/* Room for MOST_ADDED more bytes follows what it holds. */
struct file {
    unsigned char *bytes;
    size_t size;
    size_t chunks[MOST_CHUNKS];
    size_t count;
};

static uintptr_t base; /* of the heap */
static size_t page;

/* -- What is drawn ------------------------------------------------------------------------------------------------- */

static uint64_t random_state;

/* G. Steele et al., "Fast splittable pseudorandom number generators", 2014. */
static uint64_t draw64(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t draw(size_t below)
{
    return (size_t)(draw64() >> 33) % below;
}

/* -- What is changed ----------------------------------------------------------------------------------------------- */

struct field {
    size_t offset, size;
};

#define FIELD(type, name)                                                                                              \
    {                                                                                                                  \
        offsetof(struct type, name), sizeof(((struct type *)NULL)->name)                                               \
    }

static const struct field header_fields[] = {
    FIELD(fz_header, magic),    FIELD(fz_header, format),  FIELD(fz_header, word_size), FIELD(fz_header, persistent),
    FIELD(fz_header, clean),    FIELD(fz_header, base),    FIELD(fz_header, page_size), FIELD(fz_header, tag),
    FIELD(fz_header, checksum), FIELD(fz_header, threads), FIELD(fz_header, root),      FIELD(fz_header, generation),
    FIELD(fz_header, capacity), FIELD(fz_header, cursor),  FIELD(fz_header, last),      FIELD(fz_header, tails),
    FIELD(fz_header, capacity), FIELD(fz_header, cursor),  FIELD(fz_header, last),      FIELD(fz_header, tails),
};

static const struct field checkpoint_fields[] = {
    FIELD(fz_checkpoint, sequence), FIELD(fz_checkpoint, cursor),   FIELD(fz_checkpoint, last),
    FIELD(fz_checkpoint, root),     FIELD(fz_checkpoint, checksum),
};

static const struct field chunk_fields[] = {
    FIELD(fz_chunk, offset),    FIELD(fz_chunk, size),  FIELD(fz_chunk, size),  FIELD(fz_chunk, fill),
    FIELD(fz_chunk, blocks),    FIELD(fz_chunk, fresh), FIELD(fz_chunk, owner), FIELD(fz_chunk, next_tail),
    FIELD(fz_chunk, next_tail), FIELD(fz_chunk, state), FIELD(fz_chunk, fill),  FIELD(fz_chunk, generation),
};

static struct fz_header *header_in(const struct file *file)
{
    return (struct fz_header *)(void *)file->bytes;
}

/* A place in the file, or close to it. */
static uint64_t draw_place(const struct file *file)
{
    const uint64_t places[] = {draw(file->size), file->size, header_in(file)->cursor, header_in(file)->capacity};
    uint64_t place = draw(2) ? file->chunks[draw(file->count)] : places[draw(COUNT(places))];
    static const int64_t off[] = {1, -1, 8, -8, 64, -64};
    return draw(4) ? place : place + (uint64_t)off[draw(COUNT(off))];
}

static uint64_t draw_any_number(const struct file *file, uint64_t old)
{
    switch (draw(8)) {
    case 0:
        return draw(3);
    case 1:
        return (draw(2) ? UINT64_MAX : 0) ^ UINT64_MAX >> draw(64);
    case 2:
        return draw64() >> draw(64);
    case 3:
        return old ^ UINT64_C(1) << draw(64);
    case 4:
        return old + (draw(2) ? 1 : UINT64_MAX) * (draw(2) ? page : 1 + draw(64));
    case 5:
        return base + draw_place(file);
    default:
        return draw_place(file);
    }
}

/* Often whole pages. */
static uint64_t draw_number(const struct file *file, uint64_t old)
{
    uint64_t number = draw_any_number(file, old);
    return draw(2) ? number : number / page * page;
}

static void change_field(const struct file *file, size_t at, struct field field)
{
    unsigned char *bytes = file->bytes + at + field.offset;
    uint64_t number = 0;
    size_t skipped = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? sizeof(number) - field.size : 0;
    memcpy((char *)&number + skipped, bytes, field.size);
    number = draw_number(file, number);
    memcpy(bytes, (char *)&number + skipped, field.size);
}

static void change_header(struct file *file)
{
    change_field(file, 0, header_fields[draw(COUNT(header_fields))]);
}

static void change_checkpoint(struct file *file)
{
    size_t at = offsetof(struct fz_header, checkpoints) + draw(2) * sizeof(struct fz_checkpoint);
    change_field(file, at, checkpoint_fields[draw(COUNT(checkpoint_fields))]);
}

static void change_chunk(struct file *file)
{
    change_field(file, file->chunks[draw(file->count)], chunk_fields[draw(COUNT(chunk_fields))]);
}

/* A chunk that is right in itself, somewhere, to which the one before it leads, or the list of tails, or both. */
static void add_chunk(struct file *file)
{
    struct fz_chunk *before = (void *)(file->bytes + file->chunks[draw(file->count)]);
    size_t at = page * (1 + draw(file->size / page - 1)), size = page * (1 + draw(2) * draw(file->size / page));
    struct fz_chunk chunk = {
        .offset = at, .size = size, .fresh = (size_t)draw_place(file), .next_tail = draw_place(file)};
    chunk.blocks = draw(100);
    chunk.owner = (uint32_t)draw(10);
    chunk.state = (uint32_t)draw(3);
    chunk.generation = header_in(file)->generation;
    fz_chunk_set_left(&chunk, draw(2) ? draw(size - sizeof(chunk) + 1) : size - sizeof(chunk));
    if (draw(2) && at > before->offset)
        before->size = at - (size_t)before->offset;
    if (draw(2))
        header_in(file)->tails = at;
    if (draw(4) == 0)
        header_in(file)->last = at;
    memcpy(file->bytes + at, &chunk, sizeof(chunk));
    if (file->count < MOST_CHUNKS)
        file->chunks[file->count++] = at;
}

static void flip_bits(struct file *file)
{
    size_t within = draw(3) ? sizeof(struct fz_header) : file->size;
    for (size_t count = 1 + draw(8); count > 0; count--)
        file->bytes[draw(within)] ^= (unsigned char)(1 << draw(8));
}

static void overwrite(struct file *file)
{
    size_t start = draw(file->size), length = draw(draw(2) ? 100 : 2 * page);
    bool is_random = draw(2);
    int byte = draw(2) ? 0 : 0xFF;
    for (size_t i = start; i < file->size && i < start + length; i++)
        file->bytes[i] = (unsigned char)(is_random ? (int)draw(256) : byte);
}

static void cut(struct file *file)
{
    uint64_t place = draw(2) ? draw_place(file) : draw(file->size);
    if (place < file->size)
        file->size = (size_t)place;
}

static void extend(struct file *file)
{
    size_t added = 1 + draw(draw(2) ? 2 * page : MOST_ADDED);
    added = added < MOST_ADDED ? added : MOST_ADDED;
    for (size_t i = 0; i < added; i++)
        file->bytes[file->size + i] = draw(2) ? 0 : (unsigned char)draw(256);
    file->size += added;
}

static void fix_checksums(struct file *file)
{
    struct fz_header *header = header_in(file);
    header->checksum = fz_header_checksum(header);
    for (size_t i = 0; i < 2; i++)
        header->checkpoints[i].checksum = fz_checkpoint_checksum(&header->checkpoints[i]);
}

/* Some of these several times; the checksums are right again, mostly. At last, the file may end elsewhere. */
static void change_at_random(struct file *file)
{
    static void (*const changes[])(struct file *) = {
        change_header, change_header, change_checkpoint, change_checkpoint, change_chunk,
        change_chunk,  change_chunk,  add_chunk,         flip_bits,         overwrite,
    };
    for (size_t count = 1 + draw(3); count > 0; count--)
        changes[draw(COUNT(changes))](file);
    if (draw(4))
        fix_checksums(file);
    switch (draw(6)) {
    case 0:
        cut(file);
        break;
    case 1:
        extend(file);
        break;
    }
}

#endif
