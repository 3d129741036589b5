/* A heap before main and at exit, and what it says where nobody can read it. Most of it is done in a child. */
#include "support.h"

#include <sys/resource.h>

/* -- Before main and at exit --------------------------------------------------------------------------------------- */

static filz_mmap early_heap = {.capacity = MIB};
static char *early_block;

__attribute__((constructor)) static void allocate_before_main(void)
{
    setenv("FILZ_DIR", "", 1); /* no directory of the person's who runs this */
    if (chdir("/") == 0)
        early_block = filz_mmap_alloc(&early_heap, 1000, 8);
    if (early_block)
        memset(early_block, 'e', 1000);
}

static void a_constructor_may_allocate_before_main(void **state)
{
    (void)state;
    assert_non_null(early_block);
    assert_true(is_filled(early_block, 'e', 1000));
    assert_ptr_equal(filz_mmap_realloc(&early_heap, early_block, 1000, 8, 2000), early_block);
}

static filz_mmap heap_at_exit;
static char *block_before_exit;

static void allocate_at_exit(void)
{
    for (size_t i = 0; i < 20; i++) {
        char *block = filz_mmap_alloc_zeroed(&heap_at_exit, 100 * KIB, 8);
        if (block == NULL || !is_filled(block, 0, 100 * KIB))
            _exit(2);
        memset(block, 'x', 100 * KIB);
    }
    if (!is_filled(block_before_exit, 'b', 1000))
        _exit(3);
}

__attribute__((destructor)) static void allocate_in_a_destructor(void)
{
    if (block_before_exit)
        allocate_at_exit();
}

/* Heaps that are open at exit are small: valgrind then looks through all of their address space. */
static int exit_with_handlers(void *path)
{
    heap_at_exit = (filz_mmap){.path = path, .capacity = 16 * MIB};
    atexit(allocate_at_exit); /* registered before the heap opens, and after */
    block_before_exit = filz_mmap_alloc(&heap_at_exit, 1000, 1);
    EXPECT(block_before_exit);
    memset(block_before_exit, 'b', 1000);
    EXPECT(filz_mmap_alloc(&heap_at_exit, 5 * MIB, 1));
    atexit(allocate_at_exit);
    return 0;
}

static void handlers_at_exit_may_allocate(void **state)
{
    (void)state;
    assert_int_equal(in_child(exit_with_handlers, NULL), 0);
    assert_int_equal(in_child(exit_with_handlers, "named.filz"), 0);
    assert_int_equal(entries_in("."), 1);
}

static int exit_with_a_large_tail(void *path)
{
    filz_mmap heap = {.path = path, .capacity = 12 * MIB};
    EXPECT(filz_mmap_alloc(&heap, 11 * MIB, 1));
    EXPECT(filz_mmap_reset(&heap) == 0);
    EXPECT(filz_mmap_alloc(&heap, 10, 1));
    return 0;
}

static void a_large_unused_tail_is_given_back_at_exit(void **state)
{
    (void)state;
    struct stat status;
    assert_int_equal(in_child(exit_with_a_large_tail, "named.filz"), 0);
    assert_int_equal(stat("named.filz", &status), 0);
    assert_true((size_t)status.st_size < MIB);
}

/* -- The line on standard error ------------------------------------------------------------------------------------ */

static int report_into_a_full_file(void *unused)
{
    (void)unused;
    EXPECT(dup2(open("log", O_WRONLY | O_CREAT, 0600), STDERR_FILENO) == STDERR_FILENO);
    EXPECT(setrlimit(RLIMIT_FSIZE, &(struct rlimit){0, RLIM_INFINITY}) == 0);
    filz_mmap heap = {.path = "limited.filz", .capacity = MIB};
    return filz_mmap_alloc(&heap, 1, 1) == NULL && errno == EFBIG ? 0 : 1;
}

static int report_into_a_closed_pipe(void *unused)
{
    (void)unused;
    int ends[2];
    EXPECT(pipe(ends) == 0 && dup2(ends[1], STDERR_FILENO) == STDERR_FILENO && close(ends[0]) == 0);
    filz_mmap heap = {.path = "missing/heap.filz", .capacity = MIB};
    return filz_mmap_alloc(&heap, 1, 1) == NULL && errno == ENOENT ? 0 : 1;
}

static void a_report_that_cannot_be_written_raises_no_signal(void **state)
{
    (void)state;
    assert_int_equal(in_child(report_into_a_full_file, NULL), 0);
    assert_int_equal(in_child(report_into_a_closed_pipe, NULL), 0);
}

static int report_while_a_signal_waits(void *unused)
{
    (void)unused;
    sigset_t signals, pending;
    sigemptyset(&signals);
    sigaddset(&signals, SIGPIPE);
    EXPECT(pthread_sigmask(SIG_BLOCK, &signals, NULL) == 0 && raise(SIGPIPE) == 0);
    close(STDERR_FILENO);
    filz_mmap heap = {.path = "missing/heap.filz", .capacity = MIB};
    EXPECT(filz_mmap_alloc(&heap, 1, 1) == NULL && errno == ENOENT);
    EXPECT(sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1);
    EXPECT(report_into_a_closed_pipe(NULL) == 0);
    EXPECT(sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1);
    return 0;
}

static void a_signal_that_the_program_keeps_waiting_waits_on(void **state)
{
    (void)state;
    assert_int_equal(in_child(report_while_a_signal_waits, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_constructor_may_allocate_before_main),
        IN_FRESH_DIRECTORY(handlers_at_exit_may_allocate),
        IN_FRESH_DIRECTORY(a_large_unused_tail_is_given_back_at_exit),
        IN_FRESH_DIRECTORY(a_report_that_cannot_be_written_raises_no_signal),
        IN_FRESH_DIRECTORY(a_signal_that_the_program_keeps_waiting_waits_on),
    };
    return cmocka_run_group_tests_name("start_and_exit", tests, NULL, NULL);
}
