/* Reads heap files. What it may not do: change the file, or take a lock on it, which would keep its program from
 * opening it; or believe a number that stands in it. */
#include "reader.h"

#include "commands.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* What is read in two steps may have changed in between. */
enum { TRIES = 100 };

static uint64_t page_size(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* --- is it in use? --- */

/* A program that has a heap open holds flock(2) on its file. Trying to take that lock would be simpler than this, but
 * for a moment it would have it, and a program that opens its heap in that moment fails with EWOULDBLOCK. The kernel
 * lists all locks, of this PID namespace, by device and inode; which aren't always those of stat(2), as on btrfs. */
static bool find_mount(int fd, unsigned *mount, uint64_t *inode)
{
    char path[64], line[256];
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool found = false;
    while (fgets(line, sizeof(line), file) != NULL) {
        sscanf(line, "ino: %" SCNu64, inode);
        found |= sscanf(line, "mnt_id: %u", mount) == 1;
    }
    fclose(file);
    return found;
}

static void find_lock_names(struct reader *reader)
{
    unsigned mount = 0, id, device[2];
    char *line = NULL;
    size_t room = 0;
    reader->lock_device[0] = major(reader->status.st_dev);
    reader->lock_device[1] = minor(reader->status.st_dev);
    reader->lock_inode = reader->status.st_ino;
    FILE *file = find_mount(reader->fd, &mount, &reader->lock_inode) ? fopen("/proc/self/mountinfo", "re") : NULL;
    while (file != NULL && getline(&line, &room, file) > 0)
        if (sscanf(line, "%u %*u %u:%u", &id, &device[0], &device[1]) == 3 && id == mount)
            memcpy(reader->lock_device, device, sizeof(device));
    free(line);
    if (file != NULL)
        fclose(file);
}

static bool is_locked(const struct reader *reader)
{
    char line[256];
    unsigned device[2];
    uint64_t inode;
    bool found = false;
    FILE *file = fopen("/proc/locks", "re");
    while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL)
        found = sscanf(line, "%*u: FLOCK %*s WRITE %*d %x:%x:%" SCNu64, &device[0], &device[1], &inode) == 3 &&
                memcmp(device, reader->lock_device, sizeof(device)) == 0 && inode == reader->lock_inode;
    if (file != NULL)
        fclose(file);
    return found;
}

/* --- the header --- */

#define HEADER_OFFSET(field) offsetof(struct filz_header, field)

static bool fail_with_errno(struct problem *problem)
{
    return problem_at(problem, NOWHERE, "%s", strerror(errno));
}

/* A file that is shorter than a header has zeros there. */
static bool read_header(struct reader *reader, struct problem *problem)
{
    memset(&reader->header, 0, sizeof(reader->header));
    ssize_t length = pread(reader->fd, &reader->header, sizeof(reader->header), 0);
    if (length < 0)
        return fail_with_errno(problem);
    if (memcmp(reader->header.magic, FILZ_MAGIC, FILZ_MAGIC_SIZE) != 0)
        return problem_at(problem, NOWHERE, "not a heap file of filz%s", length == 0 ? ": it is empty" : "");
    /* The file grows before the cursor moves, so its size is to be read after it. */
    return fstat(reader->fd, &reader->status) == 0 || fail_with_errno(problem);
}

/* A header that isn't complete has zeros where nothing was written yet. */
static bool check_kind(const struct filz_header *header, struct problem *problem)
{
    bool begun = header->cursor != 0;
    if (header->format != FILZ_FORMAT && (begun || header->format != 0))
        return problem_at(problem, HEADER_OFFSET(format),
                          "heap format %" PRIu32 ", and not %d, which this program reads", header->format, FILZ_FORMAT);
    if (header->word_size != sizeof(size_t) && (begun || header->word_size != 0))
        return problem_at(problem, HEADER_OFFSET(word_size),
                          "words of %" PRIu32 " bytes, and not %zu, or another byte order", header->word_size,
                          sizeof(size_t));
    if (begun && header->checksum != filz_header_checksum(header))
        return problem_at(problem, HEADER_OFFSET(checksum), "the header is damaged: its checksum is another");
    if (begun && header->page_size != page_size())
        return problem_at(problem, HEADER_OFFSET(page_size), "pages of %" PRIu64 " bytes, and not %" PRIu64 " as here",
                          header->page_size, page_size());
    return true;
}

static bool check_numbers(const struct filz_header *header, struct problem *problem)
{
    uint64_t page = header->page_size;
    if (header->base == 0 || header->base % page != 0)
        return problem_at(problem, HEADER_OFFSET(base), "the base address %#" PRIx64 " isn't a page's", header->base);
    if (header->capacity % page != 0 || header->capacity > PTRDIFF_MAX ||
        header->capacity - 1 > UINTPTR_MAX - header->base)
        return problem_at(problem, HEADER_OFFSET(capacity), "the capacity can't be %zu bytes", header->capacity);
    if (header->cursor % page != 0 || header->cursor > header->capacity)
        return problem_at(problem, HEADER_OFFSET(cursor), "the cursor can't be %zu", header->cursor);
    return true;
}

/* Nothing is known of a heap that isn't begun; nor is what stands in its header needed by anyone. */
static void forget_numbers(struct reader *reader)
{
    struct filz_header *header = &reader->header;
    memset((char *)header + HEADER_OFFSET(kept), 0, sizeof(*header) - HEADER_OFFSET(kept));
    header->page_size = page_size();
}

static bool refresh_once(struct reader *reader, struct problem *problem)
{
    if (!read_header(reader, problem) || !check_kind(&reader->header, problem))
        return false;
    if (reader->header.cursor == 0)
        forget_numbers(reader);
    else if (!check_numbers(&reader->header, problem))
        return false;
    if (reader->header.cursor > (uint64_t)reader->status.st_size)
        return problem_at(problem, (uint64_t)reader->status.st_size, "the file was cut short: its heap goes on to %zu",
                          reader->header.cursor);
    reader->header.program[FILZ_PROGRAM_MAX] = '\0';
    return true;
}

bool reader_refresh(struct reader *reader, struct problem *problem)
{
    reader->in_use = is_locked(reader);
    bool good = refresh_once(reader, problem);
    for (int tries = 1; !good && tries < (reader->in_use ? TRIES : 2); tries++)
        good = refresh_once(reader, problem);
    return good;
}

bool reader_open(struct reader *reader, const char *path, struct problem *problem)
{
    /* O_NONBLOCK: opening a FIFO would wait for its other end. */
    *reader = (struct reader){.path = path, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    if (reader->fd < 0)
        return fail_with_errno(problem);
    bool good = fstat(reader->fd, &reader->status) == 0 || fail_with_errno(problem);
    if (good && !S_ISREG(reader->status.st_mode))
        good = problem_at(problem, NOWHERE, "not a heap file of filz: it isn't a regular file");
    if (good) {
        find_lock_names(reader);
        good = reader_refresh(reader, problem);
    }
    if (!good)
        reader_close(reader);
    return good;
}

void reader_close(struct reader *reader)
{
    close(reader->fd);
    reader->fd = -1;
}

/* --- chunks --- */

/* What its program changes while it is read, one after the other. */
struct view {
    struct filz_chunk chunk;
    size_t cursor; /* the heap's, before or after the chunk was read: the lower one */
    bool begins;   /* the chunk before still ends here */
};

static bool read_at(const struct reader *reader, uint64_t offset, void *bytes, size_t size, struct problem *problem)
{
    ssize_t length = pread(reader->fd, bytes, size, (off_t)offset);
    if (length < 0)
        return problem_at(problem, offset, "%s", strerror(errno));
    return (size_t)length == size || problem_at(problem, offset, "the file was cut short: it ends here");
}

/* Behind `before`, or the first if that is NULL. The program may move the chunk's end, and what is left before it, one
 * after the other; or cut another chunk here. What lies between two such stores has too little left (format.h): so this
 * reads until the end stays, and what is left doesn't become more. */
static bool read_chunk(const struct reader *reader, const struct chunk *before, struct view *view,
                       struct problem *problem)
{
    const uint64_t start = before != NULL ? before->end : reader->header.page_size;
    const uint64_t end_before = before != NULL ? before->start + offsetof(struct filz_chunk, end) : 0;
    struct filz_chunk again;
    size_t cursor;
    uintptr_t address = (uintptr_t)(reader->header.base + start);
    for (int tries = 0; tries < TRIES; tries++) {
        if (!read_at(reader, HEADER_OFFSET(cursor), &view->cursor, sizeof(view->cursor), problem) ||
            !read_at(reader, start, &view->chunk, sizeof(view->chunk), problem) ||
            !read_at(reader, HEADER_OFFSET(cursor), &cursor, sizeof(cursor), problem) ||
            (before != NULL && !read_at(reader, end_before, &address, sizeof(address), problem)) ||
            !read_at(reader, start, &again, sizeof(again), problem))
            return false;
        view->cursor = cursor < view->cursor ? cursor : view->cursor;
        view->begins = address == (uintptr_t)(reader->header.base + start);
        if (view->chunk.end == again.end && view->chunk.fill <= again.fill)
            return true;
    }
    return problem_at(problem, start, "this chunk changes faster than it can be read");
}

static bool check_chunk(const struct filz_header *header, uint64_t start, const struct filz_chunk *raw,
                        struct problem *problem)
{
    uint64_t end = raw->end - (uintptr_t)header->base, left = filz_chunk_left(raw);
    if (raw->end < header->base || end % header->page_size != 0 || end <= start || end > header->capacity)
        return problem_at(problem, start, "no chunk: it would end at address %#" PRIxPTR, raw->end);
    if (left > end - start - sizeof(*raw))
        return problem_at(problem, start, "no chunk: %" PRIu64 " bytes would be left of its %" PRIu64, left,
                          end - start);
    if (raw->alone > 1)
        return problem_at(problem, start, "no chunk: it has %u where 0 or 1 stands", raw->alone);
    return true;
}

static void describe(const struct filz_header *header, const struct view *view, struct chunk *chunk)
{
    const struct filz_chunk *raw = &view->chunk;
    uint64_t end = raw->end - (uintptr_t)header->base, used_end = end - filz_chunk_left(raw);
    chunk->unsettled = end > view->cursor || end > header->cursor;
    chunk->end = end < header->cursor ? end : header->cursor;
    chunk->used_end = used_end < chunk->end ? used_end : chunk->end;
    chunk->blocks = raw->blocks;
    chunk->fresh = raw->fresh - (uintptr_t)header->base;
    chunk->owner = raw->owner;
    chunk->alone = raw->alone != 0;
}

/* The heap ends sooner if it has shrunk: then its cursor moved first, and when it grows again, so does the chunk
 * before.
 */
int reader_next_chunk(const struct reader *reader, struct chunk *chunk, struct problem *problem)
{
    struct view view;
    const struct filz_header *header = &reader->header;
    const uint64_t start = chunk->end != 0 ? chunk->end : header->page_size;
    if (start >= header->cursor)
        return 0;
    if (!read_chunk(reader, chunk->end != 0 ? chunk : NULL, &view, problem))
        return -1;
    if (start >= view.cursor || !view.begins)
        return 0;
    if (!check_chunk(header, start, &view.chunk, problem))
        return -1;
    chunk->start = start;
    describe(header, &view, chunk);
    return 1;
}

bool reader_must_repeat(struct reader *reader, bool doubtful, int *tries)
{
    struct problem problem;
    struct reader now = *reader;
    if (--*tries == 0)
        return false;
    bool good = reader_refresh(&now, &problem);
    bool in_use = now.in_use || reader->in_use;
    if (good && now.header.id == reader->header.id && now.header.cursor >= reader->header.cursor)
        if (!doubtful || !in_use)
            return false;
    if (good)
        *reader = now;
    sched_yield();
    return true;
}

/* --- pages --- */

void reader_pages_in_ram(const struct reader *reader, uint64_t first, uint64_t count, unsigned char *in_ram)
{
    uint64_t page = reader->header.page_size;
    memset(in_ram, 0, count);
    if (count == 0 || first > INT64_MAX / page || count > INT64_MAX / page - first || count * page > SIZE_MAX)
        return;
    /* Nobody touches it, so its end may be beyond the file's. */
    void *window = mmap(NULL, (size_t)(count * page), PROT_READ, MAP_SHARED, reader->fd, (off_t)(first * page));
    if (window == MAP_FAILED)
        return;
    if (mincore(window, (size_t)(count * page), in_ram) != 0)
        memset(in_ram, 0, count);
    for (uint64_t i = 0; i < count; i++)
        in_ram[i] &= 1;
    munmap(window, (size_t)(count * page));
}

uint64_t reader_bytes_on_disk(const struct reader *reader)
{
    return (uint64_t)reader->status.st_blocks * 512;
}
