/* Every system call of filz. Functions that return int return 0 or an errno value. None of them may know what a heap
 * is.
 *
 * os_unix.c has those that are the same on every system. The others are in os_linux.c, or for macOS, FreeBSD and NetBSD
 * in os_posix.c. Another system needs one more such file. */
#ifndef FZ_OS_H
#define FZ_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* The name of the call that failed last, for messages. */
const char *fz_os_failed_call(void);

/* --- memory --- */

size_t fz_os_page_size(void);

/* Reserves addresses, at which nothing can be read or written: at `*start`, if nothing else is there, or anywhere if
 * that is NULL. Sets `*start` to the address. */
int fz_os_reserve(void **start, size_t length);

/* These replace the mapping at `start`. After an error nothing may be mapped there: reserve it again. */
int fz_os_reserve_again(void *start, size_t length);
int fz_os_map_file(void *start, size_t length, int fd, uint64_t offset);
int fz_os_map_to_read(void *start, size_t length, int fd);
/* Copy-on-write: stores stay this process's own. */
int fz_os_map_privately(void *start, size_t length, int fd);
int fz_os_map_anonymous(void *start, size_t length);

int fz_os_unmap(void *start, size_t length);

/* Excludes the memory from core dumps. */
int fz_os_exclude_from_dumps(void *start, size_t length);

/* Brings pages into RAM with one call instead of a fault each. Only a hint. */
void fz_os_prefault(void *start, size_t length);

/* Announces how memory will be used. The first three control read-ahead at a fault; the others read it in now, evict it
 * soon, or evict it now. Only a hint, which loses nothing. */
enum fz_advice { FZ_NORMAL, FZ_RANDOM, FZ_SEQUENTIAL, FZ_WILL_NEED, FZ_COLD, FZ_PAGE_OUT };
void fz_os_advise(void *start, size_t length, enum fz_advice advice);

/* How much memory this process can have, including that which holds pages of files; UINT64_MAX if unknown. Under the
 * lock. */
uint64_t fz_os_memory(void);

/* Sets the lowest bit of each page's byte in `states` if it is in RAM; the others mean nothing. */
int fz_os_residency(void *start, size_t pages, unsigned char *states);

/* The range number `index` of addresses at which the system puts nothing by itself, so that a heap can be mapped there
 * again. False: there are no more. They may still be taken, or not exist. */
bool fz_os_quiet_range(size_t index, uintptr_t *start, uintptr_t *size);

/* --- files --- */

/* An open file, with what its descriptor must refer to, because a program may close every descriptor, and then open
 * others under the same numbers. */
struct fz_file {
    int fd; /* -1: none */
    uint64_t device, inode;
    bool read_only;
    bool has_bytes;  /* holds locks of single bytes */
    bool in_memory;  /* no disk */
    bool finds_data; /* fz_os_next_data finds stores to a mapping before they are written back */
};

struct fz_status {
    uint64_t size;
    unsigned links;
    bool is_regular;
    bool is_mine;      /* owned by this process's user */
    bool is_roots;     /* by root */
    bool is_writable;  /* by its owner */
    bool others_write; /* group or anybody may */
    bool is_private;   /* mode 0600 */
};

enum fz_open { FZ_OPEN_EXISTING, FZ_OPEN_NEW, FZ_OPEN_TO_READ };

/* Opens a file to read and write, or only to read. Doesn't follow a final link, wait, or take the number of a standard
 * stream. FZ_OPEN_NEW: EEXIST if it exists. FZ_OPEN_TO_READ: keeps its times where possible. */
int fz_os_open(struct fz_file *file, const char *path, enum fz_open how);

/* An unnamed file in a directory, or in memory. */
int fz_os_open_unnamed(struct fz_file *file, const char *directory);
int fz_os_open_in_memory(struct fz_file *file);

/* Whether the descriptor still is this file's, with the same access; whether `path` still leads to it. */
bool fz_os_is_open(const struct fz_file *file);
bool fz_os_is_at(const struct fz_file *file, const char *path);

/* Closes the descriptor, if it is still this file's. Only the parent of a fork gives up the lock, not the child. */
void fz_os_close(struct fz_file *file);
void fz_os_unlock_and_close(struct fz_file *file);

int fz_os_status(const struct fz_file *file, struct fz_status *status);

/* EWOULDBLOCK if another open file has the lock, unless both share it. Held until the file is closed. Its holder may
 * ask for the other kind; if that fails, it has none. */
enum fz_lock { FZ_LOCK_ALONE, FZ_LOCK_SHARED };
int fz_os_lock(const struct fz_file *file, enum fz_lock kind);

/* The same for single bytes, which are separate locks; EOPNOTSUPP where there are none. And whether another open file
 * has an exclusive one. */
int fz_os_lock_byte(struct fz_file *file, uint64_t byte, enum fz_lock kind);
void fz_os_unlock_byte(const struct fz_file *file, uint64_t byte);
bool fz_os_is_byte_locked(const struct fz_file *file, uint64_t byte);

int fz_os_make_private(const struct fz_file *file);
int fz_os_unlink(const char *path);

/* Replaces anything at `to`. */
int fz_os_rename(const char *from, const char *to);

/* EIO if the file is shorter. */
int fz_os_read(int fd, uint64_t offset, void *bytes, size_t length);
int fz_os_write(const struct fz_file *file, uint64_t offset, const void *bytes, size_t length);
int fz_os_write_zeros(const struct fz_file *file, uint64_t start, uint64_t end);

/* Allocates disk space for [start, end), without changing its contents. EOPNOTSUPP where that can't be done. */
int fz_os_allocate(const struct fz_file *file, uint64_t start, uint64_t end);

/* The same, and that no other file shares it. It is no error if that can't be known. */
int fz_os_unshare(const struct fz_file *file, uint64_t size);

int fz_os_truncate(const struct fz_file *file, uint64_t size);

/* Whether a file may be written up to `size`. Writing past RLIMIT_FSIZE, even within the file, raises SIGXFSZ. */
bool fz_os_may_write(uint64_t size);

/* Narrows the range to the next bytes that were ever written; keeps it if the file can't tell. */
void fz_os_next_data(const struct fz_file *file, uint64_t *start, uint64_t *end);

int fz_os_sync_file(const struct fz_file *file);

/* The same, and stores to a mapping of the file. */
int fz_os_sync_memory(const struct fz_file *file, void *start, size_t length);

/* Brings the names in the directory of the absolute `path` to the disk. */
int fz_os_sync_directory_of(const char *path);

/* --- the process --- */

/* Whether a fork that ran no handlers made this process since the last fz_os_watch_forks; false where the system can't
 * tell. */
bool fz_os_forked(void);
void fz_os_watch_forks(void);
void fz_os_stop_watching_forks(void);

/* NULL if it isn't set, or the process has more rights than its caller. */
const char *fz_os_environment(const char *name);
bool fz_os_is_privileged(void);

/* SIZE_MAX: none. */
size_t fz_os_address_limit(void);

/* Whether exit(3) runs the handlers of atexit(3) before the destructors, and dlclose(3) after them. */
bool fz_os_runs_handlers_first(void);

int fz_os_working_directory(char *path, size_t room);
const char *fz_os_program(void);
uint32_t fz_os_process(void);
uint64_t fz_os_random(void);

/* Writes to standard error, without a signal if nobody reads that. */
void fz_os_report(const char *line, size_t length);

#pragma GCC visibility pop

#endif
