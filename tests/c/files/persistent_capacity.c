/* The capacity of a persistent heap: each run may ask for another, but for none smaller than what is in use. */
#include "refused_heap.h"

static size_t capacity_with(size_t asked)
{
    filz_mmap heap = persistent_at(PATH);
    heap.capacity = asked;
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_int_equal(walk_list(&heap, filz_mmap_root(&heap), 0), 100);
    size_t capacity = stats_of(&heap).capacity;
    assert_int_equal(filz_mmap_close(&heap), 0);
    return capacity;
}

static void the_capacity_may_change_and_0_means_that_of_the_last_run(void **state)
{
    (void)state;
    make_heap(100);
    assert_int_equal(capacity_with(0), 4 * MIB);
    assert_int_equal(capacity_with(16 * MIB), 16 * MIB);
    assert_int_equal(capacity_with(0), 16 * MIB);
    assert_int_equal(capacity_with(MIB), MIB);
    assert_int_equal(capacity_with(0), MIB);
}

static void a_larger_capacity_can_be_filled(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    heap.capacity = MIB;
    struct lists *lists = lists_of(&heap);
    while (add_node(&heap, lists, 0, 5000) > 0)
        continue;
    assert_int_equal(filz_mmap_close(&heap), 0);
    heap.capacity = 8 * MIB;
    int64_t count = walk_list(&heap, lists_of(&heap), 0);
    assert_in_range(count, MIB / 5000 / 2, MIB / 5000);
    while (add_node(&heap, lists, 0, 5000) > 0)
        continue;
    assert_in_range(walk_list(&heap, lists, 0), 8 * MIB / 5000 / 2, 8 * MIB / 5000);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* The file is longer than the capacity, but what is in use is not. */
static void a_capacity_smaller_than_the_file_holds_what_is_in_use(void **state)
{
    (void)state;
    make_heap(100);
    assert_int_equal(truncate(PATH, 8 * (off_t)MIB), 0);
    assert_int_equal(capacity_with(MIB), MIB);
    filz_mmap heap = persistent_at(PATH);
    heap.capacity = MIB;
    assert_non_null(filz_mmap_alloc(&heap, MIB / 2, 1));
    assert_null(filz_mmap_alloc(&heap, MIB / 2, 1));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(capacity_with(4 * MIB), 4 * MIB);
}

/* -- Refused capacities -------------------------------------------------------------------------------------------- */

static void a_capacity_smaller_than_what_is_in_use_is_refused(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    size_t page = (size_t)header_of(PATH).page_size;
    heap.capacity = header_of(PATH).cursor;
    assert_all_there(heap);
    heap.capacity -= page;
    assert_refused(heap, FILZ_ETOOSMALL);
    heap.capacity = 2 * page;
    assert_refused(heap, FILZ_ETOOSMALL);
    assert_all_there(persistent_at(PATH));
}

static void a_capacity_that_does_not_fit_the_address_space_leaves_the_file_as_it_was(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    struct snapshot before = snapshot_of(PATH);
    for (int i = 0; i < 2; i++) {
        heap.capacity = SIZE_MAX >> i;
        assert_int_equal(filz_mmap_open(&heap), FILZ_ECAPACITY);
    }
    assert_as_it_was(PATH, before);
    assert_all_there(persistent_at(PATH));
}

#if SIZE_MAX > UINT32_MAX
static void a_new_heap_that_does_not_fit_where_persistent_ones_go_is_refused(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at("new.filz");
    heap.capacity = (size_t)20 << 40;
    assert_int_equal(filz_mmap_open(&heap), ENOMEM);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(the_capacity_may_change_and_0_means_that_of_the_last_run),
        IN_FRESH_DIRECTORY(a_larger_capacity_can_be_filled),
        IN_FRESH_DIRECTORY(a_capacity_smaller_than_the_file_holds_what_is_in_use),
        WITH_HEAP(a_capacity_smaller_than_what_is_in_use_is_refused),
        WITH_HEAP(a_capacity_that_does_not_fit_the_address_space_leaves_the_file_as_it_was),
#if SIZE_MAX > UINT32_MAX
        WITH_HEAP(a_new_heap_that_does_not_fit_where_persistent_ones_go_is_refused),
#endif
    };
    return cmocka_run_group_tests_name("persistent_capacity", tests, NULL, NULL);
}
