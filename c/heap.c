/* Opens heaps: how large, in which file, at which address; resets and closes them; and ends them at exit. It may not
 * change the file of a persistent heap before the open is sure to succeed. */
#include "heap.h"

#include "bump.h"
#include "chunk.h"
#include "filz/mmap.h"
#include "thread_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

/* --- how large --- */

static int parse_size(const char *text, size_t *size)
{
    char *suffix;
    errno = 0;
    unsigned long long number = strtoull(text, &suffix, 10);
    if (*text < '0' || *text > '9' || errno != 0)
        return FILZ_EVARIABLE;
    static const char units[] = "KMGT";
    const char *unit = *suffix != '\0' ? strchr(units, *suffix) : NULL;
    unsigned shift = unit != NULL ? 10 * (unsigned)(unit - units + 1) : 0;
    if (suffix[unit != NULL] != '\0' || number > SIZE_MAX >> shift)
        return FILZ_EVARIABLE;
    *size = (size_t)number << shift;
    return 0;
}

#define DEFAULT_CAPACITY (sizeof(size_t) > 4 ? 64 * KIB * MIB : 512 * MIB)

/* Others need some of the address space too. */
static size_t half_of_limit(size_t capacity, size_t page)
{
    size_t half = fz_os_address_limit() / 2;
    return half < capacity ? align_up(larger_of(half, MIB), page) : capacity;
}

/* An error is about the variable, if that sets the capacity. */
static int choose_capacity(const struct fz_settings *settings, struct fz_capacity *capacity, struct fz_about *about)
{
    const char *variable = fz_os_environment("FILZ_CAPACITY");
    size_t page = fz_os_page_size();
    about->text[0] = '\0';
    *capacity = (struct fz_capacity){settings->capacity, false};
    if (settings->capacity == 0 && variable != NULL && variable[0] != '\0') {
        strcpy(about->text, "$FILZ_CAPACITY");
        int error = parse_size(variable, &capacity->bytes);
        if (error != 0) {
            about->reason = "not a number of bytes, or one with K, M, G or T after it";
            return error;
        }
    } else if (settings->capacity == 0) {
        *capacity = (struct fz_capacity){DEFAULT_CAPACITY, true};
    }
    if (capacity->bytes <= page || capacity->bytes > PTRDIFF_MAX - 4 * MIB)
        return FILZ_ECAPACITY;
    capacity->bytes = align_up(capacity->bytes, page);
    return 0;
}

/* --- how it is read --- */

static int choose_advice(enum fz_advice *advice, struct fz_about *about)
{
    static const char *const names[] = {[FZ_NORMAL] = "auto", [FZ_RANDOM] = "random", [FZ_SEQUENTIAL] = "sequential"};
    const char *variable = fz_os_environment("FILZ_ADVICE");
    *advice = FZ_NORMAL;
    if (variable == NULL || variable[0] == '\0')
        return 0;
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(variable, names[i]) == 0) {
            *advice = (enum fz_advice)i;
            return 0;
        }
    strcpy(about->text, "$FILZ_ADVICE");
    about->reason = "not random, sequential or auto";
    return FILZ_EVARIABLE;
}

/* --- the header --- */

/* Describes a heap in which nothing is allocated yet. */
static void describe(struct fz_header *header, const struct fz_backing *backing, uint64_t tag)
{
    header->format = FZ_FORMAT;
    header->word_size = sizeof(size_t);
    header->page_size = backing->page_size;
    header->base = backing->base;
    header->tag = tag;
    header->checksum = fz_header_checksum(header);
    header->capacity = backing->capacity;
}

/* A process killed in here leaves a heap with all its chunks, or with none. */
static void begin(struct filz_heap *heap)
{
    struct fz_header *header = heap->header;
    fz_heap_set_cursor(heap, heap->backing.page_size);
    header->root = 0;
    header->last = 0;
    header->threads = 0;
    header->tails = 0;
}

static enum fz_persistence persistence_of(const struct fz_location *location)
{
    if (location->disposition != FZ_PERSISTENT)
        return FZ_OVERWRITTEN;
    return location->access == FZ_WRITE_SHARED ? FZ_KEPT_AND_SHARED : FZ_KEPT;
}

/* `persistent` comes last, because it isn't needed before there is data to lose. */
static void set_owner(struct filz_heap *heap)
{
    struct fz_header *header = heap->header;
    heap->id = fz_heap_new_id();
    header->id = heap->id;
    header->clean = 0;
    header->capacity = heap->backing.capacity;
    header->pid = fz_os_process();
    strncpy(header->program, fz_os_program(), FZ_PROGRAM_MAX);
    header->persistent = persistence_of(&heap->backing.location);
}

/* --- checkpoints --- */

static void write_checkpoint(struct fz_header *header, struct fz_checkpoint checkpoint)
{
    const struct fz_checkpoint *newest = fz_newest_checkpoint(header);
    struct fz_checkpoint *older = &header->checkpoints[newest == &header->checkpoints[0] ? 1 : 0];
    checkpoint.checksum = fz_checkpoint_checksum(&checkpoint);
    *older = checkpoint;
}

/* By a kill or a power cut; the other one is whole. */
static void drop_torn_checkpoint(struct fz_header *header)
{
    for (size_t i = 0; i < 2; i++)
        if (header->checkpoints[i].checksum != fz_checkpoint_checksum(&header->checkpoints[i]))
            header->checkpoints[i] = (struct fz_checkpoint){0};
}

static struct fz_checkpoint new_checkpoint(struct filz_heap *heap)
{
    return (struct fz_checkpoint){++heap->sequence, heap->cursor, heap->header->last, heap->header->root, 0};
}

struct fz_checkpoint fz_heap_begin_sync(struct filz_heap *heap)
{
    fz_heap_set_synced_up_to(heap, larger_of(heap->synced_up_to, heap->cursor));
    fz_reuse_end(heap);
    return new_checkpoint(heap);
}

/* If two threads sync at once, the first to begin may come last. */
void fz_heap_record_sync(struct filz_heap *heap, const struct fz_checkpoint *checkpoint)
{
    const struct fz_checkpoint *newest = fz_newest_checkpoint(heap->header);
    if (newest != NULL && newest->sequence > checkpoint->sequence)
        return;
    heap->backing.floor = larger_of(heap->backing.floor, (size_t)checkpoint->cursor);
    write_checkpoint(heap->header, *checkpoint);
}

/* One that isn't empty. */
static bool has_checkpoint(const struct fz_header *header)
{
    const struct fz_checkpoint *checkpoint = fz_newest_checkpoint(header);
    return checkpoint != NULL && checkpoint->cursor > header->page_size;
}

/* The first store empties the heap. On the disk it is the old heap or an empty one, because nothing is allocated before
 * both the header and the checkpoint are there. They share one sector. */
static int empty_on_disk(struct filz_heap *heap)
{
    const struct fz_header before = *heap->header;
    begin(heap);
    write_checkpoint(heap->header, new_checkpoint(heap));
    heap->header->generation++;
    int error = fz_backing_sync(&heap->backing, heap->backing.page_size, false);
    if (error == 0)
        return 0;
    heap->header->generation = before.generation;
    memcpy(heap->header->checkpoints, before.checkpoints, sizeof(before.checkpoints));
    heap->header->threads = before.threads;
    heap->header->last = before.last;
    heap->header->root = before.root;
    fz_heap_set_cursor(heap, (size_t)before.cursor);
    return error;
}

/* --- opening --- */

/* A heap's backing, before it has a file. */
static struct fz_backing new_backing(const struct fz_settings *settings)
{
    return (struct fz_backing){
        .page_size = fz_os_page_size(),
        .floor = FZ_MAGIC_SIZE,
        .in_dumps = (settings->flags & FILZ_MMAP_DUMP) != 0,
        .file = {.fd = -1},
    };
}

/* In the page before the header. */
static struct filz_heap *make_heap(const struct fz_backing *backing)
{
    struct filz_heap *heap = (struct filz_heap *)(backing->base - backing->page_size);
    *heap = (struct filz_heap){
        .header = (struct fz_header *)backing->base,
        .fresh = backing->base,
        .snapshot = {.copy = {.fd = -1}},
        .backing = *backing,
    };
    return heap;
}

/* A `memory/` that was only found isn't used without this much disk space. */
#define WORTH_A_MEMORY (64 * KIB)

/* In a file that has only the magic. Field by field, because that must stay at every moment. The cursor comes last:
 * while it is 0, the header is incomplete. */
static int begin_in_file(struct filz_heap *heap, uint64_t tag)
{
    struct fz_backing *backing = &heap->backing;
    size_t least = backing->location.is_optional ? smaller_of(backing->capacity, WORTH_A_MEMORY) : backing->page_size;
    backing->floor = larger_of(FZ_MAGIC_SIZE, (size_t)backing->location.size); /* it has disk space */
    int error = fz_backing_commit(backing, least);
    if (error != 0)
        return error;
    memcpy(heap->header->magic, FZ_MAGIC, FZ_MAGIC_SIZE);
    describe(heap->header, &heap->backing, tag);
    begin(heap);
    return 0;
}

/* The same, but a power cut at any moment leaves a heap that can be opened. */
static int begin_on_disk(struct filz_heap *heap, uint64_t tag)
{
    struct fz_header header = {
        .cursor = (size_t)heap->backing.page_size,
        .persistent = persistence_of(&heap->backing.location),
    };
    memcpy(header.magic, FZ_MAGIC, FZ_MAGIC_SIZE);
    describe(&header, &heap->backing, tag);
    write_checkpoint(&header, (struct fz_checkpoint){.sequence = ++heap->sequence, .cursor = header.cursor});
    int error = fz_backing_write_first_page(&heap->backing, &header, sizeof(header));
    if (error == 0)
        error = fz_backing_commit(&heap->backing, heap->backing.page_size);
    if (error == 0)
        begin(heap);
    heap->name_is_synced = error == 0;
    return error;
}

static int begin_anew(struct filz_heap *heap, uint64_t tag)
{
    struct fz_backing *backing = &heap->backing;
    bool is_persistent = backing->location.disposition == FZ_PERSISTENT;
    int error = fz_location_claim(&backing->location, &backing->file);
    if (error == 0)
        error = is_persistent ? begin_on_disk(heap, tag) : begin_in_file(heap, tag);
    if (error != 0)
        fz_location_abandon(&backing->location, &backing->file, true);
    return error;
}

/* For a heap that has its addresses but can't be opened. Returns the error, which is about its path. */
static int give_up(struct filz_heap *heap, int error, struct fz_about *about)
{
    strcpy(about->text, heap->backing.location.path);
    fz_backing_release(&heap->backing);
    return error;
}

/* The address space comes first, so that without it the last run's file stays as it is. */
static int open_new(const struct fz_settings *settings, struct fz_capacity capacity, struct filz_heap **opened,
                    struct fz_about *about)
{
    struct fz_backing backing = new_backing(settings);
    if (capacity.is_default)
        capacity.bytes = half_of_limit(capacity.bytes, backing.page_size);
    int error = fz_backing_reserve(&backing, fz_reserve_anywhere, capacity, 0);
    if (error != 0)
        return error;
    struct filz_heap *heap = *opened = make_heap(&backing);
    struct fz_location *location = &heap->backing.location;
    struct fz_file *file = &heap->backing.file;
    error = fz_location_open(location, file, settings->path);
    if (error == 0)
        error = begin_anew(heap, settings->tag);
    if (error != 0 && location->is_optional) {
        error = fz_location_open_unnamed(location, file, "");
        if (error == 0)
            error = begin_anew(heap, settings->tag);
    }
    return error != 0 ? give_up(heap, error, about) : 0;
}

static int read_file(const struct fz_source *source, uint64_t offset, void *bytes, size_t length)
{
    return fz_os_read(source->fd, offset, bytes, length);
}

/* An existing persistent heap, and the state to continue it from. */
struct found {
    struct fz_header header;
    struct fz_state state;
};

static struct fz_source source_of(const struct fz_backing *backing)
{
    return (struct fz_source){.read = read_file, .size = backing->location.size, .fd = backing->file.fd};
}

static int check_tag(uint64_t tag, const struct found *found)
{
    return found->state.cursor != 0 && found->header.tag != tag ? FILZ_ETAG : 0;
}

static int judge(const struct fz_backing *backing, uint64_t tag, struct found *found)
{
    struct fz_source source = source_of(backing);
    int error = fz_judge(&source, backing->page_size, &found->header, &found->state).error;
    return error != 0 ? error : check_tag(tag, found);
}

/* If no capacity is asked for, takes the last run's. */
static int reserve_for(struct fz_backing *backing, struct fz_capacity capacity, const struct found *found)
{
    uint64_t needed = found->state.cursor;
    if (needed == 0)
        return fz_backing_reserve(backing, backing->base != 0 ? fz_reserve_at_base : fz_reserve_stable, capacity, 0);
    if (capacity.is_default)
        capacity.bytes = (size_t)found->header.capacity;
    if (needed > capacity.bytes)
        return FILZ_ETOOSMALL;
    backing->base = (uintptr_t)found->header.base;
    return fz_backing_reserve(backing, fz_reserve_at_base, capacity, (size_t)needed);
}

/* The next threads may use the tails that an orderly end left, or else that of the last chunk. Thread numbers that
 * could run out start again, and the list, which rests on them, is dropped. */
static void adopt_tails(struct filz_heap *heap, const struct found *found)
{
    if (found->header.threads > UINT32_MAX / 2)
        heap->header->threads = 0;
    heap->threads_before = (size_t)heap->header->threads;
    if (found->header.clean && found->state.newest.error == 0 && heap->threads_before == found->header.threads) {
        heap->tails = found->state.tails;
    } else if (heap->last != NULL && heap->last->state != FZ_DEDICATED) {
        heap->last->next_tail = 0;
        heap->last->state = FZ_TAIL;
        heap->tails = heap->last->offset;
    }
}

/* Sets the header to the state that was found. */
static void begin_at(struct filz_heap *heap, const struct found *found)
{
    uintptr_t last = heap->backing.base + (uintptr_t)found->state.last;
    heap->header->root = (uintptr_t)found->state.root;
    heap->header->last = (size_t)found->state.last;
    fz_heap_set_cursor(heap, (size_t)found->state.cursor);
    fz_chunk_settle_last(heap, found->state.last != 0 ? (struct fz_chunk *)last : NULL);
    adopt_tails(heap, found);
}

static bool is_within_reset(const struct found *found)
{
    return found->state.cursor == found->header.page_size && has_checkpoint(&found->header);
}

/* A program that ended may leave this much committed ahead. */
#define MOST_AHEAD (64 * MIB)

/* What can fail comes first, and changes no byte of the file: holes get disk space. But a reset that was under way is
 * completed there, and undone if that fails. */
static int go_on(struct filz_heap *heap, const struct found *found)
{
    struct fz_backing *backing = &heap->backing;
    const struct fz_checkpoint *checkpoint = fz_newest_checkpoint(&found->header);
    uint64_t size = backing->location.size, used = found->state.cursor;
    heap->sequence = checkpoint != NULL ? checkpoint->sequence : 0;
    int error = fz_backing_map_existing(backing, size < used + MOST_AHEAD ? size : used + MOST_AHEAD);
    if (error == 0 && is_within_reset(found))
        error = empty_on_disk(heap);
    if (error != 0)
        return error;
    drop_torn_checkpoint(heap->header);
    checkpoint = fz_newest_checkpoint(heap->header);
    backing->floor = checkpoint != NULL ? (size_t)checkpoint->cursor : backing->page_size;
    fz_heap_set_synced_up_to(heap, backing->floor);
    heap->fresh =
        size < backing->capacity ? backing->base + align_up((size_t)size, backing->page_size) : fz_heap_limit(heap);
    begin_at(heap, found);
    return 0;
}

void fz_heap_follow(struct filz_heap *heap)
{
    struct fz_backing *backing = &heap->backing;
    struct fz_status status;
    if (!heap->is_followed)
        return;
    size_t cursor = (size_t)__atomic_load_n(&heap->header->cursor, __ATOMIC_ACQUIRE);
    bool is_known = fz_os_is_open(&backing->file) && fz_os_status(&backing->file, &status) == 0;
    size_t size = is_known && status.size < backing->reserved ? (size_t)status.size : backing->reserved;
    if (fz_check_cursor(heap->header, cursor, size).error != 0)
        return;
    heap->cursor = cursor;
    backing->committed = is_known ? align_down(size, backing->page_size) : larger_of(backing->committed, cursor);
}

/* The file stays as it is. The heap's end and root are those of the state that was found, unless a writer may change
 * them. */
static int go_on_reading(struct filz_heap *heap, const struct found *found, enum fz_growth growth)
{
    const struct fz_state *state = &found->state;
    bool is_followed = growth == FZ_READ_ONLY && heap->backing.location.is_shared && state->newest.error == 0;
    size_t size = is_followed ? heap->backing.reserved : (size_t)state->cursor;
    int error = fz_backing_map_to_read(&heap->backing, size, growth);
    if (error != 0)
        return error;
    heap->is_followed = is_followed;
    heap->cursor = (size_t)state->cursor;
    heap->root_to_read = (uintptr_t)state->root;
    heap->last = state->last != 0 ? (struct fz_chunk *)(heap->backing.base + (uintptr_t)state->last) : NULL;
    heap->fresh = fz_heap_cursor(heap);
    if (growth == FZ_PRIVATE)
        begin_at(heap, found);
    fz_heap_follow(heap);
    return 0;
}

/* A reader that has the heap open can't follow a writer past its own mapping, or back to the checkpoint. */
static int begin_beside_readers(struct fz_backing *backing, struct fz_capacity capacity, const struct found *found)
{
    struct fz_location *location = &backing->location;
    bool is_larger = !capacity.is_default && capacity.bytes > found->header.capacity;
    bool must_be_alone =
        found->state.cursor == 0 || found->state.newest.error != 0 || is_within_reset(found) || is_larger;
    int error = must_be_alone ? fz_location_lock_out(location, &backing->file) : 0;
    if (error == 0)
        error = fz_location_begin_writing(location, &backing->file);
    return error == EBUSY ? FILZ_EINUSE : error;
}

static int begin_or_go_on(struct filz_heap *heap, uint64_t tag, const struct found *found)
{
    if (found->state.cursor == 0)
        return begin_anew(heap, tag);
    int error = go_on(heap, found);
    if (error != 0)
        fz_location_abandon(&heap->backing.location, &heap->backing.file, false);
    return error;
}

static enum fz_access access_for(unsigned flags)
{
    if ((flags & FILZ_MMAP_READ_ONLY) != 0)
        return FZ_READ;
    if ((flags & FILZ_MMAP_PRIVATE) != 0)
        return FZ_COPY;
    return (flags & FILZ_MMAP_SHARED) != 0 ? FZ_WRITE_SHARED : FZ_WRITE;
}

/* If it can't be rounded up, returns the last page, which no program has, not 0. */
static uintptr_t page_from(uintptr_t base, size_t page)
{
    uintptr_t start = align_up(base, page);
    return start >= base ? start : align_down(UINTPTR_MAX, page);
}

/* A capacity that is too small is about the variable, if that sets it; else the error is about the path. */
static void refused(const struct fz_backing *backing, int error, struct fz_about *about)
{
    if (error != FILZ_ETOOSMALL || about->text[0] == '\0')
        strcpy(about->text, backing->location.path);
}

/* The file comes first: it says where the heap goes. */
static int open_persistent(const struct fz_settings *settings, struct fz_capacity capacity, struct filz_heap **opened,
                           struct fz_about *about)
{
    struct fz_backing backing = new_backing(settings);
    struct found found;
    backing.base = page_from(settings->base, backing.page_size);
    enum fz_access access = access_for(settings->flags);
    int error = fz_location_open_persistent(&backing.location, &backing.file, settings->path, access);
    if (error == 0) {
        error = judge(&backing, settings->tag, &found);
        if (error == 0)
            error = begin_beside_readers(&backing, capacity, &found);
        if (error == 0)
            error = reserve_for(&backing, capacity, &found);
        if (error != 0)
            fz_location_abandon(&backing.location, &backing.file, false);
    }
    if (error != 0) {
        refused(&backing, error, about);
        return error;
    }
    *opened = make_heap(&backing);
    error = begin_or_go_on(*opened, settings->tag, &found);
    return error != 0 ? give_up(*opened, error, about) : 0;
}

/* While a program writes to the heap, its end isn't judged: the writer has found it valid, and keeps it so. */
static int judge_written(const struct fz_backing *backing, uint64_t tag, struct found *found)
{
    struct fz_source source = source_of(backing);
    const struct fz_header *header = &found->header;
    int error = fz_read_header(&source, backing->page_size, &found->header).error;
    if (error == 0)
        error = fz_check_cursor(header, header->cursor, source.size).error;
    found->state = (struct fz_state){.cursor = header->cursor, .last = header->last, .root = header->root};
    return error != 0 ? error : check_tag(tag, found);
}

static int learn_size(struct fz_backing *backing)
{
    struct fz_status status;
    int error = fz_os_status(&backing->file, &status);
    if (error == 0)
        backing->location.size = status.size;
    return error;
}

/* A shared writer that begins or ends meanwhile looks like damage. */
static int judge_to_read(struct fz_backing *backing, uint64_t tag, struct found *found)
{
    const struct fz_location *location = &backing->location;
    int error, tries = 0;
    do {
        bool is_written = fz_location_is_written(location, &backing->file);
        error = location->is_shared ? learn_size(backing) : 0; /* after that: the file may have grown since its lock */
        if (error == 0)
            error = is_written ? judge_written(backing, tag, found) : judge(backing, tag, found);
    } while (location->is_shared && (error != 0 || found->state.newest.error != 0) && ++tries < 8);
    return error;
}

/* What a shared heap's writer may grow to, or else what the heap holds. */
static struct fz_capacity capacity_to_read(const struct fz_location *location, struct fz_capacity asked_for,
                                           const struct found *found)
{
    if (!location->is_shared)
        return (struct fz_capacity){(size_t)found->state.cursor, false};
    size_t most = (size_t)found->header.capacity;
    return (struct fz_capacity){asked_for.is_default ? most : smaller_of(asked_for.bytes, most), false};
}

/* An existing persistent heap, whose file doesn't change: it is only read, or a copy is written. */
static int open_to_read(const struct fz_settings *settings, struct fz_capacity capacity, struct filz_heap **opened,
                        struct fz_about *about)
{
    struct fz_backing backing = new_backing(settings);
    struct found found;
    enum fz_access access = access_for(settings->flags);
    bool is_private = access == FZ_COPY;
    int error = fz_location_open_persistent(&backing.location, &backing.file, settings->path, access);
    if (error == 0)
        error = judge_to_read(&backing, settings->tag, &found);
    if (error == 0 && found.state.cursor == 0)
        error = FILZ_ENOTHEAP;
    if (error == 0 && !is_private)
        capacity = capacity_to_read(&backing.location, capacity, &found);
    if (error == 0)
        error = reserve_for(&backing, capacity, &found);
    if (error != 0) {
        refused(&backing, error, about);
        fz_os_unlock_and_close(&backing.file);
        return error;
    }
    *opened = make_heap(&backing);
    error = go_on_reading(*opened, &found, is_private ? FZ_PRIVATE : FZ_READ_ONLY);
    return error != 0 ? give_up(*opened, error, about) : 0;
}

typedef int open_heap_as(const struct fz_settings *settings, struct fz_capacity capacity, struct filz_heap **opened,
                         struct fz_about *about);

static open_heap_as *opener(unsigned flags)
{
    if ((flags & (FILZ_MMAP_READ_ONLY | FILZ_MMAP_PRIVATE)) != 0)
        return open_to_read;
    return (flags & (FILZ_MMAP_PERSISTENT | FILZ_MMAP_SHARED)) != 0 ? open_persistent : open_new;
}

static bool flags_are_right(const struct fz_settings *settings)
{
    const unsigned ways = FILZ_MMAP_READ_ONLY | FILZ_MMAP_PRIVATE | FILZ_MMAP_SHARED;
    const unsigned known = FILZ_MMAP_PERSISTENT | FILZ_MMAP_DUMP | ways;
    unsigned flags = settings->flags, way = flags & ways;
    bool needs_path = (flags & (FILZ_MMAP_PERSISTENT | ways)) != 0;
    return (flags & ~known) == 0 && (way & (way - 1)) == 0 && (!needs_path || settings->path != NULL);
}

int fz_heap_open(const struct fz_settings *settings, struct filz_heap **opened, struct fz_about *about)
{
    struct fz_capacity capacity;
    enum fz_advice advice;
    about->text[0] = '\0';
    about->reason = NULL;
    if (!flags_are_right(settings))
        return FILZ_EFLAGS;
    int error = choose_advice(&advice, about);
    if (error == 0)
        error = choose_capacity(settings, &capacity, about);
    if (error == 0)
        error = opener(settings->flags)(settings, capacity, opened, about);
    if (error != 0)
        return error;
    struct filz_heap *heap = *opened;
    heap->backing.asked_for = advice;
    fz_backing_choose_advice(&heap->backing);
    if (fz_backing_may_change(&heap->backing))
        set_owner(heap);
    else
        heap->id = fz_heap_new_id();
    fz_reuse_begin(heap);
    fz_location_let_in(&heap->backing.location, &heap->backing.file);
    if (!heap->is_followed)
        fz_chunk_poison_tails(heap);
    if (fz_heaps == NULL)
        fz_os_watch_forks();
    heap->next = fz_heaps;
    fz_heaps = heap;
    return 0;
}

/* --- ending --- */

/* A reader may still access what a shrunk block left after the cursor. */
static size_t most_ever_used(const struct filz_heap *heap)
{
    return larger_of(heap->cursor, heap->fresh - heap->backing.base);
}

/* Writes what the next run needs to the file. Allocation may continue afterwards. */
static void finish(struct filz_heap *heap)
{
    if (heap->backing.growth != FZ_SHARED_FILE || heap->backing.location.disposition == FZ_UNNAMED)
        return;
    struct fz_backing *backing = &heap->backing;
    bool has_readers = fz_location_lock_out(&backing->location, &backing->file) != 0;
    fz_backing_trim(backing, has_readers ? most_ever_used(heap) : heap->cursor);
    fz_location_let_in(&backing->location, &backing->file);
    heap->header->tails = heap->tails;
    heap->header->clean = 1;
}

void fz_heap_close(struct filz_heap *heap)
{
    struct filz_heap **link = &fz_heaps;
    while (*link != heap)
        link = &(*link)->next;
    *link = heap->next;
    fz_unpoison(heap->backing.base, fz_heap_committed_end(heap));
    finish(heap);
    fz_os_close(&heap->snapshot.copy);
    fz_backing_release(&heap->backing);
}

static int empty(struct filz_heap *heap)
{
    uintptr_t end = fz_heap_cursor(heap);
    if (has_checkpoint(heap->header) && heap->backing.growth == FZ_SHARED_FILE) {
        int error = empty_on_disk(heap);
        if (error != 0)
            return error;
    } else {
        begin(heap);
        heap->header->generation++;
    }
    if (heap->fresh < end)
        __atomic_store_n(&heap->fresh, end, __ATOMIC_RELAXED);
    fz_poison(heap->backing.base + heap->backing.page_size, end);
    heap->last = NULL;
    heap->tails = 0;
    heap->threads_before = 0;
    fz_heap_set_synced_up_to(heap, 0);
    fz_reuse_begin(heap);
    set_owner(heap);
    return 0;
}

int fz_heap_reset(struct filz_heap *heap)
{
    struct fz_backing *backing = &heap->backing;
    int error = backing->growth == FZ_SHARED_FILE ? fz_location_lock_out(&backing->location, &backing->file) : 0;
    if (error == 0)
        error = empty(heap);
    fz_location_let_in(&backing->location, &backing->file);
    return error;
}

/* --- the end of the program, or of a library that it unloads --- */

/* exit(3) runs the handlers of atexit(3) before the destructors, and dlclose(3) runs a library's destructors before its
 * handlers. So which comes first tells exit from unload. On other systems, or without a handler, it is always taken to
 * be exit. */
static bool is_exit = true, is_unload;

static void note_exit(void)
{
    is_exit = true;
}

__attribute__((constructor)) static void watch_exit(void)
{
    is_exit = !fz_os_runs_handlers_first() || atexit(note_exit) != 0;
}

__attribute__((destructor)) static void note_unload(void)
{
    is_unload = !is_exit;
}

/* Others may allocate after it, even other threads. */
static void finish_all(void)
{
    for (struct filz_heap *heap = fz_heaps; heap != NULL; heap = heap->next) {
        fz_thread_cache_leave(heap);
        finish(heap);
    }
}

static void close_all(void)
{
    while (fz_heaps != NULL) {
        fz_thread_cache_leave(fz_heaps);
        fz_heap_close(fz_heaps);
    }
    fz_os_stop_watching_forks();
}

/* After the destructors and handlers of what filz is linked with, because these may allocate. */
__attribute__((destructor(101))) static void end(void)
{
    int cancel_state;
    fz_lock(&cancel_state);
    if (is_unload)
        close_all();
    else
        finish_all();
    fz_thread_cache_end(is_unload);
    fz_unlock(cancel_state);
}
