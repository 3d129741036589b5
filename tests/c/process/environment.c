/* What the environment says, rubbish included, what is said when a heap can't be opened, and a set-user-id program, for
 * which there is no environment. */
#include "heap_files.h"

#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>

/* -- What is said -------------------------------------------------------------------------------------------------- */

/* Standard error goes to the file `said`. */
static int listen_to_standard_error(void)
{
    int fd = open("said", O_RDWR | O_CREAT | O_TRUNC, 0600);
    return fd >= 0 && dup2(fd, STDERR_FILENO) >= 0 ? 0 : -1;
}

static int fail_to_open(void *path)
{
    filz_mmap heap = {.path = path, .capacity = MIB};
    if (listen_to_standard_error() != 0)
        return 1;
    for (size_t i = 0; i < 3; i++) {
        errno = 0;
        if (filz_mmap_alloc(&heap, 100, 1) != NULL || errno != ENOMEM)
            return 2;
    }
    return 0;
}

static bool is_one_line(const char *text)
{
    const char *end = strchr(text, '\n');
    return end != NULL && end[1] == '\0';
}

static void one_line_says_which_file_could_not_be_opened_and_why(void **state)
{
    (void)state;
    write_file("foreign", FOREIGN);
    assert_int_equal(in_child(fail_to_open, "foreign"), 0);
    const char *said = text_of("said");
    char path[PATH_MAX + 8];
    snprintf(path, sizeof(path), "%s/foreign", fresh_directory);
    assert_non_null(strstr(said, path));
    assert_non_null(strstr(said, "isn't a heap of filz"));
    assert_true(is_one_line(said));
}

static void it_is_one_line_whatever_the_files_name(void **state)
{
    (void)state;
    write_file("two\nlines", FOREIGN);
    assert_int_equal(in_child(fail_to_open, "two\nlines"), 0);
    assert_non_null(strstr(text_of("said"), "two?lines"));
    assert_true(is_one_line(text_of("said")));
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

static void a_heap_that_could_not_be_opened_opens_once_it_can(void **state)
{
    (void)state;
    setenv("FILZ_QUIET", "1", 1);
    write_file("a.filz", FOREIGN);
    filz_mmap heap = {.path = "a.filz", .capacity = MIB};
    assert_null(filz_mmap_alloc(&heap, 1, 1));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(unlink("a.filz"), 0);
    assert_non_null(filz_mmap_alloc(&heap, 1, 1));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* -- Rubbish ------------------------------------------------------------------------------------------------------- */

/* As a value of a variable, it is replaced by 10,000 of these. */
#define MANY(character) "many " character

static void set_to(const char *variable, const char *value)
{
    static char many[10001];
    bool is_many = strncmp(value, MANY(""), strlen(MANY(""))) == 0;
    memset(many, value[strlen(value) - is_many], sizeof(many) - 1);
    if (is_many && many[0] == 'p')
        many[0] = '/';
    setenv(variable, is_many ? many : value, 1);
}

struct setting {
    const char *variable, *value;
    size_t capacity; /* that the program asks for */
    int error;       /* that opening fails with */
    const char *said;
};

static const struct setting settings[] = {
    {"FILZ_CAPACITY", "-1", 0, FILZ_EVARIABLE, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", "+1048576", 0, FILZ_EVARIABLE, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", "1e99", 0, FILZ_EVARIABLE, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", "1.5M", 0, FILZ_EVARIABLE, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", " 5", 0, FILZ_EVARIABLE, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", "5 ", 0, FILZ_EVARIABLE, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", "0", 0, FILZ_ECAPACITY, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", "0K", 0, FILZ_ECAPACITY, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", "1", 0, FILZ_ECAPACITY, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", "M", 0, FILZ_EVARIABLE, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", "1X", 0, FILZ_EVARIABLE, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", "1m", 0, FILZ_EVARIABLE, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", "1KK", 0, FILZ_EVARIABLE, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", "1M\n", 0, FILZ_EVARIABLE, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", "0x100000", 0, FILZ_EVARIABLE, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", "18446744073709551616", 0, FILZ_EVARIABLE, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", "18014398509484032K", 0, FILZ_EVARIABLE, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", "16777216T", 0, FILZ_EVARIABLE, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", MANY("9"), 0, FILZ_EVARIABLE, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", MANY("x"), 0, FILZ_EVARIABLE, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", MANY("x"), MIB, 0, NULL},
    {"FILZ_CAPACITY", "1M", 0, 0, NULL},
    {"FILZ_CAPACITY", "1024K", 0, 0, NULL},
    {"FILZ_CAPACITY", "01048576", 0, 0, NULL},
    {"FILZ_ADVICE", "", MIB, 0, NULL},
    {"FILZ_ADVICE", "auto", MIB, 0, NULL},
    {"FILZ_ADVICE", "random", MIB, 0, NULL},
    {"FILZ_ADVICE", "sequential", MIB, 0, NULL},
    {"FILZ_ADVICE", "Random", MIB, FILZ_EVARIABLE, "$FILZ_ADVICE"},
    {"FILZ_ADVICE", "random ", MIB, FILZ_EVARIABLE, "$FILZ_ADVICE"},
    {"FILZ_ADVICE", "1", MIB, FILZ_EVARIABLE, "$FILZ_ADVICE"},
    {"FILZ_ADVICE", MANY("x"), MIB, FILZ_EVARIABLE, "$FILZ_ADVICE"},
    {"FILZ_DIR", "", MIB, 0, NULL},
    {"FILZ_DIR", "directory", MIB, 0, NULL},
    {"FILZ_DIR", "./directory/../directory//", MIB, 0, NULL},
    {"FILZ_DIR", "file", MIB, ENOTDIR, "/file/"},
    {"FILZ_DIR", "missing", MIB, ENOENT, "/missing/"},
    {"FILZ_DIR", MANY("p"), MIB, FILZ_EPATH, "/ppppp"},
    {"FILZ_DIR", MANY("d"), MIB, FILZ_EPATH, "/ddddd"},
    {"TMPDIR", "", MIB, 0, NULL},
    {"TMPDIR", "file", MIB, 0, NULL},
    {"TMPDIR", "missing", MIB, 0, NULL},
    {"TMPDIR", "directory", MIB, 0, NULL},
    {"TMPDIR", MANY("p"), MIB, 0, NULL},
    {"TMPDIR", MANY("d"), MIB, 0, NULL},
};

/* Settings that make no difference: a heap of 1 MiB is the rule. */
static int open_as_set(void *context)
{
    const struct setting *setting = context;
    filz_mmap heap = {.capacity = setting->capacity};
    filz_mmap_info info;
    set_to(setting->variable, setting->value);
    EXPECT(listen_to_standard_error() == 0);
    errno = 0;
    void *block = filz_mmap_alloc(&heap, 1000, 1);
    EXPECT(errno == (setting->error < 0 ? ENOMEM : setting->error) && (block == NULL) == (setting->error != 0));
    if (block == NULL)
        return 0;
    EXPECT(filz_mmap_stats(&heap, &info) == 0 && info.capacity == MIB);
    return filz_mmap_close(&heap);
}

static void assert_as_documented(const struct setting *setting)
{
    int status = in_child(open_as_set, (void *)setting);
    const char *said = text_of("said");
    bool as_expected = setting->said == NULL ? said[0] == '\0' : strstr(said, setting->said) && is_one_line(said);
    if (status != 0 || !as_expected)
        print_message("%s=%s: %s\n", setting->variable, setting->value, said);
    assert_int_equal(status, 0);
    assert_true(as_expected);
}

static void rubbish_in_the_environment_is_a_clear_error_or_ignored(void **state)
{
    (void)state;
    assert_int_equal(mkdir("directory", 0700), 0);
    write_file("file", "");
    for (size_t i = 0; i < COUNT(settings); i++)
        assert_as_documented(&settings[i]);
    assert_string_equal(text_of("file"), "");
    assert_int_equal(entries_in("directory"), 1); /* FILZ_DIR's */
    assert_int_equal(entries_in("."), 4);
}

static int open_with_default_capacity(void *unused)
{
    (void)unused;
    filz_mmap without = FILZ_MMAP_INIT, with = FILZ_MMAP_INIT;
    filz_mmap_info first, second;
    EXPECT(filz_mmap_open(&without) == 0 && filz_mmap_stats(&without, &first) == 0);
    EXPECT(filz_mmap_close(&without) == 0);
    setenv("FILZ_CAPACITY", "", 1);
    EXPECT(filz_mmap_open(&with) == 0 && filz_mmap_stats(&with, &second) == 0);
    EXPECT(first.capacity == second.capacity);
    return filz_mmap_close(&with);
}

static void an_empty_FILZ_CAPACITY_is_none(void **state)
{
    (void)state;
    assert_int_equal(in_child(open_with_default_capacity, NULL), 0);
}

static int address_space_that_cannot_be_had(void *unused)
{
    (void)unused;
    filz_mmap heap = FILZ_MMAP_INIT;
    setenv("FILZ_CAPACITY", sizeof(size_t) > 4 ? "4194304T" : "2047M", 1);
    EXPECT(listen_to_standard_error() == 0);
    EXPECT(filz_mmap_alloc(&heap, 1, 1) == NULL && errno == ENOMEM);
    return strstr(text_of("said"), "$FILZ_CAPACITY") ? 0 : 1;
}

static void a_FILZ_CAPACITY_that_cannot_be_had_is_ENOMEM(void **state)
{
    (void)state;
    assert_int_equal(in_child(address_space_that_cannot_be_had, NULL), 0);
}

static void only_a_1_in_FILZ_QUIET_silences_the_line(void **state)
{
    (void)state;
    static const char *const loud[] = {"", "0", "yes", "11", " 1", "1 ", MANY("1")};
    write_file("foreign", FOREIGN);
    for (size_t i = 0; i < COUNT(loud); i++) {
        set_to("FILZ_QUIET", loud[i]);
        assert_int_equal(in_child(fail_to_open, "foreign"), 0);
        assert_true(is_one_line(text_of("said")));
    }
    setenv("FILZ_QUIET", "1", 1);
    assert_int_equal(in_child(fail_to_open, "foreign"), 0);
    assert_string_equal(text_of("said"), "");
}

static int has_private_heap(void *heap)
{
    _exit(((filz_mmap *)heap)->heap->backing.growth == FZ_PRIVATE);
}

static int child_of_fork_has_private_heap(void)
{
    filz_mmap heap = {.capacity = 8 * MIB};
    if (filz_mmap_alloc(&heap, 1000, 1) == NULL)
        return -1;
    int answer = in_child(has_private_heap, &heap);
    filz_mmap_close(&heap);
    return answer;
}

static void only_private_in_FILZ_FORK_keeps_the_heap_from_being_copied(void **state)
{
    (void)state;
    static const char *const rubbish[] = {"", "rubbish", "Private", "private ", MANY("p")};
    for (size_t i = 0; i < COUNT(rubbish); i++) {
        set_to("FILZ_FORK", rubbish[i]);
        assert_int_equal(child_of_fork_has_private_heap(), 0);
    }
    setenv("FILZ_FORK", "private", 1);
    assert_int_equal(child_of_fork_has_private_heap(), 1);
}

/* -- A set-user-id program ----------------------------------------------------------------------------------------- */

/* What the environment did to a program: a bit for each variable, and one that says that there should be none. */
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

/* The program that is run as another user. Returns the effects. */
static int tell_effects(void)
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

/* Runs the copy of this program as a user that is neither root nor the owner of the copy. */
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
        _exit(tell_effects());
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(one_line_says_which_file_could_not_be_opened_and_why),
        IN_FRESH_DIRECTORY(it_is_one_line_whatever_the_files_name),
        IN_FRESH_DIRECTORY(the_line_names_the_file_that_the_environment_led_to),
        IN_FRESH_DIRECTORY(a_heap_that_could_not_be_opened_opens_once_it_can),
        IN_FRESH_DIRECTORY(rubbish_in_the_environment_is_a_clear_error_or_ignored),
        IN_FRESH_DIRECTORY(an_empty_FILZ_CAPACITY_is_none),
        IN_FRESH_DIRECTORY(a_FILZ_CAPACITY_that_cannot_be_had_is_ENOMEM),
        IN_FRESH_DIRECTORY(only_a_1_in_FILZ_QUIET_silences_the_line),
        IN_FRESH_DIRECTORY(only_private_in_FILZ_FORK_keeps_the_heap_from_being_copied),
        IN_FRESH_DIRECTORY(a_set_user_id_program_reads_no_environment_and_no_memory_directory),
    };
    return cmocka_run_group_tests_name("environment", tests, NULL, NULL);
}
