/* Heap files that were made once, by tests/golden/make: what is in them, and what this library says of them. They are
 * of 64 and of 32 bits, little-endian, and of 64 bits, big-endian, all for pages of 4 KiB. */
#include "support.h"

#include "../../../c/format.h"

#include <inttypes.h>

/* -- Where everything is ------------------------------------------------------------------------------------------- */

#define IS_AT(type, field, offset, size)                                                                               \
    _Static_assert(offsetof(struct type, field) == (offset) && sizeof(((struct type *)NULL)->field) == (size), #field)

/* In a word, the low half of its 64 bits comes first, on a machine with such a byte order. */
#define WORD_IS_AT(type, field, offset) IS_AT(type, field, offset, sizeof(size_t))

IS_AT(fz_header, magic, 0, 8);
IS_AT(fz_header, format, 8, 4);
IS_AT(fz_header, word_size, 12, 4);
IS_AT(fz_header, persistent, 16, 4);
IS_AT(fz_header, clean, 20, 4);
IS_AT(fz_header, page_size, 24, 8);
IS_AT(fz_header, base, 32, 8);
IS_AT(fz_header, tag, 40, 8);
IS_AT(fz_header, checksum, 48, 8);
IS_AT(fz_header, capacity, 56, 8);
WORD_IS_AT(fz_header, cursor, 64);
WORD_IS_AT(fz_header, last, 72);
WORD_IS_AT(fz_header, root, 80);
WORD_IS_AT(fz_header, threads, 88);
IS_AT(fz_header, tails, 96, 8);
IS_AT(fz_header, id, 104, 8);
IS_AT(fz_header, generation, 112, 4);
IS_AT(fz_header, pid, 116, 4);
IS_AT(fz_header, program, 120, 64);
IS_AT(fz_header, checkpoints, 184, 80);
_Static_assert(sizeof(struct fz_header) == 264, "the header");

IS_AT(fz_checkpoint, sequence, 0, 8);
IS_AT(fz_checkpoint, cursor, 8, 8);
IS_AT(fz_checkpoint, last, 16, 8);
IS_AT(fz_checkpoint, root, 24, 8);
IS_AT(fz_checkpoint, checksum, 32, 8);
_Static_assert(sizeof(struct fz_checkpoint) == 40, "a checkpoint");

IS_AT(fz_chunk, offset, 0, 8);
WORD_IS_AT(fz_chunk, size, 8);
WORD_IS_AT(fz_chunk, fill, 16);
WORD_IS_AT(fz_chunk, blocks, 24);
WORD_IS_AT(fz_chunk, fresh, 32);
IS_AT(fz_chunk, next_tail, 40, 8);
IS_AT(fz_chunk, owner, 48, 4);
IS_AT(fz_chunk, state, 52, 4);
IS_AT(fz_chunk, generation, 56, 4);
_Static_assert(sizeof(struct fz_chunk) == 64, "a chunk's header");

/* -- The files ----------------------------------------------------------------------------------------------------- */

enum { PAGE = 4096, TAG = 0x60D, SYNCED = 10, ALL = 15 };

/* What differs between them, in the order of the header. */
struct fields {
    uint64_t word_size, clean, base, cursor, last, root, threads, tails, id, generation, pid;
    struct {
        uint64_t sequence, cursor, last, root;
    } checkpoint; /* the newer one */
};

static const struct golden {
    const char *name;
    bool is_big_endian;
    struct fields fields;
} goldens[] = {
    /* clang-format off */
    {"closed-64.filz", false, {8, 1, 0x45b37c800000, 12288, 8192, 0x45b37c802080, 2, 8192, 1, 0, 7874, {2, 8192, 4096, 0x45b37c8010d0}}},
    {"killed-64.filz", false, {8, 0, 0x49eee0a00000, 12288, 8192, 0x49eee0a02080, 2, 0, 1, 0, 7878, {2, 8192, 4096, 0x49eee0a010d0}}},
    {"closed-32.filz", false, {4, 1, 0xa4800000, 12288, 8192, 0xa4802060, 2, 8192, 1, 0, 7880, {2, 8192, 4096, 0xa4801088}}},
    {"killed-32.filz", false, {4, 0, 0x70200000, 12288, 8192, 0x70202060, 2, 0, 1, 0, 7884, {2, 8192, 4096, 0x70201088}}},
    {"closed-big-64.filz", true, {8, 1, 0x4e478b800000, 12288, 8192, 0x4e478b802080, 2, 8192, 1, 0, 26581, {2, 8192, 4096, 0x4e478b8010d0}}},
    {"killed-big-64.filz", true, {8, 0, 0x4a9fe7e00000, 12288, 8192, 0x4a9fe7e02080, 2, 0, 1, 0, 26589, {2, 8192, 4096, 0x4a9fe7e010d0}}},
    /* clang-format on */
};

static char directory[PATH_MAX];

static bool is_big_endian(void)
{
    const uint32_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 0;
}

/* So that this program can read its numbers, not more. */
static bool has_this_byte_order(const struct golden *golden)
{
    return golden->is_big_endian == is_big_endian();
}

static bool is_native(const struct golden *golden)
{
    return golden->fields.word_size == sizeof(size_t) && has_this_byte_order(golden);
}

/* As it is in the git, or as the test has changed it. */
struct file {
    char *bytes;
    size_t size;
};

static struct file read_file(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail_msg("%s: %s", path, strerror(errno));
    assert_int_equal(fstat(fd, &status), 0);
    struct file file = {malloc((size_t)status.st_size), (size_t)status.st_size};
    assert_non_null(file.bytes);
    assert_int_equal(read(fd, file.bytes, file.size), file.size);
    close(fd);
    return file;
}

static struct file read_golden(const char *name)
{
    char path[2 * PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return read_file(path);
}

static void write_heap(const struct file *file)
{
    int fd = open("heap", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, file->bytes, file->size), file->size);
    close(fd);
}

static int read_bytes(const struct fz_source *source, uint64_t offset, void *bytes, size_t length)
{
    memcpy(bytes, (const char *)source->bytes + offset, length);
    return 0;
}

static struct fz_problem judge(const struct file *file, struct fz_header *header, struct fz_state *state)
{
    struct fz_source source = {.read = read_bytes, .size = file->size, .fd = -1, .bytes = file->bytes};
    return fz_judge(&source, PAGE, header, state);
}

/* -- What is in them ----------------------------------------------------------------------------------------------- */

/* All of a word, also of one that is longer than those of this machine. */
static uint64_t number_at(const void *field)
{
    uint64_t number;
    memcpy(&number, field, sizeof(number));
    return number;
}

static struct fields fields_of(const struct fz_header *header)
{
    const struct fz_checkpoint *checkpoint = fz_newest_checkpoint(header);
    assert_non_null(checkpoint);
    return (struct fields){
        header->word_size,
        header->clean,
        header->base,
        number_at(&header->cursor),
        number_at(&header->last),
        number_at(&header->root),
        number_at(&header->threads),
        header->tails,
        header->id,
        header->generation,
        header->pid,
        {checkpoint->sequence, checkpoint->cursor, checkpoint->last, checkpoint->root},
    };
}

static void print_fields(const struct golden *golden, const struct fields *fields)
{
    print_message("    {\"%s\", %s, {%" PRIu64 ", %" PRIu64 ", %#" PRIx64 ", %" PRIu64 ", %" PRIu64 ", %#" PRIx64
                  ", %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", {%" PRIu64 ", %" PRIu64
                  ", %" PRIu64 ", %#" PRIx64 "}}},\n",
                  golden->name, golden->is_big_endian ? "true" : "false", fields->word_size, fields->clean,
                  fields->base, fields->cursor, fields->last, fields->root, fields->threads, fields->tails, fields->id,
                  fields->generation, fields->pid, fields->checkpoint.sequence, fields->checkpoint.cursor,
                  fields->checkpoint.last, fields->checkpoint.root);
}

static void each_header_is_read_as_it_was_written(void **state)
{
    (void)state;
    size_t differ = 0, read = 0;
    for (size_t i = 0; i < COUNT(goldens); i++) {
        if (!has_this_byte_order(&goldens[i]))
            continue;
        struct fz_header header;
        struct fz_state found;
        struct file file = read_golden(goldens[i].name);
        int error = judge(&file, &header, &found).error;
        struct fields fields = fields_of(&header);
        print_fields(&goldens[i], &fields);
        differ += memcmp(&fields, &goldens[i].fields, sizeof(fields)) != 0;
        assert_int_equal(error, header.word_size == sizeof(size_t) ? 0 : FILZ_EWORDSIZE);
        assert_memory_equal(header.magic, "filzheap", 8);
        assert_int_equal(header.format, 2);
        assert_int_equal(header.persistent, 1);
        assert_int_equal(header.page_size, PAGE);
        assert_int_equal(header.tag, TAG);
        assert_int_equal(header.checksum, fz_header_checksum(&header));
        assert_int_equal(header.capacity, 8 * PAGE);
        assert_string_equal(header.program, "golden");
        free(file.bytes);
        read++;
    }
    assert_int_equal(differ, 0);
    assert_true(read > 0);
}

static void those_of_this_word_size_go_on_where_they_ended(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(goldens); i++) {
        const struct fields *fields = &goldens[i].fields;
        if (!is_native(&goldens[i]))
            continue;
        struct fz_header header;
        struct fz_state found;
        struct file file = read_golden(goldens[i].name);
        assert_int_equal(judge(&file, &header, &found).error, 0);
        assert_int_equal(found.newest.error, 0);
        assert_int_equal(found.cursor, fields->cursor);
        assert_int_equal(found.last, fields->last);
        assert_int_equal(found.root, fields->root);
        assert_int_equal(found.tails, fields->clean ? fields->tails : 0);
        free(file.bytes);
    }
}

/* -- What the library says ----------------------------------------------------------------------------------------- */

struct node {
    struct node *older;
    uint32_t number;
};

static filz_mmap golden_heap(void)
{
    return (filz_mmap){.path = "heap", .flags = FILZ_MMAP_PERSISTENT, .tag = TAG, .capacity = MIB};
}

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static void check_list(const filz_mmap *heap, uint32_t newest)
{
    const struct node *node = filz_mmap_root(heap);
    for (uint32_t number = newest; number > 0; number--, node = node->older) {
        assert_true(filz_mmap_owns(heap, node));
        assert_int_equal(node->number, number);
    }
    assert_null(node);
}

static void check_new_blocks(filz_mmap *heap)
{
    for (size_t i = 0; i < 50; i++) {
        char *block = filz_mmap_alloc_zeroed(heap, 1000, 8);
        assert_true(block != NULL && is_filled(block, 0, 1000));
        memset(block, 'x', 1000);
    }
}

/* Another page size is refused before the address is looked at. */
static void open_golden(const struct file *file, uint32_t newest)
{
    write_heap(file);
    filz_mmap heap = golden_heap();
    int error = filz_mmap_open(&heap);
    if (page_size() != PAGE) {
        assert_int_equal(error, FILZ_EPAGESIZE);
        return;
    }
    if (error == FILZ_EBASE)
        SKIP("its address isn't free here");
    assert_int_equal(error, 0);
    check_list(&heap, newest);
    check_new_blocks(&heap);
    check_list(&heap, newest);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(filz_mmap_open(&heap), 0);
    check_list(&heap, newest);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void those_of_this_word_size_are_opened_with_all_that_is_in_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(goldens); i++) {
        if (!is_native(&goldens[i]))
            continue;
        struct file file = read_golden(goldens[i].name);
        open_golden(&file, ALL);
        free(file.bytes);
    }
}

/* As a power cut may leave it. */
static void without_its_last_chunk_the_killed_one_is_opened_as_it_was_synced(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(goldens); i++) {
        const struct fields *fields = &goldens[i].fields;
        if (!is_native(&goldens[i]) || fields->clean)
            continue;
        struct fz_header header;
        struct fz_state found;
        struct file file = read_golden(goldens[i].name);
        memset(file.bytes + fields->last, 0, PAGE);
        assert_int_equal(judge(&file, &header, &found).error, 0);
        assert_int_not_equal(found.newest.error, 0);
        assert_int_equal(found.cursor, fields->checkpoint.cursor);
        assert_int_equal(found.root, fields->checkpoint.root);
        open_golden(&file, SYNCED);
        free(file.bytes);
    }
}

static void assert_refused(const char *name, filz_mmap heap, int error)
{
    struct file file = read_golden(name);
    write_heap(&file);
    assert_int_equal(filz_mmap_open(&heap), error);
    struct file after = read_file("heap");
    assert_int_equal(after.size, file.size);
    assert_memory_equal(after.bytes, file.bytes, file.size);
    free(after.bytes);
    free(file.bytes);
}

static void those_of_another_word_size_byte_order_or_format_are_refused_by_name(void **state)
{
    (void)state;
    bool is_format_known = sizeof(size_t) == 8 && !is_big_endian();
    for (size_t i = 0; i < COUNT(goldens); i++)
        if (!is_native(&goldens[i]))
            assert_refused(goldens[i].name, golden_heap(), FILZ_EWORDSIZE);
    assert_refused("format-1.filz", golden_heap(), is_format_known ? FILZ_EFORMAT : FILZ_EWORDSIZE);
}

static void none_is_overwritten_by_a_heap_that_is_not_persistent(void **state)
{
    (void)state;
    filz_mmap heap = {.path = "heap", .capacity = MIB};
    for (size_t i = 0; i < COUNT(goldens); i++)
        assert_refused(goldens[i].name, heap, FILZ_EPERSISTENT);
    assert_refused("format-1.filz", heap, FILZ_EPERSISTENT);
}

int main(int argc, char **argv)
{
    if (argc < 2 || realpath(argv[1], directory) == NULL) {
        fprintf(stderr, "usage: golden DIRECTORY\n");
        return 2;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_header_is_read_as_it_was_written),
        cmocka_unit_test(those_of_this_word_size_go_on_where_they_ended),
        IN_FRESH_DIRECTORY(those_of_this_word_size_are_opened_with_all_that_is_in_them),
        IN_FRESH_DIRECTORY(without_its_last_chunk_the_killed_one_is_opened_as_it_was_synced),
        IN_FRESH_DIRECTORY(those_of_another_word_size_byte_order_or_format_are_refused_by_name),
        IN_FRESH_DIRECTORY(none_is_overwritten_by_a_heap_that_is_not_persistent),
    };
    return cmocka_run_group_tests_name("golden", tests, NULL, NULL);
}
