/* The format of a heap file, and whether a file is valid. The library, the tool, the fuzzers and the tests all use it.
 *
 *     | header, one page | chunk | chunk | ... | chunk | committed ahead, zero |
 *                                                      ^ cursor                ^ end of the file
 *
 * Chunks lie back to back, and each contains its size. All numbers have the same width on every machine, and the byte
 * order of the program that made the file. References within the file are offsets; only `base` and the roots are
 * addresses, in the heap as it is mapped.
 *
 * The file can be walked at every moment, while the heap's program runs and after it was killed anywhere, because the
 * cursor moves last when the heap grows, and first when it shrinks. While the heap's last chunk grows or shrinks, it
 * may end after the cursor, and `last` may be the last but one.
 *
 * A power cut may lose any page that was written since the last sync. The sync left a checkpoint in the header: where
 * the heap ended, and its root. There are two, written in turn, so that one is whole at every moment. */
#ifndef FZ_FORMAT_H
#define FZ_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first bytes of each heap file, written before anything else. */
#define FZ_MAGIC "filzheap"
#define FZ_MAGIC_SIZE (sizeof(FZ_MAGIC) - 1)

#define FZ_FORMAT 2

#define FZ_PROGRAM_MAX 63

/* 64 bits in the file. A 32-bit program uses the low half, so that each store is a single one. */
#if UINTPTR_MAX == UINT64_MAX
#define FZ_WORD(name) uint64_t name
#else
#define FZ_WORD(name) uint32_t name, name##_high
#endif

/* Locks of single bytes of a shared heap's file (F_OFD_SETLK in fcntl(2)), besides flock's. */
enum fz_byte {
    FZ_WRITER_BYTE,  /* exclusive: a writer; shared: private copies */
    FZ_WRITTEN_BYTE, /* exclusive: a shared writer that has found the heap valid */
    FZ_READERS_BYTE, /* shared: readers; exclusive: a writer that must be alone, as within a reset */
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

    /* Never changed, with a checksum. */
    uint64_t page_size;
    uint64_t base; /* where it is mapped */
    uint64_t tag;
    uint64_t checksum;

    /* Changed. */
    uint64_t capacity;   /* as the last run asked for it */
    FZ_WORD(cursor);     /* offset of the end of the last chunk; 0 until the header is complete */
    FZ_WORD(last);       /* offset of the last chunk; 0 for none */
    FZ_WORD(root);       /* address; 0 for none */
    FZ_WORD(threads);    /* that have had a chunk */
    uint64_t tails;      /* offset of the newest chunk in the list of those with a tail; 0 for none */
    uint64_t id;         /* changes with each open and reset by its program */
    uint32_t generation; /* changes with every reset: chunks of another are dead */
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
    FZ_WORD(fresh);               /* from this byte on nothing was ever allocated: it is zero */
    uint64_t next_tail;           /* offset of an older chunk in the list of those with a tail; 0 for none */
    uint32_t owner;               /* number of the thread that had it last, from 1 on */
    uint32_t state;               /* enum fz_chunk_state */
    uint32_t generation;          /* the header's when it was carved */
};

_Static_assert(offsetof(struct fz_header, checkpoints) + 2 * sizeof(struct fz_checkpoint) == sizeof(struct fz_header) &&
                   sizeof(struct fz_header) <= 512,
               "no padding; and all in one sector, so that a disk writes it whole");
_Static_assert(sizeof(struct fz_chunk) == 64, "a cache line");

/* The number of bytes in the tail, which aren't allocated. */
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

/* A file, read by the caller. `read` returns 0 or an errno value; nothing after `size` is read. */
struct fz_source {
    int (*read)(const struct fz_source *self, uint64_t offset, void *bytes, size_t length);
    uint64_t size;
    int fd;            /* for `read` */
    const void *bytes; /* for `read` */
};

/* The state to continue a heap from. All 0: never initialized. */
struct fz_state {
    uint64_t cursor;
    uint64_t last; /* the last chunk for certain, or 0 */
    uint64_t root;
    uint64_t tails;
    struct fz_problem newest; /* why it is the checkpoint and not the newest state; else no error */
};

/* Whether a file with these first `length` bytes is one of filz's. */
bool fz_has_magic(const void *bytes, size_t length);

/* Whether a heap may have been initialized in a file with this header. */
bool fz_may_be_initialized(const struct fz_header *header);

uint64_t fz_header_checksum(const struct fz_header *header);
uint64_t fz_checkpoint_checksum(const struct fz_checkpoint *checkpoint);

/* The newer one that is whole, or NULL. */
const struct fz_checkpoint *fz_newest_checkpoint(const struct fz_header *header);

/* Whether this is a header of this format for pages of `page_size`. An incomplete header has zeros where nothing was
 * written yet. */
struct fz_problem fz_check_header(const struct fz_header *header, uint64_t page_size);

/* Whether these bytes can be a chunk at this offset of a heap with this header. */
struct fz_problem fz_check_chunk(const struct fz_header *header, uint64_t offset, const struct fz_chunk *chunk);

/* Reads the header of a file that isn't empty. */
struct fz_problem fz_read_header(const struct fz_source *file, uint64_t page_size, struct fz_header *found);

/* Whether a heap with this header can end at `cursor` in a file of this size. */
struct fz_problem fz_check_cursor(const struct fz_header *header, uint64_t cursor, uint64_t size);

/* Reads the header, and finds the state to continue from: the newest, or else the checkpoint. After an error, `found`
 * is what was read and `state` isn't set. Changes nothing. */
struct fz_problem fz_judge(const struct fz_source *file, uint64_t page_size, struct fz_header *found,
                           struct fz_state *state);

#endif
