/* Somebody else removes the file, or puts another one in its place, just while it is being opened: between the call
 * that opens it and the one that locks it. The heap is never in a file without a name, and no file of others is lost.
 */
#include "heap_files.h"

#include <sys/file.h>

/* -- The moment ---------------------------------------------------------------------------------------------------- */

/* Runs before each lock that libfilz takes. */
static void (*before_lock)(void);
static int locks;

/* The linker leads libfilz here (--wrap). */
int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);

int __wrap_flock(int fd, int operation)
{
    if (before_lock != NULL && operation != LOCK_UN) {
        locks++;
        before_lock();
    }
    return __real_flock(fd, operation);
}

#define PATH "heap.filz"

static int open_meanwhile(filz_mmap *heap, void (*what)(void))
{
    locks = 0;
    before_lock = what;
    int error = filz_mmap_open(heap);
    before_lock = NULL;
    return error;
}

/* -- What happens -------------------------------------------------------------------------------------------------- */

static const char *path = PATH;
static int times;

/* An unnamed file is locked too. */
static void remove_file(void)
{
    if (times-- > 0)
        assert_true(unlink(path) == 0 || locks > 100);
}

static void replace_file(void)
{
    if (times-- <= 0)
        return;
    write_file("other", FOREIGN);
    assert_int_equal(rename("other", PATH), 0);
}

static void link_file(void)
{
    if (times-- > 0)
        assert_int_equal(link(PATH, "other"), 0);
}

static void let_others_write(void)
{
    if (times-- > 0)
        assert_int_equal(chmod(PATH, 0666), 0);
}

/* -- What becomes of it -------------------------------------------------------------------------------------------- */

/* Whether the heap's file is the one at its path. */
static bool is_at_its_path(const filz_mmap *heap)
{
    struct stat open_one, named;
    return fstat(descriptor_of(heap), &open_one) == 0 && stat(PATH, &named) == 0 && open_one.st_ino == named.st_ino &&
           open_one.st_nlink == 1;
}

static void a_file_that_is_removed_while_it_is_opened_is_made_anew(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags <= FILZ_MMAP_PERSISTENT; flags += FILZ_MMAP_PERSISTENT)
        for (int count = 1; count < 5; count++) {
            filz_mmap heap = {.path = PATH, .capacity = MIB, .flags = flags};
            times = count;
            assert_int_equal(open_meanwhile(&heap, remove_file), 0);
            assert_int_equal(locks, count + 1);
            assert_true(is_at_its_path(&heap));
            assert_non_null(filz_mmap_alloc(&heap, 1000, 1));
            assert_int_equal(filz_mmap_close(&heap), 0);
            assert_int_equal(can_be_walked(PATH), 0);
            assert_int_equal(unlink(PATH), 0);
        }
}

static void one_that_is_removed_each_time_is_ESTALE(void **state)
{
    (void)state;
    filz_mmap heap = {.path = PATH, .capacity = MIB};
    times = INT_MAX;
    assert_int_equal(open_meanwhile(&heap, remove_file), ESTALE);
    assert_int_equal(locks, 100);
    assert_int_equal(entries_in("."), 0);
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* The file that was made here has no name any more, and the one at the path is somebody else's. */
static void a_file_that_takes_its_place_is_refused_and_untouched(void **state)
{
    (void)state;
    filz_mmap heap = {.path = PATH, .capacity = MIB};
    times = 1;
    assert_int_equal(open_meanwhile(&heap, replace_file), FILZ_ENOTHEAP);
    assert_string_equal(text_of(PATH), FOREIGN);
    assert_int_equal(entries_in("."), 1);
}

/* Each is checked once more under the lock. */
static void what_a_file_becomes_while_it_is_opened_is_noticed(void **state)
{
    (void)state;
    static const struct {
        void (*what)(void);
        int error;
    } changes[] = {{link_file, FILZ_ELINKS}, {let_others_write, FILZ_EMODE}};
    for (size_t i = 0; i < COUNT(changes); i++) {
        assert_int_equal(use(PATH), 0);
        filz_mmap heap = {.path = PATH, .capacity = MIB};
        times = 1;
        assert_int_equal(open_meanwhile(&heap, changes[i].what), changes[i].error);
        assert_true(exists(PATH));
        assert_int_equal(unlink(PATH), 0);
    }
}

/* That directory was only found. */
static void in_a_memory_directory_such_a_file_leads_to_an_unnamed_one(void **state)
{
    (void)state;
    assert_int_equal(mkdir("memory", 0700), 0);
    filz_mmap heap = {.capacity = MIB};
    times = INT_MAX;
    path = default_path("memory");
    int error = open_meanwhile(&heap, remove_file);
    path = PATH;
    assert_int_equal(error, 0);
    assert_null(path_of(&heap));
    assert_non_null(filz_mmap_alloc(&heap, 1000, 1));
    assert_int_equal(entries_in("memory"), 0);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_file_that_is_removed_while_it_is_opened_is_made_anew),
        IN_FRESH_DIRECTORY(one_that_is_removed_each_time_is_ESTALE),
        IN_FRESH_DIRECTORY(a_file_that_takes_its_place_is_refused_and_untouched),
        IN_FRESH_DIRECTORY(what_a_file_becomes_while_it_is_opened_is_noticed),
        IN_FRESH_DIRECTORY(in_a_memory_directory_such_a_file_leads_to_an_unnamed_one),
    };
    return cmocka_run_group_tests_name("replaced_file", tests, NULL, NULL);
}
