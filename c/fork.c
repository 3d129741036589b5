/* Two allocators must not use one shared mapping. So fork(2) gives the child its own heap with the same contents at the
 * same addresses: the parent copies what is in use to an unnamed file, and the child maps that. If that fails, the
 * child maps the parent's file privately.
 *
 * The parent notes the state of each heap together with the copy, and releases the lock before it forks, because in
 * between the C library takes locks of its own, which another thread may hold while it waits for filz's. */
#include "chunk.h"
#include "reuse.h"
#include "thread_cache.h"

#include <pthread.h>
#include <string.h>

/* One fork at a time: a heap has room for one snapshot. */
static pthread_mutex_t forking = PTHREAD_MUTEX_INITIALIZER;

static bool wants_copies(void)
{
    const char *mode = fz_os_environment("FILZ_FORK");
    return mode == NULL || strcmp(mode, "private") != 0;
}

/* fork itself copies a private heap; one that is the parent's, or only read, stays that. */
static bool is_shared(const struct filz_heap *heap)
{
    return heap->backing.growth == FZ_SHARED_FILE || heap->backing.growth == FZ_SHARED_AND_MORE;
}

/* A child that maps the file privately needs all of it that is in use. */
static void take_snapshot(struct filz_heap *heap, bool copies)
{
    struct fz_snapshot *snapshot = &heap->snapshot;
    *snapshot = (struct fz_snapshot){
        .id = heap->id,
        .cursor = heap->cursor,
        .last = heap->last,
        .copy = {.fd = -1},
    };
    if (copies && is_shared(heap) && fz_backing_copy(&heap->backing, heap->cursor, &snapshot->copy) == 0)
        return;
    snapshot->copy.fd = -1;
    heap->backing.floor = larger_of(heap->backing.floor, heap->cursor);
    if (is_shared(heap))
        fz_reuse_end(heap);
}

static void before_fork(void)
{
    int cancel_state;
    if (fz_os_forked())
        forking = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&forking);
    fz_lock(&cancel_state);
    bool copies = wants_copies();
    for (struct filz_heap *heap = fz_heaps; heap != NULL; heap = heap->next)
        take_snapshot(heap, copies);
    fz_unlock(cancel_state);
}

static void after_fork_in_parent(void)
{
    int cancel_state;
    fz_lock(&cancel_state);
    for (struct filz_heap *heap = fz_heaps; heap != NULL; heap = heap->next)
        fz_os_close(&heap->snapshot.copy);
    fz_unlock(cancel_state);
    pthread_mutex_unlock(&forking);
}

/* Other threads may have allocated since the snapshot. The addresses of such blocks, up to `end`, aren't reused. */
static bool become_copy(struct filz_heap *heap, struct fz_file copy, size_t *end)
{
    const struct fz_snapshot *snapshot = &heap->snapshot;
    if (copy.fd < 0 || fz_backing_become_copy(&heap->backing, snapshot->cursor, &copy) != 0) {
        fz_os_close(&copy);
        return false;
    }
    if (fz_backing_commit(&heap->backing, *end) != 0)
        *end = snapshot->cursor;
    return true;
}

/* The parent's threads continue in the heap's last chunk. This store makes its first page private, and size 0, which no
 * chunk has, says that nothing is left in it. */
static void close_last(struct fz_chunk *last)
{
    if (last != NULL)
        last->size = 0;
}

/* fork copied it page by page while other threads were running. What they wrote may be anywhere up to the end of what
 * is committed, and isn't from one moment. */
static bool is_copied_by_fork(const struct filz_heap *heap)
{
    return heap->backing.growth == FZ_PRIVATE;
}

/* The tails belong to other threads, which may have allocated from them since, and still do if nothing was copied. Only
 * the chunk of the thread that forked is unchanged. */
static void restore(struct filz_heap *heap)
{
    const struct fz_snapshot *snapshot = &heap->snapshot;
    size_t end = larger_of(heap->cursor, snapshot->cursor);
    fz_unpoison(heap->backing.base, fz_heap_committed_end(heap));
    bool was_private = is_copied_by_fork(heap);
    bool is_copy = was_private || become_copy(heap, snapshot->copy, &end);
    if (!is_copy) {
        fz_backing_become_private(&heap->backing, end);
        fz_thread_cache_forget(heap->id);
    }
    struct fz_chunk *active = fz_thread_cache_chunk(heap->id);
    heap->tails = active != NULL ? active->offset : 0;
    if (active != NULL)
        active->next_tail = 0;
    if (heap->backing.growth == FZ_NOWHERE)
        return; /* the memory may still be the parent's */
    if (!is_copy)
        close_last(snapshot->last);
    heap->fresh = was_private ? fz_heap_committed_end(heap) : heap->backing.base + end;
    fz_heap_set_cursor(heap, end);
    fz_chunk_settle_last(heap, snapshot->last);
    heap->last = is_copy ? snapshot->last : NULL;
    fz_chunk_poison_tail(active);
    fz_poison(fz_heap_cursor(heap), fz_heap_committed_end(heap));
}

/* Another thread has opened or reset it since the snapshot. */
static void disown(struct filz_heap *heap)
{
    fz_os_close(&heap->snapshot.copy);
    fz_thread_cache_forget(heap->id);
    heap->backing.growth = FZ_NOWHERE;
}

static void after_fork_in_child(void)
{
    fz_lock_anew();
    if (fz_os_forked())
        fz_os_watch_forks();
    pthread_mutex_unlock(&forking);
    for (struct filz_heap *heap = fz_heaps; heap != NULL; heap = heap->next) {
        bool may_change = fz_backing_may_change(&heap->backing);
        if (may_change && heap->snapshot.id == heap->id)
            restore(heap);
        else if (may_change)
            disown(heap);
        heap->snapshot.copy.fd = -1;
        fz_reuse_begin(heap);
    }
}

void fz_register_fork_handlers(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}
