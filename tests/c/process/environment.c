/* What each environment variable does: valid values, values that are an error, and values that are ignored. */
#include "forks.h"
#include "heap_files.h"
#include "standard_error.h"

/* -- Values of all variables --------------------------------------------------------------------------------------- */

/* A variable that is set to this has 10,000 of the character as its value. */
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
    size_t capacity; /* of the heap; 0: the variable's */
    int error;       /* of opening the heap */
    const char *said;
};

/* The line names one variable, the wrong one. */
#define NO_SIZE                                                                                                        \
    "filz: $FILZ_CAPACITY: can't open the heap: not a number of bytes, or one with K, M, G or T after it (filz error " \
    "-2)"
#define NO_ADVICE "filz: $FILZ_ADVICE: can't open the heap: not random, sequential or auto (filz error -2)"

static const struct setting settings[] = {
    {"FILZ_CAPACITY", "-1", 0, FILZ_EVARIABLE, NO_SIZE},
    {"FILZ_CAPACITY", "+1048576", 0, FILZ_EVARIABLE, NO_SIZE},
    {"FILZ_CAPACITY", "1e99", 0, FILZ_EVARIABLE, NO_SIZE},
    {"FILZ_CAPACITY", "1.5M", 0, FILZ_EVARIABLE, NO_SIZE},
    {"FILZ_CAPACITY", " 5", 0, FILZ_EVARIABLE, NO_SIZE},
    {"FILZ_CAPACITY", "5 ", 0, FILZ_EVARIABLE, NO_SIZE},
    {"FILZ_CAPACITY", "0", 0, FILZ_ECAPACITY, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", "0K", 0, FILZ_ECAPACITY, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", "1", 0, FILZ_ECAPACITY, "$FILZ_CAPACITY"},
    {"FILZ_CAPACITY", "M", 0, FILZ_EVARIABLE, NO_SIZE},
    {"FILZ_CAPACITY", "1X", 0, FILZ_EVARIABLE, NO_SIZE},
    {"FILZ_CAPACITY", "1m", 0, FILZ_EVARIABLE, NO_SIZE},
    {"FILZ_CAPACITY", "1KK", 0, FILZ_EVARIABLE, NO_SIZE},
    {"FILZ_CAPACITY", "1M\n", 0, FILZ_EVARIABLE, NO_SIZE},
    {"FILZ_CAPACITY", "0x100000", 0, FILZ_EVARIABLE, NO_SIZE},
    {"FILZ_CAPACITY", "18446744073709551616", 0, FILZ_EVARIABLE, NO_SIZE},
    {"FILZ_CAPACITY", "18014398509484032K", 0, FILZ_EVARIABLE, NO_SIZE},
    {"FILZ_CAPACITY", "16777216T", 0, FILZ_EVARIABLE, NO_SIZE},
    {"FILZ_CAPACITY", MANY("9"), 0, FILZ_EVARIABLE, NO_SIZE},
    {"FILZ_CAPACITY", MANY("x"), 0, FILZ_EVARIABLE, NO_SIZE},
    {"FILZ_CAPACITY", MANY("x"), MIB, 0, NULL},
    {"FILZ_CAPACITY", "1M", 0, 0, NULL},
    {"FILZ_CAPACITY", "1024K", 0, 0, NULL},
    {"FILZ_CAPACITY", "01048576", 0, 0, NULL},
    {"FILZ_ADVICE", "", MIB, 0, NULL},
    {"FILZ_ADVICE", "auto", MIB, 0, NULL},
    {"FILZ_ADVICE", "random", MIB, 0, NULL},
    {"FILZ_ADVICE", "sequential", MIB, 0, NULL},
    {"FILZ_ADVICE", "Random", MIB, FILZ_EVARIABLE, NO_ADVICE},
    {"FILZ_ADVICE", "random ", MIB, FILZ_EVARIABLE, NO_ADVICE},
    {"FILZ_ADVICE", "1", MIB, FILZ_EVARIABLE, NO_ADVICE},
    {"FILZ_ADVICE", MANY("x"), MIB, FILZ_EVARIABLE, NO_ADVICE},
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

/* Where opening succeeds, the heap has 1 MiB. */
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

static void assert_setting(const struct setting *setting)
{
    int status = in_child(open_as_set, (void *)setting);
    const char *said = text_of("said");
    bool as_expected = setting->said == NULL ? said[0] == '\0' : strstr(said, setting->said) && is_one_line(said);
    if (status != 0 || !as_expected)
        print_message("%s=%s: %s\n", setting->variable, setting->value, said);
    assert_int_equal(status, 0);
    assert_true(as_expected);
}

static void each_value_of_a_variable_is_used_or_ignored_or_a_clear_error(void **state)
{
    (void)state;
    assert_int_equal(mkdir("directory", 0700), 0);
    write_file("file", "");
    for (size_t i = 0; i < COUNT(settings); i++)
        assert_setting(&settings[i]);
    assert_string_equal(text_of("file"), "");
    assert_int_equal(entries_in("directory"), 1); /* of the heaps that FILZ_DIR led there */
    assert_int_equal(entries_in("."), 4);
}

/* -- Values of one variable ---------------------------------------------------------------------------------------- */

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

static void an_empty_FILZ_CAPACITY_means_the_default(void **state)
{
    (void)state;
    assert_int_equal(in_child(open_with_default_capacity, NULL), 0);
}

static int use_too_much_address_space(void *unused)
{
    (void)unused;
    filz_mmap heap = FILZ_MMAP_INIT;
    setenv("FILZ_CAPACITY", sizeof(size_t) > 4 ? "4194304T" : "2047M", 1);
    EXPECT(listen_to_standard_error() == 0);
    EXPECT(filz_mmap_alloc(&heap, 1, 1) == NULL && errno == ENOMEM);
    return strstr(text_of("said"), "$FILZ_CAPACITY") ? 0 : 1;
}

static void a_FILZ_CAPACITY_that_does_not_fit_the_address_space_is_ENOMEM(void **state)
{
    (void)state;
    assert_int_equal(in_child(use_too_much_address_space, NULL), 0);
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

static void only_private_in_FILZ_FORK_gives_the_child_a_private_copy(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(each_value_of_a_variable_is_used_or_ignored_or_a_clear_error),
        IN_FRESH_DIRECTORY(an_empty_FILZ_CAPACITY_means_the_default),
        IN_FRESH_DIRECTORY(a_FILZ_CAPACITY_that_does_not_fit_the_address_space_is_ENOMEM),
        IN_FRESH_DIRECTORY(only_a_1_in_FILZ_QUIET_silences_the_line),
        IN_FRESH_DIRECTORY(only_private_in_FILZ_FORK_gives_the_child_a_private_copy),
    };
    return cmocka_run_group_tests_name("environment", tests, NULL, NULL);
}
