/* A plugin that is linked with the static library is unloaded as the program exits, or is loaded still, and its threads
 * go on allocating:
 *
 *     test-unload_at_exit PLUGIN */
#include "plugins.h"

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
        IN_FRESH_DIRECTORY(a_plugin_may_be_unloaded_by_a_handler_at_exit_before_its_threads_end),
        IN_FRESH_DIRECTORY(a_program_may_exit_while_detached_threads_of_a_plugin_allocate),
    };
    return cmocka_run_group_tests_name("unload_at_exit", tests, NULL, NULL);
}
