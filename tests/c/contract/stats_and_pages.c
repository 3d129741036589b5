/* What filz_mmap_stats says of a heap as it fills, and filz_mmap_pages of each of its pages. */
#include "support.h"

#include <sys/mman.h>

static size_t page_size;

/* -- Statistics ---------------------------------------------------------------------------------------------------- */

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

static void used_grows_by_the_size_of_each_block(void **state)
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

/* -- Pages --------------------------------------------------------------------------------------------------------- */

/* The page that `address` is on, counted from the heap's first. The first block is on the heap's second page. */
static size_t page_of(const char *first_block, const char *address)
{
    uintptr_t base = (uintptr_t)first_block / page_size * page_size - page_size;
    return ((uintptr_t)address - base) / page_size;
}

static void each_page_is_reported_as_used_as_tail_or_as_free(void **state)
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

static void a_new_zeroed_block_takes_no_memory_until_it_is_accessed(void **state)
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

static void page_states_can_be_read_in_parts(void **state)
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

int main(void)
{
    page_size = (size_t)sysconf(_SC_PAGESIZE);
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(statistics_stay_in_order_as_the_heap_fills),
        IN_FRESH_DIRECTORY(used_grows_by_the_size_of_each_block),
        IN_FRESH_DIRECTORY(reset_keeps_the_size_of_the_file),
        IN_FRESH_DIRECTORY(each_page_is_reported_as_used_as_tail_or_as_free),
        IN_FRESH_DIRECTORY(every_page_of_a_large_block_is_used),
        IN_FRESH_DIRECTORY(a_new_zeroed_block_takes_no_memory_until_it_is_accessed),
        IN_FRESH_DIRECTORY(page_states_can_be_read_in_parts),
        IN_FRESH_DIRECTORY(after_a_reset_only_the_header_is_used),
    };
    return cmocka_run_group_tests_name("stats_and_pages", tests, NULL, NULL);
}
