/* Whether a program has a heap file open, as far as that can be known. */
#ifndef FILZ_TOOL_LOCK_H
#define FILZ_TOOL_LOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

enum file_use {
    FILE_UNUSED,
    FILE_IN_USE,
    FILE_UNKNOWN, /* no lock was found, but there may be one */
};

/* How /proc/locks may call a file. */
struct lock_name {
    unsigned major, minor;
    uint64_t inode;
};

struct file_lock {
    struct lock_name names[2];
    bool is_shown; /* if the file is locked, this machine's first PID namespace shows it */
    bool was_seen;
};

/* For the open file. */
void file_lock_init(struct file_lock *lock, int fd, const struct stat *status);

/* Looks for the lock; `pid` is the process that says in the file that it is the file's. Once the lock was seen, the
 * file is in use or unused. */
enum file_use file_lock_find(struct file_lock *lock, uint32_t pid);

#endif
