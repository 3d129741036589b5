/* A model of the thread cache and of what is handed from thread to thread: c/thread_cache.c, the lists in c/chunk.c,
 * and open, alloc, reset and close in c/mmap.c and c/heap_file.c. Spin goes through every order in which its threads
 * can take their steps; README.md says what is left out, and `run` how it is checked.
 *
 * Memory is counted in units. A heap is CAPACITY of them, a block is 1 or 2 (LARGE + 1 with LARGE_BLOCKS), and a
 * chunk's header takes none. A pointer to a chunk is its number in `chunk`: heap h's own begin at h * CHUNKS.
 *
 * BUG_... plant errors, to show that each would be found; BLOCKS_ONLY leaves out the check of the chunks, to show what
 * an error would come to. */

/* --- bounds --- */

#ifndef THREADS
#define THREADS 3
#endif
#define HEAPS 2
#ifndef FILZ_HEAPS_PER_THREAD
#define FILZ_HEAPS_PER_THREAD 1
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

typedef filz_chunk {
    byte start; /* in C, the chunk's own address */
    byte end;
    byte left;
    byte next_rest;
    bit given_up /* not in C: no thread has it open, it isn't in the list, and that is as it should be */
};

typedef filz_heap {
    bit open; /* in C: it is in filz_heaps, and its filz_mmap points to it */
    byte id;
    byte cursor;
    byte chunks; /* in C, they are found by walking */
    byte last;
    byte rests;
    byte handed_out /* not in C: one bit for each unit */
};

typedef filz_cache_entry {
    byte heap_id;
    byte chunk
};

typedef filz_thread_cache {
    filz_cache_entry entries[FILZ_HEAPS_PER_THREAD]
};

filz_chunk chunk[HEAPS * CHUNKS];
filz_heap heap[HEAPS];
byte mmap_id[HEAPS]; /* filz_mmap.id, which is read without the lock */
filz_thread_cache cache[THREADS];
byte lock = NOBODY;
byte last_id;

/* Of the program that uses filz: it closes and resets a heap only while no other thread is using it. */
#define EXCLUSIVE 255
byte users[HEAPS];
byte operations;
byte ends;
byte ended; /* threads */
byte begun; /* threads */

/* Used within one step, so no part of the state. */
hidden byte i, n, t, r, holders;

#define ENTRY(i) cache[me].entries[i]
#define HEAP_OF(c) ((c) / CHUNKS)
#define CURSOR(c) (chunk[c].end - chunk[c].left)
#define SIZE(c) (chunk[c].end - chunk[c].start)
#define BITS(at, size) (((1 << (size)) - 1) << (at))

/* --- what must hold --- */

/* Whoever reads a chunk knows that its heap is open, and was neither reset nor closed since. */
inline check_alive(which, wanted)
{
    assert(which != NULL && wanted != 0);
    assert(heap[HEAP_OF(which)].open && heap[HEAP_OF(which)].id == wanted);
    assert(which % CHUNKS < heap[HEAP_OF(which)].chunks)
}

/* A block of `size` units from `at` on: no unit of it is in another block. */
inline hand_out(h, at, size)
{
    assert(at + size <= heap[h].cursor);
    assert((heap[h].handed_out & BITS(at, size)) == 0);
    heap[h].handed_out = heap[h].handed_out | BITS(at, size)
}

/* How often chunk n is in its heap's list, which ends. */
inline count_in_rests()
{
    r = heap[HEAP_OF(n)].rests;
    i = 0;
    do
    :: r != NULL ->
        assert(i < CHUNKS);
        i++;
        holders = holders + (r == n);
        r = chunk[r].next_rest
    :: else -> break
    od
}

/* In how many threads chunk n is open. */
inline count_in_caches()
{
    for (t : 0 .. THREADS - 1) {
        for (i : 0 .. FILZ_HEAPS_PER_THREAD - 1) {
            holders = holders +
                (cache[t].entries[i].heap_id == heap[HEAP_OF(n)].id && cache[t].entries[i].chunk == n)
        }
    }
}

/* Each chunk is open in one thread, or once in the list of rests, or was given up; and what lies behind its cursor, and
 * nothing else, is still to be handed out. */
inline check_chunks()
{
    for (n : 0 .. HEAPS * CHUNKS - 1) {
        if
        :: heap[HEAP_OF(n)].open && n % CHUNKS < heap[HEAP_OF(n)].chunks ->
            holders = 0;
            count_in_rests();
            count_in_caches();
            assert(holders + chunk[n].given_up == 1);
            assert((heap[HEAP_OF(n)].handed_out & BITS(chunk[n].start, SIZE(n))) ==
                   BITS(chunk[n].start, SIZE(n) - chunk[n].left))
        :: else
        fi
    }
}

/* When all threads have ended: the lock is free, and no chunk of an open heap is open in any of them. */
inline check_end()
{
    assert(lock == NOBODY);
    for (n : 0 .. HEAPS * CHUNKS - 1) {
        if
        :: heap[HEAP_OF(n)].open && n % CHUNKS < heap[HEAP_OF(n)].chunks ->
            holders = 0;
            count_in_caches();
            assert(holders == 0)
        :: else
        fi
    }
}

/* --- heap_file.c --- */

inline filz_heaps_lock()
{
    atomic { lock == NOBODY -> lock = me }
}

inline filz_heaps_unlock()
{
    d_step {
        assert(lock == me);
#ifndef BLOCKS_ONLY
        check_chunks();
#endif
        lock = NOBODY
    }
}

/* `found` is a heap or NULL. */
inline filz_heap_find(wanted, found)
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

inline write_header(h)
{
    heap[h].cursor = 0;
    heap[h].chunks = 0;
    heap[h].last = NULL;
    heap[h].rests = NULL;
    heap[h].handed_out = 0
}

/* Nobody may read them any more (check_alive), so what they hold shall not tell states apart. */
inline wipe_chunks(h)
{
    for (n : h * CHUNKS .. h * CHUNKS + CHUNKS - 1) {
        chunk[n].start = 0;
        chunk[n].end = 0;
        chunk[n].left = 0;
        chunk[n].next_rest = 0;
        chunk[n].given_up = 0
    }
}

inline filz_heap_open(h)
{
    d_step {
        last_id++;
        heap[h].id = last_id;
        write_header(h);
        heap[h].open = 1;
        mmap_id[h] = heap[h].id
    }
}

inline filz_heap_close(h)
{
    d_step {
        heap[h].open = 0;
        heap[h].id = 0;
        write_header(h);
        wipe_chunks(h)
    }
}

inline filz_heap_reset(h)
{
    d_step {
#ifndef BUG_RESET_KEEPS_ID
        last_id++;
        heap[h].id = last_id;
#endif
        write_header(h);
        wipe_chunks(h)
    }
}

/* --- chunk.c; all of it under the lock --- */

inline filz_chunk_leave(h, which)
{
    chunk[which].next_rest = heap[h].rests;
    heap[h].rests = which
}

inline step_for()
{
    step = STEP;
    if
    :: open != NULL && STEP <= SIZE(open) -> step = STEP_MAX
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

inline set_end(c)
{
    chunk[c].left = end - CURSOR(c);
    chunk[c].end = end;
    heap[h].cursor = end
}

/* Leaves the new chunk in `got`, or NULL. */
inline cut()
{
    d_step {
        got = NULL;
        commit_for(heap[h].cursor);
        if
        :: end != 0 ->
            assert(heap[h].chunks < CHUNKS);
            got = h * CHUNKS + heap[h].chunks;
            heap[h].chunks++;
            chunk[got].start = heap[h].cursor;
            chunk[got].end = heap[h].cursor;
            chunk[got].left = 0;
            set_end(got);
            heap[h].last = got
        :: else
        fi;
        end = 0
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
            set_end(got)
        :: else
        fi;
        end = 0
    }
}

/* Leaves the rest in `got`, or NULL. */
inline take_rest()
{
    d_step {
        got = heap[h].rests;
        do
        :: got != NULL ->
            if
            :: chunk[got].left < size -> got = chunk[got].next_rest
            :: else -> break
            fi
        :: else -> break
        od;
        if
#ifdef BUG_REST_STAYS_LISTED
        :: got != NULL -> heap[h].rests = got
#else
        :: got != NULL -> heap[h].rests = chunk[got].next_rest
#endif
        :: else -> heap[h].rests = NULL
        fi
    }
}

/* Not in C: the rests that take_rest found too small, now that the request has succeeded. And `next_rest`, which nobody
 * reads any more, shall not tell states apart. */
inline give_up_rests()
{
    r = rests;
    do
    :: r != heap[h].rests && r != got ->
        n = r;
        r = chunk[r].next_rest;
        chunk[n].given_up = 1;
        chunk[n].next_rest = 0
    :: else -> break
    od;
#ifndef BUG_REST_STAYS_LISTED
    chunk[got].next_rest = 0
#endif
}

inline place_block(c)
{
    d_step {
        hand_out(h, CURSOR(c), size);
        chunk[c].left = chunk[c].left - size
    }
}

/* Leaves in `got` the chunk that the block goes to, or NULL, and in `open` the thread's open chunk. */
inline filz_chunk_serve()
{
    got = NULL;
    if
    :: size > LARGE -> step = 0
    :: else -> step_for()
    fi;
    if
#ifdef BUG_GROWS_ANY_CHUNK
    :: heap[h].last != NULL ->
        open = heap[h].last;
        grow_last()
#else
    :: open != NULL && open == heap[h].last -> grow_last()
#endif
    :: else
    fi;
    if
#ifdef LARGE_BLOCKS
    :: got == NULL && size > LARGE && open != NULL -> serve_large()
    :: got == NULL && !(size > LARGE && open != NULL) -> open_another()
#else
    :: got == NULL -> open_another()
#endif
    :: else
    fi;
    step = 0
}

inline serve_large()
{
    cut();
    if
    :: got != NULL -> chunk[got].given_up = 1 /* in C: alone */
    :: else
    fi
}

inline open_another()
{
    rests = heap[h].rests;
    if
    :: size <= LARGE -> take_rest()
    :: else
    fi;
    if
    :: got == NULL -> cut()
    :: else
    fi;
    d_step {
        if
        :: got != NULL ->
            give_up_rests();
            open = got
        :: else ->
#ifndef BUG_FAILURE_LOSES_RESTS
            heap[h].rests = rests
#else
            skip
#endif
        fi;
        rests = 0
    }
}

/* --- thread_cache.c --- */

inline give_back(at)
{
    filz_heap_find(ENTRY(at).heap_id, t);
#ifdef BUG_LEAVES_UNSEEN
    if
    :: ENTRY(at).chunk != NULL -> t = HEAP_OF(ENTRY(at).chunk)
    :: else
    fi;
#endif
    if
    :: t != NULL ->
        check_alive(ENTRY(at).chunk, ENTRY(at).heap_id);
        filz_chunk_leave(t, ENTRY(at).chunk)
    :: else
    fi;
#ifndef BUG_ENTRY_STAYS
    ENTRY(at).heap_id = NO_HEAP;
    ENTRY(at).chunk = NULL
#endif
}

inline leave_all()
{
    filz_heaps_lock();
    d_step {
        for (n : 0 .. FILZ_HEAPS_PER_THREAD - 1) {
            give_back(n)
        }
    }
    filz_heaps_unlock()
}

/* Leaves the place in `i`. */
inline find(wanted)
{
    i = 0;
    do
    :: i < FILZ_HEAPS_PER_THREAD && ENTRY(i).heap_id != wanted -> i++
    :: else -> break
    od
}

inline move_to_front(its_id, its_chunk)
{
    do
    :: i > 0 ->
        ENTRY(i).heap_id = ENTRY(i - 1).heap_id;
        ENTRY(i).chunk = ENTRY(i - 1).chunk;
        i--
    :: else -> break
    od;
    ENTRY(0).heap_id = its_id;
    ENTRY(0).chunk = its_chunk
}

/* Leaves in `selected` whether it did. */
inline filz_thread_cache_select(its_id)
{
    d_step {
        find(its_id);
        if
#ifdef BUG_SELECTS_ZERO
        :: i != 0 && i != FILZ_HEAPS_PER_THREAD ->
#else
        :: its_id != 0 && i != 0 && i != FILZ_HEAPS_PER_THREAD ->
#endif
            r = ENTRY(i).chunk;
            move_to_front(its_id, r);
            selected = 1
        :: else -> selected = 0
        fi
    }
}

inline filz_thread_cache_chunk(its_id)
{
    d_step {
        find(its_id);
        if
        :: i < FILZ_HEAPS_PER_THREAD ->
            open = ENTRY(i).chunk;
            check_alive(open, its_id);
            assert(chunk[open].left < size) /* else the fast path would have served it */
        :: else -> open = NULL
        fi
    }
}

inline filz_thread_cache_put(its_id)
{
    d_step {
        find(its_id);
        if
        :: i == FILZ_HEAPS_PER_THREAD ->
            i--;
#ifndef BUG_EVICTION_LOSES_CHUNK
            give_back(i)
#endif
        :: else ->
            if
            :: ENTRY(i).chunk != open -> chunk[ENTRY(i).chunk].given_up = 1
            :: else
            fi
        fi;
        move_to_front(its_id, open)
    }
}

inline filz_thread_cache_forget(its_id)
{
    d_step {
        find(its_id);
        if
        :: i < FILZ_HEAPS_PER_THREAD ->
            ENTRY(i).heap_id = NO_HEAP;
            ENTRY(i).chunk = NULL
        :: else
        fi
    }
}

/* --- mmap.c --- */

/* The fast path reads how much is left, here into `left`, and then writes it. 0 if the heap isn't at hand. */
inline read_left()
{
    if
    :: ENTRY(0).heap_id == mmap_id[h] ->
        d_step {
            check_alive(ENTRY(0).chunk, mmap_id[h]);
            left = chunk[ENTRY(0).chunk].left
        }
    :: else -> left = 0
    fi
}

inline filz_chunk_bump()
{
    d_step {
        got = ENTRY(0).chunk;
        hand_out(h, chunk[got].end - left, size);
        chunk[got].left = left - size
    }
}

inline serve_first_half()
{
#ifndef BUG_SERVES_UNLOCKED
    filz_heaps_lock();
#endif
    if
    :: !heap[h].open -> filz_heap_open(h)
    :: else
    fi;
    filz_thread_cache_chunk(heap[h].id);
    filz_chunk_serve()
}

inline serve_second_half()
{
    if
    :: got != NULL ->
        place_block(got);
        filz_thread_cache_put(heap[h].id)
    :: else
    fi;
#ifdef BUG_SERVES_UNLOCKED
    skip
#elif defined(BUG_FAILURE_STAYS_LOCKED)
    if
    :: got != NULL -> filz_heaps_unlock()
    :: else
    fi
#else
    filz_heaps_unlock()
#endif
}

/* filz_mmap_alloc and alloc_slow. */
inline alloc_first_half()
{
    read_left();
    if
    :: size > left ->
        filz_thread_cache_select(mmap_id[h]);
        if
        :: selected -> read_left()
        :: else
        fi;
        selected = 0
    :: else
    fi;
    if
    :: size > left -> serve_first_half()
    :: else
    fi
}

inline alloc_second_half()
{
    if
    :: size > left -> serve_second_half()
    :: else -> filz_chunk_bump()
    fi
}

inline filz_mmap_reset()
{
    filz_heaps_lock();
    filz_thread_cache_forget(heap[h].id);
    filz_heap_reset(h);
    mmap_id[h] = heap[h].id;
    filz_heaps_unlock()
}

inline filz_mmap_close()
{
    filz_heaps_lock();
    filz_thread_cache_forget(heap[h].id);
    filz_heap_close(h);
    mmap_id[h] = 0;
    filz_heaps_unlock()
}

/* --- a program that uses filz --- */

/* Threads are alike, and so are heaps. So it is enough that thread 0 is the first to do anything, and does it with
 * heap 0, that thread 1 doesn't begin before it, and so on. */
#define MAY_BEGIN (operations < OPERATIONS && begun >= me)
#define MAY_USE(which) (which == 0 || operations != 0)

inline count_operation()
{
    begun = begun + (begun == me);
    operations++
}

inline use(which)
{
    atomic {
        MAY_BEGIN && MAY_USE(which) && users[which] != EXCLUSIVE ->
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
        left = 0;
        got = 0;
        open = 0
    }
}

/* Goes on until all threads together have done OPERATIONS things, and ends. Ending is also one of the things that it
 * may do before: then it goes on as the next thread, or as one whose destructors allocate after leave_all has run. */
proctype thread(byte me)
{
    byte h, size, step, left, end, open, got, rests;
    bit selected;
    do
    :: TOGETHER {
           if
           :: use(0)
           :: use(1)
           fi;
           if
           :: size = 1
           :: size = 2
#ifdef LARGE_BLOCKS
           :: size = LARGE + 1
#endif
           fi;
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
        ended == me && users[0] == 0 && users[1] == 0 ->
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
        write_header(0);
        write_header(1);
        for (t : 0 .. THREADS - 1) {
            for (i : 0 .. FILZ_HEAPS_PER_THREAD - 1) {
                cache[t].entries[i].heap_id = 0;
                cache[t].entries[i].chunk = NULL
            }
#ifndef BUG_FIRST_ENTRY_IS_ZERO
            cache[t].entries[0].heap_id = NO_HEAP
#endif
        }
    }
    atomic {
        for (me : 0 .. THREADS - 1) {
            run thread(me)
        }
    }
}
