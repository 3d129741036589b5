/* Where the fields of a filz_mmap lie, as a C compiler lays them out. layout.rs shows it as Rust does. */
#include <filz/mmap.h>
#include <stddef.h>
#include <stdio.h>

#define SHOW(field)                                                                                                    \
    printf("    %-11s %zu bytes at %zu\n", #field, sizeof(((filz_mmap *)NULL)->field), offsetof(filz_mmap, field))

int main(void)
{
    printf("C: %zu bytes, align %zu\n", sizeof(filz_mmap), _Alignof(filz_mmap));
    SHOW(path);
    SHOW(capacity);
    SHOW(flags);
    SHOW(tag);
    SHOW(base);
    SHOW(reported);
    SHOW(id);
    SHOW(heap);
    return 0;
}
