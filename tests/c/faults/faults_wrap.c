/* A wrapper for each call by which libfilz reaches the system (ld's --wrap), and the errno values that Linux's manual
 * pages list for it. Which calls these are is found in the library: see faults_calls. */
#define _FILE_OFFSET_BITS 64
#include "faults.h"

#include "faults_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static struct faults none;
struct faults *faults = &none;
bool faults_on;

#define LACK(name) (faults_on ? faults->lacks.name : 0)

static bool changes_file(const struct faults_call *call)
{
    static const char *const names[] = {"fallocate", "pwrite", "pwritev", "ftruncate"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(call->name, names[i]) == 0)
            return true;
    return false;
}

static bool is_hit(const struct fault *fault, const struct faults_call *call, enum faults_role role, int index)
{
    bool is_one_of_them = fault->call == call || (fault->broken && changes_file(call));
    return is_one_of_them && fault->role == role && (index == fault->index || (fault->lasting && index > fault->index));
}

/* How this call is to fail, or 0. */
static int fault_at(const struct faults_call *call, int lack)
{
    if (!faults_on || faults->over || lack != 0)
        return lack;
    enum faults_role role = getpid() == faults->owner ? FAULTS_PARENT : FAULTS_CHILD;
    int index = __atomic_fetch_add(&faults->calls[role], 1, __ATOMIC_RELAXED);
    if (index < FAULTS_TRACE_MAX)
        faults->trace[role][index] = call;
    if (!is_hit(&faults->fault, call, role, index))
        return 0;
    __atomic_fetch_add(&faults->injected, 1, __ATOMIC_RELAXED);
    return faults->fault.error;
}

#define DECLARE(type, name, parameters, ...)                                                                           \
    type real_##name parameters __asm__("__real_" SYMBOL_##name);                                                      \
    type wrap_##name parameters __asm__("__wrap_" SYMBOL_##name);                                                      \
    static const int errors_of_##name[] = {__VA_ARGS__, 0};                                                            \
    static const struct faults_call call_of_##name = {#name, errors_of_##name};

#define FAIL(error, result) return errno = (error), (result)

/* A call that returns -1, or what is like it, and sets errno. `lack` may use the parameters. */
#define WRAP(type, name, parameters, arguments, lack, ...)                                                             \
    DECLARE(type, name, parameters, __VA_ARGS__)                                                                       \
    type wrap_##name parameters                                                                                        \
    {                                                                                                                  \
        int error = fault_at(&call_of_##name, lack);                                                                   \
        if (error != 0)                                                                                                \
            FAIL(error, (type)-1);                                                                                     \
        return real_##name arguments;                                                                                  \
    }

/* A call that may do less than it was asked for. */
#define WRAP_COUNTED(name, parameters, count, arguments, ...)                                                          \
    DECLARE(ssize_t, name, parameters, __VA_ARGS__, FAULT_SHORT, FAULT_NOTHING)                                        \
    ssize_t wrap_##name parameters                                                                                     \
    {                                                                                                                  \
        int error = fault_at(&call_of_##name, 0);                                                                      \
        if (error == FAULT_NOTHING)                                                                                    \
            return 0;                                                                                                  \
        if (error == FAULT_SHORT)                                                                                      \
            (count) /= 2;                                                                                              \
        else if (error != 0)                                                                                           \
            FAIL(error, -1);                                                                                           \
        return real_##name arguments;                                                                                  \
    }

/* libfilz makes some calls when it is loaded, before a test can say which is to fail: the environment does. */
static int fault_at_load(const char *name)
{
    const char *failing = getenv("FAULTS_AT_LOAD");
    return failing != NULL && strcmp(failing, name) == 0 ? ENOMEM : 0;
}

/* A call that returns its errno value, most of them of threads. */
#define WRAP_THREADS(name, parameters, arguments, ...)                                                                 \
    DECLARE(int, name, parameters, __VA_ARGS__)                                                                        \
    int wrap_##name parameters                                                                                         \
    {                                                                                                                  \
        int error = fault_at(&call_of_##name, fault_at_load(#name));                                                   \
        return error != 0 ? error : real_##name arguments;                                                             \
    }

/* -- Files --------------------------------------------------------------------------------------------------------- */

static int lack_at_open(int flags)
{
    bool unnamed = (flags & O_TMPFILE) == O_TMPFILE;
    return unnamed && LACK(tmpfile) != 0 ? LACK(tmpfile) : LACK(directories);
}

WRAP(int, open, (const char *path, int flags, mode_t mode), (path, flags, mode), lack_at_open(flags), EACCES, EBUSY,
     EDQUOT, EEXIST, EFAULT, EFBIG, EINTR, EINVAL, EISDIR, ELOOP, EMFILE, ENAMETOOLONG, ENFILE, ENODEV, ENOENT, ENOMEM,
     ENOSPC, ENOTDIR, ENXIO, EOPNOTSUPP, EOVERFLOW, EPERM, EROFS, ETXTBSY, EWOULDBLOCK)
#ifdef FZ_POSIX
WRAP(int, shm_open, (const char *name, int flags, mode_t mode), (name, flags, mode), 0, EACCES, EEXIST, EINVAL, EMFILE,
     ENAMETOOLONG, ENFILE, ENOENT)
WRAP(int, shm_unlink, (const char *name), (name), 0, EACCES, ENAMETOOLONG, ENOENT)
#else
WRAP(int, memfd_create, (const char *name, unsigned flags), (name, flags), 0, EFAULT, EINVAL, EMFILE, ENFILE, ENOMEM,
     EPERM)
WRAP(int, fstatfs, (int fd, struct statfs *system), (fd, system), 0, EBADF, EFAULT, EINTR, EIO, ENOMEM, ENOSYS,
     EOVERFLOW)
/* ENXIO isn't a failure but an answer: nothing is written from there on. */
WRAP(off_t, lseek, (int fd, off_t offset, int whence), (fd, offset, whence), LACK(seek), EBADF, EINVAL, EOVERFLOW,
     ESPIPE)
#endif
WRAP(int, fcntl, (int fd, int command, long argument), (fd, command, argument), 0, EACCES, EAGAIN, EBADF, EBUSY, EINVAL,
     EMFILE, EPERM)
WRAP(int, fstat, (int fd, struct stat *status), (fd, status), 0, EBADF, EFAULT, ENOMEM, EOVERFLOW)
WRAP(int, lstat, (const char *path, struct stat *status), (path, status), 0, EACCES, EFAULT, ELOOP, ENAMETOOLONG,
     ENOENT, ENOMEM, ENOTDIR, EOVERFLOW)
WRAP(int, flock, (int fd, int operation), (fd, operation), 0, EBADF, EINTR, EINVAL, ENOLCK, EWOULDBLOCK)
WRAP(int, fsync, (int fd), (fd), 0, EBADF, EDQUOT, EINTR, EINVAL, EIO, ENOSPC, EROFS)
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode), 0, EBADF, EIO, EPERM, EROFS)
WRAP(int, ftruncate, (int fd, off_t size), (fd, size), 0, EACCES, EBADF, EFBIG, EINTR, EINVAL, EIO, EPERM, EROFS,
     ETXTBSY)
WRAP(int, rename, (const char *from, const char *to), (from, to), 0, EACCES, EBUSY, EDQUOT, EISDIR, ENOENT, ENOSPC,
     EPERM, EROFS, EXDEV)
WRAP(int, unlink, (const char *path), (path), 0, EACCES, EBUSY, EFAULT, EIO, EISDIR, ELOOP, ENAMETOOLONG, ENOENT,
     ENOMEM, ENOTDIR, EPERM, EROFS)
WRAP_COUNTED(pread, (int fd, void *buffer, size_t count, off_t offset), count, (fd, buffer, count, offset), EAGAIN,
             EBADF, EFAULT, EINTR, EINVAL, EIO, EISDIR, ENXIO, EOVERFLOW, ESPIPE)
WRAP_COUNTED(pwrite, (int fd, const void *buffer, size_t count, off_t offset), count, (fd, buffer, count, offset),
             EAGAIN, EBADF, EDESTADDRREQ, EDQUOT, EFAULT, EFBIG, EINTR, EINVAL, EIO, ENOSPC, ENXIO, EOVERFLOW, EPERM,
             EPIPE, ESPIPE)
DECLARE(ssize_t, pwritev, (int fd, const struct iovec *parts, int count, off_t offset), EAGAIN, EBADF, EDQUOT, EFBIG,
        EINTR, EINVAL, EIO, ENOSPC, EPERM, FAULT_SHORT, FAULT_NOTHING)
ssize_t wrap_pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    int error = fault_at(&call_of_pwritev, 0);
    if (error == FAULT_NOTHING)
        return 0;
    if (error != 0 && error != FAULT_SHORT)
        FAIL(error, -1);
    return real_pwritev(fd, parts, error == FAULT_SHORT ? (count + 1) / 2 : count, offset);
}
WRAP_COUNTED(write, (int fd, const void *buffer, size_t count), count, (fd, buffer, count), EAGAIN, EBADF, EDESTADDRREQ,
             EDQUOT, EFAULT, EFBIG, EINTR, EINVAL, EIO, ENOSPC, EPERM, EPIPE)
WRAP(int, getentropy, (void *buffer, size_t count), (buffer, count), 0, EFAULT, EIO, ENOSYS)

DECLARE(char *, getcwd, (char *buffer, size_t size), EACCES, EFAULT, EINVAL, ENAMETOOLONG, ENOENT, ENOMEM, ERANGE)
char *wrap_getcwd(char *buffer, size_t size)
{
    int error = fault_at(&call_of_getcwd, 0);
    if (error != 0)
        FAIL(error, NULL);
    return real_getcwd(buffer, size);
}

/* The descriptor is gone all the same. */
DECLARE(int, close, (int fd), EBADF, EDQUOT, EINTR, EIO, ENOSPC)
int wrap_close(int fd)
{
    int error = fault_at(&call_of_close, 0);
    int result = real_close(fd);
    if (error != 0)
        FAIL(error, -1);
    return result;
}

#ifndef FZ_POSIX
/* Half of it is done, where it can be done at all. */
DECLARE(int, fallocate, (int fd, int mode, off_t start, off_t length), EBADF, EDQUOT, EFBIG, EINTR, EINVAL, EIO, ENODEV,
        ENOSPC, ENOSYS, EOPNOTSUPP, EPERM, ESPIPE, ETXTBSY)
int wrap_fallocate(int fd, int mode, off_t start, off_t length)
{
    int error = fault_at(&call_of_fallocate, LACK(fallocate));
    if (error != 0 && error != ENOSYS && error != EOPNOTSUPP && length > 1)
        real_fallocate(fd, mode, start, length / 2);
    if (error != 0)
        FAIL(error, -1);
    return real_fallocate(fd, mode, start, length);
}
#endif

/* -- Memory -------------------------------------------------------------------------------------------------------- */

WRAP(void *, mmap, (void *start, size_t length, int protection, int flags, int fd, off_t offset),
     (start, length, protection, flags, fd, offset), 0, EACCES, EAGAIN, EBADF, EEXIST, EINVAL, ENFILE, ENODEV, ENOMEM,
     EOVERFLOW, EPERM, ETXTBSY)
WRAP(int, msync, (void *start, size_t length, int flags), (start, length, flags), 0, EBUSY, EINVAL, EIO, ENOMEM)
WRAP(int, munmap, (void *start, size_t length), (start, length), 0, EINVAL, ENOMEM)
WRAP(int, mprotect, (void *start, size_t length, int protection), (start, length, protection), 0, EACCES, EINVAL,
     ENOMEM)
WRAP(int, mincore, (void *start, size_t length, unsigned char *states), (start, length, states), 0, EAGAIN, EFAULT,
     EINVAL, ENOMEM)
#ifdef FZ_POSIX
WRAP_THREADS(posix_madvise, (void *start, size_t length, int advice), (start, length, advice), EINVAL, ENOMEM)
#else
static int lack_at_madvise(int advice)
{
    return advice == MADV_POPULATE_WRITE ? LACK(populate) : advice == MADV_WIPEONFORK ? LACK(wipe_on_fork) : 0;
}

WRAP(int, madvise, (void *start, size_t length, int advice), (start, length, advice), lack_at_madvise(advice), EACCES,
     EAGAIN, EBADF, EBUSY, EFAULT, EHWPOISON, EINVAL, EIO, ENOMEM, EPERM)
#endif

/* -- Processes and threads ----------------------------------------------------------------------------------------- */

WRAP(int, getrlimit, (int resource, struct rlimit *limit), (resource, limit), 0, EFAULT, EINVAL, EPERM)
WRAP_THREADS(pthread_key_create, (pthread_key_t * key, void (*destructor)(void *)), (key, destructor), EAGAIN, ENOMEM)
WRAP_THREADS(pthread_setspecific, (pthread_key_t key, const void *value), (key, value), EINVAL, ENOMEM)
WRAP_THREADS(pthread_atfork, (void (*prepare)(void), void (*parent)(void), void (*child)(void)),
             (prepare, parent, child), ENOMEM)
