/* A program that is run with the rights of another user (set-user-id) reads no variable and looks for no memory/. */
#include "forks.h"
#include "heap_files.h"

#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>

/* A bit for each variable that had an effect on a program, and for what else it found. */
enum effect {
    DIR_WORKS = 1,
    CAPACITY_WORKS = 2,
    QUIET_WORKS = 4,
    FORK_WORKS = 8,
    MEMORY_WORKS = 16,
    TMPDIR_WORKS = 32,
    IS_SECURE = 64,
    FAILED_TO_OPEN = 128
};

static bool is_silent(void)
{
    int ends[2], before = dup(STDERR_FILENO);
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0 || dup2(ends[1], STDERR_FILENO) < 0)
        return true;
    filz_mmap heap = {.path = "/missing/a.filz", .capacity = MIB};
    bool is_refused = filz_mmap_alloc(&heap, 1, 1) == NULL;
    dup2(before, STDERR_FILENO);
    char byte;
    return is_refused && read(ends[0], &byte, 1) != 1;
}

static bool is_in_directory(const filz_mmap *heap, const char *directory)
{
    char link[64], place[PATH_MAX] = "";
    snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor_of(heap));
    return readlink(link, place, sizeof(place) - 1) > 0 && strstr(place, directory) != NULL;
}

/* What the program does that is run as another user. Returns the effects. */
static int report_effects(void)
{
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* so that it can look into its own /proc */
    int effects = getauxval(AT_SECURE) ? IS_SECURE : 0;
    filz_mmap heap = FILZ_MMAP_INIT;
    filz_mmap_info info;
    if (filz_mmap_open(&heap) != 0 || filz_mmap_stats(&heap, &info) != 0)
        return FAILED_TO_OPEN;
    effects |= info.path != NULL ? DIR_WORKS : 0;
    effects |= info.capacity == 3 * MIB ? CAPACITY_WORKS : 0;
    effects |= is_silent() ? QUIET_WORKS : 0;
    effects |= child_of_fork_has_private_heap() == 1 ? FORK_WORKS : 0;
    filz_mmap_close(&heap);
    unsetenv("FILZ_DIR");
    if (filz_mmap_open(&heap) != 0 || filz_mmap_stats(&heap, &info) != 0)
        return FAILED_TO_OPEN;
    effects |= info.path != NULL ? MEMORY_WORKS : 0;
    filz_mmap_close(&heap);
    if (chdir("directory") != 0)
        return FAILED_TO_OPEN;
    effects |= filz_mmap_open(&heap) == 0 && is_in_directory(&heap, "/temporary/") ? TMPDIR_WORKS : 0;
    return effects;
}

/* Runs the copy of this program as a user who is neither root nor the owner of the copy. */
static int run_copy(void *unused)
{
    (void)unused;
    setenv("FILZ_DIR", "directory", 1);
    setenv("FILZ_CAPACITY", "3M", 1);
    setenv("FILZ_QUIET", "1", 1);
    setenv("FILZ_FORK", "private", 1);
    char temporary[sizeof(fresh_directory) + 16];
    snprintf(temporary, sizeof(temporary), "%s/temporary", fresh_directory);
    setenv("TMPDIR", temporary, 1);
    if (setgid(12345) != 0 || setuid(12345) != 0)
        return SKIPPED;
    execl("copy", "copy", "as another user", (char *)NULL);
    return SKIPPED;
}

static int copy_program(mode_t mode)
{
    static char bytes[64 * KIB];
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to = open("copy", O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    ssize_t length;
    while ((length = read(from, bytes, sizeof(bytes))) > 0)
        if (write(to, bytes, (size_t)length) != length)
            return -1;
    close(from);
    bool is_good = length == 0 && fchown(to, 23456, 23456) == 0 && fchmod(to, mode) == 0;
    return close(to) == 0 && is_good ? 0 : -1;
}

static void a_set_user_id_program_reads_no_environment_and_no_memory_directory(void **state)
{
    (void)state;
    struct statvfs system;
    if (geteuid() != 0)
        SKIP("only root can make such a program");
    assert_int_equal(statvfs(".", &system), 0);
    if (system.f_flag & ST_NOSUID)
        SKIP("the directory is mounted nosuid");
    umask(0);
    assert_int_equal(chmod(".", 0755), 0);
    assert_int_equal(mkdir("directory", 0777), 0);
    assert_int_equal(mkdir("temporary", 0777), 0);
    assert_int_equal(mkdir("memory", 0777), 0);
    assert_int_equal(copy_program(0755), 0);
    int plainly = in_child(run_copy, NULL);
    if (plainly == SKIPPED || plainly == 127)
        SKIP("another user can't run a program here");
    assert_int_equal(plainly, DIR_WORKS | CAPACITY_WORKS | QUIET_WORKS | FORK_WORKS | MEMORY_WORKS | TMPDIR_WORKS);
    assert_int_equal(unlink("directory/copy.filz") || unlink("memory/copy.filz"), 0);
    assert_int_equal(unlink("copy") || copy_program(04755), 0);
    int as_owner = in_child(run_copy, NULL);
    if (!(as_owner & IS_SECURE))
        SKIP("the set-user-id bit does nothing here");
    assert_int_equal(as_owner, IS_SECURE);
    assert_int_equal(entries_in("directory") + entries_in("temporary"), 0);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        _exit(report_effects());
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_set_user_id_program_reads_no_environment_and_no_memory_directory),
    };
    return cmocka_run_group_tests_name("set_user_id", tests, NULL, NULL);
}
