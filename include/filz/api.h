/* filz/api.h: definitions that the other headers share. Programs include <filz.h>, <filz/mmap.h> or <filz/stack.h>. */
#ifndef FILZ_API_H
#define FILZ_API_H

/* Even a freestanding compiler has these two headers, unless it is called with -nostdinc. */
#ifdef __has_include
#if !__has_include(<stddef.h>)
#define FILZ_WITHOUT_HEADERS
#endif
#endif
#ifdef FILZ_WITHOUT_HEADERS
typedef __SIZE_TYPE__ size_t;
#define NULL ((void *)0)
#define bool _Bool
#define true 1
#define false 0
#else
#include <stdbool.h>
#include <stddef.h>
#endif

/* libfilz has the mmap allocator on systems that have an os_*.c. CMakeLists.txt and rust/build.rs repeat the list. */
#if (defined(__linux__) && !defined(__ANDROID__)) || defined(__FreeBSD__) || defined(__NetBSD__)
#define FILZ_HAS_MMAP
#elif defined(__APPLE__) && defined(__ENVIRONMENT_MAC_OS_X_VERSION_MIN_REQUIRED__) /* not iOS and the others */
#define FILZ_HAS_MMAP
#endif

#if defined(__GNUC__) && !defined(_WIN32)
/* Exported from a shared library; everything else in it is hidden. */
#define FILZ_API __attribute__((visibility("default")))
#else
#define FILZ_API
#endif

#if defined(__GNUC__) || defined(__clang__)
/* Takes the numbers of the arguments that are the block's size and alignment. The attribute `malloc` would be wrong: it
 * lets a compiler drop stores that the program doesn't read, but the block is visible elsewhere too, in the file or the
 * buffer. */
#define FILZ_ALLOCATES(size, align) __attribute__((alloc_size(size), alloc_align(align), warn_unused_result))
#else
#define FILZ_ALLOCATES(size, align)
#endif

#endif
