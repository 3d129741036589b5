/* Unit tests of c/file.[ch] and of committing in c/heap_file.c: a descriptor is known again, a file grows or stays as
 * it was. */
#include "support.h"

#include "../../c/file.h"
#include "../../c/heap_file.h"

#include <signal.h>
#include <sys/resource.h>

static struct filz_file new_file(const char *path)
{
    struct filz_file file;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(filz_file_remember(&file, fd), 0);
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
    struct filz_file file = new_file("one");
    assert_true(filz_file_is_open(&file));
    int other = open("other", O_RDWR | O_CREAT, 0600);
    assert_int_equal(dup2(other, file.fd), file.fd); /* the number is somebody else's now */
    assert_false(filz_file_is_open(&file));
    int number = file.fd;
    filz_file_close(&file);
    assert_int_equal(file.fd, -1);
    assert_true(fcntl(number, F_GETFD) >= 0);
    close(number);
    close(other);
}

static void a_descriptor_for_reading_only_is_not_the_files(void **state)
{
    (void)state;
    struct filz_file file = new_file("one");
    int mine = open("one", O_RDONLY);
    assert_int_equal(dup2(mine, file.fd), file.fd);
    assert_false(filz_file_is_open(&file));
    close(file.fd);
    close(mine);
}

static void a_file_is_at_its_path_until_another_takes_it(void **state)
{
    (void)state;
    struct filz_file file = new_file("one");
    assert_true(filz_file_is_at(&file, "one"));
    assert_int_equal(rename("one", "two"), 0);
    assert_false(filz_file_is_at(&file, "one"));
    assert_true(filz_file_is_at(&file, "two"));
    assert_int_equal(symlink("two", "one"), 0);
    assert_false(filz_file_is_at(&file, "one"));
    filz_file_close(&file);
}

static void an_extended_file_is_longer_and_zero(void **state)
{
    (void)state;
    struct filz_file file = new_file("one");
    char bytes[100000];
    assert_int_equal(filz_file_extend(&file, 0, 5000), 0);
    assert_int_equal(filz_file_extend(&file, 5000, 95000), 0);
    assert_int_equal(size_of("one"), 100000);
    assert_int_equal(pread(file.fd, bytes, sizeof(bytes), 0), 100000);
    assert_true(is_filled(bytes, 0, sizeof(bytes)));
    filz_file_close(&file);
}

static int extend_past_the_limit(void *path)
{
    struct filz_file file = new_file(path);
    EXPECT(setrlimit(RLIMIT_FSIZE, &(struct rlimit){10000, 10000}) == 0);
    EXPECT(filz_file_may_have(10000) && !filz_file_may_have(10001));
    EXPECT(filz_file_extend(&file, 0, 10000) == 0);
    EXPECT(filz_file_extend(&file, 10000, 1) == EFBIG);
    EXPECT(size_of(path) == 10000);
    return 0;
}

static void a_file_grows_up_to_its_limit_and_no_signal_is_raised(void **state)
{
    (void)state;
    int result = in_child(extend_past_the_limit, "one");
    assert_int_equal(result, 0);
}

static void signals_wait_while_a_file_is_extended_and_are_as_before_afterwards(void **state)
{
    (void)state;
    struct filz_file file = new_file("one");
    sigset_t none, after;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    assert_int_equal(filz_file_extend(&file, 0, 5000), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int signal = 1; signal < 32; signal++)
        assert_false(sigismember(&after, signal));
    filz_file_close(&file);
}

static void committing_goes_ahead_by_half_and_not_past_the_capacity(void **state)
{
    (void)state;
    filz_mmap settings = {.path = "heap", .capacity = 3 * MIB};
    assert_int_equal(filz_mmap_open(&settings), 0);
    struct filz_heap *heap = settings.heap;
    for (size_t committed = heap->committed; committed < 3 * MIB; committed = heap->committed) {
        size_t ahead = committed / 2 > 256 * KIB ? committed / 2 : 256 * KIB;
        assert_int_equal(filz_heap_commit(heap, filz_heap_base(heap) + committed + 1), 0);
        assert_true(heap->committed >= committed + ahead || heap->committed == 3 * MIB);
        assert_true(heap->committed < committed + ahead + heap->page_size);
        assert_int_equal(size_of("heap"), heap->committed);
    }
    assert_int_equal(filz_mmap_close(&settings), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_FOLDER(a_file_is_known_again_by_its_descriptor),
        IN_FRESH_FOLDER(a_descriptor_for_reading_only_is_not_the_files),
        IN_FRESH_FOLDER(a_file_is_at_its_path_until_another_takes_it),
        IN_FRESH_FOLDER(an_extended_file_is_longer_and_zero),
        IN_FRESH_FOLDER(a_file_grows_up_to_its_limit_and_no_signal_is_raised),
        IN_FRESH_FOLDER(signals_wait_while_a_file_is_extended_and_are_as_before_afterwards),
        IN_FRESH_FOLDER(committing_goes_ahead_by_half_and_not_past_the_capacity),
    };
    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
