/* The line on standard error about a heap that can't be opened names the file and the reason, and is written once. */
#include "heap_files.h"
#include "standard_error.h"

static void one_line_names_the_file_and_the_reason(void **state)
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

static void a_files_name_of_two_lines_is_written_in_one(void **state)
{
    (void)state;
    write_file("two\nlines", FOREIGN);
    assert_int_equal(in_child(fail_to_open, "two\nlines"), 0);
    assert_non_null(strstr(text_of("said"), "two?lines"));
    assert_true(is_one_line(text_of("said")));
}

static void the_line_names_the_file_in_FILZ_DIR(void **state)
{
    (void)state;
    assert_int_equal(mkdir("chosen", 0700), 0);
    write_file(default_path("chosen"), FOREIGN);
    setenv("FILZ_DIR", "chosen", 1);
    assert_int_equal(in_child(fail_to_open, NULL), 0);
    assert_non_null(strstr(text_of("said"), default_path("chosen")));
}

static void a_heap_that_could_not_be_opened_opens_when_the_reason_is_gone(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(one_line_names_the_file_and_the_reason),
        IN_FRESH_DIRECTORY(a_files_name_of_two_lines_is_written_in_one),
        IN_FRESH_DIRECTORY(the_line_names_the_file_in_FILZ_DIR),
        IN_FRESH_DIRECTORY(a_heap_that_could_not_be_opened_opens_when_the_reason_is_gone),
    };
    return cmocka_run_group_tests_name("error_line", tests, NULL, NULL);
}
