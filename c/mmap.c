/* The public functions of the mmap allocator. The fast path is filz_chunk_bump (chunk.h) on the calling thread's open
 * chunk; what a thread can't do in its own chunk is under the lock, and off to the side. */
#define _GNU_SOURCE 1
#include "filz/mmap.h"

#include "heap_file.h"
#include "thread_cache.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static size_t id_of(const filz_mmap *self)
{
    return __atomic_load_n(&self->id, __ATOMIC_RELAXED);
}

static void set_id(filz_mmap *self, size_t id)
{
    __atomic_store_n(&self->id, id, __ATOMIC_RELAXED);
}

/* The calling thread's open chunk, if this is the heap that it used last; else NULL. */
static struct filz_chunk *chunk_at_hand(const filz_mmap *self)
{
    const struct filz_cache_entry *entry = &filz_thread_cache.entries[0];
    return entry->heap_id == id_of(self) ? entry->chunk : NULL;
}

/* --- the slow paths --- */

/* Standard error may be a pipe that nobody reads (SIGPIPE), or a file at its size limit (SIGXFSZ). */
static void write_without_signal(const char *line, size_t length)
{
    sigset_t deadly, before;
    sigemptyset(&deadly);
    sigaddset(&deadly, SIGPIPE);
    sigaddset(&deadly, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &deadly, &before);
    if (write(STDERR_FILENO, line, length) < 0 && (errno == EPIPE || errno == EFBIG))
        sigtimedwait(&deadly, NULL, &(struct timespec){0});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* One line on standard error, once for each heap: all that a Rust program would say is 'memory allocation failed'. Not
 * inlined, so that the stack doesn't hold the line while the heap is opened: a thread may have no more than 16 KiB. */
__attribute__((noinline)) static void complain(filz_mmap *self, const char *about, int error)
{
    const char *quiet = secure_getenv("FILZ_QUIET");
    if (self->complained || (quiet != NULL && strcmp(quiet, "1") == 0))
        return;
    self->complained = 1;
    char line[FILZ_PATH_MAX + 200];
    snprintf(line, sizeof(line), "filz: %s%scan't open the heap: %s (errno %d)\n", about, about[0] != '\0' ? ": " : "",
             filz_mmap_reason(error), error);
    size_t length = strlen(line);
    for (size_t i = 0; i < length - 1; i++)
        line[i] = (unsigned char)line[i] < ' ' ? '?' : line[i]; /* a file's name may have more lines than one */
    write_without_signal(line, length);
}

static int open_or_complain(filz_mmap *self)
{
    char about[FILZ_PATH_MAX + 1];
    int error = filz_heap_open(self, about);
    if (error != 0)
        complain(self, about, error);
    return error;
}

/* Brings the pages in with one call instead of a fault for each; not under the lock, since no other thread uses them.
 * It is only a hint: an old kernel doesn't know MADV_POPULATE_WRITE. Writing is a cancellation point. */
static void unlock_and_bring_in(const struct filz_heap *heap, struct filz_span pages, int cancel_state)
{
    size_t length = pages.end - pages.start;
    if (length < FILZ_LITTLE) {
        filz_heaps_unlock(cancel_state);
        return;
    }
    size_t offset;
    struct filz_file file = heap->file;
    bool in_file = filz_heap_offset_in_file(heap, pages.start, &offset);
    filz_heaps_unlock(PTHREAD_CANCEL_DISABLE);
    if (!in_file || !filz_file_write_ahead(&file, offset, length))
        madvise((void *)pages.start, length, MADV_POPULATE_WRITE);
    pthread_setcancelstate(cancel_state, NULL);
}

/* Returns 0 or an errno value. */
static int serve(filz_mmap *self, size_t size, size_t align, void **block)
{
    struct filz_span fresh_pages = {0, 0};
    int cancel_state;
    filz_heaps_lock(&cancel_state);
    int error = self->heap != NULL ? 0 : open_or_complain(self);
    if (error == 0) {
        size_t id = self->heap->id;
        struct filz_chunk *chunk = filz_thread_cache_chunk(id);
        *block = filz_chunk_serve(self->heap, &chunk, size, align, &fresh_pages);
        if (*block == NULL)
            error = ENOMEM;
        else
            filz_thread_cache_put(id, chunk);
    }
    unlock_and_bring_in(self->heap, fresh_pages, cancel_state);
    return error;
}

__attribute__((noinline)) static void *alloc_slow(filz_mmap *self, size_t size, size_t align)
{
    if (!is_power_of_two(align)) {
        errno = EINVAL;
        return NULL;
    }
    if (size == 0 || filz_thread_cache_select(id_of(self)))
        return filz_mmap_alloc(self, at_least_one(size), align);
    int errno_before = errno;
    void *block = NULL;
    int error = serve(self, size, align, &block);
    errno = error != 0 ? error : errno_before;
    return block;
}

static bool grow_slow(filz_mmap *self, uintptr_t block_end, size_t extra)
{
    struct filz_span fresh_pages = {0, 0};
    int errno_before = errno;
    int cancel_state;
    filz_heaps_lock(&cancel_state);
    bool grown =
        filz_chunk_grow_block(self->heap, filz_thread_cache_chunk(self->heap->id), block_end, extra, &fresh_pages);
    unlock_and_bring_in(self->heap, fresh_pages, cancel_state);
    errno = errno_before;
    return grown;
}

static void trim_slow(filz_mmap *self, struct filz_chunk *chunk, uintptr_t block_end)
{
    int cancel_state;
    filz_heaps_lock(&cancel_state);
    filz_chunk_trim(self->heap, chunk, block_end);
    filz_heaps_unlock(cancel_state);
}

/* --- open and close --- */

int filz_mmap_open(filz_mmap *self)
{
    char about[FILZ_PATH_MAX + 1];
    int cancel_state;
    filz_heaps_lock(&cancel_state);
    int error = self->heap != NULL ? 0 : filz_heap_open(self, about);
    filz_heaps_unlock(cancel_state);
    return error;
}

int filz_mmap_close(filz_mmap *self)
{
    int cancel_state;
    filz_heaps_lock(&cancel_state);
    if (self->heap != NULL) {
        filz_thread_cache_forget(self->heap->id);
        filz_heap_close(self->heap);
        self->heap = NULL;
        set_id(self, 0);
    }
    filz_heaps_unlock(cancel_state);
    return 0;
}

int filz_mmap_reset(filz_mmap *self)
{
    int cancel_state;
    filz_heaps_lock(&cancel_state);
    if (self->heap != NULL) {
        filz_thread_cache_forget(self->heap->id);
        filz_heap_reset(self->heap);
        set_id(self, self->heap->id);
    }
    filz_heaps_unlock(cancel_state);
    return 0;
}

/* --- blocks --- */

void *filz_mmap_alloc(filz_mmap *self, size_t size, size_t align)
{
    void *block;
    const struct filz_cache_entry *at_hand = &filz_thread_cache.entries[0];
    if (at_hand->heap_id == id_of(self) && (align & (align - 1)) == 0 &&
        filz_chunk_bump(at_hand->chunk, size, align, &block))
        return block;
    return alloc_slow(self, size, align);
}

#ifndef NDEBUG
/* For assertions: whether `block` may be one of this heap's, of `size` bytes: all of it was handed out from one chunk.
 */
static bool was_handed_out(const filz_mmap *self, const void *block, size_t size)
{
    bool found = false;
    uintptr_t start = (uintptr_t)block;
    int cancel_state;
    filz_heaps_lock(&cancel_state);
    struct filz_chunk *chunk = NULL;
    while (!found && self->heap != NULL && (chunk = filz_chunk_next(self->heap, chunk)) != NULL) {
        uintptr_t first = (uintptr_t)(chunk + 1);
        uintptr_t cursor = filz_chunk_cursor(chunk);
        found = start >= first && start < cursor && size <= cursor - start;
    }
    filz_heaps_unlock(cancel_state);
    return found;
}
#endif

/* From where on the memory around `block`, just handed out, was never handed out before. */
static uintptr_t fresh_from(const filz_mmap *self, uintptr_t block)
{
    const struct filz_chunk *chunk = filz_thread_cache.entries[0].chunk;
    if (block - (uintptr_t)chunk < filz_chunk_size(chunk))
        return chunk->fresh;
    return __atomic_load_n(&self->heap->fresh, __ATOMIC_RELAXED);
}

void *filz_mmap_alloc_zeroed(filz_mmap *self, size_t size, size_t align)
{
    void *block = filz_mmap_alloc(self, size, align);
    if (block == NULL)
        return NULL;
    uintptr_t start = (uintptr_t)block;
    uintptr_t fresh = fresh_from(self, start);
    if (start < fresh)
        memset(block, 0, size < fresh - start ? size : fresh - start);
    return block;
}

/* The thread's newest block shrinks: what it gives back can be handed out again, and isn't zero any more. */
static void shrink_newest(filz_mmap *self, struct filz_chunk *chunk, uintptr_t old_end, size_t less)
{
    size_t left = filz_chunk_left(chunk) + less;
    if (!filz_chunk_end_suits(chunk->end, left)) {
        trim_slow(self, chunk, old_end - less);
        return;
    }
    if (chunk->fresh < old_end)
        chunk->fresh = old_end;
    filz_chunk_set_left(chunk, left);
}

/* Resizes the block where it stands, if it can. */
static bool resize_in_place(filz_mmap *self, uintptr_t block, size_t size, size_t new_size)
{
    filz_thread_cache_select(id_of(self));
    struct filz_chunk *chunk = chunk_at_hand(self);
    bool newest = chunk != NULL && filz_chunk_cursor(chunk) == block + size;
    if (new_size <= size) {
        if (newest)
            shrink_newest(self, chunk, block + size, size - new_size);
        return true;
    }
    size_t extra = new_size - size;
    if (newest && extra <= filz_chunk_left(chunk)) {
        filz_chunk_set_left(chunk, filz_chunk_left(chunk) - extra);
        return true;
    }
    return grow_slow(self, block + size, extra);
}

void *filz_mmap_realloc(filz_mmap *self, void *block, size_t size, size_t align, size_t new_size)
{
    if (block == NULL)
        return filz_mmap_alloc(self, new_size, align);
    if (!is_power_of_two(align)) {
        errno = EINVAL;
        return NULL;
    }
    assert(padding_for((uintptr_t)block, align) == 0 && was_handed_out(self, block, size));
    if (resize_in_place(self, (uintptr_t)block, at_least_one(size), at_least_one(new_size)))
        return block;
    void *copy = filz_mmap_alloc(self, new_size, align);
    return copy != NULL ? memcpy(copy, block, size) : NULL;
}

void filz_mmap_dealloc(filz_mmap *self, void *block, size_t size, size_t align)
{
    (void)self, (void)block, (void)size, (void)align;
}

/* --- looking at a heap --- */

bool filz_mmap_owns(const filz_mmap *self, const void *address)
{
    if (__atomic_load_n(&self->id, __ATOMIC_ACQUIRE) == 0)
        return false;
    return (uintptr_t)address - filz_heap_base(self->heap) < self->heap->capacity;
}

static void count_chunks(const struct filz_heap *heap, filz_mmap_info *info)
{
    info->used = heap->page_size;
    for (struct filz_chunk *chunk = NULL; (chunk = filz_chunk_next(heap, chunk)) != NULL;) {
        info->chunks++;
        info->blocks += filz_chunk_blocks(chunk);
        info->used += filz_chunk_size(chunk) - filz_chunk_left(chunk);
    }
}

int filz_mmap_stats(const filz_mmap *self, filz_mmap_info *out)
{
    int cancel_state;
    filz_heaps_lock(&cancel_state);
    const struct filz_heap *heap = self->heap;
    if (heap != NULL) {
        *out = (filz_mmap_info){
            .path = heap->place.fate == FILZ_NAMELESS ? NULL : heap->place.path,
            .capacity = heap->capacity,
            .committed = heap->committed,
            .reserved = heap->cursor,
            .threads = heap->header->threads,
            .page_size = heap->page_size,
        };
        count_chunks(heap, out);
    }
    filz_heaps_unlock(cancel_state);
    return heap != NULL ? 0 : EBADF;
}

/* The pages [first, first + count) of a heap, and what is known of them. */
struct page_view {
    size_t first, count;
    unsigned char *states;
};

/* mincore(2) writes one byte a page, with the lowest bit set for those in RAM: just as long as the answer. */
static void mark_residency(const struct filz_heap *heap, struct page_view view)
{
    void *start = (char *)heap->header + view.first * heap->page_size;
    bool known = mincore(start, view.count * heap->page_size, view.states) == 0;
    for (size_t i = 0; i < view.count; i++)
        view.states[i] = known && (view.states[i] & 1) ? FILZ_PAGE_IN_RAM : 0;
}

static void mark(struct page_view view, size_t first, size_t last, unsigned bits)
{
    for (size_t i = first > view.first ? first : view.first; i < last && i < view.first + view.count; i++)
        view.states[i - view.first] |= (unsigned char)bits;
}

static void mark_chunks(const struct filz_heap *heap, struct page_view view)
{
    mark(view, 0, 1, FILZ_PAGE_USED);
    for (struct filz_chunk *chunk = NULL; (chunk = filz_chunk_next(heap, chunk)) != NULL;) {
        size_t start = ((uintptr_t)chunk - filz_heap_base(heap)) / heap->page_size;
        size_t end = (chunk->end - filz_heap_base(heap)) / heap->page_size;
        size_t used_end =
            (align_up(filz_chunk_cursor(chunk), heap->page_size) - filz_heap_base(heap)) / heap->page_size;
        unsigned thread = (chunk->owner - 1) % 31 + 1;
        mark(view, start, used_end, FILZ_PAGE_USED | thread << 3);
        mark(view, used_end, end, FILZ_PAGE_REST | thread << 3);
    }
}

size_t filz_mmap_pages(const filz_mmap *self, size_t first, size_t count, unsigned char *states)
{
    struct page_view view = {first, 0, states};
    int cancel_state;
    filz_heaps_lock(&cancel_state);
    const struct filz_heap *heap = self->heap;
    size_t pages = heap != NULL ? heap->committed / heap->page_size : 0;
    if (first < pages && count > 0) {
        view.count = count < pages - first ? count : pages - first;
        mark_residency(heap, view);
        mark_chunks(heap, view);
    }
    filz_heaps_unlock(cancel_state);
    return view.count;
}
