/* Linux. What it may not do: know what a heap is. */
#ifdef __linux__

#define _GNU_SOURCE 1
#define _FILE_OFFSET_BITS 64
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

/* Newer than some C libraries' headers; see <linux/magic.h>, <linux/falloc.h> and <linux/mman.h>. */
#define FUSE_SUPER_MAGIC 0x65735546
#define OVERLAYFS_SUPER_MAGIC 0x794C7630
#define TMPFS_MAGIC 0x01021994
#ifndef FALLOC_FL_UNSHARE_RANGE
#define FALLOC_FL_UNSHARE_RANGE 0x40
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* O_NONBLOCK: opening a FIFO would wait for its other end. */
#define OPEN_SAFELY (O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
#define PRIVATE (S_IRUSR | S_IWUSR)

/* A thread may have no more than 16 KiB of stack. */
#define PATH_ROOM 2100

/* Two threads may fail at once: then one of them reads the other's. */
static const char *failed_call = "";

const char *fz_os_failed_call(void)
{
    return __atomic_load_n(&failed_call, __ATOMIC_RELAXED);
}

static int failed_with(const char *call, int error)
{
    __atomic_store_n(&failed_call, call, __ATOMIC_RELAXED);
    return error;
}

static int result_of(const char *call, bool success)
{
    return success ? 0 : failed_with(call, errno);
}

/* --- memory --- */

size_t fz_os_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static int map(void *start, size_t length, int protection, int flags, int fd, uint64_t offset, void **mapped)
{
    *mapped = mmap(start, length, protection, flags, fd, (off_t)offset);
    return result_of("mmap", *mapped != MAP_FAILED);
}

/* The kernel takes the address for a wish, and fulfils it where nothing else is. MAP_FIXED_NOREPLACE would say more,
 * but sanitizers and Valgrind don't know it, and one of them then maps address 0. */
int fz_os_reserve(void **start, size_t length)
{
    int error = map(*start, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, start);
    return error == EINVAL ? ENOMEM : error; /* Valgrind says it of a length */
}

int fz_os_reserve_again(void *start, size_t length)
{
    return map(start, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0, &start);
}

int fz_os_map_file(void *start, size_t length, int fd, uint64_t offset)
{
    return map(start, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset, &start);
}

/* Writable in a second step: a system that counts (vm.overcommit_memory of 2) may refuse that, and kernels before 6.12
 * have by then taken away what a refused mapping was to replace. */
int fz_os_map_privately(void *start, size_t length, int fd)
{
    int error = map(start, length, PROT_READ, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd, 0, &start);
    if (error != 0)
        return error;
    error = result_of("mprotect", mprotect(start, length, PROT_READ | PROT_WRITE) == 0);
    if (error != 0)
        fz_os_map_file(start, length, fd, 0);
    return error;
}

int fz_os_map_anonymous(void *start, size_t length)
{
    return map(start, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0,
               &start);
}

int fz_os_unmap(void *start, size_t length)
{
    return result_of("munmap", munmap(start, length) == 0);
}

int fz_os_exclude_from_dumps(void *start, size_t length)
{
    return result_of("madvise", madvise(start, length, MADV_DONTDUMP) == 0);
}

/* Kernels before 5.14 don't know it. */
void fz_os_prefault(void *start, size_t length)
{
    madvise(start, length, MADV_POPULATE_WRITE);
}

int fz_os_residency(void *start, size_t pages, unsigned char *states)
{
    return result_of("mincore", mincore(start, pages * fz_os_page_size(), states) == 0);
}

int fz_os_sync_memory(void *start, size_t length)
{
    return result_of("msync", msync(start, length, MS_SYNC) == 0);
}

/* --- files --- */

/* 0, 1 and 2 are standard input, output and error, also where a program started without them. */
static int above_standard(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int error = errno;
    close(fd);
    errno = error;
    return higher;
}

static int remember(struct fz_file *file, int fd, const char *call)
{
    struct stat status;
    struct statfs system;
    *file = (struct fz_file){.fd = above_standard(fd)};
    if (file->fd < 0)
        return failed_with(call, errno);
    if (fstat(file->fd, &status) != 0) {
        int error = failed_with("fstat", errno);
        close(file->fd);
        file->fd = -1;
        return error;
    }
    file->device = status.st_dev;
    file->inode = status.st_ino;
    unsigned long type = fstatfs(file->fd, &system) == 0 ? (unsigned long)system.f_type : 0;
    file->in_memory = type == TMPFS_MAGIC;
    file->finds_data = type != FUSE_SUPER_MAGIC && type != OVERLAYFS_SUPER_MAGIC;
    return 0;
}

int fz_os_open(struct fz_file *file, const char *path, enum fz_open how)
{
    int create = how == FZ_OPEN_NEW ? O_CREAT | O_EXCL : 0;
    return remember(file, open(path, OPEN_SAFELY | create, PRIVATE), "open");
}

/* Where the file system has no O_TMPFILE: a name that nobody can guess, gone at once. */
static int open_and_unlink(const char *directory)
{
    char path[PATH_ROOM];
    uint64_t random[2];
    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return -1;
    int length = snprintf(path, sizeof(path), "%s/.filz-%016" PRIx64 "%016" PRIx64, directory, random[0], random[1]);
    if ((size_t)length >= sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = open(path, OPEN_SAFELY | O_CREAT | O_EXCL, PRIVATE);
    if (fd >= 0 && unlink(path) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

int fz_os_open_unnamed(struct fz_file *file, const char *directory)
{
    int fd = open(directory, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, PRIVATE);
    return remember(file, fd >= 0 ? fd : open_and_unlink(directory), "open");
}

int fz_os_open_in_memory(struct fz_file *file)
{
    return remember(file, memfd_create("filz", MFD_CLOEXEC), "memfd_create");
}

static bool is_same(const struct fz_file *file, const struct stat *status)
{
    return status->st_dev == file->device && status->st_ino == file->inode;
}

/* The program may have this file open too, to read it, under the number that was ours. */
bool fz_os_is_open(const struct fz_file *file)
{
    struct stat status;
    return file->fd >= 0 && fstat(file->fd, &status) == 0 && is_same(file, &status) &&
           (fcntl(file->fd, F_GETFL) & O_ACCMODE) == O_RDWR;
}

bool fz_os_is_at(const struct fz_file *file, const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && is_same(file, &status);
}

void fz_os_close(struct fz_file *file)
{
    if (fz_os_is_open(file))
        close(file->fd);
    file->fd = -1;
}

/* A child that was just forked may have the same open file, and would keep the lock. */
void fz_os_unlock_and_close(struct fz_file *file)
{
    if (fz_os_is_open(file)) {
        flock(file->fd, LOCK_UN);
        close(file->fd);
    }
    file->fd = -1;
}

int fz_os_status(const struct fz_file *file, struct fz_status *status)
{
    struct stat found;
    if (fstat(file->fd, &found) != 0)
        return failed_with("fstat", errno);
    *status = (struct fz_status){
        .size = (uint64_t)found.st_size,
        .links = (unsigned)found.st_nlink,
        .is_regular = S_ISREG(found.st_mode),
        .is_mine = found.st_uid == geteuid(),
        .is_writable = (found.st_mode & S_IWUSR) != 0,
        .others_write = (found.st_mode & (S_IWGRP | S_IWOTH)) != 0,
        .is_private = (found.st_mode & ~(mode_t)S_IFMT) == PRIVATE,
    };
    return 0;
}

int fz_os_lock(const struct fz_file *file)
{
    return result_of("flock", flock(file->fd, LOCK_EX | LOCK_NB) == 0);
}

int fz_os_make_private(const struct fz_file *file)
{
    return result_of("fchmod", fchmod(file->fd, PRIVATE) == 0);
}

int fz_os_unlink(const char *path)
{
    return result_of("unlink", unlink(path) == 0);
}

int fz_os_read(int fd, uint64_t offset, void *bytes, size_t length)
{
    ssize_t count;
    do
        count = pread(fd, bytes, length, (off_t)offset);
    while (count < 0 && errno == EINTR);
    if (count >= 0 && (size_t)count != length)
        return failed_with("pread", EIO);
    return result_of("pread", count >= 0);
}

/* Writes so many of `length` bytes as one call does. */
typedef ssize_t write_some(int fd, const void *bytes, size_t length, off_t offset);

static ssize_t write_some_zeros(int fd, const void *bytes, size_t length, off_t offset)
{
    static const char zeros[16 * 1024];
    struct iovec parts[64];
    int count = 0;
    (void)bytes;
    for (; length > 0 && count < 64; count++) {
        parts[count] = (struct iovec){(void *)zeros, length < sizeof(zeros) ? length : sizeof(zeros)};
        length -= parts[count].iov_len;
    }
    return pwritev(fd, parts, count, offset);
}

static int write_all(const char *call, write_some *some, int fd, const char *bytes, uint64_t start, uint64_t end)
{
    for (uint64_t at = start; at < end;) {
        const char *next = bytes != NULL ? bytes + (at - start) : NULL;
        ssize_t written = some(fd, next, (size_t)(end - at), (off_t)at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return failed_with(call, written < 0 ? errno : ENOSPC);
        at += (uint64_t)written;
    }
    return 0;
}

int fz_os_write(const struct fz_file *file, uint64_t offset, const void *bytes, size_t length)
{
    return write_all("pwrite", pwrite, file->fd, bytes, offset, offset + length);
}

int fz_os_write_zeros(const struct fz_file *file, uint64_t start, uint64_t end)
{
    return write_all("pwritev", write_some_zeros, file->fd, NULL, start, end);
}

/* Signals wait meanwhile: one that comes more often than fallocate takes would interrupt it each time. */
static int allocate(int fd, int mode, uint64_t start, uint64_t end)
{
    int error;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    do
        error = result_of("fallocate", fallocate(fd, mode, (off_t)start, (off_t)(end - start)) == 0);
    while (error == EINTR);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == ENOSYS ? EOPNOTSUPP : error;
}

int fz_os_allocate(const struct fz_file *file, uint64_t start, uint64_t end)
{
    return allocate(file->fd, 0, start, end);
}

/* tmpfs shares nothing, but fallocate looks at page after page there, which takes 40 ms a GiB. Blocks after `size`, or
 * of huge pages, may stand for as many holes before it. */
static bool is_whole_in_memory(const struct fz_file *file, uint64_t size)
{
    struct stat status;
    return file->in_memory && fstat(file->fd, &status) == 0 && (uint64_t)status.st_size == size &&
           (uint64_t)status.st_blocks * 512 == size;
}

/* Where the file system knows holes, but not fallocate. */
static int fill_holes(const struct fz_file *file, uint64_t size)
{
    int error = 0;
    for (off_t start = 0, end; error == 0; start = end) {
        start = lseek(file->fd, start, SEEK_HOLE);
        if (start < 0 || (uint64_t)start >= size)
            return 0;
        end = lseek(file->fd, start, SEEK_DATA);
        end = end < 0 || (uint64_t)end > size ? (off_t)size : end;
        error = fz_os_write_zeros(file, (uint64_t)start, (uint64_t)end);
    }
    return error;
}

int fz_os_unshare(const struct fz_file *file, uint64_t size)
{
    if (is_whole_in_memory(file, size))
        return 0;
    int error = allocate(file->fd, FALLOC_FL_UNSHARE_RANGE, 0, size);
    if (error == EOPNOTSUPP)
        error = allocate(file->fd, 0, 0, size);
    return error == EOPNOTSUPP ? fill_holes(file, size) : error;
}

int fz_os_truncate(const struct fz_file *file, uint64_t size)
{
    return result_of("ftruncate", ftruncate(file->fd, (off_t)size) == 0);
}

static uint64_t soft_limit(int result, const struct rlimit *limit)
{
    return result != 0 || limit->rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit->rlim_cur;
}

bool fz_os_may_write(uint64_t size)
{
    struct rlimit limit;
    bool may = size <= soft_limit(getrlimit(RLIMIT_FSIZE, &limit), &limit);
    if (!may)
        failed_with("getrlimit", EFBIG);
    return may;
}

void fz_os_next_data(const struct fz_file *file, uint64_t *start, uint64_t *end)
{
    if (!file->finds_data || !fz_os_is_open(file))
        return;
    off_t data = lseek(file->fd, (off_t)*start, SEEK_DATA);
    off_t hole = data < 0 ? -1 : lseek(file->fd, data, SEEK_HOLE);
    if (data < 0 && errno == ENXIO)
        *start = *end;
    if (hole < 0)
        return;
    *start = (uint64_t)data < *end ? (uint64_t)data : *end;
    *end = (uint64_t)hole < *end ? (uint64_t)hole : *end;
}

int fz_os_sync_file(const struct fz_file *file)
{
    return result_of("fsync", fsync(file->fd) == 0);
}

/* The name of a new file is on the disk when its directory is; see fsync(2). */
int fz_os_sync_directory_of(const char *path)
{
    char directory[PATH_ROOM];
    int length = snprintf(directory, sizeof(directory), "%.*s", (int)(strrchr(path, '/') - path) + 1, path);
    if ((size_t)length >= sizeof(directory))
        return failed_with("open", ENAMETOOLONG);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return failed_with("open", errno);
    int error = result_of("fsync", fsync(fd) == 0);
    close(fd);
    return error;
}

/* --- the process --- */

/* A page that the kernel clears in every child: not 1 means that this process was forked since. */
static unsigned char *canary;

/* Kernels before 4.14 can't: then such a child isn't noticed. */
void fz_os_watch_forks(void)
{
    void *page = canary;
    if (page == NULL) {
        size_t length = fz_os_page_size();
        if (map(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, &page) != 0)
            return;
        if (madvise(page, length, MADV_WIPEONFORK) != 0) {
            munmap(page, length);
            return;
        }
    }
    __atomic_store_n((unsigned char *)page, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&canary, page, __ATOMIC_RELEASE);
}

bool fz_os_forked(void)
{
    const unsigned char *page = __atomic_load_n(&canary, __ATOMIC_ACQUIRE);
    return page != NULL && __atomic_load_n(page, __ATOMIC_RELAXED) != 1;
}

void fz_os_stop_watching_forks(void)
{
    unsigned char *page = __atomic_exchange_n(&canary, NULL, __ATOMIC_RELAXED);
    if (page != NULL)
        munmap(page, fz_os_page_size());
}

const char *fz_os_environment(const char *name)
{
    return secure_getenv(name);
}

bool fz_os_is_privileged(void)
{
    return getauxval(AT_SECURE) != 0;
}

size_t fz_os_address_limit(void)
{
    struct rlimit found;
    uint64_t limit = soft_limit(getrlimit(RLIMIT_AS, &found), &found);
    return limit < SIZE_MAX ? (size_t)limit : SIZE_MAX;
}

int fz_os_working_directory(char *path, size_t room)
{
    return result_of("getcwd", getcwd(path, room) != NULL);
}

const char *fz_os_program(void)
{
    return program_invocation_short_name;
}

uint32_t fz_os_process(void)
{
    return (uint32_t)getpid();
}

uint64_t fz_os_random(void)
{
    uint64_t random = 0;
    (void)!getrandom(&random, sizeof(random), 0);
    return random;
}

/* Standard error may be a pipe that nobody reads (SIGPIPE), or a file at its size limit (SIGXFSZ). */
void fz_os_report(const char *line, size_t length)
{
    sigset_t deadly, before;
    sigemptyset(&deadly);
    sigaddset(&deadly, SIGPIPE);
    sigaddset(&deadly, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &deadly, &before);
    if (write(STDERR_FILENO, line, length) < 0 && (errno == EPIPE || errno == EFBIG))
        sigtimedwait(&deadly, NULL, &(struct timespec){0});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

#endif
