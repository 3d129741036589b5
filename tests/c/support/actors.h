/* Processes that go on step by step beside a shared heap: each does what a byte that it is sent asks for, and answers
 * by a number. */
#ifndef FILZ_TESTS_ACTORS_H
#define FILZ_TESTS_ACTORS_H

#include "shared.h"

struct actor {
    pid_t pid;
    int to[2], from[2];
};

static struct actor *self; /* in the child */

/* In the child, as the next one. */
static void say(int64_t number)
{
    if (write(self->from[1], &number, sizeof(number)) != sizeof(number))
        _exit(99);
}

MAYBE_UNUSED static void wait_for_go(void)
{
    char byte;
    if (read(self->to[0], &byte, 1) != 1)
        _exit(98);
}

static int act(void *body)
{
    filz_mmap_close(&heap);
    close(self->to[1]);
    (*(void (**)(void))body)();
    return 0;
}

static struct actor begin_actor(void (*body)(void))
{
    struct actor actor;
    assert_int_equal(pipe(actor.to) | pipe(actor.from), 0);
    self = &actor;
    actor.pid = begin_child(act, &body);
    close(actor.to[0]);
    close(actor.from[1]);
    return actor;
}

static int64_t hear(struct actor *actor)
{
    int64_t number = -9999;
    return read(actor->from[0], &number, sizeof(number)) == sizeof(number) ? number : -9999;
}

static int64_t ask(struct actor *actor, char what)
{
    assert_int_equal(write(actor->to[1], &what, 1), 1);
    return hear(actor);
}

MAYBE_UNUSED static int64_t go(struct actor *actor)
{
    return ask(actor, 'g');
}

static int end_actor(struct actor *actor)
{
    close(actor->to[1]);
    close(actor->from[0]);
    return end_child(actor->pid);
}

#endif
