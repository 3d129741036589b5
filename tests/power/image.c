#include "image.h"
#include "../disks/expect.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, SECTOR = 512, PIECE = 1 << 20, EXT4_SUPERBLOCK = 1024 };

const char *const image_cut_names[CUT_KINDS] = {"in order", "any writes", "any pages", "any sectors"};

const void *image_data(const struct entry *entry)
{
    return entry + 1;
}

/* The entries are where their file is mapped, at whatever alignment the data before them leaves: a multiple of 8, as
 * writes to the disk are whole sectors and markers are whole words. */
struct log image_read_log(const char *path)
{
    struct log log = {0};
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    EXPECT(file >= 0 && fstat(file, &status) == 0 && status.st_size > 0);
    const char *at = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, file, 0);
    EXPECT(at != MAP_FAILED && close(file) == 0);
    log.entries = calloc((size_t)status.st_size / sizeof(struct entry), sizeof(*log.entries));
    EXPECT(log.entries != NULL);
    for (const char *end = at + status.st_size; at < end;) {
        const struct entry *entry = (const struct entry *)(const void *)at;
        EXPECT(entry->length % 8 == 0 && entry->length <= (size_t)(end - at) - sizeof(*entry));
        log.entries[log.count++] = entry;
        at += sizeof(*entry) + entry->length;
    }
    return log;
}

static void write_at(int file, const void *data, size_t length, uint64_t offset)
{
    EXPECT(pwrite(file, data, length, (off_t)offset) == (ssize_t)length);
}

void image_flush_before(struct base *base, const struct log *log, size_t last)
{
    size_t flush = last;
    while (flush > base->flushed && log->entries[flush]->kind != ENTRY_FLUSH)
        flush--;
    for (; base->flushed < flush; base->flushed++) {
        const struct entry *entry = log->entries[base->flushed];
        if (entry->kind == ENTRY_WRITE)
            write_at(base->file, image_data(entry), entry->length, entry->offset);
    }
}

/* Images are mostly holes. */
static void copy(int from, int to)
{
    static char piece[PIECE];
    struct stat status;
    EXPECT(fstat(from, &status) == 0 && ftruncate(to, 0) == 0 && ftruncate(to, status.st_size) == 0);
    off_t start = 0, end;
    while ((start = lseek(from, start, SEEK_DATA)) >= 0 && (end = lseek(from, start, SEEK_HOLE)) > start)
        while (start < end) {
            size_t length = (size_t)(end - start < PIECE ? end - start : PIECE);
            EXPECT(pread(from, piece, length, start) == (ssize_t)length);
            write_at(to, piece, length, (uint64_t)start);
            start += (off_t)length;
        }
}

static uint64_t draw(uint64_t *random, uint64_t below)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return (*random >> 20) % below;
}

/* How much of a write is on the disk or isn't, as a whole. ext4 can't do with half a superblock. */
static uint64_t whole_at(uint64_t offset, enum cut cut)
{
    const uint64_t sizes[CUT_KINDS] = {UINT64_MAX, UINT64_MAX, PAGE, SECTOR};
    return offset == EXT4_SUPERBLOCK && cut == CUT_SECTORS ? 1024 : sizes[cut];
}

void image_make(int crashed, struct base *base, const struct log *log, size_t last, enum cut cut, uint64_t random)
{
    random = (random ^ last * CUT_KINDS ^ (uint64_t)cut) * 0x9E3779B97F4A7C15 | 1;
    const uint64_t eighths = cut == CUT_IN_ORDER ? 8 : draw(&random, 8);
    image_flush_before(base, log, last);
    copy(base->file, crashed);
    for (size_t i = base->flushed; i <= last; i++) {
        const struct entry *entry = log->entries[i];
        uint64_t end = entry->kind == ENTRY_WRITE ? entry->length : 0;
        for (uint64_t at = 0, length; at < end; at += length) {
            uint64_t whole = whole_at(entry->offset + at, cut);
            length = end - at < whole ? end - at : whole;
            if (draw(&random, 8) < eighths)
                write_at(crashed, (const char *)image_data(entry) + at, length, entry->offset + at);
        }
    }
}
