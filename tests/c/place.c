/* Where the heap's file goes, who gets in, and what is left behind. */
#include "support.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <signal.h>
#include <sys/file.h>

#define FOREIGN "a file that is somebody's own\n"

/* <folder>/<program>.filz */
static const char *default_path(const char *folder)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%.200s.filz", folder, program_invocation_short_name);
    return path;
}

static mode_t mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(lstat(path, &status), 0);
    return status.st_mode;
}

static const char *path_of(const filz_mmap *heap)
{
    filz_mmap_info info;
    assert_int_equal(filz_mmap_stats(heap, &info), 0);
    return info.path;
}

/* Opens a heap with this path (NULL: the default place), writes to it and closes it. */
static int use(const char *path)
{
    filz_mmap heap = {.path = path, .capacity = MIB};
    int error = filz_mmap_open(&heap);
    if (error == 0)
        memset(filz_mmap_alloc(&heap, 1000, 1), 1, 1000);
    assert_int_equal(filz_mmap_close(&heap), 0);
    return error;
}

/* -- Rule 1: path -------------------------------------------------------------------------------------------------- */

static void a_path_makes_exactly_that_file_and_keeps_it(void **state)
{
    (void)state;
    filz_mmap heap = {.path = "a.filz", .capacity = MIB};
    char *block = filz_mmap_alloc(&heap, 100, 1);
    memcpy(block, "needle", 7);
    char absolute[PATH_MAX];
    snprintf(absolute, sizeof(absolute), "%s/a.filz", fresh_folder);
    assert_string_equal(path_of(&heap), absolute);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(entries_in("."), 1);
    assert_true(exists("a.filz"));
}

static void the_file_holds_what_the_program_wrote(void **state)
{
    (void)state;
    static char bytes[64 * KIB];
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

static void the_file_is_its_owners_alone_whatever_the_umask(void **state)
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

static void a_file_that_others_could_read_becomes_private(void **state)
{
    (void)state;
    write_file("a.filz", "");
    assert_int_equal(chmod("a.filz", 0644), 0);
    assert_int_equal(use("a.filz"), 0);
    assert_int_equal(mode_of("a.filz"), S_IFREG | 0600);
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

static int be_killed_with_an_open_heap(void *path)
{
    filz_mmap heap = {.path = path, .capacity = MIB};
    EXPECT(filz_mmap_alloc(&heap, 100, 1));
    raise(SIGKILL);
    return 1;
}

static void a_file_left_by_a_killed_program_is_overwritten(void **state)
{
    (void)state;
    assert_int_equal(in_child(be_killed_with_an_open_heap, "a.filz"), 128 + SIGKILL);
    assert_true(exists("a.filz"));
    assert_int_equal(use("a.filz"), 0);
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

/* -- Who gets in --------------------------------------------------------------------------------------------------- */

static void a_foreign_file_is_EEXIST_and_untouched(void **state)
{
    (void)state;
    static const char *const contents[] = {FOREIGN, "x", "filzhea", "filzheaX and so on", "FILZHEAP"};
    for (size_t i = 0; i < COUNT(contents); i++) {
        write_file("foreign", contents[i]);
        assert_int_equal(chmod("foreign", 0640), 0);
        assert_int_equal(use("foreign"), EEXIST);
        assert_string_equal(text_of("foreign"), contents[i]);
        assert_int_equal(mode_of("foreign"), S_IFREG | 0640);
    }
    assert_int_equal(entries_in("."), 1);
}

static void an_empty_file_is_taken(void **state)
{
    (void)state;
    write_file("empty", "");
    assert_int_equal(use("empty"), 0);
}

static void a_symbolic_link_is_ELOOP(void **state)
{
    (void)state;
    write_file("target", "");
    assert_int_equal(symlink("target", "link"), 0);
    assert_int_equal(symlink("nothing", "dangling"), 0);
    assert_int_equal(use("link"), ELOOP);
    assert_int_equal(use("dangling"), ELOOP);
    assert_string_equal(text_of("target"), "");
    assert_false(exists("nothing"));
}

static void a_file_with_two_names_is_EMLINK(void **state)
{
    (void)state;
    write_file("one", "");
    assert_int_equal(link("one", "two"), 0);
    assert_int_equal(use("one"), EMLINK);
    assert_string_equal(text_of("two"), "");
    assert_int_equal(unlink("two"), 0);
    assert_int_equal(use("one"), 0);
}

static void a_folder_is_EISDIR(void **state)
{
    (void)state;
    assert_int_equal(mkdir("folder", 0700), 0);
    assert_int_equal(use("folder"), EISDIR);
    assert_int_equal(use("."), EISDIR);
}

static void a_FIFO_is_ENODEV_and_nobody_waits_for_its_other_end(void **state)
{
    (void)state;
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_int_equal(use("fifo"), ENODEV);
}

static void a_device_is_ENODEV(void **state)
{
    (void)state;
    assert_int_equal(use("/dev/null"), ENODEV);
}

static void a_file_that_others_may_write_is_EACCES(void **state)
{
    (void)state;
    static const mode_t modes[] = {0620, 0602, 0666};
    write_file("open", "");
    for (size_t i = 0; i < COUNT(modes); i++) {
        assert_int_equal(chmod("open", modes[i]), 0);
        assert_int_equal(use("open"), EACCES);
        assert_int_equal(mode_of("open"), S_IFREG | modes[i]);
    }
}

static void another_users_file_is_EPERM(void **state)
{
    (void)state;
    write_file("theirs", "");
    if (chown("theirs", 12345, 12345) != 0)
        SKIP("only root can make a file another user's");
    assert_int_equal(use("theirs"), EPERM);
}

static void a_folder_that_is_missing_is_ENOENT(void **state)
{
    (void)state;
    assert_int_equal(use("missing/a.filz"), ENOENT);
    write_file("file", "");
    assert_int_equal(use("file/a.filz"), ENOTDIR);
}

static void a_path_that_is_too_long_is_ENAMETOOLONG(void **state)
{
    (void)state;
    char path[3100] = "/";
    while (strlen(path) < sizeof(path) - 2)
        strcat(path, "./");
    assert_int_equal(use(path), ENAMETOOLONG);
}

static void a_heap_that_this_process_has_open_is_EWOULDBLOCK(void **state)
{
    (void)state;
    filz_mmap heap = {.path = "a.filz", .capacity = MIB};
    char *block = filz_mmap_alloc(&heap, 100, 1);
    memset(block, 'b', 100);
    assert_int_equal(use("a.filz"), EWOULDBLOCK);
    assert_true(is_filled(block, 'b', 100));
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(use("a.filz"), 0);
}

/* A process that has a heap open until it is told to end. */
struct holder {
    pid_t pid;
    const char *asked;
    int ready[2], end[2];
    char path[PATH_MAX]; /* of its heap */
};

static int hold_until_told(void *context)
{
    struct holder *holder = context;
    filz_mmap heap = {.path = holder->asked, .capacity = MIB};
    filz_mmap_info info;
    char byte;
    close(holder->end[1]);
    EXPECT(filz_mmap_open(&heap) == 0);
    EXPECT(filz_mmap_stats(&heap, &info) == 0 && info.path != NULL);
    EXPECT(write(holder->ready[1], info.path, strlen(info.path) + 1) > 0);
    EXPECT(read(holder->end[0], &byte, 1) == 0);
    return 0; /* and exits with the heap open */
}

static struct holder hold(const char *path)
{
    struct holder holder = {.asked = path};
    assert_int_equal(pipe(holder.ready), 0);
    assert_int_equal(pipe(holder.end), 0);
    holder.pid = begin_child(hold_until_told, &holder);
    close(holder.ready[1]);
    close(holder.end[0]);
    assert_true(read(holder.ready[0], holder.path, sizeof(holder.path)) > 0);
    close(holder.ready[0]);
    return holder;
}

static void let_go(struct holder holder)
{
    close(holder.end[1]);
    assert_int_equal(end_child(holder.pid), 0);
}

static void a_heap_that_another_process_has_open_is_EWOULDBLOCK(void **state)
{
    (void)state;
    struct holder holder = hold("a.filz");
    assert_int_equal(use("a.filz"), EWOULDBLOCK);
    let_go(holder);
    assert_int_equal(use("a.filz"), 0);
}

static void a_file_that_somebody_else_locked_is_EWOULDBLOCK(void **state)
{
    (void)state;
    int fd = open("a.filz", O_RDWR | O_CREAT, 0600);
    assert_int_equal(flock(fd, LOCK_SH), 0);
    assert_int_equal(use("a.filz"), EWOULDBLOCK);
    close(fd);
    assert_int_equal(use("a.filz"), 0);
}

/* -- Rule 2: $FILZ_DIR, then memory/ ------------------------------------------------------------------------------- */

static void a_folder_from_the_environment_gets_the_programs_file(void **state)
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

static void a_folder_from_the_environment_that_cannot_be_had_is_an_error(void **state)
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
    assert_int_equal(use(NULL), EEXIST);
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

static void a_memory_folder_gets_exactly_one_file_and_keeps_it(void **state)
{
    (void)state;
    assert_int_equal(mkdir("memory", 0700), 0);
    for (size_t round = 0; round < 3; round++)
        assert_int_equal(use(NULL), 0);
    assert_int_equal(entries_in("memory"), 1);
    assert_int_equal(mode_of(default_path("memory")), S_IFREG | 0600);
}

static void the_path_stays_known_when_the_program_changes_folder(void **state)
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

static void without_a_memory_folder_no_file_is_left(void **state)
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

static void a_folder_or_link_in_memory_falls_through(void **state)
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

static void a_second_process_gets_a_file_of_its_own_that_is_gone_at_exit(void **state)
{
    (void)state;
    assert_int_equal(mkdir("memory", 0700), 0);
    filz_mmap heap = {.capacity = MIB};
    char *block = filz_mmap_alloc(&heap, 100, 1);
    memset(block, 'b', 100);
    struct holder holder = hold(NULL);
    char expected[PATH_MAX];
    snprintf(expected, sizeof(expected), "%s/memory/%.200s.%ld.filz", fresh_folder, program_invocation_short_name,
             (long)holder.pid);
    assert_string_equal(holder.path, expected);
    assert_true(exists(holder.path));
    assert_int_equal(entries_in("memory"), 2);
    let_go(holder);
    assert_int_equal(entries_in("memory"), 1);
    assert_true(exists(default_path("memory")));
    assert_true(is_filled(block, 'b', 100));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_programs_second_heap_gets_a_file_that_close_removes(void **state)
{
    (void)state;
    assert_int_equal(mkdir("memory", 0700), 0);
    filz_mmap heaps[3] = {{.capacity = MIB}, {.capacity = MIB}, {.capacity = MIB}};
    for (size_t i = 0; i < COUNT(heaps); i++)
        assert_int_equal(filz_mmap_open(&heaps[i]), 0);
    assert_int_equal(entries_in("memory"), 3);
    for (size_t i = 0; i < COUNT(heaps); i++)
        assert_int_equal(filz_mmap_close(&heaps[i]), 0);
    assert_int_equal(entries_in("memory"), 1);
    assert_true(exists(default_path("memory")));
}

/* -- Rule 3: no name ----------------------------------------------------------------------------------------------- */

static void a_heap_without_a_name_leaves_nothing_behind(void **state)
{
    (void)state;
    assert_int_equal(mkdir("temporary", 0700), 0);
    const char *before = getenv("TMPDIR");
    char *saved = before ? strdup(before) : NULL;
    setenv("TMPDIR", "temporary", 1);
    filz_mmap heap = {.capacity = MIB};
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_null(path_of(&heap));
    assert_int_equal(entries_in("temporary"), 0);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(entries_in("."), 1);
    if (saved)
        setenv("TMPDIR", saved, 1);
    else
        unsetenv("TMPDIR");
    free(saved);
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

static void where_no_folder_can_be_written_the_heap_is_in_memory(void **state)
{
    (void)state;
    int status = in_child(use_heap_where_nothing_can_be_written, NULL);
    if (status == 77)
        SKIP("chroot(2) needs root");
    assert_int_equal(status, 0);
    assert_int_equal(entries_in("."), 0);
}

/* -- What is said -------------------------------------------------------------------------------------------------- */

static int fail_to_open(void *path)
{
    int fd = open("said", O_RDWR | O_CREAT | O_TRUNC, 0600);
    filz_mmap heap = {.path = path, .capacity = MIB};
    if (dup2(fd, STDERR_FILENO) < 0)
        return 1;
    for (size_t i = 0; i < 3; i++) {
        errno = 0;
        if (filz_mmap_alloc(&heap, 100, 1) != NULL || errno != EEXIST)
            return 2;
    }
    return 0;
}

static void one_line_says_which_file_could_not_be_opened_and_why(void **state)
{
    (void)state;
    write_file("foreign", FOREIGN);
    assert_int_equal(in_child(fail_to_open, "foreign"), 0);
    const char *said = text_of("said");
    char path[PATH_MAX + 8];
    snprintf(path, sizeof(path), "%s/foreign", fresh_folder);
    assert_non_null(strstr(said, path));
    assert_non_null(strstr(said, "isn't one of filz's"));
    assert_non_null(strchr(said, '\n'));
    assert_string_equal(strchr(said, '\n'), "\n"); /* one line, said once */
}

static void the_line_names_the_file_that_the_environment_led_to(void **state)
{
    (void)state;
    assert_int_equal(mkdir("chosen", 0700), 0);
    write_file(default_path("chosen"), FOREIGN);
    setenv("FILZ_DIR", "chosen", 1);
    assert_int_equal(in_child(fail_to_open, NULL), 0);
    assert_non_null(strstr(text_of("said"), default_path("chosen")));
}

static void FILZ_QUIET_silences_the_line(void **state)
{
    (void)state;
    write_file("foreign", FOREIGN);
    setenv("FILZ_QUIET", "1", 1);
    assert_int_equal(in_child(fail_to_open, "foreign"), 0);
    assert_string_equal(text_of("said"), "");
}

static void a_heap_that_could_not_be_opened_opens_once_it_can(void **state)
{
    (void)state;
    setenv("FILZ_QUIET", "1", 1);
    write_file("a.filz", FOREIGN);
    filz_mmap heap = {.path = "a.filz", .capacity = MIB};
    assert_null(filz_mmap_alloc(&heap, 1, 1));
    assert_int_equal(errno, EEXIST);
    assert_int_equal(unlink("a.filz"), 0);
    assert_non_null(filz_mmap_alloc(&heap, 1, 1));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_socket_is_ENODEV(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
    assert_int_equal(use("socket"), ENODEV);
}

static void a_heap_too_large_to_open_leaves_the_file_of_the_last_run(void **state)
{
    (void)state;
    filz_mmap heap = {.path = "kept.filz", .capacity = MIB};
    struct stat before, after;
    assert_non_null(filz_mmap_alloc(&heap, 1000, 1));
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(stat("kept.filz", &before), 0);
    heap.capacity = sizeof(size_t) > 4 ? PTRDIFF_MAX - 64 * MIB : PTRDIFF_MAX; /* 2 GiB would fit 32 bits */
    assert_int_equal(filz_mmap_open(&heap), ENOMEM);
    assert_int_equal(stat("kept.filz", &after), 0);
    assert_int_equal(after.st_size, before.st_size);
}

static void what_took_the_place_of_a_temporary_file_is_not_removed(void **state)
{
    (void)state;
    assert_int_equal(mkdir("memory", 0700), 0);
    filz_mmap first = {.capacity = MIB}, second = {.capacity = MIB};
    filz_mmap_info info;
    assert_int_equal(filz_mmap_open(&first), 0);
    assert_int_equal(filz_mmap_open(&second), 0);
    assert_int_equal(filz_mmap_stats(&second, &info), 0);
    char path[2048];
    snprintf(path, sizeof(path), "%s", info.path);
    assert_int_equal(unlink(path), 0);
    write_file(path, "mine");
    assert_int_equal(filz_mmap_close(&second), 0);
    assert_string_equal(text_of(path), "mine");
    assert_int_equal(filz_mmap_close(&first), 0);
}

static int open_many_times(void *rounds)
{
    for (int i = 0; i < *(int *)rounds; i++) {
        filz_mmap heap = {.path = "contended.filz", .capacity = MIB};
        int error = filz_mmap_open(&heap);
        EXPECT(error == 0 || error == EWOULDBLOCK);
        EXPECT(filz_mmap_close(&heap) == 0);
    }
    return 0;
}

static void of_two_processes_at_one_path_the_loser_is_told_EWOULDBLOCK(void **state)
{
    (void)state;
    int rounds = 2000;
    pid_t first = begin_child(open_many_times, &rounds);
    pid_t second = begin_child(open_many_times, &rounds);
    assert_int_equal(end_child(first), 0);
    assert_int_equal(end_child(second), 0);
    print_message("%d rounds each\n", rounds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_FOLDER(a_path_makes_exactly_that_file_and_keeps_it),
        IN_FRESH_FOLDER(the_file_holds_what_the_program_wrote),
        IN_FRESH_FOLDER(the_file_is_its_owners_alone_whatever_the_umask),
        IN_FRESH_FOLDER(a_file_that_others_could_read_becomes_private),
        IN_FRESH_FOLDER(the_next_run_overwrites_the_file),
        IN_FRESH_FOLDER(a_file_left_by_a_killed_program_is_overwritten),
        IN_FRESH_FOLDER(the_descriptor_is_close_on_exec_and_above_two),
        IN_FRESH_FOLDER(standard_streams_that_are_closed_stay_closed),
        IN_FRESH_FOLDER(a_foreign_file_is_EEXIST_and_untouched),
        IN_FRESH_FOLDER(an_empty_file_is_taken),
        IN_FRESH_FOLDER(a_symbolic_link_is_ELOOP),
        IN_FRESH_FOLDER(a_file_with_two_names_is_EMLINK),
        IN_FRESH_FOLDER(a_folder_is_EISDIR),
        IN_FRESH_FOLDER(a_FIFO_is_ENODEV_and_nobody_waits_for_its_other_end),
        IN_FRESH_FOLDER(a_device_is_ENODEV),
        IN_FRESH_FOLDER(a_file_that_others_may_write_is_EACCES),
        IN_FRESH_FOLDER(another_users_file_is_EPERM),
        IN_FRESH_FOLDER(a_folder_that_is_missing_is_ENOENT),
        IN_FRESH_FOLDER(a_path_that_is_too_long_is_ENAMETOOLONG),
        IN_FRESH_FOLDER(a_heap_that_this_process_has_open_is_EWOULDBLOCK),
        IN_FRESH_FOLDER(a_heap_that_another_process_has_open_is_EWOULDBLOCK),
        IN_FRESH_FOLDER(a_file_that_somebody_else_locked_is_EWOULDBLOCK),
        IN_FRESH_FOLDER(a_folder_from_the_environment_gets_the_programs_file),
        IN_FRESH_FOLDER(a_folder_from_the_environment_that_cannot_be_had_is_an_error),
        IN_FRESH_FOLDER(a_path_wins_over_the_environment),
        IN_FRESH_FOLDER(a_memory_folder_gets_exactly_one_file_and_keeps_it),
        IN_FRESH_FOLDER(the_path_stays_known_when_the_program_changes_folder),
        IN_FRESH_FOLDER(without_a_memory_folder_no_file_is_left),
        IN_FRESH_FOLDER(a_memory_that_is_a_file_falls_through),
        IN_FRESH_FOLDER(a_memory_that_is_a_circle_of_links_falls_through),
        IN_FRESH_FOLDER(a_foreign_file_in_memory_falls_through_and_is_untouched),
        IN_FRESH_FOLDER(a_folder_or_link_in_memory_falls_through),
        IN_FRESH_FOLDER(a_second_process_gets_a_file_of_its_own_that_is_gone_at_exit),
        IN_FRESH_FOLDER(a_programs_second_heap_gets_a_file_that_close_removes),
        IN_FRESH_FOLDER(a_heap_without_a_name_leaves_nothing_behind),
        IN_FRESH_FOLDER(where_no_folder_can_be_written_the_heap_is_in_memory),
        IN_FRESH_FOLDER(one_line_says_which_file_could_not_be_opened_and_why),
        IN_FRESH_FOLDER(the_line_names_the_file_that_the_environment_led_to),
        IN_FRESH_FOLDER(FILZ_QUIET_silences_the_line),
        IN_FRESH_FOLDER(a_heap_that_could_not_be_opened_opens_once_it_can),
        IN_FRESH_FOLDER(a_socket_is_ENODEV),
        IN_FRESH_FOLDER(a_heap_too_large_to_open_leaves_the_file_of_the_last_run),
        IN_FRESH_FOLDER(what_took_the_place_of_a_temporary_file_is_not_removed),
        IN_FRESH_FOLDER(of_two_processes_at_one_path_the_loser_is_told_EWOULDBLOCK),
    };
    return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
