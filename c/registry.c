/* The registry of open heaps, and the one lock: see heap.h. */
#include "heap.h"

#include <pthread.h>

struct filz_heap *fz_heaps;

static pthread_mutex_t the_lock = PTHREAD_MUTEX_INITIALIZER;

void fz_lock_anew(void)
{
    the_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

static void disown_heaps(void)
{
    for (struct filz_heap *heap = fz_heaps; heap != NULL; heap = heap->next)
        if (heap->backing.growth != FZ_READ_ONLY)
            heap->backing.growth = FZ_NOWHERE;
    fz_os_watch_forks();
}

void fz_lock(int *cancel_state)
{
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, cancel_state);
    if (fz_os_forked()) {
        fz_lock_anew();
        disown_heaps();
    }
    pthread_mutex_lock(&the_lock);
}

void fz_unlock_uncancelled(void)
{
    pthread_mutex_unlock(&the_lock);
}

void fz_allow_cancelling(int cancel_state)
{
    pthread_setcancelstate(cancel_state, NULL);
}

void fz_unlock(int cancel_state)
{
    fz_unlock_uncancelled();
    fz_allow_cancelling(cancel_state);
}

struct filz_heap *fz_heap_find(size_t id)
{
    struct filz_heap *heap = fz_heaps;
    while (heap != NULL && heap->id != id)
        heap = heap->next;
    return heap;
}

size_t fz_heap_new_id(void)
{
    static size_t last_id;
    return ++last_id;
}
