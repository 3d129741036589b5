/* No other user can read a heap, because the mode of its file is 0600 at every moment. */
#include "heap_files.h"
#include "steps.h"

static void the_mode_is_0600_whatever_the_umask(void **state)
{
    (void)state;
    static const mode_t masks[] = {0, 022, 077, 0777};
    for (size_t i = 0; i < COUNT(masks); i++) {
        char path[] = {'a', (char)('0' + i), '\0'};
        mode_t before = umask(masks[i]);
        assert_int_equal(use(path), 0);
        umask(before);
        assert_int_equal(mode_of(path), S_IFREG | 0600);
    }
}

static void a_file_that_others_could_read_becomes_0600(void **state)
{
    (void)state;
    write_file("a.filz", "");
    assert_int_equal(chmod("a.filz", 0644), 0);
    assert_int_equal(use("a.filz"), 0);
    assert_int_equal(mode_of("a.filz"), S_IFREG | 0600);
}

static void the_mode_of_an_unnamed_file_is_0600(void **state)
{
    (void)state;
    umask(0);
    filz_mmap heap = {.capacity = MIB};
    struct stat status;
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_int_equal(fstat(descriptor_of(&heap), &status), 0);
    assert_int_equal(status.st_nlink, 0);
    assert_int_equal(status.st_mode, S_IFREG | 0600);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* -- At every moment ----------------------------------------------------------------------------------------------- */

enum { OTHERS = S_IRWXG | S_IRWXO };

/* Whether others may read a file whose size is no longer `old`. The mode is read after the size: a file that others may
 * read then had that mode before. */
static bool shows_too_much(const char *path, off_t old)
{
    struct stat first, second;
    return stat(path, &first) == 0 && stat(path, &second) == 0 && (second.st_mode & OTHERS) &&
           first.st_ino == second.st_ino && first.st_size != old;
}

struct observer {
    size_t looks, wrong;
    off_t old;       /* size of the file of the last run; -1: there was none */
    unsigned rounds; /* goes up before the test itself changes the file */
    bool stop;
};

static void *observe(void *context)
{
    struct observer *observer = context;
    while (!__atomic_load_n(&observer->stop, __ATOMIC_SEQ_CST)) {
        unsigned round = __atomic_load_n(&observer->rounds, __ATOMIC_SEQ_CST);
        bool wrong = shows_too_much("a.filz", observer->old);
        observer->wrong += wrong && round == __atomic_load_n(&observer->rounds, __ATOMIC_SEQ_CST);
        observer->looks++;
    }
    return NULL;
}

/* Leaves the file of an earlier run that was made readable since, and returns its size; or leaves none, and returns -1.
 */
static off_t leave_a_file(bool leave)
{
    struct stat status;
    assert_int_equal(use("a.filz"), 0);
    assert_int_equal(chmod("a.filz", 0644), 0);
    assert_int_equal(stat("a.filz", &status), 0);
    if (leave)
        return status.st_size;
    assert_int_equal(unlink("a.filz"), 0);
    return -1;
}

static void no_other_user_can_read_the_file_at_any_moment(void **state)
{
    (void)state;
    umask(0);
    for (int leave = 0; leave < 2; leave++) {
        struct observer observer = {.old = leave_a_file(leave)};
        size_t rounds = rounds_of(1000);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, observe, &observer), 0);
        for (size_t i = 0; i < rounds; i++) {
            assert_int_equal(use("a.filz"), 0);
            __atomic_fetch_add(&observer.rounds, 1, __ATOMIC_SEQ_CST);
            assert_int_equal(leave ? chmod("a.filz", 0644) : unlink("a.filz"), 0);
        }
        __atomic_store_n(&observer.stop, true, __ATOMIC_SEQ_CST);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(observer.wrong, 0);
        print_message("%zu heaps opened %s, looked at %zu times\n", rounds, leave ? "over a file" : "anew",
                      observer.looks);
    }
}

static int open_with_umask_0(void *path)
{
    umask(0);
    filz_mmap heap = {.path = path, .capacity = 8 * MIB};
    EXPECT(filz_mmap_alloc(&heap, 4 * MIB, 1));
    pid_t child = fork();
    if (child == 0)
        _exit(filz_mmap_alloc(&heap, 2 * MIB, 1) == NULL);
    EXPECT(end_child(child) == 0);
    return filz_mmap_close(&heap);
}

/* Returns 0 if no other user may open one of the process's unnamed files. */
static int unnamed_files_are_private(pid_t pid)
{
    char path[64];
    struct stat status;
    for (int fd = 0; fd < 32; fd++) {
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
        if (stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 0)
            EXPECT((status.st_mode & OTHERS) == 0);
    }
    return 0;
}

/* Checks the file at each entry to the system and return from it. Returns how often; 0 if processes can't be traced. */
static size_t look_at_each_call(char *path, off_t old)
{
    size_t looks = 0;
    int status = -1;
    pid_t child = begin_steps(open_with_umask_0, path);
    if (child < 0)
        return 0;
    for (; status == -1; looks++) {
        status = go_a_step(child, STEP_CALL);
        assert_false(path != NULL && shows_too_much(path, old));
        assert_int_equal(unnamed_files_are_private(child), 0);
    }
    assert_int_equal(status, 0);
    return looks;
}

static void no_other_user_can_read_the_file_between_any_two_calls_to_the_system(void **state)
{
    (void)state;
    size_t looks = look_at_each_call(NULL, -1);
    if (looks == 0)
        SKIP("processes can't be traced here");
    looks += look_at_each_call("a.filz", leave_a_file(false));
    looks += look_at_each_call("a.filz", leave_a_file(true));
    print_message("looked %zu times\n", looks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(the_mode_is_0600_whatever_the_umask),
        IN_FRESH_DIRECTORY(a_file_that_others_could_read_becomes_0600),
        IN_FRESH_DIRECTORY(the_mode_of_an_unnamed_file_is_0600),
        IN_FRESH_DIRECTORY(no_other_user_can_read_the_file_at_any_moment),
        IN_FRESH_DIRECTORY(no_other_user_can_read_the_file_between_any_two_calls_to_the_system),
    };
    return cmocka_run_group_tests_name("file_permissions", tests, NULL, NULL);
}
