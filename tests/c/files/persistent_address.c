/* A persistent heap has the same address in each process that opens it, so its pointers are valid there. Other heaps
 * and mappings are elsewhere, or opening it is an error. */
#include "refused_heap.h"

/* -- This program again, at addresses of its own ------------------------------------------------------------------- */

/* Opens the heap at `path`, checks that its lists are whole, adds a node to each, and exits with the heap open. */
static int extend_lists(const char *path)
{
    static filz_mmap heap;
    heap = persistent_at(path);
    EXPECT(filz_mmap_open(&heap) == 0);
    struct lists *lists = lists_of(&heap);
    EXPECT(lists);
    for (int list = 0; list < LISTS; list++) {
        int64_t count = walk_list(&heap, lists, list);
        EXPECT(count >= 0 && count == walk_list(&heap, lists, 0) - (list > 0));
        EXPECT(add_node(&heap, lists, list, 50 + (size_t)list * 100) == (uint64_t)count + 1);
    }
    return 0;
}

static void pointers_are_valid_in_each_process_that_opens_the_heap(void **state)
{
    (void)state;
    size_t runs = rounds_of(100);
    for (size_t i = 0; i < runs; i++) {
        int status = in_child(start_this_program, PATH);
        if (status == SKIPPED)
            SKIP("a program can't be started here");
        assert_int_equal(status, 0);
    }
    filz_mmap heap = persistent_at(PATH);
    assert_int_equal(filz_mmap_open(&heap), 0);
    for (int list = 0; list < LISTS; list++)
        assert_int_equal(walk_list(&heap, filz_mmap_root(&heap), list), runs);
    assert_int_equal(filz_mmap_close(&heap), 0);
    print_message("%zu programs opened it one after the other\n", runs);
}

/* Both are at random addresses. If they overlap, the second one is made again. */
static void heaps_of_two_programs_can_be_open_in_one(void **state)
{
    (void)state;
    filz_mmap first = persistent_at("first.filz"), second = persistent_at("second.filz");
    if (in_child(start_this_program, "first.filz") == SKIPPED)
        SKIP("a program can't be started here");
    assert_int_equal(filz_mmap_open(&first), 0);
    int error = FILZ_EBASE;
    for (int tries = 0; tries < 10 && error == FILZ_EBASE; tries++) {
        unlink("second.filz");
        assert_int_equal(in_child(start_this_program, "second.filz"), 0);
        error = filz_mmap_open(&second);
    }
    assert_int_equal(error, 0);
    assert_int_equal(walk_list(&first, filz_mmap_root(&first), 0), 1);
    assert_int_equal(walk_list(&second, filz_mmap_root(&second), 0), 1);
    assert_false(filz_mmap_owns(&first, filz_mmap_root(&second)));
    assert_int_equal(filz_mmap_close(&first), 0);
    assert_int_equal(walk_list(&second, filz_mmap_root(&second), LISTS - 1), 1);
    assert_int_equal(filz_mmap_close(&second), 0);
}

/* -- Two heaps, and one at a random address ------------------------------------------------------------------------ */

static void two_persistent_heaps_in_one_process_stay_apart(void **state)
{
    (void)state;
    filz_mmap heaps[2] = {persistent_at("first.filz"), persistent_at("second.filz")};
    for (uint64_t run = 1; run <= 5; run++) {
        for (size_t i = 0; i < 200; i++)
            for (int j = 0; j < 2; j++)
                assert_int_equal(add_node(&heaps[j], lists_of(&heaps[j]), j, 100), (run - 1) * 200 + i + 1);
        for (int j = 0; j < 2; j++) {
            assert_int_equal(walk_list(&heaps[j], lists_of(&heaps[j]), j), run * 200);
            assert_int_equal(walk_list(&heaps[j], lists_of(&heaps[j]), 1 - j), 0);
            assert_int_equal(filz_mmap_close(&heaps[j]), 0);
        }
    }
}

#if SIZE_MAX > UINT32_MAX
static uintptr_t distance(uintptr_t a, uintptr_t b)
{
    return a > b ? a - b : b - a;
}

/* The kernel moves mappings by up to 32 random bits, which is 16 TiB. It places the program a third of the address
 * space away. */
static void a_new_heap_is_where_the_kernel_maps_nothing(void **state)
{
    (void)state;
    uintptr_t tebibyte = (uintptr_t)1 << 40, stack = (uintptr_t)&tebibyte;
    uintptr_t program = (uintptr_t)a_new_heap_is_where_the_kernel_maps_nothing;
    if (SANITIZED || stack < 64 * tebibyte)
        SKIP("the address space is smaller, or most of it a sanitizer's");
    for (int i = 0; i < 100; i++) {
        filz_mmap heap = persistent_at("new.filz");
        uintptr_t block = (uintptr_t)filz_mmap_alloc(&heap, 1, 1);
        assert_true(distance(block, stack) > 16 * tebibyte);
        assert_true(distance(block, program) > 4 * tebibyte);
        assert_int_equal(filz_mmap_close(&heap), 0);
        assert_int_equal(remove("new.filz"), 0);
    }
}
#endif

/* -- Another mapping at its address -------------------------------------------------------------------------------- */

static void another_mapping_at_its_address_is_an_error_and_left_alone(void **state)
{
    (void)state;
    struct fz_header header = header_of(PATH);
    char *base = (char *)(uintptr_t)header.base;
    size_t page = (size_t)header.page_size;
    const ptrdiff_t places[] = {0, (ptrdiff_t)page, 2 * (ptrdiff_t)MIB, (ptrdiff_t)(4 * MIB - page)};
    for (size_t i = 0; i < COUNT(places); i++) {
        char *taken = mmap(base + places[i], page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_ptr_equal(taken, base + places[i]);
        memset(taken, 't', page);
        assert_refused(persistent_at(PATH), FILZ_EBASE);
        assert_true(is_filled(taken, 't', page));
        assert_int_equal(munmap(taken, page), 0);
    }
    assert_all_there(persistent_at(PATH));
}

/* -- The base, which the program chooses --------------------------------------------------------------------------- */

static void a_new_heap_is_placed_at_its_base_and_stays_there(void **state)
{
    (void)state;
    filz_mmap first = persistent_at("first.filz");
    assert_int_equal(filz_mmap_open(&first), 0);
    uintptr_t end = first.heap->backing.base + 64 * MIB;
    filz_mmap second = persistent_at("second.filz"), third = persistent_at("third.filz");
    second.base = end - 1;
    assert_int_equal(filz_mmap_open(&second), 0);
    assert_int_equal(second.heap->backing.base, end);
    third.base = end;
    assert_int_equal(filz_mmap_open(&third), FILZ_EBASE);
    assert_false(exists("third.filz"));
    assert_int_equal(filz_mmap_close(&second), 0);
    second.base = end + 64 * MIB;
    assert_int_equal(filz_mmap_open(&second), 0);
    assert_int_equal(second.heap->backing.base, end);
    assert_int_equal(filz_mmap_close(&second), 0);
    assert_int_equal(filz_mmap_close(&first), 0);
}

static void a_base_after_which_there_are_too_few_addresses_is_refused(void **state)
{
    (void)state;
    static const uintptr_t bases[] = {1, UINTPTR_MAX / 2 + 1 + (UINTPTR_MAX >> 2), UINTPTR_MAX - 5000, UINTPTR_MAX};
    for (size_t i = 0; i < COUNT(bases); i++) {
        filz_mmap heap = persistent_at("heap.filz");
        heap.capacity = 0;
        heap.base = bases[i];
        int error = filz_mmap_open(&heap);
        if (error == 0) { /* on 32 bits, there is room */
            assert_true(heap.heap->backing.base >= bases[i] && filz_mmap_close(&heap) == 0);
            assert_int_equal(filz_mmap_open(&heap) | filz_mmap_close(&heap) | remove("heap.filz"), 0);
            continue;
        }
        assert_int_equal(error, FILZ_EBASE);
        assert_false(exists("heap.filz"));
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return extend_lists(argv[1]);
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(pointers_are_valid_in_each_process_that_opens_the_heap),
        IN_FRESH_DIRECTORY(heaps_of_two_programs_can_be_open_in_one),
        IN_FRESH_DIRECTORY(two_persistent_heaps_in_one_process_stay_apart),
#if SIZE_MAX > UINT32_MAX
        IN_FRESH_DIRECTORY(a_new_heap_is_where_the_kernel_maps_nothing),
#endif
        WITH_HEAP(another_mapping_at_its_address_is_an_error_and_left_alone),
        IN_FRESH_DIRECTORY(a_new_heap_is_placed_at_its_base_and_stays_there),
        IN_FRESH_DIRECTORY(a_base_after_which_there_are_too_few_addresses_is_refused),
    };
    return cmocka_run_group_tests_name("persistent_address", tests, NULL, NULL);
}
