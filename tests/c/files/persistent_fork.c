/* Fork in a process that has a persistent heap: the file stays the parent's, and the child never changes it. */
#include "forks.h"
#include "list_heap.h"

static int change_in_child(void *context)
{
    filz_mmap *heap = context;
    struct lists *lists = filz_mmap_root(heap);
    EXPECT(walk_list(heap, lists, 0) == 10);
    lists->newest[0]->number = 12345;
    for (int i = 0; i < 1000; i++)
        EXPECT(add_node(heap, lists, 1, 100) > 0);
    EXPECT(filz_mmap_sync(heap) == FILZ_EUNNAMED);
    EXPECT(filz_mmap_set_root(heap, lists->newest[1]) == 0);
    EXPECT(filz_mmap_root(heap) == lists->newest[1]);
    filz_mmap second = persistent_at(PATH);
    EXPECT(filz_mmap_open(&second) == FILZ_EINUSE);
    return filz_mmap_close(heap);
}

/* The child changes its heap, then the parent changes its own, then the next run opens the file. */
static void change_in_both(enum way way)
{
    filz_mmap heap = persistent_at(PATH);
    struct lists *lists = lists_of(&heap);
    for (int i = 0; i < 10; i++)
        assert_true(add_node(&heap, lists, 0, 100) > 0);
    pid_t child = begin_child_with(way, change_in_child, &heap);
    assert_int_equal(end_child(child), 0);
    assert_int_equal(walk_list(&heap, lists, 0), 10);
    assert_int_equal(walk_list(&heap, lists, 1), 0);
    for (uint64_t i = 1; i <= 1000; i++)
        assert_int_equal(add_node(&heap, lists, 2, 100), i);
    assert_int_equal(filz_mmap_close(&heap), 0);
    heap = open_again();
    assert_ptr_equal(filz_mmap_root(&heap), lists);
    assert_int_equal(walk_list(&heap, lists, 0), 10);
    assert_int_equal(walk_list(&heap, lists, 1), 0);
    assert_int_equal(walk_list(&heap, lists, 2), 1000);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(unlink(PATH), 0);
}

static void the_file_has_the_parents_changes_and_none_of_the_childs(void **state)
{
    (void)state;
    for (enum way way = 0; way < WAYS; way++)
        change_in_both(way);
}

/* A daemon closes every descriptor after its fork. */
static int close_all_and_grow(void *heap)
{
    for (int fd = 3; fd < 64; fd++)
        close(fd);
    return allocate_and_write(heap);
}

static void a_child_that_closes_every_descriptor_can_still_allocate(void **state)
{
    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        filz_mmap heap = persistent_at(PATH);
        assert_non_null(lists_of(&heap));
        assert_int_equal(end_child(begin_child_with(way, close_all_and_grow, &heap)), 0);
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(the_file_has_the_parents_changes_and_none_of_the_childs),
        IN_FRESH_DIRECTORY(a_child_that_closes_every_descriptor_can_still_allocate),
    };
    return cmocka_run_group_tests_name("persistent_fork", tests, NULL, NULL);
}
