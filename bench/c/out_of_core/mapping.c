/* A sparse file that is mapped, and a pointer that moves through it. ADVISED: with the best advice that there is for
 * what the program is about to do; else with none. */
#define _GNU_SOURCE 1
#include "out_of_core.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define BASE ((char *)0x210000000000) /* so that addresses stay valid */
#define ROOM ((size_t)64 << 30)

static int file;
static size_t used = 64;

static void map(int flags, int protection)
{
    file = open("out-of-core.mapping", flags | O_CLOEXEC, 0600);
    if (file < 0 || ((flags & O_CREAT) != 0 && ftruncate(file, ROOM) != 0) ||
        mmap(BASE, ROOM, protection, MAP_SHARED | MAP_FIXED_NOREPLACE, file, 0) != BASE)
        fail("the file can't be mapped");
    peer_advise(AT_RANDOM);
}

void allocator_begin(void)
{
    map(O_RDWR | O_CREAT | O_TRUNC, PROT_READ | PROT_WRITE);
}

void *allocator_allocate(size_t size)
{
    void *block = BASE + used;
    used += (size + 63) & ~(size_t)63;
    return block;
}

bool allocator_keep(void *first)
{
    *(void **)BASE = first;
    if (fsync(file) != 0)
        fail("fsync");
    return true;
}

void *allocator_open(void)
{
    map(O_RDONLY, PROT_READ);
    return *(void **)BASE;
}

bool peer_advise(enum pattern pattern)
{
    if (ADVISED)
        madvise(BASE, ROOM, pattern == IN_ORDER ? MADV_SEQUENTIAL : MADV_RANDOM);
    return ADVISED;
}
