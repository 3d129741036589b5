/* Unit tests of c/backing.[ch]: how far it goes ahead, what a limit allows, where a heap is put. */
#include "support.h"

#include "../../c/heap.h"

#include <sys/resource.h>

static off_t size_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? status.st_size : -1;
}

static void committing_goes_ahead_by_half_and_not_past_the_capacity(void **state)
{
    (void)state;
    filz_mmap settings = {.path = "heap", .capacity = 3 * MIB};
    assert_int_equal(filz_mmap_open(&settings), 0);
    struct fz_backing *backing = &settings.heap->backing;
    for (size_t committed = backing->committed; committed < 3 * MIB; committed = backing->committed) {
        size_t ahead = committed / 2 > 256 * KIB ? committed / 2 : 256 * KIB;
        assert_int_equal(fz_backing_commit(backing, committed + 1), 0);
        assert_true(backing->committed >= committed + ahead || backing->committed == 3 * MIB);
        assert_true(backing->committed < committed + ahead + backing->page_size);
        assert_int_equal(size_of("heap"), backing->committed);
    }
    assert_int_equal(filz_mmap_close(&settings), 0);
}

static int commit_past_the_limit(void *path)
{
    filz_mmap settings = {.path = path, .capacity = 3 * MIB};
    EXPECT(filz_mmap_open(&settings) == 0);
    struct fz_backing *backing = &settings.heap->backing;
    EXPECT(setrlimit(RLIMIT_FSIZE, &(struct rlimit){MIB, MIB}) == 0);
    EXPECT(fz_backing_commit(backing, MIB) == 0 && backing->committed == MIB);
    EXPECT(fz_backing_commit(backing, MIB + 1) == EFBIG);
    EXPECT(backing->committed == MIB && size_of(path) == MIB);
    return 0;
}

static void a_file_grows_up_to_its_limit_and_no_signal_is_raised(void **state)
{
    (void)state;
    int result = in_child(commit_past_the_limit, "heap");
    assert_int_equal(result, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(committing_goes_ahead_by_half_and_not_past_the_capacity),
        IN_FRESH_DIRECTORY(a_file_grows_up_to_its_limit_and_no_signal_is_raised),
    };
    return cmocka_run_group_tests_name("backing", tests, NULL, NULL);
}
