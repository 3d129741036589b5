/* Files that are no persistent heap of this program on this machine: of another program, format, word size, byte order,
 * page size or tag. Each is refused with an error of its own, and stays as it was. */
#include "refused_heap.h"

static void a_file_of_another_program_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {FOREIGN, "f", "filz", "filzhea", "FILZHEAP and more"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        write_file("foreign", texts[i]);
        assert_refused(persistent_at("foreign"), FILZ_ENOTHEAP);
    }
    write_at(PATH, 3, "Z", 1);
    assert_refused(persistent_at(PATH), FILZ_ENOTHEAP);
}

static void another_format_is_refused(void **state)
{
    (void)state;
    static const uint32_t formats[] = {1, 3, 0x100, UINT32_MAX};
    for (size_t i = 0; i < COUNT(formats); i++) {
        struct fz_header header = header_of(PATH);
        header.format = formats[i];
        assert_refused_with(header, FILZ_EFORMAT);
    }
    assert_all_there(persistent_at(PATH));
}

/* In another format, the fields after these may be anywhere. */
static void another_format_is_refused_whatever_else_the_file_holds(void **state)
{
    (void)state;
    uint32_t format = 1;
    unsigned char rest[4096];
    memset(rest, 0xA5, sizeof(rest));
    write_at(PATH, offsetof(struct fz_header, format), &format, sizeof(format));
    write_at(PATH, offsetof(struct fz_header, clean), rest, sizeof(rest));
    assert_refused(persistent_at(PATH), FILZ_EFORMAT);
}

static void a_heap_of_another_word_size_is_refused(void **state)
{
    (void)state;
    struct fz_header header = header_of(PATH);
    header.word_size = 12 - (uint32_t)sizeof(size_t);
    assert_refused_with(header, FILZ_EWORDSIZE);
    assert_all_there(persistent_at(PATH));
}

/* The header as a machine of the other byte order writes it. */
static void a_heap_of_another_byte_order_is_refused(void **state)
{
    (void)state;
    struct fz_header header = header_of(PATH);
    header.format = __builtin_bswap32(header.format);
    header.word_size = __builtin_bswap32(header.word_size);
    header.persistent = __builtin_bswap32(header.persistent);
    header.page_size = __builtin_bswap64(header.page_size);
    header.base = __builtin_bswap64(header.base);
    header.tag = __builtin_bswap64(header.tag);
    assert_refused_with(header, FILZ_EWORDSIZE);
}

static void a_heap_of_another_page_size_is_refused(void **state)
{
    (void)state;
    static const uint64_t factors[] = {2, 4, 16};
    for (size_t i = 0; i < COUNT(factors); i++) {
        struct fz_header header = header_of(PATH);
        header.page_size *= factors[i];
        assert_refused_with(header, FILZ_EPAGESIZE);
        header.page_size /= 2 * factors[i];
        assert_refused_with(header, FILZ_EPAGESIZE);
    }
    assert_all_there(persistent_at(PATH));
}

static void a_heap_with_another_tag_is_refused(void **state)
{
    (void)state;
    static const uint64_t tags[] = {0, TAG + 1, TAG ^ UINT64_C(1) << 63, ~TAG};
    for (size_t i = 0; i < COUNT(tags); i++) {
        filz_mmap heap = persistent_at(PATH);
        heap.tag = tags[i];
        assert_refused(heap, FILZ_ETAG);
    }
    assert_all_there(persistent_at(PATH));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HEAP(a_file_of_another_program_is_refused),
        WITH_HEAP(another_format_is_refused),
        WITH_HEAP(another_format_is_refused_whatever_else_the_file_holds),
        WITH_HEAP(a_heap_of_another_word_size_is_refused),
        WITH_HEAP(a_heap_of_another_byte_order_is_refused),
        WITH_HEAP(a_heap_of_another_page_size_is_refused),
        WITH_HEAP(a_heap_with_another_tag_is_refused),
    };
    return cmocka_run_group_tests_name("incompatible_heaps", tests, NULL, NULL);
}
