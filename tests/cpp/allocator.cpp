// filz::allocator meets what the standard requires of an allocator; which types is_storable lets into a heap.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
#include <filz/memory_resource.hpp>

#include <array>
#include <cstdint>
#include <deque>
#include <forward_list>
#include <list>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <stack>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace
{
struct resource_heap {
    static filz::mmap_resource &heap()
    {
        static filz::mmap_resource heap(filz::mmap_settings().capacity(16 << 20));
        return heap;
    }
};
struct c_heap {
    static filz_mmap &heap()
    {
        static filz_mmap heap = FILZ_MMAP_INIT;
        return heap;
    }
};

template <class T> using in_heap = filz::allocator<T, resource_heap>;
template <class T> using vector = std::vector<T, in_heap<T>>;
using string = std::basic_string<char, std::char_traits<char>, in_heap<char>>;
template <class Key, class Value, class Compare = std::less<Key>>
using map = std::map<Key, Value, Compare, in_heap<std::pair<const Key, Value>>>;
template <class Key, class Value, class Hash = std::hash<Key>, class Equal = std::equal_to<Key>>
using hash_map = std::unordered_map<Key, Value, Hash, Equal, in_heap<std::pair<const Key, Value>>>;

using traits = std::allocator_traits<in_heap<int>>;
static_assert(traits::is_always_equal::value && std::is_empty_v<in_heap<int>>);
static_assert(traits::propagate_on_container_copy_assignment::value);
static_assert(traits::propagate_on_container_move_assignment::value);
static_assert(traits::propagate_on_container_swap::value);
static_assert(std::is_same_v<traits::rebind_alloc<long>, in_heap<long>>);
static_assert(std::is_same_v<traits::pointer, int *> && std::is_same_v<traits::size_type, std::size_t>);
static_assert(std::is_nothrow_default_constructible_v<in_heap<int>>);
static_assert(std::is_nothrow_copy_constructible_v<in_heap<int>>);
static_assert(std::is_nothrow_constructible_v<in_heap<int>, in_heap<long>>);
static_assert(in_heap<int>() == in_heap<long>() && !(in_heap<int>() != in_heap<int>()));
static_assert(sizeof(vector<int>) == sizeof(std::vector<int>));
static_assert(sizeof(hash_map<string, int>) == sizeof(std::unordered_map<std::string, int>));

// What the next run finds as it was.
struct plain {
    int number;
    plain *next;
};
struct tree {
    vector<tree> children;
};
template <class... T> constexpr bool storable = (filz::is_storable_v<T> && ...);
static_assert(
    storable<int, double, plain, plain *, const plain, int[3], std::array<int, 3>, std::hash<int>, std::less<>>);
static_assert(storable<string, vector<string>, map<string, vector<string>>, hash_map<string, int>, tree>);
static_assert(
    storable<std::pair<string, int>, std::tuple<int, string>, std::optional<string>, std::variant<int, string>>);
static_assert(storable<std::list<int, in_heap<int>>, std::set<int, std::less<int>, in_heap<int>>,
                       std::deque<int, in_heap<int>>, std::forward_list<int, in_heap<int>>>);
static_assert(storable<std::priority_queue<int, vector<int>>, std::stack<int, vector<int>>>);

// What it doesn't.
struct with_a_vtable {
    virtual ~with_a_vtable() = default;
};
struct named {
    std::pmr::string name;
};
struct names_itself {
    using value_type = names_itself;
};
template <class... T> constexpr bool unstorable = (!filz::is_storable_v<T> && ...);
using order = bool (*)(int, int);
using hash = std::size_t (*)(int);
static_assert(unstorable<with_a_vtable, void (*)(), int (plain::*)(), int &, void, std::function<void()>>);
static_assert(unstorable<std::pmr::vector<int>, std::pmr::string, std::vector<int>, std::string, std::map<int, int>>);
static_assert(unstorable<vector<std::string>, vector<with_a_vtable>, vector<vector<std::pmr::string>>>);
static_assert(unstorable<map<int, std::string>, map<std::pmr::string, int>, map<int, int, order>>);
static_assert(unstorable<map<int, int, std::function<bool(int, int)>>, hash_map<int, int, hash>>);
static_assert(
    unstorable<hash_map<int, int, std::hash<int>, order>, std::stack<int>, std::queue<int, std::pmr::deque<int>>>);
static_assert(unstorable<std::priority_queue<int, vector<int>, order>>);
static_assert(unstorable<std::pair<int, std::string>, std::tuple<std::string>, std::optional<std::string>>);
static_assert(
    unstorable<std::variant<int, std::string>, std::array<std::string, 2>, std::string[2], const std::string>);
static_assert(unstorable<std::unique_ptr<int>, std::shared_ptr<int>, std::weak_ptr<int>, std::pmr::vector<int>[2]>);
static_assert(storable<names_itself, named>); // `named` isn't, but nobody can tell

struct told {
    std::pmr::string name;
    int number;
};
} // namespace

template <> struct filz::is_storable<told> : filz::are_storable<decltype(told::name), decltype(told::number)> {
};
static_assert(unstorable<told, vector<told>> && storable<plain>);

static_assert(filz::container_tag(1) != filz::container_tag(2) && (filz::container_tag(7) & 0xffffffff) == 7);
static_assert(filz::container_tag(0) != 0);

TEST_CASE("containers have their memory in the heap that the type names")
{
    vector<string> words;
    for (int i = 0; i < 1000; i++)
        words.emplace_back("a string that is too long to be inside of the object");
    CHECK(resource_heap::heap().owns(words.data()));
    CHECK(resource_heap::heap().owns(words[999].data()));
    CHECK_FALSE(resource_heap::heap().owns(&words));
    vector<string> moved = std::move(words), copied = moved;
    CHECK(moved == copied);
    copied.swap(moved);
    CHECK(copied.size() == 1000);

    std::vector<int, filz::allocator<int, c_heap>> numbers(100);
    CHECK(filz_mmap_owns(&c_heap::heap(), numbers.data()));
}

TEST_CASE("what is aligned further than most is aligned as it asks")
{
    struct alignas(256) wide {
        char byte;
    };
    vector<char> before(1);
    std::list<wide, in_heap<wide>> wides(100);
    std::size_t aligned = 0;
    for (const wide &element : wides)
        aligned += reinterpret_cast<std::uintptr_t>(&element) % 256 == 0;
    CHECK(aligned == 100);
}

TEST_CASE("what doesn't fit is a bad_alloc, what is no size a bad_array_new_length")
{
    in_heap<std::uint64_t> allocator;
    CHECK_THROWS_AS(static_cast<void>(allocator.allocate(4 << 20)), std::bad_alloc);
    CHECK_THROWS_AS(static_cast<void>(allocator.allocate(SIZE_MAX / 8 + 1)), std::bad_array_new_length);
    CHECK_THROWS_AS(static_cast<void>(allocator.allocate(SIZE_MAX)), std::bad_array_new_length);
    vector<int> numbers(1000, 1);
    CHECK_THROWS_AS(numbers.resize(8 << 20), std::bad_alloc);
    CHECK(numbers == vector<int>(1000, 1));
}
