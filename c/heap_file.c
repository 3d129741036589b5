/* Maps a heap's file and makes it grow. What it may not do: hand out memory that the file doesn't hold (SIGBUS), or
 * write to a descriptor that it hasn't checked. */
#define _GNU_SOURCE 1
#define _FILE_OFFSET_BITS 64
#include "heap_file.h"

#include "filz/mmap.h"
#include "fork.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

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

int filz_heap_hide(const struct filz_heap *heap, size_t start, size_t end)
{
    if (heap->dumped || madvise((char *)heap->header + start, end - start, MADV_DONTDUMP) == 0)
        return 0;
    return errno;
}

/* --- growing --- */

/* The descriptor may be gone (closefrom(3)). A file that has a name is opened again; else the heap goes on in a second
 * file without a name, from what is committed on. A heap that is to be opened again can't: its file would be a part. */
static int recover_descriptor(struct filz_heap *heap)
{
    if (heap->committed == 0 || filz_file_is_open(&heap->file))
        return 0;
    if (heap->place.fate != FILZ_NAMELESS && filz_place_open_again(&heap->file, heap->place.path) == 0)
        return 0;
    int error = heap->kept ? EBADF : filz_place_open_nameless(&heap->file, heap->place.path);
    if (error == 0)
        heap->origin = heap->committed;
    return error;
}

/* Address space that isn't committed can't be accessed at all. */
int filz_heap_map(struct filz_heap *heap, size_t size)
{
    void *start = (char *)heap->header + heap->committed;
    off_t offset = (off_t)(heap->committed - heap->origin);
    int error = mmap(start, size - heap->committed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, heap->file.fd,
                     offset) != MAP_FAILED
                    ? filz_heap_hide(heap, heap->committed, size)
                    : errno;
    if (error == 0)
        heap->committed = size;
    else
        filz_heap_uncommit(heap, heap->committed);
    return error;
}

static int grow_to(struct filz_heap *heap, size_t size)
{
    int error = recover_descriptor(heap);
    if (error == 0)
        error = filz_file_extend(&heap->file, heap->committed - heap->origin, size - heap->committed);
    if (error != 0)
        return error;
    error = filz_heap_map(heap, size);
    if (error != 0)
        filz_file_cut(&heap->file, heap->committed - heap->origin);
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

static void finish_file(struct filz_heap *heap)
{
    if (heap->place.fate == FILZ_KEPT) {
        heap->header->clean = heap->origin == 0;
        cut_tail(heap);
    }
    filz_place_remove(&heap->place);
}

/* --- beginning and ending --- */

void filz_heap_close(struct filz_heap *heap)
{
    struct filz_heap **link = &filz_heaps;
    while (*link != heap)
        link = &(*link)->next;
    *link = heap->next;
    finish_file(heap);
    filz_file_close(&heap->file);
    munmap(heap->reservation.start, heap->reservation.length);
}

/* Whoever is killed in here leaves a heap with all its chunks, or with none. */
void filz_heap_begin(struct filz_heap *heap)
{
    struct filz_header *header = heap->header;
    header->root = 0;
    filz_heap_set_cursor(heap, heap->page_size);
    header->last = 0;
    header->threads = 0;
}

/* `kept` comes last: the next run can do without it as long as there is nothing to keep. */
void filz_heap_sign(struct filz_heap *heap)
{
    static size_t last_id;
    struct filz_header *header = heap->header;
    heap->id = ++last_id;
    header->id = heap->id;
    header->clean = 0;
    header->capacity = heap->capacity;
    header->pid = (uint32_t)getpid();
    snprintf(header->program, sizeof(header->program), "%s", program_invocation_short_name);
    header->kept = heap->kept;
}

void filz_heap_reset(struct filz_heap *heap)
{
    if (heap->fresh < filz_heap_cursor(heap))
        __atomic_store_n(&heap->fresh, filz_heap_cursor(heap), __ATOMIC_RELAXED);
    heap->last = NULL;
    heap->rests = NULL;
    filz_heap_begin(heap);
    filz_heap_sign(heap);
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
