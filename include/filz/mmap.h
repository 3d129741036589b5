/* filz/mmap.h: a heap that is a file.
 *
 *     #include <filz/mmap.h>
 *     #include <stdio.h>
 *
 *     int main(void)
 *     {
 *         filz_mmap heap = FILZ_MMAP_INIT;
 *         char *text = filz_mmap_alloc(&heap, 1000, 1);
 *         if (text == NULL)
 *             return 1;
 *         snprintf(text, 1000, "these bytes are in a file");
 *         puts(text);
 *         return filz_mmap_close(&heap);
 *     }
 *
 * The file is mapped shared into the address space and an allocation moves a pointer through it: no headers on blocks,
 * no lock, no freeing. The kernel writes pages out and reads them back as it sees fit, so a heap may be larger than
 * RAM, and what is in it can be looked at while the program runs and after it has ended.
 *
 * A block lives until filz_mmap_reset or filz_mmap_close. filz_mmap_dealloc does nothing.
 *
 * WHERE THE FILE GOES. The first of these that applies:
 *   1. `path`, if set: that file. It is kept after exit, and overwritten by the next run that names it.
 *   2. `<folder>/<program>.filz`, where folder is $FILZ_DIR, or `memory/` in the working directory if there is one. It
 *      is kept after exit and overwritten by the next run. While another process has it open, this one uses
 *      `<program>.<pid>.filz`, removed at exit (not if it is killed).
 *   3. a file without a name in $TMPDIR or /tmp, or where neither can be written, in memory (memfd_create(2)). It is
 *      gone when the process is.
 * What was asked for by name (`path`, $FILZ_DIR) and can't be had is an error; a `memory/` that was only found, and
 * can't be had, falls through to 3. A set-user-id program reads no environment (secure_getenv(3)) and looks for no
 * `memory/`: it is the caller who says what these are.
 *
 * The file is mode 0600, and locked with flock(2) for as long as it is mapped. It must be a regular file of this user
 * with one name that nobody else may write, and either empty or one of filz's own: nothing else is ever overwritten.
 *
 * KEPT HEAPS. With FILZ_MMAP_REOPEN, and a `path`, the heap that the last run left in the file goes on: it is mapped at
 * the address that it had, so every pointer in it still holds, and what is allocated comes behind what is there. If
 * there is none yet, it is made, at an address where the kernel puts nothing by itself. It can be of any size: no page
 * is read but the header's and that of the last chunk. What a program finds again it finds from the root
 * (filz_mmap_set_root). In the heap may stand nothing that only this run can know: no address of a function, of a
 * variable or of a block of another heap, no descriptor, no lock. Such a file is never overwritten by a heap without
 * the flag (EEXIST); to begin anew, reset the heap or remove the file. A heap that was made without the flag can be
 * kept from then on, if its tag is the same, and its address is free. `capacity` may change from run to run; 0, without
 * $FILZ_CAPACITY, is then the last run's; if that found less room than it asked for, the heap stays that small until a
 * run asks for more.
 *
 * A program may be killed at any moment: the heap is all there in the next run, up to the unused rest of each thread's
 * chunk, without repair or log, since blocks are never freed or moved, and the file is extended before what tells of
 * it. What isn't promised is that the program had finished what it was writing. A power cut may take any page that
 * filz_mmap_sync hasn't seen. Data, sync, root, sync, in this order, make a root durable only with what it leads to.
 * The child of a fork has a copy of its own, which ends with it. A kept heap whose descriptor was closed and whose file
 * was moved or removed can't grow any more.
 *
 * HOW LARGE. `capacity` bytes of address space are set aside and never change; 0 means $FILZ_CAPACITY (a number of
 * bytes, or with K, M, G or T behind it, powers of 1024), else 64 GiB, or 512 MiB on a 32-bit system, at most half of
 * an address-space limit (RLIMIT_AS), and less where that much can't be mapped. The file is as large as the heap in
 * use, rounded up in growing steps. It is extended with fallocate(2) before memory is handed out, so a full disk, a
 * quota or a file-size limit gives NULL, never SIGBUS.
 *
 * THREADS. All functions but close and reset may be called from any thread at any time; those two need the heap for
 * themselves. Each thread allocates from a chunk of its own, without atomics or locks; a thread that ends leaves the
 * rest of its chunk to the next one that asks. A thread keeps open chunks of the 8 heaps that it used last. Not for
 * signal handlers: use a stack allocator there. A handler that may interrupt one of these functions must not call
 * fork(2) either, which would wait for a lock that its own thread holds; _Fork and exec are safe. A thread may be
 * cancelled (pthread_cancel(3)) at any time if its cancellation is deferred, as it is by default: it ends outside the
 * allocator. Asynchronous cancellation, and a jump out of a signal handler (siglongjmp(3)) that interrupted one of
 * these functions, may leave the lock taken for good.
 *
 * FORK. After fork(2) parent and child each have a heap of their own with the same contents at the same addresses: the
 * part in use is copied to a file without a name, which the child goes on with; what other threads write while fork is
 * under way may be missing there. Handlers of pthread_atfork(3) may allocate, but not those that were registered before
 * this library was loaded, nor may these wait for a thread that allocates. With FILZ_FORK=private in the environment,
 * or when there is no room for a copy, the child maps the parent's file privately instead, and allocates from anonymous
 * memory: nothing is copied, but in pages that the child hasn't written since the fork it may see what the parent
 * writes later. Each fork reads the environment (FILZ_FORK, TMPDIR): no other thread may change it then. vfork(2),
 * posix_spawn(3) and system(3) cost nothing. _Fork and raw clone(2) run no handlers: such a child shares the parent's
 * heap until it needs its next chunk, where it is noticed and made private; it should not allocate before it calls exec
 * or _exit.
 *
 * CORE DUMPS. A heap isn't in them, whether its file has a name or not: it may be large and hold secrets
 * (MADV_DONTDUMP). With the flag FILZ_MMAP_DUMP it is; since the kernel leaves shared mappings of files with a name
 * out, opening the heap then sets bits 1 and 3 of /proc/self/coredump_filter (core(5)), which hold for the whole
 * process and what it executes.
 *
 * UNLOADING. The shared library stays loaded after dlclose(3), for the threads that have used it. A plugin that is
 * unloaded itself must therefore not be linked with the static one. With musl, dlopen(3) can't load it at all, as its
 * thread-local storage is static: link it.
 *
 * ERRORS. A function that allocates returns NULL, takes nothing, and sets errno: EINVAL if `align` isn't a power of
 * two, ENOMEM if the block doesn't fit the capacity or the disk; if the heap couldn't be opened, what filz_mmap_open
 * returns. In that case one line on standard error says which file and why, unless FILZ_QUIET=1. On success
 * errno is left alone.
 *
 * WHAT IT DOESN'T DO. The file is the memory: filz doesn't protect from who writes to it, or cuts it short (SIGBUS),
 * from a network file system's weaker promises, or, without fsync(2), from a power cut. On a btrfs without any room
 * left, the kernel may hang in a store, whatever was set aside.
 *
 * mmap(2) as an allocator's source is how the kernel means it: see "Memory-mapped files" in M. Kerrisk, The Linux
 * Programming Interface, 2010, chapter 49; a chunk for each thread follows E. Berger et al., "Hoard", ASPLOS 2000. */
#ifndef FILZ_MMAP_H
#define FILZ_MMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A heap. The first four fields are settings, read when it is opened and not afterwards; `path` must stay valid until
 * then. May be copied before the first call and moved at any time, but only one copy may be used from then on. */
typedef struct filz_mmap {
    const char *path; /* NULL: see WHERE THE FILE GOES */
    size_t capacity;  /* bytes; 0: see HOW LARGE. Rounded up to whole pages; two are the least */
    unsigned flags;   /* 0, or FILZ_MMAP_DUMP, FILZ_MMAP_REOPEN, or both */
    uint64_t tag;     /* for FILZ_MMAP_REOPEN: a number of the program's own choice, that says what is in the heap */

    /* private from here */
    unsigned complained;
    size_t id;
    struct filz_heap *heap;
} filz_mmap;

/* Flag: the heap is in a core dump of the program. See CORE DUMPS. */
#define FILZ_MMAP_DUMP 1u

/* Flag: the heap outlives the program. See KEPT HEAPS. */
#define FILZ_MMAP_REOPEN 2u

/* A heap with all defaults, closed. Any other way to make it all zero does as well. */
/* clang-format off */
#ifdef __cplusplus
#define FILZ_MMAP_INIT {}
#else
#define FILZ_MMAP_INIT {0}
#endif
/* clang-format on */

/* How full a heap is, in bytes: used <= reserved <= committed <= capacity. */
typedef struct filz_mmap_info {
    const char *path; /* absolute; NULL if the file has no name. Valid until close */
    size_t capacity;  /* address space set aside */
    size_t committed; /* size of the file */
    size_t reserved;  /* cut into chunks: used, and the rests of chunks */
    size_t used;      /* handed out, with padding, and the heap's own headers */
    size_t blocks;    /* blocks handed out */
    size_t chunks;
    size_t threads; /* threads that have allocated; one that used 8 other heaps in between counts again */
    size_t page_size;
} filz_mmap_info;

/* What filz_mmap_pages says of a page: a kind, a flag and a thread. */
#define FILZ_PAGE_FREE 0u   /* not yet cut into a chunk */
#define FILZ_PAGE_USED 1u   /* at least one byte handed out, or a header */
#define FILZ_PAGE_REST 2u   /* the unused rest of a chunk */
#define FILZ_PAGE_KIND 3u   /* mask for the three above */
#define FILZ_PAGE_IN_RAM 4u /* flag: resident, as mincore(2) tells */
/* The thread whose chunk the page is in: 1 to 31, from 32 on counting again from 1; 0 for no thread's. */
#define FILZ_PAGE_THREAD(state) ((unsigned)(state) >> 3)

/* Opens the heap: makes and locks its file and maps it. The first allocation calls it; a program calls it itself to
 * see the error. Does nothing on an open heap. Returns 0, or
 *   EEXIST        the file isn't one of filz's; or it is a kept heap, and this one has no FILZ_MMAP_REOPEN
 *   EWOULDBLOCK   another process, or another heap of this one, has the file open
 *   ELOOP         the file is a symbolic link          EMLINK   it has more than one name (hard links)
 *   EISDIR        it is a folder                       ENODEV   it isn't a regular file either
 *   EPERM         it is another user's                 EACCES   others may write it, or this user may not
 *   EINVAL        `capacity` is at most one page, $FILZ_CAPACITY isn't a size, `flags` is unknown, or has
 *                 FILZ_MMAP_REOPEN without a `path`
 *   ENOMEM        `capacity` doesn't fit into the address space
 *   ENAMETOOLONG  the absolute path is longer than 2,000 bytes
 *   EFBIG         the file has to be begun, and the file-size limit (RLIMIT_FSIZE) is less than a page
 * with FILZ_MMAP_REOPEN, if the file has a heap that can't go on, after which it is as it was, byte for byte:
 *   EPROTONOSUPPORT  it has another format, as other versions of filz may write it
 *   ENOEXEC       a program of another word size, or byte order, made it
 *   EDOM          it was made where pages have another size
 *   EKEYREJECTED  it has another tag
 *   EBADMSG       its header, or its last chunk's, is damaged
 *   EOVERFLOW     its cursor is past the end of the capacity
 *   ENODATA       the file was cut short
 *   EADDRINUSE    something else is at the heap's address in this program
 * or what open(2), pwrite(2) or mmap(2) said. The heap is then closed, and a later call tries again. */
int filz_mmap_open(filz_mmap *self);

/* What a value returned by filz_mmap_open, _set_root or _sync means, in words: a string that is never freed. */
const char *filz_mmap_reason(int error);

/* Closes the heap: every block dies, the file is unlocked and, if it isn't to be kept, gone; the unused tail of a kept
 * file is given back where it is large. Does nothing on a closed heap. The settings may be changed and the heap opened
 * again. Returns 0. */
int filz_mmap_close(filz_mmap *self);

/* A block of `size` bytes at a multiple of `align`, a power of two of any size. Size 0 gives a block of its own, as
 * size 1 does. NULL: see ERRORS. */
void *filz_mmap_alloc(filz_mmap *self, size_t size, size_t align);

/* The same, and the block is zero. Only memory that may have been written before is cleared, so a large fresh block
 * costs nothing until it is touched. */
void *filz_mmap_alloc_zeroed(filz_mmap *self, size_t size, size_t align);

/* Changes the size of `block`, which must have come from this heap with this `size` and `align`: a build without
 * NDEBUG asserts as much of that as can be told, in time in the number of chunks; no other build checks it.
 * The calling thread's newest block grows where it stands as long as its chunk has room or is the heap's last (a block
 * above 256 KiB may have a chunk of its own, which has no room but what comes behind it as the last); any block keeps
 * its address when it shrinks; else it is copied to a new one. NULL leaves the old block as it was. A `block` of NULL
 * is an alloc. */
void *filz_mmap_realloc(filz_mmap *self, void *block, size_t size, size_t align, size_t new_size);

/* Does nothing: a block lives until reset or close. */
void filz_mmap_dealloc(filz_mmap *self, void *block, size_t size, size_t align);

/* Whether `address` lies in the heap's address space, handed out or not. A closed heap owns nothing. */
bool filz_mmap_owns(const filz_mmap *self, const void *address);

/* Ends every block; the memory is used again, and the file keeps its size. Does nothing on a closed heap. Returns 0. */
int filz_mmap_reset(filz_mmap *self);

/* Keeps one address, from which a program finds all else in a heap that it opens again; NULL for none. Whoever reads
 * it with filz_mmap_root, in any thread, sees what was written before it was set. Returns 0, EBADF if the heap is
 * closed, or EFAULT if `root` doesn't lie in what the heap has cut into chunks. */
int filz_mmap_set_root(filz_mmap *self, const void *root);

/* The root: NULL if there is none, or the heap is closed. */
void *filz_mmap_root(const filz_mmap *self);

/* When it returns 0, all that was written to the heap before is on the disk, and survives a power cut. See KEPT HEAPS
 * for the order. Takes as long as the disk does. Else: EBADF if the heap is closed, EOPNOTSUPP if its file has no name,
 * or what msync(2), open(2) or fsync(2) said. */
int filz_mmap_sync(filz_mmap *self);

/* Fills `out`; takes time in the number of chunks. Returns 0, or EBADF if the heap is closed. What other threads
 * allocate meanwhile may be counted or not. */
int filz_mmap_stats(const filz_mmap *self, filz_mmap_info *out);

/* Writes what each page of the file is, from page `first` on, at most `count` of them, one byte a page, to `states`.
 * Page 0 is the file's header; the file has `committed / page_size` pages. Returns how many were written; 0 if the heap
 * is closed or has no such page. */
size_t filz_mmap_pages(const filz_mmap *self, size_t first, size_t count, unsigned char *states);

#ifdef __cplusplus
}
#endif

#endif
