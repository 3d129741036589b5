/* A plugin that is linked with the static library is unloaded, by threads that have used it and while they live, or is
 * there still when the program ends. Afterwards nothing of it is left, and nothing of it runs:
 *
 *     test-unload PLUGIN */
#include "mappings.h"
#include "plugins.h"

#include <dirent.h>

enum { BLOCK = 3000, TAG = 7 };

/* A heap of the plugin's with an unnamed file, and a persistent one. */
static int use(struct plugin *plugin)
{
    for (size_t i = 0; i < PLUGIN_HEAPS; i++) {
        char *block = plugin->alloc(&plugin->heaps[i], BLOCK, 1);
        EXPECT(block);
        memset(block, 'p', BLOCK);
    }
    return 0;
}

#ifdef __SANITIZE_THREAD__
#define NEED_UNLOADING() SKIP("ThreadSanitizer calls the handlers of atexit(3) of a library that was unloaded")
#else
#define NEED_UNLOADING() NEED_PLUGINS()
#endif

static int load(struct loaded *loaded)
{
    EXPECT(load_from(loaded, plugin_path) == 0);
    filz_mmap *heaps = loaded->plugin->heaps;
    heaps[0].capacity = heaps[1].capacity = 8 * MIB;
    heaps[1].path = "persistent.filz";
    heaps[1].flags = FILZ_MMAP_PERSISTENT;
    heaps[1].tag = TAG;
    return 0;
}

static int fork_and_allocate(void)
{
    pid_t child = fork();
    if (child == 0) {
        char *block = malloc(BLOCK);
        end_at_once(block == NULL || !memset(block, 'c', BLOCK));
    }
    EXPECT(end_child_at_once(child) == 0);
    return 0;
}

/* -- The thread that has used it ends afterwards ------------------------------------------------------------------- */

static int load_use_and_unload(void)
{
    struct loaded loaded;
    EXPECT(load(&loaded) == 0);
    EXPECT(use(loaded.plugin) == 0);
    return unload(&loaded);
}

static void *visit(void *unused)
{
    (void)unused;
    return (void *)(uintptr_t)(load_use_and_unload() || fork_and_allocate());
}

static int be_visited(void *unused)
{
    (void)unused;
    EXPECT(in_thread(visit, NULL) == NULL);
    return fork_and_allocate();
}

static void a_thread_may_load_a_plugin_use_it_unload_it_and_end(void **state)
{
    (void)state;
    NEED_UNLOADING();
    assert_int_equal(in_child(be_visited, NULL), 0);
}

/* -- Reloading ----------------------------------------------------------------------------------------------------- */

struct holdings {
    int descriptors, keys;
    struct mappings mapped;
};

static int count_descriptors(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

/* Of thread-local values, that are still to be had. */
static int count_keys(void)
{
    static pthread_key_t keys[4096];
    int count = 0;
    while (count < (int)COUNT(keys) && pthread_key_create(&keys[count], NULL) == 0)
        count++;
    for (int i = 0; i < count; i++)
        pthread_key_delete(keys[i]);
    return count;
}

static struct holdings count_holdings(void)
{
    return (struct holdings){count_descriptors(), count_keys(), mappings_now()};
}

enum { RELOADS = 50 };

/* Not even a page that stays mapped is allowed, but where a sanitizer or Valgrind maps some of its own. */
static int compare(struct holdings before, struct holdings after)
{
    print_message("after %d more reloads: %+d descriptors, %+d mappings, %+lld bytes, %+d keys\n", RELOADS,
                  after.descriptors - before.descriptors, after.mapped.count - before.mapped.count,
                  (long long)(after.mapped.bytes - before.mapped.bytes), before.keys - after.keys);
    EXPECT(after.descriptors == before.descriptors);
    EXPECT(after.keys == before.keys);
    if (SANITIZED || runs_on_valgrind())
        EXPECT(after.mapped.count < before.mapped.count + RELOADS &&
               after.mapped.bytes < before.mapped.bytes + RELOADS * MIB);
    else
        EXPECT(after.mapped.count == before.mapped.count && after.mapped.bytes == before.mapped.bytes);
    return 0;
}

/* What the C library takes once, it has taken after the first few. */
static int reload(void *from_threads)
{
    struct holdings before = {0};
    for (int i = -5; i < RELOADS; i++) {
        if (i == 0)
            before = count_holdings();
        EXPECT((from_threads != NULL ? in_thread(visit, NULL) != NULL : load_use_and_unload()) == 0);
    }
    return compare(before, count_holdings());
}

static void fifty_reloads_leak_no_descriptor_no_mapping_and_no_key(void **state)
{
    (void)state;
    NEED_UNLOADING();
    assert_int_equal(in_child(reload, NULL), 0);
}

static void nor_do_fifty_reloads_by_threads_that_end(void **state)
{
    (void)state;
    NEED_UNLOADING();
    assert_int_equal(in_child(reload, "threads"), 0);
}

/* -- Threads that outlive it --------------------------------------------------------------------------------------- */

enum { GUESTS = 8, LOADS = 3 };

struct guest {
    const struct loaded *loaded;
    pthread_barrier_t *barrier;
    int wrong;
};

/* The plugin comes and goes several times meanwhile. */
static void *outlive_plugins(void *context)
{
    struct guest *guest = context;
    for (int i = 0; i < LOADS; i++) {
        pthread_barrier_wait(guest->barrier); /* it is loaded */
        guest->wrong |= use(guest->loaded->plugin);
        pthread_barrier_wait(guest->barrier); /* all have used it */
        pthread_barrier_wait(guest->barrier); /* it is unloaded */
    }
    guest->wrong |= fork_and_allocate();
    return NULL;
}

static int come_and_go(struct loaded *loaded, pthread_barrier_t *barrier)
{
    for (int i = 0; i < LOADS; i++) {
        EXPECT(load(loaded) == 0);
        pthread_barrier_wait(barrier);
        pthread_barrier_wait(barrier);
        EXPECT(unload(loaded) == 0);
        EXPECT(fork_and_allocate() == 0);
        pthread_barrier_wait(barrier);
    }
    return 0;
}

/* The program has a heap of its own, of its own copy of filz, all the time. */
static int be_outlived(void *unused)
{
    (void)unused;
    struct loaded loaded;
    struct guest guests[GUESTS];
    pthread_t threads[GUESTS];
    pthread_barrier_t barrier;
    filz_mmap own = {.capacity = 8 * MIB};
    char *block = filz_mmap_alloc(&own, BLOCK, 1);
    EXPECT(block && pthread_barrier_init(&barrier, NULL, GUESTS + 1) == 0);
    memset(block, 'o', BLOCK);
    for (size_t i = 0; i < GUESTS; i++) {
        guests[i] = (struct guest){.loaded = &loaded, .barrier = &barrier};
        EXPECT(pthread_create(&threads[i], NULL, outlive_plugins, &guests[i]) == 0);
    }
    EXPECT(come_and_go(&loaded, &barrier) == 0);
    for (size_t i = 0; i < GUESTS; i++)
        EXPECT(pthread_join(threads[i], NULL) == 0 && guests[i].wrong == 0);
    EXPECT(is_filled(block, 'o', BLOCK) && filz_mmap_alloc(&own, MIB, 1));
    return filz_mmap_close(&own);
}

static void threads_that_have_used_a_plugin_may_outlive_it(void **state)
{
    (void)state;
    NEED_UNLOADING();
    assert_int_equal(in_child(be_outlived, NULL), 0);
}

/* -- Its heaps are closed ------------------------------------------------------------------------------------------ */

static int leave_text(struct plugin *plugin, filz_mmap_info *info)
{
    filz_mmap *heap = &plugin->heaps[1];
    EXPECT(use(plugin) == 0);
    char *text = plugin->alloc(heap, 100, 1);
    EXPECT(text);
    strcpy(text, "from the plugin");
    EXPECT(plugin->set_root(heap, text) == 0);
    EXPECT(plugin->stats(heap, info) == 0);
    return 0;
}

/* In order: the tail of its chunk isn't lost. */
static int find_text(const filz_mmap_info *left)
{
    filz_mmap heap = {.path = "persistent.filz", .capacity = 8 * MIB, .flags = FILZ_MMAP_PERSISTENT, .tag = TAG};
    filz_mmap_info found, after;
    EXPECT(filz_mmap_open(&heap) == 0);
    const char *text = filz_mmap_root(&heap);
    EXPECT(text && strcmp(text, "from the plugin") == 0);
    EXPECT(filz_mmap_stats(&heap, &found) == 0);
    EXPECT(found.blocks == left->blocks && found.used == left->used && found.in_chunks == left->in_chunks);
    EXPECT(filz_mmap_alloc(&heap, 16, 1));
    EXPECT(filz_mmap_stats(&heap, &after) == 0);
    EXPECT(after.in_chunks == found.in_chunks);
    return filz_mmap_close(&heap);
}

static int inherit(void *unused)
{
    (void)unused;
    struct loaded loaded;
    filz_mmap_info left;
    EXPECT(setenv("TMPDIR", ".", 1) == 0);
    EXPECT(load(&loaded) == 0);
    EXPECT(leave_text(loaded.plugin, &left) == 0);
    EXPECT(unload(&loaded) == 0);
    EXPECT(entries_in(".") == 1);
    return find_text(&left);
}

static void the_heaps_of_an_unloaded_plugin_are_closed_and_the_program_can_open_them(void **state)
{
    (void)state;
    NEED_UNLOADING();
    assert_int_equal(in_child(inherit, NULL), 0);
}

/* -- It is unloaded as the program ends ---------------------------------------------------------------------------- */

static struct loaded unloaded_at_exit;
static pthread_t outliving;
static bool has_used, may_end;

static void *use_and_wait(void *plugin)
{
    bool failed = use(plugin) != 0;
    __atomic_store_n(&has_used, true, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&may_end, __ATOMIC_ACQUIRE))
        sched_yield();
    return failed ? plugin : NULL;
}

static void unload_at_exit(void)
{
    void *failed = &may_end;
    int error = unload(&unloaded_at_exit);
    __atomic_store_n(&may_end, true, __ATOMIC_RELEASE);
    if (error != 0 || pthread_join(outliving, &failed) != 0 || failed != NULL)
        _exit(1);
}

static int exit_and_unload(void *unused)
{
    (void)unused;
    EXPECT(atexit(unload_at_exit) == 0 && load(&unloaded_at_exit) == 0);
    EXPECT(pthread_create(&outliving, NULL, use_and_wait, unloaded_at_exit.plugin) == 0);
    while (!__atomic_load_n(&has_used, __ATOMIC_ACQUIRE))
        sched_yield();
    return 0;
}

static void a_plugin_may_be_unloaded_by_a_handler_at_exit_before_its_threads_end(void **state)
{
    (void)state;
    NEED_UNLOADING();
    assert_int_equal(in_child(exit_and_unload, NULL), 0);
}

/* -- The program ends with it -------------------------------------------------------------------------------------- */

enum { AT_EXIT = 20000 }; /* blocks that each thread allocates meanwhile */

static struct plugin *used_at_exit;
static size_t counts[2]; /* blocks of each of the detached threads; SIZE_MAX: one is missing; atomic */

static size_t count_of(size_t thread)
{
    return __atomic_load_n(&counts[thread], __ATOMIC_RELAXED);
}

static void *allocate_for_ever(void *count)
{
    filz_mmap *heap = &used_at_exit->heaps[(size_t *)count - counts];
    for (size_t i = 1;; i++) {
        char *block = used_at_exit->alloc(heap, 40, 1);
        if (block == NULL)
            break;
        memset(block, 'x', 40);
        __atomic_store_n((size_t *)count, i, __ATOMIC_RELAXED);
    }
    __atomic_store_n((size_t *)count, SIZE_MAX, __ATOMIC_RELAXED);
    return NULL;
}

static void wait_for_blocks(size_t more)
{
    for (size_t i = 0; i < COUNT(counts); i++) {
        size_t before = count_of(i);
        while (count_of(i) - before < more && count_of(i) != SIZE_MAX)
            sched_yield();
    }
}

/* Runs after all other destructors of the plugin: the threads still have their heaps. */
static void let_threads_allocate(void)
{
    wait_for_blocks(AT_EXIT);
    if (count_of(0) == SIZE_MAX || count_of(1) == SIZE_MAX)
        _exit(1);
}

static int exit_while_threads_allocate(void *unused)
{
    (void)unused;
    struct loaded loaded;
    pthread_t thread;
    EXPECT(load(&loaded) == 0);
    used_at_exit = loaded.plugin;
    used_at_exit->heaps[0].capacity = used_at_exit->heaps[1].capacity = 512 * MIB;
    used_at_exit->last_destructor = let_threads_allocate;
    for (size_t i = 0; i < COUNT(counts); i++)
        EXPECT(pthread_create(&thread, NULL, allocate_for_ever, &counts[i]) == 0 && pthread_detach(thread) == 0);
    wait_for_blocks(100);
    return 0;
}

static void a_program_may_exit_while_detached_threads_of_a_plugin_allocate(void **state)
{
    (void)state;
    NEED_UNLOADING();
    if (runs_on_valgrind())
        SKIP("at exit, Valgrind takes for leaks what the C library keeps for threads that live");
    size_t rounds = rounds_of(100);
    for (size_t i = 0; i < rounds; i++) {
        assert_int_equal(in_child(exit_while_threads_allocate, NULL), 0);
        assert_int_equal(unlink("persistent.filz"), 0);
    }
    print_message("%zu exits, with %d blocks more in each of %zu threads\n", rounds, AT_EXIT, COUNT(counts));
}

int main(int count, char **arguments)
{
    if (count != 2)
        return 2;
    plugin_path = arguments[1];
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_thread_may_load_a_plugin_use_it_unload_it_and_end),
        IN_FRESH_DIRECTORY(fifty_reloads_leak_no_descriptor_no_mapping_and_no_key),
        IN_FRESH_DIRECTORY(nor_do_fifty_reloads_by_threads_that_end),
        IN_FRESH_DIRECTORY(threads_that_have_used_a_plugin_may_outlive_it),
        IN_FRESH_DIRECTORY(the_heaps_of_an_unloaded_plugin_are_closed_and_the_program_can_open_them),
        IN_FRESH_DIRECTORY(a_plugin_may_be_unloaded_by_a_handler_at_exit_before_its_threads_end),
        IN_FRESH_DIRECTORY(a_program_may_exit_while_detached_threads_of_a_plugin_allocate),
    };
    return cmocka_run_group_tests_name("unload", tests, NULL, NULL);
}
