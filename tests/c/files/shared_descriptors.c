/* The program has closed the descriptor of a shared heap: writers, readers and forked children go on. */
#include "descriptors.h"
#include "shared_readers.h"

static int reset_without_descriptors(void *unused)
{
    (void)unused;
    close_descriptors(256);
    EXPECT(filz_mmap_reset(&heap) == 0);
    return 0;
}

static void a_forked_childs_own_heap_can_be_reset_without_descriptors(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    filz_mmap plain = persistent_at("plain.filz");
    assert_non_null(lists_of(&plain));
    assert_int_equal(in_child(reset_without_descriptors, NULL), 0);
    filz_mmap_close(&plain);
}

static void a_writer_without_its_descriptor_can_be_reset(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    close(descriptor_of(&heap));
    assert_int_equal(filz_mmap_reset(&heap), 0);
}

/* Its mapping keeps the first open file, and that its locks. */
static void a_writer_that_opened_its_file_again_can_be_reset(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    close(descriptor_of(&heap));
    assert_non_null(filz_mmap_alloc(&heap, 4 * MIB, 1)); /* opens it again */
    assert_true(fcntl(descriptor_of(&heap), F_GETFD) >= 0);
    assert_int_equal(filz_mmap_reset(&heap), 0);
}

static void a_reader_without_its_descriptor_counts_as_before(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    struct actor reader = open_reader();
    assert_int_equal(ask(&reader, CLOSE_DESCRIPTOR), 0);
    for (int i = 0; i < 10; i++)
        assert_non_null(in_thread(allocate_a_node, &heap));
    assert_non_null(filz_mmap_alloc(&heap, MIB, 1));
    assert_int_equal(ask(&reader, COUNT_BLOCKS), stats_of(&heap).blocks);
    end_reader(&reader);
}

static void a_plain_heap_that_opened_its_file_again_can_be_published(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    filz_mmap plain = persistent_at("plain.filz");
    assert_non_null(lists_of(&plain));
    close(descriptor_of(&plain));
    assert_non_null(filz_mmap_alloc(&plain, 3 * MIB, 1)); /* opens it again */
    assert_int_equal(filz_mmap_publish(&plain, "other.filz"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SHARED_HEAP(a_forked_childs_own_heap_can_be_reset_without_descriptors),
        WITH_SHARED_HEAP(a_writer_without_its_descriptor_can_be_reset),
        WITH_SHARED_HEAP(a_writer_that_opened_its_file_again_can_be_reset),
        WITH_SHARED_HEAP(a_reader_without_its_descriptor_counts_as_before),
        WITH_SHARED_HEAP(a_plain_heap_that_opened_its_file_again_can_be_published),
    };
    return cmocka_run_group_tests_name("shared_descriptors", tests, NULL, NULL);
}
