/* Checks a heap file: all that its headers say, against each other. What it may not do: stop at the first thing that is
 * wrong, where it can go on; or take what a running, or killed, program leaves for damage. */
#include "commands.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* The first problems, and how many there are. */
struct findings {
    struct problem first[20];
    uint64_t count;
    uint64_t chunks, blocks;
    bool unsettled;
};

enum { SHOWN = sizeof(((struct findings *)NULL)->first) / sizeof(struct problem) };

/* Where the next problem goes: what there are too many of is overwritten. */
static struct problem *next_place(struct findings *findings)
{
    uint64_t place = findings->count++;
    return &findings->first[place < SHOWN ? place : SHOWN - 1];
}

#define FOUND(findings, ...) problem_at(next_place(findings), __VA_ARGS__)
#define HEADER_OFFSET(field) offsetof(struct filz_header, field)

static void check_flag(struct findings *findings, uint64_t offset, const char *name, uint32_t flag)
{
    if (flag > 1)
        FOUND(findings, offset, "the header's `%s` is %" PRIu32 ", and not 0 or 1", name, flag);
}

static void check_header(const struct filz_header *header, struct findings *findings)
{
    check_flag(findings, HEADER_OFFSET(kept), "kept", header->kept);
    check_flag(findings, HEADER_OFFSET(clean), "clean", header->clean);
    if (header->root != 0 && header->root - (uintptr_t)header->base >= header->cursor)
        FOUND(findings, HEADER_OFFSET(root), "the root %#" PRIxPTR " lies outside the heap", header->root);
}

/* A program that was killed may have handed out a block that it hadn't counted, or counted one too early. */
static void check_chunk(const struct reader *reader, const struct chunk *chunk, struct findings *findings)
{
    const struct filz_header *header = &reader->header;
    uint64_t used = chunk->used_end - chunk->start - sizeof(struct filz_chunk);
    if ((chunk->blocks > used + 1 && !chunk->unsettled) || (chunk->alone && chunk->blocks > 1))
        FOUND(findings, chunk->start, "this chunk can't have %" PRIu64 " blocks: %" PRIu64 " bytes of it are used",
              chunk->blocks, used);
    if (header->threads != 0 && chunk->owner > header->threads)
        FOUND(findings, chunk->start, "this chunk belongs to thread %u, and there are %zu", chunk->owner,
              header->threads);
    if (chunk->owner == 0 && chunk->blocks != 0)
        FOUND(findings, chunk->start, "this chunk has blocks, and belongs to no thread");
    if (chunk->fresh < chunk->start + sizeof(struct filz_chunk))
        FOUND(findings, chunk->start, "this chunk counts its own header as never handed out");
    if (chunk->unsettled && header->clean && !reader->in_use)
        FOUND(findings, chunk->start, "this chunk goes on behind the heap's end, which was closed in order");
}

/* The header's `last` is the last chunk, or the one before; where it lies behind the end, there are at most two. */
static void check_last(const struct filz_header *header, uint64_t last_but_one, uint64_t last,
                       struct findings *findings)
{
    uint64_t told = header->last != 0 && header->last < header->cursor ? header->last : header->page_size;
    if (told != last && told != last_but_one)
        FOUND(findings, HEADER_OFFSET(last), "the header has the last chunk at %zu; it is at %" PRIu64, header->last,
              last);
}

static void check_chunks(const struct reader *reader, struct findings *findings)
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
        *next_place(findings) = problem;
    else if (last != 0)
        check_last(&reader->header, last_but_one, last, findings);
}

/* Of a heap that isn't begun there is no chunk. */
static void check_never_begun(const struct reader *reader, struct findings *findings)
{
    static const struct filz_chunk none;
    struct filz_chunk first;
    uint64_t page = reader->header.page_size;
    if (pread(reader->fd, &first, sizeof(first), (off_t)page) == sizeof(first) &&
        memcmp(&first, &none, sizeof(first)) != 0)
        FOUND(findings, page, "something stands here, but the header says that the heap isn't begun");
}

static void check(struct reader *reader, struct findings *findings)
{
    int tries = READER_TRIES;
    do {
        memset(findings, 0, sizeof(*findings));
        if (reader->header.cursor == 0)
            check_never_begun(reader, findings);
        else
            check_header(&reader->header, findings);
        check_chunks(reader, findings);
    } while (reader_must_repeat(reader, findings->count != 0 || findings->unsettled, &tries));
}

static void report(const struct reader *reader, const struct findings *findings)
{
    char chunks[NUMBER_TEXT], blocks[NUMBER_TEXT], path[4096];
    for (uint64_t i = 0; i < findings->count && i < SHOWN; i++)
        complain(reader->path, &findings->first[i]);
    if (findings->count > SHOWN)
        fprintf(stderr, "filz: %s: %" PRIu64 " problems in all; these were the first, and the last one\n",
                legible(path, sizeof(path), reader->path, sizeof(path)), findings->count);
    if (findings->count == 0)
        printf("%s: undamaged: %s chunk%s with %s block%s\n", legible(path, sizeof(path), reader->path, sizeof(path)),
               number_text(chunks, findings->chunks), plural(findings->chunks), number_text(blocks, findings->blocks),
               plural(findings->blocks));
}

int check_file(const char *path)
{
    struct reader reader;
    struct problem problem;
    struct findings findings;
    if (!reader_open(&reader, path, &problem)) {
        complain(path, &problem);
        return FAILED;
    }
    check(&reader, &findings);
    report(&reader, &findings);
    reader_close(&reader);
    return findings.count == 0 ? DONE : FAILED;
}

static const char help[] = "Usage: filz check FILE\n"
                           "Walks through a heap file and checks each header in it. Its program may be running.\n"
                           "\n"
                           "  --help  prints this\n"
                           "\n"
                           "Ends with 0; with 1 if FILE can't be read, isn't a heap, or is damaged.\n";

int command_check(int argc, char **argv)
{
    static const struct option longs[] = {OPTION_HELP, {0}};
    static const struct usage usage = {help, "h", longs};
    while (next_option(argc, argv, &usage) != -1)
        continue;
    return check_file(only_file(argc, argv));
}
