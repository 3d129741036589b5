/* Copies a heap file that nobody has open, or that programs read, even while a shared writer writes it. It may not let
 * a program that writes alone open the file meanwhile; take end and root from a header that is newer than the rest; or
 * share blocks with a file that is written.
 *
 * A heap's blocks never move, and a program publishes finished data by the root. So this reads the header first, at one
 * moment, and the rest after it: all that the root led to at that moment is in the copy. What the program changes in
 * place meanwhile may be from different moments.
 *
 * If the file system can share blocks (FICLONE), the copy takes no time. But then the next store to a page of the
 * original needs a new block. On a full disk there is none, and that would be SIGBUS in a program which was promised
 * its disk space. A program that opens the heap afterwards unshares the blocks first. copy_file_range(2) shares blocks
 * too, and isn't used. */
#include "commands.h"
#include "new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <filz/mmap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

/* Newer than some C libraries' headers. */
#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif

enum { LOCK_TRIES = 100, HEADER_TRIES = 100, COPY_TRIES = 20 };

struct snapshot {
    struct reader original;
    struct new_file copy;
    const char *copy_path;
    const char *about;       /* the file that a problem is about */
    struct fz_header header; /* the copy's */
    bool shares_blocks;
};

static bool copy_failed(struct snapshot *snapshot, struct problem *problem)
{
    int error = errno;
    snapshot->about = snapshot->copy_path;
    return problem_of_error(problem, error);
}

/* --- locks --- */

static bool set_lock(int fd, enum fz_byte byte, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

/* Like a reader. A shared writer has the heap alone while it opens or resets it. */
static bool take_locks(const struct reader *original)
{
    return flock(original->fd, LOCK_SH | LOCK_NB) == 0 &&
           (original->header.persistent != FZ_KEPT_AND_SHARED || set_lock(original->fd, FZ_READERS_BYTE, F_RDLCK));
}

static bool wait_for_locks(const struct reader *original)
{
    const struct timespec moment = {.tv_nsec = 10000000};
    for (int tries = 0; !take_locks(original); tries++) {
        bool may_pass = errno == EWOULDBLOCK && original->header.persistent == FZ_KEPT_AND_SHARED;
        if (!may_pass || tries == LOCK_TRIES)
            return false;
        nanosleep(&moment, NULL);
    }
    return true;
}

/* --- the header --- */

static bool read_header(const struct snapshot *snapshot, struct fz_header *header, struct problem *problem)
{
    ssize_t count = pread(snapshot->original.fd, header, sizeof(*header), 0);
    if (count < 0)
        return problem_of_error(problem, errno);
    return (size_t)count == sizeof(*header) || problem_of_error(problem, FILZ_ETRUNCATED);
}

/* The root may change each time. If the rest is the same before and after, the root is one of that heap's. */
static bool is_same_but_root(const struct fz_header *one, const struct fz_header *other)
{
    struct fz_header same = *one;
    same.root = other->root;
    return memcmp(&same, other, sizeof(same)) == 0;
}

/* Reads it as it was at one moment, and valid. */
static bool take_header(struct snapshot *snapshot, struct problem *problem)
{
    struct reader *original = &snapshot->original;
    struct fz_header again;
    for (int tries = 0; tries < HEADER_TRIES; tries++, sched_yield()) {
        problem_at(problem, 0, "the header changes faster than it can be read");
        if (!read_header(snapshot, &snapshot->header, problem) || !read_header(snapshot, &again, problem))
            return false;
        if (!is_same_but_root(&snapshot->header, &again))
            continue;
        if (fstat(original->fd, &original->status) != 0)
            return problem_of_error(problem, errno);
        const struct fz_problem found = reader_judge_as(original, &snapshot->header);
        __atomic_thread_fence(__ATOMIC_SEQ_CST); /* so that the rest isn't older */
        if (found.error == 0)
            return true;
        problem_of(problem, &found, &snapshot->header);
    }
    return false;
}

/* The list of tails of an orderly end is valid only if nobody has written the heap since. Threads that came since may
 * have chunks in the copy. A program that has the original open doesn't have the copy. */
static bool write_header(struct snapshot *snapshot, struct problem *problem)
{
    struct fz_header now, *header = &snapshot->header;
    if (!read_header(snapshot, &now, problem))
        return false;
    header->clean = header->clean && memcmp(header, &now, sizeof(now)) == 0;
    header->threads = now.threads;
    if (!header->clean && !reader_is_at_rest(&snapshot->original))
        header->pid = (uint32_t)getpid();
    return pwrite(snapshot->copy.fd, header, sizeof(*header), 0) == sizeof(*header) || copy_failed(snapshot, problem);
}

/* --- the rest --- */

static unsigned long file_system_of(int fd)
{
    struct statfs system;
    return fstatfs(fd, &system) == 0 ? (unsigned long)system.f_type : 0;
}

/* Unless a program writes the file, which keeps a lock on its first byte. No program can begin to meanwhile, so this is
 * tried only where it may succeed. */
static bool share_blocks(const struct snapshot *snapshot)
{
    int from = snapshot->original.fd;
    unsigned long type = file_system_of(from);
    if ((type != BTRFS_SUPER_MAGIC && type != XFS_SUPER_MAGIC) || !set_lock(from, FZ_WRITER_BYTE, F_RDLCK))
        return false;
    bool is_done = ioctl(snapshot->copy.fd, FICLONE, from) == 0;
    set_lock(from, FZ_WRITER_BYTE, F_UNLCK);
    return is_done;
}

/* Some file systems don't know yet where data was stored. */
static bool finds_holes(int fd)
{
    unsigned long type = file_system_of(fd);
    return type != 0 && type != FUSE_SUPER_MAGIC && type != OVERLAYFS_SUPER_MAGIC;
}

/* Moves `start` and `end` to the first data between them. */
static void next_data(int fd, uint64_t *start, uint64_t *end)
{
    off_t data = lseek(fd, (off_t)*start, SEEK_DATA);
    off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
    if (data < 0 && errno == ENXIO)
        *start = *end;
    if (hole <= data)
        return;
    *start = (uint64_t)data < *end ? (uint64_t)data : *end;
    *end = (uint64_t)hole < *end ? (uint64_t)hole : *end;
}

static bool is_zero(const char *bytes, size_t length)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

/* Skips zeros. If the file ends before, the rest becomes zeros. */
static bool copy_bytes(struct snapshot *snapshot, uint64_t start, uint64_t end, struct problem *problem)
{
    static char bytes[1 << 17];
    while (start < end) {
        size_t wanted = end - start < sizeof(bytes) ? (size_t)(end - start) : sizeof(bytes);
        ssize_t length = pread(snapshot->original.fd, bytes, wanted, (off_t)start);
        if (length < 0)
            return problem_of_error(problem, errno);
        if (length == 0)
            return true;
        if (!is_zero(bytes, (size_t)length))
            length = pwrite(snapshot->copy.fd, bytes, (size_t)length, (off_t)start);
        if (length <= 0)
            return copy_failed(snapshot, problem);
        start += (uint64_t)length;
    }
    return true;
}

/* From front to back, as the program wrote it. */
static bool copy_data(struct snapshot *snapshot, struct problem *problem)
{
    const int from = snapshot->original.fd;
    const uint64_t cursor = snapshot->header.cursor;
    bool skips_holes = finds_holes(from);
    for (uint64_t start = snapshot->header.page_size, end; start < cursor; start = end) {
        end = cursor;
        if (skips_holes)
            next_data(from, &start, &end);
        if (!copy_bytes(snapshot, start, end, problem))
            return false;
    }
    return true;
}

static bool copy_rest(struct snapshot *snapshot, struct problem *problem)
{
    const int to = snapshot->copy.fd;
    snapshot->shares_blocks = share_blocks(snapshot);
    if (!snapshot->shares_blocks) {
        if (ftruncate(to, 0) != 0)
            return copy_failed(snapshot, problem);
        if (!copy_data(snapshot, problem))
            return false;
    }
    return write_header(snapshot, problem) &&
           (ftruncate(to, (off_t)snapshot->header.cursor) == 0 || copy_failed(snapshot, problem));
}

/* --- all of it --- */

/* As `check` finds it. */
static bool is_whole(const struct snapshot *snapshot, struct problem *problem)
{
    char path[64];
    struct reader reader;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", snapshot->copy.fd);
    if (!reader_open_own(&reader, path, problem))
        return false;
    bool is_undamaged = check_quietly(&reader, problem);
    reader_close(&reader);
    return is_undamaged;
}

/* If a program shortens its newest chunk and carves the next while that part is copied, the copy has half of each. */
static bool copy_until_whole(struct snapshot *snapshot, struct problem *problem)
{
    for (int tries = 0; tries < COPY_TRIES; tries++) {
        if (!take_header(snapshot, problem) || !copy_rest(snapshot, problem))
            return false;
        if (is_whole(snapshot, problem))
            return true;
    }
    const struct problem last = *problem;
    return problem_at(problem, last.offset, "in each of %d copies: %s", COPY_TRIES, last.what);
}

static bool make_copy(struct snapshot *snapshot, struct problem *problem)
{
    const mode_t mode =
        snapshot->original.status.st_mode & (S_IRWXU | S_IRWXG | S_IRWXO) & ~(mode_t)(S_IWGRP | S_IWOTH);
    snapshot->about = snapshot->copy_path;
    if (!new_file_open(&snapshot->copy, snapshot->copy_path, problem))
        return false;
    snapshot->about = snapshot->original.path;
    bool done = copy_until_whole(snapshot, problem);
    if (done) {
        snapshot->about = snapshot->copy_path;
        done = new_file_publish(&snapshot->copy, mode, problem);
    }
    new_file_close(&snapshot->copy);
    return done;
}

/* The locks keep out programs that write alone, and resets. */
static bool lock_original(struct reader *original, struct problem *problem)
{
    if (wait_for_locks(original))
        return reader_refresh(original, problem);
    if (errno != EWOULDBLOCK)
        return problem_of_error(problem, errno);
    return problem_at(problem, NOWHERE,
                      "a program has it open to write alone: it must close the heap, or open it with "
                      "FILZ_MMAP_SHARED");
}

static bool open_original(struct reader *original, const char *path, struct problem *problem)
{
    if (!reader_open(original, path, problem))
        return false;
    if (lock_original(original, problem) &&
        (original->header.cursor != 0 || problem_at(problem, NOWHERE, "there is no heap in it yet")))
        return true;
    reader_close(original);
    return false;
}

static void print_done(const struct snapshot *snapshot)
{
    char path[4096], number[NUMBER_TEXT];
    printf("%s: %s bytes %s\n", legible(path, sizeof(path), snapshot->copy_path, sizeof(path)),
           number_text(number, snapshot->header.cursor), snapshot->shares_blocks ? "reflinked" : "copied");
}

static int snapshot_file(const char *path, const char *copy_path)
{
    struct snapshot snapshot = {.copy_path = copy_path, .about = path};
    struct problem problem;
    if (!open_original(&snapshot.original, path, &problem)) {
        report(path, &problem);
        return FAILED;
    }
    bool is_undamaged = check_heap(&snapshot.original);
    bool done = is_undamaged && make_copy(&snapshot, &problem);
    reader_close(&snapshot.original);
    if (done)
        print_done(&snapshot);
    else if (is_undamaged)
        report(snapshot.about, &problem);
    return done ? DONE : FAILED;
}

/* --- the command --- */

static const char help[] = "Usage: filz snapshot FILE COPY\n"
                           "Copies a heap file to a new file, which opens as a heap. FILE may be open to readers, and\n"
                           "to a program that lets readers in while it writes (FILZ_MMAP_SHARED).\n"
                           "\n"
                           "  --help  prints this\n"
                           "\n"
                           "Exit status: 0; 1, without a COPY, if FILE can't be read, isn't a heap, is damaged, or is\n"
                           "written by a program that lets nobody in; or if COPY already exists or can't be written.\n";

int command_snapshot(int argc, char **argv)
{
    static const struct option longs[] = {OPTION_HELP, {0}};
    static const struct usage usage = {help, "h", longs};
    while (next_option(argc, argv, &usage) != -1)
        continue;
    need_file_and_copy(argc, argv);
    signal(SIGXFSZ, SIG_IGN); /* a write past a file-size limit is then an error */
    return snapshot_file(argv[optind], argv[optind + 1]);
}
