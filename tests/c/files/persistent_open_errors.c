/* Opening a persistent heap fails if it is in use, if its file has the wrong mode or type, and if the settings are
 * wrong. Each has an error of its own, and the file stays as it was. */
#include "refused_heap.h"

#include <sys/mount.h>

/* -- In use -------------------------------------------------------------------------------------------------------- */

static void a_heap_that_this_process_has_open_is_in_use(void **state)
{
    (void)state;
    filz_mmap first = persistent_at(PATH);
    assert_int_equal(filz_mmap_open(&first), 0);
    assert_refused(persistent_at(PATH), FILZ_EINUSE);
    assert_int_equal(filz_mmap_close(&first), 0);
    assert_all_there(persistent_at(PATH));
}

static void a_heap_that_another_process_has_open_is_in_use(void **state)
{
    (void)state;
    struct holder holder = hold(persistent_at(PATH));
    assert_refused(persistent_at(PATH), FILZ_EINUSE);
    assert_int_equal(kill(holder.pid, SIGKILL), 0);
    assert_int_equal(end_child(holder.pid), 128 + SIGKILL);
    close(holder.end[1]);
    assert_all_there(persistent_at(PATH));
}

/* -- The mode and type of the file --------------------------------------------------------------------------------- */

static void a_read_only_file_is_refused_to_root_too(void **state)
{
    (void)state;
    static const mode_t modes[] = {0400, 0444, 0440};
    for (size_t i = 0; i < COUNT(modes); i++) {
        assert_int_equal(chmod(PATH, modes[i]), 0);
        assert_refused(persistent_at(PATH), FILZ_EMODE);
    }
    assert_int_equal(chmod(PATH, 0600), 0);
    assert_all_there(persistent_at(PATH));
}

static void a_file_that_others_may_write_is_refused(void **state)
{
    (void)state;
    static const mode_t modes[] = {0620, 0602, 0666};
    for (size_t i = 0; i < COUNT(modes); i++) {
        assert_int_equal(chmod(PATH, modes[i]), 0);
        assert_refused(persistent_at(PATH), FILZ_EMODE);
    }
}

static void a_file_that_others_may_read_stays_so(void **state)
{
    (void)state;
    assert_int_equal(chmod(PATH, 0644), 0);
    filz_mmap heap = persistent_at(PATH);
    heap.tag = 0;
    assert_refused(heap, FILZ_ETAG);
    assert_all_there(persistent_at(PATH));
    assert_int_equal(mode_of(PATH) & 07777, 0644);
}

static bool make_directory_read_only(void)
{
    return (unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
           mount("", "/", "", MS_REC | MS_PRIVATE, "") == 0 && mount(".", ".", "", MS_BIND, "") == 0 &&
           mount(fresh_directory, fresh_directory, "", MS_REMOUNT | MS_BIND | MS_RDONLY, "") == 0 &&
           chdir(fresh_directory) == 0;
}

static int open_read_only(void *unused)
{
    (void)unused;
    if (!make_directory_read_only())
        return SKIPPED;
    filz_mmap heap = persistent_at(PATH), missing = persistent_at("missing.filz");
    EXPECT(filz_mmap_open(&heap) == EROFS);
    EXPECT(filz_mmap_open(&missing) == EROFS);
    EXPECT(filz_mmap_alloc(&heap, 1, 1) == NULL && errno == EROFS);
    return 0;
}

static void a_read_only_file_system_is_EROFS(void **state)
{
    (void)state;
    struct snapshot before = snapshot_of(PATH);
    setenv("FILZ_QUIET", "1", 1);
    int status = in_child(open_read_only, NULL);
    assert_as_it_was(PATH, before);
    if (status == SKIPPED)
        SKIP("a mount of its own needs root, or a user namespace");
    assert_int_equal(status, 0);
    assert_string_equal(filz_error_text(EROFS), "the file system is read-only");
}

static void a_directory_is_EISDIR(void **state)
{
    (void)state;
    assert_int_equal(mkdir("directory", 0700), 0);
    assert_cannot_open(persistent_at("directory"), EISDIR);
    assert_int_equal(entries_in("directory"), 0);
}

static void a_symbolic_link_is_not_followed(void **state)
{
    (void)state;
    struct snapshot before = snapshot_of(PATH);
    assert_int_equal(symlink(PATH, "link"), 0);
    assert_int_equal(symlink("missing", "dangling"), 0);
    assert_cannot_open(persistent_at("link"), ELOOP);
    assert_cannot_open(persistent_at("dangling"), ELOOP);
    assert_false(exists("missing"));
    assert_as_it_was(PATH, before);
}

static void a_file_with_two_names_is_refused(void **state)
{
    (void)state;
    assert_int_equal(link(PATH, "second"), 0);
    assert_refused(persistent_at(PATH), FILZ_ELINKS);
    assert_int_equal(unlink("second"), 0);
    assert_all_there(persistent_at(PATH));
}

static void a_FIFO_is_refused_without_waiting(void **state)
{
    (void)state;
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_cannot_open(persistent_at("fifo"), FILZ_ENOTFILE);
}

/* -- The settings -------------------------------------------------------------------------------------------------- */

static void a_plain_heap_does_not_overwrite_a_persistent_one(void **state)
{
    (void)state;
    filz_mmap plain = {.path = PATH, .capacity = 4 * MIB};
    assert_refused(plain, FILZ_EPERSISTENT);
    plain.tag = TAG;
    plain.flags = FILZ_MMAP_DUMP;
    assert_refused(plain, FILZ_EPERSISTENT);
    assert_all_there(persistent_at(PATH));
}

static void a_plain_heap_in_FILZ_DIR_does_not_overwrite_a_persistent_one(void **state)
{
    (void)state;
    assert_int_equal(rename(PATH, default_path(".")), 0);
    struct snapshot before = snapshot_of(default_path("."));
    setenv("FILZ_DIR", ".", 1);
    filz_mmap plain = {.capacity = 4 * MIB};
    assert_int_equal(filz_mmap_open(&plain), FILZ_EPERSISTENT);
    assert_as_it_was(default_path("."), before);
    assert_all_there(persistent_at(default_path(".")));
}

static void a_persistent_heap_needs_a_path(void **state)
{
    (void)state;
    assert_cannot_open(persistent_at(NULL), FILZ_EFLAGS);
    setenv("FILZ_DIR", ".", 1);
    assert_cannot_open(persistent_at(NULL), FILZ_EFLAGS);
    assert_int_equal(entries_in("."), 2);
}

static void an_unknown_flag_is_refused(void **state)
{
    (void)state;
    static const unsigned unknown[] = {2 * FILZ_MMAP_SHARED, 0x80000000, ~0u};
    for (size_t i = 0; i < COUNT(unknown); i++) {
        filz_mmap heap = persistent_at(PATH);
        heap.flags |= unknown[i];
        struct snapshot before = snapshot_of(PATH);
        assert_int_equal(filz_mmap_open(&heap), FILZ_EFLAGS);
        assert_as_it_was(PATH, before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HEAP(a_heap_that_this_process_has_open_is_in_use),
        WITH_HEAP(a_heap_that_another_process_has_open_is_in_use),
        WITH_HEAP(a_read_only_file_is_refused_to_root_too),
        WITH_HEAP(a_file_that_others_may_write_is_refused),
        WITH_HEAP(a_file_that_others_may_read_stays_so),
        WITH_HEAP(a_read_only_file_system_is_EROFS),
        WITH_HEAP(a_directory_is_EISDIR),
        WITH_HEAP(a_symbolic_link_is_not_followed),
        WITH_HEAP(a_file_with_two_names_is_refused),
        WITH_HEAP(a_FIFO_is_refused_without_waiting),
        WITH_HEAP(a_plain_heap_does_not_overwrite_a_persistent_one),
        WITH_HEAP(a_plain_heap_in_FILZ_DIR_does_not_overwrite_a_persistent_one),
        WITH_HEAP(a_persistent_heap_needs_a_path),
        WITH_HEAP(an_unknown_flag_is_refused),
    };
    return cmocka_run_group_tests_name("persistent_open_errors", tests, NULL, NULL);
}
