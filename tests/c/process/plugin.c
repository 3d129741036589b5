/* A program that doesn't know filz loads the shared library while its threads run, and lets go of it while they live:
 *
 *     test-plugin libfilz.so */
#include "threads.h"

#include <dlfcn.h>

/* What the program calls, looked up at run time. */
struct filz {
    void *library;
    void *(*alloc)(filz_mmap *, size_t, size_t);
    void *(*realloc)(filz_mmap *, void *, size_t, size_t, size_t);
    bool (*owns)(const filz_mmap *, const void *);
    int (*stats)(const filz_mmap *, filz_mmap_info *);
    int (*close)(filz_mmap *);
};

static const char *library_path;

#ifdef __GLIBC__
static const bool can_load = true;
#else
static const bool can_load = false; /* musl refuses a library with initial-exec TLS that is loaded late */
#endif

/* ISO C knows no conversion from an object's pointer to a function's. */
static void look_up(const struct filz *filz, const char *name, void *function)
{
    void *found = dlsym(filz->library, name);
    assert_non_null(found);
    memcpy(function, &found, sizeof(found));
}

/* Whether the library is loaded; where it can't be, says why and loads nothing. */
static bool load(struct filz *filz)
{
    filz->library = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);
    if (filz->library == NULL) {
        print_message("%s\n", dlerror());
        return false;
    }
    look_up(filz, "filz_mmap_alloc", &filz->alloc);
    look_up(filz, "filz_mmap_realloc", &filz->realloc);
    look_up(filz, "filz_mmap_owns", &filz->owns);
    look_up(filz, "filz_mmap_stats", &filz->stats);
    look_up(filz, "filz_mmap_close", &filz->close);
    return true;
}

/* The library stays for the threads that have used it. */
static void unload(const struct filz *filz)
{
    assert_int_equal(dlclose(filz->library), 0);
    void *still_loaded = dlopen(library_path, RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(still_loaded);
    assert_int_equal(dlclose(still_loaded), 0);
}

static bool is_loaded(void)
{
    void *library = dlopen(library_path, RTLD_NOW | RTLD_NOLOAD);
    return library != NULL && dlclose(library) == 0;
}

/* -- Threads ------------------------------------------------------------------------------------------------------- */

enum { THREADS = 8, BLOCKS = 500, SIZE = 300 };

struct guest {
    const struct filz *filz;
    filz_mmap *heap;
    pthread_barrier_t *barrier;
    int number;
    char *blocks[BLOCKS];
    size_t wrong;
};

static void use(struct guest *guest)
{
    const struct filz *filz = guest->filz;
    for (size_t i = 0; i < BLOCKS; i++) {
        char *block = filz->alloc(guest->heap, SIZE / 2, 1);
        block = block ? filz->realloc(guest->heap, block, SIZE / 2, 1, SIZE) : NULL;
        guest->blocks[i] = block;
        guest->wrong += block == NULL || !filz->owns(guest->heap, block);
        if (block)
            memset(block, guest->number, SIZE);
    }
}

/* Runs before the library is there, and ends after the program let go of it. */
static void *outlive_library(void *argument)
{
    struct guest *guest = argument;
    pthread_barrier_wait(guest->barrier); /* all threads run */
    pthread_barrier_wait(guest->barrier); /* the library is loaded */
    if (guest->filz->library != NULL)
        use(guest);
    pthread_barrier_wait(guest->barrier); /* all have used it */
    pthread_barrier_wait(guest->barrier); /* it was let go */
    return NULL;
}

static void check(const struct guest *guests)
{
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(guests[i].wrong, 0);
        for (size_t n = 0; n < BLOCKS; n++)
            assert_true(is_filled(guests[i].blocks[n], guests[i].number, SIZE));
    }
}

static void the_tails_of_ended_threads_come_back(const struct filz *filz, filz_mmap *heap)
{
    filz_mmap_info before, after;
    assert_int_equal(filz->stats(heap, &before), 0);
    assert_true(before.blocks >= THREADS * BLOCKS);
    assert_non_null(filz->alloc(heap, 10, 1));
    assert_int_equal(filz->stats(heap, &after), 0);
    assert_int_equal(after.in_chunks, before.in_chunks);
}

/* Begins eight threads, loads the library, lets all use it, lets go of it, ends the threads. */
static bool load_use_and_unload(void)
{
    static struct guest guests[THREADS];
    pthread_t threads[THREADS];
    pthread_barrier_t barrier;
    struct filz filz = {0};
    filz_mmap heap = {.capacity = 16 * MIB};
    assert_int_equal(pthread_barrier_init(&barrier, NULL, THREADS + 1), 0);
    for (size_t i = 0; i < THREADS; i++) {
        guests[i] = (struct guest){.filz = &filz, .heap = &heap, .barrier = &barrier, .number = (int)i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, outlive_library, &guests[i]), 0);
    }
    pthread_barrier_wait(&barrier);
    bool loaded = load(&filz);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    if (loaded)
        unload(&filz);
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(pthread_barrier_destroy(&barrier), 0);
    if (loaded) {
        check(guests);
        the_tails_of_ended_threads_come_back(&filz, &heap);
        assert_int_equal(filz.close(&heap), 0);
    }
    return loaded;
}

static void threads_that_run_may_load_use_and_outlive_the_library(void **state)
{
    (void)state;
    assert_true(exists(library_path));
    assert_false(is_loaded());
    bool loaded = load_use_and_unload();
    if (!loaded && !can_load)
        SKIP("this C library can't load libfilz.so into a running program");
    assert_true(loaded);
    size_t rounds = rounds_of(1000);
    for (size_t i = 1; i < rounds; i++)
        assert_true(load_use_and_unload());
    assert_true(is_loaded());
    print_message("loaded and unloaded %zu times, with %d threads each\n", rounds, THREADS);
}

int main(int count, char **arguments)
{
    if (count != 2)
        return 2;
    library_path = arguments[1];
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(threads_that_run_may_load_use_and_outlive_the_library),
    };
    return cmocka_run_group_tests_name("plugin", tests, NULL, NULL);
}
