/* Opens a heap: how large, in which file, at which address. What it may not do: change a file before it is known that
 * the heap can be had. */
#define _GNU_SOURCE 1
#define _FILE_OFFSET_BITS 64
#include "filz/mmap.h"
#include "fork.h"
#include "heap_file.h"
#include "kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

/* Where there is no room for the default capacity, half of it is tried, and so on down to this. */
#define LEAST_DEFAULT MIB

_Static_assert(sizeof(struct filz_heap) <= 4096, "it has one page");

/* --- how large --- */

static int parse_size(const char *text, size_t *size)
{
    char *suffix;
    errno = 0;
    unsigned long long number = strtoull(text, &suffix, 10);
    if (*text < '0' || *text > '9' || errno != 0)
        return EINVAL;
    static const char units[] = "KMGT";
    const char *unit = *suffix != '\0' ? strchr(units, *suffix) : NULL;
    unsigned shift = unit != NULL ? 10 * (unsigned)(unit - units + 1) : 0;
    if (suffix[unit != NULL] != '\0' || number > SIZE_MAX >> shift)
        return EINVAL;
    *size = (size_t)number << shift;
    return 0;
}

static size_t default_capacity(void)
{
    size_t capacity = sizeof(size_t) > 4 ? 64 * KIB * MIB : 512 * MIB;
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur / 2 < capacity)
        capacity = (size_t)(limit.rlim_cur / 2);
    return capacity < LEAST_DEFAULT ? LEAST_DEFAULT : capacity;
}

/* A default may be made smaller; a capacity that was asked for may not. */
struct capacity {
    size_t bytes;
    bool is_default;
};

static int choose_capacity(size_t asked, struct capacity *capacity, char *about)
{
    const char *variable = secure_getenv("FILZ_CAPACITY");
    *capacity = (struct capacity){asked, false};
    if (asked == 0 && variable != NULL && variable[0] != '\0') {
        strcpy(about, "$FILZ_CAPACITY");
        int error = parse_size(variable, &capacity->bytes);
        if (error != 0)
            return error;
    } else if (asked == 0) {
        *capacity = (struct capacity){default_capacity(), true};
    }
    size_t page = filz_page_size();
    if (capacity->bytes <= page)
        return EINVAL;
    if (capacity->bytes > PTRDIFF_MAX - 2 * FILZ_BASE_ALIGN)
        return ENOMEM;
    capacity->bytes = align_up(capacity->bytes, page);
    return 0;
}

/* --- core dumps --- */

/* Bits 1 and 3 stand for shared mappings of files without and with a name (core(5)). Where there is no /proc, the
 * kernel decides by itself. */
static void ask_for_dumps(void)
{
    char text[20] = "";
    int fd = open("/proc/self/coredump_filter", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    if (pread(fd, text, sizeof(text) - 1, 0) > 0) {
        int length = snprintf(text, sizeof(text), "%#lx", strtoul(text, NULL, 16) | 1 << 1 | 1 << 3);
        (void)!pwrite(fd, text, (size_t)length, 0);
    }
    close(fd);
}

/* --- opening --- */

/* A heap without a file yet. A default capacity is halved until there is room, down to `least`. */
static int set_aside(struct filz_heap **made, struct capacity capacity, uintptr_t where, size_t least)
{
    size_t page = filz_page_size();
    struct filz_reservation reservation;
    int error = filz_reserve(&reservation, capacity.bytes, where);
    while (error != 0 && capacity.is_default && capacity.bytes / 2 >= least) {
        capacity.bytes = align_up(capacity.bytes / 2, page);
        error = filz_reserve(&reservation, capacity.bytes, where);
    }
    if (error != 0)
        return error;
    struct filz_heap *heap = (struct filz_heap *)(reservation.base - page);
    if (mprotect(heap, page, PROT_READ | PROT_WRITE) != 0) {
        error = errno;
        munmap(reservation.start, reservation.length);
        return error;
    }
    *heap = (struct filz_heap){
        .header = (struct filz_header *)reservation.base,
        .reservation = reservation,
        .capacity = capacity.bytes,
        .page_size = page,
        .fresh = reservation.base,
        .copy = {.fd = -1},
    };
    *made = heap;
    return 0;
}

static void release(const struct filz_heap *heap)
{
    munmap(heap->reservation.start, heap->reservation.length);
}

static void abandon(struct filz_place *place)
{
    filz_place_remove(place);
    filz_file_close(&place->file);
}

/* Field by field: the magic may stand in the file already, and must then at every moment. The cursor comes last: while
 * it is 0, the header isn't complete. */
static void write_header(struct filz_heap *heap, uint64_t tag)
{
    struct filz_header *header = heap->header;
    memcpy(header->magic, FILZ_MAGIC, FILZ_MAGIC_SIZE);
    header->format = FILZ_FORMAT;
    header->word_size = sizeof(size_t);
    header->page_size = heap->page_size;
    header->base = (uintptr_t)header;
    header->tag = tag;
    header->checksum = filz_header_checksum(header);
    header->capacity = heap->capacity;
    filz_heap_begin(heap);
}

/* In a file that is empty but for the magic. */
static int begin_in_file(struct filz_heap *heap, uint64_t tag)
{
    heap->file = heap->place.file;
    int error = filz_heap_commit(heap, filz_heap_base(heap) + heap->page_size);
    if (error == 0)
        write_header(heap, tag);
    return error;
}

/* The address space comes first: without it, the file of the last run stays as it is. */
static int open_new(const filz_mmap *self, struct capacity capacity, struct filz_heap **opened, char *about)
{
    int error = set_aside(opened, capacity, FILZ_ANYWHERE, LEAST_DEFAULT);
    if (error != 0)
        return error;
    struct filz_heap *heap = *opened;
    heap->dumped = (self->flags & FILZ_MMAP_DUMP) != 0;
    error = filz_place_open(&heap->place, self->path, false);
    if (error == 0) {
        error = begin_in_file(heap, self->tag);
        if (error != 0)
            abandon(&heap->place);
    }
    if (error != 0) {
        strcpy(about, heap->place.path);
        release(heap);
    }
    return error;
}

/* The next thread may have the rest of the last chunk, unless the last run ended while that grew or shrank. Nothing is
 * known of what stands in a rest. */
static void go_on_in_last(struct filz_heap *heap, struct filz_chunk *chunk)
{
    if (chunk->end != filz_heap_cursor(heap)) {
        filz_chunk_set_left(chunk, 0);
        __atomic_store_n(&chunk->end, filz_heap_cursor(heap), __ATOMIC_RELEASE);
    }
    filz_heap_set_last(heap, chunk);
    chunk->fresh = chunk->end;
    size_t left = filz_chunk_left(chunk);
    if (!chunk->alone && left != 0 && filz_chunk_end_suits(chunk->end, left))
        filz_chunk_leave(heap, chunk);
}

/* Nothing is changed before all that can fail is done. */
static int go_on_in_file(struct filz_heap *heap, const struct filz_header *found)
{
    uint64_t size = heap->place.size < heap->capacity ? heap->place.size : heap->capacity;
    size_t whole_pages = align_down((size_t)size, heap->page_size);
    heap->file = heap->place.file;
    int error = filz_file_own_blocks(&heap->file, size);
    if (error == 0)
        error = filz_heap_map(heap, whole_pages);
    if (error == 0)
        error = filz_place_take(&heap->place, true);
    if (error != 0)
        return error;
    heap->cursor = found->cursor;
    heap->fresh = filz_heap_base(heap) + align_up((size_t)size, heap->page_size);
    heap->header->last = found->last;
    if (found->last != 0)
        go_on_in_last(heap, (struct filz_chunk *)(filz_heap_base(heap) + found->last));
    return 0;
}

static int set_aside_for(struct filz_heap **made, struct capacity capacity, const struct filz_header *found)
{
    if (found->cursor == 0)
        return set_aside(made, capacity, FILZ_ALWAYS_FREE, LEAST_DEFAULT);
    if (capacity.is_default)
        capacity.bytes = found->capacity;
    if (found->cursor > capacity.bytes)
        return EOVERFLOW;
    return set_aside(made, capacity, (uintptr_t)found->base, found->cursor);
}

/* The file comes first: it says where the heap goes. */
static int open_kept(const filz_mmap *self, struct capacity capacity, struct filz_heap **opened, char *about)
{
    struct filz_place place;
    struct filz_header found;
    int error = filz_place_open(&place, self->path, true);
    strcpy(about, place.path);
    if (error != 0)
        return error;
    error = filz_kept_check(&place, self->tag, &found);
    if (error == 0)
        error = set_aside_for(opened, capacity, &found);
    if (error != 0) {
        abandon(&place);
        return error;
    }
    struct filz_heap *heap = *opened;
    heap->kept = true;
    heap->dumped = (self->flags & FILZ_MMAP_DUMP) != 0;
    heap->place = place;
    error = found.cursor != 0 ? go_on_in_file(heap, &found) : filz_place_take(&heap->place, false);
    if (error == 0 && found.cursor == 0)
        error = begin_in_file(heap, self->tag);
    if (error != 0) {
        abandon(&place);
        release(heap);
    }
    return error;
}

int filz_heap_open(filz_mmap *self, char *about)
{
    struct capacity capacity;
    struct filz_heap *heap;
    about[0] = '\0';
    bool kept = (self->flags & FILZ_MMAP_REOPEN) != 0;
    bool unknown = (self->flags & ~(FILZ_MMAP_DUMP | FILZ_MMAP_REOPEN)) != 0;
    int error = unknown || (kept && self->path == NULL) ? EINVAL : choose_capacity(self->capacity, &capacity, about);
    if (error == 0)
        error = kept ? open_kept(self, capacity, &heap, about) : open_new(self, capacity, &heap, about);
    if (error != 0)
        return error;
    filz_heap_sign(heap);
    if (heap->dumped)
        ask_for_dumps();
    filz_fork_watch();
    heap->next = filz_heaps;
    filz_heaps = heap;
    self->heap = heap;
    __atomic_store_n(&self->id, heap->id, __ATOMIC_RELEASE);
    return 0;
}
