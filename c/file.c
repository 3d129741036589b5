/* One open file of filz's. What it may not do: use a descriptor without knowing that it is still this file's. */
#define _GNU_SOURCE 1
#define _FILE_OFFSET_BITS 64
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/param.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

/* See <linux/magic.h>. */
#define BTRFS_SUPER_MAGIC 0x9123683E
#define FUSE_SUPER_MAGIC 0x65735546
#define OVERLAYFS_SUPER_MAGIC 0x794C7630
#define TMPFS_MAGIC 0x01021994

/* See <linux/falloc.h>. */
#ifndef FALLOC_FL_UNSHARE_RANGE
#define FALLOC_FL_UNSHARE_RANGE 0x40
#endif

static const char zeros[16 * 1024];

/* btrfs writes a page that is written again to a new place, and a full disk has none: SIGBUS. It can be told not to, as
 * long as the file is empty; see "NOCOW" in btrfs(5). The values are those of <linux/fs.h>; the types of ioctl differ
 * between C libraries. */
static void write_in_place(int fd)
{
    const long nocow = 0x00800000;
    long flags;
    if (syscall(SYS_ioctl, fd, _IOR('f', 1, long), &flags) == 0) {
        flags |= nocow;
        syscall(SYS_ioctl, fd, _IOW('f', 2, long), &flags);
    }
}

int filz_file_remember(struct filz_file *file, int fd)
{
    struct stat status;
    struct statfs system;
    if (fstat(fd, &status) != 0)
        return errno;
    unsigned long type = fstatfs(fd, &system) == 0 ? (unsigned long)system.f_type : 0;
    if (type == BTRFS_SUPER_MAGIC && status.st_size == 0)
        write_in_place(fd);
    bool hides_stores = type == FUSE_SUPER_MAGIC || type == OVERLAYFS_SUPER_MAGIC;
    *file = (struct filz_file){fd, type == TMPFS_MAGIC, hides_stores, status.st_dev, status.st_ino};
    return 0;
}

static bool is_same(const struct filz_file *file, const struct stat *status)
{
    return status->st_dev == file->device && status->st_ino == file->inode;
}

/* The program may have this file open too, to read it, under the number that was ours. */
bool filz_file_is_open(const struct filz_file *file)
{
    struct stat status;
    return file->fd >= 0 && fstat(file->fd, &status) == 0 && is_same(file, &status) &&
           (fcntl(file->fd, F_GETFL) & O_ACCMODE) == O_RDWR;
}

bool filz_file_is_at(const struct filz_file *file, const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && is_same(file, &status);
}

void filz_file_close(struct filz_file *file)
{
    if (filz_file_is_open(file))
        close(file->fd);
    file->fd = -1;
}

bool filz_file_may_have(uint64_t size)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || size <= limit.rlim_cur;
}

static int write_zeros(int fd, off_t start, off_t end)
{
    struct iovec parts[64];
    while (start < end) {
        int count = 0;
        for (off_t at = start; at < end && count < 64; at += (off_t)sizeof(zeros))
            parts[count++] = (struct iovec){(void *)zeros, (size_t)MIN(end - at, (off_t)sizeof(zeros))};
        ssize_t written = pwritev(fd, parts, count, start);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? errno : ENOSPC;
        start += written;
    }
    return 0;
}

/* EOPNOTSUPP where the file system, or the kernel, can't. Signals wait meanwhile: one that comes more often than
 * fallocate takes would interrupt it each time. */
static int ask_for_room(int fd, int mode, off_t start, off_t end)
{
    int error;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    do
        error = fallocate(fd, mode, start, end - start) == 0 ? 0 : errno;
    while (error == EINTR);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == ENOSYS ? EOPNOTSUPP : error;
}

/* Zeros take up their room on the disk too: for little they are quicker, and they are the next best where the file
 * system has no fallocate. The magic stays, without which the next run wouldn't know a new file for filz's. */
static int allocate(int fd, off_t start, off_t end)
{
    int error = end - start > FILZ_LITTLE ? ask_for_room(fd, 0, start, end) : EOPNOTSUPP;
    if (error == EOPNOTSUPP)
        error = write_zeros(fd, MAX(start, (off_t)FILZ_MAGIC_SIZE), end);
    return error;
}

int filz_file_extend(const struct filz_file *file, uint64_t size, size_t length)
{
    if (!filz_file_may_have(size + length))
        return EFBIG;
    int error = allocate(file->fd, (off_t)size, (off_t)(size + length));
    if (error != 0)
        filz_file_cut(file, size);
    return error;
}

/* tmpfs shares nothing, but fallocate looks at page after page there, which takes 40 ms a GiB. Blocks behind `size`, or
 * of huge pages, may stand for as many holes before it. */
static bool is_whole_in_memory(const struct filz_file *file, uint64_t size)
{
    struct stat status;
    return file->in_memory && fstat(file->fd, &status) == 0 && (uint64_t)status.st_size == size &&
           (uint64_t)status.st_blocks * 512 == size;
}

/* Where the file system can do neither, a store in a hole may find the disk full. */
int filz_file_own_blocks(const struct filz_file *file, uint64_t size)
{
    if (is_whole_in_memory(file, size))
        return 0;
    int error = ask_for_room(file->fd, FALLOC_FL_UNSHARE_RANGE, 0, (off_t)size);
    if (error == EOPNOTSUPP)
        error = ask_for_room(file->fd, 0, 0, (off_t)size);
    return error == EOPNOTSUPP ? 0 : error;
}

bool filz_file_write_ahead(const struct filz_file *file, uint64_t start, size_t length)
{
    return !file->in_memory && filz_file_is_open(file) && filz_file_may_have(start + length) &&
           write_zeros(file->fd, (off_t)start, (off_t)(start + length)) == 0;
}

int filz_file_clear(int fd, uint64_t size)
{
    if (size <= FILZ_LITTLE && filz_file_may_have(size) && write_zeros(fd, FILZ_MAGIC_SIZE, (off_t)size) == 0)
        return 0;
    return ftruncate(fd, FILZ_MAGIC_SIZE) == 0 ? 0 : errno;
}

void filz_file_cut(const struct filz_file *file, uint64_t size)
{
    (void)!ftruncate(file->fd, (off_t)(size > FILZ_MAGIC_SIZE ? size : FILZ_MAGIC_SIZE));
}
