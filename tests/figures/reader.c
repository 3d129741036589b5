/* A reader of a persistent heap.
 *
 *     reader make        makes the heap in the working directory
 *     reader read        opens it read-only and reads all of it
 *     reader nothing     reads no heap
 *
 * The last two print how many KiB of memory are theirs alone, and wait for the end of their input. */
#include <filz/mmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE ((size_t)64 << 20)
#define STEP 4096

static filz_mmap heap = {.path = "reader.filz", .tag = 1};

static void check(int error)
{
    if (error == 0)
        return;
    fprintf(stderr, "reader: %s\n", filz_error_text(error));
    exit(EXIT_FAILURE);
}

static void make(void)
{
    heap.flags = FILZ_MMAP_PERSISTENT;
    char *block = filz_mmap_alloc(&heap, SIZE, 1);
    if (block == NULL)
        exit(EXIT_FAILURE);
    memset(block, 1, SIZE);
    check(filz_mmap_set_root(&heap, block));
    check(filz_mmap_close(&heap));
}

static void read_all(void)
{
    heap.flags = FILZ_MMAP_READ_ONLY;
    check(filz_mmap_open(&heap));
    const volatile char *block = filz_mmap_root(&heap);
    size_t sum = 0;
    for (size_t i = 0; i < SIZE; i += STEP)
        sum += (size_t)block[i];
    if (sum != SIZE / STEP)
        exit(EXIT_FAILURE);
}

/* Pages that no other process has mapped, whether it has written them or not. */
static unsigned long private_kib(void)
{
    char line[200];
    unsigned long sum = 0;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    if (file == NULL)
        exit(EXIT_FAILURE);
    while (fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, "Private_", 8) == 0 && strncmp(line, "Private_Hugetlb", 15) != 0)
            sum += strtoul(strchr(line, ':') + 1, NULL, 10);
    fclose(file);
    return sum;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "make") == 0) {
        make();
        return EXIT_SUCCESS;
    }
    if (argc > 1 && strcmp(argv[1], "read") == 0)
        read_all();
    printf("%lu\n", private_kib());
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return EXIT_SUCCESS;
}
