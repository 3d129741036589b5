/* What happens while a fork is under way, by handlers of the program's and by other threads, and what a child does
 * first of all. */
#include "clones.h"
#include "forks.h"
#include "threads.h"

enum { TAG = 3, SMALL = 100, LARGE = 300 * 1024 };

static filz_mmap heap;

/* -- Before filz's handler ----------------------------------------------------------------------------------------- */

static bool handler_allocates;
static char *block_of_handler;

static void allocate_before_fork(void)
{
    if (handler_allocates)
        block_of_handler = strcpy(filz_mmap_alloc(&heap, LARGE, 1), "from the handler");
}

/* In a constructor, which in a static program runs before the library's own would by default. */
__attribute__((constructor)) static void register_handler(void)
{
    pthread_atfork(allocate_before_fork, NULL, NULL);
}

static int find_block_of_handler(void *unused)
{
    (void)unused;
    EXPECT(strcmp(block_of_handler, "from the handler") == 0);
    EXPECT(memset(filz_mmap_alloc(&heap, LARGE, 1), 'c', LARGE));
    EXPECT(strcmp(block_of_handler, "from the handler") == 0);
    return 0;
}

static void a_programs_handler_may_allocate_before_fork(void **state)
{
    (void)state;
    heap = (filz_mmap){.capacity = 8 * MIB};
    assert_int_equal(filz_mmap_open(&heap), 0);
    handler_allocates = true;
    int result = in_child(find_block_of_handler, NULL);
    handler_allocates = false;
    assert_int_equal(result, 0);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* -- Between filz's handler and the fork --------------------------------------------------------------------------- */

static void (*meanwhile)(void);

static void run_meanwhile(void)
{
    if (meanwhile != NULL)
        meanwhile();
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wprio-ctor-dtor"
#endif

/* Handlers run in the opposite order. filz's is registered at load, with priority 101. */
__attribute__((constructor(100))) static void register_first(void)
{
    pthread_atfork(run_meanwhile, NULL, NULL);
}

static int fork_meanwhile(void (*what)(void), int (*body)(void *))
{
    meanwhile = what;
    pid_t child = begin_child(body, NULL);
    meanwhile = NULL;
    return end_child(child);
}

/* The heap is the parent's: there is no copy of it as it is now. */
static int gets_no_block(void *unused)
{
    (void)unused;
    filz_mmap_info info;
    errno = 0;
    EXPECT(filz_mmap_alloc(&heap, SMALL, 1) == NULL && errno == ENOMEM);
    EXPECT(filz_mmap_stats(&heap, &info) == FILZ_EFORKED);
    EXPECT(filz_mmap_reset(&heap) == FILZ_EFORKED);
    return filz_mmap_close(&heap);
}

static void *reset_and_allocate(void *unused)
{
    char *block = filz_mmap_reset(&heap) == 0 ? filz_mmap_alloc(&heap, SMALL, 1) : NULL;
    bool has_root = block != NULL && filz_mmap_set_root(&heap, memset(block, 'n', SMALL)) == 0;
    return has_root ? block : unused;
}

static void reset_and_allocate_in_a_thread(void)
{
    assert_non_null(in_thread(reset_and_allocate, NULL));
}

static void reset_and_allocate_here(void)
{
    assert_non_null(reset_and_allocate(NULL));
}

static void assert_parent_goes_on(void)
{
    assert_true(is_filled(filz_mmap_root(&heap), 'n', SMALL));
    assert_int_equal(stats_of(&heap).blocks, 1);
    assert_int_equal(allocate_and_write(&heap), 0);
    assert_true(is_filled(filz_mmap_root(&heap), 'n', SMALL));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_heap_that_is_reset_while_a_fork_is_under_way_is_the_parents_alone(void **state)
{
    (void)state;
    heap = (filz_mmap){.path = "heap.filz", .capacity = 8 * MIB};
    assert_non_null(filz_mmap_alloc(&heap, LARGE, 1));
    assert_int_equal(fork_meanwhile(reset_and_allocate_in_a_thread, gets_no_block), 0);
    assert_parent_goes_on();
}

/* By a handler of the program's own, so that the thread which forks has a chunk that was never copied. */
static void a_heap_that_the_forking_thread_resets_is_the_parents_alone(void **state)
{
    (void)state;
    heap = (filz_mmap){.path = "heap.filz", .capacity = 8 * MIB};
    assert_non_null(filz_mmap_alloc(&heap, LARGE, 1));
    assert_int_equal(fork_meanwhile(reset_and_allocate_here, gets_no_block), 0);
    assert_parent_goes_on();
}

static void a_heap_that_is_opened_while_a_fork_is_under_way_is_the_parents_alone(void **state)
{
    (void)state;
    filz_mmap other = {.capacity = MIB};
    assert_int_equal(filz_mmap_open(&other), 0);
    heap = (filz_mmap){.path = "heap.filz", .capacity = 8 * MIB};
    assert_int_equal(fork_meanwhile(reset_and_allocate_in_a_thread, gets_no_block), 0);
    assert_parent_goes_on();
    assert_int_equal(filz_mmap_close(&other), 0);
}

/* -- A block of another thread's, allocated meanwhile -------------------------------------------------------------- */

static char *block_before, *block_meanwhile;

static void *allocate_large(void *unused)
{
    (void)unused;
    return filz_mmap_alloc(&heap, LARGE, 1);
}

static void allocate_in_a_thread(void)
{
    block_meanwhile = in_thread(allocate_large, NULL);
    assert_non_null(block_meanwhile);
    memset(block_meanwhile, 'm', LARGE);
}

static int is_apart(const char *block, size_t size)
{
    EXPECT(block != NULL && filz_mmap_owns(&heap, block));
    EXPECT(block + size <= block_meanwhile || block >= block_meanwhile + LARGE);
    EXPECT(block + size <= block_before || block >= block_before + SMALL);
    return 0;
}

static int allocates_apart(void *unused)
{
    (void)unused;
    EXPECT(filz_mmap_owns(&heap, block_meanwhile));
    memset(block_meanwhile, 'c', LARGE); /* it may hold anything, and can be written */
    for (size_t i = 0; i < 10; i++) {
        char *small = filz_mmap_alloc_zeroed(&heap, SMALL, 1), *large = filz_mmap_alloc_zeroed(&heap, LARGE, 1);
        EXPECT(is_apart(small, SMALL) == 0 && is_filled(small, 0, SMALL));
        EXPECT(is_apart(large, LARGE) == 0 && is_filled(large, 0, LARGE));
        memset(small, 'c', SMALL);
        memset(large, 'c', LARGE);
    }
    EXPECT(is_filled(block_before, 'b', SMALL) && is_filled(block_meanwhile, 'c', LARGE));
    return filz_mmap_close(&heap);
}

static void begin_heap(unsigned flags)
{
    heap = (filz_mmap){.path = "heap.filz", .capacity = 16 * MIB, .flags = flags, .tag = TAG};
    block_before = filz_mmap_alloc(&heap, SMALL, 1);
    assert_non_null(block_before);
    assert_int_equal(filz_mmap_set_root(&heap, memset(block_before, 'b', SMALL)), 0);
}

static void assert_blocks_are_whole(void)
{
    assert_true(is_filled(block_before, 'b', SMALL));
    assert_true(is_filled(block_meanwhile, 'm', LARGE));
    assert_int_equal(allocate_and_write(&heap), 0);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void what_another_thread_allocates_meanwhile_is_not_allocated_again_in_the_child(void **state)
{
    (void)state;
    static const char *const modes[] = {"copy", "private"};
    for (size_t i = 0; i < COUNT(modes); i++) {
        setenv("FILZ_FORK", modes[i], 1);
        begin_heap(0);
        assert_int_equal(fork_meanwhile(allocate_in_a_thread, allocates_apart), 0);
        assert_blocks_are_whole();
    }
    unsetenv("FILZ_FORK");
}

static int has_one_chunk_more(void *unused)
{
    filz_mmap_info before, after;
    (void)unused;
    EXPECT(filz_mmap_stats(&heap, &before) == 0);
    char *block = filz_mmap_alloc_zeroed(&heap, LARGE, 1);
    EXPECT(block != NULL && (block + LARGE <= block_meanwhile || block >= block_meanwhile + LARGE));
    EXPECT(is_filled(block, 0, LARGE));
    memset(block, 'c', LARGE);
    EXPECT(filz_mmap_stats(&heap, &after) == 0);
    EXPECT(before.chunks == 1 && before.blocks == 0 && after.chunks > 1);
    return filz_mmap_close(&heap);
}

/* The heap was empty, so that there is no chunk which that block could be in. */
static void a_heaps_first_block_may_be_allocated_while_a_fork_is_under_way(void **state)
{
    (void)state;
    static const char *const modes[] = {"copy", "private"};
    for (size_t i = 0; i < COUNT(modes); i++) {
        setenv("FILZ_FORK", modes[i], 1);
        heap = (filz_mmap){.path = "heap.filz", .capacity = 16 * MIB};
        assert_int_equal(filz_mmap_open(&heap), 0);
        assert_int_equal(fork_meanwhile(allocate_in_a_thread, has_one_chunk_more), 0);
        assert_true(is_filled(block_meanwhile, 'm', LARGE));
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
    unsetenv("FILZ_FORK");
}

static void allocate_and_limit_files(void)
{
    allocate_in_a_thread();
    limit_file_size(1);
}

static int goes_on_when_there_is_room(void *unused)
{
    (void)unused;
    errno = 0;
    EXPECT(filz_mmap_alloc(&heap, LARGE, 1) == NULL && errno == ENOMEM);
    EXPECT(is_filled(block_before, 'b', SMALL));
    limit_file_size(RLIM_INFINITY);
    EXPECT(allocate_and_write(&heap) == 0);
    EXPECT(filz_mmap_alloc(&heap, LARGE, 1) != NULL);
    EXPECT(is_filled(block_before, 'b', SMALL));
    return filz_mmap_close(&heap);
}

/* Then the copy is only as long as it was when it was made. */
static void where_the_copy_cannot_grow_the_child_has_what_was_there_before(void **state)
{
    (void)state;
    begin_heap(0);
    int result = fork_meanwhile(allocate_and_limit_files, goes_on_when_there_is_room);
    limit_file_size(RLIM_INFINITY);
    assert_int_equal(result, 0);
    assert_blocks_are_whole();
}

/* -- The chunk of the thread that forked --------------------------------------------------------------------------- */

enum { OTHER_CHUNK = 256 * KIB }; /* more than the first chunk of a thread holds, whatever the size of pages */

static void *allocate_small(void *unused)
{
    (void)unused;
    return filz_mmap_alloc(&heap, SMALL, 1);
}

static int gives_its_tail_to_a_thread(void *unused)
{
    (void)unused;
    EXPECT(filz_mmap_alloc(&heap, OTHER_CHUNK, 1));
    EXPECT(in_thread(allocate_small, NULL) == block_before + SMALL);
    EXPECT(is_filled(block_before, 'b', SMALL));
    return filz_mmap_close(&heap);
}

static void the_tail_of_the_forking_threads_chunk_is_not_lost_in_a_copy(void **state)
{
    (void)state;
    begin_heap(0);
    assert_non_null(in_thread(allocate_small, NULL));
    assert_int_equal(in_child(gives_its_tail_to_a_thread, NULL), 0);
    assert_true(is_filled(block_before, 'b', SMALL));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* -- A child without a copy ---------------------------------------------------------------------------------------- */

static int resize_and_reset(void *large)
{
    EXPECT(filz_mmap_realloc(&heap, large, LARGE, 1, LARGE - 100000) == large);
    char *moved = filz_mmap_realloc(&heap, large, LARGE - 100000, 1, 2 * LARGE);
    EXPECT(moved != NULL && moved != large && is_filled(moved, 'p', LARGE - 100000));
    memset(large, 'c', LARGE - 100000);
    memset(moved, 'c', 2 * LARGE);
    EXPECT(filz_mmap_reset(&heap) == 0);
    EXPECT(filz_mmap_root(&heap) == NULL);
    EXPECT(allocate_and_write(&heap) == 0);
    return filz_mmap_close(&heap);
}

static void a_child_without_a_copy_resizes_and_resets_what_its_parent_has_synced(void **state)
{
    (void)state;
    begin_heap(FILZ_MMAP_PERSISTENT);
    char *large = in_thread(allocate_large, NULL);
    memset(large, 'p', LARGE);
    assert_int_equal(filz_mmap_sync(&heap), 0);
    setenv("FILZ_FORK", "private", 1);
    int result = in_child(resize_and_reset, large);
    unsetenv("FILZ_FORK");
    assert_int_equal(result, 0);
    for (int run = 0; run < 2; run++) {
        assert_ptr_equal(filz_mmap_root(&heap), block_before);
        assert_true(is_filled(block_before, 'b', SMALL) && is_filled(large, 'p', LARGE));
        assert_int_equal(stats_of(&heap).blocks, 2);
        assert_int_equal(filz_mmap_close(&heap), 0);
        assert_int_equal(filz_mmap_open(&heap), 0);
    }
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* -- A child without handlers -------------------------------------------------------------------------------------- */

static int close_at_once(void)
{
    return filz_mmap_close(&heap);
}

/* Its own child comes to this heap as it did. */
static int fork_at_once(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(filz_mmap_alloc(&heap, LARGE, 1) == NULL ? gets_no_block(NULL) : 1);
    return end_child(child);
}

static void what_a_child_without_handlers_does_first_leaves_the_parents_chunk_to_its_thread(void **state)
{
    (void)state;
    NEED_WIPED_PAGES();
    static int (*const first[])(void) = {close_at_once, fork_at_once};
    for (size_t i = 0; i < COUNT(first); i++) {
        begin_heap(0);
        fflush(NULL);
        pid_t child = clone_without_handlers();
        if (child == 0)
            _exit(first[i]());
        assert_int_equal(end_child(child), 0);
        assert_non_null(in_thread(allocate_large, NULL));
        assert_int_equal(stats_of(&heap).chunks, 2);
        assert_ptr_equal(filz_mmap_alloc(&heap, SMALL, 1), block_before + SMALL);
        assert_true(is_filled(block_before, 'b', SMALL));
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_programs_handler_may_allocate_before_fork),
        IN_FRESH_DIRECTORY(a_heap_that_is_reset_while_a_fork_is_under_way_is_the_parents_alone),
        IN_FRESH_DIRECTORY(a_heap_that_the_forking_thread_resets_is_the_parents_alone),
        IN_FRESH_DIRECTORY(a_heap_that_is_opened_while_a_fork_is_under_way_is_the_parents_alone),
        IN_FRESH_DIRECTORY(what_another_thread_allocates_meanwhile_is_not_allocated_again_in_the_child),
        IN_FRESH_DIRECTORY(a_heaps_first_block_may_be_allocated_while_a_fork_is_under_way),
        IN_FRESH_DIRECTORY(where_the_copy_cannot_grow_the_child_has_what_was_there_before),
        IN_FRESH_DIRECTORY(the_tail_of_the_forking_threads_chunk_is_not_lost_in_a_copy),
        IN_FRESH_DIRECTORY(a_child_without_a_copy_resizes_and_resets_what_its_parent_has_synced),
        IN_FRESH_DIRECTORY(what_a_child_without_handlers_does_first_leaves_the_parents_chunk_to_its_thread),
    };
    return cmocka_run_group_tests_name("fork_moments", tests, NULL, NULL);
}
