/* The stack allocator for hosted programs: what stack.c does, and errno says why it failed. */
#include "filz/stack.h"

#include "bump.h"

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

void *filz_stack_realloc(filz_stack *self, void *block, size_t size, size_t align, size_t new_size)
{
    return with_errno(filz_stack_try_realloc(self, block, size, align, new_size), align);
}
