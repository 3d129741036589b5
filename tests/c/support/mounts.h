/* A process that mounts and unmounts without anybody else's notice. */
#ifndef FILZ_TESTS_MOUNTS_H
#define FILZ_TESTS_MOUNTS_H

#include <sched.h>
#include <stdbool.h>
#include <sys/mount.h>

/* False where that needs rights that this process hasn't got. */
static bool leave_mount_namespace(void)
{
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", "none", MS_REC | MS_PRIVATE, "") == 0;
}

#endif
