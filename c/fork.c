/* A shared mapping must not be used by two allocators. fork(2) is therefore made to give the child a heap of its own
 * with the same contents at the same addresses: the parent copies what is in use to a file without a name, and the
 * child maps that. Where that can't be done, the child maps the parent's file privately.
 *
 * The handlers are registered when the library is loaded, so that they run after the program's own in the parent, and
 * before them in the child. vfork(2) and posix_spawn(3) don't run them, nor need they. */
#define _GNU_SOURCE 1
#include "fork.h"

#include "heap_file.h"
#include "thread_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/* A page that the kernel clears in every child: not 1 means that this process was forked since. */
static unsigned char *canary;

static int cancel_state_at_fork;

void filz_fork_watch(void)
{
    if (canary != NULL)
        return;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *wiped = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (wiped == MAP_FAILED)
        return;
    /* A kernel before 4.14 can't: then such a child isn't noticed. */
    if (madvise(wiped, page, MADV_WIPEONFORK) != 0) {
        munmap(wiped, page);
        return;
    }
    *wiped = 1;
    __atomic_store_n(&canary, wiped, __ATOMIC_RELEASE);
}

static void make_private(struct filz_heap *heap)
{
    filz_thread_cache_forget(heap->id);
    if (filz_heap_make_private(heap) != 0)
        heap->capacity = heap->header->cursor; /* no more blocks, rather than blocks that the parent would see */
}

void filz_fork_notice(void)
{
    unsigned char *wiped = __atomic_load_n(&canary, __ATOMIC_ACQUIRE);
    if (wiped == NULL || __atomic_load_n(wiped, __ATOMIC_RELAXED) == 1)
        return;
    filz_heaps_lock_anew();
    for (struct filz_heap *heap = filz_heaps; heap != NULL; heap = heap->next)
        make_private(heap);
    *wiped = 1;
}

/* A heap that is private already is copied by fork itself. */
static bool is_private(const struct filz_heap *heap)
{
    return heap->place.file.fd < 0;
}

static bool wants_copies(void)
{
    const char *mode = secure_getenv("FILZ_FORK");
    return mode == NULL || strcmp(mode, "private") != 0;
}

static void before_fork(void)
{
    filz_heaps_lock(&cancel_state_at_fork);
    bool copies = wants_copies();
    for (struct filz_heap *heap = filz_heaps; heap != NULL; heap = heap->next) {
        heap->copy.fd = -1;
        if (copies && !is_private(heap))
            filz_heap_copy(heap, &heap->copy);
    }
}

static void after_fork_in_parent(void)
{
    for (struct filz_heap *heap = filz_heaps; heap != NULL; heap = heap->next)
        filz_file_close(&heap->copy);
    filz_heaps_unlock(cancel_state_at_fork);
}

static void after_fork_in_child(void)
{
    for (struct filz_heap *heap = filz_heaps; heap != NULL; heap = heap->next) {
        if (is_private(heap))
            continue;
        if (heap->copy.fd < 0 || filz_heap_adopt(heap, heap->copy) != 0) {
            filz_file_close(&heap->copy);
            make_private(heap);
        }
        heap->copy.fd = -1;
    }
    if (canary != NULL)
        *canary = 1;
    filz_heaps_unlock(cancel_state_at_fork);
}

__attribute__((constructor)) static void register_handlers(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}
