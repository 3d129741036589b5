/* filz/api.h: what the other headers share. Programs include <filz.h>, <filz/mmap.h> or <filz/stack.h>. */
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

#if defined(__GNUC__) || defined(__clang__)
/* Exported from a shared library; everything else in it is hidden. */
#define FILZ_API __attribute__((visibility("default")))
/* A block whose size and alignment are the function's arguments of these numbers. Not `malloc`: the block's memory can
 * be seen elsewhere too, in the file or the buffer, and a compiler may drop stores to it that the program doesn't read.
 */
#define FILZ_ALLOCATES(size, align) __attribute__((alloc_size(size), alloc_align(align), warn_unused_result))
#else
#define FILZ_API
#define FILZ_ALLOCATES(size, align)
#endif

#endif
