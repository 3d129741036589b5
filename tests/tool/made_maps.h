/* Heap files made for the tests of the page map, and the map of one. */
#ifndef FILZ_TESTS_MADE_MAPS_H
#define FILZ_TESTS_MADE_MAPS_H

#include "../../c/tool/page_map.h"
#include "support.h"

#include <locale.h>

/* -- Heap files made here ------------------------------------------------------------------------------------------ */

#define BASE UINT64_C(0x10000000)

static size_t page;

static int find_page_size(void **state)
{
    (void)state;
    page = (size_t)sysconf(_SC_PAGESIZE);
    return setlocale(LC_CTYPE, "C.UTF-8") == NULL;
}

/* A chunk: its pages, how many of them are used, and whose it is. */
struct piece {
    size_t pages, used;
    unsigned owner;
};

static int begin_file(const char *path, size_t chunk_pages, size_t file_pages)
{
    struct fz_header header = {
        .format = FZ_FORMAT,
        .word_size = sizeof(size_t),
        .page_size = page,
        .base = BASE,
        .capacity = file_pages * page,
        .cursor = (1 + chunk_pages) * page,
        .id = 1,
        .pid = 1,
        .program = "made",
    };
    memcpy(header.magic, FZ_MAGIC, FZ_MAGIC_SIZE);
    header.checksum = fz_header_checksum(&header);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
    assert_int_equal(ftruncate(fd, (off_t)(file_pages * page)), 0);
    return fd;
}

static void write_chunk(int fd, size_t *first, struct piece piece)
{
    struct fz_chunk chunk = {
        .size = piece.pages * page,
        .offset = *first * page,
        .fill = SIZE_MAX - (piece.pages - piece.used) * page,
        .blocks = piece.used,
        .owner = piece.owner,
    };
    assert_int_equal(pwrite(fd, &chunk, sizeof(chunk), (off_t)(*first * page)), sizeof(chunk));
    *first += piece.pages;
}

static void make_heap(const char *path, const struct piece *pieces, size_t count, size_t free_pages)
{
    size_t chunk_pages = 0, first = 1;
    for (size_t i = 0; i < count; i++)
        chunk_pages += pieces[i].pages;
    int fd = begin_file(path, chunk_pages, 1 + chunk_pages + free_pages);
    for (size_t i = 0; i < count; i++)
        write_chunk(fd, &first, pieces[i]);
    close(fd);
}

/* -- Maps ---------------------------------------------------------------------------------------------------------- */

struct view {
    struct reader reader;
    struct page_map map;
    struct problem problem;
    bool whole;
};

static bool look_at(struct view *view, const char *path, size_t cells)
{
    if (!reader_open(&view->reader, path, &view->problem))
        return false;
    assert_true(page_map_init(&view->map, cells));
    view->whole = page_map_read(&view->map, &view->reader, &view->problem);
    return true;
}

static void end_look(struct view *view)
{
    page_map_free(&view->map);
    reader_close(&view->reader);
}

static uint64_t pages_in(const struct page_cell *cell)
{
    uint64_t pages = 0;
    for (int kind = 0; kind < PAGE_KINDS; kind++) {
        assert_true(cell->in_ram[kind] <= cell->pages[kind]);
        pages += cell->pages[kind];
    }
    return pages;
}

MAYBE_UNUSED static void check_cells(const struct page_map *map)
{
    uint64_t first = 0;
    assert_true(map->count <= map->most_cells);
    for (size_t i = 0; i < map->count; i++) {
        assert_int_equal(page_map_first(map, i), first);
        first += pages_in(&map->cells[i]);
    }
    assert_int_equal(first, map->pages);
    assert_int_equal(pages_in(&map->total), map->pages);
}

MAYBE_UNUSED static void make_heap_of_threads(size_t threads, size_t pages_of_the_first)
{
    struct piece *pieces = calloc(threads, sizeof(*pieces));
    for (size_t i = 0; i < threads; i++)
        pieces[i] = (struct piece){pages_of_the_first + i, 1 + i % (pages_of_the_first + i), (unsigned)i + 1};
    make_heap("heap", pieces, threads, 0);
    free(pieces);
}

#endif
