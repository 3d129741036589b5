/* GNU obstack, one for each thread, its chunks from glibc's malloc. An object that is finished can't grow again. */
#include <obstack.h>

#define obstack_chunk_alloc malloc
#define obstack_chunk_free free

BENCH_STATE _Thread_local struct obstack bench_obstack;
BENCH_STATE _Thread_local void *bench_first;

static inline void bench_open(void)
{
}

static inline void *bench_alloc(size_t size, size_t align)
{
    (void)align; /* always 16 */
    if (__builtin_expect(bench_first == NULL, 0)) {
        obstack_init(&bench_obstack);
        bench_first = obstack_alloc(&bench_obstack, 1);
    }
    return obstack_alloc(&bench_obstack, (int)size);
}

#include "arena.h"

static inline bool bench_reset(void)
{
    /* Without a block after them, glibc gives the pages of freed chunks back to the kernel. */
    static _Thread_local void *after;
    if (after == NULL)
        after = malloc(64);
    obstack_free(&bench_obstack, bench_first);
    bench_first = obstack_alloc(&bench_obstack, 1);
    return true;
}

/* obstack_memory_used counts in an int. */
static inline size_t bench_used(void)
{
    return 0;
}
