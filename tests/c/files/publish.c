/* A heap is built beside another and takes its name: whoever reads goes on, and whoever opens finds one or the other.
 */
#include "persistent.h"

#include "faults.h"

#define PATH "heap.filz"
#define BESIDE "new.filz"

/* Its only list has so many nodes. */
static int build(filz_mmap *heap, size_t nodes)
{
    struct lists *lists = lists_of(heap);
    EXPECT(lists != NULL);
    for (size_t i = 0; i < nodes; i++)
        EXPECT(add_node(heap, lists, 0, 100) != 0);
    return 0;
}

static int build_and_publish(size_t nodes)
{
    filz_mmap heap = persistent_at(BESIDE);
    EXPECT(build(&heap, nodes) == 0);
    EXPECT(filz_mmap_is_current(&heap));
    EXPECT(filz_mmap_publish(&heap, PATH) == 0);
    EXPECT(filz_mmap_root(&heap) == NULL && filz_mmap_publish(&heap, PATH) == FILZ_ECLOSED);
    EXPECT(!exists(BESIDE) && exists(PATH));
    return 0;
}

static int64_t nodes_of(const filz_mmap *heap)
{
    const struct lists *lists = filz_mmap_root(heap);
    return lists != NULL ? walk_list(heap, lists, 0) : -1;
}

static void readers_of_the_old_heap_go_on_and_learn_of_the_new_one(void **state)
{
    (void)state;
    assert_int_equal(build_and_publish(10), 0);
    filz_mmap old = reader_of(PATH), new = reader_of(PATH);
    assert_int_equal(filz_mmap_open(&old), 0);
    assert_true(filz_mmap_is_current(&old));
    assert_int_equal(build_and_publish(20), 0);
    assert_false(filz_mmap_is_current(&old));
    assert_int_equal(nodes_of(&old), 10);
    assert_int_equal(filz_mmap_open(&new), 0);
    assert_true(filz_mmap_is_current(&new));
    assert_int_equal(nodes_of(&new), 20);
    assert_int_equal(nodes_of(&old), 10);
    assert_int_equal(filz_mmap_close(&old) | filz_mmap_close(&new), 0);
    assert_false(filz_mmap_is_current(&old));
    assert_int_equal(entries_in("."), 1);
}

static void assert_not_published(filz_mmap *heap, const char *path, int expected)
{
    assert_int_equal(filz_mmap_publish(heap, path), expected);
    assert_null(filz_mmap_root(heap));
    assert_int_equal(filz_mmap_open(heap), 0); /* again, by its old name */
    assert_int_equal(nodes_of(heap), 5);
}

static void what_is_not_a_heap_or_is_being_written_is_not_replaced(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(BESIDE), writer = persistent_at(PATH);
    assert_int_equal(build(&heap, 5), 0);
    write_file("foreign", FOREIGN);
    assert_not_published(&heap, "foreign", FILZ_ENOTHEAP);
    assert_int_equal(status_of("foreign").st_size, strlen(FOREIGN));
    assert_int_equal(filz_mmap_open(&writer), 0);
    assert_not_published(&heap, PATH, FILZ_EINUSE);
    assert_int_equal(filz_mmap_close(&writer), 0);
    assert_not_published(&heap, "missing/heap.filz", ENOENT);
    assert_int_equal(mkdir("directory", 0700), 0);
    assert_not_published(&heap, "directory", FILZ_ENOTFILE);
    assert_int_equal(symlink(PATH, "link"), 0);
    assert_not_published(&heap, "link", ELOOP);
    assert_int_equal(filz_mmap_publish(&heap, PATH), 0);
}

static void only_a_heap_with_a_name_that_may_be_written_is_published(void **state)
{
    (void)state;
    assert_int_equal(build_and_publish(3), 0);
    filz_mmap unnamed = {.capacity = MIB}, reader = reader_of(PATH);
    assert_int_equal(filz_mmap_open(&unnamed) | filz_mmap_open(&reader), 0);
    assert_false(filz_mmap_is_current(&unnamed));
    assert_int_equal(filz_mmap_publish(&unnamed, "other.filz"), FILZ_EUNNAMED);
    assert_int_equal(filz_mmap_publish(&reader, "other.filz"), EROFS);
    assert_false(exists("other.filz"));
    assert_int_equal(filz_mmap_close(&unnamed) | filz_mmap_close(&reader), 0);
}

/* The heap stays open: its blocks are nowhere else. */
static void a_heap_whose_name_is_gone_or_another_files_is_not_published(void **state)
{
    (void)state;
    assert_int_equal(build_and_publish(3), 0);
    filz_mmap heap = persistent_at(BESIDE);
    assert_int_equal(build(&heap, 5), 0);
    assert_int_equal(rename(BESIDE, "moved"), 0);
    assert_int_equal(filz_mmap_publish(&heap, PATH), FILZ_EUNNAMED);
    write_file(BESIDE, FOREIGN);
    assert_int_equal(filz_mmap_publish(&heap, PATH), FILZ_EUNNAMED);
    assert_int_equal(status_of(BESIDE).st_size, strlen(FOREIGN));
    assert_int_equal(nodes_of(&heap), 5);
    filz_mmap reader = reader_of(PATH);
    assert_int_equal(filz_mmap_open(&reader), 0);
    assert_int_equal(nodes_of(&reader), 3);
    assert_int_equal(filz_mmap_close(&reader), 0);
    assert_int_equal(rename("moved", BESIDE), 0);
    assert_int_equal(filz_mmap_publish(&heap, PATH), 0);
}

enum { PUBLISHED = 10, REFUSED };

/* In a process of its own: what a failed fstat(2) or fcntl(2) leaves open has the lock. */
static int publish_with(void *fault)
{
    filz_mmap heap = persistent_at(BESIDE);
    EXPECT(filz_mmap_open(&heap) == 0);
    faults->owner = getpid();
    faults->calls[FAULTS_PARENT] = 0;
    faults->fault = *(struct fault *)fault;
    faults_on = true;
    int error = filz_mmap_publish(&heap, PATH);
    faults_on = false;
    EXPECT(error == 0 || error == EIO || error == EBADF || error == FILZ_EUNNAMED);
    EXPECT(exists(BESIDE) + exists(PATH) == 1 && (error != 0 || exists(PATH)));
    EXPECT(filz_mmap_close(&heap) == 0);
    EXPECT(!exists(PATH) || rename(PATH, BESIDE) == 0);
    return error == 0 ? PUBLISHED : REFUSED;
}

static void when_a_call_fails_the_heap_has_one_name_or_the_other(void **state)
{
    (void)state;
    static const struct faults_call *trace[FAULTS_TRACE_MAX];
    filz_mmap heap = persistent_at(BESIDE);
    faults = share_with_children(sizeof(*faults));
    assert_non_null(faults);
    assert_int_equal(build(&heap, 7) | filz_mmap_close(&heap), 0);
    assert_int_equal(in_child(publish_with, &(struct fault){.call = NULL}), PUBLISHED);
    int calls = faults->calls[FAULTS_PARENT], refused = 0;
    memcpy(trace, faults->trace[FAULTS_PARENT], sizeof(trace));
    for (int i = 0; i < calls; i++) {
        int status = in_child(publish_with, &(struct fault){.call = trace[i], .index = i, .error = EIO});
        assert_in_range(status, PUBLISHED, REFUSED);
        refused += status == REFUSED;
    }
    print_message("%d of %d calls are needed\n", refused, calls);
    assert_true(refused >= 6);
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_int_equal(nodes_of(&heap), 7);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* -- A builder and its readers ------------------------------------------------------------------------------------- */

enum { WORKERS = 8 };

/* What it sees never gets older. */
static int answer(void *stop)
{
    int64_t before = 0;
    while (!__atomic_load_n((int *)stop, __ATOMIC_RELAXED)) {
        filz_mmap heap = reader_of(PATH);
        EXPECT(filz_mmap_open(&heap) == 0);
        int64_t nodes = nodes_of(&heap);
        EXPECT(nodes >= before && nodes > 0);
        before = nodes;
        do
            EXPECT(nodes_of(&heap) == nodes);
        while (filz_mmap_is_current(&heap) && !__atomic_load_n((int *)stop, __ATOMIC_RELAXED));
        EXPECT(filz_mmap_close(&heap) == 0);
    }
    return 0;
}

static void workers_read_on_while_a_builder_replaces_the_heap(void **state)
{
    (void)state;
    pid_t workers[WORKERS];
    int *stop = share_with_children(sizeof(*stop));
    size_t rounds = rounds_of(1000);
    assert_non_null(stop);
    assert_int_equal(build_and_publish(1), 0);
    for (size_t i = 0; i < WORKERS; i++)
        workers[i] = begin_child(answer, stop);
    int failed = 0;
    for (size_t i = 0; i < rounds && failed == 0; i++)
        failed = build_and_publish(i + 2);
    __atomic_store_n(stop, 1, __ATOMIC_RELAXED);
    for (size_t i = 0; i < WORKERS; i++)
        assert_int_equal(end_child(workers[i]), 0);
    assert_int_equal(failed, 0);
    print_message("%zu heaps published under %d readers\n", rounds, WORKERS);
    munmap(stop, sizeof(*stop));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(readers_of_the_old_heap_go_on_and_learn_of_the_new_one),
        IN_FRESH_DIRECTORY(what_is_not_a_heap_or_is_being_written_is_not_replaced),
        IN_FRESH_DIRECTORY(only_a_heap_with_a_name_that_may_be_written_is_published),
        IN_FRESH_DIRECTORY(a_heap_whose_name_is_gone_or_another_files_is_not_published),
        IN_FRESH_DIRECTORY(when_a_call_fails_the_heap_has_one_name_or_the_other),
        IN_FRESH_DIRECTORY(workers_read_on_while_a_builder_replaces_the_heap),
    };
    return cmocka_run_group_tests_name("publish", tests, NULL, NULL);
}
