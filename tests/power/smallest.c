/* The smallest form of a power cut, without a disk: nodes are built and synced, the file is copied, as many more nodes
 * are built, and of these some pages reach the copy. Each node that was synced is in it when it is opened.
 *
 *     smallest DIRECTORY TRIES SEED    TRIES is how often any pages reach the copy; the header alone does so first */
#include "../disks/expect.h"
#include "list.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, NODES = 1000, GENERATION = 1 };

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
    random_state = random_state * 6364136223846793005 + 1442695040888963407;
    return (random_state >> 33) % below;
}

struct bytes {
    char *at;
    size_t size;
};

static struct bytes read_file(const char *path)
{
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    EXPECT(file >= 0 && fstat(file, &status) == 0);
    struct bytes bytes = {malloc((size_t)status.st_size), (size_t)status.st_size};
    EXPECT(bytes.at != NULL && read(file, bytes.at, bytes.size) == status.st_size && close(file) == 0);
    return bytes;
}

static void write_file(const char *path, const struct bytes *bytes)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    EXPECT(file >= 0 && write(file, bytes->at, bytes->size) == (ssize_t)bytes->size && close(file) == 0);
}

static void add_nodes(filz_mmap *heap, struct node **newest)
{
    for (int i = 0; i < NODES; i++)
        newest[0] = list_new_node(heap, GENERATION, 0, newest[0], (size_t)draw(500) & ~(size_t)7);
}

/* What the file is when 1,000 nodes are on the disk, and when as many more are in memory. `with_root`: the root is
 * moved to these, too early. */
static void build(bool with_root, struct bytes *synced, struct bytes *later)
{
    struct node *newest[LISTS] = {NULL};
    filz_mmap heap = list_heap("smallest.filz");
    add_nodes(&heap, newest);
    EXPECT(filz_mmap_set_root(&heap, list_new_table(&heap, GENERATION, newest)) == 0);
    EXPECT(filz_mmap_sync(&heap) == 0);
    *synced = read_file("smallest.filz");
    add_nodes(&heap, newest);
    if (with_root)
        EXPECT(filz_mmap_set_root(&heap, list_new_table(&heap, GENERATION, newest)) == 0);
    *later = read_file("smallest.filz");
    EXPECT(filz_mmap_close(&heap) == 0 && unlink("smallest.filz") == 0);
}

/* In a process of its own, as it may end by a signal. */
static const char *wrong_in_child(void)
{
    filz_mmap heap = list_heap("copy.filz");
    int error = filz_mmap_open(&heap);
    if (error != 0)
        return filz_error_text(error);
    struct node *newest[LISTS] = {NULL};
    for (int walk = 0; walk < 2; walk++) {
        const struct table *table = filz_mmap_root(&heap);
        if (table == NULL)
            return "no root";
        const char *wrong = list_wrong(&heap, table);
        if (wrong != NULL)
            return wrong;
        if (table->lengths.of[0] != NODES)
            return "the root leads to other nodes";
        add_nodes(&heap, newest);
    }
    filz_mmap_info info;
    error = filz_mmap_stats(&heap, &info);
    return error == 0 && filz_mmap_close(&heap) == 0 ? NULL : "stats, or close";
}

/* Says what is wrong the first time. */
static int is_bad(const char *what, const struct bytes *copy)
{
    static bool said;
    int status;
    write_file("copy.filz", copy);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        const char *wrong = wrong_in_child();
        if (wrong != NULL && !said)
            printf("  %s: %s\n", what, wrong);
        fflush(stdout);
        _exit(wrong != NULL);
    }
    EXPECT(waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status) && !said)
        printf("  %s: signal %d\n", what, WTERMSIG(status));
    said |= status != 0;
    return status != 0;
}

static int header_alone(bool with_root)
{
    struct bytes synced, later;
    build(with_root, &synced, &later);
    memcpy(synced.at, later.at, PAGE);
    int bad = is_bad("the newer header over the synced file", &synced);
    free(synced.at);
    free(later.at);
    return bad;
}

/* The file has either of the two sizes, or one between; where neither has a page, it is zero. */
static int any_pages(void)
{
    struct bytes synced, later;
    build(false, &synced, &later);
    struct bytes copy = {.size = synced.size + draw((later.size - synced.size) / PAGE + 1) * PAGE};
    copy.at = calloc(1, copy.size);
    EXPECT(copy.at != NULL);
    memcpy(copy.at, synced.at, synced.size);
    for (size_t page = 0, eighths = draw(9); page < copy.size; page += PAGE)
        if (draw(8) < eighths)
            memcpy(copy.at + page, later.at + page, PAGE);
    int bad = is_bad("any newer pages over the synced file", &copy);
    free(synced.at);
    free(later.at);
    free(copy.at);
    return bad;
}

int main(int argc, char **argv)
{
    EXPECT(argc == 4 && chdir(argv[1]) == 0);
    int tries = atoi(argv[2]), bad = 0;
    random_state = strtoull(argv[3], NULL, 10);
    int bad_headers = header_alone(false) + header_alone(true);
    for (int i = 0; i < tries; i++)
        bad += any_pages();
    printf("without a disk: bad %d of 2 with the newer header alone, %d of %d with any newer pages\n", bad_headers, bad,
           tries);
    return bad_headers + bad > 0;
}
