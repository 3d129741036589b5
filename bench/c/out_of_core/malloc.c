/* The C library's malloc: what doesn't fit into memory goes to swap space. */
#include "out_of_core.h"

#include <stdlib.h>

void allocator_begin(void)
{
}

void *allocator_allocate(size_t size)
{
    return malloc(size);
}
