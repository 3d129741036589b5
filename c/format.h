/* What stands in a heap file, for libfilz and for whoever looks into one (c/tool/).
 *
 *     | header, one page | chunk | chunk | ... | chunk | committed ahead, zero |
 *                                                      ^ cursor                ^ end of the file
 *
 * Chunks lie back to back, and each tells where it ends. All is in the byte order and word size of the program that
 * made it; addresses are those at which the heap is mapped, so the pointers in it hold there.
 *
 * The file can be walked at every moment, while the heap's program runs and after it was killed anywhere: the cursor
 * moves last when the heap grows, and first when it shrinks. A chunk may then end behind the cursor, where the heap's
 * last one was just growing or shrinking; and `last` may be the last but one. */
#ifndef FILZ_FORMAT_H
#define FILZ_FORMAT_H

#include <stddef.h>
#include <stdint.h>

/* The first bytes of each heap file. They stand there before anything else does. */
#define FILZ_MAGIC "filzheap"
#define FILZ_MAGIC_SIZE (sizeof(FILZ_MAGIC) - 1)

#define FILZ_FORMAT 1

#define FILZ_PROGRAM_MAX 63

struct filz_header {
    /* The same in every format. */
    char magic[8];      /* FILZ_MAGIC */
    uint32_t format;    /* FILZ_FORMAT */
    uint32_t word_size; /* sizeof(size_t) */
    uint32_t kept;      /* 1: made to be opened again (FILZ_MMAP_REOPEN), never overwritten */

    uint32_t clean; /* 1 after a close or an orderly exit */

    /* What never changes, and its checksum. */
    uint64_t page_size;
    uint64_t base; /* where it is mapped */
    uint64_t tag;
    uint64_t checksum; /* filz_header_checksum */

    /* What does. */
    size_t capacity;
    size_t cursor;  /* offset behind the last chunk; 0 until the header is complete */
    size_t last;    /* offset of the last chunk; 0 for none */
    uintptr_t root; /* address; 0 for none */
    size_t id;      /* changes with every open and reset */
    size_t threads; /* that have opened a chunk */
    uint32_t pid;   /* of the program that has it open, or had it last */
    char program[FILZ_PROGRAM_MAX + 1];
};

struct filz_chunk {
    _Alignas(64) uintptr_t end;   /* address behind the chunk: of the next one */
    size_t fill;                  /* SIZE_MAX less the bytes left; atomic: written by the owner, read by anyone */
    size_t blocks;                /* blocks handed out */
    uintptr_t fresh;              /* from this address on nothing was ever handed out: it is zero */
    struct filz_chunk *next_rest; /* in the heap's list of chunks that their threads left; means nothing to others */
    unsigned owner;               /* number of the thread that opened it last, from 1 on */
    unsigned alone;               /* made for one large block; no thread has it open */
};

/* How many bytes aren't handed out: they are the last ones before its end. */
static inline size_t filz_chunk_left(const struct filz_chunk *chunk)
{
    return SIZE_MAX - __atomic_load_n(&chunk->fill, __ATOMIC_RELAXED);
}

/* Of what never changes: FNV-1a, see http://www.isthe.com/chongo/tech/comp/fnv/, a number at a time. */
static inline uint64_t filz_header_checksum(const struct filz_header *header)
{
    const uint64_t numbers[] = {header->format, header->word_size, header->page_size, header->base, header->tag};
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        hash = (hash ^ numbers[i]) * 0x100000001b3;
    return hash;
}

#endif
