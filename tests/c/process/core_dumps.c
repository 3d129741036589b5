/* Whether a heap is in a core dump: as its flag says, and the same for a file with a name and one without. */
#include "mappings.h"

#include <dirent.h>
#include <sys/resource.h>

struct kind {
    const char *path;
    unsigned flags;
};

static const struct kind kinds[] = {
    {NULL, 0},
    {"heap.filz", 0},
    {NULL, FILZ_MMAP_DUMP},
    {"heap.filz", FILZ_MMAP_DUMP},
};

/* -- What the kernel has been told --------------------------------------------------------------------------------- */

/* "dd" keeps a mapping out of dumps. */
static int is_marked(const struct kind *kind, const filz_mmap *heap)
{
    struct marks hidden = marks_of(heap, NULL, "dd");
    if (kind->flags & FILZ_MMAP_DUMP)
        EXPECT(hidden.without > 0 && hidden.with == 0);
    else
        EXPECT(hidden.with > 0 && hidden.without == 0);
    return 0;
}

struct inherited {
    const struct kind *kind;
    filz_mmap *heap;
};

static int is_marked_in_child(void *context)
{
    const struct inherited *inherited = context;
    EXPECT(filz_mmap_alloc(inherited->heap, MIB, 1) != NULL);
    return is_marked(inherited->kind, inherited->heap);
}

static void grow_and_fork(const struct kind *kind)
{
    filz_mmap heap = {.path = kind->path, .flags = kind->flags};
    assert_non_null(filz_mmap_alloc(&heap, 1, 1));
    assert_int_equal(is_marked(kind, &heap), 0);
    for (int i = 0; i < 20; i++)
        assert_non_null(filz_mmap_alloc(&heap, MIB, 1));
    assert_int_equal(is_marked(kind, &heap), 0);
    assert_int_equal(in_child(is_marked_in_child, &(struct inherited){kind, &heap}), 0);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void every_page_is_marked_also_after_growth_and_fork(void **state)
{
    (void)state;
    NEED_LINUX("such marks");
    if (!kernel_marks(MADV_DONTDUMP, "dd"))
        SKIP("/proc/self/smaps doesn't tell what is kept out of dumps");
    for (size_t i = 0; i < COUNT(kinds); i++)
        grow_and_fork(&kinds[i]);
    setenv("FILZ_FORK", "private", 1);
    for (size_t i = 0; i < COUNT(kinds); i++)
        grow_and_fork(&kinds[i]);
}

/* -- What the kernel does ------------------------------------------------------------------------------------------ */

enum { SECRET_LENGTH = 64 };

/* The whole secret is in no other memory of this program's, where it would be in the dump anyway. */
static char secret_byte(size_t i)
{
    return (char)(i * i * 7 % 251 + 1);
}

static void write_secret(volatile char *block)
{
    for (size_t i = 0; i < SECRET_LENGTH; i++)
        block[i] = secret_byte(i);
}

static bool holds_secret(const char *bytes, size_t length)
{
    for (size_t at = 0; at + SECRET_LENGTH <= length; at++) {
        size_t same = 0;
        while (same < SECRET_LENGTH && bytes[at + same] == secret_byte(same))
            same++;
        if (same == SECRET_LENGTH)
            return true;
    }
    return false;
}

static int crash(void *kind)
{
    filz_mmap heap = {.path = ((struct kind *)kind)->path, .flags = ((struct kind *)kind)->flags};
    char *block = filz_mmap_alloc(&heap, SECRET_LENGTH, 1);
    EXPECT(block != NULL);
    write_secret(block);
    write_file("/proc/self/coredump_filter", "0x3b"); /* with files that have a name: core(5) */
    EXPECT(setrlimit(RLIMIT_CORE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}) == 0);
    signal(SIGABRT, SIG_DFL);
    abort();
}

/* Reads and removes the working directory's core dump. Its length; 0 if there is none. */
static size_t take_core(char **bytes)
{
    size_t length = 0;
    DIR *directory = opendir(".");
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        struct stat status;
        if (strncmp(entry->d_name, "core", 4) != 0 || stat(entry->d_name, &status) != 0)
            continue;
        length = (size_t)status.st_size;
        *bytes = malloc(length);
        int fd = open(entry->d_name, O_RDONLY);
        assert_int_equal(read(fd, *bytes, length), length);
        assert_int_equal(close(fd) | unlink(entry->d_name), 0);
    }
    closedir(directory);
    return length;
}

static void a_core_dump_holds_the_heap_only_if_the_flag_says_so(void **state)
{
    (void)state;
    NEED_LINUX("such marks");
    const char *pattern = text_of("/proc/sys/kernel/core_pattern");
    if (strncmp(pattern, "core", 4) != 0)
        SKIP("core dumps don't go to the working directory: %s", pattern);
    if (!kernel_marks(MADV_DONTDUMP, "dd"))
        SKIP("an emulator's dumps are its own");
    for (size_t i = 0; i < COUNT(kinds); i++) {
        char *bytes = NULL;
        assert_int_equal(in_child(crash, (void *)&kinds[i]), 128 + SIGABRT);
        size_t length = take_core(&bytes);
        if (length == 0)
            SKIP("the kernel wrote no core dump");
        assert_int_equal(holds_secret(bytes, length), kinds[i].flags == FILZ_MMAP_DUMP);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(every_page_is_marked_also_after_growth_and_fork),
        IN_FRESH_DIRECTORY(a_core_dump_holds_the_heap_only_if_the_flag_says_so),
    };
    return cmocka_run_group_tests_name("core_dumps", tests, NULL, NULL);
}
