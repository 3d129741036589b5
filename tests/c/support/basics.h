/* What every test needs: cmocka, units, what a block holds, how often to try, how to skip, and where this runs. */
#ifndef FILZ_TESTS_BASICS_H
#define FILZ_TESTS_BASICS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <filz.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB ((size_t)1024)
#define MIB (KIB * KIB)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Each test uses some of what stands here. */
#define MAYBE_UNUSED __attribute__((unused))

/* -- Blocks -------------------------------------------------------------------------------------------------------- */

/* Whether every byte is `byte`: the first is, and each is as the one before. */
MAYBE_UNUSED static bool is_filled(const void *block, int byte, size_t size)
{
    const unsigned char *bytes = block;
    return size == 0 || (*bytes == (unsigned char)byte && memcmp(bytes, bytes + 1, size - 1) == 0);
}

MAYBE_UNUSED static bool is_aligned(const void *block, size_t align)
{
    return ((uintptr_t)block & (align - 1)) == 0;
}

/* Of a large zeroed block, a byte here and there is enough to know that it is there. */
MAYBE_UNUSED static bool is_usable(char *block, size_t size)
{
    for (size_t i = 0; i < size; i += 64 * KIB) {
        if (block[i] != 0)
            return false;
        block[i] = 'u';
    }
    return true;
}

/* -- How often ----------------------------------------------------------------------------------------------------- */

/* What only shows when it is tried often is tried $FILZ_TEST_PERCENT percent of `full` times, 10 if that isn't set: the
 * counts in docs/reliability.md are those of 100. */
MAYBE_UNUSED static size_t rounds_of(size_t full)
{
    const char *percent = getenv("FILZ_TEST_PERCENT");
    size_t rounds = full * (percent ? strtoul(percent, NULL, 10) : 10) / 100;
    return rounds > 0 ? rounds : 1;
}

MAYBE_UNUSED static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

/* -- What can't be tested everywhere says so ----------------------------------------------------------------------- */

MAYBE_UNUSED static bool runs_on_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
}

/* As CMakePresets.json says. */
MAYBE_UNUSED static bool is_emulated(void)
{
    return getenv("FILZ_TEST_EMULATED") != NULL;
}

#define SKIP(...)                                                                                                      \
    do {                                                                                                               \
        print_message("skipped %s: ", __func__);                                                                       \
        print_message(__VA_ARGS__);                                                                                    \
        print_message("\n");                                                                                           \
        skip();                                                                                                        \
    } while (0)

/* FILZ_OS=posix: of the system, the library uses what os_posix.c does. */
#ifdef FZ_POSIX
#define ON_POSIX true
#define NEED_LINUX(what) SKIP("built for POSIX, which has no %s", what)
#else
#define ON_POSIX false
#define NEED_LINUX(what) (void)0
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED false
#endif

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED_FOR_ADDRESSES true
#elif defined(__has_feature)
#define SANITIZED_FOR_ADDRESSES __has_feature(address_sanitizer)
#else
#define SANITIZED_FOR_ADDRESSES false
#endif

#endif
