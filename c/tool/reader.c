/* Reads heap files. It may not change the file; take a lock on it, which would keep its program from opening it; or
 * judge what it reads, because format.c does. */
#include "reader.h"

#include "commands.h"

#include <errno.h>
#include <fcntl.h>
#include <filz/mmap.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Data read in two steps may change in between. */
enum { TRIES = 100 };

#define HEADER_OFFSET(field) offsetof(struct fz_header, field)

static uint64_t page_size(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* --- the header --- */

static int read_bytes(int fd, uint64_t offset, void *bytes, size_t length)
{
    ssize_t count = pread(fd, bytes, length, (off_t)offset);
    return count < 0 ? errno : (size_t)count != length ? FILZ_ETRUNCATED : 0;
}

/* For fz_source: the file, or the file with another header, at `bytes`. */
static int read_source(const struct fz_source *source, uint64_t offset, void *bytes, size_t length)
{
    if (source->bytes == NULL || offset != 0)
        return read_bytes(source->fd, offset, bytes, length);
    memcpy(bytes, source->bytes, length);
    return 0;
}

static struct fz_source source_of(const struct reader *reader, const struct fz_header *header)
{
    return (struct fz_source){read_source, (uint64_t)reader->status.st_size, reader->fd, header};
}

struct fz_problem reader_judge_as(const struct reader *reader, const struct fz_header *header)
{
    struct fz_header same;
    struct fz_state state;
    struct fz_source source = source_of(reader, header);
    struct fz_problem problem = fz_judge(&source, page_size(), &same, &state);
    return problem.error != 0 ? problem : state.newest;
}

/* Whether the chunks can be walked up to the cursor, or to a damaged one. */
static bool can_be_walked(const struct reader *reader)
{
    const struct fz_problem *problem = &reader->newest;
    return problem->error == 0 || (problem->error != FILZ_ETRUNCATED && problem->offset >= sizeof(struct fz_header)) ||
           (problem->error == FILZ_EDAMAGED &&
            (problem->offset == HEADER_OFFSET(root) || problem->offset == HEADER_OFFSET(last)));
}

static bool judge(struct reader *reader, struct problem *problem)
{
    struct fz_state state;
    struct fz_source source = source_of(reader, NULL);
    reader->newest = fz_judge(&source, page_size(), &reader->header, &state);
    reader->falls_back = reader->newest.error == 0 && state.newest.error != 0;
    if (reader->falls_back)
        reader->newest = state.newest;
    reader->end = reader->header.cursor;
    if (can_be_walked(reader))
        return true;
    reader->end = state.cursor;
    return reader->falls_back || problem_of(problem, &reader->newest, &reader->header);
}

/* The file grows before the cursor moves, so a file in use may be longer than its size here. */
static bool refresh_once(struct reader *reader, struct problem *problem)
{
    memset(&reader->header, 0, sizeof(reader->header));
    if (fstat(reader->fd, &reader->status) != 0)
        return problem_of_error(problem, errno);
    ssize_t length = pread(reader->fd, &reader->header, sizeof(reader->header), 0);
    if (length < 0)
        return problem_of_error(problem, errno);
    if (!fz_has_magic(&reader->header, (size_t)length))
        return problem_of_error(problem, FILZ_ENOTHEAP);
    return judge(reader, problem);
}

/* Whether the header has changed. Its first numbers may not be there yet. */
static bool has_changed(const struct reader *reader)
{
    struct fz_header now = {.format = 0};
    (void)!pread(reader->fd, &now, sizeof(now), 0);
    return memcmp(&now.persistent, &reader->header.persistent, sizeof(now) - HEADER_OFFSET(persistent)) != 0;
}

/* Nothing is known of a heap that isn't initialized, and nobody needs its header. */
static void forget_numbers(struct fz_header *header)
{
    memset(&header->persistent, 0, sizeof(*header) - HEADER_OFFSET(persistent));
    header->page_size = page_size();
}

bool reader_is_at_rest(const struct reader *reader)
{
    return reader->use == FILE_UNUSED || reader->use == FILE_READ;
}

/* A program that publishes its heap lets readers in before it closes it, and then looks like a reader. */
static enum file_use find_use(struct reader *reader)
{
    enum file_use use = file_lock_find(&reader->lock, reader->header.pid);
    return use == FILE_READ && reader->lock.users.includes_owner && !reader->header.clean ? FILE_IN_USE : use;
}

/* Reads what a running program changes as late as possible. But a heap that wasn't closed in order is a killed
 * program's only if nobody writes it after the header was read, and the header is still the same then. */
bool reader_refresh(struct reader *reader, struct problem *problem)
{
    bool good, again;
    int tries = TRIES;
    do {
        enum file_use before = find_use(reader);
        good = refresh_once(reader, problem);
        reader->use = find_use(reader);
        bool has_ended = before == FILE_IN_USE && reader->use != FILE_IN_USE;
        again = has_ended || (reader_is_at_rest(reader) ? has_changed(reader) : !good);
    } while (again && --tries > 0);
    if (again && reader_is_at_rest(reader))
        reader->use = FILE_UNKNOWN;
    if (reader->use == FILE_UNKNOWN && reader->header.clean)
        reader->use = FILE_UNUSED;
    if (reader->header.cursor == 0)
        forget_numbers(&reader->header);
    reader->header.program[FZ_PROGRAM_MAX] = '\0';
    return good;
}

static bool open_file(struct reader *reader, const char *path, bool is_own, struct problem *problem)
{
    /* O_NONBLOCK: opening a FIFO would wait for its other end. */
    *reader = (struct reader){.path = path, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    if (reader->fd < 0)
        return problem_of_error(problem, errno);
    bool good = fstat(reader->fd, &reader->status) == 0 || problem_of_error(problem, errno);
    if (good && !S_ISREG(reader->status.st_mode))
        good = problem_of_error(problem, FILZ_ENOTFILE);
    if (good) {
        file_lock_init(&reader->lock, reader->fd, &reader->status);
        reader->lock.was_seen = is_own; /* so that its absence is evidence */
        good = reader_refresh(reader, problem);
    }
    if (!good)
        reader_close(reader);
    return good;
}

bool reader_open(struct reader *reader, const char *path, struct problem *problem)
{
    return open_file(reader, path, false, problem);
}

bool reader_open_own(struct reader *reader, const char *path, struct problem *problem)
{
    return open_file(reader, path, true, problem);
}

void reader_close(struct reader *reader)
{
    close(reader->fd);
    reader->fd = -1;
}

bool reader_is_damaged(const struct reader *reader, struct problem *problem)
{
    return reader->newest.error != 0 && reader->use != FILE_IN_USE &&
           !problem_of(problem, &reader->newest, &reader->header);
}

/* --- chunks --- */

/* What its program may change while it is read, one after the other. */
struct view {
    struct fz_chunk chunk;
    uint64_t cursor; /* the heap's, before or after the chunk was read: the lower one */
    bool begins;     /* the chunk before still ends here */
};

static bool read_at(const struct reader *reader, uint64_t offset, void *bytes, size_t size, struct problem *problem)
{
    int error = read_bytes(reader->fd, offset, bytes, size);
    return error == 0 || problem_of(problem, &(struct fz_problem){error, offset, "the file ends here"}, NULL);
}

/* The chunk after `before`, or the first. The program may move the chunk's end and the bytes left before it, one after
 * the other, or carve another chunk here. Between two such stores, the chunk has too few bytes left (format.h). So this
 * reads until the end stays, and the bytes left don't grow. */
static bool read_view(const struct reader *reader, const struct chunk *before, struct view *view,
                      struct problem *problem)
{
    const uint64_t start = before->end != 0 ? before->end : reader->header.page_size;
    const uint64_t size_before = before->start + offsetof(struct fz_chunk, size);
    struct fz_chunk again;
    size_t cursor, cursor_after, size = (size_t)(start - before->start);
    for (int tries = 0; tries < TRIES; tries++) {
        if (!read_at(reader, HEADER_OFFSET(cursor), &cursor, sizeof(cursor), problem) ||
            !read_at(reader, start, &view->chunk, sizeof(view->chunk), problem) ||
            !read_at(reader, HEADER_OFFSET(cursor), &cursor_after, sizeof(cursor_after), problem) ||
            (before->end != 0 && !read_at(reader, size_before, &size, sizeof(size), problem)) ||
            !read_at(reader, start, &again, sizeof(again), problem))
            return false;
        view->cursor = cursor < cursor_after ? cursor : cursor_after;
        view->begins = before->start + size == start;
        if (view->chunk.size == again.size && view->chunk.fill <= again.fill)
            return true;
    }
    return problem_at(problem, start, "this chunk changes faster than it can be read");
}

static bool check_chunk(const struct reader *reader, uint64_t offset, const struct fz_chunk *chunk,
                        struct problem *problem)
{
    const struct fz_problem found = fz_check_chunk(&reader->header, offset, chunk);
    return found.error == 0 || problem_of(problem, &found, NULL);
}

bool reader_read_chunk(const struct reader *reader, uint64_t offset, struct fz_chunk *chunk, struct problem *problem)
{
    return read_at(reader, offset, chunk, sizeof(*chunk), problem) && check_chunk(reader, offset, chunk, problem);
}

static void describe(const struct reader *reader, uint64_t start, const struct view *view, struct chunk *chunk)
{
    const struct fz_chunk *raw = &view->chunk;
    uint64_t end = start + raw->size, used_end = end - fz_chunk_left(raw);
    chunk->start = start;
    chunk->unsettled = end > view->cursor || end > reader->end;
    chunk->end = end < reader->end ? end : reader->end;
    chunk->used_end = used_end < chunk->end ? used_end : chunk->end;
    chunk->blocks = raw->blocks;
    chunk->fresh = start + raw->fresh;
    chunk->owner = raw->owner;
    chunk->dedicated = raw->state == FZ_DEDICATED;
}

/* The heap ends sooner if it has shrunk: its cursor moved first, and when it grows again, so does the chunk before. */
int reader_next_chunk(const struct reader *reader, struct chunk *chunk, struct problem *problem)
{
    struct view view;
    const uint64_t start = chunk->end != 0 ? chunk->end : reader->header.page_size;
    if (start >= reader->end)
        return 0;
    if (!read_view(reader, chunk, &view, problem))
        return -1;
    if (reader->end != reader->header.cursor)
        view.cursor = reader->end;
    if (start >= view.cursor || !view.begins)
        return 0;
    if (!check_chunk(reader, start, &view.chunk, problem))
        return -1;
    describe(reader, start, &view, chunk);
    return 1;
}

static bool is_same_heap(const struct reader *reader, const struct reader *now)
{
    return now->header.id == reader->header.id && now->header.pid == reader->header.pid && now->end >= reader->end;
}

/* Damage is believed last, and sooner if the heap stays the same than if it is reset all the time. */
bool reader_must_repeat(struct reader *reader, bool damaged, bool unsettled, int *tries)
{
    enum { ENOUGH = 500, ENOUGH_IF_DAMAGED = 3 * ENOUGH, IF_SAME = ENOUGH / 20 };
    struct problem problem;
    struct reader now = *reader;
    if (damaged || unsettled)
        sched_yield(); /* not after reading the header, which would then be old */
    bool is_good = reader_refresh(&now, &problem);
    bool is_same = is_good && is_same_heap(reader, &now);
    bool is_at_rest = reader_is_at_rest(&now) && reader_is_at_rest(reader);
    *tries += damaged && !is_same ? 1 : IF_SAME;
    if ((is_same && (is_at_rest || (!damaged && !unsettled))) || *tries >= (damaged ? ENOUGH_IF_DAMAGED : ENOUGH))
        return false;
    if (is_good)
        *reader = now;
    return true;
}

/* --- pages --- */

void reader_pages_in_ram(const struct reader *reader, uint64_t first, size_t count, unsigned char *in_ram)
{
    uint64_t page = reader->header.page_size;
    memset(in_ram, 0, count);
    if (count == 0 || count > SIZE_MAX / page || first > INT64_MAX / page || count > INT64_MAX / page - first)
        return;
    /* Nobody accesses it, so it may end after the file. */
    void *window = mmap(NULL, (size_t)(count * page), PROT_READ, MAP_SHARED, reader->fd, (off_t)(first * page));
    if (window == MAP_FAILED)
        return;
    if (mincore(window, (size_t)(count * page), in_ram) != 0)
        memset(in_ram, 0, count);
    for (size_t i = 0; i < count; i++)
        in_ram[i] &= 1;
    munmap(window, (size_t)(count * page));
}

uint64_t reader_bytes_on_disk(const struct reader *reader)
{
    return (uint64_t)reader->status.st_blocks * 512;
}
