/* A chunk's header that can't be right, in a persistent heap that was closed in order. Opening reads the last chunk's
 * alone, so the heap opens; whatever walks the chunks reports the damage, and no block is lost to it. */
#include "threads.h"

#define PATH "damaged.filz"

enum { THREADS = 4, LARGE_BLOCKS = 2, CHUNKS = 1 + THREADS + LARGE_BLOCKS, HEADER_SIZE = 64, MOST_PAGES = 4096 };

static filz_mmap persistent_heap(void)
{
    return (filz_mmap){.path = PATH, .capacity = 8 * MIB, .flags = FILZ_MMAP_PERSISTENT, .tag = 1};
}

/* -- A heap with several chunks ------------------------------------------------------------------------------------ */

/* The first block in a chunk, filled with `byte` after its text. */
struct first_block {
    char text[HEADER_SIZE];
    unsigned char filling[];
};

/* The first block of each chunk, as the root leads to them. */
struct table {
    struct first_block *blocks[CHUNKS];
    size_t sizes[CHUNKS];
};

static int byte_of(size_t number)
{
    return 'A' + (int)number;
}

static struct first_block *new_block(filz_mmap *heap, size_t number, size_t size)
{
    struct first_block *block = filz_mmap_alloc(heap, sizeof(*block) + size, 1);
    if (block == NULL)
        return NULL;
    memset(block, 0, sizeof(*block));
    snprintf(block->text, sizeof(block->text), "the first block of chunk %zu", number);
    memset(block->filling, byte_of(number), size);
    return block;
}

struct thread_with_chunk {
    filz_mmap *heap;
    pthread_barrier_t *all_have_one;
    size_t number;
    struct first_block *block;
};

static void *take_a_chunk(void *context)
{
    struct thread_with_chunk *thread = context;
    thread->block = new_block(thread->heap, thread->number, 100);
    pthread_barrier_wait(thread->all_have_one);
    return NULL;
}

static void take_chunks_in_threads(filz_mmap *heap, struct table *table)
{
    pthread_barrier_t all_have_one;
    struct thread_with_chunk threads[THREADS];
    assert_int_equal(pthread_barrier_init(&all_have_one, NULL, THREADS), 0);
    for (size_t i = 0; i < THREADS; i++)
        threads[i] = (struct thread_with_chunk){heap, &all_have_one, 1 + i, NULL};
    in_threads(THREADS, take_a_chunk, threads, sizeof(threads[0]));
    for (size_t i = 0; i < THREADS; i++) {
        table->blocks[1 + i] = threads[i].block;
        table->sizes[1 + i] = 100;
    }
    assert_int_equal(pthread_barrier_destroy(&all_have_one), 0);
}

/* The main thread's chunk comes first, then one for each other thread, then one for each large block. */
static void make_heap(void)
{
    filz_mmap heap = persistent_heap();
    struct first_block *first = new_block(&heap, 0, 100);
    struct table *table = filz_mmap_alloc_zeroed(&heap, sizeof(*table), _Alignof(struct table));
    assert_non_null(table);
    assert_int_equal(filz_mmap_set_root(&heap, table), 0);
    table->blocks[0] = first;
    table->sizes[0] = 100;
    take_chunks_in_threads(&heap, table);
    for (size_t i = 1 + THREADS; i < CHUNKS; i++) {
        table->blocks[i] = new_block(&heap, i, 300 * KIB);
        table->sizes[i] = 300 * KIB;
    }
    for (size_t i = 0; i < CHUNKS; i++)
        assert_non_null(table->blocks[i]);
    assert_int_equal(stats_of(&heap).chunks, CHUNKS);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* -- Its file ------------------------------------------------------------------------------------------------------ */

struct file {
    char *bytes;
    size_t size;
    size_t chunks[CHUNKS]; /* offsets of their headers */
};

static struct file read_heap_file(void)
{
    struct stat status;
    int fd = open(PATH, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &status), 0);
    struct file file = {.bytes = malloc((size_t)status.st_size), .size = (size_t)status.st_size};
    assert_non_null(file.bytes);
    assert_int_equal(read(fd, file.bytes, file.size), file.size);
    close(fd);
    return file;
}

static void write_heap_file(const struct file *file)
{
    int fd = open(PATH, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(write(fd, file->bytes, file->size), file->size);
    assert_int_equal(close(fd), 0);
}

/* A chunk begins in the page that its first block begins in. The last one is the last large block's; the threads' are
 * in any order. */
static void find_chunks(struct file *file)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < CHUNKS; i++) {
        char text[HEADER_SIZE] = "";
        int length = snprintf(text, sizeof(text), "the first block of chunk %zu", i);
        const char *found = memmem(file->bytes, file->size, text, (size_t)length + 1);
        assert_non_null(found);
        file->chunks[i] = (size_t)(found - file->bytes) / page * page;
        assert_true(found - file->bytes - (ptrdiff_t)file->chunks[i] >= HEADER_SIZE);
        for (size_t j = 0; j < i; j++)
            assert_true(file->chunks[j] != file->chunks[i] && (i < CHUNKS - 1 || file->chunks[j] < file->chunks[i]));
    }
}

/* -- What is done with it ------------------------------------------------------------------------------------------ */

static int blocks_are_whole(const struct table *table)
{
    for (size_t i = 0; i < CHUNKS; i++)
        EXPECT(is_filled(table->blocks[i]->filling, byte_of(i), table->sizes[i]));
    return 0;
}

static int damage_is_reported(const filz_mmap *heap)
{
    static unsigned char states[MOST_PAGES];
    filz_mmap_info info;
    EXPECT(filz_mmap_stats(heap, &info) == FILZ_EDAMAGED);
    for (size_t first = 0; first < 3; first++) {
        size_t count = MOST_PAGES;
        EXPECT(filz_mmap_pages(heap, first, &count, states) == FILZ_EDAMAGED);
        EXPECT(count == 0);
    }
    return 0;
}

/* Each thread writes to what it gets, which may be nothing. */
static void *allocate_after_damage(void *context)
{
    filz_mmap *heap = *(filz_mmap **)context;
    for (size_t i = 0; i < 20; i++) {
        char *block = filz_mmap_alloc(heap, 100, 16);
        if (block != NULL && (!filz_mmap_owns(heap, block) || !filz_mmap_owns(heap, block + 99)))
            abort();
        if (block != NULL)
            memset(block, 'x', 100);
    }
    return NULL;
}

static int open_damaged(void *unused)
{
    (void)unused;
    filz_mmap heap = persistent_heap();
    filz_mmap *same[8] = {&heap, &heap, &heap, &heap, &heap, &heap, &heap, &heap};
    pthread_t threads[COUNT(same)];
    EXPECT(filz_mmap_open(&heap) == 0);
    const struct table *table = filz_mmap_root(&heap);
    EXPECT(table != NULL && blocks_are_whole(table) == 0);
    EXPECT(damage_is_reported(&heap) == 0);
    for (size_t i = 0; i < COUNT(same); i++)
        EXPECT(pthread_create(&threads[i], NULL, allocate_after_damage, &same[i]) == 0);
    for (size_t i = 0; i < COUNT(same); i++)
        EXPECT(pthread_join(threads[i], NULL) == 0);
    EXPECT(blocks_are_whole(table) == 0);
    char *block = filz_mmap_alloc(&heap, 100, 16);
    EXPECT(block != NULL && filz_mmap_realloc(&heap, block, 100, 16, 200) != NULL);
    return filz_mmap_close(&heap);
}

static void assert_undamaged_heap_is_whole(void)
{
    static unsigned char states[MOST_PAGES];
    filz_mmap heap = persistent_heap();
    size_t count = MOST_PAGES;
    assert_int_equal(filz_mmap_open(&heap), 0);
    assert_int_equal(stats_of(&heap).chunks, CHUNKS);
    assert_int_equal(filz_mmap_pages(&heap, 0, &count, states), 0);
    assert_int_equal(count, stats_of(&heap).committed / stats_of(&heap).page_size);
    assert_int_equal(blocks_are_whole(filz_mmap_root(&heap)), 0);
    assert_int_equal(filz_mmap_close(&heap), 0);
}

/* Fills the header of each chunk but the last with `byte`, one at a time. */
static void assert_damage_is_reported(int byte)
{
    make_heap();
    struct file whole = read_heap_file();
    find_chunks(&whole);
    for (size_t i = 0; i < CHUNKS - 1; i++) {
        char header[HEADER_SIZE];
        char *damaged = whole.bytes + whole.chunks[i];
        memcpy(header, damaged, HEADER_SIZE);
        memset(damaged, byte, HEADER_SIZE);
        write_heap_file(&whole);
        memcpy(damaged, header, HEADER_SIZE);
        int status = in_child(open_damaged, NULL);
        if (status != 0)
            print_message("chunk %zu of %d, at offset %zu\n", i, CHUNKS, whole.chunks[i]);
        assert_int_equal(status, 0);
        write_heap_file(&whole);
        assert_undamaged_heap_is_whole();
    }
    free(whole.bytes);
}

static void a_chunk_header_of_zeros_is_reported_by_stats_and_pages(void **state)
{
    (void)state;
    assert_damage_is_reported(0);
}

static void a_chunk_header_of_ones_is_reported_by_stats_and_pages(void **state)
{
    (void)state;
    assert_damage_is_reported(0xFF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_chunk_header_of_zeros_is_reported_by_stats_and_pages),
        IN_FRESH_DIRECTORY(a_chunk_header_of_ones_is_reported_by_stats_and_pages),
    };
    return cmocka_run_group_tests_name("damaged_chunks", tests, NULL, NULL);
}
