/* What is in a heap file, and whether it can be right. The library, the tool, the fuzzers and the tests all ask here.
 *
 *     | header, one page | chunk | chunk | ... | chunk | committed ahead, zero |
 *                                                      ^ cursor                ^ end of the file
 *
 * Chunks lie back to back, and each says how long it is. All numbers have the same width on every machine, in the byte
 * order of the program that made the file. What refers to another place in the file is an offset; only `base` and the
 * roots are addresses, those at which the heap is mapped.
 *
 * The file can be walked at every moment, while the heap's program runs and after it was killed anywhere: the cursor
 * moves last when the heap grows, and first when it shrinks. A chunk may then end after the cursor, where the heap's
 * last one was just growing or shrinking; and `last` may be the last but one.
 *
 * A power cut may take any page that was written since the last sync. That sync has left a checkpoint in the header:
 * where the heap ended, and its root. There are two, written in turn, so that one is whole at every moment. */
#ifndef FZ_FORMAT_H
#define FZ_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first bytes of each heap file. They are there before anything else is. */
#define FZ_MAGIC "filzheap"
#define FZ_MAGIC_SIZE (sizeof(FZ_MAGIC) - 1)

#define FZ_FORMAT 2

#define FZ_PROGRAM_MAX 63

/* 64 bits in the file, of which a 32-bit program uses the low half, so that each of its stores is one. */
#if UINTPTR_MAX == UINT64_MAX
#define FZ_WORD(name) uint64_t name
#else
#define FZ_WORD(name) uint32_t name, name##_high
#endif

/* Locks of single bytes of a shared heap's file (F_OFD_SETLK in fcntl(2)), beside flock's. */
enum fz_byte {
    FZ_WRITER_BYTE,  /* a writer has it alone; a private copy shares it */
    FZ_WRITTEN_BYTE, /* a shared writer has it alone, once it has found the heap right */
    FZ_READERS_BYTE, /* readers share it; a writer that must be alone, as within a reset, has it alone */
};

struct fz_checkpoint {
    uint64_t sequence; /* the larger one is the newer; 0: there is none */
    uint64_t cursor;
    uint64_t last;
    uint64_t root;
    uint64_t checksum;
};

enum fz_persistence {
    FZ_OVERWRITTEN,     /* by the next heap in the file */
    FZ_KEPT,            /* FILZ_MMAP_PERSISTENT: never overwritten by another heap */
    FZ_KEPT_AND_SHARED, /* FILZ_MMAP_SHARED: the same, and a reader may have it open while it is written */
};

struct fz_header {
    /* The same in every format. */
    char magic[8];       /* FZ_MAGIC */
    uint32_t format;     /* FZ_FORMAT */
    uint32_t word_size;  /* sizeof(size_t) */
    uint32_t persistent; /* enum fz_persistence */
    uint32_t clean;      /* 1 after a close or an orderly exit: `tails` holds */

    /* What never changes, and its checksum. */
    uint64_t page_size;
    uint64_t base; /* where it is mapped */
    uint64_t tag;
    uint64_t checksum;

    /* What does. */
    uint64_t capacity;   /* that the last run asked for */
    FZ_WORD(cursor);     /* offset of the end of the last chunk; 0 until the header is complete */
    FZ_WORD(last);       /* offset of the last chunk; 0 for none */
    FZ_WORD(root);       /* address; 0 for none */
    FZ_WORD(threads);    /* that have had a chunk */
    uint64_t tails;      /* offset of the newest chunk in the list of those with a tail; 0 for none */
    uint64_t id;         /* another after each open and reset by its program */
    uint32_t generation; /* changes with every reset: chunks of another one are gone */
    uint32_t pid;        /* of the program that has it open, or had it last */
    char program[FZ_PROGRAM_MAX + 1];
    struct fz_checkpoint checkpoints[2];
};

enum fz_chunk_state {
    FZ_ACTIVE,    /* a thread allocates from it, or did when it ended without notice */
    FZ_TAIL,      /* its tail is in the heap's list */
    FZ_DEDICATED, /* made for one large block; no thread allocates from it */
};

struct fz_chunk {
    _Alignas(64) uint64_t offset; /* of itself in the file */
    FZ_WORD(size);                /* bytes, this header included */
    FZ_WORD(fill);                /* UINT64_MAX less the bytes left; moved by the owner, read by anyone */
    FZ_WORD(blocks);              /* blocks allocated */
    FZ_WORD(fresh);               /* from this byte of it on nothing was ever allocated: it is zero */
    uint64_t next_tail;           /* offset of an older chunk in the list of those with a tail; 0 for none */
    uint32_t owner;               /* number of the thread that had it last, from 1 on */
    uint32_t state;               /* enum fz_chunk_state */
    uint32_t generation;          /* the header's when it was carved */
};

_Static_assert(offsetof(struct fz_header, checkpoints) + 2 * sizeof(struct fz_checkpoint) == sizeof(struct fz_header) &&
                   sizeof(struct fz_header) <= 512,
               "no padding; and all in one sector, so that a disk writes it whole");
_Static_assert(sizeof(struct fz_chunk) == 64, "a cache line");

/* How many bytes aren't allocated: they are the last ones before its end. */
static inline size_t fz_chunk_left(const struct fz_chunk *chunk)
{
    return SIZE_MAX - (size_t)__atomic_load_n(&chunk->fill, __ATOMIC_RELAXED);
}

/* What is wrong: 0 or a FILZ_E constant or errno value, the offset in the file, and words. */
struct fz_problem {
    int error;
    uint64_t offset;
    const char *what;
};

/* A file, as the caller reads it. `read` returns 0 or an errno value; what lies after `size` isn't read. */
struct fz_source {
    int (*read)(const struct fz_source *self, uint64_t offset, void *bytes, size_t length);
    uint64_t size;
    int fd;            /* for `read` */
    const void *bytes; /* for `read` */
};

/* Where a heap can go on from. All 0: it was never initialized. */
struct fz_state {
    uint64_t cursor;
    uint64_t last; /* the last chunk for certain, or 0 */
    uint64_t root;
    uint64_t tails;
    struct fz_problem newest; /* why it is the checkpoint, and not the newest state; no error where it is that */
};

/* Whether the file begins as one of filz's; of `length` bytes, those that it has at most. */
bool fz_has_magic(const void *bytes, size_t length);

/* Whether a heap may have been initialized in a file with this header. */
bool fz_may_be_initialized(const struct fz_header *header);

uint64_t fz_header_checksum(const struct fz_header *header);
uint64_t fz_checkpoint_checksum(const struct fz_checkpoint *checkpoint);

/* The newer one that is whole, or NULL. */
const struct fz_checkpoint *fz_newest_checkpoint(const struct fz_header *header);

/* Whether this is a header of this format for pages of `page_size`; a header that isn't complete has zeros where
 * nothing was written yet. */
struct fz_problem fz_check_header(const struct fz_header *header, uint64_t page_size);

/* Whether there can be a chunk with these bytes at this offset of a heap with this header. */
struct fz_problem fz_check_chunk(const struct fz_header *header, uint64_t offset, const struct fz_chunk *chunk);

/* Reads the header of a file that isn't empty. */
struct fz_problem fz_read_header(const struct fz_source *file, uint64_t page_size, struct fz_header *found);

/* Whether a heap with this header can end at `cursor` in a file of this size. */
struct fz_problem fz_check_cursor(const struct fz_header *header, uint64_t cursor, uint64_t size);

/* Reads the header, and finds where the heap can go on from: the newest state, or else the checkpoint. After an error,
 * `found` is what was read and `state` isn't set. Changes nothing. */
struct fz_problem fz_judge(const struct fz_source *file, uint64_t page_size, struct fz_header *found,
                           struct fz_state *state);

#endif
