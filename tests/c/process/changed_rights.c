/* What changes around an open heap: the program's rights, its directories, its descriptors. The heap goes on. */
#include "clones.h"
#include "heap_files.h"

#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

enum { DESCRIPTORS = 4096 }; /* more than are ever open here */

/* -- Changes ------------------------------------------------------------------------------------------------------- */

/* Each of these changes the process; false if it can't be done here. */

static bool drop_rights(void)
{
    return setgroups(0, NULL) == 0 && setgid(12345) == 0 && setuid(12345) == 0;
}

static bool change_directory(void)
{
    return chdir("/") == 0;
}

static bool enter_directory_that_is_deleted(void)
{
    return mkdir("deleted", 0700) == 0 && chdir("deleted") == 0 && rmdir("../deleted") == 0;
}

static bool change_root(void)
{
    return mkdir("root", 0700) == 0 && chroot("root") == 0 && chdir("/") == 0;
}

static bool limit_descriptors(rlim_t most)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max < most)
        return false;
    limit.rlim_cur = most;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static bool use_up_descriptors(void)
{
    if (!limit_descriptors(64))
        return false;
    while (dup(STDERR_FILENO) >= 0)
        continue;
    /* valgrind, which has limits of its own, lets the system make the file. */
    return open("one-too-many", O_RDWR | O_CREAT, 0600) < 0 && errno == EMFILE && unlink("one-too-many") != 0;
}

/* What is mounted is then this process's own matter. */
static bool leave_mount_namespace(void)
{
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", "none", MS_REC | MS_PRIVATE, "") == 0;
}

static bool unmount_proc(void)
{
    return leave_mount_namespace() && umount2("/proc", MNT_DETACH) == 0;
}

/* Over the directory that its files are in. */
static bool mount_over_directory(void)
{
    return leave_mount_namespace() && mount("filz-test", fresh_directory, "tmpfs", 0, "") == 0;
}

static bool forbid_all_modes(void)
{
    umask(0777);
    return true;
}

static bool rename_files(void)
{
    return rename("named.filz", "renamed.filz") == 0 && rename("directory", "renamed-directory") == 0;
}

static bool delete_files(void)
{
    return unlink("named.filz") == 0 && unlink(default_path("directory")) == 0;
}

static bool close_descriptors(void)
{
    for (int fd = 3; fd < DESCRIPTORS; fd++)
        close(fd);
    return true;
}

struct change {
    const char *name;
    bool (*make)(void);
    bool paths_are_gone; /* so a file that should be removed may stay */
};

static const struct change changes[] = {
    {"another user", drop_rights, true},
    {"another directory", change_directory, false},
    {"a deleted directory", enter_directory_that_is_deleted, false},
    {"another root", change_root, true},
    {"no free descriptor", use_up_descriptors, false},
    {"no /proc", unmount_proc, false},
    {"a mount over its directory", mount_over_directory, true},
    {"umask 0777", forbid_all_modes, false},
    {"renamed files", rename_files, true},
    {"deleted files", delete_files, true},
};

/* -- A heap goes on ------------------------------------------------------------------------------------------------ */

/* With a path; in FILZ_DIR, the first one and the second; and nowhere of the user's choice. */
enum { BY_PATH, IN_DIRECTORY, SECOND_IN_DIRECTORY, UNNAMED, HEAPS };

struct life {
    filz_mmap heaps[HEAPS];
    char *blocks[HEAPS];
    const struct change *change;
    bool loses_descriptors, exits;
};

static int open_all(struct life *life)
{
    life->heaps[BY_PATH] = (filz_mmap){.path = "named.filz", .capacity = 128 * MIB};
    for (size_t i = IN_DIRECTORY; i < HEAPS; i++)
        life->heaps[i] = (filz_mmap){.capacity = 128 * MIB};
    for (size_t i = 0; i < HEAPS; i++) {
        if (i == UNNAMED)
            unsetenv("FILZ_DIR");
        life->blocks[i] = filz_mmap_alloc(&life->heaps[i], MIB, 1);
        EXPECT(life->blocks[i]);
        memset(life->blocks[i], 'b', MIB);
    }
    return 0;
}

/* A byte here and there is enough to know that it is there. */
static bool is_usable(char *block, size_t size)
{
    for (size_t i = 0; i < size; i += 64 * KIB) {
        if (block[i] != 0)
            return false;
        block[i] = 'u';
    }
    return true;
}

static int grow_all(struct life *life)
{
    for (size_t i = 0; i < HEAPS; i++) {
        char *block = filz_mmap_alloc_zeroed(&life->heaps[i], 64 * MIB, 1);
        EXPECT(block && is_usable(block, 64 * MIB));
        EXPECT(is_filled(life->blocks[i], 'b', MIB));
    }
    return 0;
}

static int go_on_in_child(void *context)
{
    struct life *life = context;
    for (size_t i = 0; i < HEAPS; i++) {
        EXPECT(is_filled(life->blocks[i], 'b', MIB));
        memset(life->blocks[i], 'c', MIB);
        EXPECT(filz_mmap_alloc(&life->heaps[i], 8 * MIB, 1));
    }
    _exit(0); /* a leak checker would look for /proc */
}

static int close_all(struct life *life)
{
    for (size_t i = 0; i < HEAPS; i++)
        EXPECT(filz_mmap_close(&life->heaps[i]) == 0);
    return 0;
}

/* Without the leak checker, which needs what isn't there any more; the library's own part of the exit is run. */
static int live(void *context)
{
    static struct life life;
    life = *(const struct life *)context;
    EXPECT(open_all(&life) == 0);
    EXPECT(!life.loses_descriptors || close_descriptors());
    if (!life.change->make())
        return SKIPPED;
    EXPECT(in_child(go_on_in_child, &life) == 0);
    EXPECT(grow_all(&life) == 0);
    if (life.exits)
        return 0;
    EXPECT(close_all(&life) == 0);
    _exit(0);
}

static int prepare(void)
{
    EXPECT(mkdir("directory", 0700) == 0 && chmod(".", 0755) == 0);
    EXPECT(setenv("FILZ_DIR", "directory", 1) == 0);
    return 0;
}

/* Whether the files that stay are whole, and no other is there. */
static void assert_left_in_order(const struct life *life)
{
    const char *named = exists("renamed.filz") ? "renamed.filz" : "named.filz";
    const char *directory = exists("renamed-directory") ? "renamed-directory" : "directory";
    if (life->change->make != delete_files && !life->loses_descriptors) {
        assert_int_equal(can_be_walked(named), 0);
        assert_int_equal(can_be_walked(default_path(directory)), 0);
    }
    if (!life->change->paths_are_gone)
        assert_int_equal(entries_in(directory), 1);
}

static void assert_goes_on(const struct change *change, bool loses_descriptors, bool exits)
{
    void *state = NULL;
    struct life life = {.change = change, .loses_descriptors = loses_descriptors, .exits = exits};
    assert_int_equal(enter_fresh_directory(&state), 0);
    assert_int_equal(prepare(), 0);
    int status = in_child(live, &life);
    if (status == SKIPPED)
        print_message("not tried: %s needs root, a mount namespace or a limit that is the system's own\n",
                      change->name);
    else if (status != 0)
        print_message("%s, descriptors %s, %s: failed\n", change->name, loses_descriptors ? "closed" : "open",
                      exits ? "exit" : "close");
    assert_true(status == 0 || status == SKIPPED);
    if (status == 0)
        assert_left_in_order(&life);
    assert_int_equal(leave_fresh_directory(&state), 0);
}

static void a_heap_goes_on_whatever_changes_around_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(changes); i++)
        for (int exits = 0; exits < 1 + !SANITIZED; exits++)
            assert_goes_on(&changes[i], false, exits);
}

static void a_heap_without_descriptors_goes_on_whatever_changes_around_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(changes); i++)
        if (changes[i].make != use_up_descriptors)
            assert_goes_on(&changes[i], true, i % 2 && !SANITIZED);
}

/* An unnamed heap grows in anonymous memory, since nobody can find its file again. A named one finds its file again as
 * soon as there is a descriptor. */
static int grow_without_free_descriptor(void *path)
{
    filz_mmap heap = {.path = path, .capacity = 64 * MIB};
    char *block = filz_mmap_alloc(&heap, MIB, 1);
    EXPECT(block);
    memset(block, 'b', MIB);
    if (!close_descriptors() || !use_up_descriptors())
        return SKIPPED;
    EXPECT((filz_mmap_alloc(&heap, 8 * MIB, 1) == NULL) == (path != NULL));
    EXPECT(close(63) == 0);
    char *more = filz_mmap_alloc_zeroed(&heap, 8 * MIB, 1);
    EXPECT(more && is_usable(more, 8 * MIB) && is_filled(block, 'b', MIB));
    EXPECT(filz_mmap_close(&heap) == 0);
    EXPECT(fcntl(62, F_GETFD) >= 0); /* the program's own are open */
    close_descriptors();
    return 0;
}

static void without_any_descriptor_an_unnamed_heap_grows_and_a_named_one_does_not(void **state)
{
    (void)state;
    int status = in_child(grow_without_free_descriptor, NULL);
    if (status == SKIPPED)
        SKIP("the limit isn't the system's");
    assert_int_equal(status, 0);
    assert_int_equal(in_child(grow_without_free_descriptor, "a.filz"), 0);
}

/* In a new root, another file has the path that the heap's had. */
static int find_decoy(void *unused)
{
    (void)unused;
    char inside[PATH_MAX + 8];
    filz_mmap heap = {.path = "heap.filz", .capacity = 16 * MIB};
    EXPECT(filz_mmap_open(&heap) == 0);
    snprintf(inside, sizeof(inside), "root%s", heap.heap->backing.location.path);
    for (char *slash = strchr(inside, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        EXPECT(mkdir(inside, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    write_file(inside, FOREIGN);
    if (chroot("root") != 0 || chdir("/") != 0)
        return SKIPPED;
    close_descriptors();
    EXPECT(filz_mmap_alloc(&heap, 8 * MIB, 1));
    EXPECT(filz_mmap_close(&heap) == 0);
    EXPECT(strcmp(text_of(inside + strlen("root")), FOREIGN) == 0);
    _exit(0);
}

static void another_file_under_the_heaps_path_in_a_new_root_is_untouched(void **state)
{
    (void)state;
    assert_int_equal(prepare(), 0);
    int status = in_child(find_decoy, NULL);
    if (status == SKIPPED)
        SKIP("chroot(2) needs root");
    assert_int_equal(status, 0);
}

/* -- exec ---------------------------------------------------------------------------------------------------------- */

/* The descriptors that a program gets by exec, one character each. */
struct inherited {
    char is_open[257];
};

static struct inherited inherited_now(void)
{
    struct inherited inherited = {""};
    for (int fd = 0; fd < 256; fd++) {
        int flags = fcntl(fd, F_GETFD);
        inherited.is_open[fd] = flags >= 0 && !(flags & FD_CLOEXEC) ? 'o' : '-';
    }
    return inherited;
}

/* Runs in the program that was started: whether it has those descriptors and no others. */
static int has_inherited(const char *expected)
{
    struct inherited inherited = inherited_now();
    EXPECT(strcmp(inherited.is_open, expected) == 0);
    return 0;
}

/* From vfork and from fork, with the heap's copy open. */
static int start_programs(struct inherited *inherited)
{
    int forked = in_child(start_this_program, inherited->is_open);
    pid_t child = clone_without_handlers();
    if (child == 0)
        _exit(start_this_program(inherited->is_open));
    int cloned = end_child(child);
    return forked != 0 ? forked : cloned;
}

/* Where no directory can be written, so that the file is a memfd. */
static bool make_directories_read_only(void)
{
    return leave_mount_namespace() && setenv("TMPDIR", "missing", 1) == 0 &&
           mount("/tmp", "/tmp", "", MS_BIND, "") == 0 &&
           mount("/tmp", "/tmp", "", MS_REMOUNT | MS_BIND | MS_RDONLY, "") == 0;
}

static int start_programs_with_heaps(void *unused)
{
    (void)unused;
    struct inherited before = inherited_now();
    struct life life = {.change = NULL};
    EXPECT(open_all(&life) == 0);
    return start_programs(&before);
}

static int start_programs_with_memfd(void *unused)
{
    (void)unused;
    struct inherited before = inherited_now();
    filz_mmap heap = {.capacity = 8 * MIB};
    unsetenv("FILZ_DIR");
    if (!make_directories_read_only())
        return SKIPPED;
    EXPECT(filz_mmap_alloc(&heap, MIB, 1));
    return start_programs(&before);
}

static void a_program_that_is_started_inherits_no_descriptor(void **state)
{
    (void)state;
    assert_int_equal(prepare(), 0);
    int status = in_child(start_programs_with_heaps, NULL);
    if (status == SKIPPED)
        SKIP("a program can't start itself here");
    assert_int_equal(status, 0);
}

static void a_program_that_is_started_inherits_no_memfd(void **state)
{
    (void)state;
    assert_int_equal(prepare(), 0);
    int status = in_child(start_programs_with_memfd, NULL);
    if (status == SKIPPED)
        SKIP("mounting needs root and a mount namespace, or a program can't start itself here");
    assert_int_equal(status, 0);
}

static int start_program_in_grandchild(void *expected)
{
    return in_child(start_this_program, expected);
}

static int start_program_in_childs_child(void *unused)
{
    (void)unused;
    struct inherited before = inherited_now();
    filz_mmap heap = {.path = "a.filz", .capacity = 8 * MIB};
    EXPECT(filz_mmap_alloc(&heap, MIB, 1));
    return in_child(start_program_in_grandchild, before.is_open);
}

static void a_program_started_by_a_child_inherits_no_copy_of_the_heap(void **state)
{
    (void)state;
    int status = in_child(start_program_in_childs_child, NULL);
    if (status == SKIPPED)
        SKIP("a program can't start itself here");
    assert_int_equal(status, 0);
}

/* -- A program that closes every descriptor, and opens many files of its own --------------------------------------- */

#define GIB (KIB * MIB)

enum { USERS_FILES = 1000 };

static bool close_range_from_three(void)
{
#ifdef SYS_close_range
    return syscall(SYS_close_range, 3, ~0U, 0) == 0;
#else
    return false;
#endif
}

/* What stands in the user's file of this number. */
static const char *users_text(int number)
{
    static char text[64];
    snprintf(text, sizeof(text), "the user's file number %d\n", number);
    return text;
}

static const char *users_path(int number)
{
    static char path[64];
    snprintf(path, sizeof(path), "user-%d", number);
    return path;
}

static int open_users_files(int *fds)
{
    for (int i = 0; i < USERS_FILES; i++) {
        fds[i] = open(users_path(i), O_RDWR | O_CREAT | O_TRUNC, 0600);
        ssize_t length = (ssize_t)strlen(users_text(i));
        EXPECT(fds[i] >= 0 && write(fds[i], users_text(i), (size_t)length) == length);
    }
    return 0;
}

/* Byte for byte, and the descriptors are still theirs. */
static int users_files_are_untouched(const int *fds)
{
    struct stat by_path, by_fd;
    for (int i = 0; i < USERS_FILES; i++) {
        EXPECT(stat(users_path(i), &by_path) == 0 && fstat(fds[i], &by_fd) == 0);
        EXPECT(by_path.st_ino == by_fd.st_ino && by_path.st_size == (off_t)strlen(users_text(i)));
        EXPECT(strcmp(text_of(users_path(i)), users_text(i)) == 0);
    }
    return 0;
}

struct closing {
    bool (*close)(void);
    const char *path;
    int grown[2], end[2];
};

/* By blocks of 16 MiB, each written at both ends: what is written takes up RAM, and goes to the disk. */
static int grow_by_a_GiB(filz_mmap *heap)
{
    filz_mmap_info before, after;
    EXPECT(filz_mmap_stats(heap, &before) == 0);
    for (size_t i = 0; i < GIB / (16 * MIB); i++) {
        char *block = filz_mmap_alloc(heap, 16 * MIB, 1);
        EXPECT(block);
        block[0] = block[16 * MIB - 1] = 'g';
    }
    EXPECT(filz_mmap_stats(heap, &after) == 0);
    EXPECT(after.used >= before.used + GIB && after.committed >= after.used);
    return 0;
}

static int close_everything_and_grow(void *context)
{
    struct closing *closing = context;
    static int fds[USERS_FILES];
    filz_mmap heap = {.path = closing->path, .capacity = GIB + 128 * MIB};
    if (!limit_descriptors(DESCRIPTORS) || filz_mmap_open(&heap) == ENOMEM)
        return SKIPPED;
    int grown = fcntl(closing->grown[1], F_DUPFD, 3000), end = fcntl(closing->end[0], F_DUPFD, 3000);
    char *block = filz_mmap_alloc(&heap, MIB, 1), byte;
    EXPECT(block && grown >= 3000 && end >= 3000);
    memset(block, 'b', MIB);
    dup2(grown, STDOUT_FILENO); /* where closing doesn't reach it */
    dup2(end, STDIN_FILENO);
    if (!closing->close())
        return SKIPPED;
    EXPECT(open_users_files(fds) == 0);
    EXPECT(grow_by_a_GiB(&heap) == 0);
    EXPECT(is_filled(block, 'b', MIB));
    EXPECT(write(STDOUT_FILENO, "", 1) == 1 && read(STDIN_FILENO, &byte, 1) == 0);
    EXPECT(filz_mmap_close(&heap) == 0);
    return users_files_are_untouched(fds);
}

/* Returns the exit status of the process that grew; meanwhile nobody else gets its file. */
static int grow_in_child(struct closing *closing)
{
    char byte;
    assert_int_equal(pipe(closing->grown), 0);
    assert_int_equal(pipe(closing->end), 0);
    pid_t child = begin_child(close_everything_and_grow, closing);
    close(closing->grown[1]);
    close(closing->end[0]);
    ssize_t length = read(closing->grown[0], &byte, 1);
    int error = length == 1 && closing->path != NULL ? use(closing->path) : FILZ_EINUSE;
    close(closing->grown[0]);
    close(closing->end[1]);
    int status = end_child(child);
    assert_int_equal(error, FILZ_EINUSE);
    return status;
}

static void a_heap_without_its_descriptor_grows_by_a_GiB_beside_1000_files_of_the_users(void **state)
{
    (void)state;
    static bool (*const ways[])(void) = {close_descriptors, close_range_from_three};
    struct statvfs system;
    assert_int_equal(statvfs(".", &system), 0);
    if ((unsigned long long)system.f_bavail * system.f_frsize < 2ull * GIB)
        SKIP("less than 2 GiB are free here");
    for (size_t i = 0; i < 2 * COUNT(ways); i++) {
        struct closing closing = {.close = ways[i / 2], .path = i % 2 ? "a.filz" : NULL};
        int status = grow_in_child(&closing);
        if (status == SKIPPED)
            print_message("not tried: too little address space, too few descriptors, or no close_range(2)\n");
        else
            assert_int_equal(status, 0);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return has_inherited(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_heap_goes_on_whatever_changes_around_it),
        cmocka_unit_test(a_heap_without_descriptors_goes_on_whatever_changes_around_it),
        IN_FRESH_DIRECTORY(without_any_descriptor_an_unnamed_heap_grows_and_a_named_one_does_not),
        IN_FRESH_DIRECTORY(another_file_under_the_heaps_path_in_a_new_root_is_untouched),
        IN_FRESH_DIRECTORY(a_program_that_is_started_inherits_no_descriptor),
        IN_FRESH_DIRECTORY(a_program_that_is_started_inherits_no_memfd),
        IN_FRESH_DIRECTORY(a_program_started_by_a_child_inherits_no_copy_of_the_heap),
        IN_FRESH_DIRECTORY(a_heap_without_its_descriptor_grows_by_a_GiB_beside_1000_files_of_the_users),
    };
    return cmocka_run_group_tests_name("changed_rights", tests, NULL, NULL);
}
