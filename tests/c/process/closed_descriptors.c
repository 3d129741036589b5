/* The program closes every descriptor, the heap's too, and opens files of its own under the same numbers. The files
 * stay as they are, and the heap grows where that cannot harm them. */
#include "list_heap.h"

#include <sys/syscall.h>

#define SOMEBODYS "somebody's own file\n"

static void close_all_from_three_on(void)
{
    for (int fd = 3; fd < 256; fd++)
        close(fd);
}

/* Opens files under the numbers that the heap had. */
static int open_files_of_the_users(void)
{
    char path[] = "user-?";
    for (char name = 'a'; name < 'a' + 16; name++) {
        path[5] = name;
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        if (fd < 0 || write(fd, SOMEBODYS, strlen(SOMEBODYS)) < 0)
            return 1;
    }
    return 0;
}

static int users_files_are_untouched(void)
{
    char path[] = "user-?";
    for (char name = 'a'; name < 'a' + 16; name++) {
        path[5] = name;
        struct stat status;
        EXPECT(stat(path, &status) == 0 && status.st_size == (off_t)strlen(SOMEBODYS));
        EXPECT(strcmp(text_of(path), SOMEBODYS) == 0);
    }
    return 0;
}

static int grow_without_descriptor(void *path)
{
    filz_mmap heap = {.path = path, .capacity = 64 * MIB};
    char *before = filz_mmap_alloc(&heap, 10 * KIB, 1);
    EXPECT(before);
    memset(before, 'b', 10 * KIB);
    for (size_t round = 0; round < 3; round++) {
        close_all_from_three_on();
        EXPECT(open_files_of_the_users() == 0);
        for (size_t i = 0; i < 4; i++) {
            char *block = filz_mmap_alloc_zeroed(&heap, MIB, 1);
            EXPECT(block && is_filled(block, 0, MIB));
            memset(block, 'g', MIB);
        }
    }
    EXPECT(is_filled(before, 'b', 10 * KIB));
    EXPECT(users_files_are_untouched() == 0);
    filz_mmap_info info;
    EXPECT(filz_mmap_stats(&heap, &info) == 0);
    struct stat status;
    if (path)
        EXPECT(stat(path, &status) == 0 && (size_t)status.st_size == info.committed);
    EXPECT(filz_mmap_reset(&heap) == 0);
    EXPECT(filz_mmap_alloc(&heap, 30 * MIB, 1));
    EXPECT(filz_mmap_close(&heap) == 0);
    EXPECT(users_files_are_untouched() == 0);
    return 0;
}

static void a_heap_grows_after_its_descriptor_was_closed(void **state)
{
    (void)state;
    assert_int_equal(in_child(grow_without_descriptor, NULL), 0);
    assert_int_equal(in_child(grow_without_descriptor, "named.filz"), 0);
}

static int allocate_without_descriptor(void *context)
{
    (void)context;
    filz_mmap heap = {.capacity = 64 * MIB};
    EXPECT(filz_mmap_alloc(&heap, 10, 1));
    close_all_from_three_on();
    errno = 77;
    EXPECT(filz_mmap_alloc(&heap, MIB, 1) && errno == 77);
    return 0;
}

static int grow_a_block_without_descriptor(void *context)
{
    (void)context;
    filz_mmap heap = {.capacity = 64 * MIB};
    char *block = filz_mmap_alloc(&heap, 10, 1);
    EXPECT(block);
    close_all_from_three_on();
    errno = 77;
    EXPECT(filz_mmap_realloc(&heap, block, 10, 1, MIB) == block && errno == 77);
    return 0;
}

static void what_failed_on_the_way_leaves_errno_alone(void **state)
{
    (void)state;
    assert_int_equal(in_child(allocate_without_descriptor, NULL), 0);
    assert_int_equal(in_child(grow_a_block_without_descriptor, NULL), 0);
}

static int exit_without_descriptor(void *path)
{
    filz_mmap heap = {.path = path, .capacity = 12 * MIB};
    EXPECT(filz_mmap_alloc(&heap, 11 * MIB, 1));
    EXPECT(filz_mmap_reset(&heap) == 0);
    close_all_from_three_on();
    return open_files_of_the_users();
}

static void a_users_file_is_untouched_at_exit(void **state)
{
    (void)state;
    assert_int_equal(in_child(exit_without_descriptor, NULL), 0);
    assert_int_equal(users_files_are_untouched(), 0);
    assert_int_equal(in_child(exit_without_descriptor, "named.filz"), 0);
    assert_int_equal(users_files_are_untouched(), 0);
}

static int lose_descriptor_and_name(void *path)
{
    filz_mmap heap = {.path = path, .capacity = 64 * MIB};
    char *before = filz_mmap_alloc(&heap, 10 * KIB, 1);
    EXPECT(before);
    memset(before, 'b', 10 * KIB);
    close_all_from_three_on();
    EXPECT(unlink(path) == 0);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    EXPECT(fd >= 0 && write(fd, SOMEBODYS, strlen(SOMEBODYS)) > 0);
    char *block = filz_mmap_alloc_zeroed(&heap, 10 * MIB, 1);
    EXPECT(block && is_filled(block, 0, 10 * MIB));
    memset(block, 'g', 10 * MIB);
    EXPECT(is_filled(before, 'b', 10 * KIB));
    EXPECT(filz_mmap_sync(&heap) == FILZ_EUNNAMED); /* it is in two files by now */
    EXPECT(strcmp(text_of(path), SOMEBODYS) == 0);
    EXPECT(filz_mmap_close(&heap) == 0);
    EXPECT(strcmp(text_of(path), SOMEBODYS) == 0);
    return 0;
}

static void another_file_under_the_heaps_name_is_untouched(void **state)
{
    (void)state;
    assert_int_equal(in_child(lose_descriptor_and_name, "named.filz"), 0);
}

static int fork_without_descriptor(void *unused)
{
    (void)unused;
    filz_mmap heap = {.capacity = 16 * MIB};
    for (size_t round = 0; round < 2; round++) {
        EXPECT(filz_mmap_alloc(&heap, 100 * KIB, 1));
        close_all_from_three_on();
        EXPECT(open_files_of_the_users() == 0);
        EXPECT(in_child(allocate_and_write, &heap) == 0);
        char *block = filz_mmap_alloc(&heap, 4 * MIB, 1);
        EXPECT(block);
        memset(block, 'p', 4 * MIB);
        EXPECT(in_child(allocate_and_write, &heap) == 0);
        EXPECT(is_filled(block, 'p', 4 * MIB));
    }
    return users_files_are_untouched();
}

static void a_process_may_fork_after_its_descriptors_were_closed(void **state)
{
    (void)state;
    assert_int_equal(in_child(fork_without_descriptor, NULL), 0);
    setenv("FILZ_FORK", "private", 1);
    assert_int_equal(in_child(fork_without_descriptor, NULL), 0);
}

static int read_own_heap_file(void *unused)
{
    (void)unused;
    filz_mmap heap = {.path = "own.filz", .capacity = 8 * MIB};
    EXPECT(filz_mmap_alloc(&heap, 1, 1));
    syscall(SYS_close_range, 3, ~0U, 0);
    int mine = open("own.filz", O_RDONLY); /* under the number that was the heap's */
    EXPECT(mine >= 0);
    EXPECT(filz_mmap_alloc(&heap, 4 * MIB, 1));
    EXPECT(filz_mmap_close(&heap) == 0);
    EXPECT(fcntl(mine, F_GETFD) >= 0);
    return 0;
}

static void a_program_may_read_its_heap_file_after_closing_every_descriptor(void **state)
{
    (void)state;
    int result = in_child(read_own_heap_file, NULL);
    assert_int_equal(result, 0);
}

/* -- A persistent heap --------------------------------------------------------------------------------------------- */

static bool grows(filz_mmap *heap)
{
    errno = 0;
    bool grown = filz_mmap_alloc(heap, MIB, 1) != NULL;
    assert_int_equal(errno, grown ? 0 : ENOMEM);
    return grown;
}

/* The next run would not find what is in another file. */
static void a_persistent_heap_without_descriptor_grows_only_while_its_file_has_its_name(void **state)
{
    (void)state;
    make_heap(20);
    filz_mmap heap = open_again();
    assert_int_equal(close(descriptor_of(&heap)), 0);
    assert_true(grows(&heap));
    assert_int_equal(close(descriptor_of(&heap)), 0);
    assert_int_equal(rename(PATH, "moved.filz"), 0);
    assert_false(grows(&heap));
    write_file(PATH, FOREIGN);
    assert_false(grows(&heap));
    assert_string_equal(text_of(PATH), FOREIGN);
    assert_int_equal(walk_list(&heap, filz_mmap_root(&heap), 0), 20);
    assert_int_equal(filz_mmap_close(&heap), 0);
    assert_int_equal(rename("moved.filz", PATH), 0);
    heap = open_again();
    assert_true(grows(&heap));
    assert_int_equal(walk_list(&heap, filz_mmap_root(&heap), 0), 20);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_heap_grows_after_its_descriptor_was_closed),
        IN_FRESH_DIRECTORY(what_failed_on_the_way_leaves_errno_alone),
        IN_FRESH_DIRECTORY(a_users_file_is_untouched_at_exit),
        IN_FRESH_DIRECTORY(another_file_under_the_heaps_name_is_untouched),
        IN_FRESH_DIRECTORY(a_process_may_fork_after_its_descriptors_were_closed),
        IN_FRESH_DIRECTORY(a_program_may_read_its_heap_file_after_closing_every_descriptor),
        IN_FRESH_DIRECTORY(a_persistent_heap_without_descriptor_grows_only_while_its_file_has_its_name),
    };
    return cmocka_run_group_tests_name("closed_descriptors", tests, NULL, NULL);
}
