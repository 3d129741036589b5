/* Heaps of default capacity where there is less address space than that: under a limit of the process (RLIMIT_AS),
 * under one that comes when the heap is open, and beside many others. What fits can be had. */
#include "support.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#define GIB (1ULL << 30)

enum { TAG = 5 };

static const char *const path = "persistent.filz";

static filz_mmap persistent_at(const char *at)
{
    return (filz_mmap){.path = at, .flags = FILZ_MMAP_PERSISTENT, .tag = TAG};
}

static unsigned long long default_capacity(void)
{
    return sizeof(size_t) > 4 ? 64ULL << 30 : 512ULL << 20;
}

static size_t mapped_bytes(void)
{
    return strtoul(text_of("/proc/self/statm"), NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static int limit_address_space(unsigned long long most)
{
    struct rlimit limit;
    EXPECT(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = (rlim_t)most;
    EXPECT(setrlimit(RLIMIT_AS, &limit) == 0);
    return 0;
}

/* Emulators may take note of a limit and not keep it. */
static int exceed_limit(void *unused)
{
    (void)unused;
    (void)mapped_bytes(); /* stdio's buffer */
    EXPECT(limit_address_space(mapped_bytes() + 4 * MIB) == 0);
    void *memory = mmap(NULL, 32 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? 0 : SKIPPED;
}

#define NEED_LIMITS()                                                                                                  \
    do {                                                                                                               \
        if (SANITIZED)                                                                                                 \
            SKIP("the sanitizers need terabytes of address space");                                                    \
        if (in_child(exceed_limit, NULL) != 0)                                                                         \
            SKIP("no address-space limit can be set here");                                                            \
    } while (0)

#define NEED_DISK(bytes)                                                                                               \
    do {                                                                                                               \
        struct statvfs system;                                                                                         \
        assert_int_equal(statvfs(".", &system), 0);                                                                    \
        if ((unsigned long long)system.f_bavail * system.f_frsize < (bytes))                                           \
            SKIP("less than %llu MiB are free here", (unsigned long long)(bytes) / MIB);                               \
    } while (0)

/* In blocks of 1 MiB, of which nothing is written. */
static int grow(filz_mmap *heap, size_t mebibytes)
{
    for (size_t i = 0; i < mebibytes; i++)
        EXPECT(filz_mmap_alloc(heap, MIB, 1));
    return 0;
}

/* -- A limit that the heap's contents fit -------------------------------------------------------------------------- */

enum { LARGE = 300 }; /* MiB */

static int make_large_heap(void *unused)
{
    (void)unused;
    filz_mmap heap = persistent_at(path);
    char *first = filz_mmap_alloc(&heap, MIB, 1);
    EXPECT(first && filz_mmap_set_root(&heap, strcpy(first, "the first block")) == 0);
    EXPECT(grow(&heap, LARGE - 1) == 0);
    char *last = filz_mmap_alloc(&heap, 100, 1);
    EXPECT(last);
    strcpy(last, "the last block");
    snprintf(first + 100, 100, "%p", (void *)last);
    return filz_mmap_close(&heap);
}

static int find_blocks(filz_mmap *heap)
{
    void *last;
    char *first = filz_mmap_root(heap);
    EXPECT(first && strcmp(first, "the first block") == 0);
    EXPECT(sscanf(first + 100, "%p", &last) == 1 && strcmp(last, "the last block") == 0);
    return 0;
}

/* What the program itself may take, and the end of a chunk; and up to where the limit is what counts. */
enum { SLACK = 2, MOST_TRIED = 200 }; /* MiB */

/* All that the limit allows can be had, and no more. The block that shows it is given back, so that the file keeps its
 * size. */
static int allocate_what_the_limit_allows(filz_mmap *heap, long long more)
{
    if (more <= SLACK * (long long)MIB || more > MOST_TRIED * (long long)MIB)
        return 0;
    size_t size = (size_t)more - SLACK * MIB;
    char *block = filz_mmap_alloc(heap, size, 1);
    EXPECT(block);
    block[0] = block[size - 1] = 'w';
    EXPECT(filz_mmap_alloc(heap, 2 * SLACK * MIB, 1) == NULL);
    EXPECT(filz_mmap_realloc(heap, block, size, 1, 1) == block);
    return 0;
}

/* How much room there is beside the program: the file's size, and so much more, or less. */
static int open_under_limit(void *context)
{
    long long more = *(const long long *)context;
    struct stat before, after;
    filz_mmap heap = persistent_at(path);
    (void)mapped_bytes();
    EXPECT(stat(path, &before) == 0);
    EXPECT(limit_address_space((unsigned long long)((long long)mapped_bytes() + before.st_size + more)) == 0);
    int error = filz_mmap_open(&heap);
    EXPECT(error == 0 || error == ENOMEM);
    if (error == 0)
        EXPECT(find_blocks(&heap) == 0 && allocate_what_the_limit_allows(&heap, more) == 0);
    EXPECT(filz_mmap_close(&heap) == 0);
    EXPECT(stat(path, &after) == 0 && (error == 0 || after.st_size == before.st_size));
    EXPECT(more < (long long)(SLACK * MIB) || error == 0);
    return 0;
}

static void a_persistent_heap_opens_under_each_limit_that_its_contents_fit(void **state)
{
    (void)state;
    NEED_LIMITS();
    NEED_DISK(GIB);
    static const int more[] = {-300, -299, -200, -100, -50, -8,  -1,  0,   1,   2,   4,   8,    9,    10,   12,   16,
                               20,   24,   32,   40,   50,  64,  70,  80,  100, 130, 160, 200,  250,  290,  300,  310,
                               340,  380,  400,  450,  500, 512, 600, 700, 800, 900, 999, 1024, 1500, 2000, 2500, 3000};
    int failures = 0;
    assert_int_equal(in_child(make_large_heap, NULL), 0);
    for (size_t i = 0; i < COUNT(more); i++) {
        long long bytes = more[i] * (long long)MIB;
        int status = in_child(open_under_limit, &bytes);
        if (status != 0)
            print_message("with room for the file and %d MiB: wrong\n", more[i]);
        failures += status != 0;
    }
    assert_int_equal(failures, 0);
    print_message("%zu limits around a heap of %d MiB\n", COUNT(more), LARGE);
}

/* -- A limit of one run -------------------------------------------------------------------------------------------- */

static int run(void *limit)
{
    filz_mmap heap = persistent_at(path);
    if (limit != NULL)
        EXPECT(limit_address_space(*(unsigned long long *)limit) == 0);
    EXPECT(filz_mmap_alloc(&heap, 100, 1));
    return filz_mmap_close(&heap);
}

static int has_default_capacity(void *unused)
{
    (void)unused;
    filz_mmap heap = persistent_at(path);
    filz_mmap_info info;
    EXPECT(filz_mmap_open(&heap) == 0);
    EXPECT(filz_mmap_stats(&heap, &info) == 0);
    if (info.capacity != default_capacity())
        print_message("capacity: %zu MiB\n", info.capacity / MIB);
    EXPECT(info.capacity == default_capacity());
    return filz_mmap_close(&heap);
}

static void a_run_under_a_limit_leaves_the_next_one_its_capacity(void **state)
{
    (void)state;
    NEED_LIMITS();
    unsigned long long limit = 1000000 * KIB; /* ulimit -v 1000000 */
    for (int limited_run = 0; limited_run < 2; limited_run++) {
        for (int i = 0; i <= limited_run; i++)
            assert_int_equal(in_child(run, i == limited_run ? &limit : NULL), 0);
        assert_int_equal(in_child(has_default_capacity, NULL), 0);
        assert_int_equal(unlink(path), 0);
    }
}

/* -- A limit that comes later -------------------------------------------------------------------------------------- */

enum { ALLOWED = 500, EXPECTED = 400 }; /* MiB */

struct later {
    filz_mmap settings;
    size_t size;
};

/* Returns how many bytes of blocks there were. A byte here and there is enough to know that it is there. */
static size_t fill_up(filz_mmap *heap, size_t size)
{
    size_t total = 0, written = 0;
    for (char *block; (block = filz_mmap_alloc(heap, size, 1)) != NULL; total += size) {
        if (total < written)
            continue;
        block[0] = block[size - 1] = 'w';
        written += MIB;
    }
    return total;
}

static int fill_up_under_later_limit(void *context)
{
    const struct later *later = context;
    filz_mmap heap = later->settings;
    (void)mapped_bytes();
    size_t before = mapped_bytes();
    EXPECT(filz_mmap_alloc(&heap, 100, 1));
    EXPECT(limit_address_space(before + ALLOWED * MIB) == 0);
    size_t total = fill_up(&heap, later->size);
    EXPECT(errno == ENOMEM);
    if (total < EXPECTED * MIB)
        print_message("%zu bytes in blocks of %zu, %s\n", total, later->size, heap.path ? heap.path : "unnamed");
    EXPECT(total >= EXPECTED * MIB);
    EXPECT(filz_mmap_alloc(&heap, ALLOWED * MIB, 1) == NULL && errno == ENOMEM);
    return filz_mmap_close(&heap);
}

static void a_limit_that_is_lowered_below_the_capacity_leaves_what_it_allows(void **state)
{
    (void)state;
    NEED_LIMITS();
    NEED_DISK(GIB);
    static const size_t sizes[] = {MIB, 64};
    const filz_mmap settings[] = {FILZ_MMAP_INIT, {.path = "named.filz"}, persistent_at(path)};
    int failures = 0;
    assert_int_equal(setenv("TMPDIR", ".", 1), 0);
    for (size_t i = 0; i < COUNT(settings) * COUNT(sizes); i++) {
        struct later later = {settings[i / COUNT(sizes)], sizes[i % COUNT(sizes)]};
        failures += in_child(fill_up_under_later_limit, &later) != 0;
        assert_true(later.settings.path == NULL || unlink(later.settings.path) == 0);
    }
    assert_int_equal(unsetenv("TMPDIR"), 0);
    assert_int_equal(failures, 0);
}

/* -- Beside many others -------------------------------------------------------------------------------------------- */

enum { HEAPS = 16, GROWTH = 100 }; /* GROWTH in MiB */

static const char *path_of_heap(size_t number)
{
    static char heap_path[32];
    snprintf(heap_path, sizeof(heap_path), "heap-%zu.filz", number);
    return heap_path;
}

static int make_heap(void *number)
{
    filz_mmap heap = persistent_at(path_of_heap(*(size_t *)number));
    size_t *block = filz_mmap_alloc(&heap, sizeof(*block), sizeof(*block));
    EXPECT(block);
    *block = *(size_t *)number;
    EXPECT(filz_mmap_set_root(&heap, block) == 0);
    return filz_mmap_close(&heap);
}

static int open_all_and_grow(void *unused)
{
    (void)unused;
    filz_mmap heaps[HEAPS];
    for (size_t i = 0; i < HEAPS; i++) {
        heaps[i] = persistent_at(path_of_heap(i));
        EXPECT(filz_mmap_open(&heaps[i]) == 0);
    }
    for (size_t i = 0; i < HEAPS; i++)
        EXPECT(grow(&heaps[i], GROWTH) == 0);
    for (size_t i = 0; i < HEAPS; i++) {
        size_t *block = filz_mmap_root(&heaps[i]);
        EXPECT(block && *block == i);
        EXPECT(filz_mmap_close(&heaps[i]) == 0);
    }
    return 0;
}

static int make_far_apart(void *unused)
{
    (void)unused;
    filz_mmap heaps[HEAPS];
    char *roots[HEAPS];
    for (size_t i = 0; i < HEAPS; i++) {
        heaps[i] = persistent_at(path_of_heap(i));
        EXPECT((roots[i] = filz_mmap_alloc(&heaps[i], 1, 1)) != NULL);
        for (size_t k = 0; k < i; k++) {
            size_t distance = roots[i] > roots[k] ? (size_t)(roots[i] - roots[k]) : (size_t)(roots[k] - roots[i]);
            EXPECT(distance / MIB >= (size_t)60 * 1024);
        }
    }
    for (size_t i = 0; i < HEAPS; i++)
        EXPECT(filz_mmap_close(&heaps[i]) == 0 && unlink(path_of_heap(i)) == 0);
    return 0;
}

/* Heaps of one program never come into each other's way, however large they get. */
static void the_heaps_of_one_program_are_as_far_apart_as_they_may_grow(void **state)
{
    (void)state;
    if (sizeof(size_t) < 8 || SANITIZED)
        SKIP("32 bits, and sanitizers, leave no room for so many heaps of 64 GiB");
    size_t rounds = rounds_of(100);
    for (size_t i = 0; i < rounds; i++)
        assert_int_equal(in_child(make_far_apart, NULL), 0);
    print_message("%zu times %d heaps\n", rounds, HEAPS);
}

static void sixteen_heaps_of_different_programs_open_in_one_and_grow(void **state)
{
    (void)state;
    if (sizeof(size_t) < 8)
        SKIP("32 bits of addresses have no room for so many heaps at random places");
    NEED_DISK(4 * GIB);
    size_t sets = rounds_of(600), failures = 0;
    for (size_t set = 0; set < sets; set++) {
        for (size_t i = 0; i < HEAPS; i++)
            assert_int_equal(in_child(make_heap, &i), 0);
        failures += in_child(open_all_and_grow, NULL) != 0;
        for (size_t i = 0; i < HEAPS; i++)
            assert_int_equal(unlink(path_of_heap(i)), 0);
    }
    print_message("%zu of %zu sets of %d heaps opened and grew\n", sets - failures, sets, HEAPS);
    /* Of 120 pairs, one that is within 164 MiB of each other in 16 TiB: 0.24 percent of all sets. More than three of 60
     * are once in a million runs. */
    assert_true(failures <= 3 + sets / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_persistent_heap_opens_under_each_limit_that_its_contents_fit),
        IN_FRESH_DIRECTORY(a_run_under_a_limit_leaves_the_next_one_its_capacity),
        IN_FRESH_DIRECTORY(a_limit_that_is_lowered_below_the_capacity_leaves_what_it_allows),
        IN_FRESH_DIRECTORY(the_heaps_of_one_program_are_as_far_apart_as_they_may_grow),
        IN_FRESH_DIRECTORY(sixteen_heaps_of_different_programs_open_in_one_and_grow),
    };
    return cmocka_run_group_tests_name("address_space", tests, NULL, NULL);
}
