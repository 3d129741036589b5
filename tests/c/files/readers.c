/* Any number of readers have a persistent heap open at the same time, and nothing in its file changes. */
#include "readers.h"
#include "threads.h"

#include <grp.h>

enum { NOBODY = 65534 };

/* -- The file ------------------------------------------------------------------------------------------------------ */

static void a_reader_changes_nothing_in_the_file_not_even_its_times(void **state)
{
    (void)state;
    static const mode_t modes[] = {0600, 0400, 0444, 0640, 0755};
    for (size_t i = 0; i < COUNT(modes); i++) {
        make_heap(PATH);
        assert_int_equal(chmod(PATH, modes[i]), 0);
        struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
        assert_int_equal(utimensat(AT_FDCWD, PATH, long_ago, 0), 0);
        struct snapshot before = snapshot_of(PATH);
        assert_int_equal(utimensat(AT_FDCWD, PATH, long_ago, 0), 0);
        filz_mmap reader = reader_of(PATH);
        assert_int_equal(reads_all(&reader, NODES), 0);
        assert_int_equal(filz_mmap_close(&reader), 0);
        assert_true(ON_POSIX || status_of(PATH).st_atim.tv_sec == 1000);
        assert_as_it_was(PATH, before);
        assert_int_equal(remove(PATH), 0);
    }
}

static int reads_as_nobody(void *path)
{
    if (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
        return SKIPPED;
    filz_mmap reader = reader_of(path), copy = private_of(path), writer = persistent_at(path);
    EXPECT(filz_mmap_open(&writer) == EACCES);
    EXPECT(reads_all(&reader, NODES) == 0);
    EXPECT(filz_mmap_close(&reader) == 0);
    EXPECT(reads_all(&copy, NODES) == 0);
    return filz_mmap_close(&copy);
}

static void another_user_reads_a_heap_of_roots_if_its_mode_allows_it(void **state)
{
    (void)state;
    if (geteuid() != 0)
        SKIP("needs root");
    make_heap(PATH);
    assert_int_equal(chmod(PATH, 0644), 0);
    assert_int_equal(chmod(".", 0755), 0);
    int status = in_child(reads_as_nobody, PATH);
    if (status == SKIPPED)
        SKIP("can't become another user");
    assert_int_equal(status, 0);
}

static void a_file_that_others_can_write_is_refused(void **state)
{
    (void)state;
    make_heap(PATH);
    static const mode_t modes[] = {0660, 0602, 0666};
    for (size_t i = 0; i < COUNT(modes); i++) {
        assert_int_equal(chmod(PATH, modes[i]), 0);
        filz_mmap reader = reader_of(PATH), copy = private_of(PATH);
        assert_int_equal(filz_mmap_open(&reader), FILZ_EMODE);
        assert_int_equal(filz_mmap_open(&copy), FILZ_EMODE);
    }
    assert_int_equal(chmod(PATH, 0600), 0);
    if (geteuid() != 0)
        SKIP("giving a file to another user needs root");
    assert_int_equal(chown(PATH, NOBODY, NOBODY), 0);
    filz_mmap reader = reader_of(PATH);
    assert_int_equal(filz_mmap_open(&reader), FILZ_EOWNER);
}

static void a_file_with_several_names_is_read_by_each(void **state)
{
    (void)state;
    make_heap(PATH);
    assert_int_equal(link(PATH, "second.filz"), 0);
    filz_mmap reader = reader_of("second.filz");
    assert_int_equal(reads_all(&reader, NODES), 0);
    assert_int_equal(filz_mmap_close(&reader), 0);
}

static void a_reader_creates_nothing_where_there_is_no_heap(void **state)
{
    (void)state;
    filz_mmap reader = reader_of("missing.filz");
    assert_int_equal(filz_mmap_open(&reader), ENOENT);
    assert_false(exists("missing.filz"));
    write_file("empty.filz", "");
    reader.path = "empty.filz";
    assert_int_equal(filz_mmap_open(&reader), FILZ_ENOTHEAP);
    assert_int_equal(status_of("empty.filz").st_size, 0);
    make_heap(PATH);
    reader = reader_of(PATH);
    reader.tag++;
    assert_int_equal(filz_mmap_open(&reader), FILZ_ETAG);
    reader.flags |= FILZ_MMAP_PRIVATE;
    assert_int_equal(filz_mmap_open(&reader), FILZ_EFLAGS);
    reader.path = NULL;
    reader.flags = FILZ_MMAP_READ_ONLY;
    assert_int_equal(filz_mmap_open(&reader), FILZ_EFLAGS);
}

static void a_writer_keeps_the_mode_that_the_owner_gave_the_file(void **state)
{
    (void)state;
    static const mode_t modes[] = {0644, 0640, 0700};
    for (size_t i = 0; i < COUNT(modes); i++) {
        make_heap(PATH);
        assert_int_equal(chmod(PATH, modes[i]), 0);
        filz_mmap writer = persistent_at(PATH);
        add_nodes(&writer, 1);
        assert_int_equal(filz_mmap_close(&writer), 0);
        assert_int_equal(mode_of(PATH) & 07777, modes[i]);
        assert_int_equal(remove(PATH), 0);
    }
}

/* -- What a reader may do ------------------------------------------------------------------------------------------ */

static void a_call_that_would_change_the_heap_is_EROFS_for_a_reader(void **state)
{
    (void)state;
    make_heap(PATH);
    filz_mmap reader = reader_of(PATH);
    assert_int_equal(reads_all(&reader, NODES), 0);
    struct lists *lists = filz_mmap_root(&reader);
    struct node *newest = lists->newest[0];
    errno = 0;
    assert_null(filz_mmap_alloc(&reader, 8, 8));
    assert_int_equal(errno, EROFS);
    errno = 0;
    assert_null(filz_mmap_realloc(&reader, newest, NODE, 8, 2 * NODE));
    assert_int_equal(errno, EROFS);
    assert_int_equal(filz_mmap_reset(&reader), EROFS);
    assert_int_equal(filz_mmap_set_root(&reader, NULL), EROFS);
    assert_int_equal(filz_mmap_sync(&reader), EROFS);
    assert_int_equal(walk_list(&reader, lists, 0), NODES);
    assert_ptr_equal(filz_mmap_realloc(&reader, newest, NODE, 8, NODE / 2), newest);
    assert_int_equal(filz_mmap_close(&reader), 0);
}

static int stores(void *root)
{
    *(volatile char *)root = 1;
    return 0;
}

static void a_store_of_a_reader_ends_its_process(void **state)
{
    (void)state;
    make_heap(PATH);
    filz_mmap reader = reader_of(PATH);
    assert_int_equal(reads_all(&reader, NODES), 0);
    int status = in_child(stores, filz_mmap_root(&reader));
    assert_true(status == 128 + SIGSEGV || (SANITIZED && status != 0));
    assert_int_equal(filz_mmap_close(&reader), 0);
}

/* -- Together ------------------------------------------------------------------------------------------------------ */

static int cannot_open_to_write(void *unused)
{
    (void)unused;
    filz_mmap writer = persistent_at(PATH);
    EXPECT(filz_mmap_open(&writer) == FILZ_EINUSE);
    return 0;
}

struct open_reader {
    pid_t pid;
    int ready[2], go[2];
};

static int read_until_told(void *context)
{
    struct open_reader *self = context;
    char byte = 'r';
    filz_mmap reader = reader_of(PATH);
    EXPECT(reads_all(&reader, NODES) == 0);
    EXPECT(write(self->ready[1], &byte, 1) == 1 && read(self->go[0], &byte, 1) == 1);
    EXPECT(reads_all(&reader, NODES) == 0);
    return filz_mmap_close(&reader);
}

static void many_processes_read_while_none_writes(void **state)
{
    (void)state;
    enum { READERS = 8 };
    struct open_reader readers[READERS];
    char byte;
    make_heap(PATH);
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pipe(readers[i].ready) | pipe(readers[i].go), 0);
        readers[i].pid = begin_child(read_until_told, &readers[i]);
        assert_int_equal(read(readers[i].ready[0], &byte, 1), 1);
    }
    filz_mmap writer = persistent_at(PATH);
    assert_int_equal(filz_mmap_open(&writer), FILZ_EINUSE);
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(write(readers[i].go[1], &byte, 1), 1);
        assert_int_equal(end_child(readers[i].pid), 0);
    }
    add_nodes(&writer, 1);
    filz_mmap reader = reader_of(PATH);
    assert_int_equal(filz_mmap_open(&reader), FILZ_EINUSE);
    assert_int_equal(filz_mmap_close(&writer), 0);
}

static int goes_on_reading(void *reader)
{
    EXPECT(reads_all(reader, NODES) == 0);
    return filz_mmap_close(reader);
}

static void a_forked_child_goes_on_reading_and_so_does_its_parent(void **state)
{
    (void)state;
    make_heap(PATH);
    filz_mmap reader = reader_of(PATH);
    assert_int_equal(reads_all(&reader, NODES), 0);
    assert_int_equal(in_child(goes_on_reading, &reader), 0);
    assert_int_equal(reads_all(&reader, NODES), 0);
    assert_int_equal(in_child(cannot_open_to_write, NULL), 0);
    assert_int_equal(filz_mmap_close(&reader), 0);
}

/* -- After a power cut --------------------------------------------------------------------------------------------- */

static void *allocate_a_byte(void *heap)
{
    return filz_mmap_alloc(heap, 1, 1);
}

static void a_reader_sees_the_checkpoint_if_the_newest_state_is_damaged(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    add_nodes(&heap, NODES);
    assert_int_equal(filz_mmap_sync(&heap), 0);
    assert_non_null(in_thread(allocate_a_byte, &heap));
    struct fz_chunk *last = heap.heap->last;
    void *root = filz_mmap_root(&heap);
    size_t offset = (size_t)((uintptr_t)last - heap.heap->backing.base);
    assert_int_equal(filz_mmap_close(&heap), 0);
    write_at(PATH, offset, (char[64]){0}, 64);
    for (int is_private = 0; is_private < 2; is_private++) {
        struct snapshot before = snapshot_of(PATH);
        filz_mmap reader = is_private ? private_of(PATH) : reader_of(PATH);
        assert_int_equal(filz_mmap_open(&reader), 0);
        filz_mmap_info info;
        assert_int_equal(filz_mmap_stats(&reader, &info), 0);
        assert_true(info.used <= info.in_chunks && info.in_chunks <= offset);
        assert_ptr_equal(filz_mmap_root(&reader), root);
        assert_int_equal(walk_list(&reader, root, 0), NODES);
        assert_int_equal(filz_mmap_close(&reader), 0);
        assert_as_it_was(PATH, before);
    }
}

/* Also where the last chunk has grown since, so that it ends after what is mapped. */
static void a_reader_of_a_checkpoint_leaves_what_others_mapped_after_it(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    add_nodes(&heap, 1);
    assert_int_equal(filz_mmap_sync(&heap), 0);
    char *end = (char *)heap.heap->backing.base + heap.heap->cursor;
    assert_non_null(filz_mmap_alloc(&heap, 200 * 1024, 1));
    size_t grown = fz_heap_cursor(heap.heap) - (uintptr_t)end;
    assert_int_equal(filz_mmap_close(&heap), 0);
    write_at(PATH, offsetof(struct fz_header, last), (char[8]){1}, 8);
    write_at(PATH, offsetof(struct fz_header, cursor), (char[8]){1}, 8);
    char *others = mmap(end, grown, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_equal(others, end);
    filz_mmap reader = reader_of(PATH);
    assert_int_equal(filz_mmap_open(&reader), 0);
    others[0] = others[grown - 1] = 'o';
    assert_int_equal(walk_list(&reader, filz_mmap_root(&reader), 0), 1);
    assert_int_equal(filz_mmap_close(&reader), 0);
    munmap(others, grown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_reader_changes_nothing_in_the_file_not_even_its_times),
        IN_FRESH_DIRECTORY(another_user_reads_a_heap_of_roots_if_its_mode_allows_it),
        IN_FRESH_DIRECTORY(a_file_that_others_can_write_is_refused),
        IN_FRESH_DIRECTORY(a_file_with_several_names_is_read_by_each),
        IN_FRESH_DIRECTORY(a_reader_creates_nothing_where_there_is_no_heap),
        IN_FRESH_DIRECTORY(a_writer_keeps_the_mode_that_the_owner_gave_the_file),
        IN_FRESH_DIRECTORY(a_call_that_would_change_the_heap_is_EROFS_for_a_reader),
        IN_FRESH_DIRECTORY(a_store_of_a_reader_ends_its_process),
        IN_FRESH_DIRECTORY(many_processes_read_while_none_writes),
        IN_FRESH_DIRECTORY(a_forked_child_goes_on_reading_and_so_does_its_parent),
        IN_FRESH_DIRECTORY(a_reader_sees_the_checkpoint_if_the_newest_state_is_damaged),
        IN_FRESH_DIRECTORY(a_reader_of_a_checkpoint_leaves_what_others_mapped_after_it),
    };
    return cmocka_run_group_tests_name("readers", tests, NULL, NULL);
}
