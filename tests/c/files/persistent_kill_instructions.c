/* A process with a persistent heap is killed after any instruction that changes the file. The next process opens the
 * heap, each block that was returned is whole, and new blocks overlap none. */
#include "persistent.h"
#include "steps.h"

#define PATH "persistent.filz"

struct block {
    char *start;
    size_t size;
};

/* What outlives a killed process, and isn't in the heap. */
struct shared {
    size_t block_count; /* of blocks that were returned and marked */
    struct block blocks[100];
};

static struct shared *shared;

static filz_mmap heap;

/* -- A process that changes chunks in every way -------------------------------------------------------------------- */

/* Marks the first and the last byte alone, because filling the block would take many instructions. */
static void set_size(struct block *block, size_t size)
{
    block->start[0] = block->start[size - 1] = (char)(block - shared->blocks);
    __atomic_store_n(&block->size, size, __ATOMIC_RELEASE);
}

static bool is_marked(const struct block *block)
{
    char mark = (char)(block - shared->blocks);
    return block->start[0] == mark && block->start[block->size - 1] == mark;
}

static int add_block(size_t size)
{
    struct block *block = &shared->blocks[shared->block_count];
    block->start = filz_mmap_alloc(&heap, size, 1);
    EXPECT(block->start);
    set_size(block, size);
    __atomic_store_n(&shared->block_count, shared->block_count + 1, __ATOMIC_RELEASE);
    return 0;
}

/* The part of the block that stays is checked during the resize too. */
static int resize_newest(size_t size)
{
    struct block *block = &shared->blocks[shared->block_count - 1];
    size_t before = block->size;
    if (size < before)
        set_size(block, size);
    EXPECT(filz_mmap_realloc(&heap, block->start, before, 1, size) == block->start);
    set_size(block, size);
    return 0;
}

static int reset_heap(void)
{
    __atomic_store_n(&shared->block_count, 0, __ATOMIC_RELEASE);
    return filz_mmap_reset(&heap);
}

static void *add_small_block(void *unused)
{
    (void)unused;
    return add_block(100) != 0 ? shared : NULL;
}

/* Two threads have chunks, so that a large block gets a dedicated one. */
static int add_blocks_of_all_kinds(void)
{
    pthread_t thread;
    void *failed;
    for (size_t i = 0; i < 5; i++)
        EXPECT(add_block(5 * KIB) == 0);
    EXPECT(add_block(3 * KIB) == 0 && resize_newest(400 * KIB) == 0 && resize_newest(100) == 0);
    EXPECT(pthread_create(&thread, NULL, add_small_block, NULL) == 0);
    EXPECT(pthread_join(thread, &failed) == 0 && failed == NULL);
    EXPECT(add_block(300 * KIB) == 0 && resize_newest(310 * KIB) == 0);
    for (size_t i = 0; i < 3; i++)
        EXPECT(add_block(20 * KIB) == 0);
    return 0;
}

static int do_all_that_changes_chunks(void *unused)
{
    (void)unused;
    heap = persistent_at(PATH);
    for (int run = 0; run < 2; run++) {
        EXPECT(filz_mmap_open(&heap) == 0);
        EXPECT(add_blocks_of_all_kinds() == 0);
        EXPECT(filz_mmap_close(&heap) == 0 && filz_mmap_open(&heap) == 0);
        EXPECT(add_block(100) == 0 && add_block(30 * KIB) == 0);
        EXPECT(reset_heap() == 0);
        EXPECT(add_block(100) == 0);
        EXPECT(filz_mmap_close(&heap) == 0);
    }
    return 0;
}

static int do_nothing(void *unused)
{
    (void)unused;
    return 0;
}

/* -- The next process, after each of its instructions -------------------------------------------------------------- */

/* What opening a heap reads of its file. */
struct look {
    off_t size;
    struct fz_header header;
    struct fz_chunk chunks[2];
};

static struct look look_at_file(void)
{
    struct look look;
    struct stat status = {.st_size = 0};
    memset(&look, 0, sizeof(look));
    int fd = open(PATH, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0 || pread(fd, &look.header, sizeof(look.header), 0) <= 0)
        look.header.cursor = 0;
    size_t last = look.header.last != 0 ? (size_t)look.header.last : (size_t)look.header.page_size;
    if (fd >= 0 && pread(fd, &look.chunks[0], sizeof(look.chunks[0]), (off_t)last) > 0 &&
        pread(fd, &look.chunks[1], sizeof(look.chunks[1]), (off_t)(last + look.chunks[0].size)) <= 0)
        memset(&look.chunks[1], 0, sizeof(look.chunks[1]));
    look.size = status.st_size;
    close(fd);
    return look;
}

static int blocks_are_whole(const filz_mmap *copy)
{
    for (size_t i = 0; i < shared->block_count; i++) {
        const struct block *block = &shared->blocks[i];
        EXPECT(filz_mmap_owns(copy, block->start));
        EXPECT(is_marked(block));
    }
    return 0;
}

/* What the next run does if the process is killed here. */
static int copy_opens_and_grows(void)
{
    static const size_t sizes[] = {100, 5 * KIB, 20 * KIB, 300 * KIB};
    filz_mmap copy = persistent_at("copy.filz");
    EXPECT(filz_mmap_open(&copy) == 0);
    EXPECT(blocks_are_whole(&copy) == 0);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        char *block = filz_mmap_alloc_zeroed(&copy, sizes[i], 1);
        EXPECT(block && is_filled(block, 0, sizes[i]));
        memset(block, 0xEE, sizes[i]);
    }
    EXPECT(blocks_are_whole(&copy) == 0);
    EXPECT(filz_mmap_close(&copy) == 0);
    return can_be_walked("copy.filz");
}

static int check_copy(void)
{
    if (!exists(PATH))
        return 0;
    struct snapshot now = snapshot_of(PATH);
    write_file("copy.filz", "");
    write_at("copy.filz", 0, now.bytes, (size_t)now.status.st_size);
    free(now.bytes);
    return copy_opens_and_grows();
}

/* How many steps `body` takes, and how many different files it makes. The next run must be able to use each of them. */
struct walk {
    size_t steps, files, wrong;
    int status;
};

static struct walk walk_through(int (*body)(void *), size_t most)
{
    struct walk walk = {.status = -1};
    struct look before, now;
    memset(&before, 0, sizeof(before));
    pid_t child = begin_steps(body, NULL);
    while (child > 0 && walk.status == -1 && walk.steps < most && walk.wrong < 3) {
        walk.status = go_a_step(child, STEP_INSTRUCTION);
        walk.steps++;
        now = look_at_file();
        if (memcmp(&now, &before, sizeof(now)) == 0)
            continue;
        walk.files++;
        walk.wrong += check_copy() != 0;
        before = now;
    }
    if (child > 0 && walk.status == -1) {
        kill(child, SIGKILL);
        end_child(child);
    }
    return walk;
}

static void a_process_killed_at_any_instruction_leaves_a_heap_that_opens_and_grows(void **state)
{
    (void)state;
    struct walk least = walk_through(do_nothing, 10000);
    if (SANITIZED || least.status != 0)
        SKIP("processes can't be traced here, or one instruction at a time would take long");
    struct walk walk = walk_through(do_all_that_changes_chunks, 1000000);
    assert_int_equal(walk.wrong, 0);
    assert_int_equal(walk.status, 0);
    print_message("%zu instructions; after %zu of them the file was another, and each opened and grew\n", walk.steps,
                  walk.files);
}

static int enter(void **state)
{
    shared = share_with_children(sizeof(*shared));
    return shared == NULL || enter_fresh_directory(state) != 0;
}

#define ALONE(test) cmocka_unit_test_setup_teardown(test, enter, leave_fresh_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALONE(a_process_killed_at_any_instruction_leaves_a_heap_that_opens_and_grows),
    };
    return cmocka_run_group_tests_name("persistent_kill_instructions", tests, NULL, NULL);
}
