/* Unit tests of c/backing.[ch]: how far it goes ahead, what a limit allows, where a heap is put. */
#include "mappings.h"

#include "../../../c/heap.h"

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

/* -- The search for the largest reservation ------------------------------------------------------------------------ */

/* A system on which no more than this can be reserved at once. */
static size_t most;

static int reserve_up_to_most(struct fz_backing *backing, size_t length)
{
    return length <= most ? fz_reserve_anywhere(backing, length) : ENOMEM;
}

/* How much is reserved of a default capacity of 512 MiB where `needed` bytes are; 0 if that fails. */
static size_t reserved_of_default(size_t needed)
{
    struct fz_backing backing = {.page_size = (size_t)sysconf(_SC_PAGESIZE), .file = {.fd = -1}};
    struct fz_capacity capacity = {.bytes = 512 * MIB, .is_default = true};
    int error = fz_backing_reserve(&backing, reserve_up_to_most, capacity, needed);
    assert_true(error == 0 || error == ENOMEM);
    if (error == 0)
        fz_backing_release(&backing);
    return error == 0 ? backing.reserved : 0;
}

/* A persistent heap asks for 64 MiB more than it needs. */
static void of_a_default_capacity_the_largest_part_that_can_be_had_is_reserved_to_a_MiB(void **state)
{
    (void)state;
    static const size_t all_needed[] = {0, 64 * KIB, MIB, 100 * MIB, 300 * MIB + 64 * KIB, 500 * MIB};
    unsigned long long before = mappings_now().bytes;
    size_t tried = 0;
    for (size_t i = 0; i < COUNT(all_needed); i++)
        for (most = 0; most < 600 * MIB; most += most < 8 * MIB ? 300 * KIB : 7 * MIB + 300 * KIB, tried++) {
            size_t needed = all_needed[i], least = needed > MIB ? needed : MIB;
            size_t wanted = needed + 64 * MIB < 512 * MIB ? needed + 64 * MIB : 512 * MIB;
            size_t best = most < wanted ? most : wanted, reserved = reserved_of_default(needed);
            if (most < least) {
                assert_int_equal(reserved, 0);
                continue;
            }
            assert_in_range(reserved, least, best);
            assert_true(best - reserved <= MIB && (reserved == wanted || most < wanted));
        }
    print_message("%zu limits\n", tried);
    assert_true(SANITIZED || mappings_now().bytes < before + 64 * MIB); /* what was tried isn't kept */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(committing_goes_ahead_by_half_and_not_past_the_capacity),
        IN_FRESH_DIRECTORY(a_file_grows_up_to_its_limit_and_no_signal_is_raised),
        IN_FRESH_DIRECTORY(of_a_default_capacity_the_largest_part_that_can_be_had_is_reserved_to_a_MiB),
    };
    return cmocka_run_group_tests_name("backing", tests, NULL, NULL);
}
