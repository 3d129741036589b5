/* A program under a seccomp filter that allows memory calls and no file calls, as sandboxes have it: what is allocated
 * is there, or NULL, and nothing ends the process. */
#include "support.h"

/* musl-gcc has no headers of the kernel. */
#if __has_include(<linux/seccomp.h>)
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* What the heap's memory needs, and what the test itself does. */
static const unsigned allowed[] = {
#ifdef SYS_mmap2
    SYS_mmap2,
#endif
#ifdef SYS_mmap
    SYS_mmap,
#endif
#ifdef SYS_futex_time64
    SYS_futex_time64,
#endif
#ifdef SYS_fstat
    SYS_fstat,
#endif
    SYS_munmap,       SYS_brk,        SYS_madvise, SYS_mprotect,       SYS_mremap,
    SYS_write,        SYS_exit_group, SYS_exit,    SYS_rt_sigprocmask, SYS_futex,
};

/* All others are EPERM. */
static bool enter_sandbox(void)
{
    struct sock_filter filter[2 * COUNT(allowed) + 2];
    struct sock_fprog program = {.filter = filter, .len = COUNT(filter)};
    size_t length = 0;
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < COUNT(allowed); i++) {
        filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
        filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
           close(-1) != 0 && errno == EPERM;
}
#else
static bool enter_sandbox(void)
{
    return false;
}
#endif

enum { BLOCKS = 100 };

/* Returns how many there were, each of 1 MiB; all of them are whole. */
static size_t allocate_100_mebibytes(filz_mmap *heap)
{
    char *blocks[BLOCKS];
    size_t count = 0;
    for (size_t i = 0; i < BLOCKS; i++) {
        char *block = filz_mmap_alloc(heap, MIB, 1);
        if (block != NULL)
            blocks[count++] = memset(block, (int)i, MIB);
        else if (errno == 0)
            return SIZE_MAX;
    }
    for (size_t i = 0; i < count; i++)
        if (!is_filled(blocks[i], blocks[i][0], MIB))
            return SIZE_MAX;
    return count;
}

struct sandbox {
    const char *path;
    bool opens_before; /* the filter comes when the heap is open */
    bool exits;        /* else it is closed */
};

static int live_in(void *context)
{
    const struct sandbox *sandbox = context;
    static filz_mmap heap;
    heap = (filz_mmap){.path = sandbox->path, .capacity = 256 * MIB};
    char *before = sandbox->opens_before ? filz_mmap_alloc(&heap, 1000, 1) : NULL;
    EXPECT(!sandbox->opens_before || before != NULL);
    if (before != NULL)
        memset(before, 'b', 1000);
    if (!enter_sandbox())
        return SKIPPED;
    errno = 0;
    size_t count = allocate_100_mebibytes(&heap);
    EXPECT(count <= BLOCKS);
    EXPECT(before == NULL || is_filled(before, 'b', 1000));
    EXPECT(sandbox->opens_before || count == 0); /* it has no file */
    EXPECT(sandbox->exits || filz_mmap_close(&heap) == 0);
    return 0;
}

static void a_program_that_may_only_map_memory_gets_blocks_or_NULL_and_goes_on(void **state)
{
    (void)state;
    if (SANITIZED)
        SKIP("the sanitizers make calls of their own");
    setenv("FILZ_QUIET", "1", 1);
    for (int i = 0; i < 8; i++) {
        struct sandbox sandbox = {i & 1 ? "named.filz" : NULL, i & 2, i & 4};
        int status = in_child(live_in, &sandbox);
        if (status == SKIPPED)
            SKIP("no seccomp filter can be set here");
        if (status != 0)
            print_message("%s, filter %s the open, %s: %d\n", sandbox.path ? sandbox.path : "unnamed",
                          sandbox.opens_before ? "after" : "before", sandbox.exits ? "exit" : "close", status);
        assert_int_equal(status, 0);
        unlink("named.filz");
    }
    print_message("8 ways of 100 MiB each\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FRESH_DIRECTORY(a_program_that_may_only_map_memory_gets_blocks_or_NULL_and_goes_on),
    };
    return cmocka_run_group_tests_name("seccomp", tests, NULL, NULL);
}
