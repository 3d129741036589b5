/* The cells of the page map: against filz_mmap_pages, of a heap that changes meanwhile, and of files made here. */
#include "made_maps.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_map_with_a_cell_for_each_page_says_what_filz_mmap_pages_says),
        IN_FRESH_DIRECTORY(a_heap_that_is_reset_while_it_is_walked_is_walked_again),
        IN_FRESH_DIRECTORY(there_are_no_more_cells_than_asked_for_and_each_page_is_in_one),
        IN_FRESH_DIRECTORY(a_cell_is_its_largest_owner_s_and_shows_what_most_of_its_pages_are),
        IN_FRESH_DIRECTORY(holes_of_terabytes_are_passed_over),
        IN_FRESH_DIRECTORY(after_a_chunk_that_can_t_be_one_all_is_unknown_up_to_the_cursor),
    };
    return cmocka_run_group_tests(tests, find_page_size, NULL);
}
