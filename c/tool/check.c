/* Checks a heap file: each header by format.c, and whether they agree with each other. It may not stop at the first
 * error if it can continue, or take what a running or killed program leaves for damage. */
#include "commands.h"

#include <filz/mmap.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

/* The first problems, and the number of all. */
struct findings {
    struct problem first[20];
    uint64_t count;
    uint64_t chunks, blocks;
    bool unsettled;
};

enum { SHOWN = sizeof(((struct findings *)NULL)->first) / sizeof(struct problem) };

/* For the next problem. If there are too many, overwrites the last. */
static struct problem *next_slot(struct findings *findings)
{
    uint64_t slot = findings->count++;
    return &findings->first[slot < SHOWN ? slot : SHOWN - 1];
}

#define FOUND(findings, ...) problem_at(next_slot(findings), __VA_ARGS__)
#define HEADER_OFFSET(field) offsetof(struct fz_header, field)

/* --- chunks --- */

/* A killed program may have allocated a block that it hadn't counted, or counted one too early. */
static void check_chunk(const struct reader *reader, const struct chunk *chunk, struct findings *findings)
{
    const struct fz_header *header = &reader->header;
    uint64_t threads = header->threads, used = chunk->used_end - chunk->start - sizeof(struct fz_chunk);
    if ((chunk->blocks > used + 1 && !chunk->unsettled) || (chunk->dedicated && chunk->blocks > 1))
        FOUND(findings, chunk->start, "this chunk can't have %" PRIu64 " blocks: %" PRIu64 " bytes of it are used",
              chunk->blocks, used);
    if (threads != 0 && chunk->owner > threads)
        FOUND(findings, chunk->start, "this chunk belongs to thread %u, but there are only %" PRIu64, chunk->owner,
              threads);
    if (chunk->owner == 0 && chunk->blocks != 0)
        FOUND(findings, chunk->start, "this chunk has blocks, but belongs to no thread");
    if (chunk->fresh < chunk->start + sizeof(struct fz_chunk))
        FOUND(findings, chunk->start, "this chunk counts its own header as never allocated");
    if (chunk->unsettled && header->clean && reader->use != FILE_IN_USE)
        FOUND(findings, chunk->start, "this chunk extends past the heap's end, but the heap was closed in order");
}

/* The header's `last` is the last chunk, or the one before; if it is after the end, there are at most two. */
static void check_last(const struct reader *reader, uint64_t last_but_one, uint64_t last, struct findings *findings)
{
    const struct fz_header *header = &reader->header;
    uint64_t told = header->last != 0 && header->last < header->cursor ? header->last : header->page_size;
    bool is_said = reader->newest.error != 0 && reader->newest.offset == HEADER_OFFSET(last);
    if (told != last && told != last_but_one && reader->end == header->cursor && !is_said)
        FOUND(findings, HEADER_OFFSET(last), "the last chunk isn't at %" PRIu64 ", but at %" PRIu64,
              (uint64_t)header->last, last);
}

/* Returns whether the walk reached the end. */
static bool check_chunks(const struct reader *reader, struct findings *findings)
{
    struct problem problem;
    struct chunk chunk = {.end = 0};
    uint64_t last_but_one = 0, last = 0;
    int found;
    while ((found = reader_next_chunk(reader, &chunk, &problem)) == 1) {
        check_chunk(reader, &chunk, findings);
        findings->chunks++;
        findings->blocks += chunk.blocks;
        findings->unsettled |= chunk.unsettled;
        last_but_one = last;
        last = chunk.start;
    }
    if (found < 0)
        *next_slot(findings) = problem;
    else if (last != 0)
        check_last(reader, last_but_one, last, findings);
    return found == 0;
}

/* A list with more steps than there are chunks has a cycle. */
static void check_tails(const struct reader *reader, struct findings *findings)
{
    struct fz_chunk chunk;
    struct problem problem;
    uint64_t named_at = HEADER_OFFSET(tails), steps = 0;
    for (uint64_t offset = reader->header.tails; offset != 0; offset = chunk.next_tail) {
        if (offset >= reader->end || steps++ == findings->chunks) {
            FOUND(findings, named_at, "the list of tails continues at %" PRIu64 ", %s", offset,
                  offset >= reader->end ? "past the heap's end" : "and never ends");
            return;
        }
        if (!reader_read_chunk(reader, offset, &chunk, &problem)) {
            *next_slot(findings) = problem;
            return;
        }
        if (chunk.state != FZ_TAIL)
            FOUND(findings, offset, "this chunk is in the list of tails, but isn't a tail");
        named_at = offset;
    }
}

/* --- the header --- */

/* The same field in the checkpoint as in the header, if it has one. */
static uint64_t offset_in_checkpoint(uint64_t checkpoint, uint64_t offset)
{
    switch (offset) {
    case HEADER_OFFSET(cursor):
        return checkpoint + offsetof(struct fz_checkpoint, cursor);
    case HEADER_OFFSET(last):
        return checkpoint + offsetof(struct fz_checkpoint, last);
    case HEADER_OFFSET(root):
        return checkpoint + offsetof(struct fz_checkpoint, root);
    default:
        return offset;
    }
}

/* An open may have to continue from it, as if the program had closed the heap then. */
static void check_newest_checkpoint(const struct reader *reader, const struct fz_checkpoint *checkpoint, uint64_t at,
                                    struct findings *findings)
{
    const uint64_t page = reader->header.page_size;
    struct fz_header header = reader->header;
    header.cursor = (size_t)checkpoint->cursor;
    header.last = (size_t)checkpoint->last;
    header.root = (size_t)checkpoint->root;
    header.clean = 1;
    memset(header.checkpoints, 0, sizeof(header.checkpoints));
    const struct fz_problem problem = reader_judge_as(reader, &header);
    if (problem.error != 0 && (problem.offset < page || findings->count == 0))
        FOUND(findings, offset_in_checkpoint(at, problem.offset), "the checkpoint: %s", problem.what);
}

static bool is_whole(const struct fz_checkpoint *checkpoint)
{
    const struct fz_header only_this = {.checkpoints = {*checkpoint}};
    return fz_newest_checkpoint(&only_this) != NULL;
}

/* A program killed while it wrote one leaves the other whole, which may be from before a reset. */
static void check_checkpoints(const struct reader *reader, struct findings *findings)
{
    static const struct fz_checkpoint never_written;
    const struct fz_header *header = &reader->header;
    const struct fz_checkpoint *newest = fz_newest_checkpoint(header);
    for (size_t i = 0; i < 2; i++) {
        const struct fz_checkpoint *checkpoint = &header->checkpoints[i];
        const uint64_t at = HEADER_OFFSET(checkpoints) + i * sizeof(*checkpoint);
        bool is_written = memcmp(checkpoint, &never_written, sizeof(never_written)) != 0;
        if (checkpoint == newest)
            check_newest_checkpoint(reader, checkpoint, at, findings);
        else if (is_written && !is_whole(checkpoint) && (newest == NULL || header->clean))
            FOUND(findings, at, "the checkpoint's checksum is wrong");
    }
}

/* --- all of it --- */

static void add_newest(const struct reader *reader, struct findings *findings)
{
    struct problem problem;
    if (reader_is_damaged(reader, &problem))
        *next_slot(findings) = problem;
}

/* If a chunk is damaged, the walk finds that too. */
static void check_once(const struct reader *reader, struct findings *findings)
{
    const struct fz_header *header = &reader->header;
    bool is_of_chunk = reader->newest.error == FILZ_EDAMAGED && reader->newest.offset >= header->page_size;
    *findings = (struct findings){.count = 0};
    if (!is_of_chunk)
        add_newest(reader, findings);
    bool is_walked = check_chunks(reader, findings);
    if (reader->end != 0)
        check_checkpoints(reader, findings);
    if (is_walked && header->clean && reader->end == header->cursor)
        check_tails(reader, findings);
    if (findings->count == 0)
        add_newest(reader, findings);
}

static void check(struct reader *reader, struct findings *findings)
{
    int tries = 0;
    do
        check_once(reader, findings);
    while (reader_must_repeat(reader, findings->count != 0, findings->unsettled, &tries));
}

/* --- the command --- */

static void print_findings(const struct reader *reader, const struct findings *findings)
{
    char path[4096];
    legible(path, sizeof(path), reader->path, sizeof(path));
    for (uint64_t i = 0; i < findings->count && i < SHOWN; i++)
        report(reader->path, &findings->first[i]);
    if (findings->count > SHOWN)
        fprintf(stderr, "filz: %s: %" PRIu64 " problems in all; shown are the first ones and the last\n", path,
                findings->count);
    if (findings->count > 0 && reader->falls_back)
        fprintf(stderr, "filz: %s: an open would fall back to the checkpoint\n", path);
}

/* Says what wasn't checked too, so that nobody overrates the result. */
static void print_undamaged(const struct reader *reader, const struct findings *findings)
{
    char chunks[NUMBER_TEXT], blocks[NUMBER_TEXT], path[4096];
    printf("%s: headers undamaged: %s chunk%s with %s block%s, whose contents have no checksums\n",
           legible(path, sizeof(path), reader->path, sizeof(path)), number_text(chunks, findings->chunks),
           plural(findings->chunks), number_text(blocks, findings->blocks), plural(findings->blocks));
}

bool check_quietly(struct reader *reader, struct problem *problem)
{
    struct findings findings;
    check(reader, &findings);
    *problem = findings.first[0];
    return findings.count == 0;
}

bool check_heap(struct reader *reader)
{
    struct findings findings;
    check(reader, &findings);
    print_findings(reader, &findings);
    return findings.count == 0;
}

int check_file(const char *path)
{
    struct reader reader;
    struct problem problem;
    struct findings findings;
    if (!reader_open(&reader, path, &problem)) {
        report(path, &problem);
        return FAILED;
    }
    check(&reader, &findings);
    print_findings(&reader, &findings);
    if (findings.count == 0)
        print_undamaged(&reader, &findings);
    reader_close(&reader);
    return findings.count == 0 ? DONE : FAILED;
}

static const char help[] = "Usage: filz check FILE\n"
                           "Checks each header in a heap file. Its program may be running.\n"
                           "The contents of blocks can't be checked, because they have no checksums.\n"
                           "\n"
                           "  --help  prints this\n"
                           "\n"
                           "Exit status: 0; 1 if FILE can't be read, isn't a heap, or is damaged.\n";

int command_check(int argc, char **argv)
{
    static const struct option longs[] = {OPTION_HELP, {0}};
    static const struct usage usage = {help, "h", longs};
    while (next_option(argc, argv, &usage) != -1)
        continue;
    return check_file(only_file(argc, argv));
}
