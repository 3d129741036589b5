/* Reads a heap file that a program left, or is using now, without stopping or waiting for it. Uses only pread(2), so a
 * file truncated meanwhile is an error, not a signal. */
#ifndef FILZ_TOOL_READER_H
#define FILZ_TOOL_READER_H

#include "../format.h"
#include "lock.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

/* A readable heap file: format.c has accepted its header. Only the page size is known if a program hasn't initialized
 * the heap yet, or ended before. */
struct reader {
    const char *path;
    int fd;
    struct stat status;       /* when it was read */
    struct fz_header header;  /* the same */
    struct fz_problem newest; /* what format.c finds wrong with the newest state, even if that is only changing */
    bool falls_back;          /* an open would continue from the checkpoint */
    uint64_t end;             /* of the heap in the file: its cursor; of the checkpoint if the newest isn't one */
    enum file_use use;
    struct file_lock lock;
};

/* A chunk, by offsets in the file; in a heap that is in use, as it was at one moment or another. */
struct chunk {
    uint64_t start;
    uint64_t used_end; /* where its tail begins */
    uint64_t end;
    uint64_t blocks;
    uint64_t fresh; /* from here on nothing was ever allocated, if that is in it; unchecked */
    unsigned owner;
    bool dedicated;
    bool unsettled; /* is just growing or shrinking, or has grown since the header was read: `end` is the heap's then,
                     * what is used may be less, and the blocks are of now */
};

/* What is wrong with a file: where, and what, in words. */
#define NOWHERE UINT64_MAX
struct problem {
    uint64_t offset; /* NOWHERE if it isn't about a place in the file */
    char what[160];
};

/* Opens the file. If that fails, says why in `problem` and returns false. */
bool reader_open(struct reader *reader, const char *path, struct problem *problem);

/* The same for a file that no program has as a heap. */
bool reader_open_own(struct reader *reader, const char *path, struct problem *problem);

/* Reads status and header again. */
bool reader_refresh(struct reader *reader, struct problem *problem);
void reader_close(struct reader *reader);

/* Whether the newest state is damaged, as `problem` then says. What a running program is just changing isn't. */
bool reader_is_damaged(const struct reader *reader, struct problem *problem);

/* Whether nothing changes the file: a heap in it that wasn't closed in order is a killed program's. */
bool reader_is_at_rest(const struct reader *reader);

/* What fz_judge would say of the newest state if the file had this header. */
struct fz_problem reader_judge_as(const struct reader *reader, const struct fz_header *header);

/* Reads the header of the chunk at `offset`, which may be no chunk's. */
bool reader_read_chunk(const struct reader *reader, uint64_t offset, struct fz_chunk *chunk, struct problem *problem);

/* Walks the chunks: `chunk->end` is 0 before the first. Returns 1 for the next one, 0 after the last, -1 if what is
 * there can't be a chunk, as `problem` then says. If the heap shrinks meanwhile, the walk ends sooner. */
int reader_next_chunk(const struct reader *reader, struct chunk *chunk, struct problem *problem);

/* After a walk: whether to walk again, since the heap's program took away what lay on the way, by a reset or by a block
 * that shrank, or since what was found may come of what it was just doing. The header was then read again. `tries`
 * counts up from 0, and ends it: sooner if nothing was found to be damaged. */
bool reader_must_repeat(struct reader *reader, bool damaged, bool unsettled, int *tries);

/* For each of `count` pages from page `first` on, 1 if it is in RAM, else 0, as mincore(2) tells; all 0 where it can't.
 */
void reader_pages_in_ram(const struct reader *reader, uint64_t first, size_t count, unsigned char *in_ram);

/* Bytes of the file that are on disk or promised there. */
uint64_t reader_bytes_on_disk(const struct reader *reader);

#endif
