/* What the tests share: one set of calls for both allocators, a fresh directory for each test, and a child process for
 * what would end or change this one. */
#ifndef FILZ_TESTS_SUPPORT_H
#define FILZ_TESTS_SUPPORT_H

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

#ifdef FILZ_HAS_MMAP
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#define KIB ((size_t)1024)
#define MIB (KIB * KIB)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Each test uses some of what stands here. */
#define MAYBE_UNUSED __attribute__((unused))

/* -- Both allocators by one set of names --------------------------------------------------------------------------- */

#ifndef FILZ_HAS_MMAP
#include "no_mmap.h"
#endif

struct heap {
    filz_stack *stack; /* NULL: this heap is mapped */
    void *memory;      /* the stack allocator's, or NULL */
    filz_mmap mmap;
    void (*meanwhile)(void); /* what happens before each call, or NULL */
};

static void pass_time(const struct heap *heap)
{
    if (heap->meanwhile != NULL)
        heap->meanwhile();
}

#ifdef _WIN32
static void *new_pages(size_t bytes)
{
    return _aligned_malloc(bytes, 4096);
}

static void free_pages(void *pages)
{
    _aligned_free(pages);
}
#else
static void *new_pages(size_t bytes)
{
    void *pages = NULL;
    assert_int_equal(posix_memalign(&pages, 4096, bytes), 0);
    return pages;
}

static void free_pages(void *pages)
{
    free(pages);
}
#endif

/* A stack allocator of `capacity` bytes, its buffer at a multiple of 4,096. */
MAYBE_UNUSED static struct heap *new_stack_heap(size_t capacity)
{
    struct heap *heap = calloc(1, sizeof(*heap));
    assert_non_null(heap);
    heap->memory = new_pages(4096 + capacity);
    assert_non_null(heap->memory);
    memset(heap->memory, 0xDB, 4096 + capacity);
    size_t skip = 4096 - sizeof(filz_stack);
    heap->stack = filz_stack_init((char *)heap->memory + skip, sizeof(filz_stack) + capacity);
    assert_non_null(heap->stack);
    return heap;
}

MAYBE_UNUSED static struct heap *new_mmap_heap(size_t capacity)
{
    struct heap *heap = calloc(1, sizeof(*heap));
    assert_non_null(heap);
    heap->mmap.capacity = capacity;
    assert_int_equal(filz_mmap_open(&heap->mmap), 0);
    return heap;
}

MAYBE_UNUSED static void free_heap(struct heap *heap)
{
    assert_int_equal(filz_mmap_close(&heap->mmap), 0);
    free_pages(heap->memory);
    free(heap);
}

/* A stack allocator leaves errno alone. The tests of both find in it what a mapped heap would say. */
static void *stack_answer(void *block, size_t align, int errno_before)
{
    assert_int_equal(errno, errno_before);
    if (block == NULL)
        errno = align != 0 && (align & (align - 1)) == 0 ? ENOMEM : EINVAL;
    return block;
}

MAYBE_UNUSED static void *heap_alloc(struct heap *heap, size_t size, size_t align)
{
    pass_time(heap);
    int before = errno;
    return heap->stack ? stack_answer(filz_stack_alloc(heap->stack, size, align), align, before)
                       : filz_mmap_alloc(&heap->mmap, size, align);
}

MAYBE_UNUSED static void *heap_alloc_zeroed(struct heap *heap, size_t size, size_t align)
{
    pass_time(heap);
    int before = errno;
    return heap->stack ? stack_answer(filz_stack_alloc_zeroed(heap->stack, size, align), align, before)
                       : filz_mmap_alloc_zeroed(&heap->mmap, size, align);
}

MAYBE_UNUSED static void *heap_realloc(struct heap *heap, void *block, size_t size, size_t align, size_t new_size)
{
    pass_time(heap);
    int before = errno;
    return heap->stack ? stack_answer(filz_stack_realloc(heap->stack, block, size, align, new_size), align, before)
                       : filz_mmap_realloc(&heap->mmap, block, size, align, new_size);
}

MAYBE_UNUSED static void heap_dealloc(struct heap *heap, void *block, size_t size, size_t align)
{
    pass_time(heap);
    if (heap->stack)
        filz_stack_dealloc(heap->stack, block, size, align);
    else
        filz_mmap_dealloc(&heap->mmap, block, size, align);
}

MAYBE_UNUSED static bool heap_owns(const struct heap *heap, const void *address)
{
    pass_time(heap);
    return heap->stack ? filz_stack_owns(heap->stack, address) : filz_mmap_owns(&heap->mmap, address);
}

MAYBE_UNUSED static void heap_reset(struct heap *heap)
{
    pass_time(heap);
    if (heap->stack)
        filz_stack_reset(heap->stack);
    else
        assert_int_equal(filz_mmap_reset(&heap->mmap), 0);
}

MAYBE_UNUSED static size_t heap_used(const struct heap *heap)
{
    filz_stack_info stack;
    filz_mmap_info mapped;
    if (heap->stack) {
        filz_stack_stats(heap->stack, &stack);
        return stack.used;
    }
    return filz_mmap_stats(&heap->mmap, &mapped) == 0 ? mapped.used : SIZE_MAX;
}

/* How many pages filz_mmap_pages has written of `count` asked for; 0 after an error. */
MAYBE_UNUSED static size_t pages_of(const filz_mmap *heap, size_t first, size_t count, unsigned char *states)
{
    int error = filz_mmap_pages(heap, first, &count, states);
    return error == 0 ? count : 0;
}

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

#ifdef FILZ_HAS_MMAP
/* -- A fresh directory, the working directory of each test that asks for it -------------------------------------------
 */

static char fresh_directory[1024];

MAYBE_UNUSED static int enter_fresh_directory(void **state)
{
    (void)state;
    static const char *const variables[] = {"FILZ_DIR", "FILZ_CAPACITY", "FILZ_QUIET", "FILZ_FORK"};
    for (size_t i = 0; i < COUNT(variables); i++)
        unsetenv(variables[i]);
    const char *parent = getenv("TMPDIR");
    snprintf(fresh_directory, sizeof(fresh_directory), "%s/filz-test-XXXXXX", parent ? parent : "/tmp");
    if (mkdtemp(fresh_directory) == NULL || chdir(fresh_directory) != 0)
        return -1;
    umask(022);
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status, (void)type, (void)place;
    return remove(path);
}

MAYBE_UNUSED static int leave_fresh_directory(void **state)
{
    (void)state;
    return chdir("/") || nftw(fresh_directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

#define IN_FRESH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter_fresh_directory, leave_fresh_directory)

static int entries_seen;

static int count_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)path, (void)status, (void)type;
    entries_seen += place->level > 0;
    return 0;
}

/* How many files and directories `directory` holds, at any depth. */
MAYBE_UNUSED static int entries_in(const char *directory)
{
    entries_seen = 0;
    return nftw(directory, count_entry, 16, FTW_PHYS) == 0 ? entries_seen : -1;
}

MAYBE_UNUSED static bool exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

MAYBE_UNUSED static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* The first bytes of a file, as a string that the next call overwrites; "" if there is none. */
MAYBE_UNUSED static const char *text_of(const char *path)
{
    static char text[4096];
    FILE *file = fopen(path, "r");
    size_t length = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
    text[length] = '\0';
    if (file)
        fclose(file);
    return text;
}

/* -- A child process ----------------------------------------------------------------------------------------------- */

/* For code that may not assert, in a child or a second thread: says what isn't so and returns 1. */
#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno);                  \
            return 1;                                                                                                  \
        }                                                                                                              \
    } while (0)

/* Seconds that a test waits for anything, so that none fails because the machine is slow. As long as ctest waits. */
enum { PATIENCE = 3600 };

/* Begins `body` in a child, which exits as programs do when it returns. A child that hangs dies of SIGALRM. */
MAYBE_UNUSED static pid_t begin_child(int (*body)(void *), void *context)
{
    fflush(NULL);
    pid_t child = fork();
    if (child != 0)
        return child;
    static const int caught_by_cmocka[] = {SIGBUS, SIGFPE, SIGILL, SIGSEGV};
    for (size_t i = 0; i < COUNT(caught_by_cmocka); i++)
        signal(caught_by_cmocka[i], SIG_DFL);
    alarm(PATIENCE);
    exit(body(context));
}

/* Waits for a child. Returns its exit status, or 128 + the signal it died of. */
MAYBE_UNUSED static int end_child(pid_t child)
{
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

MAYBE_UNUSED static int in_child(int (*body)(void *), void *context)
{
    return end_child(begin_child(body, context));
}

enum { SKIPPED = 77 }; /* exit status of a child that can't do its test here */

/* Runs this program anew, with one argument, in place of the child that calls it. */
MAYBE_UNUSED static int start_this_program(void *argument)
{
    static char program[PATH_MAX];
    if (readlink("/proc/self/exe", program, sizeof(program) - 1) > 0)
        execl(program, program, argument, (char *)NULL);
    return SKIPPED;
}

MAYBE_UNUSED static filz_mmap_info stats_of(const filz_mmap *heap)
{
    filz_mmap_info info;
    assert_int_equal(filz_mmap_stats(heap, &info), 0);
    return info;
}

/* What a child does with a heap that is its own: zeroed blocks, each of them written. */
MAYBE_UNUSED static int allocate_and_write(void *heap)
{
    for (size_t i = 0; i < 50; i++) {
        char *block = filz_mmap_alloc_zeroed(heap, 10 * KIB, 1);
        EXPECT(block && is_filled(block, 0, 10 * KIB));
        memset(block, 'c', 10 * KIB);
    }
    return 0;
}

#endif

/* -- How often ------------------------------------------------------------------------------------------------------
 */

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

/* As tests/run says. */
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
