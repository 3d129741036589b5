/* What parent and child read after fork, for three kinds of heap. Each has six pages that were filled before the fork,
 * and asks for one more afterwards. Then the child writes `c` to pages 1 and 3 and to its new one; after it, the parent
 * writes `p` to pages 2 and 3 and to its own new one; then both read. */
#include <filz/mmap.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGES = 6 };

struct view {
    char letters[PAGES + 1]; /* the first byte of each page, and of the new one */
    size_t new_page;         /* where that is, in pages */
};

static size_t page;
static filz_mmap heap;
static char *cursor; /* of the heap in a mapping that both share */

static void check(int is_well, const char *what)
{
    if (is_well)
        return;
    perror(what);
    exit(1);
}

static char *alloc_shared(size_t size)
{
    char *block = cursor;
    cursor += size;
    return block;
}

static char *alloc_filz(size_t size)
{
    return filz_mmap_alloc(&heap, size, page);
}

/* One process's part: its new page, its stores; `letter` is its own. */
static struct view write_and_wait(char *pages, char *(*alloc)(size_t), char letter, int first, int wait_on, int tell)
{
    char *fresh = alloc(page);
    char token = 0;
    check(fresh != NULL, "no room");
    if (letter == 'p')
        check(read(wait_on, &token, 1) == 1, "read");
    pages[(size_t)first * page] = pages[3 * page] = *fresh = letter;
    check(write(tell, &token, 1) == 1, "write");
    if (letter == 'c')
        check(read(wait_on, &token, 1) == 1, "read");

    struct view view = {.new_page = ((uintptr_t)fresh - (uintptr_t)pages) / page};
    for (size_t i = 0; i < PAGES; i++)
        view.letters[i] = pages[i * page];
    view.letters[PAGES] = *fresh;
    return view;
}

static void print(const char *name, const char *who, struct view view)
{
    printf("%-18s%-8s", name, who);
    for (int i = 0; i < PAGES; i++)
        printf(" %c", view.letters[i]);
    printf("   %c in page %zu\n", view.letters[PAGES], view.new_page);
}

static void try_fork(const char *name, char *(*alloc)(size_t))
{
    char *pages = alloc(PAGES * page);
    int to_parent[2], to_child[2], views[2];
    check(pages != NULL, "no room");
    for (size_t i = 0; i < PAGES; i++)
        pages[i * page] = 'a';
    check(pipe(to_parent) == 0 && pipe(to_child) == 0 && pipe(views) == 0, "pipe");

    fflush(stdout);
    pid_t child = fork();
    check(child >= 0, "fork");
    if (child == 0) {
        struct view view = write_and_wait(pages, alloc, 'c', 1, to_child[0], to_parent[1]);
        _exit(write(views[1], &view, sizeof(view)) != sizeof(view));
    }
    struct view mine = write_and_wait(pages, alloc, 'p', 2, to_parent[0], to_child[1]), childs;
    int status;
    check(read(views[0], &childs, sizeof(childs)) == sizeof(childs), "read");
    check(waitpid(child, &status, 0) == child && status == 0, "the child");
    print(name, "parent", mine);
    print("", "child", childs);
    for (int i = 0; i < 2; i++)
        check(close(to_parent[i]) == 0 && close(to_child[i]) == 0 && close(views[i]) == 0, "close");
}

int main(void)
{
    page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = (PAGES + 1) * page;
    cursor = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(cursor != MAP_FAILED, "mmap");

    printf("%26spage 0 1 2 3 4 5   the new one\n", "");
    printf("%-26s     a a a a a a\n", "before");
    try_fork("one mapping", alloc_shared);

    setenv("FILZ_FORK", "private", 1);
    try_fork("FILZ_FORK=private", alloc_filz);
    unsetenv("FILZ_FORK");
    filz_mmap_close(&heap);

    try_fork("filz", alloc_filz);
    return filz_mmap_close(&heap);
}
