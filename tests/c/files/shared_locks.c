/* Who may have a shared heap open at the same time: a shared writer and readers, and no other writer and no copy. */
#include "shared_readers.h"

/* -- Who may have it open together --------------------------------------------------------------------------------- */

static int opens_as(unsigned flags)
{
    filz_mmap_close(&heap);
    filz_mmap other = shared_at(PATH);
    other.flags = flags;
    int error = filz_mmap_open(&other);
    return error == 0 ? filz_mmap_close(&other) : error == FILZ_EINUSE ? 2 : 3;
}

static int opens_to_write(void *unused)
{
    (void)unused;
    return opens_as(FILZ_MMAP_PERSISTENT);
}

static int opens_shared(void *unused)
{
    (void)unused;
    return opens_as(FILZ_MMAP_SHARED);
}

static int opens_privately(void *unused)
{
    (void)unused;
    return opens_as(FILZ_MMAP_PRIVATE);
}

static int opens_to_read(void *unused)
{
    (void)unused;
    return opens_as(FILZ_MMAP_READ_ONLY);
}

static void readers_may_open_beside_a_shared_writer_and_nobody_else(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    for (int opened = 0; opened < 2; opened++) {
        assert_int_equal(in_child(opens_to_write, NULL), 2);
        assert_int_equal(in_child(opens_shared, NULL), 2);
        assert_int_equal(in_child(opens_privately, NULL), 2);
        assert_int_equal(in_child(opens_to_read, NULL), 0);
        assert_int_equal(filz_mmap_close(&heap), 0);
        add_nodes(1); /* opened again, and not made */
    }
    filz_mmap second = shared_at(PATH);
    assert_int_equal(filz_mmap_open(&second), FILZ_EINUSE);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(in_child(opens_to_write, NULL), 0);
    assert_int_equal(in_child(opens_privately, NULL), 0);
}

static int shares_after_the_fork(void *unused)
{
    (void)unused;
    for (int i = 0; i < SMALL; i++)
        EXPECT(filz_mmap_alloc(&heap, NODE, 8));
    return opens_as(FILZ_MMAP_SHARED) == 2 ? 0 : 1;
}

static void a_forked_child_has_its_own_heap_and_leaves_the_lock_to_its_parent(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    struct actor reader = open_reader();
    assert_int_equal(in_child(shares_after_the_fork, NULL), 0);
    assert_int_equal(in_child(opens_to_write, NULL), 2);
    assert_int_equal(ask(&reader, COUNT_BLOCKS), SMALL + 1);
    end_reader(&reader);
}

static void a_writer_that_readers_do_not_expect_is_refused_while_they_read(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    assert_int_equal(filz_mmap_close(&heap), 0);
    filz_mmap plain = shared_at(PATH);
    plain.flags = FILZ_MMAP_PERSISTENT;
    assert_int_equal(filz_mmap_open(&plain), 0); /* now the file says that it isn't shared */
    assert_int_equal(filz_mmap_close(&plain), 0);
    struct actor reader = open_reader();
    assert_int_equal(filz_mmap_open(&heap), FILZ_EINUSE);
    end_reader(&reader);
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_int_equal(filz_mmap_close(&heap), 0);
    reader = open_reader();
    heap.capacity *= 2; /* beyond what the reader has mapped */
    assert_int_equal(filz_mmap_open(&heap), FILZ_EINUSE);
    heap.capacity = 0;
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_int_equal(stats_of(&heap).capacity, 16 * MIB);
    end_reader(&reader);
}

static void a_writer_that_falls_back_to_the_checkpoint_is_refused_while_others_read(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    assert_int_equal(filz_mmap_sync(&heap), 0);
    void *later = in_thread(allocate_a_node, &heap);
    assert_int_equal(filz_mmap_set_root(&heap, later), 0);
    size_t offset = (size_t)((uintptr_t)heap.heap->last - heap.heap->backing.base);
    assert_int_equal(filz_mmap_close(&heap), 0);
    write_at(PATH, offset, (char[64]){0}, 64);
    struct actor reader = open_reader();
    assert_int_equal(ask(&reader, WALK), SMALL);
    assert_int_equal(filz_mmap_open(&heap), FILZ_EINUSE);
    assert_int_equal(ask(&reader, WALK), SMALL);
    end_reader(&reader);
    add_nodes(1);
    reader = open_reader();
    assert_int_equal(ask(&reader, WALK), SMALL + 1);
    end_reader(&reader);
}

static void reset_is_refused_while_others_read(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    struct actor reader = open_reader();
    for (int synced = 0; synced < 2; synced++) {
        size_t used = stats_of(&heap).used;
        assert_int_equal(filz_mmap_reset(&heap), EBUSY);
        assert_int_equal(stats_of(&heap).used, used);
        assert_int_equal(ask(&reader, WALK), SMALL);
        assert_int_equal(in_child(opens_to_write, NULL), 2);
        assert_int_equal(in_child(opens_to_read, NULL), 0);
        assert_int_equal(filz_mmap_sync(&heap), 0);
    }
    end_reader(&reader);
    assert_int_equal(filz_mmap_reset(&heap), 0);
    add_nodes(1);
    reader = open_reader();
    assert_int_equal(ask(&reader, WALK), 1);
    assert_int_equal(in_child(opens_to_write, NULL), 2);
    end_reader(&reader);
}

static void publish_over_a_heap_that_is_written_is_refused(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    filz_mmap other = persistent_at("new.filz");
    assert_non_null(lists_of(&other));
    assert_int_equal(filz_mmap_publish(&other, PATH), FILZ_EINUSE);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(filz_mmap_open(&other), 0);
    assert_int_equal(filz_mmap_publish(&other, PATH), 0);
    heap.flags = FILZ_MMAP_READ_ONLY;
    assert_int_equal(filz_mmap_open(&heap), 0);
}

static void a_shared_heap_is_published_like_any_other(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    struct actor reader = open_reader();
    assert_int_equal(filz_mmap_publish(&heap, "other.filz"), 0);
    assert_int_equal(ask(&reader, WALK), SMALL);
    filz_mmap writer = shared_at("other.filz");
    assert_int_equal(filz_mmap_open(&writer), 0);
    struct lists *lists = filz_mmap_root(&writer);
    assert_true(add_node(&writer, lists, 0, NODE) != 0);
    assert_int_equal(ask(&reader, WALK), SMALL + 1);
    assert_int_equal(filz_mmap_close(&writer), 0);
    end_reader(&reader);
}

static void close_truncates_the_unused_end_of_the_file_if_nobody_reads(void **state)
{
    (void)state;
    NEED_SECOND_LOCK;
    assert_non_null(filz_mmap_alloc(&heap, 12 * MIB, 1));
    assert_int_equal(filz_mmap_reset(&heap), 0);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_true(status_of(PATH).st_size < (off_t)(6 * MIB));
}

/* -- Refused ------------------------------------------------------------------------------------------------------- */

static void flags_that_exclude_each_other_are_refused(void **state)
{
    (void)state;
    static const unsigned flags[] = {
        FILZ_MMAP_SHARED | FILZ_MMAP_READ_ONLY,
        FILZ_MMAP_SHARED | FILZ_MMAP_PRIVATE,
        FILZ_MMAP_SHARED | FILZ_MMAP_PRIVATE | FILZ_MMAP_READ_ONLY,
    };
    for (size_t i = 0; i < COUNT(flags); i++) {
        filz_mmap other = shared_at(PATH);
        other.flags = flags[i];
        assert_int_equal(filz_mmap_open(&other), FILZ_EFLAGS);
    }
    filz_mmap unnamed = shared_at(NULL);
    assert_int_equal(filz_mmap_open(&unnamed), FILZ_EFLAGS);
}

static void without_a_second_lock_a_shared_heap_is_refused_and_leaves_no_file(void **state)
{
    (void)state;
    if (!ON_POSIX)
        SKIP("there is one");
    filz_mmap other = shared_at(PATH);
    assert_int_equal(filz_mmap_open(&other), EOPNOTSUPP);
    assert_false(exists(PATH));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SHARED_HEAP(readers_may_open_beside_a_shared_writer_and_nobody_else),
        WITH_SHARED_HEAP(a_forked_child_has_its_own_heap_and_leaves_the_lock_to_its_parent),
        WITH_SHARED_HEAP(a_writer_that_readers_do_not_expect_is_refused_while_they_read),
        WITH_SHARED_HEAP(a_writer_that_falls_back_to_the_checkpoint_is_refused_while_others_read),
        WITH_SHARED_HEAP(reset_is_refused_while_others_read),
        WITH_SHARED_HEAP(publish_over_a_heap_that_is_written_is_refused),
        WITH_SHARED_HEAP(a_shared_heap_is_published_like_any_other),
        WITH_SHARED_HEAP(close_truncates_the_unused_end_of_the_file_if_nobody_reads),
        IN_FRESH_DIRECTORY(flags_that_exclude_each_other_are_refused),
        IN_FRESH_DIRECTORY(without_a_second_lock_a_shared_heap_is_refused_and_leaves_no_file),
    };
    return cmocka_run_group_tests_name("shared_locks", tests, NULL, NULL);
}
