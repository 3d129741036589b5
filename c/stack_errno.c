/* The stack allocator for hosted programs: what stack.c does, and errno says why it failed; assertions, in builds that
 * have them, say what the caller got wrong. */
#include "filz/stack.h"

#include "bump.h"

#include <assert.h>
#include <errno.h>

static void *with_errno(void *block, size_t align)
{
    if (block == NULL)
        errno = is_power_of_two(align) ? ENOMEM : EINVAL;
    return block;
}

void *filz_stack_alloc(filz_stack *self, size_t size, size_t align)
{
    return with_errno(filz_stack_try_alloc(self, size, align), align);
}

void *filz_stack_alloc_zeroed(filz_stack *self, size_t size, size_t align)
{
    return with_errno(filz_stack_try_alloc_zeroed(self, size, align), align);
}

#ifndef NDEBUG
/* For assertions: whether `block` may be one of this allocator's, of `size` bytes: all of it was handed out. */
static bool was_handed_out(const filz_stack *self, const void *block, size_t size)
{
    uintptr_t start = (uintptr_t)block;
    uintptr_t cursor = (uintptr_t)(self + 1) + filz_stack_mark(self);
    return filz_stack_owns(self, block) && start < cursor && size <= cursor - start;
}
#endif

void *filz_stack_realloc(filz_stack *self, void *block, size_t size, size_t align, size_t new_size)
{
    assert(block == NULL || !is_power_of_two(align) ||
           (padding_for((uintptr_t)block, align) == 0 && was_handed_out(self, block, size)));
    return with_errno(filz_stack_try_realloc(self, block, size, align, new_size), align);
}
