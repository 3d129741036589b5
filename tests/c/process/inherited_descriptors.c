/* A program that is started by exec(2) while heaps are open inherits none of their descriptors. */
#include "clones.h"
#include "each_kind.h"
#include "mounts.h"

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
    struct each_kind each;
    EXPECT(open_each_kind(&each) == 0);
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
    assert_int_equal(set_up_directory(), 0);
    int status = in_child(start_programs_with_heaps, NULL);
    if (status == SKIPPED)
        SKIP("a program can't start itself here");
    assert_int_equal(status, 0);
}

static void a_program_that_is_started_inherits_no_memfd(void **state)
{
    (void)state;
    assert_int_equal(set_up_directory(), 0);
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

int main(int argc, char **argv)
{
    if (argc > 1)
        return has_inherited(argv[1]);
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_program_that_is_started_inherits_no_descriptor),
        IN_FRESH_DIRECTORY(a_program_that_is_started_inherits_no_memfd),
        IN_FRESH_DIRECTORY(a_program_started_by_a_child_inherits_no_copy_of_the_heap),
    };
    return cmocka_run_group_tests_name("inherited_descriptors", tests, NULL, NULL);
}
