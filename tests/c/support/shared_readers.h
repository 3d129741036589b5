/* A reader of a shared heap, in another process: it does what it is asked for while this process writes. */
#ifndef FILZ_TESTS_SHARED_READERS_H
#define FILZ_TESTS_SHARED_READERS_H

#include "actors.h"

enum command {
    OPEN = 'o',
    WALK = 'w', /* -2: there is no root */
    COUNT_BLOCKS = 'b',
    COUNT_PAGES = 'p',
    READ_LAST = 'l',
    REALLOC_NEWEST = 'r', /* an errno value */
    TRY_TO_CHANGE = 'c',
    GET_CAPACITY = 'm',
    CLOSE_DESCRIPTOR = 'd',
};

static char *last_byte; /* of a block that the writer made */

static int64_t count_blocks(const filz_mmap *reader)
{
    filz_mmap_info info;
    if (filz_mmap_stats(reader, &info) != 0 || info.used > info.in_chunks || info.in_chunks > info.committed)
        return -1;
    return (int64_t)info.blocks;
}

static int64_t count_used_pages(const filz_mmap *reader)
{
    static unsigned char states[16 << 10];
    size_t count = pages_of(reader, 0, sizeof(states), states);
    int64_t used = 0;
    for (size_t i = 0; i < count; i++)
        used += (states[i] & FILZ_PAGE_KIND) == FILZ_PAGE_USED;
    return used;
}

static int64_t realloc_newest(filz_mmap *reader)
{
    struct lists *lists = filz_mmap_root(reader);
    return filz_mmap_realloc(reader, lists->newest[0], NODE, 8, 2 * NODE) == NULL ? errno : 0;
}

static int64_t answer(filz_mmap *reader, enum command command)
{
    switch (command) {
    case OPEN:
        return filz_mmap_open(reader);
    case WALK:
        return filz_mmap_root(reader) != NULL ? walk_list(reader, filz_mmap_root(reader), 0) : -2;
    case COUNT_BLOCKS:
        return count_blocks(reader);
    case COUNT_PAGES:
        return count_used_pages(reader);
    case READ_LAST:
        return *(volatile char *)last_byte;
    case REALLOC_NEWEST:
        return realloc_newest(reader);
    case GET_CAPACITY:
        return (int64_t)stats_of(reader).capacity;
    case CLOSE_DESCRIPTOR:
        return close(descriptor_of(reader));
    default:
        return filz_mmap_set_root(reader, NULL) == EROFS && filz_mmap_reset(reader) == EROFS;
    }
}

static size_t capacity_of_readers;

static void serve(void)
{
    char command;
    filz_mmap reader = reader_of(PATH);
    reader.capacity = capacity_of_readers;
    while (read(self->to[0], &command, 1) == 1)
        say(answer(&reader, (enum command)command));
    if (filz_mmap_close(&reader) != 0)
        _exit(97);
}

/* Its heap isn't open yet. Its capacity is what it asks for; 0: the default. */
static struct actor begin_reader(size_t capacity)
{
    capacity_of_readers = capacity;
    return begin_actor(serve);
}

MAYBE_UNUSED static struct actor open_reader(void)
{
    struct actor reader = begin_reader(0);
    assert_int_equal(ask(&reader, OPEN), 0);
    return reader;
}

MAYBE_UNUSED static void end_reader(struct actor *reader)
{
    assert_int_equal(end_actor(reader), 0);
}

#endif
