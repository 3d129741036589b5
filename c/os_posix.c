/* What os_unix.c leaves open, by POSIX.1-2008 and the small extras of macOS, FreeBSD and NetBSD. It omits what only
 * makes a heap faster, never what keeps a promise. May not know what a heap is. */
#include "os_unix.h"

#ifndef FZ_LINUX

#define NAME_ROOM 40

/* --- memory --- */

#ifdef MADV_NOCORE
int fz_os_exclude_from_dumps(void *start, size_t length)
{
    return fz_unix_result("madvise", madvise(start, length, MADV_NOCORE) == 0);
}
#else
/* There is no such call. */
int fz_os_exclude_from_dumps(void *start, size_t length)
{
    (void)start, (void)length;
    return 0;
}
#endif

void fz_os_prefault(void *start, size_t length)
{
    (void)start, (void)length;
}

void fz_os_advise(void *start, size_t length, enum fz_advice advice)
{
    static const int names[] = {
        [FZ_NORMAL] = POSIX_MADV_NORMAL,
        [FZ_RANDOM] = POSIX_MADV_RANDOM,
        [FZ_SEQUENTIAL] = POSIX_MADV_SEQUENTIAL,
        [FZ_WILL_NEED] = POSIX_MADV_WILLNEED,
    };
    if (advice <= FZ_WILL_NEED)
        posix_madvise(start, length, names[advice]);
}

/* The machine's memory, where sysconf has a name for it. */
uint64_t fz_os_memory(void)
{
#ifdef _SC_PHYS_PAGES
    long pages = sysconf(_SC_PHYS_PAGES);
    return pages > 0 ? (uint64_t)pages * fz_os_page_size() : UINT64_MAX;
#else
    return UINT64_MAX;
#endif
}

/* msync alone may leave data in the cache of the file system, or the drive. */
int fz_os_sync_memory(const struct fz_file *file, void *start, size_t length)
{
    int error = fz_unix_result("msync", msync(start, length, MS_SYNC) == 0);
    if (error != 0)
        return error;
    return fz_os_is_open(file) ? fz_os_sync_file(file) : fz_unix_failed("msync", EBADF);
}

/* --- files --- */

/* For a link, Linux has ELOOP, FreeBSD EMLINK, and NetBSD EFTYPE. For a socket, Linux has ENXIO, others EOPNOTSUPP. */
static int as_on_linux(int error)
{
#ifdef EFTYPE
    if (error == EFTYPE)
        return ELOOP;
#endif
    return error == EMLINK ? ELOOP : error == EOPNOTSUPP ? ENXIO : error;
}

int fz_os_open(struct fz_file *file, const char *path, enum fz_open how)
{
    return as_on_linux(fz_unix_open(file, path, how, 0));
}

int fz_os_open_unnamed(struct fz_file *file, const char *directory)
{
    return fz_unix_open_and_unlink(file, directory);
}

#if defined(__APPLE__)
/* write(2) can't write to its shared memory. */
int fz_os_open_in_memory(struct fz_file *file)
{
    file->fd = -1;
    return fz_unix_failed("shm_open", EOPNOTSUPP);
}
#elif defined(__FreeBSD__)
/* Writing doesn't extend an object of shm_open. */
int fz_os_open_in_memory(struct fz_file *file)
{
    return fz_unix_remember(file, memfd_create("filz", MFD_CLOEXEC), "memfd_create");
}
#else
int fz_os_open_in_memory(struct fz_file *file)
{
    char name[NAME_ROOM];
    snprintf(name, sizeof(name), "/filz-%016" PRIx64, fz_os_random());
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd >= 0)
        shm_unlink(name);
    return fz_unix_remember(file, fd, "shm_open");
}
#endif

#ifdef F_PREALLOCATE
int fz_os_allocate(const struct fz_file *file, uint64_t start, uint64_t end)
{
    fstore_t more = {.fst_flags = F_ALLOCATEALL, .fst_posmode = F_PEOFPOSMODE, .fst_length = (off_t)(end - start)};
    if (fcntl(file->fd, F_PREALLOCATE, &more) == -1)
        return errno == ENOTSUP || errno == EINVAL ? EOPNOTSUPP : fz_unix_failed("fcntl", errno);
    return fz_os_truncate(file, end);
}
#else
/* posix_fallocate may write a byte to each block, or do nothing, so filz writes zeros. */
int fz_os_allocate(const struct fz_file *file, uint64_t start, uint64_t end)
{
    (void)file, (void)start, (void)end;
    return EOPNOTSUPP;
}
#endif

/* No call tells whether two files share disk space. */
int fz_os_unshare(const struct fz_file *file, uint64_t size)
{
    return fz_unix_fill_holes(file, size);
}

/* A store to a mapping may look like a hole until it is written back. */
void fz_os_next_data(const struct fz_file *file, uint64_t *start, uint64_t *end)
{
    (void)file, (void)start, (void)end;
}

/* --- the process --- */

/* 0: none */
static pid_t watcher;

/* Takes a child of vfork(2) for another process too, although it shares its parent's memory: it may not allocate. */
void fz_os_watch_forks(void)
{
    __atomic_store_n(&watcher, getpid(), __ATOMIC_RELAXED);
}

bool fz_os_forked(void)
{
    pid_t process = __atomic_load_n(&watcher, __ATOMIC_RELAXED);
    return process != 0 && process != getpid();
}

void fz_os_stop_watching_forks(void)
{
    __atomic_store_n(&watcher, 0, __ATOMIC_RELAXED);
}

#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__)
/* On macOS, each destructor is such a handler; on the BSDs, the dynamic linker has one for all of them. Both are
 * registered after those of a library's constructors, so run before. */
bool fz_os_runs_handlers_first(void)
{
    return false;
}

bool fz_os_is_privileged(void)
{
    return issetugid() != 0;
}

const char *fz_os_program(void)
{
    return getprogname();
}
#else
extern const char *__progname; /* of glibc and musl */

bool fz_os_runs_handlers_first(void)
{
    return true;
}

bool fz_os_is_privileged(void)
{
    return getuid() != geteuid() || getgid() != getegid();
}

const char *fz_os_program(void)
{
    return __progname;
}
#endif

const char *fz_os_environment(const char *name)
{
    return fz_os_is_privileged() ? NULL : getenv(name);
}

#endif
