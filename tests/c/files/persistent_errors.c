/* A persistent heap that can't go on: each error of filz_mmap_open, what is said about it, and that the file stays as
 * it was, to the byte, so that a process that has what it needs can open it afterwards. */
#include "persistent.h"
#include "threads.h"

#include <sys/mount.h>

#define PATH "persistent.filz"

/* -- A heap that can't be opened ----------------------------------------------------------------------------------- */

/* What is said on standard error meanwhile goes to the file `said`. */
static int allocate_in_vain(filz_mmap *heap)
{
    int error = 0;
    int before = dup(STDERR_FILENO), said = open("said", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(dup2(said, STDERR_FILENO) >= 0);
    for (int i = 0; i < 3; i++) {
        errno = 0;
        bool allocated = filz_mmap_alloc(heap, 100, 1) != NULL;
        error = allocated ? 0 : errno;
    }
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    close(before);
    close(said);
    return error;
}

static void assert_said_once(const char *path, int error)
{
    char start[PATH_MAX / 2] = "filz", line[PATH_MAX];
    if (path != NULL)
        snprintf(start, sizeof(start), path[0] == '/' ? "filz: %s%s" : "filz: %s/%s", fresh_directory, path);
    const char *call = strstr(text_of("said"), error > 0 ? "heap: open: " : "heap: ") != NULL ? "open: " : "?";
    snprintf(line, sizeof(line), "%s: can't open the heap: %s%s (%s %d)\n", start, error > 0 ? call : "",
             filz_error_text(error), error > 0 ? "errno" : "filz error", error);
    assert_string_equal(text_of("said"), line);
    assert_string_not_equal(filz_error_text(error), filz_error_text(INT_MIN));
}

/* By filz_mmap_open and by an allocation; the heap is closed then. */
static void assert_cannot_open(filz_mmap heap, int error)
{
    filz_mmap opened = heap;
    assert_int_equal(filz_mmap_open(&opened), error);
    assert_int_equal(filz_mmap_open(&opened), error);
    assert_int_equal(allocate_in_vain(&heap), error > 0 ? error : ENOMEM);
    assert_said_once(heap.path, error);
    assert_null(filz_mmap_root(&heap));
    assert_int_equal(filz_mmap_set_root(&heap, NULL), FILZ_ECLOSED);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static void assert_refused(filz_mmap heap, int error)
{
    struct snapshot before = snapshot_of(heap.path);
    assert_cannot_open(heap, error);
    assert_as_it_was(heap.path, before);
}

/* -- The heap that is there ---------------------------------------------------------------------------------------- */

enum { NODES = 100 };

static void *add_nodes(void *context)
{
    filz_mmap *heap = context;
    for (size_t i = 0; i < NODES; i++)
        if (add_node(heap, filz_mmap_root(heap), 1, 100 + i) == 0)
            return heap;
    return NULL;
}

/* Three chunks: of two threads, and of a large block. There is some room after them. */
static void make_heap(void)
{
    filz_mmap heap = persistent_at(PATH);
    struct lists *lists = lists_of(&heap);
    assert_non_null(lists);
    assert_null(in_thread(add_nodes, &heap));
    assert_int_equal(add_node(&heap, lists, 0, 300 * KIB), 1);
    assert_int_equal(stats_of(&heap).chunks, 3);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(truncate(PATH, (off_t)header_of(PATH).cursor + 100 * 1024), 0);
}

static void assert_all_there(filz_mmap heap)
{
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_int_equal(walk_list(&heap, filz_mmap_root(&heap), 0), 1);
    assert_int_equal(walk_list(&heap, filz_mmap_root(&heap), 1), NODES);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static int enter_with_heap(void **state)
{
    int error = enter_fresh_directory(state);
    make_heap();
    return error;
}

#define WITH_HEAP(test) cmocka_unit_test_setup_teardown(test, enter_with_heap, leave_fresh_directory)

/* -- Another program's, or another machine's ----------------------------------------------------------------------- */

static void a_file_that_is_not_filzs_is_left_as_it_is(void **state)
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

/* With a header that is right in itself. */
static void assert_refused_with(struct fz_header header, int error)
{
    struct fz_header before = header_of(PATH);
    header.checksum = fz_header_checksum(&header);
    write_at(PATH, 0, &header, sizeof(header));
    assert_refused(persistent_at(PATH), error);
    write_at(PATH, 0, &before, sizeof(before));
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

/* Nothing after these fields need be where this version has it. */
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

/* As a machine of the other byte order writes it. */
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

/* -- Cut short, damaged -------------------------------------------------------------------------------------------- */

static void assert_refused_when_cut(size_t size)
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
        assert_refused_when_cut(sizes[i]);
    assert_all_there(persistent_at(PATH));
}

static void a_file_that_was_cut_after_the_cursor_goes_on(void **state)
{
    (void)state;
    size_t cursor = header_of(PATH).cursor;
    static const size_t more[] = {5000, 1, 0};
    for (size_t i = 0; i < COUNT(more); i++) {
        assert_int_equal(truncate(PATH, (off_t)(cursor + more[i])), 0);
        assert_all_there(persistent_at(PATH));
    }
}

/* The fields that never change, a bit at a time. */
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

/* What becomes of the header and the last chunk, where a page is `page` bytes. */
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

/* As if its program had ended before there was a heap, but there is one. */
static void a_header_that_was_made_unfinished_is_refused(void **state)
{
    (void)state;
    struct fz_header header = header_of(PATH);
    header.cursor = 0;
    assert_refused_with(header, FILZ_EDAMAGED);
    assert_all_there(persistent_at(PATH));
}

/* -- No room ------------------------------------------------------------------------------------------------------- */

static void a_cursor_past_the_end_of_the_capacity_is_refused(void **state)
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

static void a_capacity_smaller_than_what_is_in_use_is_refused(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    size_t page = (size_t)header_of(PATH).page_size;
    heap.capacity = header_of(PATH).cursor;
    assert_all_there(heap);
    heap.capacity -= page;
    assert_refused(heap, FILZ_ETOOSMALL);
    heap.capacity = 2 * page;
    assert_refused(heap, FILZ_ETOOSMALL);
    assert_all_there(persistent_at(PATH));
}

static void a_capacity_beyond_the_address_space_is_refused(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at(PATH);
    struct snapshot before = snapshot_of(PATH);
    for (int i = 0; i < 2; i++) {
        heap.capacity = SIZE_MAX >> i;
        assert_int_equal(filz_mmap_open(&heap), FILZ_ECAPACITY);
    }
    assert_as_it_was(PATH, before);
    assert_all_there(persistent_at(PATH));
}

#if SIZE_MAX > UINT32_MAX
static void a_new_heap_larger_than_the_part_for_persistent_ones_is_refused(void **state)
{
    (void)state;
    filz_mmap heap = persistent_at("new.filz");
    heap.capacity = (size_t)20 << 40;
    assert_int_equal(filz_mmap_open(&heap), ENOMEM);
}
#endif

static void something_else_at_its_address_is_left_alone(void **state)
{
    (void)state;
    struct fz_header header = header_of(PATH);
    char *base = (char *)(uintptr_t)header.base;
    size_t page = (size_t)header.page_size;
    const ptrdiff_t places[] = {0, (ptrdiff_t)page, 2 * (ptrdiff_t)MIB, (ptrdiff_t)(4 * MIB - page)};
    for (size_t i = 0; i < COUNT(places); i++) {
        char *taken = mmap(base + places[i], page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_ptr_equal(taken, base + places[i]);
        memset(taken, 't', page);
        assert_refused(persistent_at(PATH), FILZ_EBASE);
        assert_true(is_filled(taken, 't', page));
        assert_int_equal(munmap(taken, page), 0);
    }
    assert_all_there(persistent_at(PATH));
}

/* -- In use -------------------------------------------------------------------------------------------------------- */

static void another_heap_of_this_process_has_it(void **state)
{
    (void)state;
    filz_mmap first = persistent_at(PATH);
    assert_int_equal(filz_mmap_open(&first), 0);
    assert_refused(persistent_at(PATH), FILZ_EINUSE);
    assert_int_equal(filz_mmap_close(&first), 0);
    assert_all_there(persistent_at(PATH));
}

static int hold_open(void *ready)
{
    filz_mmap heap = persistent_at(PATH);
    EXPECT(filz_mmap_open(&heap) == 0);
    EXPECT(write(*(int *)ready, "", 1) == 1);
    pause();
    return 1;
}

static void another_process_has_it(void **state)
{
    (void)state;
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t holder = begin_child(hold_open, &ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_refused(persistent_at(PATH), FILZ_EINUSE);
    assert_int_equal(kill(holder, SIGKILL), 0);
    assert_int_equal(end_child(holder), 128 + SIGKILL);
    close(ready[0]);
    close(ready[1]);
    assert_all_there(persistent_at(PATH));
}

/* -- What the file is, and may ------------------------------------------------------------------------------------- */

static void a_read_only_file_is_refused_to_root_too(void **state)
{
    (void)state;
    static const mode_t modes[] = {0400, 0444, 0440};
    for (size_t i = 0; i < COUNT(modes); i++) {
        assert_int_equal(chmod(PATH, modes[i]), 0);
        assert_refused(persistent_at(PATH), FILZ_EMODE);
    }
    assert_int_equal(chmod(PATH, 0600), 0);
    assert_all_there(persistent_at(PATH));
}

static void a_file_that_others_may_write_is_refused(void **state)
{
    (void)state;
    static const mode_t modes[] = {0620, 0602, 0666};
    for (size_t i = 0; i < COUNT(modes); i++) {
        assert_int_equal(chmod(PATH, modes[i]), 0);
        assert_refused(persistent_at(PATH), FILZ_EMODE);
    }
}

static void a_file_that_others_may_read_stays_so(void **state)
{
    (void)state;
    assert_int_equal(chmod(PATH, 0644), 0);
    filz_mmap heap = persistent_at(PATH);
    heap.tag = 0;
    assert_refused(heap, FILZ_ETAG);
    assert_all_there(persistent_at(PATH));
    assert_int_equal(mode_of(PATH) & 07777, 0644);
}

static bool make_directory_read_only(void)
{
    return (unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
           mount("", "/", "", MS_REC | MS_PRIVATE, "") == 0 && mount(".", ".", "", MS_BIND, "") == 0 &&
           mount(fresh_directory, fresh_directory, "", MS_REMOUNT | MS_BIND | MS_RDONLY, "") == 0 &&
           chdir(fresh_directory) == 0;
}

static int open_read_only(void *unused)
{
    (void)unused;
    if (!make_directory_read_only())
        return SKIPPED;
    filz_mmap heap = persistent_at(PATH), missing = persistent_at("missing.filz");
    EXPECT(filz_mmap_open(&heap) == EROFS);
    EXPECT(filz_mmap_open(&missing) == EROFS);
    EXPECT(filz_mmap_alloc(&heap, 1, 1) == NULL && errno == EROFS);
    return 0;
}

static void a_read_only_file_system_is_said(void **state)
{
    (void)state;
    struct snapshot before = snapshot_of(PATH);
    setenv("FILZ_QUIET", "1", 1);
    int status = in_child(open_read_only, NULL);
    assert_as_it_was(PATH, before);
    if (status == SKIPPED)
        SKIP("a mount of its own needs root, or a user namespace");
    assert_int_equal(status, 0);
    assert_string_equal(filz_error_text(EROFS), "the file system is read-only");
}

static void a_directory_is_not_a_file(void **state)
{
    (void)state;
    assert_int_equal(mkdir("directory", 0700), 0);
    assert_cannot_open(persistent_at("directory"), EISDIR);
    assert_int_equal(entries_in("directory"), 0);
}

static void a_symbolic_link_is_not_followed(void **state)
{
    (void)state;
    struct snapshot before = snapshot_of(PATH);
    assert_int_equal(symlink(PATH, "link"), 0);
    assert_int_equal(symlink("missing", "dangling"), 0);
    assert_cannot_open(persistent_at("link"), ELOOP);
    assert_cannot_open(persistent_at("dangling"), ELOOP);
    assert_false(exists("missing"));
    assert_as_it_was(PATH, before);
}

static void a_file_with_two_names_is_refused(void **state)
{
    (void)state;
    assert_int_equal(link(PATH, "second"), 0);
    assert_refused(persistent_at(PATH), FILZ_ELINKS);
    assert_int_equal(unlink("second"), 0);
    assert_all_there(persistent_at(PATH));
}

static void a_fifo_is_not_waited_for(void **state)
{
    (void)state;
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_cannot_open(persistent_at("fifo"), FILZ_ENOTFILE);
}

/* -- The settings -------------------------------------------------------------------------------------------------- */

static void a_heap_without_the_flag_does_not_overwrite_it(void **state)
{
    (void)state;
    filz_mmap plain = {.path = PATH, .capacity = 4 * MIB};
    assert_refused(plain, FILZ_EPERSISTENT);
    plain.tag = TAG;
    plain.flags = FILZ_MMAP_DUMP;
    assert_refused(plain, FILZ_EPERSISTENT);
    assert_all_there(persistent_at(PATH));
}

static void nor_does_one_that_the_environment_leads_there(void **state)
{
    (void)state;
    assert_int_equal(rename(PATH, default_path(".")), 0);
    struct snapshot before = snapshot_of(default_path("."));
    setenv("FILZ_DIR", ".", 1);
    filz_mmap plain = {.capacity = 4 * MIB};
    assert_int_equal(filz_mmap_open(&plain), FILZ_EPERSISTENT);
    assert_as_it_was(default_path("."), before);
    assert_all_there(persistent_at(default_path(".")));
}

static void the_flag_needs_a_path(void **state)
{
    (void)state;
    assert_cannot_open(persistent_at(NULL), FILZ_EFLAGS);
    setenv("FILZ_DIR", ".", 1);
    assert_cannot_open(persistent_at(NULL), FILZ_EFLAGS);
    assert_int_equal(entries_in("."), 2);
}

static void an_unknown_flag_is_refused(void **state)
{
    (void)state;
    static const unsigned unknown[] = {2 * FILZ_MMAP_SHARED, 0x80000000, ~0u};
    for (size_t i = 0; i < COUNT(unknown); i++) {
        filz_mmap heap = persistent_at(PATH);
        heap.flags |= unknown[i];
        struct snapshot before = snapshot_of(PATH);
        assert_int_equal(filz_mmap_open(&heap), FILZ_EFLAGS);
        assert_as_it_was(PATH, before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HEAP(a_file_that_is_not_filzs_is_left_as_it_is),
        WITH_HEAP(another_format_is_refused),
        WITH_HEAP(another_format_is_refused_whatever_else_the_file_holds),
        WITH_HEAP(a_heap_of_another_word_size_is_refused),
        WITH_HEAP(a_heap_of_another_byte_order_is_refused),
        WITH_HEAP(a_heap_of_another_page_size_is_refused),
        WITH_HEAP(a_heap_with_another_tag_is_refused),
        WITH_HEAP(a_file_that_was_truncated_is_refused),
        WITH_HEAP(a_file_that_was_cut_after_the_cursor_goes_on),
        WITH_HEAP(each_bit_of_the_constant_fields_and_their_checksum_is_checked),
        WITH_HEAP(a_damaged_header_or_last_chunk_is_refused),
        WITH_HEAP(a_header_that_was_made_unfinished_is_refused),
        WITH_HEAP(a_cursor_past_the_end_of_the_capacity_is_refused),
        WITH_HEAP(a_capacity_smaller_than_what_is_in_use_is_refused),
        WITH_HEAP(a_capacity_beyond_the_address_space_is_refused),
#if SIZE_MAX > UINT32_MAX
        WITH_HEAP(a_new_heap_larger_than_the_part_for_persistent_ones_is_refused),
#endif
        WITH_HEAP(something_else_at_its_address_is_left_alone),
        WITH_HEAP(another_heap_of_this_process_has_it),
        WITH_HEAP(another_process_has_it),
        WITH_HEAP(a_read_only_file_is_refused_to_root_too),
        WITH_HEAP(a_file_that_others_may_write_is_refused),
        WITH_HEAP(a_file_that_others_may_read_stays_so),
        WITH_HEAP(a_read_only_file_system_is_said),
        WITH_HEAP(a_directory_is_not_a_file),
        WITH_HEAP(a_symbolic_link_is_not_followed),
        WITH_HEAP(a_file_with_two_names_is_refused),
        WITH_HEAP(a_fifo_is_not_waited_for),
        WITH_HEAP(a_heap_without_the_flag_does_not_overwrite_it),
        WITH_HEAP(nor_does_one_that_the_environment_leads_there),
        WITH_HEAP(the_flag_needs_a_path),
        WITH_HEAP(an_unknown_flag_is_refused),
    };
    return cmocka_run_group_tests_name("persistent_errors", tests, NULL, NULL);
}
