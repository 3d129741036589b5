/* A heap's file is locked while it is mapped, also if it has no name: another process that opens it by /proc can tell
 * that it is in use. */
#include "unnamed.h"

#include <sys/file.h>

/* A file that a process has open. */
struct open_file {
    pid_t pid;
    int fd;
};

/* In another process, which opens the file anew, so that the owner's lock isn't its own. */
static int cannot_lock(void *context)
{
    const struct open_file *file = context;
    char path[64];
    snprintf(path, sizeof(path), "/proc/%ld/fd/%d", (long)file->pid, file->fd);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return SKIPPED;
    EXPECT(flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK);
    EXPECT(flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK);
    return close(fd);
}

/* The heap's file is the one that wasn't open `before`. Closes the heap. */
static void assert_locked(filz_mmap *heap, const struct unnamed_files *before)
{
    struct open_file file = {getpid(), new_unnamed_file(before)};
    assert_null(stats_of(heap).path);
    int status = in_child(cannot_lock, &file);
    assert_int_equal(filz_mmap_close(heap), 0);
    if (status == SKIPPED)
        SKIP("/proc doesn't let another process's files be opened");
    assert_int_equal(status, 0);
}

static void the_unnamed_file_of_a_heap_in_TMPDIR_is_locked(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    struct unnamed_files before = unnamed_files_now();
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_locked(&heap, &before);
}

static void the_unnamed_file_of_a_programs_second_heap_is_locked(void **state)
{
    (void)state;
    assert_int_equal(mkdir("memory", 0700), 0);
    filz_mmap first = {.capacity = MIB}, second = {.capacity = MIB};
    assert_int_equal(filz_mmap_open(&first), 0);
    struct unnamed_files before = unnamed_files_now();
    assert_int_equal(filz_mmap_open(&second), 0);
    assert_locked(&second, &before);
    assert_int_equal(filz_mmap_close(&first), 0);
}

/* -- Files of a child ---------------------------------------------------------------------------------------------- */

/* A process with a heap. It says by one pipe which descriptor the heap's file has, and waits for the end of another. */
struct owner {
    filz_mmap *heap;
    struct unnamed_files before;
    int ready[2], go[2];
};

static int say_descriptor(const struct owner *owner, int fd)
{
    char byte;
    close(owner->go[1]);
    EXPECT(write(owner->ready[1], &fd, sizeof(fd)) == sizeof(fd));
    EXPECT(read(owner->go[0], &byte, 1) == 0);
    _exit(0); /* a leak checker would look for /proc, which may not be there */
}

static int open_where_nothing_can_be_written(void *context)
{
    struct owner *owner = context;
    if (chroot(".") != 0)
        return say_descriptor(owner, -1);
    unsetenv("TMPDIR");
    EXPECT(filz_mmap_open(owner->heap) == 0);
    return say_descriptor(owner, new_unnamed_file(&owner->before));
}

static int have_the_parents_heap(void *context)
{
    struct owner *owner = context;
    void *block = filz_mmap_alloc(owner->heap, 100, 1);
    EXPECT(block != NULL);
    return say_descriptor(owner, new_unnamed_file(&owner->before));
}

/* Returns what cannot_lock does, or SKIPPED if the child has no unnamed file. */
static int try_file_of_child(int (*body)(void *), struct owner owner)
{
    struct open_file file;
    assert_int_equal(pipe(owner.ready) | pipe(owner.go), 0);
    file.pid = begin_child(body, &owner);
    close(owner.ready[1]);
    close(owner.go[0]);
    assert_int_equal(read(owner.ready[0], &file.fd, sizeof(file.fd)), sizeof(file.fd));
    int status = file.fd >= 0 ? in_child(cannot_lock, &file) : SKIPPED;
    close(owner.go[1]);
    close(owner.ready[0]);
    assert_int_equal(end_child(file.pid), 0);
    return status;
}

static void a_heap_that_is_in_memory_is_locked(void **state)
{
    (void)state;
    NEED_LINUX("files in memory without /dev/shm");
    filz_mmap heap = {.capacity = MIB};
    struct owner owner = {.heap = &heap, .before = unnamed_files_now()};
    int status = try_file_of_child(open_where_nothing_can_be_written, owner);
    if (status == SKIPPED)
        SKIP("chroot(2) needs root, and /proc must let another process's files be opened");
    assert_int_equal(status, 0);
}

static void the_copy_that_the_child_of_a_fork_has_is_locked(void **state)
{
    (void)state;
    filz_mmap heap = {.path = "parent.filz", .capacity = MIB};
    struct owner owner = {.heap = &heap, .before = unnamed_files_now()};
    void *block = filz_mmap_alloc(&heap, 100, 1);
    assert_non_null(block);
    int status = try_file_of_child(have_the_parents_heap, owner);
    assert_int_equal(filz_mmap_close(&heap), 0);
    if (status == SKIPPED)
        SKIP("there was no room for a copy, or /proc doesn't let another process's files be opened");
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(the_unnamed_file_of_a_heap_in_TMPDIR_is_locked),
        IN_FRESH_DIRECTORY(the_unnamed_file_of_a_programs_second_heap_is_locked),
        IN_FRESH_DIRECTORY(a_heap_that_is_in_memory_is_locked),
        IN_FRESH_DIRECTORY(the_copy_that_the_child_of_a_fork_has_is_locked),
    };
    return cmocka_run_group_tests_name("unnamed_locks", tests, NULL, NULL);
}
