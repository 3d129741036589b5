/* What only the mmap allocator has: opening and closing, capacity, statistics, the page map, many heaps at once. */
#include "support.h"

#include <sys/mman.h>

static size_t page_size;

/* -- Opening and closing ------------------------------------------------------------------------------------------- */

static void the_first_block_opens_the_heap(void **state)
{
    (void)state;
    setenv("FILZ_CAPACITY", "64M", 1); /* valgrind hasn't the address space for the default */
    filz_mmap heap = FILZ_MMAP_INIT;
    filz_mmap_info info;
    assert_int_equal(filz_mmap_stats(&heap, &info), FILZ_ECLOSED);
    errno = 77;
    char *block = filz_mmap_alloc(&heap, 100, 1);
    assert_non_null(block);
    assert_int_equal(errno, 77); /* though there is no memory/ */
    assert_int_equal(stats_of(&heap).blocks, 1);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void zeroed_and_grown_blocks_open_the_heap_too(void **state)
{
    (void)state;
    filz_mmap a = {.capacity = MIB}, b = {.capacity = MIB};
    assert_non_null(filz_mmap_alloc_zeroed(&a, 100, 1));
    assert_non_null(filz_mmap_realloc(&b, NULL, 0, 1, 100));
    assert_int_equal(filz_mmap_close(&a), 0);
    assert_int_equal(filz_mmap_close(&b), 0);
}

static void opening_an_open_heap_changes_nothing(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    assert_int_equal(filz_mmap_open(&heap), 0);
    char *block = filz_mmap_alloc(&heap, 10, 1);
    memset(block, 'b', 10);
    heap.capacity = 2 * MIB;
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_true(is_filled(block, 'b', 10));
    assert_int_equal(stats_of(&heap).capacity, MIB);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_closed_heap_owns_nothing_and_has_no_pages(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    filz_mmap_info info;
    unsigned char page;
    char *block = filz_mmap_alloc(&heap, 10, 1);
    assert_true(filz_mmap_owns(&heap, block));
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_false(filz_mmap_owns(&heap, block));
    assert_false(filz_mmap_owns(&heap, NULL));
    assert_int_equal(filz_mmap_stats(&heap, &info), FILZ_ECLOSED);
    assert_int_equal(pages_of(&heap, 0, 1, &page), 0);
    assert_int_equal(filz_mmap_reset(&heap), 0);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_closed_heap_opens_again_with_new_settings(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    for (size_t round = 1; round <= 20; round++) {
        heap.capacity = round * MIB;
        heap.path = round % 2 ? "again.filz" : NULL;
        char *block = filz_mmap_alloc_zeroed(&heap, 100 * KIB, 1);
        assert_non_null(block);
        assert_true(is_filled(block, 0, 100 * KIB));
        memset(block, 0xA5, 100 * KIB);
        assert_int_equal(stats_of(&heap).capacity, round * MIB);
        assert_int_equal(stats_of(&heap).blocks, 1);
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}

static void an_open_heap_may_be_moved(void **state)
{
    (void)state;
    filz_mmap here = {.capacity = MIB}, there;
    char *a = filz_mmap_alloc(&here, 10, 1);
    memcpy(&there, &here, sizeof(here));
    memset(&here, 0xFF, sizeof(here));
    char *b = filz_mmap_alloc(&there, 10, 1);
    assert_ptr_equal(b, a + 10);
    assert_true(filz_mmap_owns(&there, a));
    assert_ptr_equal(filz_mmap_realloc(&there, b, 10, 1, 100), b);
    assert_int_equal(filz_mmap_close(&there), 0);
}

/* -- Capacity ------------------------------------------------------------------------------------------------------ */

static void a_capacity_below_two_pages_is_refused(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = 1};
    assert_int_equal(filz_mmap_open(&heap), FILZ_ECAPACITY);
    heap.capacity = page_size;
    assert_int_equal(filz_mmap_open(&heap), FILZ_ECAPACITY);
    errno = 0;
    setenv("FILZ_QUIET", "1", 1);
    assert_null(filz_mmap_alloc(&heap, 1, 1));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(entries_in("."), 0);
}

static void two_pages_are_a_heap(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = 2 * page_size};
    char *block = filz_mmap_alloc(&heap, page_size / 2, 1);
    assert_non_null(block);
    memset(block, 'b', page_size / 2);
    assert_null(filz_mmap_alloc(&heap, page_size, 1));
    assert_int_equal(errno, ENOMEM);
    assert_non_null(filz_mmap_alloc(&heap, page_size / 4, 1));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_capacity_is_rounded_up_to_whole_pages(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = 2 * page_size + 1};
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_int_equal(stats_of(&heap).capacity, 3 * page_size);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_capacity_that_does_not_fit_the_address_space_is_refused(void **state)
{
    (void)state;
    static const size_t capacities[] = {SIZE_MAX, SIZE_MAX - 4095, SIZE_MAX - 65536, SIZE_MAX / 2, SIZE_MAX / 16 * 7};
    size_t count = sizeof(size_t) > 4 ? COUNT(capacities) : COUNT(capacities) - 1; /* where the last would fit */
    for (size_t i = 0; i < count; i++) {
        filz_mmap heap = {.capacity = capacities[i]};
        assert_int_equal(filz_mmap_open(&heap), capacities[i] >= SIZE_MAX / 2 ? FILZ_ECAPACITY : ENOMEM);
        assert_false(filz_mmap_owns(&heap, &heap));
    }
}

static void unknown_flags_are_refused(void **state)
{
    (void)state;
    for (unsigned flags = 2 * FILZ_MMAP_PRIVATE; flags != 0; flags *= 2) {
        filz_mmap heap = {.flags = flags, .capacity = MIB};
        assert_int_equal(filz_mmap_open(&heap), FILZ_EFLAGS);
    }
}

static void the_environment_sets_a_capacity_of_zero(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t capacity;
    } cases[] = {{"1048576", MIB}, {"1024K", MIB}, {"1M", MIB}, {"3M", 3 * MIB}, {"102400K", 102400 * KIB}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        setenv("FILZ_CAPACITY", cases[i].text, 1);
        filz_mmap heap = FILZ_MMAP_INIT;
        assert_int_equal(filz_mmap_open(&heap), 0);
        assert_int_equal(stats_of(&heap).capacity, cases[i].capacity);
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}

#if SIZE_MAX > UINT32_MAX
static bool address_space_has(size_t bytes)
{
    bytes += 4 * MIB; /* a heap begins at a multiple of 2 MiB */
    void *room = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return room != MAP_FAILED && munmap(room, bytes) == 0;
}

static void the_environment_knows_giga_and_tera(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t capacity;
    } cases[] = {{"2G", 2 * KIB * MIB}, {"1T", MIB * MIB}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        setenv("FILZ_CAPACITY", cases[i].text, 1);
        if (is_emulated() && cases[i].capacity > MIB * KIB * 4) {
            print_message("skipped %s: an emulator takes a minute to reserve it\n", cases[i].text);
            continue;
        }
        if (!address_space_has(cases[i].capacity)) {
            print_message("skipped %s: the address space here hasn't the room, as under valgrind\n", cases[i].text);
            continue;
        }
        filz_mmap heap = FILZ_MMAP_INIT;
        assert_int_equal(filz_mmap_open(&heap), 0);
        assert_int_equal(stats_of(&heap).capacity, cases[i].capacity);
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}
#endif

static void a_capacity_in_the_program_wins_over_the_environment(void **state)
{
    (void)state;
    setenv("FILZ_CAPACITY", "rubbish", 1);
    filz_mmap heap = {.capacity = 2 * MIB};
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_int_equal(stats_of(&heap).capacity, 2 * MIB);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void an_environment_capacity_that_is_no_size_is_refused(void **state)
{
    (void)state;
    static const char *const rubbish[] = {"rubbish",
                                          "K",
                                          "1X",
                                          "1MB",
                                          "-1",
                                          "-4096K",
                                          "1 M",
                                          "1.5M",
                                          "1M1",
                                          "0x100000",
                                          "4294967296T",
                                          "99999999999999999999999",
                                          "18446744073709551615K",
                                          "1"};
    for (size_t i = 0; i < COUNT(rubbish); i++) {
        setenv("FILZ_CAPACITY", rubbish[i], 1);
        filz_mmap heap = FILZ_MMAP_INIT;
        int error = filz_mmap_open(&heap);
        if (error != (strcmp(rubbish[i], "1") == 0 ? FILZ_ECAPACITY : FILZ_EVARIABLE))
            fail_msg("FILZ_CAPACITY=%s gives %d", rubbish[i], error);
    }
    assert_int_equal(entries_in("."), 0);
}

/* -- Growing ------------------------------------------------------------------------------------------------------- */

static void the_newest_block_grows_where_it_stands_over_chunks_and_commits(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = 64 * MIB};
    char *block = filz_mmap_alloc(&heap, 1, 1);
    for (size_t size = 1; size < 32 * MIB; size *= 2) {
        char *grown = filz_mmap_realloc(&heap, block, size, 1, 2 * size);
        assert_ptr_equal(grown, block);
        grown[2 * size - 1] = 'e';
    }
    assert_true(stats_of(&heap).used < 33 * MIB);
    assert_int_equal(stats_of(&heap).blocks, 1);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void what_a_grown_block_gains_is_not_shared_with_the_next(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = 16 * MIB};
    char *block = filz_mmap_alloc(&heap, MIB, 1);
    char *grown = filz_mmap_realloc(&heap, block, MIB, 1, 3 * MIB);
    assert_ptr_equal(grown, block);
    block = grown;
    char *next = filz_mmap_alloc(&heap, MIB, 1);
    memset(block, 'b', 3 * MIB);
    memset(next, 'n', MIB);
    assert_true(is_filled(block, 'b', 3 * MIB));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_million_bytes_in_small_blocks_keep_their_contents(void **state)
{
    (void)state;
    enum { BLOCKS = 20000, SIZE = 50 };
    static char *blocks[BLOCKS];
    filz_mmap heap = {.capacity = 4 * MIB};
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = filz_mmap_alloc(&heap, SIZE, 1);
        assert_non_null(blocks[i]);
        memset(blocks[i], (int)(i % 255), SIZE);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        assert_true(is_filled(blocks[i], (int)(i % 255), SIZE));
    assert_int_equal(stats_of(&heap).blocks, BLOCKS);
    assert_true(stats_of(&heap).used < BLOCKS * SIZE * 101 / 100 + page_size);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* -- Statistics and pages ------------------------------------------------------------------------------------------ */

static void assert_in_order(const filz_mmap *heap)
{
    filz_mmap_info info = stats_of(heap);
    assert_true(info.used <= info.in_chunks);
    assert_true(info.in_chunks <= info.committed);
    assert_true(info.committed <= info.capacity);
    assert_int_equal(info.committed % info.page_size, 0);
    assert_int_equal(info.capacity % info.page_size, 0);
    assert_int_equal(info.page_size, page_size);
}

static void statistics_stay_in_order_as_the_heap_fills(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = 4 * MIB};
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_in_order(&heap);
    assert_int_equal(stats_of(&heap).blocks, 0);
    assert_int_equal(stats_of(&heap).chunks, 0);
    assert_int_equal(stats_of(&heap).threads, 0);
    size_t blocks = 0, bytes = 0;
    for (size_t size = 1; size != 0; size = size * 7 % 65537 % 9000) {
        if (filz_mmap_alloc(&heap, size, 1) == NULL)
            break;
        blocks++;
        bytes += size;
        assert_in_order(&heap);
        assert_int_equal(stats_of(&heap).blocks, blocks);
        assert_true(stats_of(&heap).used >= bytes);
    }
    assert_true(bytes > 3 * MIB);
    assert_int_equal(stats_of(&heap).threads, 1);
    assert_int_equal(filz_mmap_reset(&heap), 0);
    assert_in_order(&heap);
    assert_int_equal(stats_of(&heap).blocks, 0);
    assert_int_equal(stats_of(&heap).chunks, 0);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void used_grows_by_what_a_block_costs(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    assert_non_null(filz_mmap_alloc(&heap, 1, 1));
    size_t used = stats_of(&heap).used;
    assert_non_null(filz_mmap_alloc(&heap, 99, 1));
    assert_int_equal(stats_of(&heap).used, used + 99);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void reset_keeps_the_size_of_the_file(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = 16 * MIB, .path = "named.filz"};
    assert_non_null(filz_mmap_alloc(&heap, 8 * MIB, 1));
    size_t committed = stats_of(&heap).committed;
    struct stat status;
    assert_int_equal(stat("named.filz", &status), 0);
    assert_int_equal(status.st_size, committed);
    assert_int_equal(filz_mmap_reset(&heap), 0);
    assert_int_equal(stats_of(&heap).committed, committed);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* The page that `address` is on, counted from the heap's first. The first block is on the heap's second page. */
static size_t page_of(const char *first_block, const char *address)
{
    uintptr_t base = (uintptr_t)first_block / page_size * page_size - page_size;
    return ((uintptr_t)address - base) / page_size;
}

static void pages_tell_what_is_handed_out_what_is_left_and_what_is_free(void **state)
{
    (void)state;
    enum { MOST = 4096 };
    static unsigned char states[MOST];
    filz_mmap heap = {.capacity = MIB};
    char *block = filz_mmap_alloc(&heap, 10, 1);
    memset(block, 1, 10);
    filz_mmap_info info = stats_of(&heap);
    size_t pages = info.committed / page_size, cut = info.in_chunks / page_size;
    assert_int_equal(pages_of(&heap, 0, MOST, states), pages);
    assert_int_equal(states[0] & FILZ_PAGE_KIND, FILZ_PAGE_USED); /* the file's header */
    assert_int_equal(FILZ_PAGE_THREAD(states[0]), 0);
    assert_int_equal(states[1] & FILZ_PAGE_KIND, FILZ_PAGE_USED);
    assert_int_equal(FILZ_PAGE_THREAD(states[1]), 1);
    assert_true(states[0] & FILZ_PAGE_IN_RAM);
    assert_true(states[1] & FILZ_PAGE_IN_RAM);
    for (size_t i = 2; i < cut; i++) {
        assert_int_equal(states[i] & FILZ_PAGE_KIND, FILZ_PAGE_TAIL);
        assert_int_equal(FILZ_PAGE_THREAD(states[i]), 1);
    }
    for (size_t i = cut; i < pages; i++) {
        assert_int_equal(states[i] & FILZ_PAGE_KIND, FILZ_PAGE_FREE);
        assert_int_equal(FILZ_PAGE_THREAD(states[i]), 0);
    }
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void every_page_of_a_large_block_is_used(void **state)
{
    (void)state;
    enum { MOST = 4096 };
    static unsigned char states[MOST];
    filz_mmap heap = {.capacity = 4 * MIB};
    char *first = filz_mmap_alloc(&heap, 1, 1);
    char *large = filz_mmap_alloc(&heap, MIB, 1);
    memset(large, 1, MIB);
    size_t pages = pages_of(&heap, 0, MOST, states);
    size_t last = page_of(first, large + MIB - 1);
    assert_true(last < pages);
    for (size_t i = page_of(first, large); i <= last; i++) {
        assert_int_equal(states[i] & FILZ_PAGE_KIND, FILZ_PAGE_USED);
        assert_true(states[i] & FILZ_PAGE_IN_RAM);
    }
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* With pages larger than the system's, an emulator may write a state for each of the system's. */
static bool one_page_has_one_state(void)
{
    unsigned char states[64];
    memset(states, 0xEE, sizeof(states));
    void *page = mmap(NULL, page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(page != MAP_FAILED);
    assert_int_equal(mincore(page, page_size, states), 0);
    munmap(page, page_size);
    return states[1] == 0xEE;
}

#define NEED_MINCORE()                                                                                                 \
    do {                                                                                                               \
        if (!one_page_has_one_state())                                                                                 \
            SKIP("the emulator's mincore writes more than a byte a page");                                             \
    } while (0)

static size_t pages_in_ram(const filz_mmap *heap)
{
    enum { MOST = 4096 };
    static unsigned char states[MOST];
    size_t in_ram = 0;
    for (size_t i = pages_of(heap, 0, MOST, states); i-- > 0;)
        in_ram += (states[i] & FILZ_PAGE_IN_RAM) != 0;
    return in_ram;
}

static void a_fresh_zeroed_block_costs_nothing_until_it_is_touched(void **state)
{
    (void)state;
    NEED_LINUX("disk space but for what is written");
    NEED_MINCORE();
    filz_mmap heap = {.capacity = 16 * MIB};
    assert_non_null(filz_mmap_alloc(&heap, 1, 1));
    size_t before = pages_in_ram(&heap);
    char *block = filz_mmap_alloc_zeroed(&heap, 8 * MIB, 1);
    assert_non_null(block);
    assert_true(pages_in_ram(&heap) < before + MIB / page_size);
    assert_true(is_filled(block, 0, 8 * MIB));
    assert_true(pages_in_ram(&heap) >= before + 7 * MIB / page_size);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void pages_can_be_asked_for_in_parts(void **state)
{
    (void)state;
    NEED_MINCORE();
    enum { MOST = 4096 };
    static unsigned char whole[MOST], part[MOST];
    filz_mmap heap = {.capacity = MIB};
    for (size_t i = 0; i < 30; i++)
        memset(filz_mmap_alloc(&heap, 10 * KIB, 1), 1, 10 * KIB);
    size_t pages = pages_of(&heap, 0, MOST, whole);
    assert_int_equal(pages, stats_of(&heap).committed / page_size);
    for (size_t first = 0; first < pages; first++)
        for (size_t count = 0; count < 4; count++) {
            size_t expected = count < pages - first ? count : pages - first;
            memset(part, 0xEE, sizeof(part));
            assert_int_equal(pages_of(&heap, first, count, part), expected);
            assert_memory_equal(part, whole + first, expected);
            assert_int_equal(part[expected], 0xEE);
        }
    assert_int_equal(pages_of(&heap, pages, 1, part), 0);
    assert_int_equal(pages_of(&heap, SIZE_MAX, 1, part), 0);
    assert_int_equal(pages_of(&heap, 1, SIZE_MAX, part), pages - 1);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void after_a_reset_only_the_header_is_used(void **state)
{
    (void)state;
    enum { MOST = 4096 };
    static unsigned char states[MOST];
    filz_mmap heap = {.capacity = MIB};
    assert_non_null(filz_mmap_alloc(&heap, MIB / 2, 1));
    assert_int_equal(filz_mmap_reset(&heap), 0);
    size_t pages = pages_of(&heap, 0, MOST, states);
    assert_int_equal(states[0] & FILZ_PAGE_KIND, FILZ_PAGE_USED);
    for (size_t i = 1; i < pages; i++)
        assert_int_equal(states[i] & FILZ_PAGE_KIND, FILZ_PAGE_FREE);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* -- Many heaps ---------------------------------------------------------------------------------------------------- */

/* More heaps than a thread keeps chunks open for; if each visit cost a chunk, they would be full long before the end.
 */
static void a_thread_may_take_turns_among_more_heaps_than_it_remembers(void **state)
{
    (void)state;
    enum { HEAPS = 20, ROUNDS = 200, SIZE = 100 };
    static filz_mmap heaps[HEAPS];
    static char *blocks[ROUNDS][HEAPS];
    for (size_t i = 0; i < HEAPS; i++)
        heaps[i] = (filz_mmap){.capacity = MIB};
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < HEAPS; i++) {
            blocks[round][i] = filz_mmap_alloc(&heaps[i], SIZE, 1);
            assert_non_null(blocks[round][i]);
            memset(blocks[round][i], (int)(round + i), SIZE);
        }
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < HEAPS; i++) {
            assert_true(is_filled(blocks[round][i], (int)(round + i), SIZE));
            assert_true(filz_mmap_owns(&heaps[i], blocks[round][i]));
            assert_false(filz_mmap_owns(&heaps[(i + 1) % HEAPS], blocks[round][i]));
        }
    for (size_t i = 0; i < HEAPS; i++) {
        assert_int_equal(stats_of(&heaps[i]).blocks, ROUNDS);
        assert_true(stats_of(&heaps[i]).used < ROUNDS * SIZE + 4 * page_size);
        assert_int_equal(filz_mmap_close(&heaps[i]), 0);
    }
}

static void a_closed_heaps_chunk_does_not_serve_the_next_heap(void **state)
{
    (void)state;
    for (size_t round = 0; round < 30; round++) {
        filz_mmap a = {.capacity = MIB}, b = {.capacity = MIB};
        assert_non_null(filz_mmap_alloc(&a, 10, 1));
        assert_int_equal(filz_mmap_close(&a), 0);
        char *block = filz_mmap_alloc(&b, 10, 1);
        assert_true(filz_mmap_owns(&b, block));
        memset(block, 'b', 10);
        assert_int_equal(filz_mmap_close(&b), 0);
    }
}

static void a_reset_heap_does_not_disturb_the_others(void **state)
{
    (void)state;
    filz_mmap a = {.capacity = MIB}, b = {.capacity = MIB};
    char *kept = filz_mmap_alloc(&b, 100, 1);
    memset(kept, 'k', 100);
    for (size_t round = 0; round < 30; round++) {
        memset(filz_mmap_alloc(&a, 100 * KIB, 1), 'a', 100 * KIB);
        assert_non_null(filz_mmap_alloc(&b, 100, 1));
        assert_int_equal(filz_mmap_reset(&a), 0);
    }
    assert_true(is_filled(kept, 'k', 100));
    assert_int_equal(stats_of(&b).blocks, 31);
    assert_int_equal(filz_mmap_close(&a), 0);
    assert_int_equal(filz_mmap_close(&b), 0);
}

static void the_newest_block_grows_where_it_stands_after_another_heap_was_used(void **state)
{
    (void)state;
    filz_mmap one = {.capacity = MIB}, other = {.capacity = MIB};
    char *block = filz_mmap_alloc(&one, 100, 1);
    assert_non_null(block);
    assert_non_null(filz_mmap_alloc(&other, 100, 1));
    assert_ptr_equal(filz_mmap_realloc(&one, block, 100, 1, 200), block);
    assert_non_null(filz_mmap_alloc(&other, 100, 1));
    assert_ptr_equal(filz_mmap_realloc(&one, block, 200, 1, 50), block);
    assert_ptr_equal(filz_mmap_alloc(&one, 1, 1), block + 50);
    assert_int_equal(filz_mmap_close(&one), 0);
    assert_int_equal(filz_mmap_close(&other), 0);
}

static void every_error_has_words_of_its_own(void **state)
{
    (void)state;
    static const int errors[] = {
        0,     EACCES, EPERM,  ENOENT, ENOTDIR, EISDIR, EEXIST, ELOOP, ENAMETOOLONG, EROFS,  ENOSPC, EDQUOT,
        EFBIG, EMFILE, ENOMEM, EAGAIN, EIO,     ENODEV, EINVAL, EBADF, EBUSY,        ESTALE, ENOLCK,
    };
    for (size_t i = 0; i < COUNT(errors); i++) {
        assert_string_not_equal(filz_error_text(errors[i]), filz_error_text(INT_MAX));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(filz_error_text(errors[i]), filz_error_text(errors[k]));
    }
    for (int error = FILZ_ECAPACITY; error >= FILZ_EFORKED; error--) {
        assert_string_not_equal(filz_error_text(error), filz_error_text(FILZ_EFORKED - 1));
        for (int other = FILZ_ECAPACITY; other > error; other--)
            assert_string_not_equal(filz_error_text(error), filz_error_text(other));
    }
    assert_string_equal(filz_error_text(INT_MIN), filz_error_text(FILZ_EFORKED - 1));
}

static void the_library_says_its_version(void **state)
{
    (void)state;
    assert_string_equal(filz_version(), FILZ_VERSION);
}

int main(void)
{
    page_size = (size_t)sysconf(_SC_PAGESIZE);
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(the_first_block_opens_the_heap),
        IN_FRESH_DIRECTORY(zeroed_and_grown_blocks_open_the_heap_too),
        IN_FRESH_DIRECTORY(opening_an_open_heap_changes_nothing),
        IN_FRESH_DIRECTORY(a_closed_heap_owns_nothing_and_has_no_pages),
        IN_FRESH_DIRECTORY(a_closed_heap_opens_again_with_new_settings),
        IN_FRESH_DIRECTORY(an_open_heap_may_be_moved),
        IN_FRESH_DIRECTORY(a_capacity_below_two_pages_is_refused),
        IN_FRESH_DIRECTORY(two_pages_are_a_heap),
        IN_FRESH_DIRECTORY(a_capacity_is_rounded_up_to_whole_pages),
        IN_FRESH_DIRECTORY(a_capacity_that_does_not_fit_the_address_space_is_refused),
        IN_FRESH_DIRECTORY(unknown_flags_are_refused),
        IN_FRESH_DIRECTORY(the_environment_sets_a_capacity_of_zero),
#if SIZE_MAX > UINT32_MAX
        IN_FRESH_DIRECTORY(the_environment_knows_giga_and_tera),
#endif
        IN_FRESH_DIRECTORY(a_capacity_in_the_program_wins_over_the_environment),
        IN_FRESH_DIRECTORY(an_environment_capacity_that_is_no_size_is_refused),
        IN_FRESH_DIRECTORY(the_newest_block_grows_where_it_stands_over_chunks_and_commits),
        IN_FRESH_DIRECTORY(what_a_grown_block_gains_is_not_shared_with_the_next),
        IN_FRESH_DIRECTORY(a_million_bytes_in_small_blocks_keep_their_contents),
        IN_FRESH_DIRECTORY(statistics_stay_in_order_as_the_heap_fills),
        IN_FRESH_DIRECTORY(used_grows_by_what_a_block_costs),
        IN_FRESH_DIRECTORY(reset_keeps_the_size_of_the_file),
        IN_FRESH_DIRECTORY(pages_tell_what_is_handed_out_what_is_left_and_what_is_free),
        IN_FRESH_DIRECTORY(every_page_of_a_large_block_is_used),
        IN_FRESH_DIRECTORY(a_fresh_zeroed_block_costs_nothing_until_it_is_touched),
        IN_FRESH_DIRECTORY(pages_can_be_asked_for_in_parts),
        IN_FRESH_DIRECTORY(after_a_reset_only_the_header_is_used),
        IN_FRESH_DIRECTORY(a_thread_may_take_turns_among_more_heaps_than_it_remembers),
        IN_FRESH_DIRECTORY(a_closed_heaps_chunk_does_not_serve_the_next_heap),
        IN_FRESH_DIRECTORY(a_reset_heap_does_not_disturb_the_others),
        IN_FRESH_DIRECTORY(the_newest_block_grows_where_it_stands_after_another_heap_was_used),
        IN_FRESH_DIRECTORY(every_error_has_words_of_its_own),
        IN_FRESH_DIRECTORY(the_library_says_its_version),
    };
    return cmocka_run_group_tests_name("mmap", tests, NULL, NULL);
}
