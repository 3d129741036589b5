/* filz/hooks.h: the allocation functions that C libraries ask for, on a filz heap.
 *
 *     #include <filz/hooks.h>
 *     #include <stdio.h>
 *
 *     static filz_mmap heap = FILZ_MMAP_INIT;
 *     FILZ_HOOKS(json, &heap)
 *
 *     int main(void)
 *     {
 *         char *text = json_strdup("json_malloc, json_realloc, json_free and others are for a library's hooks");
 *         if (text == NULL)
 *             return 1;
 *         puts(text);
 *         return filz_mmap_close(&heap);
 *     }
 *
 * Then pass them to the library, for example by cJSON_InitHooks(&(cJSON_Hooks){json_malloc, json_free}).
 * examples/hooks/ has whole programs for cJSON, SQLite, Lua, libxml2 and jansson.
 *
 * All functions here are inline functions over <filz/mmap.h>, so there is nothing more to link.
 *
 * WHAT IT IS FOR. All the memory of one library is in one heap. One call (filz_mmap_reset) ends it, without a free for
 * each block. It has a limit of its own (`capacity`). It is in a file, which may be larger than RAM and can be
 * inspected. Plain data, such as a cJSON tree, may be in a persistent heap, where the next run finds it.
 *
 * WHAT IT IS NOT FOR. free frees nothing. If a realloc moves a block, only another realloc that moves one reuses the
 * old memory. The heap grows by nearly all that is ever allocated, so a Lua state or an SQLite connection that runs for
 * days grows without end. docs/hooks.md has figures.
 *
 * BEFORE filz_mmap_reset OR filz_mmap_close, the library must be done with its memory: close the database or the state,
 * and call the library's function for its end (xmlCleanupParser, sqlite3_shutdown).
 *
 * FUNCTIONS WITHOUT A CONTEXT. FILZ_HOOKS defines a set of functions for one heap, because most hooks pass no pointer
 * of the program's. The 8 bytes before each block hold its size, because `realloc` isn't told the old size. Blocks are
 * at multiples of 16. A block of n bytes takes n + 8, rounded up to a multiple of 16, as in glibc. It takes 8 more if
 * it is the first of a chunk or above 256 KiB, and up to 15 more after a block that the program has allocated by
 * itself.
 *
 * FUNCTIONS WITH A CONTEXT. filz_context_… take the heap as their first argument, a `void *`:
 *
 *     lua_newstate(filz_context_realloc, &heap)
 *     yyjson_alc alc = {filz_context_malloc, filz_context_realloc, filz_context_free, &heap};
 *     stream.zalloc = filz_context_zalloc, stream.zfree = filz_context_free, stream.opaque = &heap;
 *
 * BOTH KINDS. A block lives until filz_mmap_reset or filz_mmap_close. The calling thread's newest block grows and
 * shrinks in place. Size 0 gives a block of its own. A realloc to size 0 returns NULL, which means that the block is
 * freed. Otherwise NULL means failure, and the old block is unchanged: errno is ENOMEM if the size, or count times
 * size, is above PTRDIFF_MAX, else what filz_mmap_alloc sets. On success errno is left alone. Any thread may call these
 * functions at any time, as with <filz/mmap.h>. Nothing checks whether a block belongs to this heap, or was freed
 * before. A later run may pass blocks of a persistent heap to these functions. */
#ifndef FILZ_HOOKS_H
#define FILZ_HOOKS_H

#include "mmap.h"

#include <errno.h>
#include <string.h>

#ifdef __GNUC__
#define FILZ_HOOKS_MAYBE_UNUSED __attribute__((unused))
#else
#define FILZ_HOOKS_MAYBE_UNUSED
#endif

/* Every block is at a multiple of this, as with malloc. */
#define FILZ_HOOKS_ALIGN 16u

/* Defines these functions for the heap that `heap`, an expression, points to. They are static. Unused ones cause no
 * warning. Use it outside of functions, without a semicolon after it.
 *
 *   void *name_malloc(size_t size)
 *   void *name_calloc(size_t count, size_t size)      zero
 *   void *name_realloc(void *block, size_t size)      NULL: malloc; size 0: frees the block, and returns NULL
 *   void name_free(void *block)                       does nothing, also with NULL
 *   char *name_strdup(const char *text)
 *   size_t name_usable_size(const void *block)        the bytes that the block has, at least those asked for; NULL: 0
 *   size_t name_good_size(size_t size)                the bytes that a block of `size` has; 0 if there is no such block
 */
#define FILZ_HOOKS(name, heap)                                                                                         \
    FILZ_HOOKS_MAYBE_UNUSED static inline void *name##_malloc(size_t size)                                             \
    {                                                                                                                  \
        return filz_hooks_malloc((heap), size);                                                                        \
    }                                                                                                                  \
    FILZ_HOOKS_MAYBE_UNUSED static inline void *name##_calloc(size_t count, size_t size)                               \
    {                                                                                                                  \
        return filz_hooks_calloc((heap), count, size);                                                                 \
    }                                                                                                                  \
    FILZ_HOOKS_MAYBE_UNUSED static inline void *name##_realloc(void *block, size_t size)                               \
    {                                                                                                                  \
        return filz_hooks_realloc((heap), block, size);                                                                \
    }                                                                                                                  \
    FILZ_HOOKS_MAYBE_UNUSED static inline void name##_free(void *block)                                                \
    {                                                                                                                  \
        (void)block;                                                                                                   \
    }                                                                                                                  \
    FILZ_HOOKS_MAYBE_UNUSED static inline char *name##_strdup(const char *text)                                        \
    {                                                                                                                  \
        return filz_hooks_strdup((heap), text);                                                                        \
    }                                                                                                                  \
    FILZ_HOOKS_MAYBE_UNUSED static inline size_t name##_usable_size(const void *block)                                 \
    {                                                                                                                  \
        return filz_hooks_usable_size(block);                                                                          \
    }                                                                                                                  \
    FILZ_HOOKS_MAYBE_UNUSED static inline size_t name##_good_size(size_t size)                                         \
    {                                                                                                                  \
        return filz_hooks_good_size(size);                                                                             \
    }

/* --- what FILZ_HOOKS calls; a program whose hooks have a context may call them too --- */

/* The layout of a block, where each `|` is at a multiple of 16:
 *
 *     |  (padding)  size | block                            |                   next size |
 *                        ^ bytes: 8 more than a multiple of 16, so that the next size needs no padding
 *
 * The lowest bit of the size says whether there is padding. If so, the block from filz_mmap_alloc begins 8 bytes
 * before the size. */
enum { FILZ_HOOKS_WORD = 8, FILZ_HOOKS_IS_PADDED = 1 };

static inline uint64_t filz_hooks_word(const void *block)
{
    return *(const uint64_t *)(const void *)((const char *)block - FILZ_HOOKS_WORD);
}

static inline size_t filz_hooks_usable_size(const void *block)
{
    return block != NULL ? (size_t)(filz_hooks_word(block) & ~(uint64_t)FILZ_HOOKS_IS_PADDED) : 0;
}

static inline size_t filz_hooks_padding(const void *block)
{
    return (filz_hooks_word(block) & FILZ_HOOKS_IS_PADDED) != 0 ? FILZ_HOOKS_WORD : 0;
}

static inline size_t filz_hooks_good_size(size_t size)
{
    if (size > (size_t)PTRDIFF_MAX - 4 * FILZ_HOOKS_ALIGN)
        return 0;
    return ((size + FILZ_HOOKS_WORD + FILZ_HOOKS_ALIGN - 1) & ~(size_t)(FILZ_HOOKS_ALIGN - 1)) - FILZ_HOOKS_WORD;
}

static inline void *filz_hooks_no_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

/* Makes a block of `usable` bytes from the filz block at `start`, which has room for `padding` (0 or 8), the size and
 * those bytes. Keeps the first `contents` bytes after the padding and the size. If it needs 8 more bytes and can't get
 * them, it returns NULL and gives `start` back, as far as it can be. */
static inline void *filz_hooks_settle(filz_mmap *heap, char *start, size_t padding, size_t usable, size_t contents)
{
    char *given = start;
    size_t room = padding + FILZ_HOOKS_WORD + usable, old_padding = padding;
    if (padding == 0 && (uintptr_t)start % FILZ_HOOKS_ALIGN == 0) {
        start = (char *)filz_mmap_realloc(heap, start, room, FILZ_HOOKS_WORD, room + FILZ_HOOKS_WORD);
        if (start == NULL) {
            start = (char *)filz_mmap_realloc(heap, given, room, FILZ_HOOKS_WORD, 1);
            return filz_hooks_no_memory();
        }
        room += FILZ_HOOKS_WORD;
    }
    padding = (uintptr_t)start % FILZ_HOOKS_ALIGN == 0 ? FILZ_HOOKS_WORD : 0;
    char *block = start + padding + FILZ_HOOKS_WORD;
    if (padding != old_padding && contents != 0)
        memmove(block, start + old_padding + FILZ_HOOKS_WORD, contents);
    if (padding + FILZ_HOOKS_WORD + usable < room) /* shrinks: the address stays */
        start = (char *)filz_mmap_realloc(heap, start, room, FILZ_HOOKS_WORD, room - FILZ_HOOKS_WORD);
    *(uint64_t *)(void *)(block - FILZ_HOOKS_WORD) = usable | (padding != 0 ? FILZ_HOOKS_IS_PADDED : 0);
    return block;
}

static inline void *filz_hooks_malloc(filz_mmap *heap, size_t size)
{
    size_t usable = filz_hooks_good_size(size);
    if (usable == 0)
        return filz_hooks_no_memory();
    char *start = (char *)filz_mmap_alloc(heap, usable + FILZ_HOOKS_WORD, FILZ_HOOKS_WORD);
    return start != NULL ? filz_hooks_settle(heap, start, 0, usable, 0) : NULL;
}

static inline void *filz_hooks_calloc(filz_mmap *heap, size_t count, size_t size)
{
    if (count != 0 && size > (size_t)PTRDIFF_MAX / count)
        return filz_hooks_no_memory();
    size_t usable = filz_hooks_good_size(count * size);
    if (usable == 0)
        return filz_hooks_no_memory();
    char *start = (char *)filz_mmap_alloc_zeroed(heap, usable + FILZ_HOOKS_WORD, FILZ_HOOKS_WORD);
    char *block = start != NULL ? (char *)filz_hooks_settle(heap, start, 0, usable, 0) : NULL;
    if (block != NULL && filz_hooks_padding(block) != 0) /* its 8 extra bytes aren't zero */
        memset(block + usable - FILZ_HOOKS_WORD, 0, FILZ_HOOKS_WORD);
    return block;
}

static inline void *filz_hooks_realloc(filz_mmap *heap, void *block, size_t size)
{
    if (block == NULL)
        return filz_hooks_malloc(heap, size);
    if (size == 0)
        return NULL;
    size_t usable = filz_hooks_good_size(size), old_usable = filz_hooks_usable_size(block);
    if (usable == 0)
        return filz_hooks_no_memory();
    if (usable == old_usable)
        return block;
    size_t padding = filz_hooks_padding(block);
    char *start = (char *)block - FILZ_HOOKS_WORD - padding;
    start = (char *)filz_mmap_realloc(heap, start, padding + FILZ_HOOKS_WORD + old_usable, FILZ_HOOKS_WORD,
                                      padding + FILZ_HOOKS_WORD + usable);
    if (start == NULL)
        return NULL;
    return filz_hooks_settle(heap, start, padding, usable, usable < old_usable ? usable : old_usable);
}

static inline char *filz_hooks_strdup(filz_mmap *heap, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = (char *)filz_hooks_malloc(heap, size);
    return copy != NULL ? (char *)memcpy(copy, text, size) : NULL;
}

/* --- functions with a context: `heap` is a filz_mmap * --- */

/* yyjson_alc.malloc. */
static inline void *filz_context_malloc(void *heap, size_t size)
{
    if (size > (size_t)PTRDIFF_MAX)
        return filz_hooks_no_memory();
    return filz_mmap_alloc((filz_mmap *)heap, size, FILZ_HOOKS_ALIGN);
}

/* lua_Alloc, and yyjson_alc.realloc. `old_size` is the size that was last requested for the block; it is ignored if
 * `block` is NULL. Making a block smaller never fails. */
static inline void *filz_context_realloc(void *heap, void *block, size_t old_size, size_t size)
{
    if (block == NULL)
        return size != 0 ? filz_context_malloc(heap, size) : NULL;
    if (size == 0)
        return NULL;
    if (size > (size_t)PTRDIFF_MAX)
        return filz_hooks_no_memory();
    return filz_mmap_realloc((filz_mmap *)heap, block, old_size, FILZ_HOOKS_ALIGN, size);
}

/* zlib's alloc_func. */
static inline void *filz_context_zalloc(void *heap, unsigned items, unsigned size)
{
    if (size != 0 && items > (size_t)PTRDIFF_MAX / size)
        return filz_hooks_no_memory();
    return filz_context_malloc(heap, (size_t)items * size);
}

/* yyjson_alc.free, and zlib's free_func. Does nothing. */
static inline void filz_context_free(void *heap, void *block)
{
    (void)heap, (void)block;
}

#endif
