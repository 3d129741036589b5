/* Of allocators that have nothing that stays. */
#include "out_of_core.h"

bool allocator_keep(void *first)
{
    (void)first;
    return false;
}

void *allocator_open(void)
{
    fail("nothing was kept");
}
