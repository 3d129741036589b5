// Boost's managed_mapped_file, which needs its size beforehand.
#include "out_of_core.h"

#include <boost/interprocess/managed_mapped_file.hpp>
#include <cstdlib>

namespace ipc = boost::interprocess;

static const char path[] = "out-of-core.boost";
static ipc::managed_mapped_file *heap;

// Its addresses stay valid because it is mapped at the same one.
static void *const base = reinterpret_cast<void *>(0x210000000000);

extern "C" void allocator_begin(void)
{
    heap = new ipc::managed_mapped_file(ipc::create_only, path, std::strtoull(std::getenv("BENCH_ROOM"), nullptr, 10),
                                        base);
}

extern "C" void *allocator_allocate(std::size_t size)
{
    return heap->allocate(size, std::nothrow);
}

extern "C" bool allocator_keep(void *first)
{
    heap->construct<void *>("first")(first);
    delete heap;
    return true;
}

extern "C" void *allocator_open(void)
{
    heap = new ipc::managed_mapped_file(ipc::open_read_only, path, base);
    return *heap->find<void *>("first").first;
}
