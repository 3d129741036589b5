/* SQLite, with a database in memory: all of it is in one heap, whose capacity is its limit. The sizes that SQLite
 * passes are int. When the heap is full, SQLite says SQLITE_NOMEM, and the program goes on. */
#include <filz/hooks.h>
#include <sqlite3.h>
#include <stdio.h>

static filz_mmap heap = {.capacity = 64 << 20};
FILZ_HOOKS(sql, &heap)

static void *sql_malloc_int(int size)
{
    return sql_malloc((size_t)size);
}

static void *sql_realloc_int(void *block, int size)
{
    return sql_realloc(block, (size_t)size);
}

static int sql_size(void *block)
{
    return (int)sql_usable_size(block);
}

static int sql_roundup(int size)
{
    return (int)sql_good_size((size_t)size);
}

static int sql_begin(void *context)
{
    (void)context;
    return SQLITE_OK;
}

static void sql_end(void *context)
{
    (void)context;
}

static const sqlite3_mem_methods methods = {
    .xMalloc = sql_malloc_int,
    .xFree = sql_free,
    .xRealloc = sql_realloc_int,
    .xSize = sql_size,
    .xRoundup = sql_roundup,
    .xInit = sql_begin,
    .xShutdown = sql_end,
};

static int print_row(void *context, int columns, char **values, char **names)
{
    (void)context, (void)columns;
    return printf("%s: %s\n", names[0], values[0]) < 0;
}

int main(void)
{
    sqlite3 *database;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK || sqlite3_open(":memory:", &database) != SQLITE_OK)
        return 1;
    int error = sqlite3_exec(database,
                             "create table numbers (n integer primary key, square integer);"
                             "with recursive i (n) as (select 1 union all select n + 1 from i where n < 1000)"
                             " insert into numbers select n, n * n from i;"
                             "select sum(square) as 'sum of squares' from numbers",
                             print_row, NULL, NULL);
    if (error == SQLITE_OK) /* more than the heap has */
        error = sqlite3_exec(database, "select length(group_concat(zeroblob(100000))) from numbers", NULL, NULL, NULL);
    puts(sqlite3_errstr(error));
    sqlite3_close(database);
    sqlite3_shutdown(); /* before the heap is closed */
    return filz_mmap_close(&heap);
}
