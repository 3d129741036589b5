/* Maps a heap's file and makes it grow. What it may not do: hand out memory that the file doesn't hold (SIGBUS), or
 * write to a descriptor that it hasn't checked. */
#define _GNU_SOURCE 1
#define _FILE_OFFSET_BITS 64
#include "heap_file.h"

#include "filz/mmap.h"
#include "fork.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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

/* A file begins with so much, which most small programs never exceed; it is extended by half of what it has, within
 * these. */
#define COMMIT_FIRST FILZ_LITTLE
#define COMMIT_MIN (256 * KIB)
#define COMMIT_MAX (64 * MIB)

/* Cutting a mapped file costs a millisecond or so: an unused tail that is smaller than this stays. */
#define TAIL_WORTH_CUTTING (4 * MIB)

struct filz_heap *filz_heaps;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void filz_heaps_lock(int *cancel_state)
{
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, cancel_state);
    filz_fork_notice();
    pthread_mutex_lock(&lock);
}

void filz_heaps_unlock(int cancel_state)
{
    pthread_mutex_unlock(&lock);
    pthread_setcancelstate(cancel_state, NULL);
}

void filz_heaps_lock_anew(void)
{
    lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

struct filz_heap *filz_heap_find(size_t id)
{
    struct filz_heap *heap = filz_heaps;
    while (heap != NULL && heap->id != id)
        heap = heap->next;
    return heap;
}

static size_t new_id(void)
{
    static size_t last;
    return ++last;
}

/* --- how large --- */

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

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
    size_t page = page_size();
    if (capacity->bytes <= page)
        return EINVAL;
    if (capacity->bytes > PTRDIFF_MAX - 2 * FILZ_BASE_ALIGN)
        return ENOMEM;
    capacity->bytes = align_up(capacity->bytes, page);
    return 0;
}

/* --- core dumps --- */

int filz_heap_hide(const struct filz_heap *heap, size_t start, size_t end)
{
    if (heap->dumped || madvise((char *)heap->header + start, end - start, MADV_DONTDUMP) == 0)
        return 0;
    return errno;
}

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

/* --- growing --- */

/* The descriptor may be gone (closefrom(3)). A file that has a name is opened again; else the heap goes on in a second
 * file without a name, from what is committed on. */
static int recover_descriptor(struct filz_heap *heap)
{
    if (heap->committed == 0 || filz_file_is_open(&heap->file))
        return 0;
    if (heap->place.fate != FILZ_NAMELESS && filz_place_open_again(&heap->file, heap->place.path) == 0)
        return 0;
    int error = filz_place_open_nameless(&heap->file, heap->place.path);
    if (error == 0)
        heap->origin = heap->committed;
    return error;
}

/* Maps what the file has got behind `committed`, or gives it back. Address space that isn't committed can't be accessed
 * at all. */
static int map_up_to(struct filz_heap *heap, size_t size)
{
    size_t start = heap->committed - heap->origin;
    int error = mmap((char *)heap->header + heap->committed, size - heap->committed, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_FIXED, heap->file.fd, (off_t)start) != MAP_FAILED
                    ? filz_heap_hide(heap, heap->committed, size)
                    : errno;
    if (error != 0) {
        filz_heap_uncommit(heap, heap->committed);
        filz_file_cut(&heap->file, start);
    }
    return error;
}

static int grow_to(struct filz_heap *heap, size_t size)
{
    int error = recover_descriptor(heap);
    if (error == 0)
        error = filz_file_extend(&heap->file, heap->committed - heap->origin, size - heap->committed);
    if (error == 0)
        error = map_up_to(heap, size);
    if (error == 0)
        heap->committed = size;
    return error;
}

int filz_heap_commit(struct filz_heap *heap, uintptr_t end)
{
    size_t size = end - filz_heap_base(heap);
    if (size <= heap->committed)
        return 0;
    size_t step = heap->committed / 2;
    step = heap->committed == 0 ? COMMIT_FIRST : step < COMMIT_MIN ? COMMIT_MIN : step > COMMIT_MAX ? COMMIT_MAX : step;
    size_t ahead = align_up(heap->committed + step, heap->page_size);
    if (ahead > heap->capacity)
        ahead = heap->capacity;
    if (ahead > size && grow_to(heap, ahead) == 0)
        return 0;
    return grow_to(heap, size);
}

int filz_heap_uncommit(struct filz_heap *heap, size_t size)
{
    void *start = (char *)heap->header + size;
    if (size < heap->capacity && mmap(start, heap->capacity - size, PROT_NONE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
        return errno;
    heap->committed = size;
    return 0;
}

/* A kept file is worth keeping only as far as it is used. Allocation may go on afterwards. */
static void cut_tail(struct filz_heap *heap)
{
    if (heap->lent || heap->origin != 0 || heap->committed - heap->cursor < TAIL_WORTH_CUTTING)
        return;
    if (filz_file_is_open(&heap->file) && filz_heap_uncommit(heap, heap->cursor) == 0)
        filz_file_cut(&heap->file, heap->cursor);
}

static void remove_if_temporary(const struct filz_place *place)
{
    if (place->fate == FILZ_REMOVED_AT_EXIT && filz_file_is_at(&place->file, place->path))
        unlink(place->path);
}

static void finish_file(struct filz_heap *heap)
{
    if (heap->place.fate == FILZ_KEPT) {
        heap->header->clean = heap->origin == 0;
        cut_tail(heap);
    }
    remove_if_temporary(&heap->place);
}

/* --- opening and closing --- */

_Static_assert(sizeof(struct filz_heap) <= 4096, "it has one page");

/* NULL if there is no room for so much. The heap has no file yet. */
static struct filz_heap *reserve(size_t capacity)
{
    size_t page = page_size();
    size_t length = capacity + FILZ_BASE_ALIGN;
    char *reservation = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reservation == MAP_FAILED)
        return NULL;
    char *base = (char *)align_up((uintptr_t)reservation + page, FILZ_BASE_ALIGN);
    struct filz_heap *heap = (struct filz_heap *)(base - page);
    if (mprotect(heap, page, PROT_READ | PROT_WRITE) != 0) {
        munmap(reservation, length);
        return NULL;
    }
    *heap = (struct filz_heap){
        .header = (struct filz_header *)base,
        .reservation = reservation,
        .length = length,
        .capacity = capacity,
        .page_size = page,
        .fresh = (uintptr_t)base,
        .copy = {.fd = -1},
    };
    return heap;
}

static struct filz_heap *reserve_what_fits(struct capacity capacity)
{
    struct filz_heap *heap = reserve(capacity.bytes);
    while (heap == NULL && capacity.is_default && capacity.bytes > LEAST_DEFAULT) {
        capacity.bytes = align_up(capacity.bytes / 2, page_size());
        heap = reserve(capacity.bytes);
    }
    return heap;
}

/* No chunk yet. The cursor comes last: while it is 0, the header isn't complete. */
static void begin(struct filz_heap *heap)
{
    heap->header->id = heap->id;
    heap->header->threads = 0;
    heap->header->clean = 0;
    filz_heap_set_cursor(heap, heap->page_size);
}

/* Field by field: the magic stands in the file already, and must at every moment. */
static void write_header(struct filz_heap *heap)
{
    struct filz_header *header = heap->header;
    header->format = 1;
    header->word_size = sizeof(size_t);
    header->page_size = heap->page_size;
    header->capacity = heap->capacity;
    header->base = (uintptr_t)header;
    begin(heap);
}

/* The address space comes first: without it, the file of the last run stays as it is. */
static int set_up(struct filz_heap *heap, const char *path)
{
    int error = filz_place_open(&heap->place, path);
    if (error != 0)
        return error;
    heap->file = heap->place.file;
    error = filz_heap_commit(heap, filz_heap_base(heap) + heap->page_size);
    if (error != 0) {
        remove_if_temporary(&heap->place);
        filz_file_close(&heap->file);
    }
    return error;
}

int filz_heap_open(struct filz_mmap *self, char *about)
{
    struct capacity capacity;
    about[0] = '\0';
    int error = (self->flags & ~FILZ_MMAP_DUMP) != 0 ? EINVAL : choose_capacity(self->capacity, &capacity, about);
    if (error != 0)
        return error;
    struct filz_heap *heap = reserve_what_fits(capacity);
    if (heap == NULL)
        return ENOMEM;
    heap->dumped = (self->flags & FILZ_MMAP_DUMP) != 0;
    error = set_up(heap, self->path);
    if (error != 0) {
        strcpy(about, heap->place.path);
        munmap(heap->reservation, heap->length);
        return error;
    }
    heap->id = new_id();
    write_header(heap);
    if (heap->dumped)
        ask_for_dumps();
    filz_fork_watch();
    heap->next = filz_heaps;
    filz_heaps = heap;
    self->heap = heap;
    __atomic_store_n(&self->id, heap->id, __ATOMIC_RELEASE);
    return 0;
}

void filz_heap_close(struct filz_heap *heap)
{
    struct filz_heap **link = &filz_heaps;
    while (*link != heap)
        link = &(*link)->next;
    *link = heap->next;
    finish_file(heap);
    filz_file_close(&heap->file);
    munmap(heap->reservation, heap->length);
}

void filz_heap_reset(struct filz_heap *heap)
{
    if (heap->fresh < filz_heap_cursor(heap))
        __atomic_store_n(&heap->fresh, filz_heap_cursor(heap), __ATOMIC_RELAXED);
    heap->id = new_id();
    heap->last = NULL;
    heap->rests = NULL;
    begin(heap);
}

/* Runs when the program exits; others may allocate after it. */
__attribute__((destructor)) static void finish_all_files(void)
{
    int cancel_state;
    filz_heaps_lock(&cancel_state);
    for (struct filz_heap *heap = filz_heaps; heap != NULL; heap = heap->next)
        finish_file(heap);
    filz_heaps_unlock(cancel_state);
}
