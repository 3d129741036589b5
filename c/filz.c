/* All of libfilz: the one file to compile.
 *
 *     cc -O2 -Iinclude program.c c/filz.c -pthread
 *
 * Each file calls only what stands before it here. All but the public functions is hidden. The C library isn't, so its
 * headers come first. Where there is no mmap allocator, compile c/stack.c instead. */
#include "os_unix.c" /* before the headers: it selects what they declare */

#include "os_linux.c"
#include "os_posix.c"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC visibility push(hidden)
/* clang-format off */
#include "stack.c"
#include "format.c"
#include "location.c"
#include "backing.c"
#include "registry.c"
#include "chunk.c"
#include "reuse.c"
#include "thread_cache.c"
#include "heap.c"
#include "fork.c"
#include "stats.c"
#include "error.c"
#include "mmap.c"
#include "local.c"
/* clang-format on */
#pragma GCC visibility pop
