/* A heap that can't be opened says what is in the way: the variable that makes the capacity too small, or the call that
 * the system refused. */
#include "support.h"

#include <sys/ioctl.h>
#include <sys/syscall.h>

#define PATH "refused.filz"

static filz_mmap persistent_heap(size_t capacity)
{
    return (filz_mmap){.path = PATH, .capacity = capacity, .flags = FILZ_MMAP_PERSISTENT, .tag = 1};
}

/* What two calls say of a heap that can't be opened. */
struct refusal {
    int error;        /* filz_mmap_open's */
    int errno_value;  /* of an allocation; 0 if there was one */
    const char *line; /* of an allocation on standard error */
};

static struct refusal refusal_of(filz_mmap heap)
{
    struct refusal refusal = {.error = filz_mmap_open(&heap)};
    assert_int_equal(filz_mmap_close(&heap), 0);
    int before = dup(STDERR_FILENO), said = open("said", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(dup2(said, STDERR_FILENO), STDERR_FILENO);
    errno = 0;
    void *block = filz_mmap_alloc(&heap, 1, 1);
    refusal.errno_value = block == NULL ? errno : 0;
    dup2(before, STDERR_FILENO);
    close(before);
    close(said);
    assert_int_equal(filz_mmap_close(&heap), 0);
    refusal.line = text_of("said");
    return refusal;
}

static bool is_one_line(const char *text)
{
    const char *end = strchr(text, '\n');
    return end != NULL && end[1] == '\0';
}

/* -- A capacity that is too small ---------------------------------------------------------------------------------- */

/* A persistent heap with a block of 3 MiB that its root leads to. */
static void make_heap_of_3_MiB(void)
{
    filz_mmap heap = persistent_heap(8 * MIB);
    char *block = filz_mmap_alloc(&heap, 3 * MIB, 1);
    assert_non_null(block);
    memset(block, 'b', 3 * MIB);
    assert_int_equal(filz_mmap_set_root(&heap, block), 0);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void assert_opens(filz_mmap heap)
{
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_true(is_filled(filz_mmap_root(&heap), 'b', 3 * MIB));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_FILZ_CAPACITY_less_than_the_heap_is_FILZ_ETOOSMALL_and_the_line_names_it(void **state)
{
    (void)state;
    static const unsigned flags[] = {FILZ_MMAP_PERSISTENT, FILZ_MMAP_PRIVATE};
    make_heap_of_3_MiB();
    setenv("FILZ_CAPACITY", "1M", 1);
    for (size_t i = 0; i < COUNT(flags); i++) {
        filz_mmap heap = persistent_heap(0);
        heap.flags = flags[i];
        struct refusal refusal = refusal_of(heap);
        assert_int_equal(refusal.error, FILZ_ETOOSMALL);
        assert_true(is_one_line(refusal.line));
        assert_non_null(strstr(refusal.line, "FILZ_CAPACITY"));
        assert_non_null(strstr(refusal.line, filz_error_text(FILZ_ETOOSMALL)));
        assert_int_equal(refusal.errno_value, ENOMEM);
    }
    setenv("FILZ_CAPACITY", "4M", 1);
    assert_opens(persistent_heap(0));
}

static void a_capacity_field_less_than_the_heap_is_not_blamed_on_FILZ_CAPACITY(void **state)
{
    (void)state;
    make_heap_of_3_MiB();
    setenv("FILZ_CAPACITY", "8M", 1);
    struct refusal refusal = refusal_of(persistent_heap(MIB));
    assert_int_equal(refusal.error, FILZ_ETOOSMALL);
    assert_true(is_one_line(refusal.line));
    assert_null(strstr(refusal.line, "FILZ_CAPACITY"));
    assert_non_null(strstr(refusal.line, PATH));
    assert_int_equal(refusal.errno_value, ENOMEM);
    assert_opens(persistent_heap(0));
}

/* -- A call that the system refuses -------------------------------------------------------------------------------- */

/* As chattr(1) with +i or -i; false where that can't be done. The values are those of <linux/fs.h>, which not every C
 * library comes with; they speak of a long, and the system takes an int. The types of ioctl differ between C libraries.
 */
static bool set_immutable(const char *path, bool immutable)
{
    const int immutable_flag = 0x10;
    int flags = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool done = syscall(SYS_ioctl, fd, _IOR('f', 1, long), &flags) == 0;
    flags = immutable ? flags | immutable_flag : flags & ~immutable_flag;
    done = done && syscall(SYS_ioctl, fd, _IOW('f', 2, long), &flags) == 0;
    close(fd);
    return done;
}

/* The system says EPERM to open(2), which isn't about the file's owner. Nothing is asserted while something is
 * immutable, since it couldn't be removed. */
static void assert_refused_by_open(const char *immutable, filz_mmap heap, const char *path)
{
    if (!set_immutable(immutable, true))
        SKIP("no file can be made immutable: that needs a capability, and a file system that can");
    struct refusal refusal = refusal_of(heap);
    assert_true(set_immutable(immutable, false));
    assert_true(refusal.error == EPERM || refusal.error == EACCES);
    assert_int_equal(refusal.errno_value, refusal.error);
    assert_null(strstr(filz_error_text(refusal.error), "another user"));
    assert_true(is_one_line(refusal.line));
    assert_non_null(strstr(refusal.line, path));
    assert_non_null(strstr(refusal.line, "open: "));
    assert_null(strstr(refusal.line, "another user"));
}

static void make_heap_in(const char *directory)
{
    setenv("FILZ_DIR", directory, 1);
    filz_mmap heap = {.capacity = MIB};
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_non_null(stats_of(&heap).path);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void an_immutable_file_is_refused_by_open_and_is_nobody_elses(void **state)
{
    (void)state;
    make_heap_of_3_MiB();
    assert_refused_by_open(PATH, persistent_heap(0), "/" PATH);
    assert_opens(persistent_heap(0));
}

static void an_immutable_file_in_FILZ_DIR_is_refused_by_open(void **state)
{
    (void)state;
    char path[PATH_MAX];
    assert_int_equal(mkdir("chosen", 0700), 0);
    make_heap_in("chosen");
    snprintf(path, sizeof(path), "chosen/%.200s.filz", program_invocation_short_name);
    assert_refused_by_open(path, (filz_mmap){.capacity = MIB}, path);
}

static void a_file_in_an_immutable_directory_is_refused_by_open(void **state)
{
    (void)state;
    assert_int_equal(mkdir("chosen", 0700), 0);
    assert_refused_by_open("chosen", (filz_mmap){.path = "chosen/new.filz", .capacity = MIB}, "chosen/new.filz");
    assert_int_equal(entries_in("chosen"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_FILZ_CAPACITY_less_than_the_heap_is_FILZ_ETOOSMALL_and_the_line_names_it),
        IN_FRESH_DIRECTORY(a_capacity_field_less_than_the_heap_is_not_blamed_on_FILZ_CAPACITY),
        IN_FRESH_DIRECTORY(an_immutable_file_is_refused_by_open_and_is_nobody_elses),
        IN_FRESH_DIRECTORY(an_immutable_file_in_FILZ_DIR_is_refused_by_open),
        IN_FRESH_DIRECTORY(a_file_in_an_immutable_directory_is_refused_by_open),
    };
    return cmocka_run_group_tests_name("refused_calls", tests, NULL, NULL);
}
