/* A plugin that is linked with the static library is unloaded, by threads that have used it and while they live.
 * Afterwards nothing of it is left, and nothing of it runs:
 *
 *     test-unload PLUGIN */
#include "mappings.h"
#include "plugins.h"

#include <dirent.h>

static int fork_and_allocate(void)
{
    pid_t child = fork();
    if (child == 0) {
        char *block = malloc(PLUGINS_BLOCK);
        end_at_once(block == NULL || !memset(block, 'c', PLUGINS_BLOCK));
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

static void fifty_reloads_by_threads_that_end_leak_nothing_either(void **state)
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
    char *block = filz_mmap_alloc(&own, PLUGINS_BLOCK, 1);
    EXPECT(block && pthread_barrier_init(&barrier, NULL, GUESTS + 1) == 0);
    memset(block, 'o', PLUGINS_BLOCK);
    for (size_t i = 0; i < GUESTS; i++) {
        guests[i] = (struct guest){.loaded = &loaded, .barrier = &barrier};
        EXPECT(pthread_create(&threads[i], NULL, outlive_plugins, &guests[i]) == 0);
    }
    EXPECT(come_and_go(&loaded, &barrier) == 0);
    for (size_t i = 0; i < GUESTS; i++)
        EXPECT(pthread_join(threads[i], NULL) == 0 && guests[i].wrong == 0);
    EXPECT(is_filled(block, 'o', PLUGINS_BLOCK) && filz_mmap_alloc(&own, MIB, 1));
    return filz_mmap_close(&own);
}

static void threads_that_have_used_a_plugin_may_outlive_it(void **state)
{
    (void)state;
    NEED_UNLOADING();
    if (is_emulated())
        SKIP("a child of a thread may hang in a lock of qemu-user's (7.2) if other threads fork at the same time");
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
    filz_mmap heap = {
        .path = "persistent.filz", .capacity = 8 * MIB, .flags = FILZ_MMAP_PERSISTENT, .tag = PLUGINS_TAG};
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

int main(int count, char **arguments)
{
    if (count != 2)
        return 2;
    plugin_path = arguments[1];
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_thread_may_load_a_plugin_use_it_unload_it_and_end),
        IN_FRESH_DIRECTORY(fifty_reloads_leak_no_descriptor_no_mapping_and_no_key),
        IN_FRESH_DIRECTORY(fifty_reloads_by_threads_that_end_leak_nothing_either),
        IN_FRESH_DIRECTORY(threads_that_have_used_a_plugin_may_outlive_it),
        IN_FRESH_DIRECTORY(the_heaps_of_an_unloaded_plugin_are_closed_and_the_program_can_open_them),
    };
    return cmocka_run_group_tests_name("unload", tests, NULL, NULL);
}
