/* What the tests of heap files share: a heap used once, its file found and walked, another process that has it open. */
#ifndef FILZ_TESTS_HEAP_FILES_H
#define FILZ_TESTS_HEAP_FILES_H

#include "support.h"

#include "../../../c/chunk.h"
#include "../../../c/heap.h"

#include <sys/mman.h>

#define FOREIGN "a file that is somebody's own\n"

/* <directory>/<program>.filz */
MAYBE_UNUSED static const char *default_path(const char *directory)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%.200s.filz", directory, program_invocation_short_name);
    return path;
}

MAYBE_UNUSED static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 64; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

MAYBE_UNUSED static struct stat status_of(const char *path)
{
    struct stat status;
    assert_int_equal(lstat(path, &status), 0);
    return status;
}

MAYBE_UNUSED static mode_t mode_of(const char *path)
{
    return status_of(path).st_mode;
}

MAYBE_UNUSED static const char *path_of(const filz_mmap *heap)
{
    filz_mmap_info info;
    assert_int_equal(filz_mmap_stats(heap, &info), 0);
    return info.path;
}

/* Opens a heap with this path (NULL: the default place), writes to it and closes it. */
MAYBE_UNUSED static int use(const char *path)
{
    filz_mmap heap = {.path = path, .capacity = MIB};
    int error = filz_mmap_open(&heap);
    if (error == 0)
        memset(filz_mmap_alloc(&heap, 1000, 1), 1, 1000);
    assert_int_equal(filz_mmap_close(&heap), 0);
    return error;
}

/* The heap's descriptor; -1 if it has none. */
MAYBE_UNUSED static int descriptor_of(const filz_mmap *heap)
{
    return heap->heap->backing.file.fd;
}

/* -- Walking a file ------------------------------------------------------------------------------------------------ */

/* Whether `file` was set up: until then its header is empty. */
MAYBE_UNUSED static bool is_set_up(const void *file, size_t size)
{
    const struct fz_header *header = file;
    return size >= sizeof(*header) && header->cursor != 0;
}

/* From the second page on the chunks lie back to back, up to the cursor. */
MAYBE_UNUSED static int chunks_lead_to_cursor(const char *file, size_t size)
{
    const struct fz_header *header = (const void *)file;
    size_t offset = (size_t)header->page_size;
    EXPECT(memcmp(header->magic, FZ_MAGIC, sizeof(header->magic)) == 0);
    EXPECT(header->page_size != 0 && header->cursor <= size && header->cursor <= header->capacity);
    while (offset < header->cursor) {
        const struct fz_chunk *chunk = (const void *)(file + offset);
        EXPECT(fz_check_chunk(header, offset, chunk).error == 0 && chunk->size <= header->cursor - offset);
        offset += chunk->size;
    }
    EXPECT(offset == header->cursor);
    return 0;
}

/* Walks the file that a process left; one that never was set up has nothing to walk. */
MAYBE_UNUSED static int can_be_walked(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    EXPECT(fd >= 0 && fstat(fd, &status) == 0);
    size_t size = (size_t)status.st_size;
    void *file = size > 0 ? mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0) : NULL;
    EXPECT(file != MAP_FAILED && close(fd) == 0);
    int error = size > 0 && is_set_up(file, size) ? chunks_lead_to_cursor(file, size) : 0;
    EXPECT(size == 0 || munmap(file, size) == 0);
    return error;
}

/* -- Another process ----------------------------------------------------------------------------------------------- */

/* A process that has a heap open until it is told to end, or the process that began it ends. */
struct holder {
    pid_t pid;
    filz_mmap heap;
    int ready[2], end[2];
};

static int hold_until_told(void *context)
{
    struct holder *holder = context;
    char byte = 0;
    close(holder->end[1]);
    EXPECT(filz_mmap_open(&holder->heap) == 0);
    EXPECT(write(holder->ready[1], &byte, 1) == 1);
    EXPECT(read(holder->end[0], &byte, 1) == 0);
    return 0; /* and exits with the heap open */
}

MAYBE_UNUSED static struct holder hold(filz_mmap heap)
{
    struct holder holder = {.heap = heap};
    char byte;
    assert_int_equal(pipe(holder.ready), 0);
    assert_int_equal(pipe(holder.end), 0);
    holder.pid = begin_child(hold_until_told, &holder);
    close(holder.ready[1]);
    close(holder.end[0]);
    assert_int_equal(read(holder.ready[0], &byte, 1), 1);
    close(holder.ready[0]);
    return holder;
}

MAYBE_UNUSED static void let_go(struct holder holder)
{
    close(holder.end[1]);
    assert_int_equal(end_child(holder.pid), 0);
}

#endif
