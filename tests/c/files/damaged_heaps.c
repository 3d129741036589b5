/* A persistent heap is refused, and its file stays as it was, if the file was truncated or its header or last chunk is
 * damaged. */
#include "refused_heap.h"

/* -- Truncated ----------------------------------------------------------------------------------------------------- */

static void assert_refused_when_truncated(size_t size)
{
    struct snapshot whole = snapshot_of(PATH);
    assert_int_equal(truncate(PATH, (off_t)size), 0);
    assert_refused(persistent_at(PATH), FILZ_ETRUNCATED);
    write_at(PATH, 0, whole.bytes, (size_t)whole.status.st_size);
    free(whole.bytes);
}

static void a_file_that_was_truncated_is_refused(void **state)
{
    (void)state;
    struct fz_header header = header_of(PATH);
    size_t page = (size_t)header.page_size, head = sizeof(struct fz_header);
    const size_t sizes[] = {9,
                            12,
                            16,
                            20,
                            head - 1,
                            head,
                            head + 1,
                            page - 1,
                            page,
                            page + 1,
                            page + 64,
                            header.last,
                            header.last + 1,
                            header.last + page,
                            header.cursor - page,
                            header.cursor - 1};
    for (size_t i = 0; i < COUNT(sizes); i++)
        assert_refused_when_truncated(sizes[i]);
    assert_all_there(persistent_at(PATH));
}

static void a_file_that_was_truncated_after_the_cursor_opens(void **state)
{
    (void)state;
    size_t cursor = header_of(PATH).cursor;
    static const size_t more[] = {5000, 1, 0};
    for (size_t i = 0; i < COUNT(more); i++) {
        assert_int_equal(truncate(PATH, (off_t)(cursor + more[i])), 0);
        assert_all_there(persistent_at(PATH));
    }
}

/* -- Damaged ------------------------------------------------------------------------------------------------------- */

/* These fields never change. One bit at a time is wrong. */
static void each_bit_of_the_constant_fields_and_their_checksum_is_checked(void **state)
{
    (void)state;
    static const size_t fields[] = {offsetof(struct fz_header, page_size), offsetof(struct fz_header, base),
                                    offsetof(struct fz_header, tag), offsetof(struct fz_header, checksum)};
    for (size_t i = 0; i < COUNT(fields); i++)
        for (int bit = 0; bit < 64; bit++) {
            uint64_t right, wrong;
            read_at(PATH, fields[i], &right, sizeof(right));
            wrong = right ^ UINT64_C(1) << bit;
            write_at(PATH, fields[i], &wrong, sizeof(wrong));
            assert_refused(persistent_at(PATH), FILZ_EDAMAGED);
            write_at(PATH, fields[i], &right, sizeof(right));
        }
    assert_all_there(persistent_at(PATH));
}

/* A change to the header and the header of the last chunk. A page is `page` bytes. */
struct damage {
    const char *what;
    void (*make)(struct fz_header *header, struct fz_chunk *last, size_t page);
};

#define DAMAGE(name, ...)                                                                                              \
    static void name(struct fz_header *header, struct fz_chunk *last, size_t page)                                     \
    {                                                                                                                  \
        (void)header, (void)last, (void)page;                                                                          \
        __VA_ARGS__;                                                                                                   \
    }

DAMAGE(format_of_zero, header->format = 0)
DAMAGE(word_size_of_zero, header->word_size = 0)
DAMAGE(cursor_of_zero, header->cursor = 0)
DAMAGE(cursor_in_header, header->cursor = page / 2)
DAMAGE(cursor_in_page, header->cursor -= page / 2)
DAMAGE(cursor_after_last_chunk, header->cursor += page)
DAMAGE(cursor_before_last_chunk, header->cursor = header->last)
DAMAGE(cursor_in_first_chunk, header->cursor = 2 * page)
DAMAGE(capacity_in_page, header->capacity += page / 2)
DAMAGE(capacity_too_large, header->capacity = (size_t)PTRDIFF_MAX + 1)
DAMAGE(last_of_zero, header->last = 0)
DAMAGE(last_in_header, header->last = 64)
DAMAGE(last_in_page, header->last += 64)
DAMAGE(last_in_last, header->last += page)
DAMAGE(last_is_first, header->last = page)
DAMAGE(last_after_cursor, header->last = header->cursor + page)
DAMAGE(root_before_heap, header->root = (uintptr_t)header->base - 1)
DAMAGE(root_in_header, header->root = (uintptr_t)header->base + 64)
DAMAGE(root_at_cursor, header->root = (uintptr_t)header->base + header->cursor)
DAMAGE(root_nowhere, header->root = 1)
DAMAGE(size_of_zero, last->size = 0)
DAMAGE(size_in_page, last->size -= 64)
DAMAGE(size_too_small, last->size -= page)
DAMAGE(size_beyond_capacity, last->size = (size_t)header->capacity - header->last + page)
DAMAGE(size_far_off, last->size = SIZE_MAX - page + 1)
DAMAGE(fill_too_small, last->fill = SIZE_MAX - (last->size - 63))
DAMAGE(fill_of_zero, last->fill = 0)
DAMAGE(another_offset, last->offset += page)
DAMAGE(another_generation, last->generation++)
DAMAGE(unknown_state, last->state = 3)
DAMAGE(persistent_of_three, header->persistent = 3)
DAMAGE(clean_of_two, header->clean = 2)

static const struct damage damages[] = {
#define ENTRY(name)                                                                                                    \
    {                                                                                                                  \
#name, name                                                                                                    \
    }
    ENTRY(format_of_zero),
    ENTRY(word_size_of_zero),
    ENTRY(cursor_of_zero),
    ENTRY(cursor_in_header),
    ENTRY(cursor_in_page),
    ENTRY(cursor_after_last_chunk),
    ENTRY(cursor_before_last_chunk),
    ENTRY(cursor_in_first_chunk),
    ENTRY(capacity_in_page),
    ENTRY(capacity_too_large),
    ENTRY(last_of_zero),
    ENTRY(last_in_header),
    ENTRY(last_in_page),
    ENTRY(last_in_last),
    ENTRY(last_is_first),
    ENTRY(last_after_cursor),
    ENTRY(root_before_heap),
    ENTRY(root_in_header),
    ENTRY(root_at_cursor),
    ENTRY(root_nowhere),
    ENTRY(fill_too_small),
    ENTRY(fill_of_zero),
    ENTRY(size_of_zero),
    ENTRY(size_in_page),
    ENTRY(size_too_small),
    ENTRY(size_beyond_capacity),
    ENTRY(size_far_off),
    ENTRY(another_offset),
    ENTRY(another_generation),
    ENTRY(unknown_state),
    ENTRY(persistent_of_three),
    ENTRY(clean_of_two),
#undef ENTRY
};

static bool is_refused_with(const struct damage *damage)
{
    struct fz_header header = header_of(PATH), damaged = header;
    struct fz_chunk last, damaged_last;
    read_at(PATH, header.last, &last, sizeof(last));
    damaged_last = last;
    damage->make(&damaged, &damaged_last, (size_t)header.page_size);
    write_at(PATH, 0, &damaged, sizeof(damaged));
    write_at(PATH, header.last, &damaged_last, sizeof(damaged_last));
    struct snapshot before = snapshot_of(PATH);
    filz_mmap heap = persistent_at(PATH);
    int error = filz_mmap_open(&heap);
    assert_int_equal(filz_mmap_close(&heap), 0);
    if (error == FILZ_EDAMAGED)
        assert_as_it_was(PATH, before);
    else
        print_message("%s: opening it gives %d, not FILZ_EDAMAGED\n", damage->what, error);
    write_at(PATH, 0, &header, sizeof(header));
    write_at(PATH, header.last, &last, sizeof(last));
    return error == FILZ_EDAMAGED;
}

static void a_damaged_header_or_last_chunk_is_refused(void **state)
{
    (void)state;
    size_t refused = 0;
    for (size_t i = 0; i < COUNT(damages); i++)
        refused += is_refused_with(&damages[i]);
    assert_int_equal(refused, COUNT(damages));
    assert_all_there(persistent_at(PATH));
}

/* A header without a cursor is that of a program that ended before it had a heap. Here there is one. */
static void a_header_without_a_cursor_is_refused_if_there_is_a_heap(void **state)
{
    (void)state;
    struct fz_header header = header_of(PATH);
    header.cursor = 0;
    assert_refused_with(header, FILZ_EDAMAGED);
    assert_all_there(persistent_at(PATH));
}

static void a_cursor_past_the_capacity_is_refused(void **state)
{
    (void)state;
    struct fz_header header = header_of(PATH);
    header.capacity = header.cursor - (size_t)header.page_size;
    assert_refused_with(header, FILZ_EDAMAGED);
    header = header_of(PATH);
    header.cursor = (size_t)header.capacity + (size_t)header.page_size;
    assert_refused_with(header, FILZ_EDAMAGED);
    assert_all_there(persistent_at(PATH));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HEAP(a_file_that_was_truncated_is_refused),
        WITH_HEAP(a_file_that_was_truncated_after_the_cursor_opens),
        WITH_HEAP(each_bit_of_the_constant_fields_and_their_checksum_is_checked),
        WITH_HEAP(a_damaged_header_or_last_chunk_is_refused),
        WITH_HEAP(a_header_without_a_cursor_is_refused_if_there_is_a_heap),
        WITH_HEAP(a_cursor_past_the_capacity_is_refused),
    };
    return cmocka_run_group_tests_name("damaged_heaps", tests, NULL, NULL);
}
