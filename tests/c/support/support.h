/* What the tests share: one set of calls for both allocators, and, where there is an mmap allocator, a fresh directory
 * for each test and child processes. */
#ifndef FILZ_TESTS_SUPPORT_H
#define FILZ_TESTS_SUPPORT_H

#include "allocators.h"
#include "basics.h"

#ifdef FILZ_HAS_MMAP
#include "children.h"
#include "directories.h"
#endif

#endif
