/* A model of the thread cache and of how chunks pass from thread to thread: c/thread_cache.c, the list of chunks in
 * c/chunk.c, the lock and the ids of c/registry.c, and open, alloc, reset and close in c/mmap.c and c/heap.c. Spin goes
 * through every order in which its threads can take their steps; README.md says what is left out, and `run` how it is
 * checked.
 *
 * Memory is counted in units. A heap is CAPACITY of them, a block is 1 or 2 (LARGE + 1 with LARGE_BLOCKS), and a
 * chunk's header takes none. A pointer to a chunk, or its offset, is its number in `chunk`: heap h's own begin at
 * h * CHUNKS.
 *
 * BUG_... plant errors, to show that each would be found; BLOCKS_ONLY leaves out the check of the chunks, to show what
 * an error would come to. */

/* --- bounds --- */

#ifndef THREADS
#define THREADS 3
#endif
#ifndef HEAPS
#define HEAPS 2
#endif
#ifndef ENTRIES /* of a page; 0: there is no memory for a page */
#define ENTRIES 0
#endif
#ifndef OPERATIONS /* of all threads together */
#define OPERATIONS 5
#endif
#ifndef ENDS /* resets and closes, of all threads together */
#define ENDS 2
#endif
#ifndef CAPACITY
#define CAPACITY 5
#endif
#define CHUNKS CAPACITY /* no heap has more */
#define STEP 2
#define STEP_MAX 3
#define LARGE 2

/* An allocation is two steps (TOGETHER { ... } is one), so that others can come between: what is read and what is
 * written in the fast path, and in the slow one two halves of what is done under the lock. Everything else is one step:
 * others can't tell more of them apart, for all that they do without the lock is to bump in chunks of their own. With
 * EACH_LINE only the d_steps are still together, about one for each C function. */
#ifdef EACH_LINE
#define TOGETHER
#else
#define TOGETHER atomic
#endif

/* --- the data, as in C --- */

#define NO_HEAP 255
#define NULL 255
#define NOBODY 255

#define FZ_ACTIVE 0
#define FZ_TAIL 1
#define FZ_DEDICATED 2

typedef fz_chunk {
    byte start; /* in C, the chunk's own address */
    byte end;
    byte left;
    byte next_tail;
    byte owner;
    byte state;
    bit given_up /* not in C: it was too small, and isn't in the list any more, as it should be */
};

typedef filz_heap {
    bit open; /* in C: it is in fz_heaps, and its filz_mmap points to it */
    byte id;
    byte cursor;
    byte chunks; /* in C, they are found by walking */
    byte last;
    byte tails;
    byte threads_before;
    byte header_threads;
    byte header_tails;
    byte allocated /* not in C: one bit for each unit */
};

typedef cached { /* struct fz_active */
    byte heap_id;
    byte chunk
};

typedef page {
    bit exists;
    byte count;
    byte replaced;
    cached entries[ENTRIES + 1] /* the last one isn't used: an array can't be empty */
};

fz_chunk chunk[HEAPS * CHUNKS];
filz_heap heap[HEAPS];
byte mmap_id[HEAPS]; /* filz_mmap.id, which is read without the lock */
cached fz_active[THREADS];
page page_of[THREADS];
byte the_lock = NOBODY;
byte last_id;

/* Of the program that uses filz: it closes and resets a heap only while no other thread is using it. */
#define EXCLUSIVE 255
byte users[HEAPS];
byte operations;
byte ends;
byte ended;       /* threads */
byte begun;       /* threads */
byte heaps_begun; /* that were used */

/* Used within one step, so no part of the state. */
hidden byte i, n, t, r, holders, later, end, its_id, its_chunk;

#define PAGE page_of[me]
#define ENTRY(i) page_of[me].entries[i]
#define FIRST(h) ((h) * CHUNKS)
#define HEAP_OF(c) ((c) / CHUNKS)
#define CURSOR(c) (chunk[c].end - chunk[c].left)
#define SIZE(c) (chunk[c].end - chunk[c].start)
#define BITS(at, size) (((1 << (size)) - 1) << (at))

/* is_free in chunk.c. */
#ifdef BUG_ANY_ACTIVE_IS_FREE
#define IS_FREE(c) (chunk[c].state == FZ_TAIL || chunk[c].state == FZ_ACTIVE)
#else
#define IS_FREE(c) \
    (chunk[c].state == FZ_TAIL || (chunk[c].state == FZ_ACTIVE && chunk[c].owner <= heap[HEAP_OF(c)].threads_before))
#endif

/* in_list in chunk.c: each chunk stands after those that were carved later, and NULL is later than any. What can't be
 * right ends the list. */
#define IN_LIST(c) ((c) < later && chunk[c].state != FZ_DEDICATED)

/* --- what must hold --- */

/* A thread that reads a chunk knows that its heap is open, and was neither reset nor closed since. */
inline check_alive(which, wanted)
{
    assert(which != NULL && wanted != 0);
    assert(heap[HEAP_OF(which)].open && heap[HEAP_OF(which)].id == wanted);
    assert(which % CHUNKS < heap[HEAP_OF(which)].chunks)
}

/* A block of `size` units from `at` on: no unit of it is in another block. */
inline allocate(h, at, size)
{
    assert(at + size <= heap[h].cursor);
    assert((heap[h].allocated & BITS(at, size)) == 0);
    heap[h].allocated = heap[h].allocated | BITS(at, size)
}

/* Whether chunk n is in its heap's list, as threads see it that look for a tail, and free. */
inline count_if_free()
{
    r = heap[HEAP_OF(n)].tails;
    later = FIRST(HEAP_OF(n)) + heap[HEAP_OF(n)].chunks;
    do
    :: IN_LIST(r) ->
        holders = holders + (r == n && IS_FREE(r));
        later = r;
        r = chunk[r].next_tail
    :: else -> break
    od
}

/* In how many threads chunk n is active. */
inline count_in_threads()
{
    for (t : 0 .. THREADS - 1) {
        holders = holders + (fz_active[t].heap_id == heap[HEAP_OF(n)].id && fz_active[t].chunk == n);
        i = 0;
        do
        :: i < page_of[t].count ->
            holders = holders +
                (page_of[t].entries[i].heap_id == heap[HEAP_OF(n)].id && page_of[t].entries[i].chunk == n);
            i++
        :: else -> break
        od
    }
}

/* Each chunk is active in one thread, or free and in the list, or dedicated, or was given up; and what lies after its
 * cursor, and nothing else, is still to be allocated. */
inline check_chunks()
{
    for (n : 0 .. HEAPS * CHUNKS - 1) {
        if
        :: heap[HEAP_OF(n)].open && n % CHUNKS < heap[HEAP_OF(n)].chunks ->
            holders = chunk[n].given_up + (chunk[n].state == FZ_DEDICATED);
            count_if_free();
            count_in_threads();
            assert(holders == 1);
            assert((heap[HEAP_OF(n)].allocated & BITS(chunk[n].start, SIZE(n))) ==
                   BITS(chunk[n].start, SIZE(n) - chunk[n].left))
        :: else
        fi
    }
}

/* When all threads have ended: the lock is free, and no chunk of an open heap is active in any of them. */
inline check_end()
{
    assert(the_lock == NOBODY);
    for (n : 0 .. HEAPS * CHUNKS - 1) {
        if
        :: heap[HEAP_OF(n)].open && n % CHUNKS < heap[HEAP_OF(n)].chunks ->
            holders = 0;
            count_in_threads();
            assert(holders == 0)
        :: else
        fi
    }
}

/* --- registry.c --- */

inline fz_lock()
{
    atomic { the_lock == NOBODY -> the_lock = me }
}

inline fz_unlock()
{
    d_step {
        assert(the_lock == me);
#ifndef BLOCKS_ONLY
        check_chunks();
#endif
        the_lock = NOBODY
    }
}

/* `found` is a heap or NULL. */
inline fz_heap_find(wanted, found)
{
    found = 0;
    do
    :: found < HEAPS && !(heap[found].open && heap[found].id == wanted) -> found++
    :: else -> break
    od;
    if
    :: found == HEAPS -> found = NULL
    :: else
    fi
}

inline fz_heap_new_id(h)
{
    last_id++;
    heap[h].id = last_id
}

/* --- heap.c --- */

inline begin(h)
{
    heap[h].cursor = 0;
    heap[h].chunks = 0;
    heap[h].last = NULL;
    heap[h].tails = NULL;
    heap[h].header_tails = NULL;
    heap[h].header_threads = 0;
    heap[h].allocated = 0
}

/* Nobody may read them any more (check_alive), so what they hold shall not tell states apart. */
inline wipe_chunks(h)
{
    for (n : FIRST(h) .. FIRST(h) + CHUNKS - 1) {
        chunk[n].start = 0;
        chunk[n].end = 0;
        chunk[n].left = 0;
        chunk[n].next_tail = 0;
        chunk[n].owner = 0;
        chunk[n].state = 0;
        chunk[n].given_up = 0
    }
}

/* A persistent heap that wasn't open before is as one in which nothing was allocated. */
inline go_on(h)
{
    heap[h].tails = heap[h].header_tails;
    heap[h].header_tails = NULL; /* nobody reads it any more */
#if defined(BUG_THREADS_BEFORE_TOO_LARGE)
    heap[h].threads_before = heap[h].header_threads + 1
#elif defined(BUG_THREADS_BEFORE_TOO_SMALL)
    heap[h].threads_before = heap[h].header_threads - (heap[h].header_threads != 0)
#else
    heap[h].threads_before = heap[h].header_threads
#endif
}

inline fz_heap_open(h)
{
    d_step {
#ifdef PERSISTENT
        go_on(h);
#else
        begin(h);
#endif
#ifdef BUG_OPEN_KEEPS_ID
        if
        :: heap[h].id == 0 -> fz_heap_new_id(h)
        :: else
        fi;
#else
        fz_heap_new_id(h);
#endif
        heap[h].open = 1;
        mmap_id[h] = heap[h].id
    }
}

inline finish(h)
{
#ifndef BUG_CLOSE_FORGETS_LIST
    heap[h].header_tails = heap[h].tails;
#endif
    heap[h].tails = NULL;
    heap[h].threads_before = 0
}

inline fz_heap_close(h)
{
    d_step {
        heap[h].open = 0;
#ifndef BUG_OPEN_KEEPS_ID
        heap[h].id = 0;
#endif
#ifdef PERSISTENT
        finish(h)
#else
        begin(h);
        wipe_chunks(h)
#endif
    }
}

inline fz_heap_reset(h)
{
    d_step {
        begin(h);
        wipe_chunks(h);
#ifndef BUG_RESET_KEEPS_THREADS_BEFORE
        heap[h].threads_before = 0;
#endif
#ifndef BUG_RESET_KEEPS_ID
        fz_heap_new_id(h)
#endif
    }
}

/* --- chunk.c; all of it under the lock --- */

inline fz_chunk_leave(which)
{
#ifdef BUG_LEAVE_LISTS_AGAIN
    chunk[which].next_tail = heap[HEAP_OF(which)].tails;
    heap[HEAP_OF(which)].tails = which;
#endif
#ifdef BUG_LEAVE_KEEPS_STATE
    skip
#else
    chunk[which].state = FZ_TAIL
#endif
}

inline step_for()
{
    step = STEP;
    if
    :: current != NULL && STEP <= SIZE(current) -> step = STEP_MAX
    :: else
    fi
}

/* Leaves the end in `end`, or 0. A step of 0 means: just the block. The disk is full where the heap ends. */
inline commit_for(from)
{
    if
    :: step != 0 && from + step <= CAPACITY -> end = from + step
    :: (step == 0 || from + step > CAPACITY) && from + size <= CAPACITY -> end = from + size
    :: else -> end = 0
    fi
}

inline extend(c)
{
    chunk[c].left = end - CURSOR(c);
    chunk[c].end = end;
    heap[h].cursor = end
}

/* Leaves the new chunk in `got`, or NULL. */
inline carve()
{
    d_step {
        got = NULL;
        commit_for(heap[h].cursor);
        if
        :: end != 0 ->
            assert(heap[h].chunks < CHUNKS);
            got = FIRST(h) + heap[h].chunks;
            heap[h].chunks++;
            chunk[got].start = heap[h].cursor;
            chunk[got].end = heap[h].cursor;
            chunk[got].left = 0;
            chunk[got].state = FZ_ACTIVE;
            chunk[got].next_tail = NULL;
            extend(got);
            heap[h].last = got
        :: else
        fi
    }
}

/* Leaves in `got` the chunk that grew, or NULL. */
inline grow_last()
{
    d_step {
        got = NULL;
        commit_for(CURSOR(heap[h].last));
        if
        :: end != 0 ->
            got = heap[h].last;
            extend(got)
        :: else
        fi
    }
}

/* Leaves in `got` the first chunk that is free and has `need` left, or NULL. */
inline find_tail()
{
    d_step {
        got = heap[h].tails;
        later = FIRST(h) + heap[h].chunks;
        do
        :: IN_LIST(got) ->
            if
            :: IS_FREE(got) && chunk[got].left >= need -> break
            :: else ->
                later = got;
                got = chunk[got].next_tail
            fi
        :: else ->
            got = NULL;
            break
        od
    }
}

/* Takes those that are free and have less out of the list, and leaves in `dropped` which these are. */
inline drop_smaller_tails()
{
    d_step {
        n = heap[h].tails;
        r = NULL; /* in C, `link` points into this one, or to heap->tails */
        later = FIRST(h) + heap[h].chunks;
        do
        :: IN_LIST(n) ->
            later = n;
            t = chunk[n].next_tail;
            if
#ifdef BUG_DROPS_ACTIVE
            :: chunk[n].left < need && n != got ->
#else
            :: IS_FREE(n) && chunk[n].left < need ->
#endif
                if
                :: r == NULL -> heap[h].tails = t
                :: else -> chunk[r].next_tail = t
                fi;
                dropped = dropped | (IS_FREE(n) << (n % CHUNKS));
                chunk[n].next_tail = 0 /* nobody reads it any more */
            :: else -> r = n
            fi;
            n = t
        :: else -> break
        od
    }
}

inline drop_smaller_tails_for(step)
{
    if
    :: step != 0 -> drop_smaller_tails()
    :: else
    fi
}

/* Not in C: the tails that were too small for a block that is now allocated. */
inline give_up_dropped()
{
    for (n : 0 .. CHUNKS - 1) {
        if
        :: (dropped & (1 << n)) != 0 -> chunk[FIRST(h) + n].given_up = 1
        :: else
        fi
    };
    dropped = 0
}

/* The number of the thread whose active chunk was `current`. */
inline set_owner(c)
{
    d_step {
        if
#ifdef BUG_OWNER_STAYS
        :: true
#endif
        :: current != NULL -> chunk[c].owner = chunk[current].owner
        :: else ->
            heap[h].header_threads++;
            chunk[c].owner = heap[h].header_threads
        fi
    }
}

inline link_new()
{
#ifndef BUG_NEW_IS_NOT_LISTED
    d_step {
        chunk[got].next_tail = heap[h].tails;
        heap[h].tails = got
    }
#else
    skip
#endif
}

/* Leaves the chunk in `got`, or NULL. */
inline take_chunk()
{
#ifdef BUG_FAILURE_LOSES_TAILS
    drop_smaller_tails_for(step);
#endif
    got = NULL;
    if
    :: step != 0 -> find_tail()
    :: else
    fi;
    if
    :: got == NULL ->
        carve();
        if
        :: got != NULL -> link_new()
        :: else
        fi
    :: else
    fi;
    if
    :: got != NULL ->
#ifndef BUG_TAKEN_STAYS_TAIL
        chunk[got].state = FZ_ACTIVE;
#endif
#ifdef BUG_OWNER_COMES_LATE
        drop_smaller_tails_for(step);
        set_owner(got)
#else
        set_owner(got);
        drop_smaller_tails_for(step)
#endif
    :: else
    fi
}

inline place_block(c)
{
    d_step {
        allocate(h, CURSOR(c), size);
        chunk[c].left = chunk[c].left - size
    }
}

inline alloc_dedicated()
{
    d_step {
        carve();
        if
        :: got != NULL ->
            chunk[got].state = FZ_DEDICATED;
            chunk[got].owner = chunk[current].owner
#ifdef BUG_DEDICATED_IS_LISTED
            ;
            chunk[got].next_tail = heap[h].tails;
            heap[h].tails = got
#endif
        :: else
        fi
    }
}

/* Makes a chunk that it takes the active one. */
inline alloc_in_another()
{
    take_chunk();
    if
    :: got != NULL ->
        if
        :: current != NULL -> fz_chunk_leave(current)
        :: else
        fi;
        current = got
    :: else
    fi
}

/* Leaves in `got` the chunk that the block goes to, or NULL, and in `current` the thread's active chunk. */
inline fz_chunk_alloc()
{
    got = NULL;
    if
    :: size > LARGE -> step = 0
    :: else -> step_for()
    fi;
    if
#ifdef BUG_GROWS_ANY_CHUNK
    :: heap[h].last != NULL ->
        current = heap[h].last;
        grow_last()
#else
    :: current != NULL && current == heap[h].last -> grow_last()
#endif
    :: else
    fi;
    if
#ifdef LARGE_BLOCKS
    :: got == NULL && size > LARGE && current != NULL -> alloc_dedicated()
    :: got == NULL && !(size > LARGE && current != NULL) -> alloc_in_another()
#else
    :: got == NULL -> alloc_in_another()
#endif
    :: else
    fi;
    d_step {
        if
        :: got != NULL -> give_up_dropped()
        :: else -> dropped = 0
        fi;
        step = 0
    }
}

/* --- thread_cache.c --- */

#define EMPTY(entry) \
    entry.heap_id = NO_HEAP; \
    entry.chunk = NULL

inline give_back(entry)
{
    fz_heap_find(entry.heap_id, t);
#ifdef BUG_LEAVES_UNSEEN
    if
    :: entry.chunk != NULL -> t = HEAP_OF(entry.chunk)
    :: else
    fi;
#endif
    if
    :: t != NULL ->
        check_alive(entry.chunk, entry.heap_id);
        fz_chunk_leave(entry.chunk)
    :: else
    fi;
#ifndef BUG_ENTRY_STAYS
    EMPTY(entry)
#endif
}

inline remove_page()
{
    PAGE.exists = 0;
    PAGE.count = 0;
    PAGE.replaced = 0;
    for (i : 0 .. ENTRIES) {
        ENTRY(i).heap_id = 0;
        ENTRY(i).chunk = 0
    }
}

inline leave_all()
{
    fz_lock();
    d_step {
        give_back(fz_active[me]);
        i = 0;
#ifndef BUG_PAGE_IS_FORGOTTEN
        do
        :: i < PAGE.count ->
            give_back(ENTRY(i));
            i++
        :: else -> break
        od;
#endif
        remove_page()
    }
    fz_unlock()
}

#ifdef BUG_UNUSED_ENTRIES_MATCH
#define IS_IN_USE(i) (PAGE.exists && i < ENTRIES)
#define CAN_MATCH(wanted) true
#else
#define IS_IN_USE(i) (i < PAGE.count)
#define CAN_MATCH(wanted) ((wanted) != 0)
#endif

/* Leaves the place in `i`: one that isn't in use if there is none. */
inline find(wanted)
{
    i = 0;
    do
    :: IS_IN_USE(i) && ENTRY(i).heap_id != wanted -> i++
    :: else -> break
    od
}

inline swap_with(entry)
{
    its_id = entry.heap_id;
    its_chunk = entry.chunk;
    entry.heap_id = fz_active[me].heap_id;
    entry.chunk = fz_active[me].chunk;
    fz_active[me].heap_id = its_id;
    fz_active[me].chunk = its_chunk
}

/* Leaves in `selected` whether it did. */
inline fz_thread_cache_select(wanted)
{
    d_step {
        selected = 0;
        if
        :: CAN_MATCH(wanted) && wanted != fz_active[me].heap_id ->
            find(wanted);
            if
            :: IS_IN_USE(i) ->
                swap_with(ENTRY(i));
                selected = 1
            :: else
            fi
        :: else
        fi
    }
}

/* Leaves it in `current`, or NULL. */
inline fz_thread_cache_chunk(wanted)
{
    current = NULL;
    if
    :: fz_active[me].heap_id == wanted -> current = fz_active[me].chunk
    :: else ->
        find(wanted);
        if
        :: IS_IN_USE(i) -> current = ENTRY(i).chunk
        :: else
        fi
    fi;
    if
    :: current != NULL -> check_alive(current, wanted)
    :: else
    fi
}

/* Leaves its place in `i`. */
inline free_entry()
{
    find(NO_HEAP);
    if
    :: IS_IN_USE(i)
    :: !IS_IN_USE(i) && PAGE.count < ENTRIES ->
        i = PAGE.count;
        PAGE.count++
    :: else ->
        i = PAGE.replaced;
        PAGE.replaced = (i + 1) % PAGE.count;
#ifndef BUG_ENTRY_LOSES_CHUNK
        give_back(ENTRY(i))
#endif
    fi;
    EMPTY(ENTRY(i))
}

/* For another heap in fz_active. */
inline make_room()
{
#if ENTRIES > 0
    PAGE.exists = 1;
    free_entry();
    swap_with(ENTRY(i))
#elif defined(BUG_ENTRY_LOSES_CHUNK)
    skip
#else
    give_back(fz_active[me])
#endif
}

inline fz_thread_cache_put(wanted)
{
    d_step {
        fz_thread_cache_select(wanted);
        selected = 0;
        fz_heap_find(fz_active[me].heap_id, t);
        if
        :: fz_active[me].heap_id != wanted && t != NULL -> make_room()
        :: else
        fi;
        fz_active[me].heap_id = wanted;
        fz_active[me].chunk = current
    }
}

inline fz_thread_cache_forget(wanted)
{
    d_step {
        if
        :: fz_active[me].heap_id == wanted -> EMPTY(fz_active[me])
        :: else ->
            find(wanted);
            if
            :: IS_IN_USE(i) -> EMPTY(ENTRY(i))
            :: else
            fi
        fi
    }
}

inline fz_thread_cache_leave(h)
{
    d_step {
        if
        :: fz_active[me].heap_id == heap[h].id -> give_back(fz_active[me])
        :: else ->
            find(heap[h].id);
            if
            :: IS_IN_USE(i) -> give_back(ENTRY(i))
            :: else
            fi
        fi
    }
}

/* --- mmap.c --- */

/* The fast path reads how much is left, here into `left`, and then writes it. 0 if the heap isn't the one used last. */
inline read_left()
{
    if
    :: fz_active[me].heap_id == mmap_id[h] ->
        d_step {
            check_alive(fz_active[me].chunk, mmap_id[h]);
            left = chunk[fz_active[me].chunk].left
        }
    :: else -> left = 0
    fi
}

inline fz_chunk_bump()
{
    d_step {
        got = fz_active[me].chunk;
        allocate(h, chunk[got].end - left, size);
        chunk[got].left = left - size
    }
}

inline alloc_in_heap_first_half()
{
#ifndef BUG_ALLOCATES_UNLOCKED
    fz_lock();
#endif
    if
    :: !heap[h].open -> fz_heap_open(h)
    :: else
    fi;
    d_step {
        fz_thread_cache_chunk(heap[h].id);
        assert(current == NULL || chunk[current].left < size) /* else the fast path would have allocated it */
    }
    fz_chunk_alloc()
}

inline alloc_in_heap_second_half()
{
    if
    :: got != NULL ->
        place_block(got);
        fz_thread_cache_put(heap[h].id)
    :: else
    fi;
#ifdef BUG_ALLOCATES_UNLOCKED
    skip
#elif defined(BUG_FAILURE_STAYS_LOCKED)
    if
    :: got != NULL -> fz_unlock()
    :: else
    fi
#else
    fz_unlock()
#endif
}

/* filz_mmap_alloc and alloc_slow. */
inline alloc_first_half()
{
    read_left();
    if
    :: size > left ->
        fz_thread_cache_select(mmap_id[h]);
        if
        :: selected -> read_left()
        :: else
        fi;
        selected = 0
    :: else
    fi;
    if
    :: size > left -> alloc_in_heap_first_half()
    :: else
    fi
}

inline alloc_second_half()
{
    if
    :: size > left -> alloc_in_heap_second_half()
    :: else -> fz_chunk_bump()
    fi
}

inline filz_mmap_reset()
{
    fz_lock();
    got = heap[h].id;
    fz_heap_reset(h);
    fz_thread_cache_forget(got);
    mmap_id[h] = heap[h].id;
    fz_unlock()
}

inline filz_mmap_close()
{
    fz_lock();
    mmap_id[h] = 0;
    fz_thread_cache_leave(h);
    fz_heap_close(h);
    fz_unlock()
}

/* --- a program that uses filz --- */

/* Threads are alike, and so are heaps. So it is enough that thread 0 is the first to do anything, and does it with
 * heap 0, that thread 1 doesn't begin before it, and so on. */
#define MAY_BEGIN (operations < OPERATIONS && begun >= me)

inline count_operation()
{
    begun = begun + (begun == me);
    operations++
}

inline use(which)
{
    atomic {
        MAY_BEGIN && which <= heaps_begun && users[which] != EXCLUSIVE ->
        heaps_begun = heaps_begun + (which == heaps_begun);
        users[which]++;
        h = which;
        count_operation()
    }
}

/* On a closed heap, reset and close do nothing. */
inline use_alone(which)
{
    atomic {
        MAY_BEGIN && ends < ENDS && users[which] == 0 && heap[which].open ->
        users[which] = EXCLUSIVE;
        ends++;
        h = which;
        count_operation()
    }
}

/* A thread that has done nothing has nothing to leave. */
inline may_end()
{
    atomic {
        operations < OPERATIONS && begun > me ->
        operations++
    }
}

/* What is left in the variables shall not tell states apart. */
inline done()
{
    d_step {
        if
        :: users[h] == EXCLUSIVE -> users[h] = 0
        :: else -> users[h]--
        fi;
        h = 0;
        size = 0;
        need = 0;
        left = 0;
        got = 0;
        current = 0
    }
}

/* Goes on until all threads together have done OPERATIONS things, and ends. Ending is also one of the things that it
 * may do before: then it goes on as the next thread, or as one whose destructors allocate after leave_all has run. */
proctype thread(byte me)
{
    byte h, size, need, step, left, current, got, dropped;
    bit selected;
    do
    :: TOGETHER {
           if
           :: use(0)
           :: use(1)
#if HEAPS > 2
           :: use(2)
#endif
           fi;
           if
           :: size = 1
           :: size = 2
#ifdef LARGE_BLOCKS
           :: size = LARGE + 1
#endif
           fi;
           need = size;
#ifdef ALIGNED_BLOCKS
           if
           :: need = size
           :: need = size + 1
           fi;
#endif
           alloc_first_half()
       }
       TOGETHER {
           alloc_second_half();
           done()
       }
    :: TOGETHER {
           if
           :: use_alone(0)
           :: use_alone(1)
#if HEAPS > 2
           :: use_alone(2)
#endif
           fi;
           if
           :: filz_mmap_reset()
           :: filz_mmap_close()
           fi;
           done()
       }
    :: TOGETHER {
           may_end();
           leave_all()
       }
    :: operations == OPERATIONS -> break
    od;
    atomic {
        /* When all is done, it makes no difference in which order they end. */
        ended == me && users[0] == 0 && users[1] == 0 && users[HEAPS - 1] == 0 ->
        leave_all();
        d_step {
            ended++;
            if
            :: ended == THREADS -> check_end()
            :: else
            fi
        }
    }
}

init
{
    byte me;
    d_step {
        for (i : 0 .. HEAPS - 1) {
            begin(i)
        }
        for (t : 0 .. THREADS - 1) {
#ifdef BUG_ACTIVE_BEGINS_AS_ZERO
            fz_active[t].chunk = NULL
#else
            EMPTY(fz_active[t])
#endif
        }
    }
    atomic {
        for (me : 0 .. THREADS - 1) {
            run thread(me)
        }
    }
}
