/* A heap's file that its owner truncates while others read it. An access past its new end is SIGBUS, and nothing else
 * is lost by that: no lock of the library's, no other heap, and not the name. */
#include "persistent.h"
#include "threads.h"

#include <setjmp.h>

#define PATH "heap.filz"
#define OTHER "other.filz"

enum { CHUNKS = 3, NODES = 20, NODE = 200, LARGE = 300 * 1024, MOST_PAGES = 4096 };

static void *add_nodes(void *heap)
{
    for (size_t i = 0; i < NODES; i++)
        if (add_node(heap, filz_mmap_root(heap), 0, NODE) == 0)
            return heap;
    return NULL;
}

/* Anew, with three chunks: the root's, one of nodes, and that of a large block. */
static void make_heap(const char *path, unsigned flag)
{
    remove(path);
    filz_mmap heap = persistent_at(path);
    heap.flags = flag;
    assert_non_null(lists_of(&heap));
    assert_null(in_thread(add_nodes, &heap));
    assert_true(add_node(&heap, filz_mmap_root(&heap), 1, LARGE) != 0);
    assert_int_equal(stats_of(&heap).chunks, CHUNKS);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* -- Where it is cut ----------------------------------------------------------------------------------------------- */

enum cut { IN_THE_LAST_BLOCK, IN_THE_LAST_HEADER, BEFORE_THE_LAST_CHUNK, AFTER_THE_FIRST_PAGE, TO_NOTHING, CUTS };

static off_t size_after(enum cut cut)
{
    struct fz_header header = header_of(PATH);
    const uint64_t sizes[CUTS] = {
        [IN_THE_LAST_BLOCK] = header.last + header.page_size,
        [IN_THE_LAST_HEADER] = header.last + offsetof(struct fz_chunk, fill),
        [BEFORE_THE_LAST_CHUNK] = header.last,
        [AFTER_THE_FIRST_PAGE] = header.page_size,
    };
    return (off_t)sizes[cut];
}

static int truncate_to(void *size)
{
    _exit(truncate(PATH, *(off_t *)size) == 0 ? 0 : 1);
}

/* Another process does it. It has its parent's heaps, and leaves them as they are. */
static int cut_file(enum cut cut)
{
    off_t size = size_after(cut);
    return in_child(truncate_to, &size);
}

/* -- What its readers see ------------------------------------------------------------------------------------------ */

/* A reader, or a private copy, of a heap that was made with a flag. */
struct attempt {
    unsigned flag;
    bool is_private, has_allocated;
    enum cut cut;
    int (*call)(filz_mmap *heap);
};

/* Of the large block: gone after each cut. */
static const volatile char *last_byte;

static int open_and_cut(filz_mmap *heap, const struct attempt *attempt)
{
    *heap = attempt->is_private ? private_of(PATH) : reader_of(PATH);
    EXPECT(filz_mmap_open(heap) == 0);
    const struct lists *lists = filz_mmap_root(heap);
    EXPECT(walk_list(heap, lists, 0) == NODES && walk_list(heap, lists, 1) == 1);
    last_byte = (const char *)lists->newest[1] + LARGE - 1;
    EXPECT(!attempt->has_allocated || filz_mmap_alloc(heap, 8, 8) != NULL);
    return cut_file(attempt->cut);
}

static int attempt_in_child(void *context)
{
    const struct attempt *attempt = context;
    filz_mmap heap;
    _exit(open_and_cut(&heap, attempt) == 0 ? attempt->call(&heap) : 1);
}

static int reads_on(filz_mmap *heap)
{
    (void)heap;
    return *last_byte != 1;
}

static int has_its_root(filz_mmap *heap)
{
    EXPECT(filz_mmap_root(heap) != NULL && filz_mmap_owns(heap, filz_mmap_root(heap)));
    return 0;
}

static int is_current(filz_mmap *heap)
{
    EXPECT(filz_mmap_is_current(heap));
    return 0;
}

static int closes(filz_mmap *heap)
{
    EXPECT(filz_mmap_close(heap) == 0);
    return 0;
}

static int may_change_nothing(filz_mmap *heap)
{
    EXPECT(filz_mmap_alloc(heap, 8, 8) == NULL && errno == EROFS);
    EXPECT(filz_mmap_set_root(heap, NULL) == EROFS && filz_mmap_reset(heap) == EROFS);
    EXPECT(filz_mmap_sync(heap) == EROFS);
    return 0;
}

enum { DAMAGED = 2 };

static int has_stats(filz_mmap *heap)
{
    filz_mmap_info info;
    int error = filz_mmap_stats(heap, &info);
    EXPECT(error == FILZ_EDAMAGED || (error == 0 && info.chunks == CHUNKS && info.blocks == 2 + NODES));
    return error != 0 ? DAMAGED : 0;
}

static int has_pages(filz_mmap *heap)
{
    static unsigned char states[MOST_PAGES];
    size_t count = MOST_PAGES;
    int error = filz_mmap_pages(heap, 0, &count, states);
    EXPECT(error == FILZ_EDAMAGED || (error == 0 && count > LARGE / 4096 / 16));
    return error != 0 ? DAMAGED : 0;
}

static int allocates(filz_mmap *heap)
{
    EXPECT(filz_mmap_alloc(heap, 8, 8) != NULL);
    return 0;
}

/* With the heap open. */
static int exits(filz_mmap *heap)
{
    (void)heap;
    exit(0);
}

enum { BUS = 128 + SIGBUS };

/* What each call comes to after each cut. */
struct row {
    const char *what;
    int (*call)(filz_mmap *heap);
    int expected[CUTS];
};

static const struct row of_a_reader[] = {
    {"is_current", is_current, {0, 0, 0, 0, 0}},
    {"close", closes, {0, 0, 0, 0, 0}},
    {"exit", exits, {0, 0, 0, 0, 0}},
    {"what is EROFS", may_change_nothing, {0, 0, 0, 0, 0}},
    {"stats", has_stats, {0, DAMAGED, BUS, BUS, BUS}},
    {"pages", has_pages, {0, DAMAGED, BUS, BUS, BUS}},
    {"a read", reads_on, {BUS, BUS, BUS, BUS, BUS}},
};

/* That of a shared heap is looked up in the file, because the writer may change it. */
static const struct row root[] = {{"root", has_its_root, {0, 0, 0, 0, 0}}};
static const struct row root_of_a_shared_heap[] = {{"root", has_its_root, {0, 0, 0, 0, BUS}}};

/* It has written to the first page and to the last chunk's header: what is left of such a page stays its own. */
static const struct row of_a_private_copy[] = {
    {"root", has_its_root, {0, 0, 0, 0, BUS}},   {"is_current", is_current, {0, 0, 0, 0, 0}},
    {"close", closes, {0, 0, 0, 0, 0}},          {"exit", exits, {0, 0, 0, 0, 0}},
    {"stats", has_stats, {0, 0, BUS, BUS, BUS}}, {"pages", has_pages, {0, 0, BUS, BUS, BUS}},
    {"alloc", allocates, {0, 0, 0, BUS, BUS}},   {"a read", reads_on, {BUS, BUS, BUS, BUS, BUS}},
};

/* Before it was cut, in a chunk of the file. */
static const struct row of_a_private_copy_that_has_allocated[] = {
    {"is_current", is_current, {0, 0, 0, 0, 0}},
    {"alloc", allocates, {0, 0, 0, BUS, BUS}},
    {"close", closes, {0, 0, 0, 0, 0}},
    {"exit", exits, {0, 0, 0, 0, 0}},
};

/* What the process that did it left has no lock, and becomes a heap again. */
static void assert_name_is_free(unsigned flag, enum cut cut)
{
    filz_mmap heap = persistent_at(PATH);
    assert_int_equal(filz_mmap_open(&heap), cut == TO_NOTHING ? 0 : FILZ_ETRUNCATED);
    assert_int_equal(filz_mmap_close(&heap), 0);
    make_heap(PATH, flag);
    filz_mmap reader = reader_of(PATH);
    assert_int_equal(filz_mmap_open(&reader), 0);
    assert_int_equal(walk_list(&reader, filz_mmap_root(&reader), 1), 1);
    assert_int_equal(filz_mmap_close(&reader), 0);
}

static void assert_as_expected(const struct row *rows, size_t count, struct attempt attempt)
{
    make_heap(PATH, attempt.flag);
    for (const struct row *row = rows; row < rows + count; row++)
        for (enum cut cut = 0; cut < CUTS; cut++) {
            attempt.cut = cut;
            attempt.call = row->call;
            int status = in_child(attempt_in_child, &attempt);
            if (status != row->expected[cut])
                print_message("%s, cut %d\n", row->what, (int)cut);
            assert_int_equal(status, row->expected[cut]);
            assert_name_is_free(attempt.flag, cut);
        }
}

static void a_reader_gets_SIGBUS_past_the_end_and_from_stats_and_pages_alone(void **state)
{
    (void)state;
    struct attempt attempt = {.flag = FILZ_MMAP_PERSISTENT};
    assert_as_expected(of_a_reader, COUNT(of_a_reader), attempt);
    assert_as_expected(root, COUNT(root), attempt);
}

static void so_does_a_reader_of_a_shared_heap_and_from_its_root(void **state)
{
    (void)state;
    NEED_LINUX("lock for a writer beside readers");
    struct attempt attempt = {.flag = FILZ_MMAP_SHARED};
    assert_as_expected(of_a_reader, COUNT(of_a_reader), attempt);
    assert_as_expected(root_of_a_shared_heap, COUNT(root_of_a_shared_heap), attempt);
}

static void a_private_copy_gets_it_from_what_uses_a_chunk_that_is_gone_too(void **state)
{
    (void)state;
    struct attempt attempt = {.flag = FILZ_MMAP_PERSISTENT, .is_private = true};
    assert_as_expected(of_a_private_copy, COUNT(of_a_private_copy), attempt);
    attempt.has_allocated = true;
    assert_as_expected(of_a_private_copy_that_has_allocated, COUNT(of_a_private_copy_that_has_allocated), attempt);
}

/* -- With a handler for SIGBUS ------------------------------------------------------------------------------------- */

static sigjmp_buf out_of_the_read;

static void jump(int signal)
{
    (void)signal;
    siglongjmp(out_of_the_read, 1);
}

static volatile int read_result;

static bool is_left_by_a_jump(filz_mmap *heap)
{
    if (sigsetjmp(out_of_the_read, 1) != 0)
        return true;
    read_result = reads_on(heap); /* valgrind leaves out a read for nothing */
    return false;
}

static int still_allocates(filz_mmap *heap)
{
    struct lists *lists = filz_mmap_root(heap);
    uint64_t before = newest_number(lists, 0);
    EXPECT(add_node(heap, lists, 0, NODE) == before + 1 && add_node(heap, lists, 1, LARGE) != 0);
    EXPECT(filz_mmap_set_root(heap, lists) == 0 && filz_mmap_sync(heap) == 0);
    EXPECT(walk_list(heap, lists, 0) == (int64_t)before + 1);
    return has_its_root(heap);
}

/* In a process that writes to another heap too: all that takes the lock. */
static int survive(void *context)
{
    struct sigaction action = {.sa_handler = jump};
    filz_mmap other = persistent_at(OTHER), further = {.capacity = MIB}, heap;
    EXPECT(sigaction(SIGBUS, &action, NULL) == 0);
    EXPECT(filz_mmap_open(&other) == 0 && open_and_cut(&heap, context) == 0);
    for (int i = 0; i < 3; i++)
        EXPECT(is_left_by_a_jump(&heap) && still_allocates(&other) == 0);
    EXPECT(filz_mmap_is_current(&heap) && filz_mmap_owns(&heap, (const char *)last_byte));
    EXPECT(allocate_and_write(&further) == 0 && filz_mmap_close(&further) == 0);
    EXPECT(filz_mmap_close(&heap) == 0 && filz_mmap_root(&heap) == NULL);
    EXPECT(remove(PATH) == 0);
    filz_mmap anew = persistent_at(PATH);
    EXPECT(lists_of(&anew) != NULL && still_allocates(&anew) == 0);
    EXPECT(still_allocates(&other) == 0 && filz_mmap_close(&anew) == 0);
    return filz_mmap_close(&other);
}

/* Where addresses have 32 bits, the second heap may have been given some of the first one's. */
static bool overlap(void)
{
    filz_mmap other = persistent_at(OTHER), heap = private_of(PATH);
    assert_int_equal(filz_mmap_open(&other), 0);
    bool overlap = filz_mmap_open(&heap) != 0;
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(filz_mmap_close(&other), 0);
    return overlap;
}

static void a_handler_that_jumps_out_of_a_read_leaves_all_heaps_usable(void **state)
{
    (void)state;
    for (enum cut cut = 0; cut < CUTS; cut++)
        for (int is_private = 0; is_private < 2; is_private++) {
            struct attempt attempt = {.is_private = is_private != 0, .cut = cut};
            make_heap(PATH, FILZ_MMAP_PERSISTENT);
            do
                make_heap(OTHER, FILZ_MMAP_PERSISTENT);
            while (overlap());
            assert_int_equal(in_child(survive, &attempt), 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_reader_gets_SIGBUS_past_the_end_and_from_stats_and_pages_alone),
        IN_FRESH_DIRECTORY(so_does_a_reader_of_a_shared_heap_and_from_its_root),
        IN_FRESH_DIRECTORY(a_private_copy_gets_it_from_what_uses_a_chunk_that_is_gone_too),
        IN_FRESH_DIRECTORY(a_handler_that_jumps_out_of_a_read_leaves_all_heaps_usable),
    };
    return cmocka_run_group_tests_name("truncated", tests, NULL, NULL);
}
