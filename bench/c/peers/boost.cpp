// The C side of Boost.Interprocess's managed_mapped_file. Its file can't grow while it is mapped, so it is made as
// large as any workload needs; it is sparse.
#include <boost/interprocess/managed_mapped_file.hpp>

#include <algorithm>
#include <cstring>
#include <string>

using namespace boost::interprocess;

static managed_mapped_file *file;

extern "C" {

void boost_open(const char *directory)
{
    std::string path = std::string(directory) + "/boost";
    file = new managed_mapped_file(create_only, path.c_str(), std::size_t(16) << 30);
}

void *boost_alloc(std::size_t size)
{
    return file->allocate(size, std::nothrow);
}

void boost_free(void *block)
{
    file->deallocate(block);
}

void *boost_realloc(void *block, std::size_t size, std::size_t new_size)
{
    char *reused = static_cast<char *>(block);
    std::size_t received = new_size;
    char *result =
        file->allocation_command<char>(expand_fwd | allocate_new | nothrow_allocation, new_size, received, reused);
    if (result != nullptr && block != nullptr && reused == nullptr) {
        std::memcpy(result, block, std::min(size, new_size));
        file->deallocate(block);
    }
    return result;
}

std::size_t boost_used(void)
{
    return file->get_size() - file->get_free_memory();
}
}
