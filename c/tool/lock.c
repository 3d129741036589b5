/* Finds out how a heap file is locked. It may not take a lock, or call a file unused without evidence.
 *
 * A program that has a heap open holds flock(2) on its file: exclusive to write it alone, else shared. A shared writer
 * also holds a write lock of its open file description on the first byte (F_OFD_SETLK in fcntl(2)). If such a program
 * had the heap last, so does one that writes it alone, and a private copy holds a read lock. Trying to take such a lock
 * would be simpler, but would hold it for a moment, and a program that opens its heap in that moment would fail. The
 * kernel lists all locks in /proc/locks, by device and inode: those of processes in one PID namespace and the ones
 * inside it, and all locks of open file descriptions, which belong to no process. So a listed lock is held. A lock that
 * isn't listed isn't held only if
 *
 *   - the list is that of the first PID namespace, which has all processes,
 *   - the file system has no locks that other machines hold, as network file systems have, and
 *   - the program can't have the file open through another file system, by another device or inode, as in a container
 *     that is inspected from outside: no process whose own number is `pid` holds any lock. */
#include "lock.h"

#include "../format.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

/* --- the names of a file --- */

/* The kernel lists mappings by the same numbers as locks. On btrfs, for example, stat(2) returns others. */
static bool find_mapped_name(int fd, struct lock_name *name)
{
    void *page = mmap(NULL, 1, PROT_NONE, MAP_PRIVATE, fd, 0);
    FILE *maps = page != MAP_FAILED ? fopen("/proc/self/maps", "re") : NULL;
    char *line = NULL;
    size_t room = 0;
    uintptr_t start, end;
    bool found = false;
    while (maps != NULL && !found && getline(&line, &room, maps) > 0)
        found = sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*x %x:%x %" SCNu64, &start, &end, &name->major,
                       &name->minor, &name->inode) == 5 &&
                start <= (uintptr_t)page && (uintptr_t)page < end;
    free(line);
    if (maps != NULL)
        fclose(maps);
    if (page != MAP_FAILED)
        munmap(page, 1);
    return found;
}

/* --- where absence is evidence --- */

static bool is_on_this_machine(int fd)
{
    static const unsigned long local[] = {
        BTRFS_SUPER_MAGIC,     EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC, HUGETLBFS_MAGIC,
        OVERLAYFS_SUPER_MAGIC, RAMFS_MAGIC,      TMPFS_MAGIC,      XFS_SUPER_MAGIC,
    };
    struct statfs system;
    if (fstatfs(fd, &system) != 0)
        return false;
    for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
        if ((unsigned long)system.f_type == local[i])
            return true;
    return false;
}

/* PID_NS_INIT_INO of <linux/nsfs.h>, the same in each kernel. */
#define FIRST_PID_NAMESPACE 0xEFFFFFFC

/* In a container, /proc/locks may also be another file. */
static bool has_all_locks(int locks)
{
    struct statfs system;
    struct stat namespace;
    return fstatfs(locks, &system) == 0 && (unsigned long)system.f_type == PROC_SUPER_MAGIC &&
           stat("/proc/self/ns/pid", &namespace) == 0 && namespace.st_ino == FIRST_PID_NAMESPACE;
}

/* An unnamed file may be one that couldn't be locked. */
void file_lock_init(struct file_lock *lock, int fd, const struct stat *status)
{
    const struct lock_name name = {major(status->st_dev), minor(status->st_dev), status->st_ino};
    *lock = (struct file_lock){.names = {name, name}, .is_shown = status->st_nlink != 0 && is_on_this_machine(fd)};
    if (!find_mapped_name(fd, &lock->names[1]))
        lock->names[1] = name;
}

/* --- the list --- */

struct held_lock {
    struct lock_name name;
    pid_t process; /* its owner; 0 or less: another machine, or an open file description */
    bool is_flock, writes;
};

static bool read_line(const char *line, struct held_lock *held)
{
    struct lock_name *name = &held->name;
    char kind[8], mode[8];
    uint64_t start;
    if (sscanf(line, "%*u: %7s %*s %7s %d %x:%x:%" SCNu64 " %" SCNu64, kind, mode, &held->process, &name->major,
               &name->minor, &name->inode, &start) != 7)
        return false;
    held->is_flock = strcmp(kind, "FLOCK") == 0;
    held->writes = strcmp(mode, "WRITE") == 0;
    return held->is_flock || (strcmp(kind, "OFDLCK") == 0 && start == FZ_WRITER_BYTE);
}

/* /proc/locks, and what was read from it last. */
struct list {
    int fd;
    bool is_of_one_moment, failed;
    char *next; /* line */
};

/* The kernel returns 4 KiB at once. A lock that moves between two reads may be missing, or be there twice. */
static void read_list(struct list *list)
{
    static char text[1 << 20];
    size_t length = 0, pieces = 0;
    ssize_t count;
    lseek(list->fd, 0, SEEK_SET);
    while ((count = read(list->fd, text + length, sizeof(text) - 1 - length)) > 0) {
        length += (size_t)count;
        pieces++;
    }
    text[length] = '\0';
    list->is_of_one_moment = pieces <= 1;
    list->failed |= count < 0 || length == sizeof(text) - 1;
    list->next = text;
}

/* The next that a program with a heap open may hold. */
static bool next_lock(struct list *list, struct held_lock *held)
{
    while (*list->next != '\0') {
        const char *line = list->next;
        list->next += strcspn(line, "\n");
        if (*list->next != '\0')
            *list->next++ = '\0';
        if (read_line(line, held))
            return true;
    }
    return false;
}

static bool is_same(struct lock_name one, struct lock_name other)
{
    return one.major == other.major && one.minor == other.minor && one.inode == other.inode;
}

/* The locks of one file. */
struct tally {
    uint64_t exclusive, shared;   /* flock(2) */
    uint64_t writing, protecting; /* of open file descriptions */
    uint64_t pids_known;
    uint64_t pids[MOST_PIDS + 1]; /* of holders of shared ones */
};

static void add_lock(struct tally *tally, const struct held_lock *held)
{
    if (!held->is_flock)
        held->writes ? tally->writing++ : tally->protecting++;
    else if (held->writes)
        tally->exclusive++;
    else if (tally->shared++ < MOST_PIDS + 1 && held->process > 0)
        tally->pids[tally->pids_known++] = (uint64_t)held->process;
}

static struct tally tally_once(const struct file_lock *lock, struct list *list)
{
    struct held_lock held;
    struct tally tally;
    memset(&tally, 0, sizeof(tally));
    read_list(list);
    while (next_lock(list, &held))
        if (is_same(held.name, lock->names[0]) || is_same(held.name, lock->names[1]))
            add_lock(&tally, &held);
    return tally;
}

static bool is_empty(const struct tally *tally)
{
    return tally->exclusive + tally->shared + tally->writing + tally->protecting == 0;
}

/* The most frequent result for a long list, because others may lock files all the time; none only if always none. */
static struct tally tally_locks(const struct file_lock *lock, struct list *list)
{
    enum { READINGS = 9 };
    struct tally tallies[READINGS];
    size_t best = 0, best_votes = 0;
    for (size_t i = 0; i < READINGS && best_votes <= READINGS / 2; i++) {
        size_t votes = 0;
        tallies[i] = tally_once(lock, list);
        if (list->is_of_one_moment)
            return tallies[i];
        for (size_t k = 0; k <= i; k++)
            votes += memcmp(&tallies[k], &tallies[i], sizeof(tallies[i])) == 0;
        if (is_empty(&tallies[best]) || (votes > best_votes && !is_empty(&tallies[i])))
            best = i, best_votes = votes;
    }
    return tallies[best];
}

/* --- what it says --- */

/* Whether the process has this number in its own PID namespace. One that can't be inspected may have it. */
static bool may_be_called(pid_t process, uint32_t pid)
{
    char path[64], line[256];
    unsigned long own = (unsigned long)process;
    snprintf(path, sizeof(path), "/proc/%d/status", process);
    FILE *status = fopen(path, "re");
    if (status == NULL)
        return process > 0 && (kill(process, 0) == 0 || errno == EPERM);
    while (fgets(line, sizeof(line), status) != NULL)
        if (strncmp(line, "NSpid:", 6) == 0)
            own = strtoul(strrchr(line, '\t'), NULL, 10);
    fclose(status);
    return own == pid;
}

static bool holds_another_lock(uint32_t pid, struct list *list)
{
    struct held_lock held;
    read_list(list);
    while (next_lock(list, &held))
        if (held.is_flock && may_be_called(held.process, pid))
            return true;
    return false;
}

static enum file_writer writer_of(const struct tally *tally)
{
    if (tally->exclusive != 0)
        return EXCLUSIVE_WRITER;
    if (tally->writing == 0)
        return NO_WRITER;
    return tally->shared != 0 ? SHARED_WRITER : SOME_WRITER;
}

/* If the writer lets readers in, it has one of the shared locks; only the file says which one. */
static void find_pids(const struct tally *tally, uint32_t pid, struct file_users *users)
{
    bool has_writer = users->writer == SHARED_WRITER;
    for (uint64_t i = 0; i < tally->pids_known; i++) {
        bool is_owner = !users->includes_owner && may_be_called((pid_t)tally->pids[i], pid);
        users->includes_owner |= is_owner;
        if (!(is_owner && has_writer) && users->pids_known < MOST_PIDS)
            users->pids[users->pids_known++] = (pid_t)tally->pids[i];
    }
    if (has_writer && !users->includes_owner)
        users->pids_known = 0;
    users->includes_owner &= !has_writer;
}

static struct file_users users_of(const struct tally *tally, uint32_t pid)
{
    struct file_users users = {.writer = writer_of(tally)};
    uint64_t others = tally->shared - (users.writer == SHARED_WRITER);
    users.private_copies = tally->protecting < others ? tally->protecting : others;
    users.readers = others - users.private_copies;
    find_pids(tally, pid, &users);
    return users;
}

static enum file_use use_by(const struct file_lock *lock, const struct file_users *users)
{
    if (users->writer != NO_WRITER)
        return FILE_IN_USE;
    if (users->readers + users->private_copies != 0)
        return lock->is_shown ? FILE_READ : FILE_IN_USE;
    return FILE_UNUSED;
}

enum file_use file_lock_find(struct file_lock *lock, uint32_t pid)
{
    struct list list = {.fd = open("/proc/locks", O_RDONLY | O_CLOEXEC)};
    lock->users = (struct file_users){.writer = NO_WRITER};
    if (list.fd < 0)
        return FILE_UNKNOWN;
    const struct tally tally = tally_locks(lock, &list);
    lock->users = users_of(&tally, pid);
    enum file_use use = use_by(lock, &lock->users);
    bool shows_all = lock->is_shown && has_all_locks(list.fd) && !list.failed;
    lock->users.is_complete = tally.exclusive != 0 || shows_all;
    lock->was_seen |= use != FILE_UNUSED;
    if (use == FILE_UNUSED && (list.failed || !(lock->was_seen || (shows_all && !holds_another_lock(pid, &list)))))
        use = FILE_UNKNOWN;
    close(list.fd);
    return use;
}
