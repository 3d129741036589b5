/* The capacity of a mapped heap: which the program may ask for, and what $FILZ_CAPACITY does where it asks for none. */
#include "support.h"

#include <sys/mman.h>

static size_t page_size;

/* -- Set by the program -------------------------------------------------------------------------------------------- */

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

static void a_capacity_of_two_pages_is_enough(void **state)
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

static void a_capacity_that_is_refused_leaves_the_last_runs_file_as_it_was(void **state)
{
    (void)state;
    filz_mmap heap = {.path = "named.filz", .capacity = MIB};
    struct stat before, after;
    assert_non_null(filz_mmap_alloc(&heap, 1000, 1));
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(stat("named.filz", &before), 0);
    bool is_wide = sizeof(size_t) > 4; /* 2 GiB would fit 32 bits */
    heap.capacity = is_wide ? PTRDIFF_MAX - 64 * MIB : PTRDIFF_MAX;
    assert_int_equal(filz_mmap_open(&heap), is_wide ? ENOMEM : FILZ_ECAPACITY);
    assert_int_equal(stat("named.filz", &after), 0);
    assert_int_equal(after.st_size, before.st_size);
}

/* -- Set by $FILZ_CAPACITY ----------------------------------------------------------------------------------------- */

static void FILZ_CAPACITY_is_the_capacity_of_a_heap_that_sets_none(void **state)
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

static void FILZ_CAPACITY_may_be_in_GiB_and_TiB(void **state)
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

static void a_capacity_that_the_program_sets_overrides_FILZ_CAPACITY(void **state)
{
    (void)state;
    setenv("FILZ_CAPACITY", "rubbish", 1);
    filz_mmap heap = {.capacity = 2 * MIB};
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_int_equal(stats_of(&heap).capacity, 2 * MIB);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void a_FILZ_CAPACITY_that_is_no_size_is_refused(void **state)
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

int main(void)
{
    page_size = (size_t)sysconf(_SC_PAGESIZE);
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_capacity_below_two_pages_is_refused),
        IN_FRESH_DIRECTORY(a_capacity_of_two_pages_is_enough),
        IN_FRESH_DIRECTORY(a_capacity_is_rounded_up_to_whole_pages),
        IN_FRESH_DIRECTORY(a_capacity_that_does_not_fit_the_address_space_is_refused),
        IN_FRESH_DIRECTORY(a_capacity_that_is_refused_leaves_the_last_runs_file_as_it_was),
        IN_FRESH_DIRECTORY(FILZ_CAPACITY_is_the_capacity_of_a_heap_that_sets_none),
#if SIZE_MAX > UINT32_MAX
        IN_FRESH_DIRECTORY(FILZ_CAPACITY_may_be_in_GiB_and_TiB),
#endif
        IN_FRESH_DIRECTORY(a_capacity_that_the_program_sets_overrides_FILZ_CAPACITY),
        IN_FRESH_DIRECTORY(a_FILZ_CAPACITY_that_is_no_size_is_refused),
    };
    return cmocka_run_group_tests_name("capacity", tests, NULL, NULL);
}
