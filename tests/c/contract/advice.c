/* How a heap is read: what the kernel has been told of its pages, which /proc/self/smaps says of each mapping ("rr" and
 * "sr" among VmFlags). */
#include "heap_files.h"
#include "mappings.h"

#define PATH "heap.filz"

/* -- What the kernel has been told --------------------------------------------------------------------------------- */

/* Not in an emulator, whose own mappings these are. */
#define NEED_MARKS()                                                                                                   \
    do {                                                                                                               \
        if (!kernel_marks(MADV_RANDOM, "rr"))                                                                          \
            SKIP("/proc/self/smaps doesn't tell how memory is read");                                                  \
    } while (0)

static bool is_all_random(const filz_mmap *heap)
{
    struct marks random = marks_of(heap, NULL, "rr");
    return random.with > 0 && random.without == 0;
}

static bool is_all_sequential(const filz_mmap *heap)
{
    struct marks sequential = marks_of(heap, NULL, "sr");
    return sequential.with > 0 && sequential.without == 0;
}

static bool is_all_plain(const filz_mmap *heap)
{
    struct marks random = marks_of(heap, NULL, "rr"), sequential = marks_of(heap, NULL, "sr");
    return random.without > 0 && random.with == 0 && sequential.with == 0;
}

/* -- The setting --------------------------------------------------------------------------------------------------- */

typedef bool is_all(const filz_mmap *heap);

struct setting {
    const char *value;
    is_all *is_so;
};

static const struct setting settings[] = {
    {"random", is_all_random},
    {"sequential", is_all_sequential},
    {"auto", is_all_plain},
    {"", is_all_plain},
};

struct inherited {
    filz_mmap *heap;
    is_all *is_so;
};

static int is_so_in_child(void *context)
{
    const struct inherited *inherited = context;
    EXPECT(inherited->is_so(inherited->heap));
    EXPECT(filz_mmap_alloc(inherited->heap, MIB, 1) != NULL);
    EXPECT(inherited->is_so(inherited->heap));
    return 0;
}

static void grow_and_fork(is_all *is_so)
{
    filz_mmap heap = {.path = PATH};
    assert_non_null(filz_mmap_alloc(&heap, 1, 1));
    assert_true(is_so(&heap));
    for (int i = 0; i < 20; i++)
        assert_non_null(filz_mmap_alloc(&heap, MIB, 1));
    assert_true(is_so(&heap));
    assert_int_equal(in_child(is_so_in_child, &(struct inherited){&heap, is_so}), 0);
    assert_true(is_so(&heap));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void FILZ_ADVICE_holds_for_every_page_also_after_growth_and_fork(void **state)
{
    (void)state;
    NEED_MARKS();
    for (int private = 0; private < 2; private ++) {
        setenv("FILZ_FORK", private ? "private" : "", 1);
        for (size_t i = 0; i < COUNT(settings); i++) {
            setenv("FILZ_ADVICE", settings[i].value, 1);
            grow_and_fork(settings[i].is_so);
        }
    }
    unsetenv("FILZ_FORK");
    unsetenv("FILZ_ADVICE");
}

static void FILZ_ADVICE_holds_for_readers_and_private_copies(void **state)
{
    (void)state;
    NEED_MARKS();
    filz_mmap heap = {.path = PATH, .flags = FILZ_MMAP_PERSISTENT};
    assert_non_null(filz_mmap_alloc(&heap, MIB, 1));
    assert_int_equal(filz_mmap_close(&heap), 0);
    static const unsigned ways[] = {FILZ_MMAP_PERSISTENT, FILZ_MMAP_READ_ONLY, FILZ_MMAP_PRIVATE, FILZ_MMAP_SHARED,
                                    FILZ_MMAP_READ_ONLY};
    for (size_t way = 0; way < COUNT(ways) - (ON_POSIX ? 2 : 0); way++)
        for (size_t i = 0; i < COUNT(settings); i++) {
            setenv("FILZ_ADVICE", settings[i].value, 1);
            heap.flags = ways[way];
            assert_int_equal(filz_mmap_open(&heap), 0);
            assert_true(settings[i].is_so(&heap));
            assert_int_equal(filz_mmap_close(&heap), 0);
        }
    unsetenv("FILZ_ADVICE");
}

static void another_word_is_an_error(void **state)
{
    (void)state;
    static const char *const words[] = {"normal", "Random", "random ", " ", "1", "willneed"};
    filz_mmap heap = {.path = PATH};
    for (size_t i = 0; i < COUNT(words); i++) {
        setenv("FILZ_ADVICE", words[i], 1);
        assert_int_equal(filz_mmap_open(&heap), FILZ_EVARIABLE);
    }
    unsetenv("FILZ_ADVICE");
    assert_int_equal(access(PATH, F_OK), -1);
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* -- What filz chooses --------------------------------------------------------------------------------------------- */

static void change(int fd, uint64_t offset, const void *bytes, size_t length)
{
    assert_int_equal(pwrite(fd, bytes, length, (off_t)offset), length);
}

/* Its only chunk is then of `size` bytes, most of which are a hole. */
static bool make_larger(const char *path, size_t size)
{
    struct fz_header header;
    struct fz_chunk chunk;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, &header, sizeof(header), 0), sizeof(header));
    assert_int_equal(pread(fd, &chunk, sizeof(chunk), (off_t)header.last), sizeof(chunk));
    chunk.size = (size_t)size;
    memset(&chunk.fill, 0xFF, sizeof(chunk.fill));
    header.cursor = (size_t)header.last + size;
    header.capacity = header.cursor;
    bool is_longer = ftruncate(fd, (off_t)header.cursor) == 0;
    change(fd, header.last, &chunk, sizeof(chunk));
    change(fd, 0, &header, sizeof(header));
    assert_int_equal(close(fd), 0);
    return is_longer;
}

static void a_reader_of_a_heap_larger_than_memory_reads_page_by_page(void **state)
{
    (void)state;
    NEED_MARKS();
    if (sizeof(size_t) < 8 || SANITIZED || runs_on_valgrind())
        SKIP("there is no address space for a heap larger than memory, or Valgrind takes minutes to map it");
    filz_mmap heap = {.path = PATH, .flags = FILZ_MMAP_PERSISTENT};
    assert_non_null(filz_mmap_alloc(&heap, 100, 1));
    assert_int_equal(filz_mmap_close(&heap), 0);
    static const unsigned ways[] = {FILZ_MMAP_READ_ONLY, FILZ_MMAP_PRIVATE};
    size_t memory = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    for (size_t way = 0; way < COUNT(ways); way++) {
        heap.flags = ways[way];
        assert_true(make_larger(PATH, MIB));
        assert_int_equal(filz_mmap_open(&heap), 0);
        bool is_in_memory = heap.heap->backing.file.in_memory;
        assert_true(is_all_plain(&heap));
        assert_int_equal(filz_mmap_close(&heap), 0);
        if (!make_larger(PATH, 2 * memory) || is_in_memory)
            SKIP("no such file of twice the memory can be had in this directory");
        assert_int_equal(filz_mmap_open(&heap), 0);
        assert_true(is_all_random(&heap));
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}

/* A control group with a limit on memory, of either version. */
static char group[PATH_MAX];

static bool write_to_group(const char *file, const char *text)
{
    char path[PATH_MAX + 100];
    snprintf(path, sizeof(path), "%s/%s", group, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool is_written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return is_written;
}

static bool make_group(const char *limit)
{
    bool first = access("/sys/fs/cgroup/memory", F_OK) == 0;
    snprintf(group, sizeof(group), "/sys/fs/cgroup/%sfilz-test-%d", first ? "memory/" : "", (int)getpid());
    if (mkdir(group, 0700) != 0)
        return false;
    return write_to_group(first ? "memory.limit_in_bytes" : "memory.max", limit);
}

static int grow_in_group(void *unused)
{
    (void)unused;
    filz_mmap heap = {.path = PATH};
    if (!write_to_group("cgroup.procs", "0"))
        return SKIPPED;
    for (int i = 0; i < 4; i++)
        EXPECT(filz_mmap_alloc(&heap, 8 * MIB, 1) != NULL);
    if (heap.heap->backing.file.in_memory)
        return SKIPPED;
    EXPECT(is_all_plain(&heap));
    for (int i = 0; i < 12; i++)
        EXPECT(filz_mmap_alloc(&heap, 8 * MIB, 1) != NULL);
    EXPECT(is_all_random(&heap));
    EXPECT(filz_mmap_advise(&heap, NULL, 0, FILZ_ADVICE_SEQUENTIAL) == 0 && is_all_sequential(&heap));
    EXPECT(filz_mmap_advise(&heap, NULL, 0, FILZ_ADVICE_AUTO) == 0 && is_all_random(&heap));
    return filz_mmap_close(&heap);
}

static void a_heap_that_outgrows_its_control_group_is_read_page_by_page(void **state)
{
    (void)state;
    NEED_LINUX("control groups");
    NEED_MARKS();
    bool is_made = make_group("67108864");
    int status = is_made ? in_child(grow_in_group, NULL) : SKIPPED;
    rmdir(group);
    if (status == SKIPPED)
        SKIP("no control group with a limit on memory can be had here, or the heap is in memory");
    assert_int_equal(status, 0);
}

/* -- What is written back ------------------------------------------------------------------------------------------ */

/* Bytes that this process has made the disk's; -1 if the kernel doesn't count them. */
static long long written_so_far(void)
{
    long long bytes = -1;
    char line[100];
    FILE *file = fopen("/proc/self/io", "r");
    while (file && fgets(line, sizeof(line), file))
        sscanf(line, "write_bytes: %lld", &bytes);
    if (file)
        fclose(file);
    return bytes;
}

/* Large pages would be dirty as a whole. */
static void a_store_writes_two_pages_back_at_most_where_the_heap_is_read_at_random(void **state)
{
    (void)state;
    enum { BLOCKS = 64 };
    char *blocks[BLOCKS];
    long long page = sysconf(_SC_PAGESIZE);
    NEED_LINUX("prefaulting");
    if (is_emulated() || written_so_far() < 0)
        SKIP("nobody counts what is written");
    setenv("FILZ_ADVICE", "random", 1);
    filz_mmap heap = {.path = PATH, .flags = FILZ_MMAP_PERSISTENT};
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = filz_mmap_alloc(&heap, 128 * KIB, 1);
        memset(blocks[i], 1, 128 * KIB);
    }
    assert_int_equal(filz_mmap_sync(&heap), 0);
    long long before = written_so_far();
    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i][64 * KIB] = 2;
    assert_true(written_so_far() - before <= 2 * page * BLOCKS);
    assert_int_equal(filz_mmap_close(&heap), 0);
    unsetenv("FILZ_ADVICE");
}

/* -- The call ------------------------------------------------------------------------------------------------------ */

enum { ADVICES = FILZ_ADVICE_PAGE_OUT + 1 };

static void a_part_has_an_advice_of_its_own_until_that_of_the_whole_changes(void **state)
{
    (void)state;
    NEED_MARKS();
    filz_mmap heap = {.path = PATH};
    char *block = filz_mmap_alloc(&heap, 4 * MIB, 1);
    assert_int_equal(filz_mmap_advise(&heap, block + MIB, MIB, FILZ_ADVICE_SEQUENTIAL), 0);
    struct marks sequential = marks_of(&heap, NULL, "sr"), random = marks_of(&heap, NULL, "rr");
    assert_int_equal(sequential.with, 1);
    assert_int_equal(sequential.without - random.with, 2);
    assert_int_equal(filz_mmap_advise(&heap, block + MIB, MIB, FILZ_ADVICE_AUTO), 0);
    assert_true(is_all_plain(&heap));
    assert_int_equal(filz_mmap_advise(&heap, NULL, 0, FILZ_ADVICE_RANDOM), 0);
    assert_int_equal(filz_mmap_advise(&heap, block + MIB, MIB, FILZ_ADVICE_SEQUENTIAL), 0);
    assert_int_equal(filz_mmap_advise(&heap, block + MIB, MIB, FILZ_ADVICE_AUTO), 0);
    assert_true(is_all_random(&heap));
    assert_int_equal(filz_mmap_advise(&heap, block + MIB, 1, FILZ_ADVICE_SEQUENTIAL), 0);
    assert_int_equal(filz_mmap_advise(&heap, NULL, 0, FILZ_ADVICE_AUTO), 0);
    assert_true(is_all_plain(&heap));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void no_advice_changes_a_byte(void **state)
{
    (void)state;
    if (is_emulated() && sysconf(_SC_PAGESIZE) > 4096)
        SKIP("the emulator's mincore writes a byte for each page of the real processor");
    filz_mmap heap = {.path = PATH, .flags = FILZ_MMAP_PERSISTENT};
    char *block = filz_mmap_alloc(&heap, 2 * MIB, 1);
    memset(block, 1, 2 * MIB);
    assert_int_equal(filz_mmap_set_root(&heap, block), 0);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned advice = 0; advice < ADVICES; advice++) {
            assert_int_equal(filz_mmap_advise(&heap, block + 100, MIB, (enum filz_advice)advice), 0);
            assert_int_equal(filz_mmap_advise(&heap, NULL, 0, (enum filz_advice)advice), 0);
            assert_true(is_filled(block, 1, MIB) && is_filled(block + MIB, round == 2 ? 2 : 1, MIB));
        }
        assert_int_equal(filz_mmap_close(&heap), 0);
        heap.flags = round == 0 ? FILZ_MMAP_READ_ONLY : FILZ_MMAP_PRIVATE;
        assert_int_equal(filz_mmap_open(&heap), 0);
        assert_ptr_equal(filz_mmap_root(&heap), block);
        if (round > 0)
            memset(block + MIB, 2, MIB); /* it is nowhere but in memory */
    }
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static size_t pages_in_ram(filz_mmap *heap, const char *block, size_t size)
{
    static unsigned char states[MIB / 4096];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), count = size / page, in_ram = 0;
    assert_int_equal(filz_mmap_pages(heap, (size_t)(block - (char *)heap->heap->header) / page, &count, states), 0);
    for (size_t i = 0; i < count; i++)
        in_ram += (states[i] & FILZ_PAGE_IN_RAM) != 0;
    return in_ram;
}

static void what_is_on_the_disk_goes_from_memory_and_is_read_in_again(void **state)
{
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    NEED_LINUX("MADV_PAGEOUT");
    filz_mmap heap = {.path = PATH, .flags = FILZ_MMAP_PERSISTENT};
    char *block = filz_mmap_alloc(&heap, MIB, page);
    memset(block, 1, MIB);
    assert_int_equal(filz_mmap_sync(&heap), 0);
    bool is_in_memory = heap.heap->backing.file.in_memory;
    if (is_emulated() || is_in_memory || madvise(block, MIB, 21 /* MADV_PAGEOUT */) != 0)
        SKIP("here no page can be given up");
    while (pages_in_ram(&heap, block, MIB) > 0) { /* whoever else has them, has them for a moment */
        assert_int_equal(filz_mmap_advise(&heap, block, MIB, FILZ_ADVICE_PAGE_OUT), 0);
        usleep(1000);
    }
    assert_int_equal(filz_mmap_advise(&heap, block, MIB, FILZ_ADVICE_WILL_NEED), 0);
    while (pages_in_ram(&heap, block, MIB) < MIB / page)
        usleep(1000);
    assert_true(is_filled(block, 1, MIB));
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void what_cannot_be_advised_is_an_error(void **state)
{
    (void)state;
    filz_mmap heap = {.path = PATH, .capacity = 16 * MIB};
    assert_int_equal(filz_mmap_advise(&heap, NULL, 0, FILZ_ADVICE_RANDOM), FILZ_ECLOSED);
    char *block = filz_mmap_alloc(&heap, MIB, 1), *base = (char *)heap.heap->header;
    assert_int_equal(filz_mmap_advise(&heap, &heap, 1, FILZ_ADVICE_RANDOM), FILZ_EADDRESS);
    assert_int_equal(filz_mmap_advise(&heap, base - 1, 1, FILZ_ADVICE_RANDOM), FILZ_EADDRESS);
    assert_int_equal(filz_mmap_advise(&heap, base + 16 * MIB, 1, FILZ_ADVICE_RANDOM), FILZ_EADDRESS);
    assert_int_equal(filz_mmap_advise(&heap, block, 16 * MIB, FILZ_ADVICE_RANDOM), FILZ_EADDRESS);
    assert_int_equal(filz_mmap_advise(&heap, block, SIZE_MAX, FILZ_ADVICE_RANDOM), FILZ_EADDRESS);
    assert_int_equal(filz_mmap_advise(&heap, base, 16 * MIB, FILZ_ADVICE_RANDOM), 0);
    assert_int_equal(filz_mmap_advise(&heap, block, 0, FILZ_ADVICE_RANDOM), 0);
    assert_int_equal(filz_mmap_advise(&heap, block, 1, (enum filz_advice)ADVICES), EINVAL);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(FILZ_ADVICE_holds_for_every_page_also_after_growth_and_fork),
        IN_FRESH_DIRECTORY(FILZ_ADVICE_holds_for_readers_and_private_copies),
        IN_FRESH_DIRECTORY(another_word_is_an_error),
        IN_FRESH_DIRECTORY(a_reader_of_a_heap_larger_than_memory_reads_page_by_page),
        IN_FRESH_DIRECTORY(a_heap_that_outgrows_its_control_group_is_read_page_by_page),
        IN_FRESH_DIRECTORY(a_store_writes_two_pages_back_at_most_where_the_heap_is_read_at_random),
        IN_FRESH_DIRECTORY(a_part_has_an_advice_of_its_own_until_that_of_the_whole_changes),
        IN_FRESH_DIRECTORY(no_advice_changes_a_byte),
        IN_FRESH_DIRECTORY(what_is_on_the_disk_goes_from_memory_and_is_read_in_again),
        IN_FRESH_DIRECTORY(what_cannot_be_advised_is_an_error),
    };
    return cmocka_run_group_tests_name("advice", tests, NULL, NULL);
}
