/* The public functions of the mmap allocator; only this file uses their handle. The fast path is fz_chunk_bump
 * (chunk.h) on the calling thread's active chunk. What a thread can't do in its own chunk is in the slow paths, under
 * the lock. */
#include "filz/mmap.h"

#include "reuse.h"
#include "thread_cache.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static size_t id_of(const filz_mmap *self)
{
    return __atomic_load_n(&self->id, __ATOMIC_RELAXED);
}

static void set_id(filz_mmap *self, size_t id)
{
    __atomic_store_n(&self->id, id, __ATOMIC_RELEASE);
}

/* 0 if the heap is open and this process's. Under the lock. */
static int check_open(const filz_mmap *self)
{
    if (self->heap == NULL)
        return FILZ_ECLOSED;
    return self->heap->backing.growth == FZ_NOWHERE ? FILZ_EFORKED : 0;
}

/* 0 if it may be changed too. Under the lock. */
static int check_writable(const filz_mmap *self)
{
    int error = check_open(self);
    return error == 0 && self->heap->backing.growth == FZ_READ_ONLY ? EROFS : error;
}

/* At load, before the program's own constructors, so that the first handler runs after those of the program, and the
 * two others before. vfork(2) and posix_spawn(3) don't run them, and don't need them. */
__attribute__((constructor(101))) static void at_load(void)
{
    fz_register_fork_handlers();
}

/* --- the slow paths --- */

static int open_heap(filz_mmap *self, struct fz_about *about)
{
    const struct fz_settings settings = {self->path, self->capacity, self->flags, self->tag, self->base};
    struct filz_heap *heap; /* set in the handle when whole, because another thread may fork */
    int error = fz_heap_open(&settings, &heap, about);
    if (error == 0) {
        self->heap = heap;
        set_id(self, heap->id);
    }
    return error;
}

/* Appends to the line like printf. Control characters become '?', because a file's name may have several lines. */
__attribute__((format(printf, 3, 4))) static void append_text(char *line, size_t room, const char *format, ...)
{
    size_t length = strlen(line);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + length, room - length, format, arguments);
    va_end(arguments);
    for (char *c = line + length; *c != '\0'; c++)
        *c = (unsigned char)*c < ' ' ? '?' : *c;
}

/* One line on standard error, once for each heap: a Rust program would say only 'memory allocation failed'. */
__attribute__((noinline)) static void report(filz_mmap *self, const struct fz_about *about, int error)
{
    const char *quiet = fz_os_environment("FILZ_QUIET");
    if (self->reported || (quiet != NULL && strcmp(quiet, "1") == 0))
        return;
    self->reported = 1;
    char line[sizeof(about->text) + 300] = "filz: ";
    if (about->text[0] != '\0')
        append_text(line, sizeof(line), "%s: ", about->text);
    append_text(line, sizeof(line), "can't open the heap: ");
    const char *reason = about->reason != NULL ? about->reason : filz_error_text(error);
    if (error > 0)
        append_text(line, sizeof(line), "%s: %s (errno %d)", fz_os_failed_call(), reason, error);
    else
        append_text(line, sizeof(line), "%s (filz error %d)", reason, error);
    strcat(line, "\n");
    fz_os_report(line, strlen(line));
}

/* Not inlined, to keep a path off the caller's stack: a thread may have only 16 KiB. */
__attribute__((noinline)) static int open_or_report(filz_mmap *self)
{
    struct fz_about about;
    int error = open_heap(self, &about);
    if (error != 0)
        report(self, &about, error);
    return error;
}

/* Prefaults without the lock, because no other thread uses the pages. */
static void unlock_and_prefault(int cancel_state, const struct fz_fresh_pages *fresh_pages)
{
    fz_unlock_uncancelled();
    fz_backing_prefault(fresh_pages);
    fz_allow_cancelling(cancel_state);
}

/* Returns 0 or an error like filz_mmap_open. If the heap is the parent's, this thread doesn't allocate again in its
 * chunk. */
static int alloc_in_heap(filz_mmap *self, size_t size, size_t align, void **block)
{
    struct fz_fresh_pages fresh_pages = {.start = 0};
    int cancel_state;
    fz_lock(&cancel_state);
    int error = self->heap != NULL ? 0 : open_or_report(self);
    if (error == 0) {
        struct fz_chunk *active = fz_thread_cache_chunk(self->heap->id);
        *block = fz_chunk_alloc(self->heap, &active, size, align, &fresh_pages);
        if (*block != NULL)
            fz_thread_cache_put(self->heap->id, active);
        else
            error = check_writable(self) == EROFS ? EROFS : ENOMEM;
        if (check_open(self) != 0)
            fz_thread_cache_forget(self->heap->id);
    }
    unlock_and_prefault(cancel_state, &fresh_pages);
    return error;
}

__attribute__((noinline)) static void *alloc_slow(filz_mmap *self, size_t size, size_t align)
{
    if (!is_power_of_two(align)) {
        errno = EINVAL;
        return NULL;
    }
    if (size == 0 || fz_thread_cache_select(id_of(self)))
        return filz_mmap_alloc(self, at_least_one(size), align);
    int errno_before = errno;
    void *block = NULL;
    int error = alloc_in_heap(self, size, align, &block);
    errno = error == 0 ? errno_before : error > 0 ? error : ENOMEM;
    return block;
}

/* Grows the block in place, or finds it space that another block has left; NULL if there is none. */
static void *grow_slow(filz_mmap *self, void *block, size_t size, size_t align, size_t new_size)
{
    struct fz_fresh_pages fresh_pages = {.start = 0};
    uintptr_t block_end = (uintptr_t)block + size;
    int errno_before = errno;
    int cancel_state;
    fz_lock(&cancel_state);
    struct fz_chunk *active = fz_thread_cache_chunk(self->heap->id);
    void *place = block;
    if (!fz_chunk_grow_block(self->heap, active, block_end, new_size - size, &fresh_pages))
        place = fz_reuse_take(self->heap, new_size, align);
    unlock_and_prefault(cancel_state, &fresh_pages);
    errno = errno_before;
    return place;
}

static void shrink_slow(filz_mmap *self, uintptr_t old_end, uintptr_t block_end)
{
    int cancel_state;
    fz_lock(&cancel_state);
    fz_chunk_shrink_block(self->heap, fz_thread_cache_chunk(self->heap->id), old_end, block_end);
    fz_unlock(cancel_state);
}

/* --- open and close --- */

int filz_mmap_open(filz_mmap *self)
{
    struct fz_about about;
    int cancel_state;
    fz_lock(&cancel_state);
    int error = self->heap != NULL ? check_open(self) : open_heap(self, &about);
    fz_unlock(cancel_state);
    return error;
}

/* Under the lock. */
static void close_heap(filz_mmap *self)
{
    struct filz_heap *heap = self->heap;
    self->heap = NULL;
    set_id(self, 0);
    fz_thread_cache_leave(heap);
    fz_heap_close(heap);
}

int filz_mmap_close(filz_mmap *self)
{
    int cancel_state;
    fz_lock(&cancel_state);
    if (self->heap != NULL)
        close_heap(self);
    fz_unlock(cancel_state);
    return 0;
}

int filz_mmap_reset(filz_mmap *self)
{
    int error = 0, cancel_state;
    fz_lock(&cancel_state);
    if (self->heap != NULL) {
        size_t id = self->heap->id;
        error = check_writable(self);
        if (error == 0)
            error = fz_heap_reset(self->heap);
        if (error == 0)
            fz_thread_cache_forget(id);
        set_id(self, self->heap->id);
    }
    fz_unlock(cancel_state);
    return error;
}

/* --- blocks --- */

void *filz_mmap_alloc(filz_mmap *self, size_t size, size_t align)
{
    void *block;
    const struct fz_active *active = &fz_active;
    if (active->heap_id == id_of(self) && (align & (align - 1)) == 0 &&
        fz_chunk_bump(active->chunk, size, align, &block)) {
        fz_unpoison((uintptr_t)block, (uintptr_t)block + size);
        return block;
    }
    return alloc_slow(self, size, align);
}

#ifndef NDEBUG
/* For assertions: whether `block`, of `size` bytes, can be this heap's: all of it was allocated from one chunk. True if
 * a chunk's header is damaged. */
static bool is_in_a_chunk(const filz_mmap *self, const void *block, size_t size)
{
    bool found = false;
    int error = 0;
    uintptr_t start = (uintptr_t)block;
    int cancel_state;
    fz_lock(&cancel_state);
    struct fz_chunk *chunk = NULL;
    if (self->heap != NULL)
        fz_heap_follow(self->heap);
    while (!found && self->heap != NULL && (error = fz_chunk_next(self->heap, &chunk)) == 0 && chunk != NULL) {
        uintptr_t first = (uintptr_t)(chunk + 1);
        uintptr_t cursor = fz_chunk_cursor(chunk);
        found = start >= first && start < cursor && size <= cursor - start;
    }
    fz_unlock(cancel_state);
    return found || error != 0;
}
#endif

/* The address near `block`, just allocated, after which nothing was allocated before. */
static uintptr_t fresh_from(const filz_mmap *self, uintptr_t block)
{
    const struct fz_chunk *chunk = fz_active.chunk;
    if (block - (uintptr_t)chunk < chunk->size)
        return fz_chunk_fresh(chunk);
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
        memset(block, 0, smaller_of(size, fresh - start));
    return block;
}

/* The block shrinks. If it is the thread's newest, its end can be allocated again, and isn't zero any more; but what a
 * checkpoint may need isn't given back. */
static void shrink(filz_mmap *self, struct fz_chunk *chunk, uintptr_t old_end, uintptr_t block_end)
{
    bool newest = chunk != NULL && fz_chunk_cursor(chunk) == old_end;
    block_end = larger_of(block_end, fz_heap_synced_up_to(self->heap));
    if (block_end >= old_end)
        return;
    size_t left = newest ? fz_chunk_left(chunk) + (old_end - block_end) : 0;
    if (newest && fz_chunk_end_suits(fz_chunk_end(chunk), left)) {
        if (fz_chunk_fresh(chunk) < old_end)
            fz_chunk_set_fresh(chunk, old_end);
        fz_chunk_set_left(chunk, left);
    } else if (newest || old_end - block_end >= self->heap->backing.page_size) {
        shrink_slow(self, old_end, block_end); /* it may be the newest in a dedicated chunk */
    }
}

/* Resizes the block in place, if it can without the lock. */
static bool resize_in_place(filz_mmap *self, uintptr_t block, size_t size, size_t new_size)
{
    fz_thread_cache_select(id_of(self));
    struct fz_chunk *chunk = fz_active.heap_id == id_of(self) ? fz_active.chunk : NULL;
    if (new_size <= size) {
        fz_poison_shrunk(block + new_size, block + size);
        shrink(self, chunk, block + size, block + new_size);
        return true;
    }
    size_t extra = new_size - size;
    if (chunk != NULL && fz_chunk_cursor(chunk) == block + size && extra <= fz_chunk_left(chunk)) {
        fz_chunk_set_left(chunk, fz_chunk_left(chunk) - extra);
        fz_unpoison(block + size, block + new_size);
        return true;
    }
    return false;
}

static void *grow(filz_mmap *self, void *block, size_t size, size_t align, size_t new_size)
{
    void *place = grow_slow(self, block, size, align, new_size);
    if (place == NULL)
        place = filz_mmap_alloc(self, new_size, align);
    if (place == NULL || place == block)
        return place;
    memcpy(place, block, size);
    fz_reuse_leave(self->heap, (uintptr_t)block, size);
    return place;
}

void *filz_mmap_realloc(filz_mmap *self, void *block, size_t size, size_t align, size_t new_size)
{
    if (block == NULL)
        return filz_mmap_alloc(self, new_size, align);
    if (!is_power_of_two(align)) {
        errno = EINVAL;
        return NULL;
    }
    assert(padding_for((uintptr_t)block, align) == 0 && is_in_a_chunk(self, block, size));
    size = at_least_one(size);
    new_size = at_least_one(new_size);
    if (resize_in_place(self, (uintptr_t)block, size, new_size))
        return block;
    return grow(self, block, size, align, new_size);
}

void filz_mmap_dealloc(filz_mmap *self, void *block, size_t size, size_t align)
{
    (void)self, (void)block, (void)size, (void)align;
}

bool filz_mmap_owns(const filz_mmap *self, const void *address)
{
    if (__atomic_load_n(&self->id, __ATOMIC_ACQUIRE) == 0)
        return false;
    const struct fz_backing *backing = &self->heap->backing;
    return (uintptr_t)address - backing->base < __atomic_load_n(&backing->reserved, __ATOMIC_RELAXED);
}

/* --- the root, and the disk --- */

static bool is_in_chunks(const struct filz_heap *heap, const void *address)
{
    size_t offset = (uintptr_t)address - heap->backing.base;
    return offset >= heap->backing.page_size && offset < heap->cursor;
}

int filz_mmap_set_root(filz_mmap *self, const void *root)
{
    int cancel_state;
    fz_lock(&cancel_state);
    int error = check_writable(self);
    if (error == 0 && root != NULL && !is_in_chunks(self->heap, root))
        error = FILZ_EADDRESS;
    if (error == 0)
        __atomic_store_n(&self->heap->header->root, (uintptr_t)root, __ATOMIC_RELEASE);
    fz_unlock(cancel_state);
    return error;
}

/* For a reader, which maps only its capacity. A writer killed within a reset leaves the old root. */
static bool is_mapped_and_there(const struct filz_heap *heap, uintptr_t root)
{
    size_t offset = root - heap->backing.base;
    return offset < heap->backing.reserved && offset < __atomic_load_n(&heap->header->cursor, __ATOMIC_ACQUIRE);
}

void *filz_mmap_root(const filz_mmap *self)
{
    if (__atomic_load_n(&self->id, __ATOMIC_ACQUIRE) == 0)
        return NULL;
    const struct filz_heap *heap = self->heap;
    if (heap->backing.growth == FZ_READ_ONLY && !heap->is_followed)
        return (void *)heap->root_to_read;
    uintptr_t root = (uintptr_t)__atomic_load_n(&heap->header->root, __ATOMIC_ACQUIRE);
    return heap->is_followed && !is_mapped_and_there(heap, root) ? NULL : (void *)root;
}

/* First the data, then the checkpoint that refers to it. */
static int sync_heap(struct filz_heap *heap, const struct fz_checkpoint *checkpoint)
{
    struct fz_backing *backing = &heap->backing;
    bool name_too = !__atomic_load_n(&heap->name_is_synced, __ATOMIC_ACQUIRE);
    int error = fz_backing_sync(backing, (size_t)checkpoint->cursor, name_too);
    if (error != 0)
        return error;
    __atomic_store_n(&heap->name_is_synced, true, __ATOMIC_RELEASE);
    fz_lock(&(int){0});
    fz_heap_record_sync(heap, checkpoint);
    fz_unlock_uncancelled();
    return fz_backing_sync(backing, backing->page_size, false);
}

/* Not under the lock, because disks are slow. */
int filz_mmap_sync(filz_mmap *self)
{
    struct fz_checkpoint checkpoint = {0};
    int cancel_state;
    fz_lock(&cancel_state);
    struct filz_heap *heap = self->heap;
    int error = check_writable(self);
    if (error == 0 && (heap->backing.location.disposition == FZ_UNNAMED || heap->backing.growth != FZ_SHARED_FILE))
        error = FILZ_EUNNAMED;
    if (error == 0)
        checkpoint = fz_heap_begin_sync(heap);
    fz_unlock_uncancelled();
    if (error == 0)
        error = sync_heap(heap, &checkpoint);
    fz_allow_cancelling(cancel_state);
    return error;
}

/* --- its name --- */

/* Another file may have the name by now, or none. Under the lock. */
static bool has_its_name(const struct fz_backing *backing)
{
    return backing->location.disposition != FZ_UNNAMED && fz_os_is_at(&backing->file, backing->location.path);
}

int filz_mmap_publish(filz_mmap *self, const char *path)
{
    int cancel_state;
    int error = filz_mmap_sync(self);
    if (error != 0)
        return error;
    fz_lock(&cancel_state);
    error = check_writable(self);
    if (error == 0 && !has_its_name(&self->heap->backing))
        error = FILZ_EUNNAMED;
    if (error == 0) {
        const struct fz_backing *backing = &self->heap->backing;
        error = fz_location_publish(&backing->location, &backing->file, path);
        close_heap(self);
    }
    fz_unlock(cancel_state);
    return error;
}

bool filz_mmap_is_current(const filz_mmap *self)
{
    int cancel_state;
    fz_lock(&cancel_state);
    bool is_current = self->heap != NULL && has_its_name(&self->heap->backing);
    fz_unlock(cancel_state);
    return is_current;
}

/* --- how it is read --- */

#define SAME_ADVICE(name) _Static_assert((int)FILZ_ADVICE_##name == (int)FZ_##name, "they stand for each other")
_Static_assert((int)FILZ_ADVICE_AUTO == (int)FZ_NORMAL, "what was said before");
SAME_ADVICE(RANDOM);
SAME_ADVICE(SEQUENTIAL);
SAME_ADVICE(WILL_NEED);
SAME_ADVICE(COLD);
SAME_ADVICE(PAGE_OUT);

static void advise_all(struct filz_heap *heap, enum fz_advice advice)
{
    struct fz_backing *backing = &heap->backing;
    if (advice <= FZ_SEQUENTIAL) {
        backing->asked_for = advice;
        fz_backing_choose_advice(backing);
        advice = backing->advice; /* also for parts advised before */
    }
    fz_backing_advise(backing, backing->base, fz_heap_limit(heap), advice);
}

static int advise(struct filz_heap *heap, uintptr_t start, size_t size, enum fz_advice advice)
{
    const struct fz_backing *backing = &heap->backing;
    if (start == 0) {
        advise_all(heap, advice);
        return 0;
    }
    if (start - backing->base >= backing->reserved || size > backing->reserved - (start - backing->base))
        return FILZ_EADDRESS;
    fz_backing_advise(backing, start, start + size, advice == FZ_NORMAL ? backing->advice : advice);
    return 0;
}

int filz_mmap_advise(filz_mmap *self, const void *start, size_t size, enum filz_advice advice)
{
    int cancel_state;
    fz_lock(&cancel_state);
    int error = check_open(self);
    if (error == 0)
        error = advice <= FILZ_ADVICE_PAGE_OUT ? advise(self->heap, (uintptr_t)start, size, (enum fz_advice)advice)
                                               : EINVAL;
    fz_unlock(cancel_state);
    return error;
}

/* --- looking at a heap --- */

int filz_mmap_stats(const filz_mmap *self, filz_mmap_info *out)
{
    int cancel_state;
    fz_lock(&cancel_state);
    int error = check_open(self);
    if (error == 0)
        error = fz_stats(self->heap, out);
    fz_unlock(cancel_state);
    return error;
}

int filz_mmap_pages(const filz_mmap *self, size_t first, size_t *count, unsigned char *states)
{
    int cancel_state;
    fz_lock(&cancel_state);
    int error = check_open(self);
    if (error == 0)
        error = fz_pages(self->heap, first, count, states);
    else
        *count = 0;
    fz_unlock(cancel_state);
    return error;
}
