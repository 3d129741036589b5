/* Heap files of any bytes, read by all of the tool that reads them: the walk, `inspect`, `check`, the map. Such a file
 * must give a message, or the truth; never a crash, nor a loop without end. What `check` accepts, so does format.c. */
#define _GNU_SOURCE 1
#include "../../c/tool/commands.h"
#include "../../c/tool/page_map.h"
#include "../../c/tool/svg.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Instead of lock.c: nobody else has the file, and looking for locks would take most of the time. */
void file_lock_init(struct file_lock *lock, int fd, const struct stat *status)
{
    (void)fd, (void)status;
    lock->is_shown = true;
}

enum file_use file_lock_find(struct file_lock *lock, uint32_t pid)
{
    (void)lock, (void)pid;
    return FILE_UNUSED;
}

/* There is no standard error to say it on: libFuzzer says where it was. */
#define CLAIM(condition) ((condition) ? (void)0 : abort())

/* -- A file of the fuzzer's bytes ---------------------------------------------------------------------------------- */

/* How the bytes become a file. Most files would be refused for their header alone. */
enum {
    SPREAD = 1, /* a header, then chunks' headers, each with the page that it goes to; else all bytes as they are */
    FIX = 2,    /* the checksums of the header and of the checkpoints are made right */
    PLACE = 4,  /* and each chunk's offset and generation */
    MODES = 8,
};

enum { MOST_PAGES = 4096 };

struct prefix {
    uint8_t mode;
    uint8_t odd_bytes;   /* that the file is longer than its pages */
    uint16_t more_pages; /* that it is longer than its bytes */
};

struct spread_chunk {
    uint16_t page;
    uint8_t bytes[sizeof(struct fz_chunk)];
};

static struct fz_header written_header;

static void write_at(int fd, const void *bytes, size_t size, uint64_t offset)
{
    CLAIM(pwrite(fd, bytes, size, (off_t)offset) == (ssize_t)size);
}

static void write_chunk(int fd, unsigned mode, const uint8_t *bytes)
{
    struct spread_chunk spread;
    struct fz_chunk chunk;
    memcpy(&spread.page, bytes, sizeof(spread.page));
    memcpy(&chunk, bytes + sizeof(spread.page), sizeof(chunk));
    if (mode & PLACE) {
        chunk.offset = (uint64_t)spread.page * 4096;
        chunk.generation = written_header.generation;
    }
    write_at(fd, &chunk, sizeof(chunk), (uint64_t)spread.page * 4096);
}

enum { CHUNK_BYTES = sizeof(uint16_t) + sizeof(struct fz_chunk) };

static void write_bytes(int fd, unsigned mode, const uint8_t *bytes, size_t size)
{
    struct fz_header *header = &written_header;
    size_t length = size < sizeof(*header) ? size : sizeof(*header);
    memset(header, 0, sizeof(*header));
    memcpy(header, bytes, length);
    if (mode & FIX) {
        memcpy(header->magic, FZ_MAGIC, FZ_MAGIC_SIZE);
        header->checksum = fz_header_checksum(header);
        for (size_t i = 0; i < 2; i++)
            if (header->checkpoints[i].sequence != 0)
                header->checkpoints[i].checksum = fz_checkpoint_checksum(&header->checkpoints[i]);
        length = sizeof(*header);
    }
    if (!(mode & SPREAD))
        write_at(fd, bytes, size, 0);
    else
        for (size_t at = sizeof(*header); at + CHUNK_BYTES <= size; at += CHUNK_BYTES)
            write_chunk(fd, mode, bytes + at);
    write_at(fd, header, length, 0);
}

static void write_file(int fd, const uint8_t *bytes, size_t size)
{
    struct prefix prefix = {0};
    size_t skipped = size < sizeof(prefix) ? size : sizeof(prefix);
    memcpy(&prefix, bytes, skipped);
    CLAIM(ftruncate(fd, 0) == 0);
    write_bytes(fd, prefix.mode % MODES, bytes + skipped, size - skipped);
    off_t end = lseek(fd, 0, SEEK_END);
    CLAIM(ftruncate(fd, end + prefix.more_pages % MOST_PAGES * 4096 + prefix.odd_bytes) == 0);
}

/* -- What reads it ------------------------------------------------------------------------------------------------- */

static void check_problem(const struct problem *problem)
{
    size_t length = strnlen(problem->what, sizeof(problem->what));
    CLAIM(length > 0 && length < sizeof(problem->what));
}

/* Returns whether it got to the end. */
static bool walk(const struct reader *reader, uint64_t *used)
{
    struct problem problem;
    struct chunk chunk = {.end = 0};
    uint64_t page = reader->header.page_size, expected = page;
    int found;
    *used = page;
    while ((found = reader_next_chunk(reader, &chunk, &problem)) == 1) {
        CLAIM(chunk.start == expected && chunk.end > chunk.start && chunk.end % page == 0);
        CLAIM(chunk.start < chunk.used_end && chunk.used_end <= chunk.end && chunk.end <= reader->end);
        expected = chunk.end;
        *used += chunk.used_end - chunk.start;
    }
    CLAIM(found <= 0);
    if (found < 0)
        check_problem(&problem);
    else
        CLAIM(reader->end == 0 || expected == reader->end);
    return found == 0;
}

static void check_map(struct reader *reader, size_t most_cells, bool walked, uint64_t used, FILE *out)
{
    struct problem problem;
    struct page_map map;
    uint64_t pages = 0, kinds = 0;
    CLAIM(page_map_init(&map, most_cells));
    bool read = page_map_read(&map, reader, &problem);
    CLAIM(read == walked && map.count <= most_cells);
    if (!read)
        check_problem(&problem);
    CLAIM(!read || reader->end == 0 || map.used == used);
    for (size_t i = 0; i < map.count; i++)
        for (int kind = 0; kind < PAGE_KINDS; kind++)
            pages += map.cells[i].pages[kind];
    for (int kind = 0; kind < PAGE_KINDS; kind++)
        kinds += map.total.pages[kind];
    CLAIM(pages == map.pages && kinds == map.pages);
    for (size_t i = 0; i < map.count; i++)
        CLAIM(page_map_look(&map, i).colour < MAP_COLOURS);
    svg_draw(out, reader, &map);
    page_map_free(&map);
}

/* Returns whether all of it can be walked. `is_right` is what format.c says. */
static bool check_reader(const char *path, FILE *out, bool *is_right)
{
    struct reader reader;
    struct problem problem;
    uint64_t used;
    *is_right = false;
    if (!reader_open(&reader, path, &problem)) {
        check_problem(&problem);
        return false;
    }
    CLAIM(reader.end <= (uint64_t)reader.status.st_size && reader.header.page_size != 0 && reader.use != FILE_IN_USE);
    *is_right = reader.newest.error == 0 && !reader.falls_back;
    bool walked = walk(&reader, &used);
    check_map(&reader, 1, walked, used, out);
    check_map(&reader, 100, walked, used, out);
    reader_close(&reader);
    return walked;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static int fd = -1;
    static FILE *nowhere;
    char path[64];
    if (fd < 0) {
        fd = memfd_create("heap", MFD_CLOEXEC);
        nowhere = fopen("/dev/null", "w");
        CLAIM(fd >= 0 && nowhere != NULL);
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    write_file(fd, bytes, size);
    bool is_right, walked = check_reader(path, nowhere, &is_right);
    CLAIM((inspect(nowhere, path, false) == DONE) == (walked && is_right));
    CLAIM((inspect(nowhere, path, true) == DONE) == (walked && is_right));
    int status = check_file(path);
    CLAIM(status == FAILED || (status == DONE && walked && is_right));
    return 0;
}
