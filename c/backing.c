/* Reserves, maps, commits and releases: only this file makes or removes a heap's mappings. It may not commit what the
 * file doesn't hold (SIGBUS), write to a descriptor that it hasn't checked, or replace a mapping of others. */
#include "backing.h"

#include "bump.h"
#include "filz/mmap.h"
#include "format.h"
#include "poison.h"

#include <errno.h>
#include <string.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

#define BASE_ALIGN (2 * MIB)

/* A file begins with COMMIT_FIRST, which most small programs never exceed. Each step adds half, within these. */
#define COMMIT_FIRST (64 * KIB)
#define COMMIT_MIN (256 * KIB)
#define COMMIT_MAX (64 * MIB)

/* Up to this size, writing zeros is faster than fallocate to allocate disk space, and fills the pages. */
#define WRITTEN_AT_ONCE (64 * KIB)

/* Truncating a mapped file costs about a millisecond, so a smaller unused end stays. */
#define WORTH_TRUNCATING (4 * MIB)

/* A smaller heap is taken to fit into memory. */
#define WORTH_ASKING (16 * MIB)

/* In pages. If all of these are in memory, so are the next ones. */
#define MOST_READ_TO_BEGIN 64

/* A persistent heap of default capacity reserves this much more than it needs. */
#define RESERVED_AHEAD (64 * MIB)

/* The least default capacity, and the precision of the search for it. */
#define LEAST_DEFAULT MIB

static void *address(const struct fz_backing *backing, size_t offset)
{
    return (void *)(backing->base + offset);
}

static void *page_before(const struct fz_backing *backing)
{
    return (void *)(backing->base - backing->page_size);
}

static void set_reserved(struct fz_backing *backing, size_t reserved)
{
    __atomic_store_n(&backing->reserved, reserved, __ATOMIC_RELAXED);
}

/* --- reserving --- */

/* At `start` exactly. */
static int reserve_exactly(uintptr_t start, size_t length)
{
    void *got = (void *)start;
    int error = fz_os_reserve(&got, length);
    if (error != 0 || got == (void *)start)
        return error;
    fz_os_unmap(got, length);
    return FILZ_EBASE;
}

int fz_reserve_anywhere(struct fz_backing *backing, size_t length)
{
    void *start = NULL;
    size_t page = backing->page_size, whole = length + BASE_ALIGN;
    int error = fz_os_reserve(&start, whole);
    if (error != 0)
        return error;
    backing->base = align_up((uintptr_t)start + page, BASE_ALIGN);
    size_t before = backing->base - page - (uintptr_t)start, after = whole - before - page - length;
    if (before != 0)
        fz_os_unmap(start, before);
    if (after != 0)
        fz_os_unmap(address(backing, length), after);
    return 0;
}

/* Reserves `length` bytes at the base, if nothing else is within the capacity of it, so that each heap of a program can
 * grow to its capacity. Doesn't check this if a limit is too low for that. */
static int reserve_apart(const struct fz_backing *backing, size_t length, size_t before)
{
    uintptr_t start = backing->base - backing->page_size;
    size_t around = before + backing->page_size + backing->capacity;
    int error = reserve_exactly(start - before, around);
    if (error == 0)
        fz_os_unmap((void *)(start - before), around);
    return error == FILZ_EBASE ? error : reserve_exactly(start, backing->page_size + length);
}

/* At random, so that one program can open the heaps of several. */
int fz_reserve_stable(struct fz_backing *backing, size_t length)
{
    enum { TRIES = 8 };
    int error = ENOMEM;
    size_t capacity = backing->capacity;
    uintptr_t start, size;
    for (size_t range = 0; fz_os_quiet_range(range, &start, &size); range++)
        for (int tries = 0; tries < TRIES && capacity < size; tries++) {
            size_t before = capacity < size / 4 ? align_up(capacity, BASE_ALIGN) : 0;
            uintptr_t offset = before + (uintptr_t)(fz_os_random() % (size - capacity - before));
            backing->base = align_up(start + offset, BASE_ALIGN);
            error = reserve_apart(backing, length, before);
            if (error == 0)
                return 0;
        }
    return error == FILZ_EBASE ? ENOMEM : error;
}

/* All of the capacity must have addresses, even if less is reserved. */
int fz_reserve_at_base(struct fz_backing *backing, size_t length)
{
    if (backing->capacity - 1 > UINTPTR_MAX - backing->base)
        return FILZ_EBASE;
    return reserve_exactly(backing->base - backing->page_size, backing->page_size + length);
}

static void unreserve(const struct fz_backing *backing, size_t length)
{
    fz_os_unmap(page_before(backing), backing->page_size + length);
}

/* Reserves as much of `wanted` as it can, in whole MiB above `least`; or returns the error of `least`. */
static int reserve_largest(struct fz_backing *backing, fz_reserve *where, size_t least, size_t wanted, size_t *got)
{
    *got = wanted;
    int error = where(backing, wanted);
    if (error == 0 || least >= wanted)
        return error;
    size_t refused = wanted;
    *got = least;
    while (refused - *got > LEAST_DEFAULT) {
        size_t middle = *got + align_down((refused - *got) / 2, backing->page_size);
        if (where(backing, middle) == 0) {
            unreserve(backing, middle);
            *got = middle;
        } else {
            refused = middle;
        }
    }
    return where(backing, *got);
}

/* A default capacity at a stable address reserves only what is needed soon: the rest may be another heap's. */
int fz_backing_reserve(struct fz_backing *backing, fz_reserve *where, struct fz_capacity capacity, size_t needed)
{
    size_t wanted = capacity.bytes, least = capacity.bytes, reserved;
    if (capacity.is_default && where != fz_reserve_anywhere)
        wanted = smaller_of(wanted, needed + RESERVED_AHEAD);
    if (capacity.is_default)
        least = smaller_of(wanted, larger_of(needed, LEAST_DEFAULT));
    backing->capacity = capacity.bytes;
    int error = reserve_largest(backing, where, least, wanted, &reserved);
    if (error != 0)
        return error;
    if (where == fz_reserve_anywhere)
        backing->capacity = reserved;
    set_reserved(backing, reserved);
    error = fz_os_map_anonymous(page_before(backing), backing->page_size);
    if (error != 0)
        unreserve(backing, reserved);
    return error;
}

/* Reserves at least up to `size`, if nothing else is there. */
static int extend_reservation(struct fz_backing *backing, size_t size)
{
    size_t ahead = smaller_of(backing->capacity, align_up(size + size / 4 + RESERVED_AHEAD, backing->page_size));
    uintptr_t start = backing->base + backing->reserved;
    if (size <= backing->reserved)
        return 0;
    if (reserve_exactly(start, ahead - backing->reserved) == 0) {
        set_reserved(backing, ahead);
        return 0;
    }
    int error = reserve_exactly(start, size - backing->reserved);
    if (error == 0)
        set_reserved(backing, size);
    return error;
}

void fz_backing_release(struct fz_backing *backing)
{
    if (backing->growth <= FZ_SHARED_AND_MORE)
        fz_os_unlock_and_close(&backing->file);
    else
        fz_os_close(&backing->file);       /* a forked process may use it too */
    unreserve(backing, backing->reserved); /* the backing may be in there */
}

/* --- mapping --- */

static int uncommit(struct fz_backing *backing, size_t size)
{
    int error = size < backing->reserved ? fz_os_reserve_again(address(backing, size), backing->reserved - size) : 0;
    if (error == 0)
        backing->committed = size;
    return error;
}

/* An address-space limit below what is reserved forbids any mapping, even over a reservation. Then its end is given
 * back. */
static bool give_back_half(struct fz_backing *backing, size_t needed)
{
    if (backing->reserved <= needed)
        return false;
    size_t kept = needed + align_down((backing->reserved - needed) / 2, backing->page_size);
    if (fz_os_unmap(address(backing, kept), backing->reserved - kept) != 0)
        return false;
    set_reserved(backing, kept);
    return true;
}

/* A reader may follow its writer to the end of its mapping. */
static size_t mapped(const struct fz_backing *backing)
{
    return backing->growth == FZ_READ_ONLY ? backing->reserved : backing->committed;
}

/* Programs and the kernel's tables need some memory too. A file in memory isn't read from a disk. */
static bool fits_memory(const struct fz_backing *backing)
{
    if (backing->committed < WORTH_ASKING || backing->file.in_memory)
        return true;
    uint64_t memory = fz_os_memory();
    return backing->committed <= memory - memory / 8;
}

/* The mapping has no advice yet from `start` on. */
static void advise_from(struct fz_backing *backing, size_t start, enum fz_advice advice)
{
    if (advice != backing->advice)
        start = 0;
    if (advice != backing->advice || advice != FZ_NORMAL)
        fz_os_advise(address(backing, start), mapped(backing) - start, advice);
    backing->advice = advice;
}

static enum fz_advice fitting_advice(const struct fz_backing *backing)
{
    if (backing->asked_for != FZ_NORMAL)
        return backing->asked_for;
    return fits_memory(backing) ? FZ_NORMAL : FZ_RANDOM;
}

void fz_backing_choose_advice(struct fz_backing *backing)
{
    advise_from(backing, 0, fitting_advice(backing));
}

/* Linux takes a fault for a single read, and reads ahead once but not continually, unless read(2) last read the page
 * before it. So this reads the first page that isn't in memory, after the one before. */
static void begin_walk(const struct fz_backing *backing, uintptr_t start, uintptr_t end)
{
    unsigned char state, byte;
    bool missed = !fz_os_is_open(&backing->file);
    end = smaller_of(end, start + MOST_READ_TO_BEGIN * backing->page_size);
    for (uintptr_t at = start; !missed && at < end; at += backing->page_size) {
        bool is_there = fz_os_residency((void *)at, 1, &state) == 0 && (state & 1) != 0;
        missed = fz_os_read(backing->file.fd, at - backing->base, &byte, 1) != 0 || (!is_there && at > start);
    }
}

void fz_backing_advise(const struct fz_backing *backing, uintptr_t start, uintptr_t end, enum fz_advice advice)
{
    start = align_down(start, backing->page_size);
    end = smaller_of(align_up(end, backing->page_size), backing->base + mapped(backing));
    if (start >= end)
        return;
    if (advice == FZ_SEQUENTIAL)
        begin_walk(backing, start, end);
    fz_os_advise((void *)start, end - start, advice);
}

static int map_more(struct fz_backing *backing, size_t size)
{
    void *start = address(backing, backing->committed);
    size_t length = size - backing->committed;
    if (backing->growth != FZ_SHARED_FILE)
        return fz_os_map_anonymous(start, length);
    return fz_os_map_file(start, length, backing->file.fd, backing->committed);
}

/* Maps all up to `size`; the file is long enough. */
static int map_up_to(struct fz_backing *backing, size_t size)
{
    int error;
    do
        error = map_more(backing, size);
    while (error == ENOMEM && give_back_half(backing, size));
    if (error == 0 && !backing->in_dumps)
        error = fz_os_exclude_from_dumps(address(backing, backing->committed), size - backing->committed);
    if (error == 0)
        backing->committed = size;
    else
        uncommit(backing, backing->committed);
    return error;
}

int fz_backing_map_existing(struct fz_backing *backing, uint64_t size)
{
    size_t mapped = (size_t)(size < backing->reserved ? size : backing->reserved);
    int error = fz_os_unshare(&backing->file, size);
    return error != 0 ? error : map_up_to(backing, align_down(mapped, backing->page_size));
}

int fz_backing_map_to_read(struct fz_backing *backing, size_t size, enum fz_growth growth)
{
    void *start = address(backing, 0);
    int fd = backing->file.fd;
    int error = growth == FZ_PRIVATE ? fz_os_map_privately(start, size, fd) : fz_os_map_to_read(start, size, fd);
    if (error == 0 && !backing->in_dumps)
        error = fz_os_exclude_from_dumps(start, size);
    backing->committed = size;
    backing->growth = growth;
    return error;
}

/* --- growing --- */

/* Extends a file of `size` bytes by zeros that have disk space, or truncates it to `least`. */
static int extend_file(const struct fz_file *file, uint64_t size, uint64_t new_size, uint64_t least)
{
    if (new_size <= size)
        return 0;
    if (!fz_os_may_write(new_size))
        return EFBIG;
    int error = new_size - size > WRITTEN_AT_ONCE ? fz_os_allocate(file, size, new_size) : EOPNOTSUPP;
    if (error == EOPNOTSUPP)
        error = fz_os_write_zeros(file, size, new_size);
    if (error != 0)
        fz_os_truncate(file, least);
    return error;
}

/* The header comes after the zeros, because it needs the whole page, and is on the disk before the file grows, so that
 * a power cut leaves a heap or nothing. */
int fz_backing_write_first_page(struct fz_backing *backing, const void *header, size_t length)
{
    const struct fz_file *file = &backing->file;
    int error = fz_os_write_zeros(file, FZ_MAGIC_SIZE, backing->page_size);
    if (error == 0)
        error = fz_os_write(file, 0, header, length);
    if (error == 0)
        error = fz_os_sync_file(file);
    if (error == 0)
        error = fz_os_sync_directory_of(backing->location.path);
    backing->floor = backing->page_size;
    return error;
}

/* The descriptor may be gone (closefrom(3)). A named file is opened again. Else the heap continues in anonymous memory,
 * unless it is persistent, because its file would then be incomplete. */
static int recover_descriptor(struct fz_backing *backing)
{
    const struct fz_location *location = &backing->location;
    if (backing->committed == 0 || fz_os_is_open(&backing->file))
        return 0;
    int error = location->disposition != FZ_UNNAMED ? fz_location_reopen(location, &backing->file) : ENOENT;
    if (error == 0 || error == EMFILE || error == ENFILE)
        return error;
    backing->file.fd = -1;
    if (location->disposition == FZ_PERSISTENT)
        return EBADF;
    backing->growth = FZ_SHARED_AND_MORE;
    return 0;
}

/* The least size of the file when this heap has `size` bytes. Readers may have mapped what the last writer left. */
static uint64_t least_size(const struct fz_backing *backing, uint64_t size)
{
    const struct fz_location *location = &backing->location;
    return location->access == FZ_WRITE_SHARED && location->size > size ? location->size : size;
}

static int grow_to(struct fz_backing *backing, size_t size)
{
    int error = backing->growth == FZ_SHARED_FILE ? recover_descriptor(backing) : 0;
    if (error == 0)
        error = extend_reservation(backing, size);
    if (error != 0 || backing->growth != FZ_SHARED_FILE)
        return error != 0 ? error : map_up_to(backing, size);
    size_t before = larger_of(backing->committed, backing->floor);
    uint64_t least = least_size(backing, before);
    error = extend_file(&backing->file, before, size, least);
    if (error != 0)
        return error;
    error = map_up_to(backing, size);
    if (error != 0)
        fz_os_truncate(&backing->file, least);
    return error;
}

static size_t commit_step(size_t committed)
{
    if (committed == 0)
        return COMMIT_FIRST;
    return smaller_of(larger_of(committed / 2, COMMIT_MIN), COMMIT_MAX);
}

int fz_backing_commit(struct fz_backing *backing, size_t size)
{
    if (size <= backing->committed)
        return 0;
    size_t ahead = align_up(backing->committed + commit_step(backing->committed), backing->page_size);
    ahead = smaller_of(ahead, backing->capacity);
    size_t before = backing->committed;
    int error = ahead > size ? grow_to(backing, ahead) : ENOMEM;
    if (error != 0)
        error = grow_to(backing, size);
    if (error == 0)
        advise_from(backing, before, backing->growth == FZ_SHARED_FILE ? fitting_advice(backing) : backing->advice);
    return error;
}

/* Allocation may continue afterwards. */
void fz_backing_trim(struct fz_backing *backing, size_t size)
{
    size = larger_of(size, backing->floor);
    if (backing->committed >= size + WORTH_TRUNCATING && fz_os_is_open(&backing->file) && uncommit(backing, size) == 0)
        fz_os_truncate(&backing->file, size);
}

struct fz_fresh_pages fz_backing_fresh_pages(const struct fz_backing *backing, uintptr_t start, uintptr_t end)
{
    return (struct fz_fresh_pages){backing->file, backing->base, start, end, backing->advice == FZ_RANDOM};
}

/* The kernel makes one large page of what one call writes, up to some size. A store to one byte dirties all of it, and
 * all is written back. In a heap that fits into memory, that happens once for many stores. */
static int write_zeros(const struct fz_fresh_pages *pages, uint64_t start, uint64_t end)
{
    uint64_t step = pages->in_small_pages ? 2 * fz_os_page_size() : end - start;
    int error = 0;
    for (uint64_t at = start; error == 0 && at < end; at += step)
        error = fz_os_write_zeros(&pages->file, at, at + step < end ? at + step : end);
    return error;
}

/* For zeros that are written, the kernel takes larger pages than for a fault or MADV_POPULATE_WRITE, and one fault maps
 * each of them. */
void fz_backing_prefault(const struct fz_fresh_pages *pages)
{
    uint64_t start = pages->start - pages->base, end = pages->end - pages->base;
    const struct fz_file *file = &pages->file;
    if (end - start < FZ_WORTH_PREFAULTING)
        return;
    if (file->in_memory || !fz_os_is_open(file) || !fz_os_may_write(end) || write_zeros(pages, start, end) != 0)
        fz_os_prefault((void *)pages->start, pages->end - pages->start);
}

int fz_backing_sync(const struct fz_backing *backing, size_t size, bool name_too)
{
    int error = fz_os_sync_memory(&backing->file, address(backing, 0), size);
    return error != 0 || !name_too ? error : fz_os_sync_directory_of(backing->location.path);
}

/* --- fork --- */

/* Writes memory that may be poisoned. Under the lock. */
static int write_memory(const struct fz_file *file, uint64_t start, const char *bytes, size_t length)
{
    static _Alignas(size_t) unsigned char copy[FZ_UNCHECKED_PART];
    int error = 0;
    for (size_t done = 0, part; error == 0 && done < length; done += part) {
        part = length - done;
        const void *readable = fz_unchecked(bytes + done, &part, copy);
        error = fz_os_write(file, start + done, readable, part);
    }
    return error;
}

/* Copies from memory, not from file to file. That needs no descriptor of the heap's, and gives the copy disk space of
 * its own. copy_file_range(2) might share it, and then the next store on a full disk would be SIGBUS. */
int fz_backing_copy(const struct fz_backing *backing, size_t size, struct fz_file *copy)
{
    struct fz_location location;
    int error = fz_location_open_unnamed(&location, copy, backing->location.path);
    if (error != 0)
        return error;
    error = extend_file(copy, 0, size, 0);
    if (backing->advice == FZ_RANDOM)
        fz_backing_advise(backing, backing->base, backing->base + size, FZ_SEQUENTIAL);
    for (uint64_t start = 0, end = size; error == 0 && start < size; start = end, end = size) {
        if (backing->growth == FZ_SHARED_FILE)
            fz_os_next_data(&backing->file, &start, &end);
        error = write_memory(copy, start, address(backing, (size_t)start), (size_t)(end - start));
    }
    if (backing->advice == FZ_RANDOM)
        fz_backing_advise(backing, backing->base, backing->base + size, FZ_RANDOM);
    if (error != 0)
        fz_os_close(copy);
    return error;
}

/* The parent keeps the file and its disposition. */
static void leave_file(struct fz_backing *backing, struct fz_file file, enum fz_growth growth)
{
    fz_os_close(&backing->file);
    backing->file = file;
    backing->growth = growth;
    backing->floor = FZ_MAGIC_SIZE;
    backing->location.disposition = FZ_UNNAMED;
}

/* The first `size` bytes have a new mapping; nothing after them is committed. */
static int settle(struct fz_backing *backing, size_t size)
{
    int error = uncommit(backing, size);
    if (backing->advice != FZ_NORMAL)
        fz_os_advise(address(backing, 0), size, backing->advice);
    return error != 0 || backing->in_dumps ? error : fz_os_exclude_from_dumps(address(backing, 0), size);
}

int fz_backing_become_copy(struct fz_backing *backing, size_t size, struct fz_file *copy)
{
    int error = fz_os_map_file(address(backing, 0), size, copy->fd, 0);
    if (error == 0)
        error = settle(backing, size);
    if (error != 0)
        return error;
    leave_file(backing, *copy, FZ_SHARED_FILE);
    return 0;
}

/* If the file is gone, or doesn't hold all, this copies what is in use to anonymous memory, part by part. */
static int replace_by_anonymous(struct fz_backing *backing, size_t size)
{
    void *part = NULL;
    size_t room = smaller_of(size, MIB), length;
    int error = fz_os_reserve(&part, room);
    if (error != 0)
        return error;
    for (size_t start = 0; error == 0 && start < size; start += length) {
        length = smaller_of(size - start, room);
        error = fz_os_map_anonymous(part, room);
        if (error == 0) {
            memcpy(part, address(backing, start), length);
            error = fz_os_map_anonymous(address(backing, start), length);
        }
        if (error == 0)
            memcpy(address(backing, start), part, length);
    }
    fz_os_unmap(part, room);
    return error;
}

static int map_or_copy_privately(struct fz_backing *backing, size_t size)
{
    if (backing->growth == FZ_SHARED_FILE && fz_os_is_open(&backing->file) &&
        fz_os_map_privately(address(backing, 0), size, backing->file.fd) == 0)
        return 0;
    return replace_by_anonymous(backing, size);
}

void fz_backing_become_private(struct fz_backing *backing, size_t size)
{
    int error = map_or_copy_privately(backing, size);
    if (error == 0)
        error = settle(backing, size);
    leave_file(backing, (struct fz_file){.fd = -1}, error == 0 ? FZ_PRIVATE : FZ_NOWHERE);
}
