// Boost.Interprocess's managed_mapped_file: a sorted array, and a block for each value.
#include "readers.h"

#include <boost/interprocess/managed_mapped_file.hpp>

#include <algorithm>
#include <cstring>
#include <optional>

using namespace boost::interprocess;

struct entry {
    char key[KEY_SIZE];
    offset_ptr<const char> value;
};

static const char path[] = "readers.boost", name[] = "entries";
static std::optional<managed_mapped_file> file;
static const entry *first, *last;

void peer_make(uint64_t count)
{
    // With more for each block than its header takes; what is left over is cut off.
    std::size_t size = (std::size_t(1) << 20) + count * (sizeof(entry) + VALUE_SIZE + 64);
    {
        managed_mapped_file made(create_only, path, size);
        entry *entries = made.construct<entry>(name)[count]();
        for (uint64_t n = 0; n < count; n++) {
            pair pair = pair_of(n);
            char *value = static_cast<char *>(made.allocate(VALUE_SIZE));
            std::memcpy(value, pair.value, VALUE_SIZE);
            std::memcpy(entries[n].key, pair.key, KEY_SIZE);
            entries[n].value = value;
        }
        made.flush();
    }
    if (!managed_mapped_file::shrink_to_fit(path))
        fail("the file can't be shrunk");
}

// `find` would take the lock that is in the file.
void peer_open(void)
{
    file.emplace(open_read_only, path);
    auto found = file->find_no_lock<entry>(name);
    first = found.first;
    last = first + found.second;
}

void peer_close(void)
{
    file.reset();
}

const char *peer_find(const char *key)
{
    auto is_before = [](const entry &one, const char *other) { return std::memcmp(one.key, other, KEY_SIZE) < 0; };
    const entry *found = std::lower_bound(first, last, key, is_before);
    return found != last && std::memcmp(found->key, key, KEY_SIZE) == 0 ? found->value.get() : nullptr;
}
