/* Finds out whether a heap file is locked. What it may not do: take the lock; or call a file unused without evidence.
 *
 * A program that has a heap open holds flock(2) on its file. Trying to take that lock would be simpler than this, but
 * would hold it for a moment, and a program that opens its heap in that moment fails. The kernel lists all locks in
 * /proc/locks, by device and inode: of one PID namespace, those of processes that live in it or in one inside it. So a
 * lock that is listed is held. One that isn't listed isn't held only if
 *
 *   - the list is that of the first PID namespace, which has all processes,
 *   - the file system has no locks that other machines hold, as network file systems have, and
 *   - the program can't have the file open through another file system, by another device or inode, as a container
 *     has that is inspected from outside: no lock at all is held by a process which is `pid` to itself. */
#include "lock.h"

#include <errno.h>
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

/* --- the names of a file --- */

/* The kernel lists mappings by the same numbers as locks. They aren't always those of stat(2), as on btrfs. */
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

/* PID_NS_INIT_INO of <linux/nsfs.h>, which is the same in each kernel. */
#define FIRST_PID_NAMESPACE 0xEFFFFFFC

/* In a container, /proc/locks may also be another file. */
static bool has_all_locks(FILE *locks)
{
    struct statfs system;
    struct stat namespace;
    return fstatfs(fileno(locks), &system) == 0 && (unsigned long)system.f_type == PROC_SUPER_MAGIC &&
           stat("/proc/self/ns/pid", &namespace) == 0 && namespace.st_ino == FIRST_PID_NAMESPACE;
}

/* A file without a name may be one that couldn't be locked. */
void file_lock_init(struct file_lock *lock, int fd, const struct stat *status)
{
    const struct lock_name name = {major(status->st_dev), minor(status->st_dev), status->st_ino};
    *lock = (struct file_lock){{name, name}, status->st_nlink != 0 && is_on_this_machine(fd), false};
    if (!find_mapped_name(fd, &lock->names[1]))
        lock->names[1] = name;
}

/* --- the list --- */

struct held_lock {
    struct lock_name name;
    pid_t process; /* that took it; 0 or less: of another machine */
};

static bool next_lock(FILE *locks, struct held_lock *held)
{
    struct lock_name *name = &held->name;
    char line[256];
    while (fgets(line, sizeof(line), locks) != NULL)
        if (sscanf(line, "%*u: FLOCK %*s %*s %d %x:%x:%" SCNu64, &held->process, &name->major, &name->minor,
                   &name->inode) == 4)
            return true;
    return false;
}

static bool is_same(struct lock_name one, struct lock_name other)
{
    return one.major == other.major && one.minor == other.minor && one.inode == other.inode;
}

/* The kernel gives a long list in pieces, and what moves in between may be missing: so it is read twice. */
static bool is_listed(const struct file_lock *lock, FILE *locks)
{
    struct held_lock held;
    for (int times = 0; times < 2; times++) {
        fseek(locks, 0, SEEK_SET);
        while (next_lock(locks, &held))
            if (is_same(held.name, lock->names[0]) || is_same(held.name, lock->names[1]))
                return true;
    }
    return false;
}

/* Whether the process has this number in its own PID namespace. One that may not be looked at may have it. */
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

static bool holds_another_lock(uint32_t pid, FILE *locks)
{
    struct held_lock held;
    fseek(locks, 0, SEEK_SET);
    while (next_lock(locks, &held))
        if (may_be_called(held.process, pid))
            return true;
    return false;
}

enum file_use file_lock_find(struct file_lock *lock, uint32_t pid)
{
    FILE *locks = fopen("/proc/locks", "re");
    if (locks == NULL)
        return FILE_UNKNOWN;
    enum file_use use = FILE_IN_USE;
    if (!is_listed(lock, locks)) {
        bool is_evidence = lock->is_shown && has_all_locks(locks) && !holds_another_lock(pid, locks);
        use = (lock->was_seen || is_evidence) && !ferror(locks) ? FILE_UNUSED : FILE_UNKNOWN;
    }
    lock->was_seen |= use == FILE_IN_USE;
    fclose(locks);
    return use;
}
