/* Shared by the os_*.c files: which system it is, its headers, and how a failed call is noted.
 *
 * FZ_POSIX, the build option FILZ_OS=posix, treats Linux as a system that has only POSIX. */
#ifndef FZ_OS_UNIX_H
#define FZ_OS_UNIX_H

#if defined(__linux__) && !defined(FZ_POSIX)
#define FZ_LINUX
#define _GNU_SOURCE 1
#elif defined(__linux__)
#define _DEFAULT_SOURCE 1
#elif defined(__APPLE__)
#define _DARWIN_C_SOURCE 1
#elif defined(__NetBSD__)
#define _NETBSD_SOURCE 1
#endif
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
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#ifdef __APPLE__
#include <sys/random.h>
#endif

/* A thread may have only 16 KiB of stack. */
#define PATH_ROOM 2100

#pragma GCC visibility push(hidden)

/* Note the call for fz_os_failed_call. Return `error`; 0 or errno. */
int fz_unix_failed(const char *call, int error);
int fz_unix_result(const char *call, bool success);

/* Opens like fz_os_open, with more flags; or under a random name, unlinked at once. */
int fz_unix_open(struct fz_file *file, const char *path, enum fz_open how, int more_flags);
int fz_unix_open_and_unlink(struct fz_file *file, const char *directory);

/* Makes `file` from a descriptor that `call` just opened, or -1. */
int fz_unix_remember(struct fz_file *file, int fd, const char *call);

/* Writes zeros to the holes in the first `size` bytes. */
int fz_unix_fill_holes(const struct fz_file *file, uint64_t size);

#pragma GCC visibility pop

#endif
