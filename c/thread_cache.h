/* What a thread keeps of its own: the open chunk of each of the heaps that it used last. Heaps are told apart by an id
 * that changes with every open and reset, so an entry whose heap is gone never matches, and its chunk is never read. */
#ifndef FILZ_THREAD_CACHE_H
#define FILZ_THREAD_CACHE_H

#include "chunk.h"

#include <stdbool.h>
#include <stddef.h>

#define FILZ_HEAPS_PER_THREAD 8

struct filz_cache_entry {
    size_t heap_id; /* SIZE_MAX: no heap's */
    struct filz_chunk *chunk;
};

/* The entry used last stands first: it is the only one that the fast path looks at. */
struct filz_thread_cache {
    struct filz_cache_entry entries[FILZ_HEAPS_PER_THREAD];
};

extern _Thread_local struct filz_thread_cache filz_thread_cache __attribute__((tls_model("initial-exec")));

/* Brings the heap's entry to the front. False if there is none, or it is there already. */
bool filz_thread_cache_select(size_t heap_id);

/* The heap's open chunk in this thread, or NULL. */
struct filz_chunk *filz_thread_cache_chunk(size_t heap_id);

/* Makes `chunk` the heap's open chunk in this thread, at the front. The heap that was used least recently loses its
 * place. Under the lock. */
void filz_thread_cache_put(size_t heap_id, struct filz_chunk *chunk);

/* Drops the heap's entry; its chunk is nobody's to reuse. */
void filz_thread_cache_forget(size_t heap_id);

#endif
