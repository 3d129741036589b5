/* The program closes every descriptor, the heap's too, and opens files of its own under the same numbers. The files
 * stay as they are, and the heap grows where that cannot harm them. */
#include "descriptors.h"
#include "list_heap.h"

#include <sys/statvfs.h>
#include <sys/syscall.h>

enum { DESCRIPTORS = 4096 }; /* more than are ever open here */

/* -- Files of the user's ------------------------------------------------------------------------------------------- */

enum { FEW = 16, MANY = 1000 };

static int users_descriptors[MANY];

static const char *users_path(int number)
{
    static char path[64];
    snprintf(path, sizeof(path), "user-%d", number);
    return path;
}

/* What stands in the file. */
static const char *users_text(int number)
{
    static char text[64];
    snprintf(text, sizeof(text), "the user's file number %d\n", number);
    return text;
}

/* The first of them get the numbers that the heap had. */
static int open_users_files(int count)
{
    for (int i = 0; i < count; i++) {
        int fd = users_descriptors[i] = open(users_path(i), O_RDWR | O_CREAT | O_TRUNC, 0600);
        ssize_t length = (ssize_t)strlen(users_text(i));
        EXPECT(fd >= 0 && write(fd, users_text(i), (size_t)length) == length);
    }
    return 0;
}

/* Byte for byte. */
static int users_files_are_untouched(int count)
{
    struct stat status;
    for (int i = 0; i < count; i++) {
        EXPECT(stat(users_path(i), &status) == 0 && status.st_size == (off_t)strlen(users_text(i)));
        EXPECT(strcmp(text_of(users_path(i)), users_text(i)) == 0);
    }
    return 0;
}

static int users_descriptors_are_untouched(int count)
{
    struct stat by_path, by_descriptor;
    for (int i = 0; i < count; i++) {
        EXPECT(stat(users_path(i), &by_path) == 0 && fstat(users_descriptors[i], &by_descriptor) == 0);
        EXPECT(by_path.st_ino == by_descriptor.st_ino);
    }
    return 0;
}

/* -- The heap goes on ---------------------------------------------------------------------------------------------- */

static int grow_without_descriptor(void *path)
{
    filz_mmap heap = {.path = path, .capacity = 64 * MIB};
    char *before = filz_mmap_alloc(&heap, 10 * KIB, 1);
    EXPECT(before);
    memset(before, 'b', 10 * KIB);
    for (size_t round = 0; round < 3; round++) {
        close_descriptors(DESCRIPTORS);
        EXPECT(open_users_files(FEW) == 0);
        for (size_t i = 0; i < 4; i++) {
            char *block = filz_mmap_alloc_zeroed(&heap, MIB, 1);
            EXPECT(block && is_filled(block, 0, MIB));
            memset(block, 'g', MIB);
        }
    }
    EXPECT(is_filled(before, 'b', 10 * KIB));
    EXPECT(users_files_are_untouched(FEW) == 0);
    filz_mmap_info info;
    EXPECT(filz_mmap_stats(&heap, &info) == 0);
    struct stat status;
    if (path)
        EXPECT(stat(path, &status) == 0 && (size_t)status.st_size == info.committed);
    EXPECT(filz_mmap_reset(&heap) == 0);
    EXPECT(filz_mmap_alloc(&heap, 30 * MIB, 1));
    EXPECT(filz_mmap_close(&heap) == 0);
    return users_files_are_untouched(FEW) || users_descriptors_are_untouched(FEW);
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
    close_descriptors(DESCRIPTORS);
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
    close_descriptors(DESCRIPTORS);
    errno = 77;
    EXPECT(filz_mmap_realloc(&heap, block, 10, 1, MIB) == block && errno == 77);
    return 0;
}

static void an_allocation_without_the_descriptor_leaves_errno_alone(void **state)
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
    close_descriptors(DESCRIPTORS);
    return open_users_files(FEW);
}

static void a_users_file_is_untouched_when_the_program_exits(void **state)
{
    (void)state;
    assert_int_equal(in_child(exit_without_descriptor, NULL), 0);
    assert_int_equal(users_files_are_untouched(FEW), 0);
    assert_int_equal(in_child(exit_without_descriptor, "named.filz"), 0);
    assert_int_equal(users_files_are_untouched(FEW), 0);
}

static int lose_descriptor_and_name(void *path)
{
    filz_mmap heap = {.path = path, .capacity = 64 * MIB};
    char *before = filz_mmap_alloc(&heap, 10 * KIB, 1);
    EXPECT(before);
    memset(before, 'b', 10 * KIB);
    close_descriptors(DESCRIPTORS);
    EXPECT(unlink(path) == 0);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    EXPECT(fd >= 0 && write(fd, FOREIGN, strlen(FOREIGN)) > 0);
    char *block = filz_mmap_alloc_zeroed(&heap, 10 * MIB, 1);
    EXPECT(block && is_filled(block, 0, 10 * MIB));
    memset(block, 'g', 10 * MIB);
    EXPECT(is_filled(before, 'b', 10 * KIB));
    EXPECT(filz_mmap_sync(&heap) == FILZ_EUNNAMED); /* it is in two files by now */
    EXPECT(strcmp(text_of(path), FOREIGN) == 0);
    EXPECT(filz_mmap_close(&heap) == 0);
    EXPECT(strcmp(text_of(path), FOREIGN) == 0);
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
        close_descriptors(DESCRIPTORS);
        EXPECT(open_users_files(FEW) == 0);
        EXPECT(in_child(allocate_and_write, &heap) == 0);
        char *block = filz_mmap_alloc(&heap, 4 * MIB, 1);
        EXPECT(block);
        memset(block, 'p', 4 * MIB);
        EXPECT(in_child(allocate_and_write, &heap) == 0);
        EXPECT(is_filled(block, 'p', 4 * MIB));
    }
    return users_files_are_untouched(FEW);
}

static void a_process_without_descriptors_may_fork(void **state)
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
    close_descriptors(DESCRIPTORS);
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

/* An unnamed heap grows in anonymous memory, since nobody can find its file again. A named one finds its file again as
 * soon as there is a descriptor. */
static int grow_without_free_descriptor(void *path)
{
    filz_mmap heap = {.path = path, .capacity = 64 * MIB};
    char *block = filz_mmap_alloc(&heap, MIB, 1);
    EXPECT(block);
    memset(block, 'b', MIB);
    close_descriptors(DESCRIPTORS);
    if (!use_up_descriptors())
        return SKIPPED;
    EXPECT((filz_mmap_alloc(&heap, 8 * MIB, 1) == NULL) == (path != NULL));
    EXPECT(close(63) == 0);
    char *more = filz_mmap_alloc_zeroed(&heap, 8 * MIB, 1);
    EXPECT(more && is_usable(more, 8 * MIB) && is_filled(block, 'b', MIB));
    EXPECT(filz_mmap_close(&heap) == 0);
    EXPECT(fcntl(62, F_GETFD) >= 0); /* the program's own are open */
    close_descriptors(DESCRIPTORS);
    return 0;
}

static void without_any_descriptor_an_unnamed_heap_grows_and_a_named_one_does_not(void **state)
{
    (void)state;
    int status = in_child(grow_without_free_descriptor, NULL);
    if (status == SKIPPED)
        SKIP("the limit isn't the system's");
    assert_int_equal(status, 0);
    assert_int_equal(in_child(grow_without_free_descriptor, "a.filz"), 0);
}

/* -- A program that opens many files of its own -------------------------------------------------------------------- */

#define GIB (KIB * MIB)

static bool close_in_turn(void)
{
    close_descriptors(DESCRIPTORS);
    return true;
}

static bool close_range_from_three(void)
{
#ifdef SYS_close_range
    return syscall(SYS_close_range, 3, ~0U, 0) == 0;
#else
    return false;
#endif
}

struct closing {
    bool (*close)(void);
    const char *path;
    int grown[2], end[2];
};

/* By blocks of 16 MiB, each written at both ends: what is written takes up RAM, and goes to the disk. */
static int grow_by_a_GiB(filz_mmap *heap)
{
    filz_mmap_info before, after;
    EXPECT(filz_mmap_stats(heap, &before) == 0);
    for (size_t i = 0; i < GIB / (16 * MIB); i++) {
        char *block = filz_mmap_alloc(heap, 16 * MIB, 1);
        EXPECT(block);
        block[0] = block[16 * MIB - 1] = 'g';
    }
    EXPECT(filz_mmap_stats(heap, &after) == 0);
    EXPECT(after.used >= before.used + GIB && after.committed >= after.used);
    return 0;
}

static int close_everything_and_grow(void *context)
{
    struct closing *closing = context;
    filz_mmap heap = {.path = closing->path, .capacity = GIB + 128 * MIB};
    if (!limit_descriptors(DESCRIPTORS) || filz_mmap_open(&heap) == ENOMEM)
        return SKIPPED;
    int grown = fcntl(closing->grown[1], F_DUPFD, 3000), end = fcntl(closing->end[0], F_DUPFD, 3000);
    char *block = filz_mmap_alloc(&heap, MIB, 1), byte;
    EXPECT(block && grown >= 3000 && end >= 3000);
    memset(block, 'b', MIB);
    dup2(grown, STDOUT_FILENO); /* where closing doesn't reach it */
    dup2(end, STDIN_FILENO);
    if (!closing->close())
        return SKIPPED;
    EXPECT(open_users_files(MANY) == 0);
    EXPECT(grow_by_a_GiB(&heap) == 0);
    EXPECT(is_filled(block, 'b', MIB));
    EXPECT(write(STDOUT_FILENO, "", 1) == 1 && read(STDIN_FILENO, &byte, 1) == 0);
    EXPECT(filz_mmap_close(&heap) == 0);
    return users_files_are_untouched(MANY) || users_descriptors_are_untouched(MANY);
}

/* Returns the exit status of the process that grew; meanwhile nobody else gets its file. */
static int grow_in_child(struct closing *closing)
{
    char byte;
    assert_int_equal(pipe(closing->grown), 0);
    assert_int_equal(pipe(closing->end), 0);
    pid_t child = begin_child(close_everything_and_grow, closing);
    close(closing->grown[1]);
    close(closing->end[0]);
    ssize_t length = read(closing->grown[0], &byte, 1);
    int error = length == 1 && closing->path != NULL ? use(closing->path) : FILZ_EINUSE;
    close(closing->grown[0]);
    close(closing->end[1]);
    int status = end_child(child);
    assert_int_equal(error, FILZ_EINUSE);
    return status;
}

static void a_heap_without_its_descriptor_grows_by_a_GiB_beside_1000_files_of_the_users(void **state)
{
    (void)state;
    static bool (*const ways[])(void) = {close_in_turn, close_range_from_three};
    struct statvfs system;
    assert_int_equal(statvfs(".", &system), 0);
    if ((unsigned long long)system.f_bavail * system.f_frsize < 2ull * GIB)
        SKIP("less than 2 GiB are free here");
    for (size_t i = 0; i < 2 * COUNT(ways); i++) {
        struct closing closing = {.close = ways[i / 2], .path = i % 2 ? "a.filz" : NULL};
        int status = grow_in_child(&closing);
        if (status == SKIPPED)
            print_message("not tried: too little address space, too few descriptors, or no close_range(2)\n");
        else
            assert_int_equal(status, 0);
    }
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
        IN_FRESH_DIRECTORY(an_allocation_without_the_descriptor_leaves_errno_alone),
        IN_FRESH_DIRECTORY(a_users_file_is_untouched_when_the_program_exits),
        IN_FRESH_DIRECTORY(another_file_under_the_heaps_name_is_untouched),
        IN_FRESH_DIRECTORY(a_process_without_descriptors_may_fork),
        IN_FRESH_DIRECTORY(a_program_may_read_its_heap_file_after_closing_every_descriptor),
        IN_FRESH_DIRECTORY(without_any_descriptor_an_unnamed_heap_grows_and_a_named_one_does_not),
        IN_FRESH_DIRECTORY(a_heap_without_its_descriptor_grows_by_a_GiB_beside_1000_files_of_the_users),
        IN_FRESH_DIRECTORY(a_persistent_heap_without_descriptor_grows_only_while_its_file_has_its_name),
    };
    return cmocka_run_group_tests_name("closed_descriptors", tests, NULL, NULL);
}
