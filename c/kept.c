/* Heaps that outlive the program: checking the one in a file, its root, and bringing it to the disk. What it may not
 * do: change a file, or trust what stands in one. */
#define _GNU_SOURCE 1
#define _FILE_OFFSET_BITS 64
#include "kept.h"

#include "filz/mmap.h"
#include "heap_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- is it a heap? --- */

static int read_at(const struct filz_place *place, uint64_t offset, void *bytes, size_t size)
{
    ssize_t length = pread(place->file.fd, bytes, size, (off_t)offset);
    if (length < 0)
        return errno;
    return (size_t)length == size ? 0 : ENODATA;
}

/* A program that ends before its header is complete leaves a file with zeros behind the first page, or none. */
static int check_never_begun(const struct filz_place *place, size_t page)
{
    static const struct filz_chunk none;
    struct filz_chunk first;
    int error = read_at(place, page, &first, sizeof(first));
    if (error == ENODATA || (error == 0 && memcmp(&first, &none, sizeof(first)) == 0))
        return 0;
    return error != 0 ? error : EBADMSG;
}

static int check_numbers(const struct filz_header *header, uint64_t file_size, size_t page, uint64_t tag)
{
    if (header->checksum != filz_header_checksum(header))
        return EBADMSG;
    if (header->page_size != page)
        return EDOM;
    if (header->tag != tag)
        return EKEYREJECTED;
    if (header->cursor > header->capacity)
        return EOVERFLOW;
    if (header->cursor < page || header->cursor % page != 0 || header->capacity % page != 0 ||
        header->capacity > PTRDIFF_MAX)
        return EBADMSG;
    if (header->cursor > file_size)
        return ENODATA;
    if (header->root != 0 && header->root - header->base - page >= header->cursor - page)
        return EBADMSG;
    return 0;
}

/* A program that was killed just after it had cut a chunk has left the last but one; just after a reset, one that isn't
 * there any more. */
static int find_last_chunk(const struct filz_place *place, struct filz_header *header, size_t page)
{
    if (header->last >= header->cursor && header->cursor > page)
        return EBADMSG;
    size_t offset = header->last != 0 && header->cursor > page ? header->last : page;
    header->last = 0;
    for (int i = 0; i < 2 && offset < header->cursor; i++) {
        struct filz_chunk chunk;
        int error = read_at(place, offset, &chunk, sizeof(chunk));
        if (error != 0)
            return error;
        size_t size = (size_t)(chunk.end - header->base - offset);
        if (offset % page != 0 || size % page != 0 || size < page || size > header->capacity - offset ||
            filz_chunk_left(&chunk) > size - sizeof(chunk))
            return EBADMSG;
        header->last = offset;
        offset += size;
    }
    return offset < header->cursor ? EBADMSG : 0;
}

int filz_kept_check(const struct filz_place *place, uint64_t tag, struct filz_header *found)
{
    size_t page = filz_page_size();
    *found = (struct filz_header){.cursor = 0};
    if (place->size <= FILZ_MAGIC_SIZE)
        return 0;
    int error = read_at(place, 0, found, sizeof(*found));
    if (error != 0)
        return error;
    if (found->word_size != sizeof(size_t) && found->word_size != 0)
        return ENOEXEC;
    if (found->format != FILZ_FORMAT && found->format != 0)
        return EPROTONOSUPPORT;
    if (found->cursor == 0)
        return check_never_begun(place, page);
    error = check_numbers(found, place->size, page, tag);
    return error != 0 ? error : find_last_chunk(place, found, page);
}

/* --- the root --- */

static bool is_in_chunks(const struct filz_heap *heap, const void *address)
{
    size_t offset = (uintptr_t)address - filz_heap_base(heap);
    return offset >= heap->page_size && offset < heap->cursor;
}

int filz_mmap_set_root(filz_mmap *self, const void *root)
{
    int error = 0, cancel_state;
    filz_heaps_lock(&cancel_state);
    if (self->heap == NULL)
        error = EBADF;
    else if (root != NULL && !is_in_chunks(self->heap, root))
        error = EFAULT;
    else
        __atomic_store_n(&self->heap->header->root, (uintptr_t)root, __ATOMIC_RELEASE);
    filz_heaps_unlock(cancel_state);
    return error;
}

void *filz_mmap_root(const filz_mmap *self)
{
    void *root = NULL;
    int cancel_state;
    filz_heaps_lock(&cancel_state);
    if (self->heap != NULL)
        root = (void *)__atomic_load_n(&self->heap->header->root, __ATOMIC_ACQUIRE);
    filz_heaps_unlock(cancel_state);
    return root;
}

/* --- to the disk --- */

/* The name of a new file is on the disk when its folder is; see fsync(2). */
static int sync_folder_of(const char *path)
{
    char folder[FILZ_PATH_MAX + 1];
    size_t length = (size_t)(strrchr(path, '/') - path);
    memcpy(folder, path, length + 1);
    folder[length + 1] = '\0';
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int error = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return error;
}

static int sync_heap(struct filz_heap *heap, size_t cursor)
{
    if (msync(heap->header, cursor, MS_SYNC) != 0)
        return errno;
    if (__atomic_load_n(&heap->name_is_synced, __ATOMIC_ACQUIRE))
        return 0;
    int error = sync_folder_of(heap->place.path);
    if (error == 0)
        __atomic_store_n(&heap->name_is_synced, true, __ATOMIC_RELEASE);
    return error;
}

/* Not under the lock: a disk takes its time. */
int filz_mmap_sync(filz_mmap *self)
{
    int error = 0, cancel_state;
    size_t cursor = 0;
    filz_heaps_lock(&cancel_state);
    struct filz_heap *heap = self->heap;
    if (heap == NULL)
        error = EBADF;
    else if (heap->place.fate == FILZ_NAMELESS || heap->origin != 0)
        error = EOPNOTSUPP;
    else
        cursor = heap->cursor;
    filz_heaps_unlock(PTHREAD_CANCEL_DISABLE);
    if (error == 0)
        error = sync_heap(heap, cursor);
    pthread_setcancelstate(cancel_state, NULL);
    return error;
}
