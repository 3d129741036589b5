/* What runs another program costs a heap nothing: posix_spawn(3), vfork(2) and system(3) make no copy of it. Counted
 * are the calls that libfilz makes to the system (faults_wrap.c), and the bytes that the process writes. */
#include "forks.h"

#include "faults.h"

#include <spawn.h>

enum { USED = 64 << 20 };

/* In all its life; 0 if the kernel doesn't count. */
static unsigned long long bytes_written(void)
{
    const char *line = strstr(text_of("/proc/self/io"), "wchar: ");
    return line != NULL ? strtoull(line + strlen("wchar: "), NULL, 10) : 0;
}

static char program[] = "/bin/true";
static char *const arguments[] = {program, NULL};

static int by_posix_spawn(void)
{
    pid_t child;
    char *const no_variables[] = {NULL};
    return posix_spawn(&child, program, NULL, NULL, arguments, no_variables) == 0 ? end_child(child) : -1;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static int by_vfork(void)
{
    pid_t child = vfork();
    if (child == 0) {
        execv(program, arguments);
        _exit(127);
    }
    return end_child(child);
}
#pragma GCC diagnostic pop

static int by_system(void)
{
    return system(program);
}

static int by_fork(void)
{
    pid_t child = fork();
    if (child == 0) {
        execv(program, arguments);
        _exit(127);
    }
    return end_child(child);
}

struct cost {
    int calls;
    unsigned long long bytes;
};

static struct cost cost_of(int (*run_program)(void))
{
    struct cost cost = {0, bytes_written()};
    faults->owner = getpid();
    faults->calls[FAULTS_PARENT] = faults->calls[FAULTS_CHILD] = 0;
    faults_on = true;
    int status = run_program();
    faults_on = false;
    assert_int_equal(status, 0);
    cost.calls = faults->calls[FAULTS_PARENT] + faults->calls[FAULTS_CHILD];
    cost.bytes = bytes_written() - cost.bytes;
    return cost;
}

static void running_a_program_copies_no_heap_unless_it_forks(void **state)
{
    (void)state;
    if (SANITIZED_FOR_THREADS)
        SKIP("ThreadSanitizer makes a fork of vfork");
    filz_mmap heap = {.capacity = USED + MIB};
    char *block = filz_mmap_alloc(&heap, USED, 1);
    assert_non_null(block);
    memset(block, 'p', USED);
    static int (*const ways[])(void) = {by_posix_spawn, by_vfork, by_system};
    for (size_t i = 0; i < COUNT(ways); i++) {
        struct cost cost = cost_of(ways[i]);
        assert_int_equal(cost.calls, 0);
        assert_true(cost.bytes < MIB);
    }
    struct cost fork_cost = cost_of(by_fork);
    assert_true(fork_cost.calls > 0);
    assert_true(fork_cost.bytes >= USED || bytes_written() == 0);
    print_message("0 calls, and with fork %d, which write %llu MiB\n", fork_cost.calls, fork_cost.bytes >> 20);
    assert_true(is_filled(block, 'p', USED));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

int main(void)
{
    /* Shared, for a child of fork makes calls too. */
    faults = share_with_children(sizeof(*faults));
    if (faults == NULL)
        return 1;
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(running_a_program_copies_no_heap_unless_it_forks),
    };
    return cmocka_run_group_tests_name("spawn", tests, NULL, NULL);
}
