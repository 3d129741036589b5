/* The root of a heap: where it may point, what it is in the next run, and what a thread that sees it can read. */
#include "persistent.h"
#include "threads.h"

#define PATH "persistent.filz"

static void the_root_must_be_in_a_chunk(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH), other = persistent_at("other.filz");
    char *block = filz_mmap_alloc(&heap, 100, 1);
    int local;
    assert_null(filz_mmap_root(&heap));
    assert_int_equal(filz_mmap_set_root(&heap, block), 0);
    char *base = (char *)heap.heap->header;
    size_t page = stats_of(&heap).page_size;
    const void *const wrong[] = {&local,
                                 (void *)1,
                                 base - 1,
                                 base,
                                 base + page - 1,
                                 base + stats_of(&heap).in_chunks,
                                 base + stats_of(&heap).capacity - 1,
                                 base + stats_of(&heap).capacity,
                                 (void *)UINTPTR_MAX,
                                 filz_mmap_alloc(&other, 1, 1)};
    size_t refused = 0;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        int error = filz_mmap_set_root(&heap, wrong[i]);
        if (error != FILZ_EADDRESS)
            print_message("the root may be %p, %td bytes from the heap's base: %d\n", wrong[i], (char *)wrong[i] - base,
                          error);
        refused += error == FILZ_EADDRESS && filz_mmap_root(&heap) == block;
        assert_int_equal(filz_mmap_set_root(&heap, block), 0);
    }
    assert_int_equal(refused, COUNT(wrong));
    assert_int_equal(filz_mmap_close(&other), 0);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void the_root_may_point_into_a_block_or_be_NULL(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    char *block = filz_mmap_alloc(&heap, 100, 1);
    char *const roots[] = {block, block + 99, NULL, block + 1};
    for (size_t i = 0; i < COUNT(roots); i++) {
        assert_int_equal(filz_mmap_set_root(&heap, roots[i]), 0);
        assert_ptr_equal(filz_mmap_root(&heap), roots[i]);
        assert_int_equal(filz_mmap_close(&heap), 0);
        assert_int_equal(filz_mmap_open(&heap), 0);
        assert_ptr_equal(filz_mmap_root(&heap), roots[i]);
    }
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_closed_heap_has_no_root_and_nothing_to_sync(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    for (int i = 0; i < 2; i++) {
        assert_null(filz_mmap_root(&heap));
        assert_int_equal(filz_mmap_set_root(&heap, NULL), FILZ_ECLOSED);
        assert_int_equal(filz_mmap_set_root(&heap, &heap), FILZ_ECLOSED);
        assert_int_equal(filz_mmap_sync(&heap), FILZ_ECLOSED);
        assert_false(exists(PATH) && i == 0);
        assert_int_equal(filz_mmap_open(&heap), 0);
        assert_int_equal(filz_mmap_sync(&heap), 0);
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}

static void an_unnamed_heap_has_a_root_but_nothing_to_sync(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    void *block = filz_mmap_alloc(&heap, 100, 1);
    assert_int_equal(filz_mmap_set_root(&heap, block), 0);
    assert_ptr_equal(filz_mmap_root(&heap), block);
    assert_int_equal(filz_mmap_sync(&heap), FILZ_EUNNAMED);
    assert_non_null(strstr(filz_error_text(FILZ_EUNNAMED), "has no name"));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void *wait_for_root(void *heap)
{
    const struct lists *lists;
    while ((lists = filz_mmap_root(heap)) == NULL)
        sched_yield();
    return walk_list(heap, lists, 0) == 10 ? NULL : heap;
}

/* ThreadSanitizer would report a race if the root did not order the two threads. */
static void a_thread_that_sees_the_root_sees_what_was_written_before(void **state)
{
    (void)state;
    size_t rounds = rounds_of(200);
    filz_mmap heap = persistent_at(PATH);
    for (size_t round = 0; round < rounds; round++) {
        pthread_t thread;
        void *failed;
        assert_int_equal(filz_mmap_set_root(&heap, NULL), round == 0 ? FILZ_ECLOSED : 0);
        assert_int_equal(pthread_create(&thread, NULL, wait_for_root, &heap), 0);
        struct lists *lists = filz_mmap_alloc_zeroed(&heap, sizeof(*lists), 8);
        for (int i = 0; i < 10; i++)
            assert_true(add_node(&heap, lists, 0, 100) > 0);
        assert_int_equal(filz_mmap_set_root(&heap, lists), 0);
        assert_int_equal(pthread_join(thread, &failed), 0);
        assert_null(failed);
    }
    print_message("%zu roots set and seen by another thread\n", rounds);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(the_root_must_be_in_a_chunk),
        IN_FRESH_DIRECTORY(the_root_may_point_into_a_block_or_be_NULL),
        IN_FRESH_DIRECTORY(a_closed_heap_has_no_root_and_nothing_to_sync),
        IN_FRESH_DIRECTORY(an_unnamed_heap_has_a_root_but_nothing_to_sync),
        IN_FRESH_DIRECTORY(a_thread_that_sees_the_root_sees_what_was_written_before),
    };
    return cmocka_run_group_tests_name("persistent_root", tests, NULL, NULL);
}
