// The same from C++: the headers compile as they are, and the functions have C names. And containers on the heaps.
#include <filz.h>
#include <filz/hooks.h>
#include <filz/memory_resource.hpp>
#include <filz/mmap.h>
#include <filz/stack.h>

#include <cstdio>
#include <cstring>
#include <vector>

FILZ_STACK(scratch, 4096)
static filz_mmap heap = FILZ_MMAP_INIT;
FILZ_HOOKS(hook, &heap)

int main()
{
    char *kept = static_cast<char *>(filz_mmap_alloc(&heap, 1000, 64));
    char *brief = static_cast<char *>(filz_stack_alloc(scratch, 100, 1));
    if (kept == nullptr || brief == nullptr || !filz_mmap_owns(&heap, kept) || !filz_stack_owns(scratch, brief))
        return 1;
    if (std::strcmp(filz_version(), FILZ_VERSION) != 0)
        return 1;
    std::strcpy(brief, "filz " FILZ_VERSION);
    std::strcpy(kept, brief);
    std::puts(kept);
    char *copy = hook_strdup(kept);
    if (copy == nullptr || std::strcmp(copy, kept) != 0 || hook_usable_size(copy) <= std::strlen(kept))
        return 1;

    filz::mmap_resource in_a_file;
    filz::stack_resource in_a_buffer(*scratch);
    std::pmr::vector<int> numbers(1000, 1, &in_a_file), few(10, 1, &in_a_buffer);
    if (!in_a_file.owns(numbers.data()) || !in_a_buffer.owns(few.data()))
        return 1;
    return filz_mmap_close(&heap);
}
