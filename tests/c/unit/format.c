/* Unit tests of c/format.[ch]: what can be a header, and from where on a heap can go on. The file is one that a heap
 * has left, read into memory; each test changes some of it. */
#include "persistent.h"
#include "threads.h"

#define PATH "heap.filz"

static size_t page;

/* -- A file in memory ---------------------------------------------------------------------------------------------- */

static unsigned char *file;
static struct fz_source source;
static int reads, failing; /* the read that fails; 0: none */

static int read_from_memory(const struct fz_source *self, uint64_t offset, void *bytes, size_t length)
{
    assert_true(offset + length <= self->size);
    if (++reads == failing)
        return EIO;
    memcpy(bytes, (const unsigned char *)self->bytes + offset, length);
    return 0;
}

static struct fz_header *header(void)
{
    return (struct fz_header *)file;
}

static struct fz_chunk *last_chunk(void)
{
    return (struct fz_chunk *)(file + header()->last);
}

/* A heap of two chunks, closed in order; of both, of the first one, or of none there is a checkpoint. */
enum synced { NEVER, AFTER_ONE_CHUNK, AFTER_TWO_CHUNKS };

static void make_file(enum synced synced)
{
    filz_mmap heap = persistent_at(PATH);
    assert_true(unlink(PATH) == 0 || errno == ENOENT);
    assert_non_null(filz_mmap_alloc(&heap, 100, 1));
    assert_true(synced != AFTER_ONE_CHUNK || filz_mmap_sync(&heap) == 0);
    in_thread(allocate_100_bytes, &(struct heap){.mmap = heap});
    assert_true(synced != AFTER_TWO_CHUNKS || filz_mmap_sync(&heap) == 0);
    assert_int_equal(stats_of(&heap).chunks, 2);
    page = stats_of(&heap).page_size;
    assert_int_equal(filz_mmap_close(&heap), 0);
    free(file);
    struct snapshot snapshot = snapshot_of(PATH);
    file = (unsigned char *)snapshot.bytes;
    source = (struct fz_source){.read = read_from_memory, .size = (uint64_t)snapshot.status.st_size, .bytes = file};
    reads = failing = 0;
}

static int free_file(void **state)
{
    free(file);
    file = NULL;
    return leave_fresh_directory(state);
}

#define ON_A_FILE(test) cmocka_unit_test_setup_teardown(test, enter_fresh_directory, free_file)

/* -- What is found in it ------------------------------------------------------------------------------------------- */

static struct fz_header found;
static struct fz_state state_found;

static struct fz_problem judge(void)
{
    return fz_judge(&source, page, &found, &state_found);
}

static void assert_is_damage_at(uint64_t offset)
{
    struct fz_problem problem = judge();
    assert_int_equal(problem.error, FILZ_EDAMAGED);
    assert_int_equal(problem.offset, offset);
    assert_non_null(problem.what);
}

static void assert_goes_on_at(uint64_t cursor, bool is_checkpoint)
{
    assert_int_equal(judge().error, 0);
    assert_int_equal(state_found.cursor, cursor);
    assert_int_equal(state_found.newest.error != 0, is_checkpoint);
}

static uint64_t checkpoint_cursor(void)
{
    return fz_newest_checkpoint(header())->cursor;
}

/* -- The header ---------------------------------------------------------------------------------------------------- */

static void a_file_without_the_magic_is_no_heap(void **state)
{
    (void)state;
    for (size_t i = 0; i < FZ_MAGIC_SIZE; i++) {
        make_file(NEVER);
        file[i] ^= 1;
        assert_int_equal(judge().error, FILZ_ENOTHEAP);
    }
}

static void a_base_that_is_no_pages_address_is_damage(void **state)
{
    (void)state;
    make_file(NEVER);
    const uint64_t base = header()->base, bases[] = {0, 1, base + 1, base + page / 2, base - 1};
    for (size_t i = 0; i < COUNT(bases); i++) {
        header()->base = bases[i];
        header()->checksum = fz_header_checksum(header());
        assert_is_damage_at(offsetof(struct fz_header, base));
    }
}

static void a_capacity_that_ends_after_the_last_address_is_damage(void **state)
{
    (void)state;
    make_file(NEVER);
    uint64_t capacity = header()->capacity;
    header()->base = UINTPTR_MAX - (uintptr_t)capacity + 1;
    header()->checksum = fz_header_checksum(header());
    assert_int_equal(fz_check_header(header(), page).error, 0);
    header()->capacity = capacity + page;
    assert_is_damage_at(offsetof(struct fz_header, capacity));
    header()->base += page;
    header()->checksum = fz_header_checksum(header());
    header()->capacity = capacity;
    assert_is_damage_at(offsetof(struct fz_header, capacity));
}

/* -- A chunk ------------------------------------------------------------------------------------------------------- */

static void a_chunk_is_only_where_it_says_it_is_and_where_one_can_be(void **state)
{
    (void)state;
    make_file(NEVER);
    struct fz_chunk chunk = *(struct fz_chunk *)(file + page);
    assert_int_equal(fz_check_chunk(header(), page, &chunk).error, 0);
    const uint64_t offsets[] = {0, page / 2, page + page / 2, 2 * page, header()->capacity, UINT64_MAX - page + 1};
    for (size_t i = 0; i < COUNT(offsets); i++) {
        assert_int_equal(fz_check_chunk(header(), offsets[i], &chunk).error, FILZ_EDAMAGED);
        struct fz_chunk moved = chunk;
        moved.offset = offsets[i];
        moved.size = page;
        fz_chunk_set_left(&moved, 0);
        bool can_be = offsets[i] == 2 * page;
        assert_int_equal(fz_check_chunk(header(), offsets[i], &moved).error, can_be ? 0 : FILZ_EDAMAGED);
    }
}

/* -- The newest state, or the checkpoint --------------------------------------------------------------------------- */

static void a_heap_goes_on_at_its_newest_state(void **state)
{
    (void)state;
    for (int synced = NEVER; synced <= AFTER_TWO_CHUNKS; synced++) {
        make_file((enum synced)synced);
        assert_goes_on_at(header()->cursor, false);
        assert_int_equal(state_found.last, header()->last);
        assert_int_equal(state_found.tails, header()->tails);
        assert_int_not_equal(state_found.tails, 0);
        header()->clean = 0;
        assert_goes_on_at(header()->cursor, false);
        assert_int_equal(state_found.last, header()->last);
        assert_int_equal(state_found.tails, 0);
    }
}

static void a_heap_that_ends_before_its_checkpoint_goes_on_there(void **state)
{
    (void)state;
    for (int clean = 0; clean <= 1; clean++) {
        make_file(AFTER_TWO_CHUNKS);
        header()->clean = (uint32_t)clean;
        header()->cursor = (size_t)header()->last; /* as if the last chunk weren't there */
        header()->last = (size_t)page;
        assert_goes_on_at(checkpoint_cursor(), true);
    }
}

static void a_damaged_chunk_leads_to_the_checkpoint_before_it(void **state)
{
    (void)state;
    for (int clean = 0; clean <= 1; clean++) {
        make_file(AFTER_ONE_CHUNK);
        header()->clean = (uint32_t)clean;
        last_chunk()->offset = 0;
        assert_goes_on_at(checkpoint_cursor(), true);
        assert_int_equal(state_found.last, page);
        assert_int_equal(state_found.tails, 0);
    }
}

/* That checkpoint is empty: only a power cut may lead there. */
static void a_damaged_heap_that_was_closed_and_never_synced_is_not_emptied(void **state)
{
    (void)state;
    make_file(NEVER);
    last_chunk()->offset = 0;
    assert_is_damage_at(header()->last);
    header()->clean = 0;
    assert_goes_on_at(page, true);
}

static void without_a_whole_checkpoint_every_chunk_is_looked_at(void **state)
{
    (void)state;
    make_file(AFTER_TWO_CHUNKS);
    header()->clean = 0;
    memset(header()->checkpoints, 0, sizeof(header()->checkpoints));
    assert_goes_on_at(header()->cursor, false);
    ((struct fz_chunk *)(file + page))->state = FZ_DEDICATED + 1;
    assert_is_damage_at(page);
}

static void a_checkpoint_that_is_damaged_too_leaves_the_damage_of_the_newest_state(void **state)
{
    (void)state;
    make_file(AFTER_TWO_CHUNKS);
    last_chunk()->generation++;
    assert_is_damage_at(header()->last);
}

/* Not by chance, since its checksum is right. The newest state is looked at from the first chunk on. */
static void a_checkpoint_whose_last_chunk_is_not_before_its_end_is_none(void **state)
{
    (void)state;
    static const uint64_t after[] = {0, 1, 4096, UINT64_MAX / 2};
    for (size_t i = 0; i < COUNT(after); i++) {
        make_file(AFTER_TWO_CHUNKS);
        uint64_t last = header()->last;
        header()->clean = 0;
        for (size_t j = 0; j < 2; j++) {
            struct fz_checkpoint *checkpoint = &header()->checkpoints[j];
            checkpoint->last = checkpoint->cursor + after[i];
            checkpoint->checksum = fz_checkpoint_checksum(checkpoint);
        }
        assert_int_equal(judge().error, 0);
        assert_int_equal(state_found.last, last);
        last_chunk()->generation++;
        assert_is_damage_at(last);
    }
}

static void what_cannot_be_read_is_an_error_of_the_read(void **state)
{
    (void)state;
    make_file(NEVER);
    assert_int_equal(judge().error, 0);
    int all = reads;
    assert_true(all >= 2); /* the header, and the last chunk's */
    for (failing = 1; failing <= all; failing++) {
        reads = 0;
        assert_int_equal(judge().error, EIO);
        assert_int_equal(reads, failing);
    }
}

/* A read that fails now may succeed the next time. */
static void what_cannot_be_read_is_an_error_and_no_reason_to_go_on_at_the_checkpoint(void **state)
{
    (void)state;
    for (int synced = NEVER; synced <= AFTER_TWO_CHUNKS; synced++)
        for (uint32_t clean = 0; clean <= 1; clean++) {
            make_file((enum synced)synced);
            header()->clean = clean;
            assert_goes_on_at(header()->cursor, false);
            int all = reads;
            for (int i = 1; i <= all; i++) {
                reads = 0;
                failing = i;
                assert_int_equal(judge().error, EIO);
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_FILE(a_file_without_the_magic_is_no_heap),
        ON_A_FILE(a_base_that_is_no_pages_address_is_damage),
        ON_A_FILE(a_capacity_that_ends_after_the_last_address_is_damage),
        ON_A_FILE(a_chunk_is_only_where_it_says_it_is_and_where_one_can_be),
        ON_A_FILE(a_heap_goes_on_at_its_newest_state),
        ON_A_FILE(a_heap_that_ends_before_its_checkpoint_goes_on_there),
        ON_A_FILE(a_damaged_chunk_leads_to_the_checkpoint_before_it),
        ON_A_FILE(a_damaged_heap_that_was_closed_and_never_synced_is_not_emptied),
        ON_A_FILE(without_a_whole_checkpoint_every_chunk_is_looked_at),
        ON_A_FILE(a_checkpoint_that_is_damaged_too_leaves_the_damage_of_the_newest_state),
        ON_A_FILE(a_checkpoint_whose_last_chunk_is_not_before_its_end_is_none),
        ON_A_FILE(what_cannot_be_read_is_an_error_of_the_read),
        ON_A_FILE(what_cannot_be_read_is_an_error_and_no_reason_to_go_on_at_the_checkpoint),
    };
    return cmocka_run_group_tests_name("format", tests, NULL, NULL);
}
