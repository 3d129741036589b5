/* filz: two bump allocators, one over a memory-mapped file and one over a fixed buffer.
 *
 * This header includes all of these. A program may include just the one that it needs:
 *
 *   <filz/mmap.h>    a heap that is a file, larger than RAM if need be
 *   <filz/local.h>   a part of such a heap that one thread allocates from without a call
 *   <filz/stack.h>   a heap that is a fixed buffer; lock-free, freestanding
 *
 * Where libfilz has no mmap allocator, because there is no system or none that it knows, this header includes only
 * <filz/stack.h>. FILZ_HAS_MMAP is defined where it includes all. The headers need nothing but C11, and compile as C++
 * too. */
#ifndef FILZ_H
#define FILZ_H

/* The version is defined only here. CMake, pkg-config and the crate's tests read it. */
#define FILZ_VERSION_MAJOR 0
#define FILZ_VERSION_MINOR 1
#define FILZ_VERSION_PATCH 0
#define FILZ_VERSION "0.1.0"

#include "filz/stack.h"

#ifdef FILZ_HAS_MMAP
#include "filz/local.h"
#include "filz/mmap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library that the program runs with. FILZ_VERSION is that of the headers. */
FILZ_API const char *filz_version(void);

#ifdef __cplusplus
}
#endif
#endif

#endif
