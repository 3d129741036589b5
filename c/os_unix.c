/* The system calls that Linux, macOS and the BSDs have in common: POSIX.1-2008, and MAP_ANONYMOUS, flock, mincore,
 * pwritev and getentropy. May not know what a heap is. */
#include "os_unix.h"

/* O_NONBLOCK: opening a FIFO would wait for its other end. */
#define OPEN_SAFELY (O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
#define PRIVATE (S_IRUSR | S_IWUSR)

/* FreeBSD needs none: it counts written pages. */
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

/* NetBSD needs it to take an address as a hint. */
#ifndef MAP_TRYFIXED
#define MAP_TRYFIXED 0
#endif

#define NO_FILE (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

/* If two threads fail at once, one may read the other's. */
static const char *failed_call = "";

const char *fz_os_failed_call(void)
{
    return __atomic_load_n(&failed_call, __ATOMIC_RELAXED);
}

int fz_unix_failed(const char *call, int error)
{
    __atomic_store_n(&failed_call, call, __ATOMIC_RELAXED);
    return error;
}

int fz_unix_result(const char *call, bool success)
{
    return success ? 0 : fz_unix_failed(call, errno);
}

/* --- memory --- */

size_t fz_os_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static int map(void *start, size_t length, int protection, int flags, int fd, uint64_t offset, void **mapped)
{
    *mapped = mmap(start, length, protection, flags, fd, (off_t)offset);
    return fz_unix_result("mmap", *mapped != MAP_FAILED);
}

/* The kernel takes the address as a hint, and uses it if nothing else is there. MAP_FIXED_NOREPLACE would be stricter,
 * but sanitizers and Valgrind don't know it, and one of them then maps address 0. */
int fz_os_reserve(void **start, size_t length)
{
    int error = map(*start, length, PROT_NONE, NO_FILE | MAP_TRYFIXED, -1, 0, start);
    return error == EINVAL ? ENOMEM : error; /* Valgrind's, for a length */
}

int fz_os_reserve_again(void *start, size_t length)
{
    return map(start, length, PROT_NONE, NO_FILE | MAP_FIXED, -1, 0, &start);
}

int fz_os_map_file(void *start, size_t length, int fd, uint64_t offset)
{
    return map(start, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset, &start);
}

int fz_os_map_to_read(void *start, size_t length, int fd)
{
    return map(start, length, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0, &start);
}

/* Made writable in a second step, because strict overcommit (vm.overcommit_memory of 2) may refuse that, and kernels
 * before 6.12 first unmap what a refused mapping was to replace. */
int fz_os_map_privately(void *start, size_t length, int fd)
{
    int error = map(start, length, PROT_READ, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd, 0, &start);
    if (error != 0)
        return error;
    error = fz_unix_result("mprotect", mprotect(start, length, PROT_READ | PROT_WRITE) == 0);
    if (error != 0)
        fz_os_map_file(start, length, fd, 0);
    return error;
}

int fz_os_map_anonymous(void *start, size_t length)
{
    return map(start, length, PROT_READ | PROT_WRITE, NO_FILE | MAP_FIXED, -1, 0, &start);
}

int fz_os_unmap(void *start, size_t length)
{
    return fz_unix_result("munmap", munmap(start, length) == 0);
}

/* The states are signed or unsigned chars. */
int fz_os_residency(void *start, size_t pages, unsigned char *states)
{
    return fz_unix_result("mincore", mincore(start, pages * fz_os_page_size(), (void *)states) == 0);
}

#define GIB ((uintptr_t)1 << 30)

/* Here are no programs, libraries or stacks. On Linux, the first range is free however much it randomizes addresses
 * (vm.mmap_rnd_bits is at most 32 on x86-64, 33 on aarch64), even with an unlimited stack, with which aarch64 maps from
 * 0x400000000000 upwards. Below 0x400000000000, V8 and TCMalloc map at random; macOS on Apple's processors reserves
 * 0xFC0000000 to 0x7000000000. Sanitizers take most of the address space; ThreadSanitizer leaves the second range,
 * which is free with the usual 28 bits. With 39-bit addresses (aarch64, riscv64), only the last one exists. With 32
 * bits, a program may have only the lower 31 (MIPS), and the first range fails. */
static const struct {
    uintptr_t start, size;
} quiet_ranges[] = {
#if UINTPTR_MAX <= UINT32_MAX
    {0x60000000, 0x70000000},
    {0x10000000, 0x40000000},
#else
#if defined(__aarch64__) && !defined(__APPLE__)
    {0x610000000000, 15360 * GIB},
#else
    {0x400000000000, 16384 * GIB},
#endif
    {0x7e8000000000, 480 * GIB},
    {0x001000000000, 160 * GIB},
#endif
};

bool fz_os_quiet_range(size_t index, uintptr_t *start, uintptr_t *size)
{
    if (index >= sizeof(quiet_ranges) / sizeof(quiet_ranges[0]))
        return false;
    *start = quiet_ranges[index].start;
    *size = quiet_ranges[index].size;
    return true;
}

/* --- files --- */

/* 0, 1 and 2 are standard input, output and error, even if a program started without them. */
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

int fz_unix_remember(struct fz_file *file, int fd, const char *call)
{
    struct stat status;
    *file = (struct fz_file){.fd = above_standard(fd)};
    if (file->fd < 0)
        return fz_unix_failed(call, errno);
    if (fstat(file->fd, &status) != 0) {
        int error = fz_unix_failed("fstat", errno);
        close(file->fd);
        file->fd = -1;
        return error;
    }
    file->device = (uint64_t)status.st_dev;
    file->inode = status.st_ino;
    return 0;
}

int fz_unix_open(struct fz_file *file, const char *path, enum fz_open how, int more_flags)
{
    static const int flags[] = {
        [FZ_OPEN_EXISTING] = O_RDWR,
        [FZ_OPEN_NEW] = O_RDWR | O_CREAT | O_EXCL,
        [FZ_OPEN_TO_READ] = O_RDONLY,
    };
    int error = fz_unix_remember(file, open(path, OPEN_SAFELY | flags[how] | more_flags, PRIVATE), "open");
    file->read_only = how == FZ_OPEN_TO_READ;
    return error;
}

int fz_unix_open_and_unlink(struct fz_file *file, const char *directory)
{
    char path[PATH_ROOM];
    uint64_t random[2];
    if (getentropy(random, sizeof(random)) != 0)
        return fz_unix_failed("getentropy", errno);
    int length = snprintf(path, sizeof(path), "%s/.filz-%016" PRIx64 "%016" PRIx64, directory, random[0], random[1]);
    if ((size_t)length >= sizeof(path))
        return fz_unix_failed("open", ENAMETOOLONG);
    int error = fz_unix_open(file, path, FZ_OPEN_NEW, 0);
    if (error != 0)
        return error;
    error = fz_os_unlink(path);
    if (error != 0)
        fz_os_close(file);
    return error;
}

static bool is_same(const struct fz_file *file, const struct stat *status)
{
    return (uint64_t)status->st_dev == file->device && status->st_ino == file->inode;
}

/* The program may have opened this file too, to read it, under the number that was ours. */
bool fz_os_is_open(const struct fz_file *file)
{
    struct stat status;
    return file->fd >= 0 && fstat(file->fd, &status) == 0 && is_same(file, &status) &&
           (fcntl(file->fd, F_GETFL) & O_ACCMODE) == (file->read_only ? O_RDONLY : O_RDWR);
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

#if defined(F_OFD_SETLK) && defined(__linux__)
/* Open file description locks: fcntl(2), and POSIX.1-2024. Linux separates them from flock's; macOS doesn't. */
static int lock_bytes(int fd, int command, struct flock *lock)
{
    lock->l_whence = SEEK_SET;
    int error = fz_unix_result("fcntl", fcntl(fd, command, lock) == 0);
    return error == EACCES ? EWOULDBLOCK : error;
}

int fz_os_lock_byte(struct fz_file *file, uint64_t byte, enum fz_lock kind)
{
    struct flock lock = {
        .l_type = kind == FZ_LOCK_SHARED ? F_RDLCK : F_WRLCK,
        .l_start = (off_t)byte,
        .l_len = 1,
    };
    int error = lock_bytes(file->fd, F_OFD_SETLK, &lock);
    file->has_bytes |= error == 0;
    return error;
}

void fz_os_unlock_byte(const struct fz_file *file, uint64_t byte)
{
    struct flock lock = {.l_type = F_UNLCK, .l_start = (off_t)byte, .l_len = 1};
    lock_bytes(file->fd, F_OFD_SETLK, &lock);
}

bool fz_os_is_byte_locked(const struct fz_file *file, uint64_t byte)
{
    struct flock lock = {.l_type = F_RDLCK, .l_start = (off_t)byte, .l_len = 1};
    return lock_bytes(file->fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static void unlock_bytes(struct fz_file *file)
{
    struct flock all = {.l_type = F_UNLCK};
    if (file->has_bytes)
        lock_bytes(file->fd, F_OFD_SETLK, &all);
}
#else
int fz_os_lock_byte(struct fz_file *file, uint64_t byte, enum fz_lock kind)
{
    (void)file, (void)byte, (void)kind;
    return fz_unix_failed("fcntl", EOPNOTSUPP);
}

void fz_os_unlock_byte(const struct fz_file *file, uint64_t byte)
{
    (void)file, (void)byte;
}

bool fz_os_is_byte_locked(const struct fz_file *file, uint64_t byte)
{
    (void)file, (void)byte;
    return false;
}

static void unlock_bytes(struct fz_file *file)
{
    (void)file;
}
#endif

/* A child just forked may share the open file, and would keep the locks. */
void fz_os_unlock_and_close(struct fz_file *file)
{
    if (fz_os_is_open(file)) {
        unlock_bytes(file);
        flock(file->fd, LOCK_UN);
        close(file->fd);
    }
    file->fd = -1;
}

int fz_os_status(const struct fz_file *file, struct fz_status *status)
{
    struct stat found;
    if (fstat(file->fd, &found) != 0)
        return fz_unix_failed("fstat", errno);
    *status = (struct fz_status){
        .size = (uint64_t)found.st_size,
        .links = (unsigned)found.st_nlink,
        .is_regular = S_ISREG(found.st_mode),
        .is_mine = found.st_uid == geteuid(),
        .is_roots = found.st_uid == 0,
        .is_writable = (found.st_mode & S_IWUSR) != 0,
        .others_write = (found.st_mode & (S_IWGRP | S_IWOTH)) != 0,
        .is_private = (found.st_mode & ~(mode_t)S_IFMT) == PRIVATE,
    };
    return 0;
}

int fz_os_lock(const struct fz_file *file, enum fz_lock kind)
{
    int operation = kind == FZ_LOCK_SHARED ? LOCK_SH : LOCK_EX;
    return fz_unix_result("flock", flock(file->fd, operation | LOCK_NB) == 0);
}

int fz_os_make_private(const struct fz_file *file)
{
    return fz_unix_result("fchmod", fchmod(file->fd, PRIVATE) == 0);
}

int fz_os_unlink(const char *path)
{
    return fz_unix_result("unlink", unlink(path) == 0);
}

int fz_os_rename(const char *from, const char *to)
{
    return fz_unix_result("rename", rename(from, to) == 0);
}

int fz_os_read(int fd, uint64_t offset, void *bytes, size_t length)
{
    ssize_t count;
    do
        count = pread(fd, bytes, length, (off_t)offset);
    while (count < 0 && errno == EINTR);
    if (count >= 0 && (size_t)count != length)
        return fz_unix_failed("pread", EIO);
    return fz_unix_result("pread", count >= 0);
}

/* Writes as many of `length` bytes as one call does. */
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

/* macOS takes at most INT_MAX in one call. */
#define WRITTEN_AT_MOST ((uint64_t)1 << 30)

static int write_all(const char *call, write_some *some, int fd, const char *bytes, uint64_t start, uint64_t end)
{
    for (uint64_t at = start; at < end;) {
        const char *next = bytes != NULL ? bytes + (at - start) : NULL;
        uint64_t length = end - at < WRITTEN_AT_MOST ? end - at : WRITTEN_AT_MOST;
        ssize_t written = some(fd, next, (size_t)length, (off_t)at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return fz_unix_failed(call, written < 0 ? errno : ENOSPC);
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

#ifdef SEEK_HOLE
/* Narrows the range to its next hole. False: there is none, or the file system can't tell. */
static bool next_hole(const struct fz_file *file, uint64_t *start, uint64_t *end)
{
    off_t hole = lseek(file->fd, (off_t)*start, SEEK_HOLE);
    if (hole < 0 || (uint64_t)hole >= *end)
        return false;
    off_t data = lseek(file->fd, hole, SEEK_DATA);
    *start = (uint64_t)hole;
    *end = data < 0 || (uint64_t)data > *end ? *end : (uint64_t)data;
    return true;
}
#else
/* Zeros may be a hole. */
static bool next_hole(const struct fz_file *file, uint64_t *start, uint64_t *end)
{
    static const char zeros[4096];
    char part[sizeof(zeros)];
    for (; *start < *end; *start += sizeof(part)) {
        size_t length = *end - *start < sizeof(part) ? (size_t)(*end - *start) : sizeof(part);
        if (fz_os_read(file->fd, *start, part, length) == 0 && memcmp(part, zeros, length) == 0) {
            *end = *start + length;
            return true;
        }
    }
    return false;
}
#endif

int fz_unix_fill_holes(const struct fz_file *file, uint64_t size)
{
    uint64_t start = 0, end = size;
    while (next_hole(file, &start, &end)) {
        int error = fz_os_may_write(end) ? fz_os_write_zeros(file, start, end) : EFBIG;
        if (error != 0)
            return error;
        start = end;
        end = size;
    }
    return 0;
}

int fz_os_truncate(const struct fz_file *file, uint64_t size)
{
    return fz_unix_result("ftruncate", ftruncate(file->fd, (off_t)size) == 0);
}

static uint64_t soft_limit(int result, const struct rlimit *limit)
{
    return result != 0 || limit->rlim_cur == RLIM_INFINITY ? UINT64_MAX : (uint64_t)limit->rlim_cur;
}

bool fz_os_may_write(uint64_t size)
{
    struct rlimit limit;
    bool may = size <= soft_limit(getrlimit(RLIMIT_FSIZE, &limit), &limit);
    if (!may)
        fz_unix_failed("getrlimit", EFBIG);
    return may;
}

#ifdef F_FULLFSYNC
/* On macOS, fsync leaves data in the drive's cache. A network file system has no drive, and returns ENOTSUP. */
static int flush(int fd)
{
    int error = fz_unix_result("fsync", fsync(fd) == 0);
    if (error != 0 || fcntl(fd, F_FULLFSYNC) != -1 || errno == ENOTSUP)
        return error;
    return fz_unix_failed("fcntl", errno);
}
#else
static int flush(int fd)
{
    return fz_unix_result("fsync", fsync(fd) == 0);
}
#endif

int fz_os_sync_file(const struct fz_file *file)
{
    return flush(file->fd);
}

/* A new file's name is on the disk when its directory is; see fsync(2). */
int fz_os_sync_directory_of(const char *path)
{
    char directory[PATH_ROOM];
    int length = snprintf(directory, sizeof(directory), "%.*s", (int)(strrchr(path, '/') - path) + 1, path);
    if ((size_t)length >= sizeof(directory))
        return fz_unix_failed("open", ENAMETOOLONG);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fz_unix_failed("open", errno);
    int error = flush(fd);
    close(fd);
    return error;
}

/* --- the process --- */

size_t fz_os_address_limit(void)
{
    struct rlimit found;
    uint64_t limit = soft_limit(getrlimit(RLIMIT_AS, &found), &found);
    return limit < SIZE_MAX ? (size_t)limit : SIZE_MAX;
}

int fz_os_working_directory(char *path, size_t room)
{
    return fz_unix_result("getcwd", getcwd(path, room) != NULL);
}

uint32_t fz_os_process(void)
{
    return (uint32_t)getpid();
}

uint64_t fz_os_random(void)
{
    uint64_t random = 0;
    (void)!getentropy(&random, sizeof(random));
    return random;
}

static bool is_pending(int signal)
{
    sigset_t pending;
    return sigpending(&pending) == 0 && sigismember(&pending, signal) == 1;
}

static bool is_pending_among(const sigset_t *signals, int signal)
{
    return sigismember(signals, signal) == 1 && is_pending(signal);
}

#ifdef F_SETNOSIGPIPE
/* macOS and NetBSD send SIGPIPE to the process, so another thread would take it. */
static bool write_line(const char *line, size_t length)
{
    bool raises = fcntl(STDERR_FILENO, F_GETNOSIGPIPE) == 0;
    if (raises)
        fcntl(STDERR_FILENO, F_SETNOSIGPIPE, 1);
    bool written = write(STDERR_FILENO, line, length) >= 0;
    if (raises)
        fcntl(STDERR_FILENO, F_SETNOSIGPIPE, 0);
    return written;
}
#else
static bool write_line(const char *line, size_t length)
{
    return write(STDERR_FILENO, line, length) >= 0;
}
#endif

/* Standard error may be a pipe that nobody reads (SIGPIPE), or a file at its size limit (SIGXFSZ). A signal pending
 * before is the program's, and stays. */
void fz_os_report(const char *line, size_t length)
{
    sigset_t deadly, before;
    int taken;
    sigemptyset(&deadly);
    if (!is_pending(SIGPIPE))
        sigaddset(&deadly, SIGPIPE);
    if (!is_pending(SIGXFSZ))
        sigaddset(&deadly, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &deadly, &before);
    bool written = write_line(line, length);
    if (!written && (is_pending_among(&deadly, SIGPIPE) || is_pending_among(&deadly, SIGXFSZ)))
        sigwait(&deadly, &taken);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
