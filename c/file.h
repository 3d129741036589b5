/* One open file of filz's: knowing its descriptor again, making it longer, closing it. */
#ifndef FILZ_FILE_H
#define FILZ_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A descriptor, and what it must still refer to: a program may close every descriptor, ours too, and then open others
 * under the same numbers. */
struct filz_file {
    int fd; /* -1: none */
    dev_t device;
    ino_t inode;
};

/* Sets `file` to the empty file behind `fd`. Returns 0 or an errno value; `fd` is closed then. */
int filz_file_remember(struct filz_file *file, int fd);

/* Whether the descriptor is still this file's. */
bool filz_file_is_open(const struct filz_file *file);

/* Closes the descriptor, unless it is somebody else's by now. */
void filz_file_close(struct filz_file *file);

/* Whether a file may be made `size` bytes long: growing one past RLIMIT_FSIZE would raise SIGXFSZ. */
bool filz_file_may_have(off_t size);

/* Makes a file of `size` bytes longer by `length` bytes of zeros for which there is room on the disk, or leaves it as
 * it was. Returns 0 or an errno value. */
int filz_file_extend(int fd, off_t size, size_t length);

#endif
