/* Which file a heap is in: that of its path, else one in $FILZ_DIR or in memory/, else one without a name. */
#include "heap_files.h"

/* -- A path -------------------------------------------------------------------------------------------------------- */

static void a_heap_with_a_path_is_in_exactly_that_file_which_stays(void **state)
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

static void a_directory_that_is_missing_is_ENOENT(void **state)
{
    (void)state;
    assert_int_equal(use("missing/a.filz"), ENOENT);
    write_file("file", "");
    assert_int_equal(use("file/a.filz"), ENOTDIR);
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char path[3100] = "/";
    while (strlen(path) < sizeof(path) - 2)
        strcat(path, "./");
    assert_int_equal(use(path), FILZ_EPATH);
}

/* -- $FILZ_DIR, then memory/ --------------------------------------------------------------------------------------- */

static void FILZ_DIR_gets_a_file_named_after_the_program(void **state)
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

static void a_FILZ_DIR_that_cannot_be_used_is_an_error(void **state)
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

static void a_path_overrides_FILZ_DIR(void **state)
{
    (void)state;
    assert_int_equal(mkdir("memory", 0700), 0);
    setenv("FILZ_DIR", "missing", 1);
    assert_int_equal(use("a.filz"), 0);
    assert_int_equal(entries_in("memory"), 0);
}

static void a_memory_directory_gets_one_file_which_stays(void **state)
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

/* Where the file in `memory/` cannot be used, the heap is in a file without a name. */
static void assert_unnamed(void)
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
    assert_unnamed();
    assert_int_equal(entries_in("."), 0);
}

static void a_memory_that_is_a_file_leads_to_an_unnamed_heap(void **state)
{
    (void)state;
    write_file("memory", FOREIGN);
    assert_unnamed();
    assert_string_equal(text_of("memory"), FOREIGN);
    assert_int_equal(entries_in("."), 1);
}

static void a_memory_that_is_a_link_to_itself_leads_to_an_unnamed_heap(void **state)
{
    (void)state;
    assert_int_equal(symlink("memory", "memory"), 0);
    assert_unnamed();
}

static void a_foreign_file_in_memory_leads_to_an_unnamed_heap_and_is_untouched(void **state)
{
    (void)state;
    assert_int_equal(mkdir("memory", 0700), 0);
    write_file(default_path("memory"), FOREIGN);
    assert_unnamed();
    assert_string_equal(text_of(default_path("memory")), FOREIGN);
    assert_int_equal(entries_in("memory"), 1);
}

static void a_directory_or_link_in_memory_leads_to_an_unnamed_heap(void **state)
{
    (void)state;
    assert_int_equal(mkdir("memory", 0700), 0);
    assert_int_equal(mkdir(default_path("memory"), 0700), 0);
    assert_unnamed();
    assert_int_equal(rmdir(default_path("memory")), 0);
    assert_int_equal(symlink("/dev/null", default_path("memory")), 0);
    assert_unnamed();
    assert_int_equal(entries_in("memory"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_heap_with_a_path_is_in_exactly_that_file_which_stays),
        IN_FRESH_DIRECTORY(the_file_holds_what_the_program_wrote),
        IN_FRESH_DIRECTORY(the_next_run_overwrites_the_file),
        IN_FRESH_DIRECTORY(the_descriptor_is_close_on_exec_and_above_two),
        IN_FRESH_DIRECTORY(standard_streams_that_are_closed_stay_closed),
        IN_FRESH_DIRECTORY(a_directory_that_is_missing_is_ENOENT),
        IN_FRESH_DIRECTORY(a_path_that_is_too_long_is_refused),
        IN_FRESH_DIRECTORY(FILZ_DIR_gets_a_file_named_after_the_program),
        IN_FRESH_DIRECTORY(a_FILZ_DIR_that_cannot_be_used_is_an_error),
        IN_FRESH_DIRECTORY(a_path_overrides_FILZ_DIR),
        IN_FRESH_DIRECTORY(a_memory_directory_gets_one_file_which_stays),
        IN_FRESH_DIRECTORY(the_path_stays_known_when_the_program_changes_directory),
        IN_FRESH_DIRECTORY(without_a_memory_directory_no_file_is_left),
        IN_FRESH_DIRECTORY(a_memory_that_is_a_file_leads_to_an_unnamed_heap),
        IN_FRESH_DIRECTORY(a_memory_that_is_a_link_to_itself_leads_to_an_unnamed_heap),
        IN_FRESH_DIRECTORY(a_foreign_file_in_memory_leads_to_an_unnamed_heap_and_is_untouched),
        IN_FRESH_DIRECTORY(a_directory_or_link_in_memory_leads_to_an_unnamed_heap),
    };
    return cmocka_run_group_tests_name("location", tests, NULL, NULL);
}
