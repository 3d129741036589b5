/* SQLite: malloc, free, realloc, the size of a block and what a size is rounded up to; all sizes are int. */
#define LIBRARY "SQLite"
#include "library.h"

#include <sqlite3.h>

enum { ROWS = 5000 };

static void *filz_malloc_int(int size)
{
    return hook_malloc((size_t)size);
}

static void *filz_realloc_int(void *block, int size)
{
    return hook_realloc(block, (size_t)size);
}

static int filz_size(void *block)
{
    return (int)hook_usable_size(block);
}

static int filz_roundup(int size)
{
    return (int)hook_good_size((size_t)size);
}

static void *counted_malloc_int(int size)
{
    return counted_malloc((size_t)size);
}

static void *counted_realloc_int(void *block, int size)
{
    return counted_realloc(block, (size_t)size);
}

static int counted_size_int(void *block)
{
    return block != NULL ? (int)counted_size(block) : 0;
}

static int round_to_8(int size)
{
    return (size + 7) & ~7;
}

static int begin(void *context)
{
    (void)context;
    return SQLITE_OK;
}

static void end(void *context)
{
    (void)context;
}

static void use(enum source source)
{
    static const sqlite3_mem_methods of_filz = {
        filz_malloc_int, hook_free, filz_realloc_int, filz_size, filz_roundup, begin, end, NULL};
    static const sqlite3_mem_methods of_malloc = {
        counted_malloc_int, counted_free, counted_realloc_int, counted_size_int, round_to_8, begin, end, NULL};
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, source == FILZ ? &of_filz : &of_malloc), SQLITE_OK);
}

/* The answer to a query that has one number; -1 if there is none. */
static sqlite3_int64 number(sqlite3 *database, const char *query, int *error)
{
    sqlite3_stmt *statement = NULL;
    sqlite3_int64 result = -1;
    *error = sqlite3_prepare_v2(database, query, -1, &statement, NULL);
    if (*error == SQLITE_OK)
        *error = sqlite3_step(statement);
    if (*error == SQLITE_ROW) {
        result = sqlite3_column_int64(statement, 0);
        *error = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return result;
}

static const struct {
    const char *query;
    sqlite3_int64 answer;
} questions[] = {
    {"select count(*) from people", ROWS},
    {"select sum(number) from people", (sqlite3_int64)ROWS *(ROWS - 1) / 2},
    {"select number from people where name = 'person 4321'", 4321},
    {"select count(*) from people a join people b on b.number = a.number + 1", ROWS - 1},
    {"select sum(n * n) from (select count(*) n from people group by town)", 100 * (ROWS / 100) * (ROWS / 100)},
    {"select number from people order by length(name), name desc limit 1", 9},
    {"select max(number) from (select distinct number % 77 number from people)", 76},
    {"select count(*) from people where name like '%99%'", 95},
};

static const char *insert(sqlite3 *database, int first, int count)
{
    sqlite3_stmt *statement = NULL;
    int error =
        sqlite3_prepare_v2(database, "insert into people values (?1, 'person ' || ?1, ?1 % 100)", -1, &statement, NULL);
    for (int i = first; i < first + count && error == SQLITE_OK; i++) {
        sqlite3_bind_int(statement, 1, i);
        if (sqlite3_step(statement) != SQLITE_DONE)
            error = sqlite3_errcode(database);
        int reset = sqlite3_reset(statement);
        error = error == SQLITE_OK ? reset : error;
    }
    sqlite3_finalize(statement);
    return error == SQLITE_OK ? NULL : error == SQLITE_NOMEM ? out_of_memory : "insert failed";
}

static const char *create(sqlite3 *database)
{
    int error = sqlite3_exec(database,
                             "create table people (number integer primary key, name text, town integer);"
                             "create index names on people (name); create index towns on people (town)",
                             NULL, NULL, NULL);
    return error == SQLITE_OK ? NULL : error == SQLITE_NOMEM ? out_of_memory : "create failed";
}

static const char *fill_and_ask(sqlite3 *database)
{
    const char *answer = create(database);
    for (int first = 0; first < ROWS && answer == NULL; first += 1000) {
        int error = sqlite3_exec(database, "begin", NULL, NULL, NULL);
        if (error == SQLITE_OK)
            answer = insert(database, first, 1000);
        if (error == SQLITE_OK && answer == NULL)
            error = sqlite3_exec(database, "commit", NULL, NULL, NULL);
        if (error != SQLITE_OK)
            answer = error == SQLITE_NOMEM ? out_of_memory : "a transaction failed";
    }
    for (size_t i = 0; i < COUNT(questions) && answer == NULL; i++) {
        int error;
        sqlite3_int64 found = number(database, questions[i].query, &error);
        if (error != SQLITE_OK)
            answer = error == SQLITE_NOMEM ? out_of_memory : "a query failed";
        else if (found != questions[i].answer)
            answer = questions[i].query;
    }
    return answer;
}

static const char *run(void)
{
    sqlite3 *database = NULL;
    int error = sqlite3_initialize();
    if (error == SQLITE_OK)
        error = sqlite3_open(":memory:", &database);
    const char *answer = error == SQLITE_OK      ? fill_and_ask(database)
                         : error == SQLITE_NOMEM ? out_of_memory
                                                 : "can't open";
    if (sqlite3_close(database) != SQLITE_OK)
        answer = "close failed";
    if (sqlite3_shutdown() != SQLITE_OK)
        answer = "shutdown failed";
    return answer;
}

/* Each of these rows stays where it is, so that most of the heap is the database. */
static const char *insert_1000_bytes(sqlite3 *database, int rows, int *done)
{
    sqlite3_stmt *statement = NULL;
    int error =
        sqlite3_prepare_v2(database, "insert into people values (?1, zeroblob(1000), ?1)", -1, &statement, NULL);
    for (*done = 0; *done < rows && error == SQLITE_OK; *done += error == SQLITE_OK) {
        sqlite3_bind_null(statement, 1);
        error = sqlite3_step(statement) == SQLITE_DONE ? SQLITE_OK : sqlite3_errcode(database);
        int reset = sqlite3_reset(statement);
        error = error == SQLITE_OK ? reset : error;
    }
    sqlite3_finalize(statement);
    return error == SQLITE_OK ? NULL : error == SQLITE_NOMEM ? out_of_memory : "insert failed";
}

/* Adds rows until there is no memory. The heap never gets a byte back, so the database stays full; but it answers what
 * it can, and closes. */
static void a_memory_database_grows_until_the_heap_is_full_says_so_and_closes(void **state)
{
    (void)state;
    sqlite3 *database = NULL;
    int rows, error;
    open_heap(16 * MIB);
    use(FILZ);
    assert_int_equal(sqlite3_initialize(), SQLITE_OK);
    assert_int_equal(sqlite3_open(":memory:", &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, "create table people (number integer primary key, data, town)", 0, 0, 0),
                     SQLITE_OK);
    assert_ptr_equal(insert_1000_bytes(database, 1 << 20, &rows), out_of_memory);
    assert_true(rows > 1000);

    sqlite3_int64 found = number(database, "select count(*) from people", &error);
    assert_true(error == SQLITE_OK || error == SQLITE_NOMEM);
    if (error == SQLITE_OK)
        assert_in_range(found, rows, rows + 1);
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(database, "select * from people order by data desc", -1, &statement, NULL),
                     SQLITE_NOMEM);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
    assert_int_equal(sqlite3_shutdown(), SQLITE_OK);
    print_message("%d rows in %zu bytes\n", rows, stats_of(&heap).used);
    close_heap();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIBRARY_TESTS, cmocka_unit_test(a_memory_database_grows_until_the_heap_is_full_says_so_and_closes)};
    return cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);
}
