/* Walking through a heap whose program goes on meanwhile: between any two reads of the walk, the program makes any
 * number of its next stores, in the order in which the library makes them. */
#include "../../c/tool/reader.h"
#include "support.h"

#include <inttypes.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define BASE UINT64_C(0x10000000)

static size_t page;
static int heap_fd;
static char heap_path[64];

/* -- A program that stores something while the reader reads -------------------------------------------------------- */

/* A store of a word; of a chunk's, if `chunk` isn't 0, the page that it begins on. What comes after it in the header or
 * in a chunk is 0 here, so that a word may stand for 32 bits. */
struct store {
    size_t chunk, field, value;
};

static const struct store *stores;
static size_t store_count, done, reads;

/* When it stores: some at once, and the next after so many reads. */
static struct pace {
    size_t first_read, at_once, pause;
} pace;

static void write_word(size_t offset, size_t value)
{
    assert_int_equal(pwrite(heap_fd, &value, sizeof(value), (off_t)offset), sizeof(value));
}

static void make_stores(void)
{
    for (size_t i = 0; i < pace.at_once && done < store_count; i++, done++)
        write_word(stores[done].chunk * page + stores[done].field, stores[done].value);
}

ssize_t __wrap_pread(int fd, void *bytes, size_t size, off_t offset);
ssize_t __wrap_pread64(int fd, void *bytes, size_t size, off_t offset);

ssize_t __wrap_pread(int fd, void *bytes, size_t size, off_t offset)
{
    if (reads >= pace.first_read && (reads - pace.first_read) % pace.pause == 0)
        make_stores();
    reads++;
    return syscall(SYS_pread64, fd, bytes, size, offset);
}

ssize_t __wrap_pread64(int fd, void *bytes, size_t size, off_t offset)
{
    return __wrap_pread(fd, bytes, size, offset);
}

/* -- The heap ------------------------------------------------------------------------------------------------------ */

#define CHUNK(field) offsetof(struct fz_chunk, field)
#define HEADER(field) offsetof(struct fz_header, field)
#define FILL(left) (SIZE_MAX - (left))

static void write_chunk(size_t first, size_t end, size_t left)
{
    struct fz_chunk chunk = {.size = (end - first) * page,
                             .fill = FILL(left),
                             .blocks = 1,
                             .fresh = (end - first) * page,
                             .offset = first * page,
                             .owner = 1};
    assert_int_equal(pwrite(heap_fd, &chunk, sizeof(chunk), (off_t)(first * page)), sizeof(chunk));
}

/* Chunks on pages 1 to 2 and 3 to 10, of which a page less 100 bytes, and 100 bytes, are left; on page 5 is what was a
 * chunk before. The heap is in use. */
static void write_heap(void)
{
    struct fz_header header = {
        .format = FZ_FORMAT,
        .word_size = sizeof(size_t),
        .page_size = page,
        .base = BASE,
        .capacity = 64 * page,
        .cursor = 11 * page,
        .last = 3 * page,
        .id = 1,
        .threads = 1,
    };
    memcpy(header.magic, FZ_MAGIC, FZ_MAGIC_SIZE);
    header.checksum = fz_header_checksum(&header);
    assert_int_equal(ftruncate(heap_fd, 0), 0);
    assert_int_equal(ftruncate(heap_fd, (off_t)(64 * page)), 0);
    assert_int_equal(pwrite(heap_fd, &header, sizeof(header), 0), sizeof(header));
    write_chunk(1, 3, page - 100);
    write_chunk(3, 11, 100);
    write_chunk(5, 7, 0);
}

struct found {
    int last; /* what reader_next_chunk returned last */
    size_t chunks;
    uint64_t end, used_end;
    bool unsettled;
    struct problem problem;
};

static struct found walk(const struct reader *reader)
{
    struct found found = {.end = page};
    struct chunk chunk = {.end = 0};
    while ((found.last = reader_next_chunk(reader, &chunk, &found.problem)) == 1) {
        assert_int_equal(chunk.start, found.end);
        assert_true(chunk.used_end > chunk.start && chunk.used_end <= chunk.end);
        assert_true(chunk.end <= reader->header.cursor);
        found.chunks++;
        found.end = chunk.end;
        found.used_end = chunk.used_end;
        found.unsettled |= chunk.unsettled;
    }
    return found;
}

static void walk_at_pace(const struct store *all, size_t count, void (*check)(struct reader *, struct found))
{
    struct reader reader;
    struct problem problem;
    stores = all, store_count = 0;
    write_heap();
    assert_true(reader_open(&reader, heap_path, &problem));
    assert_int_equal(reader.use, FILE_IN_USE);
    store_count = count, done = 0, reads = 0;
    assert_true(reader_refresh(&reader, &problem));
    check(&reader, walk(&reader));
    reader_close(&reader);
}

/* Walks once in each way in which the stores can fall between the reads, as far as their pace is even. */
static void walk_among(const struct store *all, size_t count, void (*check)(struct reader *, struct found))
{
    size_t ways = 0;
    for (pace.first_read = 0; pace.first_read < 24; pace.first_read++)
        for (pace.at_once = 1; pace.at_once <= count; pace.at_once++)
            for (pace.pause = 1; pace.pause < 16; pace.pause++, ways++)
                walk_at_pace(all, count, check);
    print_message("walked in %zu ways\n", ways);
}

static int make_heap(void **state)
{
    (void)state;
    page = (size_t)sysconf(_SC_PAGESIZE);
    heap_fd = memfd_create("heap", MFD_CLOEXEC);
    snprintf(heap_path, sizeof(heap_path), "/proc/self/fd/%d", heap_fd);
    return heap_fd < 0 || flock(heap_fd, LOCK_EX | LOCK_NB) != 0;
}

static int remove_heap(void **state)
{
    (void)state;
    return close(heap_fd);
}

/* -- What the walk makes of it ------------------------------------------------------------------------------------- */

static bool is_one_of(uint64_t number, const size_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (number == numbers[i])
            return true;
    return false;
}

/* Each end that the heap had is right; what was used before each is known to the byte, or the chunk is unsettled. */
static void check_shaken(struct reader *reader, struct found found)
{
    (void)reader;
    const size_t ends[] = {11 * page, 5 * page, 9 * page, 6 * page};
    const size_t used[] = {11 * page - 100, 5 * page - 50, 9 * page - 70, 6 * page - 30};
    if (found.last != 0)
        fail_msg("offset %" PRIu64 ": %s", found.problem.offset, found.problem.what);
    assert_int_equal(found.chunks, 2);
    assert_true(is_one_of(found.end, ends, COUNT(ends)));
    assert_true(found.unsettled || found.used_end == found.end || is_one_of(found.used_end, used, COUNT(used)));
}

static void a_heap_whose_end_moves_is_walked_to_an_end_that_it_had(void **state)
{
    (void)state;
    const struct store shaken[] = {
        {0, HEADER(cursor), 5 * page}, {3, CHUNK(fill), FILL(50)},  {3, CHUNK(size), 2 * page},
        {3, CHUNK(size), 6 * page},    {3, CHUNK(fill), FILL(70)},  {0, HEADER(cursor), 9 * page},
        {0, HEADER(cursor), 6 * page}, {3, CHUNK(fill), FILL(30)},  {3, CHUNK(size), 3 * page},
        {3, CHUNK(size), 8 * page},    {3, CHUNK(fill), FILL(100)}, {0, HEADER(cursor), 11 * page},
    };
    walk_among(shaken, COUNT(shaken), check_shaken);
}

static void check_grown(struct reader *reader, struct found found)
{
    (void)reader;
    const size_t ends[] = {11 * page, 13 * page, 15 * page};
    if (found.last != 0)
        fail_msg("offset %" PRIu64 ": %s", found.problem.offset, found.problem.what);
    assert_true(found.chunks == 2 || found.chunks == 3);
    assert_true(is_one_of(found.end, ends, COUNT(ends)));
}

static void a_heap_that_grows_is_walked_to_its_end_at_the_beginning_or_later(void **state)
{
    (void)state;
    const struct store grown[] = {
        {3, CHUNK(size), 10 * page},  {3, CHUNK(fill), FILL(10)},    {0, HEADER(cursor), 13 * page},
        {13, CHUNK(size), 64},        {13, CHUNK(fill), FILL(0)},    {13, CHUNK(offset), 13 * page},
        {13, CHUNK(size), 2 * page},  {13, CHUNK(fill), FILL(page)}, {0, HEADER(cursor), 15 * page},
        {0, HEADER(last), 13 * page},
    };
    walk_among(grown, COUNT(grown), check_grown);
}

/* The old chunks, or the new one, once the walk was repeated as often as it had to be. */
static void check_reset(struct reader *reader, struct found found)
{
    int tries = 0;
    while (reader_must_repeat(reader, found.last != 0, found.unsettled, &tries))
        found = walk(reader);
    assert_int_equal(found.last, 0);
    if (found.chunks == 2)
        assert_true(found.end == 11 * page && found.used_end == 11 * page - 100);
    else if (found.chunks == 1)
        assert_true(found.end == 12 * page && found.used_end == 12 * page - 200);
}

static void a_walk_over_a_heap_that_was_reset_is_repeated(void **state)
{
    (void)state;
    const struct store reset[] = {
        {0, HEADER(cursor), page},   {0, HEADER(root), 0},        {0, HEADER(last), 0},
        {0, HEADER(threads), 0},     {0, HEADER(generation), 1},  {0, HEADER(id), 2},
        {1, CHUNK(size), 64},        {1, CHUNK(fill), FILL(0)},   {1, CHUNK(generation), 1},
        {1, CHUNK(size), 11 * page}, {1, CHUNK(fill), FILL(200)}, {0, HEADER(cursor), 12 * page},
        {0, HEADER(last), page},
    };
    walk_among(reset, COUNT(reset), check_reset);
}

int main(void)
{
#define IN_HEAP(test) cmocka_unit_test_setup_teardown(test, make_heap, remove_heap)
    const struct CMUnitTest tests[] = {
        IN_HEAP(a_heap_whose_end_moves_is_walked_to_an_end_that_it_had),
        IN_HEAP(a_heap_that_grows_is_walked_to_its_end_at_the_beginning_or_later),
        IN_HEAP(a_walk_over_a_heap_that_was_reset_is_repeated),
    };
    return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
