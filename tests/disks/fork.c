/* Forks with a heap in DIRECTORY, of which the file system may not have been told yet what was stored to it: the child
 * has all of it. tests/disks/run runs it on several file systems.
 *
 *     fork DIRECTORY */
#include "expect.h"

#include <filz.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Large enough for chunks of their own, which aren't prefaulted. */
#define SIZE ((size_t)300 << 10)
#define BLOCKS 9

static unsigned char *blocks[BLOCKS];

static bool is_there(size_t block)
{
    for (size_t i = 0; i < SIZE; i++)
        if (blocks[block][i] != block + 1)
            return false;
    return true;
}

static int missing(size_t blocks_so_far)
{
    int count = 0;
    for (size_t block = 0; block < blocks_so_far; block++)
        count += !is_there(block);
    return count;
}

int main(int argc, char **argv)
{
    EXPECT(argc == 2 && chdir(argv[1]) == 0 && setenv("TMPDIR", ".", 1) == 0);
    filz_mmap heap = {.path = "heap.filz"};
    for (size_t block = 0; block < BLOCKS; block++) {
        blocks[block] = filz_mmap_alloc(&heap, SIZE, 16);
        EXPECT(blocks[block] != NULL);
        memset(blocks[block], (int)block + 1, SIZE);
        pid_t child = fork();
        if (child == 0)
            _exit(missing(block + 1));
        int status;
        EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status));
        EXPECT(WEXITSTATUS(status) == 0);
    }
    printf("%d children had all of it\n", BLOCKS);
    EXPECT(filz_mmap_close(&heap) == 0 && unlink("heap.filz") == 0);
    return 0;
}
