/* Chapter 3, exercise 1: a signal handler takes blocks from the same stack allocator as the program that it interrupts.
 */
#include <filz/stack.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum { BYTES = 65536, SIZE = 16, ENOUGH = 100, ROUNDS_MAX = 20000 };

FILZ_STACK(stack, BYTES)

static volatile sig_atomic_t by_program, by_handler;

/* What a handler may call: lock-free, and errno, which the interrupted code may be about to read, is left alone. */
static bool take(char owner, volatile sig_atomic_t *count)
{
    char *block = filz_stack_alloc(stack, SIZE, 1);
    if (block == NULL)
        return false;
    memset(block, owner, SIZE);
    *count += 1;
    return true;
}

static void handle(int signal)
{
    (void)signal;
    take('h', &by_handler);
}

static void check(bool holds, const char *what)
{
    if (!holds) {
        printf("wrong: %s\n", what);
        exit(1);
    }
}

/* If two had got the same bytes, one of them would have fewer than it took. */
static void check_bytes(void)
{
    const char *buffer = (const char *)(stack + 1);
    size_t program = 0;
    size_t handler = 0;
    for (size_t i = 0; i < BYTES; i++) {
        program += buffer[i] == 'p';
        handler += buffer[i] == 'h';
    }
    check(program == (size_t)by_program * SIZE, "the program has all its bytes");
    check(handler == (size_t)by_handler * SIZE, "the handler has all its bytes");
    check(filz_stack_mark(stack) == BYTES, "they fill the buffer");
}

int main(void)
{
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 100}, {0, 100}};
    check(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0, "there is a timer");

    size_t handled = 0;
    for (int rounds = 0; handled < ENOUGH && rounds < ROUNDS_MAX; rounds++) {
        while (take('p', &by_program))
            ;
        sigprocmask(SIG_BLOCK, &alarm, NULL); /* a reset requires exclusive access */
        check_bytes();
        handled += (size_t)by_handler;
        by_program = by_handler = 0;
        filz_stack_reset(stack);
        memset(stack + 1, 0, BYTES);
        sigprocmask(SIG_UNBLOCK, &alarm, NULL);
    }
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
    check(handled > 0, "the handler has taken blocks");
    printf("no byte was allocated twice; the handler took %zu blocks\n", handled);
    return 0;
}
