/* After fork(2), parent and child each have the blocks that there were, and don't see what the other writes; after
 * _Fork and clone(2), the parent's blocks stay as they are. Threads that allocate meanwhile are in fork_threads.c. */
#include "clones.h"
#include "forks.h"
#include "threads.h"

/* -- Parent and child ---------------------------------------------------------------------------------------------- */

struct family {
    enum way way;
    filz_mmap *heap;
    char *block;
    size_t size;
    int generations;
    int to_child[2], to_parent[2];
};

static int expect_byte(int fd)
{
    char byte;
    return read(fd, &byte, 1) == 1 ? 0 : 1;
}

static int send_byte(int fd)
{
    return write(fd, "", 1) == 1 ? 0 : 1;
}

/* Writes, waits for the parent to write, looks again, and goes on allocating. */
static int live_on_as_a_child(void *context)
{
    struct family *family = context;
    filz_mmap_info before, after;
    EXPECT(heap_came(family->way, family->heap) == 0);
    EXPECT(filz_mmap_stats(family->heap, &before) == 0);
    EXPECT(is_filled(family->block, 'p', family->size));
    memset(family->block, 'c', family->size / 2);
    EXPECT(send_byte(family->to_parent[1]) == 0);
    EXPECT(expect_byte(family->to_child[0]) == 0);
    EXPECT(is_filled(family->block, 'c', family->size / 2));
    char *more = filz_mmap_alloc_zeroed(family->heap, family->size, 1);
    EXPECT(more && is_filled(more, 0, family->size));
    memset(more, 'm', family->size);
    char *grown = filz_mmap_realloc(family->heap, family->block, family->size, 1, 2 * family->size);
    EXPECT(grown && is_filled(grown, 'c', family->size / 2));
    EXPECT(is_filled(more, 'm', family->size));
    EXPECT(filz_mmap_stats(family->heap, &after) == 0);
    EXPECT(after.blocks == before.blocks + 1 + (grown != family->block)); /* the parent's don't count */
    return 0;
}

/* Forks with a heap in use; both sides write and allocate. Returns the child's exit status. */
static int fork_a_heap(enum way way, filz_mmap *heap, size_t size)
{
    struct family family = {.way = way, .heap = heap, .size = size, .block = filz_mmap_alloc(heap, size, 1)};
    assert_non_null(family.block);
    memset(family.block, 'p', size);
    assert_int_equal(pipe(family.to_child), 0);
    assert_int_equal(pipe(family.to_parent), 0);
    pid_t child = begin_child_with(way, live_on_as_a_child, &family);
    close(family.to_parent[1]);
    close(family.to_child[0]);
    int answered = expect_byte(family.to_parent[0]);
    bool untouched = is_filled(family.block, 'p', size);
    memset(family.block, 'q', size / 2); /* the half that the child wrote too */
    char *more = filz_mmap_alloc(heap, size, 1);
    assert_non_null(more);
    memset(more, 'q', size);
    if (answered == 0)
        send_byte(family.to_child[1]);
    int status = end_child(child);
    close(family.to_child[1]);
    close(family.to_parent[0]);
    assert_int_equal(answered, 0);
    assert_true(untouched);
    assert_true(is_filled(family.block, 'q', size / 2));
    assert_true(is_filled(family.block + size / 2, 'p', size - size / 2));
    assert_true(is_filled(more, 'q', size));
    return status;
}

static void fork_everything(enum way way, const char *path)
{
    static const size_t sizes[] = {1000, 100 * KIB, 2 * MIB};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        filz_mmap heap = {.path = path, .capacity = 16 * MIB};
        assert_int_equal(fork_a_heap(way, &heap, sizes[i]), 0);
        assert_int_equal(fork_a_heap(way, &heap, sizes[i]), 0); /* a second time, with what is there by now */
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}

static void parent_and_child_do_not_see_each_others_writes(void **state)
{
    (void)state;
    fork_everything(BY_COPY, NULL);
    fork_everything(BY_COPY, "named.filz");
}

static void with_FILZ_FORK_private_parent_and_child_do_not_see_each_others_writes(void **state)
{
    (void)state;
    fork_everything(PRIVATELY, NULL);
    fork_everything(PRIVATELY, "named.filz");
}

static void without_room_for_a_copy_parent_and_child_do_not_see_each_others_writes(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_DFL);
    fork_everything(WITHOUT_ROOM, NULL);
    fork_everything(WITHOUT_ROOM, "named.filz");
}

static void *allocate_5_KIB(void *heap)
{
    char *block = filz_mmap_alloc(heap, 5 * KIB, 1);
    return block ? memset(block, 'p', 5 * KIB) : NULL;
}

/* Makes the page with the chunk's header its own, then lets the parent go on in the tail. */
static int allocate_where_the_parent_does_not(void *context)
{
    struct family *family = context;
    memset(family->block, 'c', 5 * KIB);
    EXPECT(send_byte(family->to_parent[1]) == 0);
    EXPECT(expect_byte(family->to_child[0]) == 0);
    char *block = filz_mmap_alloc_zeroed(family->heap, 5 * KIB, 1);
    EXPECT(block && is_filled(block, 0, 5 * KIB));
    return 0;
}

static void a_private_child_leaves_the_tails_of_chunks_to_its_parent(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = 4 * MIB};
    struct family family = {.heap = &heap, .block = in_thread(allocate_5_KIB, &heap)};
    assert_non_null(family.block);
    assert_int_equal(pipe(family.to_child), 0);
    assert_int_equal(pipe(family.to_parent), 0);
    pid_t child = begin_child_with(PRIVATELY, allocate_where_the_parent_does_not, &family);
    int answered = expect_byte(family.to_parent[0]);
    assert_in_range((char *)in_thread(allocate_5_KIB, &heap) - family.block, 0, 8 * KIB); /* it is in the tail */
    send_byte(family.to_child[1]);
    assert_int_equal(end_child(child), 0);
    assert_int_equal(answered, 0);
    assert_true(is_filled(family.block, 'p', 5 * KIB));
    for (size_t i = 0; i < 2; i++) {
        close(family.to_child[i]);
        close(family.to_parent[i]);
    }
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static int write_and_close(void *context)
{
    filz_mmap *heap = context;
    char *block = filz_mmap_alloc(heap, MIB, 1);
    EXPECT(block);
    memset(block, 'c', MIB);
    return filz_mmap_close(heap);
}

static void a_named_file_stays_the_parents(void **state)
{
    (void)state;
    filz_mmap heap = {.path = "named.filz", .capacity = 4 * MIB};
    filz_mmap_info before, after;
    char *block = filz_mmap_alloc(&heap, 1000, 1);
    memset(block, 'p', 1000);
    assert_int_equal(filz_mmap_stats(&heap, &before), 0);
    assert_int_equal(in_child(write_and_close, &heap), 0);
    assert_int_equal(entries_in("."), 1);
    struct stat status;
    assert_int_equal(stat("named.filz", &status), 0);
    assert_int_equal(status.st_size, before.committed);
    assert_int_equal(filz_mmap_stats(&heap, &after), 0);
    assert_int_equal(after.used, before.used);
    assert_true(is_filled(block, 'p', 1000));
    filz_mmap other = {.path = "named.filz", .capacity = MIB};
    assert_int_equal(filz_mmap_open(&other), FILZ_EINUSE); /* and still locked */
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static int do_nothing(void *unused)
{
    (void)unused;
    return 0;
}

static void a_childs_exit_changes_nothing_in_the_parents_file(void **state)
{
    (void)state;
    assert_int_equal(mkdir("memory", 0700), 0);
    filz_mmap heap = {.capacity = MIB};
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_int_equal(in_child(do_nothing, NULL), 0);
    assert_int_equal(entries_in("memory"), 1);
    assert_int_equal(heap.heap->header->clean, 0);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(entries_in("memory"), 1);
}

/* Writes, has a child that writes, and finds its own bytes again. */
static int found_a_family(void *context)
{
    struct family *family = context;
    EXPECT(heap_came(family->way, family->heap) == 0);
    EXPECT(is_filled(family->block, 'p', family->size));
    if (--family->generations > 0)
        EXPECT(end_child(begin_child_with(family->way, found_a_family, family)) == 0);
    EXPECT(is_filled(family->block, 'p', family->size));
    memset(family->block, 'c', family->size);
    EXPECT(filz_mmap_alloc(family->heap, MIB, 1));
    return 0;
}

static void a_child_may_fork_and_so_may_its_child(void **state)
{
    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        filz_mmap heap = {.capacity = 8 * MIB};
        struct family family = {.way = way, .heap = &heap, .size = 100 * KIB, .generations = 4};
        family.block = filz_mmap_alloc(&heap, family.size, 1);
        memset(family.block, 'p', family.size);
        assert_int_equal(end_child(begin_child_with(way, found_a_family, &family)), 0);
        assert_true(is_filled(family.block, 'p', family.size));
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}

static int close_all_heaps(void *context)
{
    filz_mmap *heaps = context;
    for (size_t i = 0; i < 12; i++) {
        EXPECT(filz_mmap_alloc(&heaps[i], 100 * KIB, 1));
        EXPECT(filz_mmap_close(&heaps[i]) == 0);
    }
    return 0;
}

static void a_child_has_every_heap_that_was_open(void **state)
{
    (void)state;
    static filz_mmap heaps[12];
    for (size_t i = 0; i < COUNT(heaps); i++) {
        heaps[i] = (filz_mmap){.capacity = MIB};
        assert_non_null(filz_mmap_alloc(&heaps[i], 100, 1));
    }
    assert_int_equal(in_child(close_all_heaps, heaps), 0);
    for (size_t i = 0; i < COUNT(heaps); i++) {
        assert_non_null(filz_mmap_alloc(&heaps[i], 100 * KIB, 1));
        assert_int_equal(filz_mmap_close(&heaps[i]), 0);
    }
}

/* -- Children that no handler knows of ----------------------------------------------------------------------------- */

/* glibc has it from 2.34 on. */
#pragma weak _Fork
extern pid_t _Fork(void);

enum { OLD_SIZE = 1000, NEW_SIZE = 300 * 1024, STEP_MAX = 1024 * 1024 };

/* The heap is the parent's: nothing can be allocated but what this thread's chunk has, and after that not even that. */
static int live_unnoticed_at_first(filz_mmap *heap, const char *old)
{
    filz_mmap_info info;
    EXPECT(filz_mmap_alloc(heap, 2 * STEP_MAX, 1) == NULL && errno == ENOMEM);
    errno = 0;
    EXPECT(filz_mmap_alloc(heap, 1, 1) == NULL && errno == ENOMEM);
    EXPECT(filz_mmap_stats(heap, &info) == FILZ_EFORKED && filz_mmap_open(heap) == FILZ_EFORKED);
    EXPECT(filz_mmap_set_root(heap, old) == FILZ_EFORKED && filz_mmap_sync(heap) == FILZ_EFORKED);
    EXPECT(filz_mmap_reset(heap) == FILZ_EFORKED);
    EXPECT(is_filled(old, 'p', OLD_SIZE));
    return filz_mmap_close(heap);
}

/* The parent allocates and writes meanwhile. */
static void live_beside_an_unnoticed_child(filz_mmap *heap, pid_t (*make_child)(void))
{
    char *old = memset(filz_mmap_alloc(heap, OLD_SIZE, 1), 'p', OLD_SIZE);
    pid_t child = make_child();
    if (child == 0)
        exit(live_unnoticed_at_first(heap, old));
    char *block = memset(filz_mmap_alloc(heap, NEW_SIZE, 1), 'n', NEW_SIZE);
    char *small = memset(filz_mmap_alloc(heap, 100, 1), 'n', 100);
    assert_int_equal(end_child(child), 0);
    assert_true(is_filled(old, 'p', OLD_SIZE));
    assert_true(is_filled(block, 'n', NEW_SIZE));
    assert_true(is_filled(small, 'n', 100));
    assert_int_equal(heap->heap->header->clean, 0);
    assert_true(heap->path == NULL || exists(heap->path));
}

static void live_beside_unnoticed_children(const char *name, pid_t (*make_child)(void))
{
    size_t rounds = rounds_of(1000);
    for (size_t round = 0; round < rounds;) {
        filz_mmap heap = {.path = round % 50 ? NULL : "parents.filz", .capacity = 16 * MIB};
        for (size_t i = 0; i < 25 && round < rounds; i++, round++)
            live_beside_an_unnoticed_child(&heap, make_child);
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
    print_message("%zu children by %s\n", rounds, name);
}

static void a_child_of_clone_does_not_write_to_its_parents_new_blocks(void **state)
{
    (void)state;
    NEED_WIPED_PAGES();
    live_beside_unnoticed_children("clone", clone_without_handlers);
}

static void a_child_of__Fork_does_not_write_to_its_parents_new_blocks(void **state)
{
    (void)state;
    NEED_WIPED_PAGES();
    if (_Fork == NULL)
        SKIP("the C library has no _Fork");
    live_beside_unnoticed_children("_Fork", _Fork);
}

static int read_when_told(void *context)
{
    struct family *family = context;
    EXPECT(expect_byte(family->to_child[0]) == 0);
    EXPECT(is_filled(family->block, 'p', family->size));
    return 0;
}

/* The child has the parent's file mapped privately: it must stay as long as it was. */
static void a_file_that_a_child_has_mapped_privately_keeps_its_length(void **state)
{
    (void)state;
    filz_mmap heap = {.path = "a.filz"};
    struct family family = {.heap = &heap, .size = 8 * MIB, .block = filz_mmap_alloc(&heap, 8 * MIB, 1)};
    assert_non_null(family.block);
    memset(family.block, 'p', family.size);
    assert_int_equal(pipe(family.to_child), 0);
    assert_int_equal(setenv("FILZ_FORK", "private", 1), 0);
    pid_t child = begin_child(read_when_told, &family);
    assert_int_equal(unsetenv("FILZ_FORK"), 0);
    assert_int_equal(filz_mmap_reset(&heap), 0);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(send_byte(family.to_child[1]), 0);
    assert_int_equal(end_child(child), 0);
    close(family.to_child[0]);
    close(family.to_child[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(parent_and_child_do_not_see_each_others_writes),
        IN_FRESH_DIRECTORY(with_FILZ_FORK_private_parent_and_child_do_not_see_each_others_writes),
        IN_FRESH_DIRECTORY(without_room_for_a_copy_parent_and_child_do_not_see_each_others_writes),
        IN_FRESH_DIRECTORY(a_private_child_leaves_the_tails_of_chunks_to_its_parent),
        IN_FRESH_DIRECTORY(a_named_file_stays_the_parents),
        IN_FRESH_DIRECTORY(a_childs_exit_changes_nothing_in_the_parents_file),
        IN_FRESH_DIRECTORY(a_file_that_a_child_has_mapped_privately_keeps_its_length),
        IN_FRESH_DIRECTORY(a_child_may_fork_and_so_may_its_child),
        IN_FRESH_DIRECTORY(a_child_has_every_heap_that_was_open),
        IN_FRESH_DIRECTORY(a_child_of_clone_does_not_write_to_its_parents_new_blocks),
        IN_FRESH_DIRECTORY(a_child_of__Fork_does_not_write_to_its_parents_new_blocks),
    };
    return cmocka_run_group_tests_name("fork", tests, NULL, NULL);
}
