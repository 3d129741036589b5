/* A shared mapping must not be used by two allocators. fork(2) is therefore made to give the child a heap of its own
 * with the same contents at the same addresses: the parent copies what is in use to a file without a name, and the
 * child maps that. Where that can't be done, the child maps the parent's file privately.
 *
 * The handlers are registered when the library is loaded, before the program's own constructors run: so the first of
 * them runs after those of the program, and the two others before. vfork(2) and posix_spawn(3) don't run them, nor need
 * they. */
#define _GNU_SOURCE 1
#define _FILE_OFFSET_BITS 64
#include "fork.h"

#include "heap_file.h"
#include "thread_cache.h"

#include <errno.h>
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

/* Of the thread that forks, which has the lock. */
static int cancel_state_at_fork;

void filz_fork_watch(void)
{
    if (canary != NULL)
        return;
    size_t page = filz_page_size();
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

/* The next run of bytes from `start` on that were ever written; all, where the file can't tell. */
static void next_written(const struct filz_heap *heap, size_t *start, size_t *end)
{
    *end = heap->cursor;
    if (heap->origin != 0 || heap->file.hides_stores || !filz_file_is_open(&heap->file))
        return;
    off_t data = lseek(heap->file.fd, (off_t)*start, SEEK_DATA);
    off_t hole = data < 0 ? -1 : lseek(heap->file.fd, data, SEEK_HOLE);
    if (data < 0 && errno == ENXIO)
        *start = *end;
    if (hole < 0)
        return;
    *start = (size_t)data < *end ? (size_t)data : *end;
    *end = (size_t)hole < *end ? (size_t)hole : *end;
}

/* From memory, not from file to file: this needs no descriptor of the heap's own, and the copy takes up blocks of its
 * own, where copy_file_range(2) might share them, so that the next store on a full disk would be SIGBUS. */
static int write_from(const struct filz_heap *heap, int fd, size_t start, size_t end)
{
    while (start < end) {
        ssize_t written = pwrite(fd, (const char *)heap->header + start, end - start, (off_t)start);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? errno : ENOSPC;
        start += (size_t)written;
    }
    return 0;
}

/* Copies what is in use to a file without a name, for the child. */
static int copy_heap(const struct filz_heap *heap, struct filz_file *copy)
{
    size_t used = heap->cursor;
    int error = filz_place_open_nameless(copy, heap->place.path);
    if (error != 0)
        return error;
    error = filz_file_extend(copy, 0, used);
    for (size_t start = 0, end; error == 0 && start < used; start = end) {
        next_written(heap, &start, &end);
        error = write_from(heap, copy->fd, start, end);
    }
    if (error != 0)
        filz_file_close(copy);
    return error;
}

/* The parent keeps the file, and what happens to it in the end. */
static void become(struct filz_heap *heap, struct filz_file file)
{
    filz_file_close(&heap->file);
    heap->kept = false;
    heap->file = file;
    heap->place.fate = FILZ_NAMELESS;
    heap->origin = 0;
}

/* From here on the heap is the copy. */
static int adopt(struct filz_heap *heap, struct filz_file copy)
{
    if (mmap(heap->header, heap->cursor, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, copy.fd, 0) == MAP_FAILED)
        return errno;
    become(heap, copy);
    int error = filz_heap_hide(heap, 0, heap->cursor);
    return error != 0 ? error : filz_heap_uncommit(heap, heap->cursor);
}

/* Without the file's descriptor, or with the heap in two files, what is in use is copied to anonymous memory. */
static int replace_by_anonymous(struct filz_heap *heap, size_t used)
{
    void *memory = mmap(NULL, used, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return errno;
    memcpy(memory, heap->header, used);
    if (mremap(memory, used, used, MREMAP_MAYMOVE | MREMAP_FIXED, heap->header) != MAP_FAILED)
        return 0;
    int error = errno;
    munmap(memory, used);
    return error;
}

static bool map_file(struct filz_heap *heap, size_t used, int protection, int kind)
{
    return mmap(heap->header, used, protection, kind | MAP_FIXED | MAP_NORESERVE, heap->file.fd, 0) != MAP_FAILED;
}

/* Writable in a second step: a system that counts (vm.overcommit_memory of 2) may refuse that, and kernels before 6.12
 * have by then taken away what a refused mapping was to replace. */
static int map_privately(struct filz_heap *heap, size_t used)
{
    if (heap->origin == 0 && filz_file_is_open(&heap->file) && map_file(heap, used, PROT_READ, MAP_PRIVATE)) {
        if (mprotect(heap->header, used, PROT_READ | PROT_WRITE) == 0)
            return 0;
        map_file(heap, used, PROT_READ | PROT_WRITE, MAP_SHARED);
    }
    return replace_by_anonymous(heap, used);
}

/* The parent goes on moving the cursor, and the end of its last chunk: not in this process. */
static void own_headers(struct filz_heap *heap)
{
    struct filz_chunk *last = heap->last;
    filz_heap_set_cursor(heap, heap->cursor);
    if (last == NULL)
        return;
    last->end = filz_heap_cursor(heap);
    if (filz_chunk_left(last) > filz_chunk_size(last) - sizeof(*last))
        filz_chunk_set_left(last, 0);
}

static bool map_anonymous(struct filz_heap *heap, size_t start, size_t end, int protection)
{
    return start == end || mmap((char *)heap->header + start, end - start, protection,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED;
}

static size_t halfway(const struct filz_heap *heap, size_t start, size_t end)
{
    return start + align_down((end - start) / 2, heap->page_size);
}

/* Makes all behind `used` memory without a file, and the capacity less where the system doesn't let the process have so
 * much (vm.overcommit_memory of 2): half of what it does, since others need some too. */
static void grow_anonymously(struct filz_heap *heap, size_t used)
{
    size_t end = heap->capacity;
    while (!map_anonymous(heap, used, end, PROT_READ | PROT_WRITE))
        end = halfway(heap, used, end);
    if (end < heap->capacity)
        end = halfway(heap, used, end);
    map_anonymous(heap, end, heap->capacity, PROT_NONE);
    heap->capacity = end;
}

/* From here on what this process writes to the heap stays its own; growth is anonymous memory. */
static int go_private(struct filz_heap *heap)
{
    size_t used = heap->cursor;
    int error = map_privately(heap, used);
    if (error != 0)
        return error;
    grow_anonymously(heap, used);
    become(heap, (struct filz_file){.fd = -1});
    error = filz_heap_hide(heap, 0, heap->capacity);
    if (error != 0)
        return error;
    heap->committed = heap->capacity;
    own_headers(heap);
    return 0;
}

/* The rests of chunks stay unused: the parent goes on in them. */
static void make_private(struct filz_heap *heap)
{
    filz_thread_cache_forget(heap->id);
    heap->place.fate = FILZ_NAMELESS; /* the file is the parent's, whatever happens here */
    /* No more blocks, rather than blocks that the parent would see. */
    if (go_private(heap) != 0)
        heap->capacity = heap->committed = heap->cursor;
    heap->last = NULL;
    heap->rests = NULL;
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
    return heap->file.fd < 0;
}

static bool wants_copies(void)
{
    const char *mode = secure_getenv("FILZ_FORK");
    return mode == NULL || strcmp(mode, "private") != 0;
}

static void before_fork(void)
{
    int cancel_state;
    filz_heaps_lock(&cancel_state);
    cancel_state_at_fork = cancel_state;
    bool copies = wants_copies();
    for (struct filz_heap *heap = filz_heaps; heap != NULL; heap = heap->next) {
        heap->copy.fd = -1;
        if (copies && !is_private(heap))
            copy_heap(heap, &heap->copy);
    }
}

static void after_fork_in_parent(void)
{
    for (struct filz_heap *heap = filz_heaps; heap != NULL; heap = heap->next) {
        heap->lent |= heap->copy.fd < 0 && !is_private(heap);
        filz_file_close(&heap->copy);
    }
    filz_heaps_unlock(cancel_state_at_fork);
}

static void after_fork_in_child(void)
{
    for (struct filz_heap *heap = filz_heaps; heap != NULL; heap = heap->next) {
        if (is_private(heap))
            continue;
        if (heap->copy.fd < 0 || adopt(heap, heap->copy) != 0) {
            filz_file_close(&heap->copy);
            make_private(heap);
        }
        heap->copy.fd = -1;
    }
    if (canary != NULL)
        *canary = 1;
    filz_heaps_unlock(cancel_state_at_fork);
}

__attribute__((constructor(101))) static void register_handlers(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}
