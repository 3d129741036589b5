/* Unit tests of c/os.h: a descriptor is known again, a file gets disk space. */
#include "support.h"

#include "../../../c/os.h"

#include <signal.h>

static struct fz_file new_file(const char *path)
{
    struct fz_file file;
    assert_int_equal(fz_os_open(&file, path, FZ_OPEN_NEW), 0);
    return file;
}

static off_t size_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? status.st_size : -1;
}

static void a_file_is_known_again_by_its_descriptor(void **state)
{
    (void)state;
    struct fz_file file = new_file("one");
    assert_true(fz_os_is_open(&file));
    int other = open("other", O_RDWR | O_CREAT, 0600);
    assert_int_equal(dup2(other, file.fd), file.fd); /* the number is somebody else's now */
    assert_false(fz_os_is_open(&file));
    int number = file.fd;
    fz_os_close(&file);
    assert_int_equal(file.fd, -1);
    assert_true(fcntl(number, F_GETFD) >= 0);
    close(number);
    close(other);
}

static void a_descriptor_for_reading_only_is_not_the_files(void **state)
{
    (void)state;
    struct fz_file file = new_file("one");
    int mine = open("one", O_RDONLY);
    assert_int_equal(dup2(mine, file.fd), file.fd);
    assert_false(fz_os_is_open(&file));
    close(file.fd);
    close(mine);
}

static void a_file_is_at_its_path_until_another_takes_it(void **state)
{
    (void)state;
    struct fz_file file = new_file("one");
    assert_true(fz_os_is_at(&file, "one"));
    assert_int_equal(rename("one", "two"), 0);
    assert_false(fz_os_is_at(&file, "one"));
    assert_true(fz_os_is_at(&file, "two"));
    assert_int_equal(symlink("two", "one"), 0);
    assert_false(fz_os_is_at(&file, "one"));
    fz_os_close(&file);
}

static void an_extended_file_is_longer_and_zero(void **state)
{
    (void)state;
    NEED_LINUX("disk space but for what is written");
    struct fz_file file = new_file("one");
    char bytes[100000];
    assert_int_equal(fz_os_write_zeros(&file, 0, 5000), 0);
    assert_int_equal(fz_os_allocate(&file, 5000, 100000), 0);
    assert_int_equal(size_of("one"), 100000);
    assert_int_equal(pread(file.fd, bytes, sizeof(bytes), 0), 100000);
    assert_true(is_filled(bytes, 0, sizeof(bytes)));
    fz_os_close(&file);
}

static void signals_wait_while_a_file_is_extended_and_are_as_before_afterwards(void **state)
{
    (void)state;
    NEED_LINUX("disk space but for what is written");
    struct fz_file file = new_file("one");
    sigset_t none, after;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    assert_int_equal(fz_os_allocate(&file, 0, 5000), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int signal = 1; signal < 32; signal++)
        assert_false(sigismember(&after, signal));
    fz_os_close(&file);
}

static void a_read_past_the_end_of_a_file_is_EIO(void **state)
{
    (void)state;
    struct fz_file file = new_file("one");
    char bytes[100];
    assert_int_equal(fz_os_write_zeros(&file, 0, 100), 0);
    assert_int_equal(fz_os_read(file.fd, 0, bytes, 100), 0);
    assert_int_equal(fz_os_read(file.fd, 1, bytes, 100), EIO);
    assert_string_equal(fz_os_failed_call(), "pread");
    assert_int_equal(fz_os_read(file.fd, 200, bytes, 1), EIO);
    fz_os_close(&file);
}

static void zeros_are_written_however_many(void **state)
{
    (void)state;
    struct fz_file file = new_file("one");
    assert_int_equal(fz_os_write(&file, 0, "before", 6), 0);
    assert_int_equal(fz_os_write_zeros(&file, 6, 3 * MIB + 5), 0);
    assert_int_equal(size_of("one"), 3 * MIB + 5);
    char *bytes = malloc(3 * MIB);
    assert_int_equal(fz_os_read(file.fd, 6, bytes, 3 * MIB - 1), 0);
    assert_true(is_filled(bytes, 0, 3 * MIB - 1));
    assert_string_equal(text_of("one"), "before");
    free(bytes);
    fz_os_close(&file);
}

static void a_directory_of_too_long_a_path_is_ENAMETOOLONG(void **state)
{
    (void)state;
    char path[5000];
    memset(path, '/', sizeof(path)); /* the root, by the longest way */
    path[sizeof(path) - 1] = '\0';
    struct fz_file file;
    assert_int_equal(fz_os_open_unnamed(&file, path), ENAMETOOLONG);
    assert_int_equal(fz_os_sync_directory_of(path), ENAMETOOLONG);
    assert_string_equal(fz_os_failed_call(), "open");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_file_is_known_again_by_its_descriptor),
        IN_FRESH_DIRECTORY(a_descriptor_for_reading_only_is_not_the_files),
        IN_FRESH_DIRECTORY(a_file_is_at_its_path_until_another_takes_it),
        IN_FRESH_DIRECTORY(an_extended_file_is_longer_and_zero),
        IN_FRESH_DIRECTORY(signals_wait_while_a_file_is_extended_and_are_as_before_afterwards),
        IN_FRESH_DIRECTORY(a_read_past_the_end_of_a_file_is_EIO),
        IN_FRESH_DIRECTORY(zeros_are_written_however_many),
        IN_FRESH_DIRECTORY(a_directory_of_too_long_a_path_is_ENAMETOOLONG),
    };
    return cmocka_run_group_tests_name("os", tests, NULL, NULL);
}
