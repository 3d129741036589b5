/* The system calls of Linux. May not know what a heap is. */
#include "os_unix.h"

#ifdef FZ_LINUX

#include <sys/auxv.h>
#include <sys/vfs.h>

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
#ifndef MADV_COLD
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* --- memory --- */

int fz_os_exclude_from_dumps(void *start, size_t length)
{
    return fz_unix_result("madvise", madvise(start, length, MADV_DONTDUMP) == 0);
}

/* Since Linux 5.14. */
void fz_os_prefault(void *start, size_t length)
{
    madvise(start, length, MADV_POPULATE_WRITE);
}

/* The last two are since Linux 5.4. */
void fz_os_advise(void *start, size_t length, enum fz_advice advice)
{
    static const int names[] = {
        [FZ_NORMAL] = MADV_NORMAL,      [FZ_RANDOM] = MADV_RANDOM, [FZ_SEQUENTIAL] = MADV_SEQUENTIAL,
        [FZ_WILL_NEED] = MADV_WILLNEED, [FZ_COLD] = MADV_COLD,     [FZ_PAGE_OUT] = MADV_PAGEOUT,
    };
    madvise(start, length, names[advice]);
}

/* The prefix of a group's path in /proc/self/cgroup; and room for a file's name after it. */
#define FIRST_VERSION ":memory:"
#define SECOND_VERSION "0::"
#define FILE_ROOM 32

/* The beginning of a file of /proc or /sys; empty if it can't be read. */
static const char *text_of(const char *path)
{
    static char text[4096]; /* a thread may have only 16 KiB of stack */
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? pread(fd, text, sizeof(text) - 1, 0) : 0;
    text[length > 0 ? length : 0] = '\0';
    if (fd >= 0)
        close(fd);
    return text;
}

/* "max" means no limit. */
static uint64_t number_after(const char *text, const char *name)
{
    const char *found = strstr(text, name);
    if (found == NULL)
        return UINT64_MAX;
    found += strlen(name) + strspn(found + strlen(name), " ");
    return *found >= '0' && *found <= '9' ? strtoull(found, NULL, 10) : UINT64_MAX;
}

/* Appends `file` to the path, for one reading. */
static const char *text_in(char *path, const char *file)
{
    char *end = path + strlen(path);
    strcpy(end, file);
    const char *text = text_of(path);
    *end = '\0';
    return text;
}

/* The least limit of a group and its ancestors, up to the root of the mount. */
static uint64_t limit_around(char *path, const char *root)
{
    uint64_t least = UINT64_MAX;
    while (strlen(path) >= strlen(root)) {
        uint64_t limit = number_after(text_in(path, "/memory.max"), "");
        least = limit < least ? limit : least;
        *strrchr(path, '/') = '\0';
    }
    return least;
}

/* The limit of this process's control group, of either version: see cgroups(7). In a container the group may have
 * another path here: then it is the root. */
static uint64_t limit_of_groups(void)
{
    static const char first_root[] = "/sys/fs/cgroup/memory", second_root[] = "/sys/fs/cgroup";
    static char path[PATH_ROOM];
    const char *groups = text_of("/proc/self/cgroup");
    const char *first = strstr(groups, FIRST_VERSION), *second = strstr(groups, SECOND_VERSION);
    bool is_first = first != NULL;
    const char *group = is_first         ? first + strlen(FIRST_VERSION)
                        : second != NULL ? second + strlen(SECOND_VERSION)
                                         : "";
    snprintf(path, sizeof(path) - FILE_ROOM, "%s%.*s", is_first ? first_root : second_root, (int)strcspn(group, "\n"),
             group);
    if (!is_first)
        return limit_around(path, second_root);
    const char *text = text_in(path, "/memory.stat");
    if (text[0] == '\0')
        text = text_in(strcpy(path, first_root), "/memory.stat");
    return number_after(text, "hierarchical_memory_limit");
}

/* MemAvailable includes pages of files that writing back would free: see proc_meminfo(5). */
uint64_t fz_os_memory(void)
{
    uint64_t available = number_after(text_of("/proc/meminfo"), "MemAvailable:"), limit = limit_of_groups();
    available = available < UINT64_MAX / 1024 ? available * 1024 : UINT64_MAX;
    return available < limit ? available : limit;
}

/* --- files --- */

/* What the type of its file system says about a file just opened with this result. */
static int classify(struct fz_file *file, int error)
{
    struct statfs system;
    unsigned long type = error == 0 && fstatfs(file->fd, &system) == 0 ? (unsigned long)system.f_type : 0;
    file->in_memory = type == TMPFS_MAGIC;
    file->finds_data = type != FUSE_SUPER_MAGIC && type != OVERLAYFS_SUPER_MAGIC;
    return error;
}

int fz_os_open(struct fz_file *file, const char *path, enum fz_open how)
{
    int error = how == FZ_OPEN_TO_READ ? fz_unix_open(file, path, how, O_NOATIME) : EPERM;
    if (error == EPERM) /* only the file's owner may use O_NOATIME */
        error = fz_unix_open(file, path, how, 0);
    return classify(file, error);
}

/* Not every file system has O_TMPFILE. */
int fz_os_open_unnamed(struct fz_file *file, const char *directory)
{
    int fd = open(directory, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
    int error = fd >= 0 ? fz_unix_remember(file, fd, "open") : fz_unix_open_and_unlink(file, directory);
    return classify(file, error);
}

int fz_os_open_in_memory(struct fz_file *file)
{
    return classify(file, fz_unix_remember(file, memfd_create("filz", MFD_CLOEXEC), "memfd_create"));
}

/* Blocks signals, because one that comes faster than fallocate returns would interrupt it each time. */
static int allocate(int fd, int mode, uint64_t start, uint64_t end)
{
    int error;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    do
        error = fz_unix_result("fallocate", fallocate(fd, mode, (off_t)start, (off_t)(end - start)) == 0);
    while (error == EINTR);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == ENOSYS ? EOPNOTSUPP : error;
}

int fz_os_allocate(const struct fz_file *file, uint64_t start, uint64_t end)
{
    return allocate(file->fd, 0, start, end);
}

/* tmpfs shares nothing, but fallocate visits each page there, which takes 40 ms a GiB. Blocks after `size`, or of huge
 * pages, may make up for holes before it. */
static bool is_whole_in_memory(const struct fz_file *file, uint64_t size)
{
    struct stat status;
    return file->in_memory && fstat(file->fd, &status) == 0 && (uint64_t)status.st_size == size &&
           (uint64_t)status.st_blocks * 512 == size;
}

int fz_os_unshare(const struct fz_file *file, uint64_t size)
{
    if (is_whole_in_memory(file, size))
        return 0;
    int error = allocate(file->fd, FALLOC_FL_UNSHARE_RANGE, 0, size);
    if (error == EOPNOTSUPP)
        error = allocate(file->fd, 0, 0, size);
    return error == EOPNOTSUPP ? fz_unix_fill_holes(file, size) : error;
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

/* On Linux, msync syncs the file too, as fsync does. */
int fz_os_sync_memory(const struct fz_file *file, void *start, size_t length)
{
    (void)file;
    return fz_unix_result("msync", msync(start, length, MS_SYNC) == 0);
}

/* --- the process --- */

/* A page that the kernel clears in every child: if it isn't 1, this process was forked since. */
static unsigned char *canary;

/* Since Linux 4.14; before, such a child isn't noticed. */
void fz_os_watch_forks(void)
{
    void *page = canary;
    if (page == NULL) {
        size_t length = fz_os_page_size();
        page = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED)
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

bool fz_os_runs_handlers_first(void)
{
    return true;
}

const char *fz_os_program(void)
{
    return program_invocation_short_name;
}

#endif
