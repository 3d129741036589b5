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
 * The file is mapped shared into the address space, and an allocation bumps a pointer through it. Blocks have no
 * headers, allocation takes no lock, and nothing is freed. The kernel writes pages out and reads them back as it sees
 * fit, so a heap may be larger than RAM. Its contents can be inspected while the program runs and after it has ended.
 *
 * A block lives until filz_mmap_reset or filz_mmap_close, or until filz_mmap_realloc moves it. filz_mmap_dealloc does
 * nothing.
 *
 * WHERE THE FILE GOES. The first of these that applies:
 *   1. `path`, if set: that file. It stays after exit, and the next run that names it overwrites it.
 *   2. `<directory>/<program>.filz`, where the directory is $FILZ_DIR, or `memory/` in the working directory if that
 *      exists. The file stays after exit, and the next run overwrites it. While another heap has it open, this heap
 *      uses an unnamed file in the same directory.
 *   3. An unnamed file in $TMPDIR or /tmp, or in memory (memfd_create(2)) where neither can be written.
 * An unnamed file is gone when the process is, however the process ends. It is an error if what was asked for by name
 * (`path`, $FILZ_DIR) can't be had. A `memory/` that was only found falls through to 3 if anything fails before the
 * heap's first pages are mapped, and leaves no file. A set-user-id program reads no environment (secure_getenv(3)) and
 * looks for no `memory/`, because its caller controls both.
 *
 * A new or overwritten file gets mode 0600 where the file system allows it. A persistent heap keeps the mode that its
 * owner gave it. The file is locked with flock(2) while it is mapped. It must be a regular file of this user with one
 * name, which nobody else may write, and it must be empty or one of filz's own. Nothing else is ever overwritten.
 *
 * PERSISTENT HEAPS. With FILZ_MMAP_PERSISTENT and a `path`, the heap that the last run left in the file is opened
 * again. It is mapped at the address that it had, so every pointer in it is valid, and new blocks follow the old ones.
 * If there is no heap yet, one is made at an address where the kernel puts nothing by itself. Opening takes the same
 * time for any size, because it reads no page but the header and the last chunk's. After a crash, and in a heap that
 * was ever synced, it also reads the header of each chunk since the last filz_mmap_sync.
 *
 * The program finds its data from the root (filz_mmap_set_root). Store nothing in the heap that is valid only in this
 * process: no address of a function, a variable or a block of another heap, no descriptor, no lock. A heap without the
 * flag never overwrites such a file (FILZ_EPERSISTENT). To start again, reset the heap or remove the file. A later run
 * can make a heap persistent that was made without the flag, if its tag is the same and its address is free. `capacity`
 * may change from run to run; 0, without $FILZ_CAPACITY, then means what the last run asked for.
 *
 * A program may be killed at any moment. The next run finds every block, without repair or a log, because blocks are
 * never freed or moved, and the file grows before anything refers to the new part. A kill loses at most the unused tail
 * of each thread's chunk; an orderly end doesn't lose even that. filz doesn't promise that the program had finished
 * what it was writing.
 *
 * A power cut may come at any moment too. What filz_mmap_sync has brought to the disk is there afterwards. If the
 * newest state is incomplete, the heap opens as it was at that sync (its checkpoint), root included. To make a root
 * durable only with what it leads to, write the data, sync, set the root, and sync, in this order. A block that was
 * synced keeps its place, but the program may of course change it later.
 *
 * `base` is the address of a new persistent heap. Set it to put several heaps in a row, or to open a copy beside its
 * original. A heap that exists already keeps its address, because nobody knows which of its bytes are pointers that
 * would have to change.
 *
 * The child of a fork has its own copy, which ends with it.
 *
 * READERS. With FILZ_MMAP_READ_ONLY and a `path`, any number of processes have one heap open at the same time, at its
 * address, and share its memory. Nothing in the file changes, on Linux not even its times if it is this user's. The
 * file may be mode 0400, have several names, be on a read-only file system, and be root's; but nobody except its owner
 * may be able to write it. While a reader has it open, only a shared writer can open it to write (others get
 * FILZ_EINUSE). While a writer has it open, only a shared writer lets readers in.
 *
 * root, stats, pages and owns work as usual. alloc, reset, set_root and sync fail with EROFS, and a store to the memory
 * is a SIGSEGV. If the newest state is incomplete after a power cut, a reader sees the checkpoint. fork costs nothing:
 * parent and child continue to read. It is an error if there is no file, or no heap in it yet.
 *
 * To replace a heap that is being read, build the new one in another file in the same directory, with another name, and
 * filz_mmap_publish it under the name that readers open. No reader ever sees half of it, or a SIGBUS.
 * filz_mmap_is_current tells a reader.
 *
 * A shared writer (FILZ_MMAP_SHARED and a `path`) writes to a persistent heap while others read it. The memory is the
 * same, so readers see each store at once. The writer publishes finished data by filz_mmap_set_root, or by an atomic
 * store with release order: a reader that loads the address with acquire order sees all that it leads to. The writer
 * may end, be killed and be started again while readers continue. Neither shrinking a block nor close takes memory from
 * readers. reset is EBUSY while they have the heap open. Other writers and private copies are refused (FILZ_EINUSE).
 *
 * To be able to follow, a reader maps as much as the writer's capacity, 64 GiB by default. Give the writer a capacity
 * where addresses are scarce, or where heaps stand in a row (`base`). Where the reader's own capacity is less
 * ($FILZ_CAPACITY too), it maps only that, and a root after it is NULL. For the same reason, a shared writer is refused
 * while readers have the heap open if the last writer wasn't shared, had a smaller capacity or ended during a reset, or
 * if the newest state is incomplete after a power cut. FILZ_MMAP_PERSISTENT makes no difference to a shared writer. The
 * locks that it needs (F_OFD_SETLK in fcntl(2)) are on Linux; elsewhere opening it is EOPNOTSUPP.
 *
 * FILZ_MMAP_PRIVATE is like FILZ_MMAP_READ_ONLY, but the memory may be written, and blocks may be allocated, in
 * anonymous memory after the heap. What this process writes, resets or sets as the root stays its own, and is gone when
 * it closes the heap. sync is FILZ_EUNNAMED. With either flag, the tag must be right, and FILZ_MMAP_PERSISTENT makes no
 * difference.
 *
 * HOW LARGE. `capacity` is the limit in bytes. 0 means $FILZ_CAPACITY (a number of bytes, or with K, M, G or T after
 * it, powers of 1024), else 64 GiB, or 512 MiB on a 32-bit system. Opening the heap reserves address space for it. A
 * default is at most half of an address-space limit (RLIMIT_AS), and as much less as the system requires. A persistent
 * heap with a default capacity reserves what it holds and 64 MiB more, and extends that as it grows, so that it takes
 * no addresses from other heaps. The file is as large as the heap in use, rounded up in growing steps. It is extended
 * with fallocate(2) before memory is allocated from it, so a full disk, a quota or a file-size limit gives NULL, never
 * SIGBUS.
 *
 * LARGER THAN MEMORY. A page fault reads from the disk what it doesn't find in memory: one page, or many around it,
 * because the next faults may be there (read-ahead). In a heap that fits into memory, the kernel reads ahead as it does
 * for any file. In a heap of 16 MiB or more that doesn't fit, each fault reads its page alone (MADV_RANDOM in
 * madvise(2)), because nearly all that read-ahead brings would be evicted unused. A walk through such a heap is then
 * slow, unless the program announces it (filz_mmap_advise). "Fits" means that the heap is at most seven eighths of what
 * /proc/meminfo calls MemAvailable, and of the memory limit of the process's control group; elsewhere than on Linux, of
 * the machine's memory. This is checked when the heap is opened and each time its file grows. FILZ_ADVICE in the
 * environment, `random` or `sequential`, overrides it; `auto` is the default. What is allocated in a heap that doesn't
 * fit is written back in small pages, at most two for one that was changed.
 *
 * THREADS. Any thread may call any function at any time, except that close, reset and publish require exclusive access
 * to their heap. Each thread allocates from its own chunk, without atomics or locks. A thread that ends leaves the tail
 * of its chunk to the next one that asks. Don't allocate in signal handlers: use a stack allocator there. A handler
 * that may interrupt one of these functions must not call fork(2) either, because fork would wait for a lock that the
 * handler's own thread holds; _Fork and exec are safe. A thread may be cancelled (pthread_cancel(3)) at any time if its
 * cancellation is deferred, as it is by default: it ends outside the allocator. Asynchronous cancellation, and a jump
 * out of a signal handler (siglongjmp(3)) that interrupted one of these functions, may leave the lock held for good.
 *
 * FORK. After fork(2), parent and child each have their own heap with the same contents at the same addresses. The part
 * in use is copied to an unnamed file, which the child uses. What other threads write or allocate during fork may be
 * missing there; a heap that another thread opens or resets meanwhile is FILZ_EFORKED in the child.
 *
 * With FILZ_FORK=private in the environment, or when there is no room for a copy, the child maps the parent's file
 * privately instead, and allocates from anonymous memory. Nothing is copied, but in pages that the child hasn't written
 * since the fork it may see what the parent writes later. Once the parent has closed the heap and another has
 * overwritten the file, these pages may be gone (SIGBUS). Such a child also keeps the file's lock if the parent ends
 * without closing the heap.
 *
 * Each fork reads the environment (FILZ_FORK, TMPDIR): no other thread may change it then. Handlers of
 * pthread_atfork(3) that were registered before this library was loaded may allocate, but the child doesn't have such
 * blocks. vfork(2), posix_spawn(3) and system(3) cost nothing. _Fork and raw clone(2) run no handlers: such a child
 * shares the parent's heap until it needs more than its thread's chunk has, which gives ENOMEM. It should call exec or
 * _exit.
 *
 * CORE DUMPS. A heap isn't in them (MADV_DONTDUMP), because it may be large and hold secrets. With the flag
 * FILZ_MMAP_DUMP it is, as far as the process's coredump_filter (core(5)) lets shared mappings in: by default those of
 * unnamed files (bit 1), and with bit 3 (0x8) those of named ones too.
 *
 * UNLOADING. The shared library stays loaded after dlclose(3). On Linux, a plugin that is linked with the static
 * library may be unloaded: its heaps are closed, and nothing of it runs afterwards. At that moment no other thread may
 * be inside it or use its blocks. Elsewhere such a plugin must stay loaded. With musl, dlopen(3) can't load the
 * library, because its thread-local storage is static: link it.
 *
 * ADDRESSSANITIZER. If the library is compiled with -fsanitize=address, an access to memory that isn't allocated is
 * caught: after a block, to the byte; in what a reset or a shrink ended, or a realloc has left to be used again; in the
 * tail of a persistent heap that was opened again. It doesn't see the header between two chunks, up to 7 bytes at the
 * old end of a block that shrank, padding within 8 bytes of a block, and, in the child of a fork(2), what isn't after
 * its newest block. dealloc ends no block, and so poisons none. Addresses of a closed heap are unpoisoned.
 * ASAN_OPTIONS=allow_user_poisoning=0 turns the check off. Valgrind and MemorySanitizer are told nothing.
 *
 * ERRORS. Functions that return int return 0 or an error. A positive error is an errno value, from the system; a
 * negative one is a FILZ_E constant, from filz. filz_error_text describes each. A function that can't allocate returns
 * NULL and allocates nothing. It sets errno: EINVAL if `align` isn't a power of two; ENOMEM if the block doesn't fit
 * the capacity or the disk, or filz found something wrong when it opened the heap; else the system's errno value. If an
 * allocation can't open the heap, one line on standard error says which file and why, unless FILZ_QUIET=1. On success
 * errno is left alone.
 *
 * WHAT IT DOESN'T DO. The file is the memory. Writing to the file changes live variables. Truncating it makes the next
 * access past its end a SIGBUS, also that of filz_mmap_stats and filz_mmap_pages to a chunk's header. A network file
 * system keeps its own, weaker promises. On a btrfs without any disk space left, the kernel may hang in a store,
 * whatever was allocated before. The memory is a shared mapping of a file: MADV_DONTNEED doesn't clear it, MADV_FREE
 * and MADV_WIPEONFORK are EINVAL, and a file system may refuse to pin it for long, as io_uring's registered buffers and
 * RDMA ask (EFAULT or EOPNOTSUPP). Under a seccomp filter, the heap needs the system calls that docs/reliability.md
 * lists.
 *
 * SYSTEMS. Linux; and macOS, FreeBSD and NetBSD, with what POSIX has (README.md says which of them were run). There the
 * file is extended by writing zeros, on macOS by F_PREALLOCATE; only FreeBSD can leave a heap out of core dumps; NetBSD
 * reads a persistent heap's file when it is opened, to find its holes; on macOS a thread that ends doesn't leave the
 * tail of its chunk to another; and a child of vfork(2) must not allocate. Where a page is rewritten in another place
 * than before (ZFS, a snapshot or a clone on APFS or btrfs), a store may find the disk full although its blocks were
 * written before, and a signal ends the program. OpenBSD isn't supported, because a mapping of a file may show
 * something else there than read(2) does.
 *
 * M. Kerrisk, The Linux Programming Interface, 2010, chapter 49, "Memory-mapped files", describes mmap(2) as a source
 * of memory. A chunk for each thread follows E. Berger et al., "Hoard", ASPLOS 2000. Two checkpoints that are written
 * in turn follow LMDB's meta pages. */
#ifndef FILZ_MMAP_H
#define FILZ_MMAP_H

#include "api.h"

#ifndef FILZ_HAS_MMAP
#error "no mmap allocator for this target, but for Linux, macOS, FreeBSD and NetBSD; <filz/stack.h> is for all targets"
#endif

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A heap. The first five fields are settings, which are read when it is opened and not afterwards; `path` must stay
 * valid until then. The struct may be copied before the first call and moved at any time, but only one copy may be used
 * from then on. */
typedef struct filz_mmap {
    const char *path; /* NULL: see WHERE THE FILE GOES */
    size_t capacity;  /* bytes; 0: see HOW LARGE. Rounded up to whole pages; the least is two */
    unsigned flags;   /* FILZ_MMAP_… or 0 */
    uint64_t tag;     /* for FILZ_MMAP_PERSISTENT: a number that the program chooses to say what is in the heap */
    uintptr_t base;   /* for a new persistent heap: its address, rounded up to a page; 0: one at random */

    /* private from here */
    unsigned reported;
    size_t id;
    struct filz_heap *heap;
} filz_mmap;

/* Flag: the heap outlives the program. See PERSISTENT HEAPS. */
#define FILZ_MMAP_PERSISTENT 1u

/* Flag: the heap is in a core dump of the program. See CORE DUMPS. */
#define FILZ_MMAP_DUMP 2u

/* Flag: nothing in the file changes. See READERS. */
#define FILZ_MMAP_READ_ONLY 4u

/* Flag: what this process writes stays its own. See READERS. */
#define FILZ_MMAP_PRIVATE 8u

/* Flag: others may read the heap while this process writes to it. See READERS. */
#define FILZ_MMAP_SHARED 16u

/* A closed heap with all defaults. Zeroing the struct in another way works too. */
/* clang-format off */
#ifdef __cplusplus
#define FILZ_MMAP_INIT {}
#else
#define FILZ_MMAP_INIT {0}
#endif
/* clang-format on */

/* What filz found. A later version may add to these. */
enum filz_error {
    /* of the settings */
    FILZ_ECAPACITY = -1, /* `capacity` is at most one page, or more than there are addresses */
    FILZ_EVARIABLE = -2, /* $FILZ_CAPACITY isn't a number of bytes, or $FILZ_ADVICE isn't one of its words */
    FILZ_EFLAGS = -3,    /* `flags` has an unknown flag, two that exclude each other, or one that needs a `path` */
    FILZ_EPATH = -4,     /* the absolute path is longer than 2,000 bytes */
    /* of the file */
    FILZ_ENOTFILE = -5,     /* it isn't a regular file */
    FILZ_ELINKS = -6,       /* it has more than one name (hard links) */
    FILZ_EOWNER = -7,       /* it belongs to another user */
    FILZ_EMODE = -8,        /* other users may write it, or it is read-only */
    FILZ_EINUSE = -9,       /* another process, or another heap of this one, has it open */
    FILZ_ENOTHEAP = -10,    /* it isn't one of filz's; for a reader: there is no heap in it yet */
    FILZ_EPERSISTENT = -11, /* it is a persistent heap, and this one lacks FILZ_MMAP_PERSISTENT */
    /* of the heap in it */
    FILZ_EFORMAT = -12,    /* it has another format, as other versions of filz may write it */
    FILZ_EWORDSIZE = -13,  /* a program of another word size or byte order made it */
    FILZ_EPAGESIZE = -14,  /* it was made for another page size */
    FILZ_ETAG = -15,       /* it has another tag */
    FILZ_EDAMAGED = -16,   /* a header in it is invalid; when it is opened: and there is no checkpoint */
    FILZ_ETRUNCATED = -17, /* the file ends before the heap does, and there is no checkpoint */
    FILZ_ETOOSMALL = -18,  /* it holds more than the capacity */
    FILZ_EBASE = -19,      /* something else is at its address in this process */
    /* of a call */
    FILZ_ECLOSED = -20,  /* the heap isn't open */
    FILZ_EADDRESS = -21, /* the address isn't in the heap */
    FILZ_EUNNAMED = -22, /* the heap's file has no name, or doesn't hold all of the heap */
    FILZ_EFORKED = -23,  /* the heap is the parent's: this process was made by _Fork or clone */
};

/* Describes an error in a string that is never freed. 0 and unknown numbers have a string too. */
FILZ_API const char *filz_error_text(int error);

/* How full a heap is, in bytes: used <= in_chunks <= committed <= capacity. */
typedef struct filz_mmap_info {
    const char *path; /* absolute; NULL if the file has no name. Valid until close */
    size_t capacity;  /* the limit, as far as the address space allows it */
    size_t committed; /* size of the file, or of what is backed by it and by anonymous memory */
    size_t in_chunks; /* carved into chunks: what is used, and the tails of chunks */
    size_t used;      /* allocated, with padding and all that realloc has left, and the heap's own headers */
    size_t blocks;    /* blocks allocated; one that realloc copies into reused space isn't counted again */
    size_t chunks;
    size_t threads; /* threads that have allocated, in all runs */
    size_t page_size;
} filz_mmap_info;

/* For filz_mmap_advise: what the program is about to do with memory. The first three exclude each other. */
enum filz_advice {
    FILZ_ADVICE_AUTO = 0,       /* as for the whole heap; for the whole heap, see LARGER THAN MEMORY */
    FILZ_ADVICE_RANDOM = 1,     /* random access: a fault reads one page */
    FILZ_ADVICE_SEQUENTIAL = 2, /* access in order: read far ahead, and evict pages soon */
    FILZ_ADVICE_WILL_NEED = 3,  /* all of it is needed soon: read it now, as far as memory allows */
    FILZ_ADVICE_COLD = 4,       /* not needed soon: evict these pages first */
    FILZ_ADVICE_PAGE_OUT = 5,   /* not needed for long: evict now those that are on the disk */
};

/* What filz_mmap_pages says of a page: a kind, a flag and a thread. */
#define FILZ_PAGE_FREE 0u   /* not yet carved into a chunk */
#define FILZ_PAGE_USED 1u   /* at least one byte is allocated, or holds a header */
#define FILZ_PAGE_TAIL 2u   /* in the unused tail of a chunk */
#define FILZ_PAGE_KIND 3u   /* mask for the three above */
#define FILZ_PAGE_IN_RAM 4u /* flag: resident, as mincore(2) reports */
/* The thread whose chunk the page is in: 1 to 31, and from 32 on counted again from 1; 0 if it is no thread's. */
#define FILZ_PAGE_THREAD(state) ((unsigned)(state) >> 3)

/* Opens the heap: makes and locks its file and maps it. The first allocation calls it; a program calls it to see the
 * error. Does nothing on an open heap. Returns 0; one of the FILZ_E constants of the settings, the file and the heap in
 * it; FILZ_EFORKED; or the errno value of open(2), fallocate(2), mmap(2) or another call, such as
 *   ELOOP    the file is a symbolic link
 *   EISDIR   it is a directory
 *   EACCES   this user may not open it
 *   ENOENT   there is no such directory
 *   ENOSPC   the disk is full
 *   EFBIG    the file-size limit (RLIMIT_FSIZE) is less than a page
 *   ENOMEM   the capacity doesn't fit into the address space
 * A file whose heap can't be opened stays as it was, byte for byte, and a file that this call made is removed. A file
 * that was to be overwritten may be empty by then. After an error the heap is closed, and a later call tries again. */
FILZ_API int filz_mmap_open(filz_mmap *self);

/* Closes the heap, and ends every block in this process. The blocks of a persistent heap are there when it is opened
 * again. The file is unlocked. If it has no name, it is gone. If it has one, its unused end is truncated where it is
 * large. Does nothing on a closed heap. The settings may then be changed and the heap opened again. Returns 0; it is an
 * int because a later version may return an error. */
FILZ_API int filz_mmap_close(filz_mmap *self);

/* Allocates `size` bytes at a multiple of `align`, which may be any power of two. Size 0 gives a block of its own, as
 * size 1 does. The contents are whatever was there. NULL: see ERRORS. */
FILZ_API FILZ_ALLOCATES(2, 3) void *filz_mmap_alloc(filz_mmap *self, size_t size, size_t align);

/* The same, but the block is zero. Only memory that may have been written before is cleared, so a large fresh block
 * costs nothing until it is touched. */
FILZ_API FILZ_ALLOCATES(2, 3) void *filz_mmap_alloc_zeroed(filz_mmap *self, size_t size, size_t align);

/* Changes the size of `block`, which must have come from this heap with this `size` and `align`. A build without NDEBUG
 * asserts as much of that as can be told, in time proportional to the number of chunks; no other build checks it. The
 * calling thread's newest block grows in place as long as its chunk has room or is the heap's last. A block above 256
 * KiB may have a dedicated chunk, which has room only as the heap's last. Any block keeps its address when it shrinks.
 * Otherwise it is copied to a new one, and the old one ends. If this returns NULL, the old block is unchanged. If
 * `block` is NULL, this is an alloc. A `new_size` of 0 is taken as 1.
 *
 * When a block of 128 bytes or more is copied, the space that it leaves is reused by a later realloc that copies a
 * block, if that fits there, and by nothing else. Arrays that grow in turn take little more than their size. The space
 * is not reused in a persistent heap, nor, until reset, after filz_mmap_sync or after a fork(2) without a copy (see
 * FORK). */
FILZ_API FILZ_ALLOCATES(5, 4) void *filz_mmap_realloc(filz_mmap *self, void *block, size_t size, size_t align,
                                                      size_t new_size);

/* Does nothing: a block lives until reset or close. */
FILZ_API void filz_mmap_dealloc(filz_mmap *self, void *block, size_t size, size_t align);

/* Whether `address` lies in the heap's address space, allocated or not. A closed heap owns nothing. */
FILZ_API bool filz_mmap_owns(const filz_mmap *self, const void *address);

/* Ends every block. Their memory is reused, and the file keeps its size. Does nothing on a closed heap. Returns 0,
 * FILZ_EFORKED, EROFS, or EBUSY if a reader has it open. If the heap was synced, its checkpoint is first made empty on
 * the disk, which takes as long as the disk does. If that fails, nothing has changed, and the error is the system's
 * errno value. */
FILZ_API int filz_mmap_reset(filz_mmap *self);

/* Stores one address, the root, from which a program finds everything else in a persistent heap; NULL for none. A
 * thread that reads it with filz_mmap_root sees what was written before it was set. Returns 0, FILZ_ECLOSED,
 * FILZ_EFORKED, EROFS, or FILZ_EADDRESS if `root` isn't in one of the heap's chunks. */
FILZ_API int filz_mmap_set_root(filz_mmap *self, const void *root);

/* The root: NULL if there is none, or the heap is closed. */
FILZ_API void *filz_mmap_root(const filz_mmap *self);

/* When it returns 0, everything written to the heap before the call is on the disk, and survives a power cut. See
 * PERSISTENT HEAPS for the order. Takes as long as the disk does. Otherwise it returns FILZ_ECLOSED, FILZ_EFORKED,
 * FILZ_EUNNAMED, EROFS, or the errno value of msync(2), open(2) or fsync(2). */
FILZ_API int filz_mmap_sync(filz_mmap *self);

/* Publishes a finished heap for others to read. Brings it to the disk, as filz_mmap_sync does, renames its file to
 * `path` in one step, brings that to the disk too, and closes the heap. A reader that opens `path` finds the old heap
 * or all of the new one at every moment, and a reader that has the old one open continues in it.
 *
 * Returns what filz_mmap_sync does, or FILZ_EUNNAMED if the heap's name is gone or another file's by now; the heap is
 * then as it was. Any other error closes the heap. If there is a file that can't be replaced, the error is one of the
 * FILZ_E constants of the file (FILZ_EINUSE: a writer has it open; FILZ_ENOTHEAP: it isn't one of filz's). It may be
 * the errno value of rename(2), such as EXDEV for another file system. In both cases the heap has its old name, and can
 * be opened again by it. After an errno value of fsync(2), a power cut may give back the old heap. filz_mmap_stats
 * tells whether the heap is still open. */
FILZ_API int filz_mmap_publish(filz_mmap *self, const char *path);

/* Whether the name that the heap was opened by still leads to its file. By this a reader learns that another heap was
 * published there: it closes this one and opens the other. A heap without a name isn't current. Makes a system call. */
FILZ_API bool filz_mmap_is_current(const filz_mmap *self);

/* Tells the kernel what the program is about to do with `size` bytes from `start` on, or, if `start` is NULL, with the
 * whole heap. For the whole heap, the first three also replace $FILZ_ADVICE, and hold for what is added to the heap.
 * Advice applies to all pages in which a byte of the part is. It is only a hint: no byte changes, and what the system
 * doesn't know has no effect, as the last two have none except on Linux. Advice for a part holds until the whole is
 * advised, or AUTO chooses anew as the heap grows. Each part with its own advice is a mapping of its own
 * (vm.max_map_count). Returns 0, FILZ_ECLOSED, FILZ_EFORKED, FILZ_EADDRESS if not all of it is in the heap's address
 * space, or EINVAL for an unknown advice. */
FILZ_API int filz_mmap_advise(filz_mmap *self, const void *start, size_t size, enum filz_advice advice);

/* Fills `out`, in time proportional to the number of chunks. Returns 0, FILZ_ECLOSED, FILZ_EFORKED, or FILZ_EDAMAGED if
 * a chunk's header is invalid. What other threads allocate meanwhile may be counted or not. */
FILZ_API int filz_mmap_stats(const filz_mmap *self, filz_mmap_info *out);

/* Writes the state of each page of the file, from page `first` on, one byte a page, to `states`, which has room for
 * `*count` bytes. Sets `*count` to the number of bytes written, which is fewer where the file ends. Page 0 is the
 * file's header; the file has `committed / page_size` pages. Returns the same as filz_mmap_stats; after an error,
 * `*count` is 0. */
FILZ_API int filz_mmap_pages(const filz_mmap *self, size_t first, size_t *count, unsigned char *states);

#ifdef __cplusplus
}
#endif

#endif
