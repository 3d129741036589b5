/* The cells of the page map, and what is drawn of them: against filz_mmap_pages, against files made here, and against
 * damaged ones. */
#include "../../c/tool/page_map.h"
#include "../../c/tool/svg.h"
#include "../../c/tool/terminal.h"
#include "support.h"

#include <locale.h>
#include <wchar.h>

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

static void check_cells(const struct page_map *map)
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

static uint64_t shared_bytes(const struct page_map *map)
{
    uint64_t bytes = 0;
    for (int colour = 0; colour < MAP_COLOURS; colour++)
        bytes += map->shares[colour].bytes;
    return bytes;
}

/* -- What the library says ----------------------------------------------------------------------------------------- */

enum { THREADS = 6 };

static void *fill(void *heap)
{
    static unsigned seeds;
    unsigned seed = __atomic_add_fetch(&seeds, 1, __ATOMIC_RELAXED);
    for (size_t i = 0; i < 300; i++) {
        size_t size = (size_t)rand_r(&seed) % 5000;
        char *block = filz_mmap_alloc(heap, size, 1);
        if (block == NULL)
            return heap;
        memset(block, 1, size);
    }
    return filz_mmap_alloc(heap, 400 * KIB, 1) == NULL ? heap : NULL;
}

static void fill_by_threads(filz_mmap *heap)
{
    pthread_t threads[THREADS];
    void *failed;
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fill, heap), 0);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
}

static unsigned state_of(const struct page_cell *cell)
{
    unsigned state = cell->owner << 3;
    state |= cell->pages[PAGE_USED] != 0 ? FILZ_PAGE_USED : cell->pages[PAGE_TAIL] != 0 ? FILZ_PAGE_TAIL : 0;
    return state |
           (cell->in_ram[PAGE_USED] + cell->in_ram[PAGE_TAIL] + cell->in_ram[PAGE_FREE] != 0 ? FILZ_PAGE_IN_RAM : 0);
}

/* What is in RAM may change between the questions: then they are asked again. */
static void a_map_with_a_cell_for_each_page_says_what_filz_mmap_pages_says(void **state)
{
    (void)state;
    filz_mmap heap = {.path = "heap", .capacity = 64 * MIB};
    fill_by_threads(&heap);
    filz_mmap_info info;
    assert_int_equal(filz_mmap_stats(&heap, &info), 0);
    size_t pages = info.committed / info.page_size, differ = 1;
    unsigned char *before = malloc(pages), *after = malloc(pages);
    struct view view;
    for (int tries = 0; differ != 0 && tries < 100; tries++) {
        assert_int_equal(filz_mmap_pages(&heap, 0, &pages, before), 0);
        assert_true(look_at(&view, "heap", pages) && view.whole);
        assert_int_equal(filz_mmap_pages(&heap, 0, &pages, after), 0);
        assert_int_equal(view.map.count, pages);
        assert_int_equal(view.map.used, info.used);
        assert_int_equal(view.map.blocks, info.blocks);
        differ = 0;
        for (size_t i = 0; i < pages; i++) {
            unsigned told = state_of(&view.map.cells[i]);
            assert_int_equal(told & ~FILZ_PAGE_IN_RAM, before[i] & ~FILZ_PAGE_IN_RAM);
            differ += told != before[i] && before[i] == after[i];
        }
        end_look(&view);
    }
    assert_int_equal(differ, 0);
    free(before);
    free(after);
    filz_mmap_close(&heap);
}

/* -- While the heap changes ---------------------------------------------------------------------------------------- */

/* The linker leads page_map.c here (--wrap): the heap changes just before the walk's third step. */
static filz_mmap *to_change;
static int steps;

int __wrap_reader_next_chunk(const struct reader *reader, struct chunk *chunk, struct problem *problem);
int __real_reader_next_chunk(const struct reader *reader, struct chunk *chunk, struct problem *problem);

static void allocate_filled(filz_mmap *heap, size_t size)
{
    char *block = filz_mmap_alloc(heap, size, 1);
    assert_non_null(block);
    memset(block, 'x', size);
}

int __wrap_reader_next_chunk(const struct reader *reader, struct chunk *chunk, struct problem *problem)
{
    if (to_change != NULL && ++steps == 3) {
        assert_int_equal(filz_mmap_reset(to_change), 0);
        allocate_filled(to_change, 2 * MIB);
    }
    return __real_reader_next_chunk(reader, chunk, problem);
}

static void a_heap_that_is_reset_while_it_is_walked_is_walked_again(void **state)
{
    (void)state;
    filz_mmap heap = {.path = "heap", .capacity = 64 * MIB};
    fill_by_threads(&heap);
    to_change = &heap;
    steps = 0;
    struct view view;
    assert_true(look_at(&view, "heap", 1000));
    to_change = NULL;
    filz_mmap_info info;
    assert_int_equal(filz_mmap_stats(&heap, &info), 0);
    assert_true(steps > 3 && view.whole);
    check_cells(&view.map);
    assert_int_equal(view.map.used, info.used);
    assert_int_equal(view.map.blocks, 1);
    end_look(&view);
    filz_mmap_close(&heap);
}

/* -- Cells --------------------------------------------------------------------------------------------------------- */

static void there_are_no_more_cells_than_asked_for_and_each_page_is_in_one(void **state)
{
    (void)state;
    unsigned seed = 1;
    for (size_t round = 0; round < 300; round++) {
        struct piece pieces[3];
        for (size_t i = 0; i < 3; i++) {
            pieces[i].pages = (size_t)rand_r(&seed) % 50 + 1;
            pieces[i].used = (size_t)rand_r(&seed) % pieces[i].pages + 1;
            pieces[i].owner = (unsigned)i + 1;
        }
        make_heap("heap", pieces, round % 4, (size_t)rand_r(&seed) % 50);
        struct view view;
        size_t cells = (size_t)rand_r(&seed) % 200 + 1;
        assert_true(look_at(&view, "heap", cells) && view.whole);
        check_cells(&view.map);
        assert_true(view.map.per_cell == 1 || view.map.count > cells / 2);
        end_look(&view);
    }
}

static void a_cell_is_its_largest_owner_s_and_shows_what_most_of_its_pages_are(void **state)
{
    (void)state;
    const struct piece pieces[] = {{2, 2, 1}, {3, 3, 2}, {2, 2, 3}, {8, 1, 4}, {8, 7, 5}};
    make_heap("heap", pieces, COUNT(pieces), 8);
    struct view view;
    assert_true(look_at(&view, "heap", 4) && view.whole);
    assert_int_equal(view.map.per_cell, 8);
    const unsigned owners[] = {2, 4, 5, 0};
    const enum page_kind kinds[] = {PAGE_USED, PAGE_TAIL, PAGE_USED, PAGE_FREE};
    for (size_t i = 0; i < 4; i++) {
        struct cell_look look = page_map_look(&view.map, i);
        assert_int_equal(view.map.cells[i].owner, owners[i]);
        assert_int_equal(look.kind, kinds[i]);
        assert_int_equal(look.colour, owners[i]);
    }
    end_look(&view);
}

static void holes_of_terabytes_are_passed_over(void **state)
{
    (void)state;
    if (sizeof(size_t) < 8)
        SKIP("a file of terabytes is no heap of this word size");
    int fd = begin_file("heap", 1, 2);
    size_t first = 1;
    write_chunk(fd, &first, (struct piece){1, 1, 1});
    if (ftruncate(fd, (off_t)8 << 40) != 0)
        SKIP("no file of 8 TiB here (%s)", strerror(errno));
    close(fd);
    struct view view;
    assert_true(look_at(&view, "heap", 1000) && view.whole);
    check_cells(&view.map);
    assert_int_equal(view.map.pages, ((uint64_t)8 << 40) / page);
    end_look(&view);
}

static void after_a_chunk_that_can_t_be_one_all_is_unknown_up_to_the_cursor(void **state)
{
    (void)state;
    const struct piece pieces[] = {{4, 4, 1}, {4, 4, 2}, {4, 4, 3}};
    make_heap("heap", pieces, COUNT(pieces), 4);
    int fd = open("heap", O_RDWR);
    assert_int_equal(pwrite(fd, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8, (off_t)(5 * page)), 8);
    close(fd);
    struct view view;
    assert_true(look_at(&view, "heap", 100));
    assert_false(view.whole);
    assert_int_equal(view.problem.offset, 5 * page);
    check_cells(&view.map);
    assert_int_equal(view.map.total.pages[PAGE_USED], 5);
    assert_int_equal(view.map.total.pages[PAGE_UNKNOWN], 8);
    assert_int_equal(view.map.total.pages[PAGE_FREE], 4);
    assert_int_equal(page_map_look(&view.map, 5).kind, PAGE_UNKNOWN);
    end_look(&view);
}

/* -- Threads ------------------------------------------------------------------------------------------------------- */

static void make_heap_of_threads(size_t threads, size_t pages_of_the_first)
{
    struct piece *pieces = calloc(threads, sizeof(*pieces));
    for (size_t i = 0; i < threads; i++)
        pieces[i] = (struct piece){pages_of_the_first + i, 1 + i % (pages_of_the_first + i), (unsigned)i + 1};
    make_heap("heap", pieces, threads, 0);
    free(pieces);
}

static void the_threads_with_most_bytes_have_a_colour_each_and_the_others_share_one(void **state)
{
    (void)state;
    struct view view;
    make_heap_of_threads(20, 30);
    assert_true(look_at(&view, "heap", 100) && view.whole);
    bool taken[21] = {false};
    for (size_t i = 0; i < MAP_THREADS; i++) {
        const struct thread_share *share = &view.map.shares[view.map.legend[i]];
        assert_int_equal(share->thread, 13 + i);
        assert_int_equal(share->bytes, (13 + i) * page);
        assert_false(taken[view.map.legend[i]]);
        taken[view.map.legend[i]] = true;
    }
    assert_int_equal(view.map.legend[MAP_THREADS], MAP_OTHERS);
    assert_int_equal(shared_bytes(&view.map), view.map.used - page);
    assert_int_equal(page_map_look(&view.map, 0).colour, MAP_OTHERS);
    end_look(&view);
}

static void a_thread_keeps_its_colour_while_others_come_if_it_can(void **state)
{
    (void)state;
    const struct piece pieces[] = {{3, 3, 5}, {3, 1, 2}, {3, 2, 8}, {9, 9, 9}, {3, 3, 10}};
    const int colours[] = {5, 2, 8, 1, 3};
    for (size_t count = 1; count <= COUNT(pieces); count++) {
        struct view view;
        make_heap("heap", pieces, count, 0);
        assert_true(look_at(&view, "heap", 100) && view.whole);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(view.map.shares[colours[i]].thread, pieces[i].owner);
        assert_int_equal(view.map.legend[count], 0);
        end_look(&view);
    }
}

static void of_ten_thousand_threads_no_byte_is_lost(void **state)
{
    (void)state;
    struct piece *pieces = calloc(10001, sizeof(*pieces));
    for (size_t i = 0; i < 10000; i++)
        pieces[i] = (struct piece){1, 1, (unsigned)i + 1};
    pieces[10000] = (struct piece){100, 50, 9999};
    make_heap("heap", pieces, 10001, 0);
    free(pieces);
    struct view view;
    assert_true(look_at(&view, "heap", 50) && view.whole);
    assert_int_equal(shared_bytes(&view.map), view.map.used - page);
    bool found = false;
    for (int colour = 1; colour <= MAP_THREADS; colour++)
        found |= view.map.shares[colour].thread == 9999;
    assert_true(found);
    end_look(&view);
}

/* -- Drawing ------------------------------------------------------------------------------------------------------- */

static int lines_drawn, column, widest;

static void count_text(const char *text, int colour)
{
    wchar_t wide[4096];
    assert_in_range(colour + 1, 0, MAP_COLOURS);
    size_t length = mbstowcs(wide, text, COUNT(wide));
    assert_true(length < COUNT(wide));
    int width = wcswidth(wide, length);
    assert_true(width >= 0);
    column += width;
    widest = column > widest ? column : widest;
}

static void count_line(void)
{
    lines_drawn++;
    column = 0;
}

static void draw_all(const struct view *view, int width, bool utf8, bool coloured)
{
    struct pen pen = {width, utf8, coloured, count_text, count_line};
    lines_drawn = column = widest = 0;
    draw_head(&pen, &view->reader, &view->map);
    draw_cells(&pen, &view->map);
    draw_legend(&pen, &view->map);
    assert_int_equal(column, 0);
}

static void a_drawing_fits_every_screen(void **state)
{
    (void)state;
    make_heap_of_threads(20, 30);
    for (int width = 1; width <= 200; width++)
        for (int rows = 1; rows <= 60; rows += width % 7 + 1) {
            struct view view;
            assert_true(look_at(&view, "heap", cells_on_screen(width, rows, 0)));
            draw_all(&view, width, rows % 2, rows % 3);
            assert_true(widest <= width);
            assert_true(lines_drawn <= (rows > HEAD_ROWS + LEGEND_ROWS ? rows : HEAD_ROWS + 1 + LEGEND_ROWS));
            end_look(&view);
        }
}

static size_t picture_size(const struct view *view)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    svg_draw(out, &view->reader, &view->map);
    assert_int_equal(fclose(out), 0);
    free(text);
    return size;
}

/* The worst there is: no two cells that lie side by side look the same. */
static void a_picture_has_at_most_512_kib(void **state)
{
    (void)state;
    struct piece *pieces = calloc(SVG_CELLS - 1, sizeof(*pieces));
    for (size_t i = 0; i < SVG_CELLS - 1; i++)
        pieces[i] = (struct piece){1, 1, (unsigned)(i % 9) + 1};
    make_heap("heap", pieces, SVG_CELLS - 1, 0);
    free(pieces);
    struct view view;
    assert_true(look_at(&view, "heap", SVG_CELLS) && view.whole);
    assert_int_equal(view.map.count, SVG_CELLS);
    size_t size = picture_size(&view);
    assert_true(size <= 512 * KIB);
    print_message("a picture of %d cells has %zu bytes at most\n", SVG_CELLS, size);
    end_look(&view);
}

/* -- Damage -------------------------------------------------------------------------------------------------------- */

static void damage(int fd, unsigned *seed, bool in_header)
{
    uint64_t value = (uint64_t)rand_r(seed) << (rand_r(seed) % 40);
    if (rand_r(seed) % 2)
        value = BASE + (uint64_t)rand_r(seed) % 40 * page;
    off_t place = in_header ? rand_r(seed) % (int)sizeof(struct fz_header)
                            : (off_t)((size_t)rand_r(seed) % 30 * page) + rand_r(seed) % 9 * 8;
    size_t size = (size_t)1 << rand_r(seed) % 4;
    assert_int_equal(pwrite(fd, &value, size, place), size);
}

/* A checksum that is wrong would end most rounds at the door. */
static void fix_checksum(int fd)
{
    struct fz_header header;
    assert_int_equal(pread(fd, &header, sizeof(header), 0), sizeof(header));
    header.checksum = fz_header_checksum(&header);
    assert_int_equal(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
}

static void a_damaged_heap_is_drawn_as_far_as_it_goes(void **state)
{
    (void)state;
    size_t rounds = rounds_of(20000), opened = 0, whole = 0;
    unsigned seed = 1;
    for (size_t round = 0; round < rounds; round++) {
        const struct piece pieces[] = {{4, 4, 1}, {6, 1, 2}, {1, 1, 3}, {9, 8, 4}, {5, 3, 5}};
        make_heap("heap", pieces, COUNT(pieces), 4);
        int fd = open("heap", O_RDWR);
        for (int i = 0; i <= rand_r(&seed) % 3; i++)
            damage(fd, &seed, rand_r(&seed) % 4 == 0);
        fix_checksum(fd);
        close(fd);
        struct view view;
        if (!look_at(&view, "heap", (size_t)rand_r(&seed) % 40 + 1))
            continue;
        check_cells(&view.map);
        draw_all(&view, rand_r(&seed) % 100 + 1, true, true);
        assert_true(picture_size(&view) > 0);
        opened++;
        whole += view.whole;
        end_look(&view);
    }
    print_message("%zu damaged heaps: %zu could be opened, %zu were walked to the end\n", rounds, opened, whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_map_with_a_cell_for_each_page_says_what_filz_mmap_pages_says),
        IN_FRESH_DIRECTORY(a_heap_that_is_reset_while_it_is_walked_is_walked_again),
        IN_FRESH_DIRECTORY(there_are_no_more_cells_than_asked_for_and_each_page_is_in_one),
        IN_FRESH_DIRECTORY(a_cell_is_its_largest_owner_s_and_shows_what_most_of_its_pages_are),
        IN_FRESH_DIRECTORY(holes_of_terabytes_are_passed_over),
        IN_FRESH_DIRECTORY(after_a_chunk_that_can_t_be_one_all_is_unknown_up_to_the_cursor),
        IN_FRESH_DIRECTORY(the_threads_with_most_bytes_have_a_colour_each_and_the_others_share_one),
        IN_FRESH_DIRECTORY(a_thread_keeps_its_colour_while_others_come_if_it_can),
        IN_FRESH_DIRECTORY(of_ten_thousand_threads_no_byte_is_lost),
        IN_FRESH_DIRECTORY(a_drawing_fits_every_screen),
        IN_FRESH_DIRECTORY(a_picture_has_at_most_512_kib),
        IN_FRESH_DIRECTORY(a_damaged_heap_is_drawn_as_far_as_it_goes),
    };
    return cmocka_run_group_tests(tests, find_page_size, NULL);
}
