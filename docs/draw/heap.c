/* What docs/heap.svg shows: the sizes that libfilz has, and the heap of two threads, chunk by chunk. It has the library
 * inside, so that it can name what is private there. docs/draw/heap compiles it. */
#include "../../c/filz.c"

static void must(bool done)
{
    if (!done)
        abort();
}

static void take(filz_mmap *heap, int count, size_t size)
{
    for (int i = 0; i < count; i++)
        must(filz_mmap_alloc(heap, size, 1) != NULL);
}

struct turns {
    filz_mmap *heap;
    pthread_barrier_t barrier;
};

/* The large block gets a dedicated chunk, because this thread's chunk isn't the last any more. */
static void *second_thread(void *turns)
{
    struct turns *self = turns;
    take(self->heap, 7, KIB);
    pthread_barrier_wait(&self->barrier);
    pthread_barrier_wait(&self->barrier);
    take(self->heap, 1, FZ_LARGE + 1);
    return NULL;
}

/* Thread 1 fills its first chunk, and gets another after that of thread 2. */
static void fill(filz_mmap *heap)
{
    struct turns turns = {.heap = heap};
    pthread_t thread;
    must(pthread_barrier_init(&turns.barrier, NULL, 2) == 0);
    take(heap, 11, KIB);
    must(pthread_create(&thread, NULL, second_thread, &turns) == 0);
    pthread_barrier_wait(&turns.barrier);
    take(heap, 9, KIB);
    pthread_barrier_wait(&turns.barrier);
    must(pthread_join(thread, NULL) == 0);
}

static void show_heap(filz_mmap *heap)
{
    filz_mmap_info info;
    must(filz_mmap_stats(heap, &info) == 0);
    printf("in_chunks %zu\ncommitted %zu\ncapacity %zu\n", info.in_chunks, info.committed, (size_t)DEFAULT_CAPACITY);
    struct fz_chunk *chunk = NULL;
    while (fz_chunk_next(heap->heap, &chunk) == 0 && chunk != NULL)
        printf("chunk %zu %zu %u %d\n", (size_t)chunk->size, fz_chunk_left(chunk), (unsigned)chunk->owner,
               chunk->state == FZ_DEDICATED);
}

int main(void)
{
    static filz_mmap heap = {.capacity = 64 * MIB}; /* enough, and no limit of this machine is less */
    fill(&heap);
    printf("page %zu\nword %zu\n", heap.heap->backing.page_size, sizeof(size_t));
    printf("chunk_header %zu\nstack_header %zu\n", sizeof(struct fz_chunk), sizeof(filz_stack));
    printf("step_min %zu\nstep_max %zu\nlarge %zu\n", step_for(heap.heap, NULL, 1), STEP_MAX, FZ_LARGE);
    printf("commit_first %zu\ncommit_min %zu\ncommit_max %zu\n", commit_step(0), commit_step(1), commit_step(SIZE_MAX));
    show_heap(&heap);
    return filz_mmap_close(&heap);
}
