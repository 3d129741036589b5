/* Where the heap's file goes, and what is left behind. */
#include "heap_files.h"

#include <sys/inotify.h>
#include <sys/syscall.h>

/* -- Rule 1: path -------------------------------------------------------------------------------------------------- */

static void a_path_makes_exactly_that_file_and_keeps_it(void **state)
{
    (void)state;
    filz_mmap heap = {.path = "a.filz", .capacity = MIB};
    char *block = filz_mmap_alloc(&heap, 100, 1);
    memcpy(block, "needle", 7);
    char absolute[PATH_MAX];
    snprintf(absolute, sizeof(absolute), "%s/a.filz", fresh_directory);
    assert_string_equal(path_of(&heap), absolute);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(entries_in("."), 1);
    assert_true(exists("a.filz"));
}

static void the_file_holds_what_the_program_wrote(void **state)
{
    (void)state;
    static char bytes[256 * KIB];
    filz_mmap heap = {.path = "a.filz", .capacity = MIB};
    memcpy(filz_mmap_alloc(&heap, 100, 1), "a needle in the heap", 20);
    assert_int_equal(filz_mmap_close(&heap), 0);
    FILE *file = fopen("a.filz", "r");
    assert_non_null(file);
    size_t length = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    assert_memory_equal(bytes, "filzheap", 8);
    assert_non_null(memmem(bytes, length, "a needle in the heap", 20));
}

static void the_next_run_overwrites_the_file(void **state)
{
    (void)state;
    for (size_t round = 0; round < 3; round++) {
        filz_mmap heap = {.path = "a.filz", .capacity = MIB};
        char *block = filz_mmap_alloc_zeroed(&heap, MIB / 2, 1);
        assert_non_null(block);
        assert_true(is_filled(block, 0, MIB / 2));
        memset(block, 0xA5, MIB / 2);
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
    assert_int_equal(entries_in("."), 1);
}

static void the_descriptor_is_close_on_exec_and_above_two(void **state)
{
    (void)state;
    filz_mmap heap = {.path = "a.filz", .capacity = MIB};
    assert_int_equal(filz_mmap_open(&heap), 0);
    struct stat file, open;
    assert_int_equal(stat("a.filz", &file), 0);
    int found = 0;
    for (int fd = 0; fd < 256; fd++)
        if (fstat(fd, &open) == 0 && open.st_ino == file.st_ino && open.st_dev == file.st_dev) {
            assert_true(fd > 2);
            assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
            found++;
        }
    assert_int_equal(found, 1);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static int open_without_standard_streams(void *unused)
{
    (void)unused;
    close(0);
    close(1);
    close(2);
    struct stat status;
    filz_mmap heap = {.path = "a.filz", .capacity = MIB};
    if (filz_mmap_open(&heap) != 0)
        return 1;
    for (int fd = 0; fd <= 2; fd++)
        if (fstat(fd, &status) == 0)
            return 2;
    return filz_mmap_close(&heap);
}

static void standard_streams_that_are_closed_stay_closed(void **state)
{
    (void)state;
    assert_int_equal(in_child(open_without_standard_streams, NULL), 0);
}

/* -- Rule 2: $FILZ_DIR, then memory/ ------------------------------------------------------------------------------- */

static void a_directory_from_the_environment_gets_the_programs_file(void **state)
{
    (void)state;
    assert_int_equal(mkdir("memory", 0700), 0);
    assert_int_equal(mkdir("chosen", 0700), 0);
    setenv("FILZ_DIR", "chosen", 1);
    assert_int_equal(use(NULL), 0);
    assert_true(exists(default_path("chosen")));
    assert_int_equal(entries_in("chosen"), 1);
    assert_int_equal(entries_in("memory"), 0);
}

static void a_directory_from_the_environment_that_cannot_be_had_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(mkdir("memory", 0700), 0);
    setenv("FILZ_DIR", "missing", 1);
    assert_int_equal(use(NULL), ENOENT);
    write_file("file", "");
    setenv("FILZ_DIR", "file", 1);
    assert_int_equal(use(NULL), ENOTDIR);
    assert_int_equal(mkdir("blocked", 0700), 0);
    setenv("FILZ_DIR", "blocked", 1);
    write_file(default_path("blocked"), FOREIGN);
    assert_int_equal(use(NULL), FILZ_ENOTHEAP);
    assert_string_equal(text_of(default_path("blocked")), FOREIGN);
    assert_int_equal(entries_in("memory"), 0);
}

static void a_path_wins_over_the_environment(void **state)
{
    (void)state;
    assert_int_equal(mkdir("memory", 0700), 0);
    setenv("FILZ_DIR", "missing", 1);
    assert_int_equal(use("a.filz"), 0);
    assert_int_equal(entries_in("memory"), 0);
}

static void a_memory_directory_gets_exactly_one_file_and_keeps_it(void **state)
{
    (void)state;
    assert_int_equal(mkdir("memory", 0700), 0);
    for (size_t round = 0; round < 3; round++)
        assert_int_equal(use(NULL), 0);
    assert_int_equal(entries_in("memory"), 1);
    assert_int_equal(mode_of(default_path("memory")), S_IFREG | 0600);
}

static void the_path_stays_known_when_the_program_changes_directory(void **state)
{
    (void)state;
    assert_int_equal(mkdir("memory", 0700), 0);
    filz_mmap heap = {.capacity = 64 * MIB};
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(path_of(&heap)[0], '/');
    assert_true(exists(path_of(&heap)));
    assert_non_null(filz_mmap_alloc(&heap, 32 * MIB, 1));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* What is in the way in `memory/` sends the heap to a file without a name, and is left as it is. */
static void assert_falls_through(void)
{
    filz_mmap heap = {.capacity = MIB};
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_null(path_of(&heap));
    assert_non_null(filz_mmap_alloc(&heap, 1000, 1));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void without_a_memory_directory_no_file_is_left(void **state)
{
    (void)state;
    assert_falls_through();
    assert_int_equal(entries_in("."), 0);
}

static void a_memory_that_is_a_file_falls_through(void **state)
{
    (void)state;
    write_file("memory", FOREIGN);
    assert_falls_through();
    assert_string_equal(text_of("memory"), FOREIGN);
    assert_int_equal(entries_in("."), 1);
}

static void a_memory_that_is_a_circle_of_links_falls_through(void **state)
{
    (void)state;
    assert_int_equal(symlink("memory", "memory"), 0);
    assert_falls_through();
}

static void a_foreign_file_in_memory_falls_through_and_is_untouched(void **state)
{
    (void)state;
    assert_int_equal(mkdir("memory", 0700), 0);
    write_file(default_path("memory"), FOREIGN);
    assert_falls_through();
    assert_string_equal(text_of(default_path("memory")), FOREIGN);
    assert_int_equal(entries_in("memory"), 1);
}

static void a_directory_or_link_in_memory_falls_through(void **state)
{
    (void)state;
    assert_int_equal(mkdir("memory", 0700), 0);
    assert_int_equal(mkdir(default_path("memory"), 0700), 0);
    assert_falls_through();
    assert_int_equal(rmdir(default_path("memory")), 0);
    assert_int_equal(symlink("/dev/null", default_path("memory")), 0);
    assert_falls_through();
    assert_int_equal(entries_in("memory"), 1);
}

/* -- Rule 3: no name ----------------------------------------------------------------------------------------------- */

/* A directory of the test's own, where unnamed files go. In a child: TMPDIR is the test's too. */
static int use_own_temporary_directory(void)
{
    return mkdir("temporary", 01777) == 0 || errno == EEXIST ? setenv("TMPDIR", "temporary", 1) : -1;
}

static int leave_nothing_behind(void *unused)
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

static void a_heap_without_a_name_leaves_nothing_behind(void **state)
{
    (void)state;
    assert_int_equal(in_child(leave_nothing_behind, NULL), 0);
    assert_int_equal(entries_in("."), 1);
}

/* A heap's whole life. */
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

static void a_file_without_a_name_never_had_one(void **state)
{
    (void)state;
    NEED_LINUX("O_TMPFILE");
    int status = in_child(make_no_name, NULL);
    if (status == SKIPPED)
        SKIP("no O_TMPFILE here, or no inotify");
    assert_int_equal(status, 0);
}

/* What libfilz calls: the library is linked statically, so these stand before the C library's. */
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

enum { RANDOM_DIGITS = 32, NAME_LENGTH = 6 + RANDOM_DIGITS }; /* .filz- and what nobody can guess */

/* What is seen of temporary files. */
struct seen {
    size_t made, gone;
    unsigned digits[RANDOM_DIGITS]; /* a bit for each that was at this place */
    char last[NAME_LENGTH + 1];
};

/* A file is made under a name like no other, and loses it before anything else happens to it. */
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

/* At each place 16 digits are as likely as each other: that 100 names have 7 or less at one doesn't happen. */
static int nobody_could_guess(const struct seen *seen, size_t names)
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
    return nobody_could_guess(&seen, rounds);
}

static void without_O_TMPFILE_the_name_is_unguessable_and_gone_at_once(void **state)
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
        IN_FRESH_DIRECTORY(a_path_makes_exactly_that_file_and_keeps_it),
        IN_FRESH_DIRECTORY(the_file_holds_what_the_program_wrote),
        IN_FRESH_DIRECTORY(the_next_run_overwrites_the_file),
        IN_FRESH_DIRECTORY(the_descriptor_is_close_on_exec_and_above_two),
        IN_FRESH_DIRECTORY(standard_streams_that_are_closed_stay_closed),
        IN_FRESH_DIRECTORY(a_directory_from_the_environment_gets_the_programs_file),
        IN_FRESH_DIRECTORY(a_directory_from_the_environment_that_cannot_be_had_is_an_error),
        IN_FRESH_DIRECTORY(a_path_wins_over_the_environment),
        IN_FRESH_DIRECTORY(a_memory_directory_gets_exactly_one_file_and_keeps_it),
        IN_FRESH_DIRECTORY(the_path_stays_known_when_the_program_changes_directory),
        IN_FRESH_DIRECTORY(without_a_memory_directory_no_file_is_left),
        IN_FRESH_DIRECTORY(a_memory_that_is_a_file_falls_through),
        IN_FRESH_DIRECTORY(a_memory_that_is_a_circle_of_links_falls_through),
        IN_FRESH_DIRECTORY(a_foreign_file_in_memory_falls_through_and_is_untouched),
        IN_FRESH_DIRECTORY(a_directory_or_link_in_memory_falls_through),
        IN_FRESH_DIRECTORY(a_heap_without_a_name_leaves_nothing_behind),
        IN_FRESH_DIRECTORY(a_file_without_a_name_never_had_one),
        IN_FRESH_DIRECTORY(without_O_TMPFILE_the_name_is_unguessable_and_gone_at_once),
        IN_FRESH_DIRECTORY(where_no_directory_can_be_written_the_heap_is_in_memory),
    };
    return cmocka_run_group_tests_name("location", tests, NULL, NULL);
}
