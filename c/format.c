/* Judges heap files. What it may not do: call the system, or trust a byte. */
#include "format.h"

#include "filz/mmap.h"

#include <string.h>

static const struct fz_problem none = {0, 0, NULL};

static struct fz_problem damaged(uint64_t offset, const char *what)
{
    return (struct fz_problem){FILZ_EDAMAGED, offset, what};
}

#define HEADER(error, field, what) ((struct fz_problem){(error), offsetof(struct fz_header, field), (what)})

bool fz_has_magic(const void *bytes, size_t length)
{
    return length >= FZ_MAGIC_SIZE && memcmp(bytes, FZ_MAGIC, FZ_MAGIC_SIZE) == 0;
}

bool fz_may_be_initialized(const struct fz_header *header)
{
    return (header->format != FZ_FORMAT && header->format != 0) || header->cursor != 0;
}

/* FNV-1a, see http://www.isthe.com/chongo/tech/comp/fnv/, a number at a time. */
static uint64_t hash(const uint64_t *numbers, size_t count)
{
    uint64_t sum = 0xcbf29ce484222325;
    for (size_t i = 0; i < count; i++)
        sum = (sum ^ numbers[i]) * 0x100000001b3;
    return sum;
}

uint64_t fz_header_checksum(const struct fz_header *header)
{
    const uint64_t numbers[] = {header->format, header->word_size, header->page_size, header->base, header->tag};
    return hash(numbers, sizeof(numbers) / sizeof(numbers[0]));
}

uint64_t fz_checkpoint_checksum(const struct fz_checkpoint *checkpoint)
{
    const uint64_t numbers[] = {checkpoint->sequence, checkpoint->cursor, checkpoint->last, checkpoint->root};
    return hash(numbers, sizeof(numbers) / sizeof(numbers[0]));
}

static bool is_whole(const struct fz_checkpoint *checkpoint)
{
    return checkpoint->sequence != 0 && checkpoint->last < checkpoint->cursor &&
           checkpoint->checksum == fz_checkpoint_checksum(checkpoint);
}

const struct fz_checkpoint *fz_newest_checkpoint(const struct fz_header *header)
{
    const struct fz_checkpoint *first = &header->checkpoints[0], *second = &header->checkpoints[1];
    if (!is_whole(first) || (is_whole(second) && second->sequence > first->sequence))
        return is_whole(second) ? second : NULL;
    return first;
}

struct fz_problem fz_check_header(const struct fz_header *header, uint64_t page_size)
{
    if (header->word_size != sizeof(size_t) && header->word_size != 0)
        return HEADER(FILZ_EWORDSIZE, word_size, "another word size or byte order");
    if (header->format != FZ_FORMAT && header->format != 0)
        return HEADER(FILZ_EFORMAT, format, "another heap format");
    if (header->cursor == 0)
        return none;
    if (header->checksum != fz_header_checksum(header))
        return HEADER(FILZ_EDAMAGED, checksum, "the header's checksum is wrong");
    if (header->page_size != page_size)
        return HEADER(FILZ_EPAGESIZE, page_size, "another page size");
    if (header->base == 0 || header->base % page_size != 0)
        return HEADER(FILZ_EDAMAGED, base, "the base isn't the address of a page");
    if (header->capacity % page_size != 0 || header->capacity > PTRDIFF_MAX ||
        header->capacity - 1 > UINTPTR_MAX - header->base)
        return HEADER(FILZ_EDAMAGED, capacity, "the capacity is invalid");
    if (header->persistent > FZ_KEPT_AND_SHARED)
        return HEADER(FILZ_EDAMAGED, persistent, "neither 0, 1 nor 2");
    if (header->clean > 1)
        return HEADER(FILZ_EDAMAGED, clean, "neither 0 nor 1");
    return none;
}

struct fz_problem fz_check_chunk(const struct fz_header *header, uint64_t offset, const struct fz_chunk *chunk)
{
    uint64_t page = header->page_size, size = chunk->size;
    if (offset % page != 0 || offset < page || offset >= header->capacity || chunk->offset != offset)
        return damaged(offset, "no chunk begins here");
    if (chunk->generation != header->generation)
        return damaged(offset, "this chunk is from before a reset");
    if (size < page || size % page != 0 || size > header->capacity - offset)
        return damaged(offset, "the chunk's size is invalid");
    if (fz_chunk_left(chunk) > size - sizeof(*chunk))
        return damaged(offset, "the chunk's tail is larger than the chunk");
    if (chunk->state > FZ_DEDICATED)
        return damaged(offset, "the chunk's state is invalid");
    return none;
}

static struct fz_problem read_at(const struct fz_source *file, uint64_t offset, void *bytes, size_t length)
{
    if (offset > file->size || length > file->size - offset)
        return (struct fz_problem){FILZ_ETRUNCATED, file->size, "the file ends here"};
    int error = file->read(file, offset, bytes, length);
    return (struct fz_problem){error, offset, "it can't be read"};
}

/* A program that ends before its header is complete leaves zeros after the first page, or nothing. */
static struct fz_problem check_never_initialized(const struct fz_source *file, uint64_t page)
{
    static const struct fz_chunk zeros;
    struct fz_chunk first;
    if (file->size < page + sizeof(first))
        return none;
    struct fz_problem problem = read_at(file, page, &first, sizeof(first));
    if (problem.error == 0 && memcmp(&first, &zeros, sizeof(first)) != 0)
        return damaged(page, "there are chunks, but no header for them");
    return problem;
}

struct fz_problem fz_check_cursor(const struct fz_header *header, uint64_t cursor, uint64_t size)
{
    uint64_t page = header->page_size;
    if (cursor < page || cursor % page != 0 || cursor > header->capacity)
        return HEADER(FILZ_EDAMAGED, cursor, "the cursor is invalid");
    if (cursor > size)
        return (struct fz_problem){FILZ_ETRUNCATED, size, "the file ends before its heap does"};
    return none;
}

static struct fz_problem check_numbers(const struct fz_source *file, const struct fz_header *header,
                                       const struct fz_state *state)
{
    uint64_t page = header->page_size;
    struct fz_problem problem = fz_check_cursor(header, state->cursor, file->size);
    if (problem.error != 0)
        return problem;
    if (state->root != 0 && state->root - header->base - page >= state->cursor - page)
        return HEADER(FILZ_EDAMAGED, root, "the root isn't in a chunk");
    return none;
}

/* Walks at most `steps` chunks from `start` to the end of the heap, and finds the last one. That may end after the
 * cursor, because it was just growing or shrinking, or has grown since the checkpoint. */
static struct fz_problem walk(const struct fz_source *file, const struct fz_header *header, uint64_t start,
                              uint64_t steps, struct fz_state *state)
{
    uint64_t offset = start;
    state->last = 0;
    while (offset < state->cursor && steps-- > 0) {
        struct fz_chunk chunk;
        struct fz_problem problem = read_at(file, offset, &chunk, sizeof(chunk));
        if (problem.error == 0)
            problem = fz_check_chunk(header, offset, &chunk);
        if (problem.error != 0)
            return problem;
        state->last = offset;
        offset += chunk.size;
    }
    return offset < state->cursor ? HEADER(FILZ_EDAMAGED, last, "this isn't the last chunk") : none;
}

static uint64_t first_if_none(const struct fz_header *header, uint64_t chunk)
{
    return chunk != 0 ? chunk : header->page_size;
}

static struct fz_problem check_checkpoint(const struct fz_source *file, const struct fz_header *header,
                                          const struct fz_checkpoint *checkpoint, struct fz_state *state)
{
    *state = (struct fz_state){checkpoint->cursor, checkpoint->last, checkpoint->root, 0, state->newest};
    struct fz_problem problem = check_numbers(file, header, state);
    return problem.error != 0 ? problem : walk(file, header, first_if_none(header, checkpoint->last), 1, state);
}

/* After an orderly end of a heap that was never synced, this checks only the last chunk: `last`, or the one after it.
 * Else it checks each chunk since the checkpoint, because a power cut may have lost any of their pages. */
static struct fz_problem check_newest(const struct fz_source *file, const struct fz_header *header,
                                      const struct fz_checkpoint *checkpoint, struct fz_state *state)
{
    *state = (struct fz_state){header->cursor, header->last, header->root, header->clean ? header->tails : 0, none};
    if (header->cursor == header->page_size) /* as from the first moment of a reset */
        *state = (struct fz_state){.cursor = header->cursor};
    struct fz_problem problem = check_numbers(file, header, state);
    if (problem.error != 0 || header->cursor == header->page_size)
        return problem;
    if (checkpoint != NULL && checkpoint->cursor > state->cursor)
        return HEADER(FILZ_EDAMAGED, cursor, "the heap ends before its checkpoint does");
    if (header->last >= header->cursor)
        return HEADER(FILZ_EDAMAGED, last, "the last chunk is after the end of the heap");
    if (header->clean && (checkpoint == NULL || checkpoint->cursor <= header->page_size))
        return walk(file, header, first_if_none(header, header->last), 2, state);
    return walk(file, header, first_if_none(header, checkpoint != NULL ? checkpoint->last : 0), UINT64_MAX, state);
}

/* A heap that ended in order and was never synced was damaged by something else than a power cut. Falling back to its
 * empty checkpoint would destroy what is left. */
static bool may_fall_back(const struct fz_header *header, const struct fz_checkpoint *checkpoint)
{
    return checkpoint != NULL && (!header->clean || checkpoint->cursor > header->page_size);
}

struct fz_problem fz_read_header(const struct fz_source *file, uint64_t page_size, struct fz_header *found)
{
    struct fz_problem problem = read_at(file, 0, found, sizeof(*found));
    if (problem.error == 0 && !fz_has_magic(found, sizeof(*found)))
        problem = HEADER(FILZ_ENOTHEAP, magic, "not a heap file of filz");
    return problem.error != 0 ? problem : fz_check_header(found, page_size);
}

struct fz_problem fz_judge(const struct fz_source *file, uint64_t page_size, struct fz_header *found,
                           struct fz_state *state)
{
    *found = (struct fz_header){.cursor = 0};
    *state = (struct fz_state){.cursor = 0};
    if (file->size <= FZ_MAGIC_SIZE)
        return none;
    struct fz_problem problem = fz_read_header(file, page_size, found);
    if (problem.error == 0 && found->cursor == 0)
        return check_never_initialized(file, page_size);
    if (problem.error != 0)
        return problem;
    const struct fz_checkpoint *checkpoint = fz_newest_checkpoint(found);
    problem = check_newest(file, found, checkpoint, state);
    state->newest = problem;
    if (problem.error < 0 && may_fall_back(found, checkpoint) && /* but not after a read error */
        check_checkpoint(file, found, checkpoint, state).error == 0)
        return none;
    return problem;
}
