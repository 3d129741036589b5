/* A thread's own state: its active chunk in each heap that it uses. A heap has an id that changes with every open and
 * reset, so an entry whose heap is gone never matches, and its chunk is never read. */
#ifndef FZ_THREAD_CACHE_H
#define FZ_THREAD_CACHE_H

#include "chunk.h"

struct fz_active {
    size_t heap_id; /* SIZE_MAX: none */
    struct fz_chunk *chunk;
};

/* Static TLS is faster, but all thread-local storage of a library that is loaded later and uses it must then fit into
 * the little that a process reserves. FZ_DYNAMIC_TLS is for libraries that have much of their own. */
#ifdef FZ_DYNAMIC_TLS
#define FZ_TLS_MODEL
#else
#define FZ_TLS_MODEL __attribute__((tls_model("initial-exec")))
#endif

/* For the heap that the thread used last, the only one that the fast path checks. */
extern _Thread_local struct fz_active fz_active FZ_TLS_MODEL;

/* Makes the heap the one used last. False if the thread has no active chunk in it, or it is already. */
bool fz_thread_cache_select(size_t heap_id);

/* The heap's active chunk in this thread, or NULL. */
struct fz_chunk *fz_thread_cache_chunk(size_t heap_id);

/* Makes `chunk` the heap's active chunk in this thread, and the heap the one used last. Under the lock. */
void fz_thread_cache_put(size_t heap_id, struct fz_chunk *chunk);

/* Drops the heap's entry; no thread may allocate from its chunk. */
void fz_thread_cache_forget(size_t heap_id);

/* Drops the heap's entry, and leaves the tail of its chunk to other threads. Under the lock. */
void fz_thread_cache_leave(struct filz_heap *heap);

/* The program ends, or unloads the library: none of its code runs when a thread ends later. Under the lock. */
void fz_thread_cache_end(bool is_unload);

#endif
