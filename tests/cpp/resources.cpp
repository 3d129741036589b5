// filz::mmap_resource and filz::stack_resource: what they give to containers of std::pmr, and their errors.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
#include <filz/memory_resource.hpp>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <list>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

FILZ_STACK(scratch, 4096)

namespace
{
static_assert(!std::is_copy_constructible_v<filz::mmap_resource> && !std::is_move_constructible_v<filz::mmap_resource>);
static_assert(!std::is_copy_assignable_v<filz::mmap_resource> && !std::is_move_assignable_v<filz::mmap_resource>);
static_assert(!std::is_copy_constructible_v<filz::stack_resource> &&
              !std::is_move_constructible_v<filz::stack_resource>);

// The error of an open with these settings.
std::error_code opened(filz::mmap_settings settings)
{
    filz::mmap_resource heap(std::move(settings));
    std::error_code error;
    heap.open(error);
    return error;
}

bool is_aligned(const void *address, std::size_t alignment)
{
    return reinterpret_cast<std::uintptr_t>(address) % alignment == 0;
}

// A file of the test's own that isn't there at first.
std::string new_file(const char *name)
{
    std::filesystem::remove(name);
    return name;
}
} // namespace

TEST_CASE("pmr containers have their memory in the heap")
{
    filz::mmap_resource heap;
    std::pmr::vector<std::pmr::string> words(&heap);
    std::pmr::map<int, std::pmr::string> names(&heap);
    std::pmr::unordered_map<std::pmr::string, int> counts(&heap);
    std::pmr::list<int> numbers(&heap);
    for (int i = 0; i < 1000; i++) {
        std::pmr::string text("a string that is too long to be inside of the object, " + std::to_string(i));
        words.push_back(text);
        names[i] = text;
        counts[text] = i;
        numbers.push_back(i);
    }
    CHECK(heap.owns(words.data()));
    CHECK(heap.owns(words[999].data()));
    CHECK(heap.owns(&*names.find(999)));
    CHECK(heap.owns(names[999].data()));
    CHECK(heap.owns(&*counts.find(words[999])));
    CHECK(heap.owns(&numbers.back()));
    CHECK_FALSE(heap.owns(&words));
    int sum = 0;
    for (int i = 0; i < 1000; i++)
        sum += names[i] == words[static_cast<std::size_t>(i)] && counts[names[i]] == i;
    CHECK(sum == 1000);
}

TEST_CASE("every power of two is honoured at the address")
{
    filz::mmap_resource heap;
    std::vector<unsigned char> buffer(1 << 17);
    filz::stack_resource stack(buffer.data(), buffer.size());
    for (std::size_t alignment = 1; alignment <= 1 << 15; alignment *= 2) {
        CHECK(is_aligned(heap.allocate(1, alignment), alignment));
        CHECK(is_aligned(stack.allocate(1, alignment), alignment));
    }
}

TEST_CASE("what doesn't fit is a bad_alloc, and takes nothing")
{
    filz::mmap_resource heap(filz::mmap_settings().capacity(1 << 20));
    CHECK_THROWS_AS(static_cast<void>(heap.allocate(1 << 21)), std::bad_alloc);
    CHECK_THROWS_AS(static_cast<void>(heap.allocate(SIZE_MAX / 2)), std::bad_alloc);
    std::pmr::vector<char> small(&heap);
    small.assign(1000, 'a');
    CHECK_THROWS_AS(small.reserve(1 << 20), std::bad_alloc);
    CHECK(small == std::pmr::vector<char>(1000, 'a'));
    CHECK(heap.stats().blocks == 1);
}

TEST_CASE("a resource is equal to itself alone")
{
    filz::mmap_resource one, other;
    CHECK(one.is_equal(one));
    CHECK_FALSE(one.is_equal(other));
    std::array<unsigned char, 100> buffer = {};
    filz::stack_resource stack(buffer.data(), buffer.size()), same(*stack.handle());
    CHECK(stack.is_equal(stack));
    CHECK_FALSE(stack.is_equal(same));
    CHECK_FALSE(stack.is_equal(one));
}

TEST_CASE("deallocating does nothing, and a reset ends every block")
{
    filz::mmap_resource heap;
    void *block = heap.allocate(100);
    std::memset(block, 'x', 100);
    heap.deallocate(block, 100);
    CHECK(static_cast<char *>(block)[99] == 'x');
    CHECK(heap.allocate(100) != block);
    CHECK(heap.stats().blocks == 2);
    heap.reset();
    CHECK(heap.stats().blocks == 0);
    CHECK(heap.allocate(100) == block);
}

TEST_CASE("what filz found is an error of its own, with filz's words after the path")
{
    const std::string file = new_file("cpp-tag.filz");
    CHECK_FALSE(opened(filz::mmap_settings(file).persistent(1)));
    CHECK(opened(filz::mmap_settings(file).persistent(2)) == FILZ_ETAG);
    CHECK(opened(filz::mmap_settings(file).persistent(2)) != FILZ_EDAMAGED);
    CHECK(opened(filz::mmap_settings(file)) == FILZ_EPERSISTENT);
    CHECK(opened(filz::mmap_settings().persistent(1)) == FILZ_EFLAGS);

    filz::mmap_resource heap(filz::mmap_settings(file).persistent(2));
    try {
        heap.open();
        FAIL("opened with another tag");
    } catch (const std::system_error &error) {
        CHECK(error.code() == FILZ_ETAG);
        CHECK(error.code().value() == FILZ_ETAG);
        CHECK(error.code().category() == filz::error_category());
        CHECK(error.code().category().name() == std::string("filz"));
        CHECK(error.what() == file + ": " + filz_error_text(FILZ_ETAG));
    }
}

TEST_CASE("what the system said is an errno value of the generic category")
{
    CHECK(opened(filz::mmap_settings("no/such/directory.filz")) == std::errc::no_such_file_or_directory);
    CHECK(opened(filz::mmap_settings(std::filesystem::path("."))) == std::errc::is_a_directory);
    filz::mmap_resource heap(filz::mmap_settings("no/such/directory.filz"));
    try {
        heap.open();
        FAIL("opened in no directory");
    } catch (const std::system_error &error) {
        CHECK(error.code() == std::error_code(ENOENT, std::generic_category()));
    }
}

TEST_CASE("calls on a closed heap throw what the C functions return")
{
    filz::mmap_resource heap;
    const int number = 1;
    std::error_code error;
    CHECK_THROWS_AS(static_cast<void>(heap.stats()), std::system_error);
    static_cast<void>(heap.stats(error));
    CHECK(error == FILZ_ECLOSED);
    CHECK_THROWS_AS(heap.sync(), std::system_error);
    heap.sync(error);
    CHECK(error == FILZ_ECLOSED);
    CHECK_THROWS_AS(heap.set_root(&number), std::system_error);
    heap.set_root(&number, error);
    CHECK(error == FILZ_ECLOSED);
    CHECK(heap.root<int>() == nullptr);
    CHECK_FALSE(heap.owns(&number));
    heap.reset();
    heap.close();
    heap.open();
    heap.set_root(&number, error);
    CHECK(error == FILZ_EADDRESS);
    heap.sync(error);
    CHECK(error == FILZ_EUNNAMED);
    heap.reset(error);
    CHECK_FALSE(error);
}

TEST_CASE("a published heap is read by its new name, and its builder is closed")
{
    const std::string draft = new_file("cpp-draft.filz"), name = new_file("cpp-published.filz");
    filz::mmap_resource builder(filz::mmap_settings(draft).persistent(1));
    builder.root_or_create<int>(7);
    CHECK(builder.is_current());
    CHECK_THROWS_AS(builder.publish("no/such/directory.filz"), std::system_error);
    builder.open();
    builder.publish(name);
    CHECK(builder.root<int>() == nullptr);

    filz::mmap_resource reader(filz::mmap_settings(name).read_only(1));
    reader.open();
    REQUIRE(reader.root<const int>() != nullptr);
    CHECK(*reader.root<const int>() == 7);
    CHECK(reader.is_current());
    std::error_code error;
    reader.reset(error);
    CHECK(error == std::errc::read_only_file_system);
    CHECK_THROWS_AS(static_cast<void>(reader.allocate(1)), std::bad_alloc);
}

TEST_CASE("each setting has the flag that it names")
{
    const std::string file = new_file("cpp-settings.filz");
    filz::mmap_resource heap(
        filz::mmap_settings(file).persistent(5).capacity(1 << 20).at_address(0x460000000000).in_core_dumps());
    CHECK(heap.handle()->flags == (FILZ_MMAP_PERSISTENT | FILZ_MMAP_DUMP));
    CHECK(heap.handle()->tag == 5);
    CHECK(heap.handle()->capacity == 1 << 20);
    CHECK(heap.handle()->base == 0x460000000000);
    CHECK(heap.handle()->path == file);
    CHECK(filz::mmap_resource(filz::mmap_settings(file).read_only(5)).handle()->flags == FILZ_MMAP_READ_ONLY);
    CHECK(filz::mmap_resource(filz::mmap_settings(file).shared(5)).handle()->flags == FILZ_MMAP_SHARED);
    CHECK(filz::mmap_resource(filz::mmap_settings(file).private_copy(5)).handle()->flags == FILZ_MMAP_PRIVATE);
    CHECK(filz::mmap_resource().handle()->path == nullptr);
}

TEST_CASE("an object whose constructor throws leaves the root as it was")
{
    struct thrower {
        explicit thrower(bool throws)
        {
            if (throws)
                throw 1;
        }
    };
    filz::mmap_resource heap;
    CHECK_THROWS_AS(heap.root_or_create<thrower>(true), int);
    CHECK(heap.root<thrower>() == nullptr);
    thrower &made = heap.root_or_create<thrower>(false);
    CHECK(&heap.root_or_create<thrower>(true) == &made);
    heap.set_root(nullptr);
    CHECK(heap.root<thrower>() == nullptr);
}

TEST_CASE("a stack resource is a buffer, a mark is a place in it, and rewind goes back")
{
    std::byte buffer[1024];
    filz::stack_resource stack(buffer);
    std::pmr::vector<int> before({1, 2, 3}, &stack);
    CHECK(stack.owns(before.data()));
    const std::size_t mark = stack.mark();
    {
        std::pmr::vector<int> after(100, &stack);
        CHECK(stack.mark() >= mark + 100 * sizeof(int));
        CHECK_THROWS_AS(after.resize(1000), std::bad_alloc);
        CHECK(after.size() == 100);
    }
    stack.rewind(mark);
    CHECK(stack.mark() == mark);
    CHECK(before == std::pmr::vector<int>({1, 2, 3}));
    CHECK(stack.stats().used == mark);
    CHECK(stack.stats().capacity < sizeof(buffer));
    stack.reset();
    CHECK(stack.mark() == 0);
}

TEST_CASE("a stack resource refers to a stack allocator that is there already")
{
    filz::stack_resource stack(*scratch);
    CHECK(stack.handle() == scratch);
    std::pmr::string text("a string that is too long to be inside of the object", &stack);
    CHECK(filz_stack_owns(scratch, text.data()));
}

TEST_CASE("a buffer without room for a header gives bad_alloc and nothing else")
{
    unsigned char buffer[4];
    filz::stack_resource stack(buffer);
    CHECK(stack.handle() == nullptr);
    CHECK_THROWS_AS(static_cast<void>(stack.allocate(1)), std::bad_alloc);
    CHECK(stack.mark() == 0);
    stack.rewind(0);
    stack.reset();
    CHECK_FALSE(stack.owns(buffer));
    CHECK(stack.stats().capacity == 0);
}
