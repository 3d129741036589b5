/* What a program finds after a power cut: opens the heap, walks its lists, allocates 1,000 blocks, walks the lists
 * again, and all of it once more after a close. Prints what is wrong, and exits with 1.
 *
 *     verify FILE EMPTY-TOO GENERATION LENGTH...    the lists must be of this generation and at least that long, or of
 * a later one. EMPTY-TOO isn't 0: or there is no list at all, as always in generation 0 */
#include "../disks/expect.h"
#include "list.h"

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum { BLOCKS = 1000, LARGE = 300 << 10, ARGUMENTS = 4 + LISTS };

struct block {
    unsigned char *at;
    size_t size;
};

static const char *volatile when = "", *volatile doing = "";

__attribute__((format(printf, 1, 2))) static _Noreturn void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("%s%s: ", when, doing);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
    exit(1);
}

/* printf isn't for signal handlers, but the program ends here, and a bad point needs its reason. */
static void die_by_signal(int signal)
{
    fail("signal %d, %s", signal, strsignal(signal));
}

static void check(int error)
{
    if (error != 0)
        fail("%s", filz_error_text(error));
}

static void check_lists(const filz_mmap *heap, const struct lengths *least, bool empty_too)
{
    const struct table *table = filz_mmap_root(heap);
    if (table == NULL && (empty_too || least->generation == 0))
        return;
    if (table == NULL)
        fail("no root, though %ju nodes of list 0 were synced", (uintmax_t)least->of[0]);
    const char *wrong = list_wrong(heap, table);
    if (wrong != NULL)
        fail("%s", wrong);
    if (table->lengths.generation < least->generation)
        fail("generation %ju, though %ju was synced", (uintmax_t)table->lengths.generation,
             (uintmax_t)least->generation);
    for (int list = 0; list < LISTS && table->lengths.generation == least->generation; list++)
        if (table->lengths.of[list] < least->of[list])
            fail("list %d has %ju nodes, though %ju were synced", list, (uintmax_t)table->lengths.of[list],
                 (uintmax_t)least->of[list]);
}

static void check_stats(const filz_mmap *heap)
{
    filz_mmap_info info;
    check(filz_mmap_stats(heap, &info));
    if (info.used > info.in_chunks || info.in_chunks > info.committed || info.committed > info.capacity)
        fail("%zu used, %zu in chunks, %zu committed, capacity %zu", info.used, info.in_chunks, info.committed,
             info.capacity);
}

static bool is_filled(const struct block *block, int byte)
{
    return block->at[0] == byte && memcmp(block->at, block->at + 1, block->size - 1) == 0;
}

/* After a power cut there may be leftovers where the next block goes: one that has to be zero is cleared. */
static void take_blocks(filz_mmap *heap, struct block *blocks)
{
    unsigned seed = 1;
    for (int i = 0; i < BLOCKS; i++) {
        bool zeroed = i % 3 == 0;
        size_t size = 2 + (size_t)rand_r(&seed) % (i % 250 == 99 ? LARGE : 1000);
        unsigned char *at = zeroed ? filz_mmap_alloc_zeroed(heap, size, 8) : filz_mmap_alloc(heap, size, 8);
        if (at == NULL)
            fail("block %d: %s", i, strerror(errno));
        blocks[i] = (struct block){at, size};
        if (zeroed && !is_filled(&blocks[i], 0))
            fail("block %d isn't zero", i);
        memset(at, i & 255, size);
    }
}

static void check_blocks(const struct block *blocks)
{
    for (int i = 0; i < BLOCKS; i++)
        if (!is_filled(&blocks[i], i & 255))
            fail("block %d isn't what was stored in it", i);
}

static void go_on(filz_mmap *heap, const struct lengths *least, bool empty_too)
{
    static struct block blocks[BLOCKS];
    doing = "1,000 new blocks";
    take_blocks(heap, blocks);
    doing = "the new blocks after all are stored";
    check_blocks(blocks);
    doing = "the lists after new blocks";
    check_lists(heap, least, empty_too);
    doing = "stats after new blocks";
    check_stats(heap);
    doing = "sync after new blocks";
    check(filz_mmap_sync(heap));
}

static void open_and_check(filz_mmap *heap, const struct lengths *least, bool empty_too)
{
    doing = "open";
    check(filz_mmap_open(heap));
    doing = "stats";
    check_stats(heap);
    doing = "the lists";
    check_lists(heap, least, empty_too);
}

static struct lengths lengths_of(const filz_mmap *heap)
{
    const struct table *table = filz_mmap_root(heap);
    return table == NULL ? (struct lengths){0} : table->lengths;
}

int main(int argc, char **argv)
{
    EXPECT(argc == ARGUMENTS);
    bool empty_too = strcmp(argv[2], "0") != 0;
    struct lengths least = {.generation = strtoull(argv[3], NULL, 10)};
    for (int list = 0; list < LISTS; list++)
        least.of[list] = strtoull(argv[4 + list], NULL, 10);
    signal(SIGBUS, die_by_signal);
    signal(SIGSEGV, die_by_signal);
    signal(SIGALRM, die_by_signal);
    alarm(PATIENCE);

    doing = "the file";
    if (access(argv[1], F_OK) != 0 && least.generation > 0)
        fail("%s", strerror(errno));
    filz_mmap heap = list_heap(argv[1]);
    open_and_check(&heap, &least, empty_too);
    struct lengths found = lengths_of(&heap);
    go_on(&heap, &found, false);
    doing = "close";
    check(filz_mmap_close(&heap));
    when = "after an orderly close, ";
    open_and_check(&heap, &found, false);
    check(filz_mmap_close(&heap));
    return 0;
}
