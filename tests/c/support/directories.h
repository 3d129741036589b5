/* A fresh directory, the working directory of each test that asks for it, and a look at the files there. */
#ifndef FILZ_TESTS_DIRECTORIES_H
#define FILZ_TESTS_DIRECTORIES_H

#include "basics.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static char fresh_directory[1024];

MAYBE_UNUSED static int enter_fresh_directory(void **state)
{
    (void)state;
    static const char *const variables[] = {"FILZ_DIR", "FILZ_CAPACITY", "FILZ_QUIET", "FILZ_FORK"};
    for (size_t i = 0; i < COUNT(variables); i++)
        unsetenv(variables[i]);
    const char *parent = getenv("TMPDIR");
    snprintf(fresh_directory, sizeof(fresh_directory), "%s/filz-test-XXXXXX", parent ? parent : "/tmp");
    if (mkdtemp(fresh_directory) == NULL || chdir(fresh_directory) != 0)
        return -1;
    umask(022);
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status, (void)type, (void)place;
    return remove(path);
}

MAYBE_UNUSED static int leave_fresh_directory(void **state)
{
    (void)state;
    return chdir("/") || nftw(fresh_directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

#define IN_FRESH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter_fresh_directory, leave_fresh_directory)

static int entries_seen;

static int count_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)path, (void)status, (void)type;
    entries_seen += place->level > 0;
    return 0;
}

/* How many files and directories `directory` holds, at any depth. */
MAYBE_UNUSED static int entries_in(const char *directory)
{
    entries_seen = 0;
    return nftw(directory, count_entry, 16, FTW_PHYS) == 0 ? entries_seen : -1;
}

MAYBE_UNUSED static bool exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

MAYBE_UNUSED static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* The first bytes of a file, as a string that the next call overwrites; "" if there is none. */
MAYBE_UNUSED static const char *text_of(const char *path)
{
    static char text[4096];
    FILE *file = fopen(path, "r");
    size_t length = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
    text[length] = '\0';
    if (file)
        fclose(file);
    return text;
}

#endif
