/* A persistent heap of three chunks, and the check that opening it fails: with the error that is expected, one line
 * about it on standard error, and no change in the file. */
#ifndef FILZ_TESTS_REFUSED_HEAP_H
#define FILZ_TESTS_REFUSED_HEAP_H

#include "list_heap.h"
#include "standard_error.h"
#include "threads.h"

/* -- A heap that opens --------------------------------------------------------------------------------------------- */

enum { NODES = 100 };

static void *add_nodes(void *context)
{
    filz_mmap *heap = context;
    for (size_t i = 0; i < NODES; i++)
        if (add_node(heap, filz_mmap_root(heap), 1, 100 + i) == 0)
            return heap;
    return NULL;
}

/* Two chunks are of threads, the third of a large block. The file goes on after them. */
static void make_three_chunks(void)
{
    filz_mmap heap = persistent_at(PATH);
    struct lists *lists = lists_of(&heap);
    assert_non_null(lists);
    assert_null(in_thread(add_nodes, &heap));
    assert_int_equal(add_node(&heap, lists, 0, 300 * KIB), 1);
    assert_int_equal(stats_of(&heap).chunks, 3);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(truncate(PATH, (off_t)header_of(PATH).cursor + 100 * 1024), 0);
}

MAYBE_UNUSED static void assert_all_there(filz_mmap heap)
{
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_int_equal(walk_list(&heap, filz_mmap_root(&heap), 0), 1);
    assert_int_equal(walk_list(&heap, filz_mmap_root(&heap), 1), NODES);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static int enter_with_heap(void **state)
{
    int error = enter_fresh_directory(state);
    make_three_chunks();
    return error;
}

#define WITH_HEAP(test) cmocka_unit_test_setup_teardown(test, enter_with_heap, leave_fresh_directory)

/* -- A heap that doesn't ------------------------------------------------------------------------------------------- */

/* Allocates three times from a heap that can't be opened. Returns the errno value of the last time. */
static int allocate_in_vain(filz_mmap *heap)
{
    int error = 0, before = dup(STDERR_FILENO);
    assert_int_equal(listen_to_standard_error(), 0);
    for (int i = 0; i < 3; i++) {
        errno = 0;
        bool allocated = filz_mmap_alloc(heap, 100, 1) != NULL;
        error = allocated ? 0 : errno;
    }
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    close(before);
    return error;
}

static void assert_said_once(const char *path, int error)
{
    char start[PATH_MAX / 2] = "filz", line[PATH_MAX];
    if (path != NULL)
        snprintf(start, sizeof(start), path[0] == '/' ? "filz: %s%s" : "filz: %s/%s", fresh_directory, path);
    const char *call = strstr(text_of("said"), error > 0 ? "heap: open: " : "heap: ") != NULL ? "open: " : "?";
    snprintf(line, sizeof(line), "%s: can't open the heap: %s%s (%s %d)\n", start, error > 0 ? call : "",
             filz_error_text(error), error > 0 ? "errno" : "filz error", error);
    assert_string_equal(text_of("said"), line);
    assert_string_not_equal(filz_error_text(error), filz_error_text(INT_MIN));
}

/* Neither filz_mmap_open nor an allocation opens it. */
MAYBE_UNUSED static void assert_cannot_open(filz_mmap heap, int error)
{
    filz_mmap opened = heap;
    assert_int_equal(filz_mmap_open(&opened), error);
    assert_int_equal(filz_mmap_open(&opened), error);
    assert_int_equal(allocate_in_vain(&heap), error > 0 ? error : ENOMEM);
    assert_said_once(heap.path, error);
    assert_null(filz_mmap_root(&heap));
    assert_int_equal(filz_mmap_set_root(&heap, NULL), FILZ_ECLOSED);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

MAYBE_UNUSED static void assert_refused(filz_mmap heap, int error)
{
    struct snapshot before = snapshot_of(heap.path);
    assert_cannot_open(heap, error);
    assert_as_it_was(heap.path, before);
}

/* With this header, whose checksum is made right. */
MAYBE_UNUSED static void assert_refused_with(struct fz_header header, int error)
{
    struct fz_header before = header_of(PATH);
    header.checksum = fz_header_checksum(&header);
    write_at(PATH, 0, &header, sizeof(header));
    assert_refused(persistent_at(PATH), error);
    write_at(PATH, 0, &before, sizeof(before));
}

#endif
