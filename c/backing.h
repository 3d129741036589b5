/* The backing of a heap: one range of addresses, and the file that is mapped there as far as it is committed.
 *
 *     | page of the owner's | committed: the file | reserved: nothing can be accessed | not yet reserved |
 *                           ^ base                                                                       ^ capacity
 *
 * The page before `base` is private memory. */
#ifndef FZ_BACKING_H
#define FZ_BACKING_H

#include "location.h"
#include "os.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the heap's growth goes. */
enum fz_growth {
    FZ_SHARED_FILE,     /* to the file, which is mapped shared: the heap is its file */
    FZ_SHARED_AND_MORE, /* to anonymous memory after the file, whose descriptor is lost */
    FZ_PRIVATE,         /* to anonymous memory; the heap shares nothing with another process */
    FZ_READ_ONLY,       /* nowhere: it is only read */
    FZ_NOWHERE,         /* nowhere: it is the parent's of this process */
};

/* Fewer bytes aren't worth a call that prefaults them. */
#define FZ_WORTH_PREFAULTING ((size_t)64 << 10)

struct fz_backing {
    uintptr_t base;
    size_t page_size;
    size_t capacity; /* the limit, in bytes from base */
    size_t reserved; /* atomic */
    size_t committed;
    size_t floor; /* the file's least size: its first bytes, a checkpoint or a child's mapping needs these */
    enum fz_growth growth;
    bool in_dumps;            /* FILZ_MMAP_DUMP */
    enum fz_advice asked_for; /* FZ_NORMAL: as suits the heap's size, see fz_backing_choose_advice */
    enum fz_advice advice;    /* in force for what is committed: FZ_NORMAL, FZ_RANDOM or FZ_SEQUENTIAL */
    struct fz_file file;
    struct fz_location location;
};

/* How much a heap may grow to. */
struct fz_capacity {
    size_t bytes;    /* whole pages */
    bool is_default; /* may be reserved in part */
};

/* Pages in which nothing is allocated yet, and which a thread should prefault before it uses them: in the heap at
 * `base`, in this file. All zero: none. */
struct fz_fresh_pages {
    struct fz_file file;
    uintptr_t base, start, end;
    bool in_small_pages; /* a page written to later is written back alone */
};

/* Reserve addresses anywhere; where a persistent heap can be mapped again; at `backing->base`, or FILZ_EBASE. */
typedef int fz_reserve(struct fz_backing *backing, size_t length);
fz_reserve fz_reserve_anywhere, fz_reserve_stable, fz_reserve_at_base;

/* Reserves addresses for a heap of `needed` bytes that has no file yet. A default capacity becomes as much less as the
 * system requires. Returns 0, an errno value or a FILZ_E constant. */
int fz_backing_reserve(struct fz_backing *backing, fz_reserve *where, struct fz_capacity capacity, size_t needed);

/* Whether blocks can be allocated, or anything changed. */
static inline bool fz_backing_may_change(const struct fz_backing *backing)
{
    return backing->growth <= FZ_PRIVATE;
}

/* Gives back all addresses, including the page before `base`, and the descriptor. */
void fz_backing_release(struct fz_backing *backing);

/* Makes sure that the file has disk space of its own, as a copy may not, and maps it. */
int fz_backing_map_existing(struct fz_backing *backing, uint64_t size);

/* Maps the first `size` bytes of a file that must not change: read-only, or copy-on-write. */
int fz_backing_map_to_read(struct fz_backing *backing, size_t size, enum fz_growth growth);

/* Begins a new file with one page, these bytes and zeros, and brings it and its name to the disk. */
int fz_backing_write_first_page(struct fz_backing *backing, const void *header, size_t length);

/* Commits at least `size` bytes from base on, in whole pages, and more where it can. */
int fz_backing_commit(struct fz_backing *backing, size_t size);

/* Shortens the file to `size` bytes, or to its floor, if that gives back much. */
void fz_backing_trim(struct fz_backing *backing, size_t size);

/* Says which pages to prefault; and prefaults them, if they are worth a call. Only a hint, which needs no lock. */
struct fz_fresh_pages fz_backing_fresh_pages(const struct fz_backing *backing, uintptr_t start, uintptr_t end);
void fz_backing_prefault(const struct fz_fresh_pages *pages);

/* Advises the system how to read what is committed: as was asked for; else one page at a fault if the heap is larger
 * than memory, and ahead if it isn't. Under the lock. */
void fz_backing_choose_advice(struct fz_backing *backing);

/* Advises the system how a part of it will be used. */
void fz_backing_advise(const struct fz_backing *backing, uintptr_t start, uintptr_t end, enum fz_advice advice);

/* Brings `size` bytes to the disk, and the file's name. Needs no lock. */
int fz_backing_sync(const struct fz_backing *backing, size_t size, bool name_too);

/* --- fork: the parent, before --- */

/* Copies `size` bytes to an unnamed file for the child. */
int fz_backing_copy(const struct fz_backing *backing, size_t size, struct fz_file *copy);

/* --- fork: the child --- */

/* From now on the heap is the copy. */
int fz_backing_become_copy(struct fz_backing *backing, size_t size, struct fz_file *copy);

/* From now on this process's stores to the heap stay its own. If that fails, growth goes nowhere. */
void fz_backing_become_private(struct fz_backing *backing, size_t size);

#endif
