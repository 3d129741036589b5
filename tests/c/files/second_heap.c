/* A program's second heap in a directory has a file without a name there, so that nothing of it stays, in whatever way
 * its process ends. */
#include "unnamed.h"

/* -- Where a file is ----------------------------------------------------------------------------------------------- */

/* Whether the descriptor's file is in the file system of `directory`. */
static bool is_in_file_system_of(const char *directory, int fd)
{
    struct stat file, place;
    return fstat(fd, &file) == 0 && stat(directory, &place) == 0 && file.st_dev == place.st_dev;
}

/* Unnamed files that are in no directory of a heap go to another file system than the test's, if there is one. */
static void send_temporary_files_elsewhere(void)
{
    struct stat here, there;
    if (stat(".", &here) != 0 || stat("/dev/shm", &there) != 0 || here.st_dev == there.st_dev)
        print_message("the test's directory and /dev/shm are in one file system, so the test says less\n");
    setenv("TMPDIR", "/dev/shm", 1);
}

static int leave_directory(void **state)
{
    return unsetenv("TMPDIR") || leave_fresh_directory(state);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter_fresh_directory, leave_directory)

/* <directory>/<program>.filz */
static const char *default_path(const char *directory)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%.200s.filz", directory, program_invocation_short_name);
    return path;
}

static void assert_nothing_is_left_but_the_programs_file(const char *directory)
{
    assert_int_equal(entries_in(directory), 1);
    assert_true(exists(default_path(directory)));
}

/* -- Heaps of one process ------------------------------------------------------------------------------------------ */

enum { SIZE = 500 * 1024 };

static char *allocate_and_fill(filz_mmap *heap, int byte)
{
    char *block = filz_mmap_alloc(heap, SIZE, 1);
    assert_non_null(block);
    memset(block, byte, SIZE);
    return block;
}

/* Of three heaps in `directory`, one has the program's file and the others have files without a name. */
static void assert_second_heaps_are_unnamed(const char *directory)
{
    filz_mmap heaps[3] = {{.capacity = MIB}, {.capacity = MIB}, {.capacity = MIB}};
    char *blocks[COUNT(heaps)];
    send_temporary_files_elsewhere();
    for (size_t i = 0; i < COUNT(heaps); i++) {
        struct unnamed_files before = unnamed_files_now();
        assert_int_equal(filz_mmap_open(&heaps[i]), 0);
        assert_int_equal(entries_in(directory), 1);
        assert_true((stats_of(&heaps[i]).path != NULL) == (i == 0));
        assert_true(i == 0 || is_in_file_system_of(directory, new_unnamed_file(&before)));
        blocks[i] = allocate_and_fill(&heaps[i], 'a' + (int)i);
    }
    for (size_t i = 0; i < COUNT(heaps); i++)
        assert_true(is_filled(blocks[i], 'a' + (int)i, SIZE));
    for (size_t i = 0; i < COUNT(heaps); i++)
        assert_int_equal(filz_mmap_close(&heaps[i]), 0);
    assert_nothing_is_left_but_the_programs_file(directory);
}

static void a_second_heap_in_memory_has_an_unnamed_file_of_that_file_system(void **state)
{
    (void)state;
    assert_int_equal(mkdir("memory", 0700), 0);
    assert_second_heaps_are_unnamed("memory");
}

static void a_second_heap_in_FILZ_DIR_has_an_unnamed_file_of_that_file_system(void **state)
{
    (void)state;
    assert_int_equal(mkdir("chosen", 0700), 0);
    setenv("FILZ_DIR", "chosen", 1);
    assert_second_heaps_are_unnamed("chosen");
}

static void the_name_is_free_again_once_the_first_heap_is_closed(void **state)
{
    (void)state;
    assert_int_equal(mkdir("memory", 0700), 0);
    filz_mmap first = {.capacity = MIB}, second = {.capacity = MIB};
    assert_int_equal(filz_mmap_open(&first), 0);
    char *block = allocate_and_fill(&second, 's');
    assert_int_equal(filz_mmap_close(&first), 0);
    assert_int_equal(filz_mmap_open(&first), 0);
    assert_non_null(stats_of(&first).path);
    assert_null(stats_of(&second).path);
    assert_true(is_filled(block, 's', SIZE));
    assert_int_equal(filz_mmap_close(&first), 0);
    assert_int_equal(filz_mmap_close(&second), 0);
    assert_nothing_is_left_but_the_programs_file("memory");
}

/* -- Processes of one program -------------------------------------------------------------------------------------- */

enum ending { BY_CLOSE, BY_EXIT, BY__EXIT, BY_EXEC, BY_SIGKILL, ENDINGS };

/* Processes that have a heap each in `directory`, all at once, and then end. */
struct group {
    const char *directory;
    enum ending ending;
    int ready[2], go[2];
};

/* What a process says of its heap. */
struct report {
    bool is_named, is_in_file_system;
};

/* What a group of processes did. */
struct outcome {
    size_t reports, named, elsewhere;
    size_t ended_otherwise, without_exec;
};

static int end_by(enum ending ending, filz_mmap *heap)
{
    if (ending == BY_CLOSE)
        return filz_mmap_close(heap);
    if (ending == BY__EXIT)
        _exit(0);
    if (ending == BY_EXEC)
        return start_this_program("after exec");
    if (ending == BY_SIGKILL)
        kill(getpid(), SIGKILL);
    return 0;
}

static int use_heap_until_told(void *context)
{
    static filz_mmap heap = {.capacity = MIB};
    const struct group *group = context;
    struct unnamed_files before = unnamed_files_now();
    filz_mmap_info info;
    int byte = (int)getpid() % 251;
    char end;
    close(group->go[1]);
    char *block = filz_mmap_alloc(&heap, SIZE, 1);
    EXPECT(block != NULL && filz_mmap_stats(&heap, &info) == 0);
    memset(block, byte, SIZE);
    struct report report = {info.path != NULL, is_in_file_system_of(group->directory, new_unnamed_file(&before))};
    EXPECT(write(group->ready[1], &report, sizeof(report)) == sizeof(report));
    EXPECT(read(group->go[0], &end, 1) == 0);
    EXPECT(is_filled(block, byte, SIZE));
    return end_by(group->ending, &heap);
}

/* Waits until each of the processes has its heap. */
static void read_reports(int fd, size_t count, struct outcome *outcome)
{
    struct report report;
    while (outcome->reports < count && read(fd, &report, sizeof(report)) == sizeof(report)) {
        outcome->reports++;
        outcome->named += report.is_named;
        outcome->elsewhere += !report.is_named && !report.is_in_file_system;
    }
}

enum { MOST_PROCESSES = 30 };

static struct outcome use_at_once(struct group group, size_t count)
{
    pid_t processes[MOST_PROCESSES];
    struct outcome outcome = {0};
    assert_int_equal(pipe(group.ready) | pipe(group.go), 0);
    for (size_t i = 0; i < count; i++)
        processes[i] = begin_child(use_heap_until_told, &group);
    close(group.ready[1]);
    close(group.go[0]);
    read_reports(group.ready[0], count, &outcome);
    close(group.go[1]);
    close(group.ready[0]);
    for (size_t i = 0; i < count; i++) {
        int status = end_child(processes[i]);
        outcome.without_exec += status == SKIPPED;
        outcome.ended_otherwise += status != (group.ending == BY_SIGKILL ? 128 + SIGKILL : 0);
    }
    return outcome;
}

static void assert_ended(struct outcome outcome, size_t count)
{
    assert_int_equal(outcome.reports, count);
    assert_int_equal(outcome.elsewhere, 0);
    if (outcome.without_exec > 0)
        SKIP("a program can't be started here");
    assert_int_equal(outcome.ended_otherwise, 0);
}

/* The first heap is another process's. */
static void assert_second_process_leaves_nothing(enum ending ending)
{
    assert_int_equal(mkdir("memory", 0700), 0);
    send_temporary_files_elsewhere();
    filz_mmap first = {.capacity = MIB};
    char *block = allocate_and_fill(&first, 'f');
    struct outcome outcome = use_at_once((struct group){.directory = "memory", .ending = ending}, 1);
    assert_nothing_is_left_but_the_programs_file("memory");
    assert_true(is_filled(block, 'f', SIZE));
    assert_int_equal(filz_mmap_close(&first), 0);
    assert_int_equal(outcome.named, 0);
    assert_ended(outcome, 1);
}

static void a_process_that_closes_its_second_heap_leaves_no_file(void **state)
{
    (void)state;
    assert_second_process_leaves_nothing(BY_CLOSE);
}

static void a_process_with_a_second_heap_that_exits_leaves_no_file(void **state)
{
    (void)state;
    assert_second_process_leaves_nothing(BY_EXIT);
}

static void a_process_with_a_second_heap_that_calls__exit_leaves_no_file(void **state)
{
    (void)state;
    assert_second_process_leaves_nothing(BY__EXIT);
}

static void a_process_with_a_second_heap_that_calls_exec_leaves_no_file(void **state)
{
    (void)state;
    assert_second_process_leaves_nothing(BY_EXEC);
}

static void a_process_with_a_second_heap_that_is_killed_leaves_no_file(void **state)
{
    (void)state;
    assert_second_process_leaves_nothing(BY_SIGKILL);
}

/* Exactly one of the processes has the program's file, whether it was there before or not. */
static void assert_many_at_once_leave_one_file(enum ending ending)
{
    assert_int_equal(mkdir("chosen", 0700), 0);
    setenv("FILZ_DIR", "chosen", 1);
    send_temporary_files_elsewhere();
    size_t rounds = rounds_of(100);
    for (size_t i = 0; i < rounds; i++) {
        struct outcome outcome = use_at_once((struct group){.directory = "chosen", .ending = ending}, MOST_PROCESSES);
        assert_nothing_is_left_but_the_programs_file("chosen");
        assert_int_equal(outcome.named, 1);
        assert_ended(outcome, MOST_PROCESSES);
        assert_true(i % 2 == 0 || unlink(default_path("chosen")) == 0);
    }
    print_message("%zu times %d processes\n", rounds, MOST_PROCESSES);
}

static void thirty_processes_at_once_that_call_exec_leave_one_file(void **state)
{
    (void)state;
    assert_many_at_once_leave_one_file(BY_EXEC);
}

static void thirty_processes_at_once_that_are_killed_leave_one_file(void **state)
{
    (void)state;
    assert_many_at_once_leave_one_file(BY_SIGKILL);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return 0; /* after exec */
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(a_second_heap_in_memory_has_an_unnamed_file_of_that_file_system),
        IN_DIRECTORY(a_second_heap_in_FILZ_DIR_has_an_unnamed_file_of_that_file_system),
        IN_DIRECTORY(the_name_is_free_again_once_the_first_heap_is_closed),
        IN_DIRECTORY(a_process_that_closes_its_second_heap_leaves_no_file),
        IN_DIRECTORY(a_process_with_a_second_heap_that_exits_leaves_no_file),
        IN_DIRECTORY(a_process_with_a_second_heap_that_calls__exit_leaves_no_file),
        IN_DIRECTORY(a_process_with_a_second_heap_that_calls_exec_leaves_no_file),
        IN_DIRECTORY(a_process_with_a_second_heap_that_is_killed_leaves_no_file),
        IN_DIRECTORY(thirty_processes_at_once_that_call_exec_leave_one_file),
        IN_DIRECTORY(thirty_processes_at_once_that_are_killed_leave_one_file),
    };
    return cmocka_run_group_tests_name("second_heap", tests, NULL, NULL);
}
