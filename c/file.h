/* One open file of filz's: knowing its descriptor again, making it longer, closing it. */
#ifndef FILZ_FILE_H
#define FILZ_FILE_H

#include "format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A descriptor, and what it must still refer to: a program may close every descriptor, ours too, and then open others
 * under the same numbers. */
struct filz_file {
    int fd;         /* -1: none */
    bool in_memory; /* tmpfs: there is no disk */
    /* FUSE, or overlayfs, which may lie on it: what was stored to a mapping may be a hole to lseek(2), until it is
     * written back. */
    bool hides_stores;
    uint64_t device;
    uint64_t inode;
};

/* Sets `file` to the one behind `fd`, and makes sure, if it is empty, that rewriting its pages will need no new room on
 * the disk. Returns 0 or an errno value. */
int filz_file_remember(struct filz_file *file, int fd);

/* Whether the descriptor is still this file's. */
bool filz_file_is_open(const struct filz_file *file);

/* Whether `path` still leads to this file. */
bool filz_file_is_at(const struct filz_file *file, const char *path);

/* Closes the descriptor, unless it is somebody else's by now. */
void filz_file_close(struct filz_file *file);

/* Whether a file may be written up to `size`: past RLIMIT_FSIZE, also inside a longer file, that raises SIGXFSZ. */
bool filz_file_may_have(uint64_t size);

/* Makes a file of `size` bytes longer by `length` bytes of zeros for which there is room on the disk, or leaves it as
 * it was. Returns 0 or an errno value. */
int filz_file_extend(const struct filz_file *file, uint64_t size, size_t length);

/* Makes sure that what a file of `size` bytes holds has room of its own on the disk, as a copy may not: it may have
 * holes, or share its blocks with another file. Its bytes stay. Returns 0 or an errno value. */
int filz_file_own_blocks(const struct filz_file *file, uint64_t size);

/* Makes a heap file of `size` bytes one of zeros behind its magic, or cuts it there. Returns 0 or an errno value. */
int filz_file_clear(int fd, uint64_t size);

/* Makes the file `size` bytes long, but no shorter than the magic by which the next run knows it. If that fails, it is
 * longer than it need be. */
void filz_file_cut(const struct filz_file *file, uint64_t size);

/* Up to so many bytes are written at once where fallocate, or cutting the file, would take longer; and so many at least
 * are worth writing ahead. */
#define FILZ_LITTLE (64 << 10)

/* Brings pages into RAM that were never written, by writing zeros: the kernel then makes larger pages of them than it
 * does for a fault, or MADV_POPULATE_WRITE, and one fault maps each of those. Returns whether it did. */
bool filz_file_write_ahead(const struct filz_file *file, uint64_t start, size_t length);

#endif
