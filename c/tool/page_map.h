/* What a heap file's pages are, reduced to so many cells as can be shown: however large the file, the map takes memory
 * for its cells alone, and reading it takes time in the number of chunks and of pages that hold data. */
#ifndef FILZ_TOOL_PAGE_MAP_H
#define FILZ_TOOL_PAGE_MAP_H

#include "reader.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a page is, as in <filz/mmap.h>: at least one byte of it allocated, or a header; in the unused tail of a chunk;
 * not yet carved into a chunk. And in a damaged file, where the walk didn't get to. */
enum page_kind { PAGE_USED, PAGE_TAIL, PAGE_FREE, PAGE_UNKNOWN, PAGE_KINDS };

/* The threads with the most bytes have a colour each, from 1 on; all others share one. Colour 0 is no thread's. */
enum { MAP_THREADS = 8, MAP_OTHERS = MAP_THREADS + 1, MAP_COLOURS };

/* A run of pages. */
struct page_cell {
    uint64_t pages[PAGE_KINDS];
    uint64_t in_ram[PAGE_KINDS];
    unsigned owner; /* the thread that has the most of them; 0: none */
};

/* How a cell is shown: as most of its pages are. */
struct cell_look {
    enum page_kind kind;
    bool in_ram;
    int colour;
};

struct thread_share {
    unsigned thread; /* 0: none */
    uint64_t bytes;  /* allocated in its chunks, with their headers */
};

struct page_map {
    size_t most_cells;
    struct page_cell *cells;
    struct thread_share *threads; /* a table by number */

    size_t count;                            /* of cells */
    uint64_t per_cell;                       /* pages, in the last one perhaps fewer */
    uint64_t pages;                          /* of the file */
    uint64_t page_size;                      /* bytes */
    struct page_cell total;                  /* of all cells */
    uint64_t used;                           /* allocated bytes, with padding and headers */
    uint64_t blocks, chunks;                 /* of the heap */
    struct thread_share shares[MAP_COLOURS]; /* by colour; those of 0 and MAP_OTHERS have no thread */
    int legend[MAP_OTHERS]; /* the colours in use, first those of threads by their number; 0 after the last */
};

static inline double percent_of(uint64_t part, uint64_t whole)
{
    return whole != 0 ? 100 * ((double)part / (double)whole) : 0;
}

/* A map of at most so many cells, which is not 0. Returns false if there is no memory. */
bool page_map_init(struct page_map *map, size_t most_cells);
void page_map_free(struct page_map *map);

/* Reads the map; again, with the reader refreshed, while the heap's program takes away what lies on the way.
 * Returns false if the walk didn't get to the end, as `problem` then says; the pages from there on are unknown. */
bool page_map_read(struct page_map *map, struct reader *reader, struct problem *problem);

/* The first page of a cell; of the one after the last, the end. */
uint64_t page_map_first(const struct page_map *map, size_t index);

struct cell_look page_map_look(const struct page_map *map, size_t index);
bool page_map_same_look(struct cell_look one, struct cell_look other);

#endif
