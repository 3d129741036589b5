/* Heap files of any bytes, read by all of the tool that reads them: the walk, `inspect`, `check`, the map. Such a file
 * must give a message, or the truth; never a crash, nor a loop without end. */
#define _GNU_SOURCE 1
#include "../../c/tool/commands.h"
#include "../../c/tool/page_map.h"
#include "../../c/tool/svg.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* There is no standard error to say it on: libFuzzer says where it was. */
#define CLAIM(condition) ((condition) ? (void)0 : abort())

/* -- A file of the fuzzer's bytes ---------------------------------------------------------------------------------- */

/* How the bytes become a file. Most files would be refused for their header alone. */
enum {
    SPREAD = 1,   /* a header, then chunks' headers, each with the page that it goes to; else all bytes as they are */
    MEND = 2,     /* the header's checksum is made right */
    RELATIVE = 4, /* addresses of chunks are offsets, to which the base is added */
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
    uint8_t bytes[sizeof(struct filz_chunk)];
};

static struct filz_header written_header;

static void write_at(int fd, const void *bytes, size_t size, uint64_t offset)
{
    CLAIM(pwrite(fd, bytes, size, (off_t)offset) == (ssize_t)size);
}

static void write_chunk(int fd, unsigned mode, const uint8_t *bytes)
{
    struct spread_chunk spread;
    struct filz_chunk chunk;
    memcpy(&spread.page, bytes, sizeof(spread.page));
    memcpy(&chunk, bytes + sizeof(spread.page), sizeof(chunk));
    if (mode & RELATIVE) {
        chunk.end += (uintptr_t)written_header.base;
        chunk.fresh += (uintptr_t)written_header.base;
    }
    write_at(fd, &chunk, sizeof(chunk), (uint64_t)spread.page * 4096);
}

enum { CHUNK_BYTES = sizeof(uint16_t) + sizeof(struct filz_chunk) };

static void write_bytes(int fd, unsigned mode, const uint8_t *bytes, size_t size)
{
    struct filz_header *header = &written_header;
    size_t length = size < sizeof(*header) ? size : sizeof(*header);
    memset(header, 0, sizeof(*header));
    memcpy(header, bytes, length);
    if (mode & MEND) {
        memcpy(header->magic, FILZ_MAGIC, FILZ_MAGIC_SIZE);
        header->checksum = filz_header_checksum(header);
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
        CLAIM(chunk.start < chunk.used_end && chunk.used_end <= chunk.end && chunk.end <= reader->header.cursor);
        expected = chunk.end;
        *used += chunk.used_end - chunk.start;
    }
    CLAIM(found <= 0);
    if (found < 0)
        check_problem(&problem);
    else
        CLAIM(reader->header.cursor == 0 || expected == reader->header.cursor);
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
    CLAIM(!read || reader->header.cursor == 0 || map.used == used);
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

static bool check_reader(const char *path, FILE *out)
{
    struct reader reader;
    struct problem problem;
    uint64_t used;
    if (!reader_open(&reader, path, &problem)) {
        check_problem(&problem);
        return false;
    }
    CLAIM(reader.header.cursor <= (uint64_t)reader.status.st_size && reader.header.page_size != 0);
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
    bool walked = check_reader(path, nowhere);
    CLAIM((inspect(nowhere, path, false) == DONE) == walked);
    CLAIM((inspect(nowhere, path, true) == DONE) == walked);
    int status = check_file(path);
    CLAIM(status == FAILED || (status == DONE && walked));
    return 0;
}
