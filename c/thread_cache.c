/* See thread_cache.h. When a thread ends, the rests of its chunks go back to their heaps. */
#include "thread_cache.h"

#include "heap_file.h"

#include <pthread.h>
#include <string.h>

#define NO_HEAP SIZE_MAX

/* A closed heap has id 0, so an empty entry must not. */
_Thread_local struct filz_thread_cache filz_thread_cache = {
    .entries = {{NO_HEAP, 0},
                {NO_HEAP, 0},
                {NO_HEAP, 0},
                {NO_HEAP, 0},
                {NO_HEAP, 0},
                {NO_HEAP, 0},
                {NO_HEAP, 0},
                {NO_HEAP, 0}},
};

static pthread_key_t at_thread_exit;
static bool key_is_ours;
static pthread_once_t key_made = PTHREAD_ONCE_INIT;

static void give_back(struct filz_cache_entry *entry)
{
    struct filz_heap *heap = filz_heap_find(entry->heap_id);
    if (heap != NULL)
        filz_chunk_leave(heap, entry->chunk);
    *entry = (struct filz_cache_entry){NO_HEAP, NULL};
}

/* A destructor of the program's may allocate after this has run: that arms the key again, and this runs again. */
static void leave_all(void *cache)
{
    int cancel_state;
    filz_heaps_lock(&cancel_state);
    for (size_t i = 0; i < FILZ_HEAPS_PER_THREAD; i++)
        give_back(&((struct filz_thread_cache *)cache)->entries[i]);
    filz_heaps_unlock(cancel_state);
}

static void make_key(void)
{
    key_is_ours = pthread_key_create(&at_thread_exit, leave_all) == 0;
}

/* Without a key, which a process has 1,024 of, a thread that ends takes the rests of its chunks with it.
 *
 * At load: the first 32 keys of a process have their values in the thread itself, later ones are allocated by glibc.
 * And in filz_thread_cache_put, for who allocates before this constructor runs. */
__attribute__((constructor)) static void make_key_early(void)
{
    pthread_once(&key_made, make_key);
}

static size_t find(size_t heap_id)
{
    size_t i = 0;
    while (i < FILZ_HEAPS_PER_THREAD && filz_thread_cache.entries[i].heap_id != heap_id)
        i++;
    return i;
}

static void move_to_front(size_t i)
{
    struct filz_cache_entry *entries = filz_thread_cache.entries;
    struct filz_cache_entry entry = entries[i];
    memmove(entries + 1, entries, i * sizeof(*entries));
    entries[0] = entry;
}

bool filz_thread_cache_select(size_t heap_id)
{
    size_t i = find(heap_id);
    if (heap_id == 0 || i == 0 || i == FILZ_HEAPS_PER_THREAD)
        return false;
    move_to_front(i);
    return true;
}

struct filz_chunk *filz_thread_cache_chunk(size_t heap_id)
{
    size_t i = find(heap_id);
    return i < FILZ_HEAPS_PER_THREAD ? filz_thread_cache.entries[i].chunk : NULL;
}

void filz_thread_cache_put(size_t heap_id, struct filz_chunk *chunk)
{
    pthread_once(&key_made, make_key);
    if (key_is_ours)
        pthread_setspecific(at_thread_exit, &filz_thread_cache);
    size_t i = find(heap_id);
    if (i == FILZ_HEAPS_PER_THREAD)
        i = find(NO_HEAP);
    if (i == FILZ_HEAPS_PER_THREAD)
        give_back(&filz_thread_cache.entries[--i]);
    filz_thread_cache.entries[i] = (struct filz_cache_entry){heap_id, chunk};
    move_to_front(i);
}

void filz_thread_cache_forget(size_t heap_id)
{
    size_t i = find(heap_id);
    if (i < FILZ_HEAPS_PER_THREAD)
        filz_thread_cache.entries[i] = (struct filz_cache_entry){NO_HEAP, NULL};
}
