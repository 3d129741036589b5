/* A process is killed at any moment: its file can be walked, and the next run takes it over without waiting. */
#include "heap_files.h"

#include "steps.h"

#include <sys/prctl.h>

/* -- A process that does all that one can do with a heap, again and again ------------------------------------------ */

enum phase { STARTING, OPENING, ALLOCATING, GROWING, FORKING, CLOSING, PHASES };
static const char *const phase_names[PHASES] = {"starting", "opening", "allocating", "growing", "forking", "closing"};
static volatile enum phase *phase; /* shared with the process that is killed */

/* Whether this process can wait for the children of one that was killed. */
static bool forks;

struct life {
    const char *path; /* NULL: where $FILZ_DIR says */
    size_t threads;
    bool second_heap;
};

static void *allocate_small_blocks(void *heap)
{
    for (size_t i = 0; i < 2000; i++) {
        char *block = filz_mmap_alloc(heap, 10 + i % 300, 1);
        if (block == NULL)
            return heap;
        *block = 's';
    }
    return NULL;
}

static int grow(filz_mmap *heap)
{
    char *block = filz_mmap_alloc(heap, 1000, 1);
    EXPECT(block);
    for (size_t size = 1000; size < 4 * MIB; size *= 4) {
        block = filz_mmap_realloc(heap, block, size, 1, 4 * size);
        EXPECT(block);
        block[4 * size - 1] = 'g';
    }
    EXPECT(filz_mmap_realloc(heap, block, 4 * MIB, 1, 100) == block);
    return 0;
}

static int fork_and_allocate(filz_mmap *heap)
{
    pid_t child = fork();
    if (child == 0)
        _exit(allocate_small_blocks(heap) != NULL);
    EXPECT(end_child(child) == 0);
    return 0;
}

static int use_while_threads_allocate(filz_mmap *heap, size_t threads)
{
    pthread_t ids[8];
    void *failed;
    *phase = ALLOCATING;
    for (size_t i = 0; i < threads; i++)
        EXPECT(pthread_create(&ids[i], NULL, allocate_small_blocks, heap) == 0);
    EXPECT(allocate_small_blocks(heap) == NULL);
    *phase = GROWING;
    EXPECT(grow(heap) == 0);
    *phase = FORKING; /* the sanitizers' runtimes don't survive it with threads */
    EXPECT(!forks || (SANITIZED && threads > 0) || fork_and_allocate(heap) == 0);
    for (size_t i = 0; i < threads; i++)
        EXPECT(pthread_join(ids[i], &failed) == 0 && failed == NULL);
    return 0;
}

static int live_once(void *context)
{
    const struct life *life = context;
    filz_mmap heap = {.path = life->path, .capacity = 64 * MIB};
    filz_mmap second = {.capacity = 64 * MIB};
    *phase = OPENING;
    EXPECT(filz_mmap_open(&heap) == 0);
    EXPECT(!life->second_heap || filz_mmap_open(&second) == 0);
    EXPECT(use_while_threads_allocate(&heap, life->threads) == 0);
    EXPECT(!life->second_heap || grow(&second) == 0);
    *phase = CLOSING;
    EXPECT(filz_mmap_close(&second) == 0);
    return filz_mmap_close(&heap);
}

static int live_until_killed(void *life)
{
    EXPECT(setpgid(0, 0) == 0);
    while (live_once(life) == 0)
        continue;
    return 1;
}

/* -- What is left ---------------------------------------------------------------------------------------------------
 */

static const char *file_of(const struct life *life)
{
    return life->path != NULL ? life->path : default_path("directory");
}

/* The next run. */
static int take_over(void *context)
{
    const struct life *life = context;
    filz_mmap heap = {.path = life->path, .capacity = 64 * MIB};
    filz_mmap_info info;
    EXPECT(filz_mmap_open(&heap) == 0);
    EXPECT(filz_mmap_stats(&heap, &info) == 0 && info.path != NULL);
    EXPECT(strcmp(info.path + strlen(info.path) - strlen(file_of(life)), file_of(life)) == 0);
    EXPECT(info.blocks == 0);
    char *block = filz_mmap_alloc_zeroed(&heap, MIB, 1);
    EXPECT(block && is_filled(block, 0, MIB));
    memset(block, 'n', MIB);
    return filz_mmap_close(&heap);
}

static void assert_left_in_order(const struct life *life)
{
    if (exists(file_of(life)))
        assert_int_equal(can_be_walked(file_of(life)), 0);
    assert_int_equal(in_child(take_over, (void *)life), 0);
    assert_int_equal(can_be_walked(file_of(life)), 0);
}

static void wait_for_all(void)
{
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        continue;
}

/* Kills the process and all that it forked, and waits for the last of them. */
static void kill_family(pid_t child)
{
    assert_int_equal(kill(-child, SIGKILL), 0);
    wait_for_all();
}

static void kill_after(const struct life *life, useconds_t delay)
{
    *phase = STARTING;
    pid_t child = begin_child(live_until_killed, (void *)life);
    setpgid(child, child); /* in case it hasn't come so far itself */
    usleep(delay);
    kill_family(child);
}

static int enter(void **state)
{
    if (phase == NULL)
        phase = share_with_children(sizeof(*phase));
    forks = prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;
    return phase == NULL || enter_fresh_directory(state) != 0 || mkdir("directory", 0700) != 0 ||
           setenv("FILZ_DIR", "directory", 1) != 0;
}

static const struct life lives[] = {
    {.path = "a.filz"},
    {.path = NULL, .second_heap = true},
    {.path = "a.filz", .threads = 4},
    {.path = NULL, .threads = 4},
};

static void a_process_killed_at_any_moment_leaves_its_file_in_order(void **state)
{
    (void)state;
    size_t rounds = rounds_of(1000), killed[PHASES] = {0};
    unsigned seed = 1;
    for (size_t i = 0; i < rounds; i++) {
        const struct life *life = &lives[i % COUNT(lives)];
        kill_after(life, (useconds_t)(rand_r(&seed) % (i / COUNT(lives) % 2 ? 1000 : 8000)));
        killed[*phase]++;
        assert_left_in_order(life);
    }
    print_message("%zu processes killed, half of them with 4 more threads:", rounds);
    for (int i = 0; i < PHASES; i++)
        print_message(" %zu %s%s", killed[i], phase_names[i], i + 1 < PHASES ? "," : "\n");
}

/* Lets the process live for so many steps. Returns -1 if it was killed then, its exit status if it ended before. */
static int kill_after_steps(const struct life *life, size_t steps)
{
    int status = -1;
    pid_t child = begin_steps(live_once, (void *)life);
    if (child < 0)
        return SKIPPED;
    for (size_t i = 0; i < steps && status == -1; i++)
        status = go_a_step(child, STEP_CALL);
    if (status == -1)
        kill(child, SIGKILL);
    wait_for_all();
    return status;
}

static void a_process_killed_at_any_call_to_the_system_leaves_its_file_in_order(void **state)
{
    (void)state;
    size_t kills = 0, stride = 100 / rounds_of(100);
    for (size_t i = 0; i < 2; i++) {
        int status = -1;
        for (size_t steps = 1; status == -1; steps += stride) {
            status = kill_after_steps(&lives[i], steps);
            if (status == SKIPPED)
                SKIP("processes can't be traced here");
            kills += status == -1;
            assert_left_in_order(&lives[i]);
        }
        assert_int_equal(status, 0);
    }
    print_message("%zu processes killed, at each entry to the system and return from it, or one in %zu\n", kills,
                  stride);
}

static int live_on_in_a_child(void *ready)
{
    filz_mmap heap = {.path = "a.filz", .capacity = MIB};
    EXPECT(setpgid(0, 0) == 0);
    memset(filz_mmap_alloc(&heap, 1000, 1), 'p', 1000);
    if (fork() == 0) {
        alarm(PATIENCE);
        EXPECT(write(*(int *)ready, "", 1) == 1);
        pause();
    }
    pause();
    return 1;
}

static void a_child_that_lives_on_does_not_keep_the_file_of_its_killed_parent(void **state)
{
    (void)state;
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t parent = begin_child(live_on_in_a_child, &ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    kill(parent, SIGKILL);
    assert_int_equal(end_child(parent), 128 + SIGKILL);
    assert_left_in_order(&lives[0]);
    kill_family(parent);
    close(ready[0]);
    close(ready[1]);
}

/* -- Between any two instructions ---------------------------------------------------------------------------------- */

/* The file of a process that stands still, seen from outside. */
struct view {
    int fd;
    const char *file;
};

enum { VIEW_SIZE = 16 * 1024 * 1024 };

/* A last chunk that is just growing, or shrinking, may end after the cursor, but in the file. */
static int chunks_lead_to_cursor_or_after_it(const char *file, size_t size)
{
    const struct fz_header *header = (const void *)file;
    size_t offset = (size_t)header->page_size;
    EXPECT(header->page_size != 0 && header->cursor <= size);
    while (offset < header->cursor) {
        const struct fz_chunk *chunk = (const void *)(file + offset);
        size_t length = (size_t)chunk->size;
        EXPECT(length != 0 && length % header->page_size == 0 && length <= size - offset);
        EXPECT(fz_chunk_left(chunk) <= length - sizeof(*chunk));
        offset += length;
    }
    return 0;
}

static int look(struct view *view)
{
    struct stat status;
    if (view->fd < 0) {
        view->fd = open("a.filz", O_RDONLY);
        if (view->fd < 0)
            return 0;
        view->file = mmap(NULL, VIEW_SIZE, PROT_READ, MAP_SHARED, view->fd, 0);
        EXPECT(view->file != MAP_FAILED);
    }
    EXPECT(fstat(view->fd, &status) == 0 && status.st_size <= VIEW_SIZE);
    EXPECT(status.st_size == 0 || memcmp(view->file, FZ_MAGIC, strlen(FZ_MAGIC)) == 0);
    if (!is_set_up(view->file, (size_t)status.st_size))
        return 0;
    return chunks_lead_to_cursor_or_after_it(view->file, (size_t)status.st_size);
}

static size_t in_chunks_of(const filz_mmap *heap)
{
    filz_mmap_info info;
    return filz_mmap_stats(heap, &info) == 0 ? info.in_chunks : 0;
}

/* The newest block grows, and gives back what it had. */
static int grow_and_shrink(filz_mmap *heap)
{
    char *block = filz_mmap_alloc(heap, 3 * KIB, 1);
    EXPECT(block && filz_mmap_realloc(heap, block, 3 * KIB, 1, 400 * KIB) == block);
    size_t before = in_chunks_of(heap);
    EXPECT(filz_mmap_realloc(heap, block, 400 * KIB, 1, 100) == block);
    EXPECT(in_chunks_of(heap) < before);
    return 0;
}

/* Chunks that grow and shrink, large blocks in dedicated chunks, a reset. */
static int carve_chunks(void *unused)
{
    (void)unused;
    filz_mmap heap = {.path = "a.filz", .capacity = VIEW_SIZE};
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 8; i++)
            EXPECT(filz_mmap_alloc(&heap, 10 * KIB, 1));
        EXPECT(grow_and_shrink(&heap) == 0);
        EXPECT(filz_mmap_alloc(&heap, 400 * KIB, 1));
        for (size_t i = 0; i < 8; i++)
            EXPECT(filz_mmap_alloc(&heap, 20 * KIB, 1));
        EXPECT(filz_mmap_reset(&heap) == 0);
    }
    return filz_mmap_close(&heap);
}

static int do_nothing(void *unused)
{
    (void)unused;
    return 0;
}

/* How many steps `body` takes; adds to `wrong` after how many of them the file couldn't be walked. */
static size_t count_steps(int (*body)(void *), size_t *wrong)
{
    struct view view = {.fd = -1};
    size_t steps = 0;
    pid_t child = begin_steps(body, NULL);
    if (child < 0)
        return 0;
    int status;
    while ((status = go_a_step(child, STEP_INSTRUCTION)) == -1 && steps < 1000000 && *wrong < 3) {
        steps++;
        *wrong += look(&view) != 0;
    }
    if (status == -1) {
        kill(child, SIGKILL);
        end_child(child);
    } else {
        assert_int_equal(status, 0);
    }
    close(view.fd);
    if (view.file != NULL)
        munmap((void *)view.file, VIEW_SIZE);
    return steps;
}

static void between_any_two_instructions_the_file_can_be_walked(void **state)
{
    (void)state;
    if (SANITIZED)
        SKIP("the sanitizers' own code would be stepped through");
    size_t wrong = 0;
    size_t least = count_steps(do_nothing, &wrong);
    if (least == 0 || least > 10000)
        SKIP("processes can't be traced here, or one instruction at a time would take long");
    size_t steps = count_steps(carve_chunks, &wrong);
    print_message("looked after each of %zu instructions\n", steps);
    assert_int_equal(wrong, 0);
}

#define ALONE(test) cmocka_unit_test_setup_teardown(test, enter, leave_fresh_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALONE(a_process_killed_at_any_moment_leaves_its_file_in_order),
        ALONE(a_process_killed_at_any_call_to_the_system_leaves_its_file_in_order),
        ALONE(a_child_that_lives_on_does_not_keep_the_file_of_its_killed_parent),
        ALONE(between_any_two_instructions_the_file_can_be_walked),
    };
    return cmocka_run_group_tests_name("kill", tests, NULL, NULL);
}
