/* A signal handler allocates from the stack allocator that the code it interrupts is in the middle of. */
#include "support.h"

#include <sys/time.h>

/* Blocks are filled with bytes of their own, so that two which share a byte don't both stay as they were. */
enum { MOST_BLOCKS = 4096 };

struct block {
    char *start;
    size_t size;
    int fill;
};

/* Of the code that is interrupted, or of the handler. */
struct blocks {
    size_t count;
    struct block all[MOST_BLOCKS];
};

static filz_stack *stack;
static struct blocks ours, handlers;
static volatile size_t refused;

static int open_stack(void **state)
{
    struct heap *heap = new_stack_heap(256 * KIB);
    *state = heap;
    stack = heap->stack;
    ours.count = handlers.count = refused = 0;
    return 0;
}

static int close_stack(void **state)
{
    free_heap(*state);
    return 0;
}

/* Safe in a handler; `fill_from` keeps the bytes of the handler's blocks apart from the others'. */
static void keep(struct blocks *blocks, char *start, size_t size, int fill_from)
{
    if (start == NULL) {
        refused++;
        return;
    }
    int fill = fill_from + (int)(blocks->count % 100);
    memset(start, fill, size);
    blocks->all[blocks->count++] = (struct block){start, size, fill};
}

static void are_whole(const struct blocks *blocks)
{
    for (size_t i = 0; i < blocks->count; i++) {
        assert_true(filz_stack_owns(stack, blocks->all[i].start));
        assert_true(is_filled(blocks->all[i].start, blocks->all[i].fill, blocks->all[i].size));
    }
}

static void all_are_whole_and_end(void)
{
    are_whole(&ours);
    are_whole(&handlers);
    assert_int_equal(refused, 0);
    ours.count = handlers.count = 0;
    filz_stack_reset(stack);
}

/* One of each kind in turn; each ends with a block of `size` bytes. */
static char *allocate(size_t turn, size_t size)
{
    char *block;
    switch (turn % 4) {
    case 0:
        return filz_stack_alloc(stack, size, 1);
    case 1:
        block = filz_stack_alloc_zeroed(stack, size, 1);
        return block && is_filled(block, 0, size) ? block : NULL;
    case 2:
        block = filz_stack_alloc(stack, size / 2, 1);
        return block ? filz_stack_realloc(stack, block, size / 2, 1, size) : NULL;
    default:
        block = filz_stack_alloc(stack, size + 10, 1);
        return block ? filz_stack_realloc(stack, block, size + 10, 1, size) : NULL;
    }
}

/* -- At any moment ------------------------------------------------------------------------------------------------- */

static volatile size_t asked_for, arrived, arrived_inside; /* signals */
static volatile bool inside;                               /* an allocator's function */

static void allocate_in_handler(int signal)
{
    (void)signal;
    size_t size = 10 + arrived % 7;
    keep(&handlers, allocate(arrived, size), size, 100);
    arrived_inside += inside;
    arrived++;
}

/* Not before the last one has arrived: what is interrupted must get on. */
static void ask_for_a_signal_soon(void)
{
    if (asked_for > arrived)
        return;
    asked_for++;
    struct itimerval soon = {.it_value.tv_usec = 1 + (long)(asked_for % 7)};
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
}

static void allocate_until_half_full(void)
{
    for (size_t i = 0; filz_stack_mark(stack) < 128 * KIB && i < MOST_BLOCKS / 4; i++) {
        size_t size = 1 + i % 40;
        ask_for_a_signal_soon();
        inside = true;
        char *block = allocate(i, size);
        inside = false;
        keep(&ours, block, size, 1);
    }
    while (asked_for > arrived)
        usleep(1);
}

static void a_signal_handler_may_allocate_and_takes_from_nobody(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = allocate_in_handler}, before;
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    asked_for = arrived = arrived_inside = 0;
    for (size_t rounds = rounds_of(1000000); arrived < rounds;) {
        allocate_until_half_full();
        all_are_whole_and_end();
    }
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    print_message("%zu signals, %zu of them inside the allocator\n", arrived, arrived_inside);
}

/* -- Between any two instructions ---------------------------------------------------------------------------------- */

static volatile size_t instructions; /* since stepping began */
static volatile size_t allocate_at;  /* which of them */

#if defined(__x86_64__) || defined(__i386__)
#include <x86intrin.h>

enum { TRAP_FLAG = 0x100 };

static void begin_steps(void)
{
    __writeeflags(__readeflags() | TRAP_FLAG);
}

static void end_steps(void)
{
    __writeeflags(__readeflags() & ~(unsigned)TRAP_FLAG);
}

/* In what a handler has interrupted. */
static void end_steps_in(void *context)
{
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}
#else
static void begin_steps(void)
{
}

static void end_steps(void)
{
}

static void end_steps_in(void *context)
{
    (void)context;
}
#endif

static void allocate_at_one_instruction(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    if (instructions++ != allocate_at)
        return;
    keep(&handlers, allocate(allocate_at, 20), 20, 100);
    end_steps_in(context);
}

/* Whether there is such an instruction. */
static bool allocate_with_a_trap_at(size_t turn, size_t instruction)
{
    allocate_at = instruction;
    instructions = 0;
    begin_steps();
    char *block = allocate(turn, 30);
    end_steps();
    keep(&ours, block, 30, 1);
    return instructions > instruction;
}

/* Each call is made as often as it has instructions, and interrupted before another one each time. */
static void a_handler_may_allocate_between_any_two_instructions(void **state)
{
    (void)state;
    if (SANITIZED)
        SKIP("the sanitizers' own code would be stepped through");
    struct sigaction action = {.sa_sigaction = allocate_at_one_instruction, .sa_flags = SA_SIGINFO}, before;
    assert_int_equal(sigaction(SIGTRAP, &action, &before), 0);
    size_t places = 0;
    for (size_t turn = 0; turn < 4; turn++)
        for (size_t instruction = 0; allocate_with_a_trap_at(turn, instruction); instruction++) {
            places++;
            assert_int_equal(handlers.count, 1);
            all_are_whole_and_end();
        }
    assert_int_equal(sigaction(SIGTRAP, &before, NULL), 0);
    if (places == 0)
        SKIP("this processor's instructions can't be stepped through here");
    print_message("%zu places\n", places);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, open_stack, close_stack)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_signal_handler_may_allocate_and_takes_from_nobody),
        TEST(a_handler_may_allocate_between_any_two_instructions),
    };
    return cmocka_run_group_tests_name("stack_signals", tests, NULL, NULL);
}
