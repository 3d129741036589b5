/* Finds who has a heap file open, and how, as far as that can be known. */
#ifndef FILZ_TOOL_LOCK_H
#define FILZ_TOOL_LOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

enum file_use {
    FILE_UNUSED,
    FILE_READ,    /* programs have it open, and none writes it */
    FILE_IN_USE,  /* a program that has it open writes it, or may write it */
    FILE_UNKNOWN, /* no lock was found, but there may be one */
};

enum file_writer {
    NO_WRITER,
    EXCLUSIVE_WRITER,
    SHARED_WRITER, /* lets readers in: FILZ_MMAP_SHARED */
    SOME_WRITER,   /* one of these two */
};

enum { MOST_PIDS = 16 };

struct file_users {
    enum file_writer writer;
    uint64_t readers;        /* and private copies of a heap whose last writer let no readers in: they lock alike */
    uint64_t private_copies; /* of others */
    size_t pids_known;
    pid_t pids[MOST_PIDS]; /* of readers and private copies */
    bool includes_owner;   /* one of the readers is the process that the file names */
    bool is_complete;      /* else there may be more */
};

/* A file as /proc/locks may name it. */
struct lock_name {
    unsigned major, minor;
    uint64_t inode;
};

struct file_lock {
    struct lock_name names[2];
    bool is_shown; /* if the file is locked, this machine's first PID namespace shows it */
    bool was_seen;
    struct file_users users; /* as found last */
};

/* For the open file. */
void file_lock_init(struct file_lock *lock, int fd, const struct stat *status);

/* Looks for the locks; `pid` is the process that the file names. Once a lock was seen, the file is known to be in use
 * or not. */
enum file_use file_lock_find(struct file_lock *lock, uint32_t pid);

#endif
