/* What happens to a heap around it: before main and at exit, at fork, when descriptors are closed, when a limit or a
 * disk says no. Most of it is done in a child. */
#include "support.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum { SKIPPED = 77 }; /* exit status of a child that can't do its test here */

/* -- Before main and at exit --------------------------------------------------------------------------------------- */

static filz_mmap early_heap = {.capacity = MIB};
static char *early_block;

__attribute__((constructor)) static void allocate_before_main(void)
{
    setenv("FILZ_DIR", "", 1); /* no folder of the person's who runs this */
    if (chdir("/") == 0)
        early_block = filz_mmap_alloc(&early_heap, 1000, 8);
    if (early_block)
        memset(early_block, 'e', 1000);
}

static void a_constructor_may_allocate_before_main(void **state)
{
    (void)state;
    assert_non_null(early_block);
    assert_true(is_filled(early_block, 'e', 1000));
    assert_ptr_equal(filz_mmap_realloc(&early_heap, early_block, 1000, 8, 2000), early_block);
}

static filz_mmap heap_at_exit;
static char *block_before_exit;

static void allocate_at_exit(void)
{
    for (size_t i = 0; i < 20; i++) {
        char *block = filz_mmap_alloc_zeroed(&heap_at_exit, 100 * KIB, 8);
        if (block == NULL || !is_filled(block, 0, 100 * KIB))
            _exit(2);
        memset(block, 'x', 100 * KIB);
    }
    if (!is_filled(block_before_exit, 'b', 1000))
        _exit(3);
}

__attribute__((destructor)) static void allocate_in_a_destructor(void)
{
    if (block_before_exit)
        allocate_at_exit();
}

/* Heaps that are open at exit are small: valgrind then looks through all of their address space. */
static int exit_with_handlers(void *path)
{
    heap_at_exit = (filz_mmap){.path = path, .capacity = 16 * MIB};
    atexit(allocate_at_exit); /* registered before the heap opens, and after */
    block_before_exit = filz_mmap_alloc(&heap_at_exit, 1000, 1);
    EXPECT(block_before_exit);
    memset(block_before_exit, 'b', 1000);
    EXPECT(filz_mmap_alloc(&heap_at_exit, 5 * MIB, 1));
    atexit(allocate_at_exit);
    return 0;
}

static void handlers_at_exit_may_allocate(void **state)
{
    (void)state;
    assert_int_equal(in_child(exit_with_handlers, NULL), 0);
    assert_int_equal(in_child(exit_with_handlers, "kept.filz"), 0);
    assert_int_equal(entries_in("."), 1);
}

static int exit_with_a_large_tail(void *path)
{
    filz_mmap heap = {.path = path, .capacity = 12 * MIB};
    EXPECT(filz_mmap_alloc(&heap, 11 * MIB, 1));
    EXPECT(filz_mmap_reset(&heap) == 0);
    EXPECT(filz_mmap_alloc(&heap, 10, 1));
    return 0;
}

static void a_large_unused_tail_is_given_back_at_exit(void **state)
{
    (void)state;
    struct stat status;
    assert_int_equal(in_child(exit_with_a_large_tail, "kept.filz"), 0);
    assert_int_equal(stat("kept.filz", &status), 0);
    assert_true((size_t)status.st_size < MIB);
}

/* -- fork ---------------------------------------------------------------------------------------------------------- */

struct family {
    filz_mmap *heap;
    char *block;
    size_t size;
    int generations;
    int to_child[2], to_parent[2];
};

static int expect_byte(int fd)
{
    char byte;
    return read(fd, &byte, 1) == 1 ? 0 : 1;
}

static int send_byte(int fd)
{
    return write(fd, "", 1) == 1 ? 0 : 1;
}

/* Writes, waits for the parent to write, looks again, and goes on allocating. */
static int live_on_as_a_child(void *context)
{
    struct family *family = context;
    filz_mmap_info before, after;
    EXPECT(filz_mmap_stats(family->heap, &before) == 0 && before.path == NULL);
    EXPECT(is_filled(family->block, 'p', family->size));
    memset(family->block, 'c', family->size / 2);
    EXPECT(send_byte(family->to_parent[1]) == 0);
    EXPECT(expect_byte(family->to_child[0]) == 0);
    EXPECT(is_filled(family->block, 'c', family->size / 2));
    char *more = filz_mmap_alloc_zeroed(family->heap, family->size, 1);
    EXPECT(more && is_filled(more, 0, family->size));
    memset(more, 'm', family->size);
    char *grown = filz_mmap_realloc(family->heap, family->block, family->size, 1, 2 * family->size);
    EXPECT(grown && is_filled(grown, 'c', family->size / 2));
    EXPECT(is_filled(more, 'm', family->size));
    EXPECT(filz_mmap_stats(family->heap, &after) == 0);
    EXPECT(after.blocks == before.blocks + 1 + (grown != family->block)); /* the parent's don't count */
    return 0;
}

/* Forks with a heap in use; both sides write and allocate. Returns the child's exit status. */
static int fork_a_heap(filz_mmap *heap, size_t size)
{
    struct family family = {.heap = heap, .size = size, .block = filz_mmap_alloc(heap, size, 1)};
    assert_non_null(family.block);
    memset(family.block, 'p', size);
    assert_int_equal(pipe(family.to_child), 0);
    assert_int_equal(pipe(family.to_parent), 0);
    pid_t child = begin_child(live_on_as_a_child, &family);
    close(family.to_parent[1]);
    close(family.to_child[0]);
    int answered = expect_byte(family.to_parent[0]);
    bool untouched = is_filled(family.block, 'p', size);
    memset(family.block, 'q', size / 2); /* the half that the child wrote too */
    char *more = filz_mmap_alloc(heap, size, 1);
    assert_non_null(more);
    memset(more, 'q', size);
    if (answered == 0)
        send_byte(family.to_child[1]);
    int status = end_child(child);
    close(family.to_child[1]);
    close(family.to_parent[0]);
    assert_int_equal(answered, 0);
    assert_true(untouched);
    assert_true(is_filled(family.block, 'q', size / 2));
    assert_true(is_filled(family.block + size / 2, 'p', size - size / 2));
    assert_true(is_filled(more, 'q', size));
    return status;
}

static void fork_everything(const char *path)
{
    static const size_t sizes[] = {1000, 100 * KIB, 2 * MIB};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        filz_mmap heap = {.path = path, .capacity = 16 * MIB};
        assert_int_equal(fork_a_heap(&heap, sizes[i]), 0);
        assert_int_equal(fork_a_heap(&heap, sizes[i]), 0); /* a second time, with what is there by now */
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}

static void parent_and_child_do_not_see_each_others_writes(void **state)
{
    (void)state;
    fork_everything(NULL);
    fork_everything("kept.filz");
}

static void FILZ_FORK_private_separates_them_too(void **state)
{
    (void)state;
    setenv("FILZ_FORK", "private", 1);
    fork_everything(NULL);
    fork_everything("kept.filz");
}

static int write_and_close(void *context)
{
    filz_mmap *heap = context;
    char *block = filz_mmap_alloc(heap, MIB, 1);
    EXPECT(block);
    memset(block, 'c', MIB);
    return filz_mmap_close(heap);
}

static void the_kept_file_stays_the_parents(void **state)
{
    (void)state;
    filz_mmap heap = {.path = "kept.filz", .capacity = 4 * MIB};
    filz_mmap_info before, after;
    char *block = filz_mmap_alloc(&heap, 1000, 1);
    memset(block, 'p', 1000);
    assert_int_equal(filz_mmap_stats(&heap, &before), 0);
    assert_int_equal(in_child(write_and_close, &heap), 0);
    assert_int_equal(entries_in("."), 1);
    struct stat status;
    assert_int_equal(stat("kept.filz", &status), 0);
    assert_int_equal(status.st_size, before.committed);
    assert_int_equal(filz_mmap_stats(&heap, &after), 0);
    assert_int_equal(after.used, before.used);
    assert_true(is_filled(block, 'p', 1000));
    filz_mmap other = {.path = "kept.filz", .capacity = MIB};
    assert_int_equal(filz_mmap_open(&other), EWOULDBLOCK); /* and still locked */
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static int do_nothing(void *unused)
{
    (void)unused;
    return 0;
}

static void a_childs_exit_does_not_remove_the_parents_file(void **state)
{
    (void)state;
    assert_int_equal(mkdir("memory", 0700), 0);
    filz_mmap kept = {.capacity = MIB}, removed_at_close = {.capacity = MIB};
    assert_int_equal(filz_mmap_open(&kept), 0);
    assert_int_equal(filz_mmap_open(&removed_at_close), 0);
    assert_int_equal(in_child(do_nothing, NULL), 0);
    assert_int_equal(entries_in("memory"), 2);
    assert_int_equal(filz_mmap_close(&removed_at_close), 0);
    assert_int_equal(filz_mmap_close(&kept), 0);
    assert_int_equal(entries_in("memory"), 1);
}

/* Writes, has a child that writes, and finds its own bytes again. */
static int found_a_family(void *context)
{
    struct family *family = context;
    EXPECT(is_filled(family->block, 'p', family->size));
    if (--family->generations > 0)
        EXPECT(in_child(found_a_family, family) == 0);
    EXPECT(is_filled(family->block, 'p', family->size));
    memset(family->block, 'c', family->size);
    EXPECT(filz_mmap_alloc(family->heap, MIB, 1));
    return 0;
}

static void children_fork_in_turn(void **state)
{
    (void)state;
    static const char *const modes[] = {"copy", "private"};
    for (size_t i = 0; i < COUNT(modes); i++) {
        setenv("FILZ_FORK", modes[i], 1);
        filz_mmap heap = {.capacity = 8 * MIB};
        struct family family = {.heap = &heap, .size = 100 * KIB, .generations = 4};
        family.block = filz_mmap_alloc(&heap, family.size, 1);
        memset(family.block, 'p', family.size);
        assert_int_equal(in_child(found_a_family, &family), 0);
        assert_true(is_filled(family.block, 'p', family.size));
        assert_int_equal(filz_mmap_close(&heap), 0);
    }
}

static int close_all_heaps(void *context)
{
    filz_mmap *heaps = context;
    for (size_t i = 0; i < 12; i++) {
        EXPECT(filz_mmap_alloc(&heaps[i], 100 * KIB, 1));
        EXPECT(filz_mmap_close(&heaps[i]) == 0);
    }
    return 0;
}

static void every_open_heap_is_there_for_the_child(void **state)
{
    (void)state;
    static filz_mmap heaps[12];
    for (size_t i = 0; i < COUNT(heaps); i++) {
        heaps[i] = (filz_mmap){.capacity = MIB};
        assert_non_null(filz_mmap_alloc(&heaps[i], 100, 1));
    }
    assert_int_equal(in_child(close_all_heaps, heaps), 0);
    for (size_t i = 0; i < COUNT(heaps); i++) {
        assert_non_null(filz_mmap_alloc(&heaps[i], 100 * KIB, 1));
        assert_int_equal(filz_mmap_close(&heaps[i]), 0);
    }
}

static int stop_allocating;

static void *allocate_until_told(void *heap)
{
    for (size_t blocks = 0; !__atomic_load_n(&stop_allocating, __ATOMIC_RELAXED); blocks++) {
        if (blocks % 100 == 0)
            usleep(100);
        char *block = blocks < 50000 ? filz_mmap_alloc(heap, 100, 1) : NULL;
        if (block)
            memset(block, 't', 100);
    }
    return NULL;
}

static int allocate_in_child_of_threads(void *heap)
{
    for (size_t i = 0; i < 50; i++) {
        char *block = filz_mmap_alloc_zeroed(heap, 10 * KIB, 1);
        EXPECT(block && is_filled(block, 0, 10 * KIB));
        memset(block, 'c', 10 * KIB);
    }
    return 0;
}

static void a_process_may_fork_while_its_threads_allocate(void **state)
{
    (void)state;
    if (SANITIZED)
        SKIP("the sanitizers' runtimes don't survive it");
    filz_mmap heap = {.capacity = 16 * MIB};
    pthread_t threads[2];
    size_t rounds = 20;
    stop_allocating = 0;
    assert_int_equal(filz_mmap_open(&heap), 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, allocate_until_told, &heap), 0);
    int status = 0;
    for (size_t round = 0; round < rounds && status == 0; round++)
        status = in_child(allocate_in_child_of_threads, &heap);
    __atomic_store_n(&stop_allocating, 1, __ATOMIC_RELAXED);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(status, 0);
    print_message("%zu forks\n", rounds);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* -- Closed descriptors -------------------------------------------------------------------------------------------- */

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
    assert_int_equal(in_child(grow_without_descriptor, "kept.filz"), 0);
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
    assert_int_equal(in_child(exit_without_descriptor, "kept.filz"), 0);
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
    EXPECT(strcmp(text_of(path), SOMEBODYS) == 0);
    EXPECT(filz_mmap_close(&heap) == 0);
    EXPECT(strcmp(text_of(path), SOMEBODYS) == 0);
    return 0;
}

static void another_file_under_the_heaps_name_is_untouched(void **state)
{
    (void)state;
    assert_int_equal(in_child(lose_descriptor_and_name, "kept.filz"), 0);
}

static int fork_without_descriptor(void *unused)
{
    (void)unused;
    filz_mmap heap = {.capacity = 16 * MIB};
    for (size_t round = 0; round < 2; round++) {
        EXPECT(filz_mmap_alloc(&heap, 100 * KIB, 1));
        close_all_from_three_on();
        EXPECT(open_files_of_the_users() == 0);
        EXPECT(in_child(allocate_in_child_of_threads, &heap) == 0);
        char *block = filz_mmap_alloc(&heap, 4 * MIB, 1);
        EXPECT(block);
        memset(block, 'p', 4 * MIB);
        EXPECT(in_child(allocate_in_child_of_threads, &heap) == 0);
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

/* -- Limits -------------------------------------------------------------------------------------------------------- */

/* Fills the heap with blocks, all of them written. Returns how many bytes. */
static size_t fill_up(filz_mmap *heap, size_t size)
{
    size_t bytes = 0;
    char *block;
    while ((block = filz_mmap_alloc(heap, size, 1)) != NULL) {
        memset(block, 'f', size);
        bytes += size;
    }
    return bytes;
}

static int fill_under_file_size_limit(void *unused)
{
    (void)unused;
    signal(SIGXFSZ, SIG_DFL);
    struct rlimit limit = {3 * MIB, 3 * MIB};
    EXPECT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    filz_mmap heap = {.capacity = 64 * MIB};
    size_t bytes = fill_up(&heap, 10 * KIB);
    EXPECT(errno == ENOMEM);
    EXPECT(bytes > 2 * MIB && bytes < 3 * MIB);
    EXPECT(filz_mmap_alloc(&heap, MIB, 1) == NULL && errno == ENOMEM);
    filz_mmap_info info;
    EXPECT(filz_mmap_stats(&heap, &info) == 0 && info.committed <= 3 * MIB);
    EXPECT(filz_mmap_close(&heap) == 0);
    return 0;
}

static void a_file_size_limit_gives_NULL_and_no_signal(void **state)
{
    (void)state;
    assert_int_equal(in_child(fill_under_file_size_limit, NULL), 0);
}

static int open_under_tiny_file_size_limit(void *unused)
{
    (void)unused;
    struct rlimit limit = {100, 100};
    EXPECT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    filz_mmap named = {.path = "a.filz", .capacity = MIB}, nameless = {.capacity = MIB};
    EXPECT(filz_mmap_open(&named) == EFBIG);
    EXPECT(filz_mmap_open(&nameless) == EFBIG);
    return 0;
}

static void a_file_size_limit_below_a_page_is_EFBIG(void **state)
{
    (void)state;
    assert_int_equal(in_child(open_under_tiny_file_size_limit, NULL), 0);
}

static int open_under_address_space_limit(void *unused)
{
    (void)unused;
    const rlim_t most = (rlim_t)1 << 30;
    struct rlimit limit = {most, most}, now;
    if (setrlimit(RLIMIT_AS, &limit) != 0 || getrlimit(RLIMIT_AS, &now) != 0 || now.rlim_cur != most)
        return SKIPPED;
    filz_mmap heap = FILZ_MMAP_INIT;
    filz_mmap_info info;
    EXPECT(filz_mmap_alloc(&heap, MIB, 1));
    EXPECT(filz_mmap_stats(&heap, &info) == 0);
    EXPECT(info.capacity <= most / 2);
    EXPECT(filz_mmap_close(&heap) == 0);
    heap.capacity = 2 * (size_t)most - 1;
    EXPECT(filz_mmap_open(&heap) == ENOMEM);
    return 0;
}

static void an_address_space_limit_makes_the_heap_smaller(void **state)
{
    (void)state;
    if (SANITIZED)
        SKIP("the sanitizers need terabytes of address space");
    int status = in_child(open_under_address_space_limit, NULL);
    if (status == SKIPPED)
        SKIP("no address-space limit can be set here");
    assert_int_equal(status, 0);
}

/* A disk of 3 MiB, at `disk`, that no other process sees. */
static bool mount_small_disk(void)
{
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", "none", MS_REC | MS_PRIVATE, "") == 0 &&
           mkdir("disk", 0700) == 0 && mount("filz-test", "disk", "tmpfs", 0, "size=3m") == 0;
}

static int fill_a_small_disk(void *path)
{
    if (!mount_small_disk())
        return SKIPPED;
    setenv("TMPDIR", "disk", 1);
    filz_mmap heap = {.path = path, .capacity = 64 * MIB};
    size_t bytes = fill_up(&heap, 10 * KIB);
    EXPECT(errno == ENOMEM);
    EXPECT(bytes > 2 * MIB && bytes < 3 * MIB);
    EXPECT(filz_mmap_reset(&heap) == 0);
    EXPECT(fill_up(&heap, 10 * KIB) == bytes);
    EXPECT(filz_mmap_close(&heap) == 0);
    EXPECT(path == NULL || unlink(path) == 0);
    return 0;
}

static void a_full_disk_gives_NULL_and_no_signal(void **state)
{
    (void)state;
    int status = in_child(fill_a_small_disk, NULL);
    if (status == SKIPPED)
        SKIP("mounting a small disk needs root and a mount namespace");
    assert_int_equal(status, 0);
    assert_int_equal(rmdir("disk"), 0);
    assert_int_equal(in_child(fill_a_small_disk, "disk/a.filz"), 0);
}

static int fork_on_a_full_disk(void *unused)
{
    (void)unused;
    if (!mount_small_disk() || chdir("disk") != 0)
        return SKIPPED;
    setenv("TMPDIR", ".", 1);
    filz_mmap heap = {.path = "a.filz", .capacity = 8 * MIB};
    char *block = filz_mmap_alloc(&heap, 2 * MIB, 1);
    EXPECT(block);
    memset(block, 'p', 2 * MIB);
    EXPECT(in_child(allocate_in_child_of_threads, &heap) == 0);
    EXPECT(is_filled(block, 'p', 2 * MIB));
    return 0;
}

static void a_fork_without_room_for_a_copy_gives_the_child_a_heap_all_the_same(void **state)
{
    (void)state;
    int status = in_child(fork_on_a_full_disk, NULL);
    if (status == SKIPPED)
        SKIP("mounting a small disk needs root and a mount namespace");
    assert_int_equal(status, 0);
}

/* -- What was broken once ------------------------------------------------------------------------------------------ */

static filz_mmap *heap_before_fork; /* NULL: the handler has nothing to do */
static char *block_before_fork;

static void allocate_before_fork(void)
{
    if (heap_before_fork != NULL)
        block_before_fork = strcpy(filz_mmap_alloc(heap_before_fork, 100 * KIB, 1), "from the handler");
}

/* In a constructor, which in a static program runs before the library's own would by default. */
__attribute__((constructor)) static void register_handler(void)
{
    pthread_atfork(allocate_before_fork, NULL, NULL);
}

static int find_block_of_handler(void *heap)
{
    EXPECT(strcmp(block_before_fork, "from the handler") == 0);
    EXPECT(memset(filz_mmap_alloc(heap, 100 * KIB, 1), 'c', 100 * KIB));
    EXPECT(strcmp(block_before_fork, "from the handler") == 0);
    return 0;
}

static void a_programs_handler_may_allocate_before_fork(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = 8 * MIB};
    assert_int_equal(filz_mmap_open(&heap), 0);
    heap_before_fork = &heap;
    int result = in_child(find_block_of_handler, &heap);
    heap_before_fork = NULL;
    assert_int_equal(result, 0);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

enum { FORKS_A_THREAD = 200 };

/* Returns how often the cancel state was another one after the fork. */
static void *fork_with_cancel_state(void *state)
{
    uintptr_t wrong = 0;
    int mine = *(int *)state, found;
    pthread_setcancelstate(mine, &found);
    for (int i = 0; i < FORKS_A_THREAD; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        end_child(child);
        pthread_setcancelstate(mine, &found);
        wrong += found != mine;
    }
    return (void *)wrong;
}

static void threads_that_fork_keep_their_cancel_states(void **state)
{
    (void)state;
    filz_mmap heap = {.capacity = MIB};
    assert_non_null(filz_mmap_alloc(&heap, 1, 1));
    int states[2] = {PTHREAD_CANCEL_ENABLE, PTHREAD_CANCEL_DISABLE};
    pthread_t threads[2];
    void *wrong;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fork_with_cancel_state, &states[i]), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    print_message("%d forks by each of two threads\n", FORKS_A_THREAD);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

static int complain_into_a_full_file(void *unused)
{
    (void)unused;
    EXPECT(dup2(open("log", O_WRONLY | O_CREAT, 0600), STDERR_FILENO) == STDERR_FILENO);
    EXPECT(setrlimit(RLIMIT_FSIZE, &(struct rlimit){0, RLIM_INFINITY}) == 0);
    filz_mmap heap = {.path = "limited.filz", .capacity = MIB};
    return filz_mmap_alloc(&heap, 1, 1) == NULL && errno == EFBIG ? 0 : 1;
}

static int complain_into_a_closed_pipe(void *unused)
{
    (void)unused;
    int ends[2];
    EXPECT(pipe(ends) == 0 && dup2(ends[1], STDERR_FILENO) == STDERR_FILENO && close(ends[0]) == 0);
    filz_mmap heap = {.path = "missing/heap.filz", .capacity = MIB};
    return filz_mmap_alloc(&heap, 1, 1) == NULL && errno == ENOENT ? 0 : 1;
}

static void a_complaint_that_cannot_be_written_raises_no_signal(void **state)
{
    (void)state;
    assert_int_equal(in_child(complain_into_a_full_file, NULL), 0);
    assert_int_equal(in_child(complain_into_a_closed_pipe, NULL), 0);
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

/* -- A child that no handler knows of ------------------------------------------------------------------------------ */

static pid_t clone_without_handlers(void)
{
    fflush(NULL);
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

/* Whether MADV_WIPEONFORK does what it says: such a child is told from its parent by that. */
static bool pages_are_wiped(void)
{
    enum { MADVISE_WIPEONFORK = 18 };
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *page = 1;
    bool accepted = madvise(page, 4096, MADVISE_WIPEONFORK) == 0;
    pid_t child = clone_without_handlers();
    if (child == 0)
        _exit(*page);
    int value = end_child(child);
    munmap(page, 4096);
    return accepted && value == 0;
}

static void a_child_of_clone_does_not_write_to_its_parents_new_blocks(void **state)
{
    (void)state;
    if (!pages_are_wiped())
        SKIP("the system, or its emulator, doesn't wipe pages in a child");
    enum { ROUNDS = 20 };
    filz_mmap heap = {.path = "parents.filz", .capacity = 128 * MIB};
    for (int round = 0; round < ROUNDS; round++) {
        char *old = memset(filz_mmap_alloc(&heap, 1000, 1), 'p', 1000);
        pid_t child = clone_without_handlers();
        if (child == 0) {
            filz_mmap_info info; /* asked for under the lock, where the child is noticed */
            char *block = filz_mmap_stats(&heap, &info) == 0 ? filz_mmap_alloc(&heap, 2 * MIB, 1) : NULL;
            if (block == NULL || old[999] != 'p')
                _exit(1);
            memset(block, 'c', 2 * MIB);
            memset(old, 'c', 1000);
            _exit(is_filled(block, 'c', 2 * MIB) ? 0 : 2);
        }
        char *block = memset(filz_mmap_alloc(&heap, 2 * MIB, 1), 'n', 2 * MIB);
        assert_int_equal(end_child(child), 0);
        assert_true(is_filled(old, 'p', 1000));
        assert_true(is_filled(block, 'n', 2 * MIB));
    }
    print_message("%d rounds\n", (int)ROUNDS);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_FOLDER(a_constructor_may_allocate_before_main),
        IN_FRESH_FOLDER(handlers_at_exit_may_allocate),
        IN_FRESH_FOLDER(a_large_unused_tail_is_given_back_at_exit),
        IN_FRESH_FOLDER(parent_and_child_do_not_see_each_others_writes),
        IN_FRESH_FOLDER(FILZ_FORK_private_separates_them_too),
        IN_FRESH_FOLDER(the_kept_file_stays_the_parents),
        IN_FRESH_FOLDER(a_childs_exit_does_not_remove_the_parents_file),
        IN_FRESH_FOLDER(children_fork_in_turn),
        IN_FRESH_FOLDER(every_open_heap_is_there_for_the_child),
        IN_FRESH_FOLDER(a_process_may_fork_while_its_threads_allocate),
        IN_FRESH_FOLDER(a_heap_grows_after_its_descriptor_was_closed),
        IN_FRESH_FOLDER(a_users_file_is_untouched_at_exit),
        IN_FRESH_FOLDER(another_file_under_the_heaps_name_is_untouched),
        IN_FRESH_FOLDER(a_process_may_fork_after_its_descriptors_were_closed),
        IN_FRESH_FOLDER(a_file_size_limit_gives_NULL_and_no_signal),
        IN_FRESH_FOLDER(a_file_size_limit_below_a_page_is_EFBIG),
        IN_FRESH_FOLDER(an_address_space_limit_makes_the_heap_smaller),
        IN_FRESH_FOLDER(a_full_disk_gives_NULL_and_no_signal),
        IN_FRESH_FOLDER(a_fork_without_room_for_a_copy_gives_the_child_a_heap_all_the_same),
        IN_FRESH_FOLDER(a_programs_handler_may_allocate_before_fork),
        IN_FRESH_FOLDER(threads_that_fork_keep_their_cancel_states),
        IN_FRESH_FOLDER(a_complaint_that_cannot_be_written_raises_no_signal),
        IN_FRESH_FOLDER(a_program_may_read_its_heap_file_after_closing_every_descriptor),
        IN_FRESH_FOLDER(a_child_of_clone_does_not_write_to_its_parents_new_blocks),
    };
    return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
