/* A file that gets its name when it is complete: with a name until then and without, whatever fails on the way, and
 * when a signal comes. */
#include "../../c/tool/new_file.h"
#include "support.h"

/* -- A system where some calls fail -------------------------------------------------------------------------------- */

static bool has_unnamed, has_links;
static int no_room_at, syncs; /* the number of the fsync that fails; 0: none does */

int __real_openat(int directory, const char *path, int flags, ...);
int __wrap_openat(int directory, const char *path, int flags, ...);
int __wrap_openat64(int directory, const char *path, int flags, ...);
int __real_linkat(int from, const char *path, int to, const char *name, int flags);
int __wrap_linkat(int from, const char *path, int to, const char *name, int flags);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __wrap_openat(int directory, const char *path, int flags, ...)
{
    if ((flags & O_TMPFILE) != O_TMPFILE || has_unnamed)
        return __real_openat(directory, path, flags, S_IRUSR | S_IWUSR);
    errno = EOPNOTSUPP;
    return -1;
}

int __wrap_openat64(int directory, const char *path, int flags, ...)
{
    return __wrap_openat(directory, path, flags);
}

int __wrap_linkat(int from, const char *path, int to, const char *name, int flags)
{
    if (has_links)
        return __real_linkat(from, path, to, name, flags);
    errno = EPERM;
    return -1;
}

int __wrap_fsync(int fd)
{
    if (++syncs != no_room_at)
        return __real_fsync(fd);
    errno = ENOSPC;
    return -1;
}

/* -- Files in a fresh directory ------------------------------------------------------------------------------------ */

static const struct system {
    bool has_unnamed, has_links;
} systems[] = {{true, true}, {false, true}, {false, false}};

static void begin_in(struct system system, struct new_file *file)
{
    struct problem problem;
    has_unnamed = system.has_unnamed;
    has_links = system.has_links;
    no_room_at = syncs = 0;
    assert_true(new_file_open(file, "copy", &problem));
    assert_int_equal(entries_in("."), has_unnamed ? 0 : 1);
    assert_false(exists("copy"));
    assert_int_equal(write(file->fd, "whole", 5), 5);
}

static void a_file_has_its_name_when_it_is_complete(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(systems); i++) {
        struct new_file file;
        struct problem problem;
        struct stat status;
        begin_in(systems[i], &file);
        assert_true(new_file_publish(&file, 0640, &problem));
        new_file_close(&file);
        assert_int_equal(syncs, 2);
        assert_int_equal(entries_in("."), 1);
        assert_int_equal(stat("copy", &status), 0);
        assert_int_equal(status.st_size, 5);
        assert_int_equal(status.st_mode & 07777, 0640);
        assert_int_equal(unlink("copy"), 0);
    }
}

static void a_file_that_came_there_meanwhile_stays(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(systems); i++) {
        struct new_file file;
        struct problem problem;
        struct stat status;
        begin_in(systems[i], &file);
        write_file("copy", "");
        assert_false(new_file_publish(&file, 0600, &problem));
        assert_string_equal(problem.what, "already exists, and is never overwritten");
        new_file_close(&file);
        assert_int_equal(entries_in("."), 1);
        assert_int_equal(stat("copy", &status), 0);
        assert_int_equal(status.st_size, 0);
        assert_int_equal(unlink("copy"), 0);
    }
}

static void where_it_can_not_be_brought_to_the_disk_there_is_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(systems); i++)
        for (int which = 1; which <= 2; which++) { /* the file, the directory */
            struct new_file file;
            struct problem problem;
            begin_in(systems[i], &file);
            no_room_at = which;
            assert_false(new_file_publish(&file, 0600, &problem));
            assert_string_equal(problem.what, "no disk space is left");
            new_file_close(&file);
            assert_int_equal(syncs, which);
            assert_int_equal(entries_in("."), 0);
        }
}

static void a_file_that_is_only_closed_is_gone(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(systems); i++) {
        struct new_file file;
        begin_in(systems[i], &file);
        new_file_close(&file);
        assert_int_equal(entries_in("."), 0);
    }
}

static void after_a_signal_there_is_none(void **state)
{
    static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    (void)state;
    for (size_t i = 0; i < COUNT(systems) * COUNT(signals); i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            struct new_file file;
            begin_in(systems[i % COUNT(systems)], &file);
            raise(signals[i / COUNT(systems)]);
            _exit(1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), signals[i / COUNT(systems)]);
        assert_int_equal(entries_in("."), 0);
    }
}

static void a_signal_that_is_ignored_stays_ignored(void **state)
{
    (void)state;
    struct new_file file;
    signal(SIGHUP, SIG_IGN);
    begin_in(systems[1], &file);
    raise(SIGHUP);
    assert_int_equal(entries_in("."), 1);
    new_file_close(&file);
    signal(SIGHUP, SIG_DFL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_file_has_its_name_when_it_is_complete),
        IN_FRESH_DIRECTORY(a_file_that_came_there_meanwhile_stays),
        IN_FRESH_DIRECTORY(where_it_can_not_be_brought_to_the_disk_there_is_none),
        IN_FRESH_DIRECTORY(a_file_that_is_only_closed_is_gone),
        IN_FRESH_DIRECTORY(after_a_signal_there_is_none),
        IN_FRESH_DIRECTORY(a_signal_that_is_ignored_stays_ignored),
    };
    return cmocka_run_group_tests_name("new_file", tests, NULL, NULL);
}
