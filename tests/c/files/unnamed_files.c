/* A heap without a path, $FILZ_DIR and memory/ is in a file that has no name, or only an unguessable one for a moment,
 * and leaves nothing. */
#include "heap_files.h"

#include <sys/inotify.h>
#include <sys/syscall.h>

/* Unnamed files go to a directory of the test's own. Call it in a child, because the test needs TMPDIR too. */
static int use_own_temporary_directory(void)
{
    return mkdir("temporary", 01777) == 0 || errno == EEXIST ? setenv("TMPDIR", "temporary", 1) : -1;
}

static int leave_no_file(void *unused)
{
    (void)unused;
    filz_mmap heap = {.capacity = MIB};
    filz_mmap_info info;
    EXPECT(use_own_temporary_directory() == 0);
    EXPECT(filz_mmap_open(&heap) == 0);
    EXPECT(filz_mmap_stats(&heap, &info) == 0 && info.path == NULL);
    EXPECT(entries_in("temporary") == 0);
    return filz_mmap_close(&heap);
}

static void an_unnamed_heap_leaves_no_file(void **state)
{
    (void)state;
    assert_int_equal(in_child(leave_no_file, NULL), 0);
    assert_int_equal(entries_in("."), 1);
}

/* Opens a heap, grows it, forks, grows it in the child, closes it. */
static int live(void)
{
    filz_mmap heap = {.capacity = 16 * MIB};
    EXPECT(filz_mmap_alloc(&heap, 4 * MIB, 1));
    pid_t child = fork();
    if (child == 0)
        _exit(filz_mmap_alloc(&heap, 4 * MIB, 1) == NULL);
    EXPECT(end_child(child) == 0);
    return filz_mmap_close(&heap);
}

static int watch(const char *directory, uint32_t events)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    return fd < 0 || inotify_add_watch(fd, directory, events) < 0 ? -1 : fd;
}

static int make_no_name(void *unused)
{
    (void)unused;
    struct inotify_event event;
    if (use_own_temporary_directory() != 0 || close(open("temporary", O_TMPFILE | O_RDWR, 0600)) != 0)
        return SKIPPED;
    int events = watch("temporary", IN_CREATE | IN_MOVE | IN_DELETE);
    if (events < 0)
        return SKIPPED;
    EXPECT(live() == 0);
    EXPECT(read(events, &event, sizeof(event)) < 0 && errno == EAGAIN);
    write_file("temporary/seen", "");
    EXPECT(read(events, (char[1024]){0}, 1024) > 0);
    return 0;
}

static void an_unnamed_file_never_had_a_name(void **state)
{
    (void)state;
    NEED_LINUX("O_TMPFILE");
    int status = in_child(make_no_name, NULL);
    if (status == SKIPPED)
        SKIP("no O_TMPFILE here, or no inotify");
    assert_int_equal(status, 0);
}

/* The library is linked statically, so it calls these in place of the C library's. */
static bool no_tmpfile;

static int open_unless_refused(const char *path, int flags, mode_t mode)
{
    if (no_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

#define DEFINE(name)                                                                                                   \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        va_list arguments;                                                                                             \
        va_start(arguments, flags);                                                                                    \
        int mode = flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? va_arg(arguments, int) : 0;                        \
        va_end(arguments);                                                                                             \
        return open_unless_refused(path, flags, (mode_t)mode);                                                         \
    }

DEFINE(open)
#ifdef __GLIBC__
DEFINE(open64)
#endif

enum { RANDOM_DIGITS = 32, NAME_LENGTH = 6 + RANDOM_DIGITS }; /* .filz- and the digits */

/* What inotify reports of temporary files. */
struct seen {
    size_t made, gone;
    unsigned digits[RANDOM_DIGITS]; /* a bit for each digit that was at this place */
    char last[NAME_LENGTH + 1];
};

/* Each file is created under a new name, which is removed before anything else happens to the file. */
static int note(struct seen *seen, const struct inotify_event *event)
{
    EXPECT(event->mask & (seen->made == seen->gone ? IN_CREATE : IN_DELETE));
    EXPECT(strlen(event->name) == NAME_LENGTH && strncmp(event->name, ".filz-", 6) == 0);
    if (event->mask & IN_DELETE) {
        seen->gone++;
        EXPECT(strcmp(event->name, seen->last) == 0);
        return 0;
    }
    seen->made++;
    EXPECT(strcmp(event->name, seen->last) != 0);
    strcpy(seen->last, event->name);
    for (size_t i = 0; i < RANDOM_DIGITS; i++)
        seen->digits[i] |= 1u << strtoul((char[]){event->name[6 + i], '\0'}, NULL, 16);
    return 0;
}

static int note_all(struct seen *seen, int events)
{
    _Alignas(struct inotify_event) char bytes[4096];
    ssize_t length = read(events, bytes, sizeof(bytes));
    for (ssize_t i = 0; i < length;
         i += (ssize_t)(sizeof(struct inotify_event) + ((struct inotify_event *)&bytes[i])->len))
        EXPECT(note(seen, (struct inotify_event *)&bytes[i]) == 0);
    return 0;
}

/* At each place all 16 digits are equally likely, so 100 random names never have only 7 of them there. */
static int names_cannot_be_guessed(const struct seen *seen, size_t names)
{
    EXPECT(seen->made == names && seen->gone == names);
    for (size_t i = 0; i < RANDOM_DIGITS; i++)
        EXPECT(names < 100 || __builtin_popcount(seen->digits[i]) > 7);
    return 0;
}

static int make_names(void *unused)
{
    (void)unused;
    struct seen seen = {0};
    size_t rounds = rounds_of(1000);
    EXPECT(use_own_temporary_directory() == 0);
    int events = watch("temporary", IN_CREATE | IN_MOVE | IN_DELETE | IN_ATTRIB);
    if (events < 0)
        return SKIPPED;
    no_tmpfile = true;
    for (size_t i = 0; i < rounds; i++) {
        filz_mmap heap = {.capacity = MIB};
        struct stat status;
        EXPECT(filz_mmap_open(&heap) == 0);
        EXPECT(note_all(&seen, events) == 0);
        EXPECT(seen.gone == i + 1 && entries_in("temporary") == 0);
        EXPECT(fstat(descriptor_of(&heap), &status) == 0 && status.st_mode == (S_IFREG | 0600));
        EXPECT(filz_mmap_close(&heap) == 0);
    }
    print_message("%zu names\n", rounds);
    return names_cannot_be_guessed(&seen, rounds);
}

static void without_O_TMPFILE_the_name_cannot_be_guessed_and_is_removed_at_once(void **state)
{
    (void)state;
    int status = in_child(make_names, NULL);
    if (status == SKIPPED)
        SKIP("no inotify here");
    assert_int_equal(status, 0);
}

static int use_heap_where_nothing_can_be_written(void *unused)
{
    (void)unused;
    if (chroot(".") != 0)
        return 77;
    unsetenv("TMPDIR");
    filz_mmap heap = {.capacity = 8 * MIB};
    filz_mmap_info info;
    EXPECT(filz_mmap_open(&heap) == 0);
    EXPECT(filz_mmap_stats(&heap, &info) == 0 && info.path == NULL);
    char *block = filz_mmap_alloc_zeroed(&heap, 4 * MIB, 1);
    EXPECT(block && is_filled(block, 0, 4 * MIB));
    memset(block, 'b', 4 * MIB);
    EXPECT(filz_mmap_close(&heap) == 0);
    _exit(0); /* a leak checker would look for /proc, which isn't here */
}

static void where_no_directory_can_be_written_the_heap_is_in_memory(void **state)
{
    (void)state;
    NEED_LINUX("files in memory without /dev/shm");
    int status = in_child(use_heap_where_nothing_can_be_written, NULL);
    if (status == 77)
        SKIP("chroot(2) needs root");
    assert_int_equal(status, 0);
    assert_int_equal(entries_in("."), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(an_unnamed_heap_leaves_no_file),
        IN_FRESH_DIRECTORY(an_unnamed_file_never_had_a_name),
        IN_FRESH_DIRECTORY(without_O_TMPFILE_the_name_cannot_be_guessed_and_is_removed_at_once),
        IN_FRESH_DIRECTORY(where_no_directory_can_be_written_the_heap_is_in_memory),
    };
    return cmocka_run_group_tests_name("unnamed_files", tests, NULL, NULL);
}
