// Threads that allocate from one heap, by resources and by filz::allocator.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
#include <filz/memory_resource.hpp>

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace
{
struct shared_heap {
    static filz::mmap_resource &heap()
    {
        static filz::mmap_resource heap;
        return heap;
    }
};
using string = std::basic_string<char, std::char_traits<char>, filz::allocator<char, shared_heap>>;
using table = std::map<int, string, std::less<int>, filz::allocator<std::pair<const int, string>, shared_heap>>;

constexpr int threads = 8, rounds = 2000;

template <class Text> Text text(int thread, int i)
{
    return Text(static_cast<std::size_t>(i % 100), static_cast<char>('a' + (thread + i) % 26));
}

// Calls work(thread) in each of the threads, and returns the sum.
template <class Work> int sum_of_threads(Work work)
{
    std::vector<int> found(threads);
    std::vector<std::thread> running;
    for (int thread = 0; thread < threads; thread++)
        running.emplace_back([&, thread] { found[static_cast<std::size_t>(thread)] = work(thread); });
    for (std::thread &thread : running)
        thread.join();
    int sum = 0;
    for (int one : found)
        sum += one;
    return sum;
}

// How many of the entries that it makes are whole.
template <class Table> int fill(Table &entries, int thread)
{
    using element = typename Table::mapped_type;
    for (int i = 0; i < rounds; i++)
        entries.emplace(i, text<std::string>(thread, i).c_str());
    return static_cast<int>(std::count_if(entries.begin(), entries.end(), [&](const auto &entry) {
        return entry.second == text<element>(thread, entry.first);
    }));
}
} // namespace

TEST_CASE("threads on one mmap resource never share a byte")
{
    filz::mmap_resource heap;
    const int whole = sum_of_threads([&](int thread) {
        std::pmr::map<int, std::pmr::string> entries(&heap);
        return fill(entries, thread);
    });
    CHECK(whole == threads * rounds);
    std::printf("%d threads, %d strings each\n", threads, rounds);
}

TEST_CASE("nor do threads on one stack resource")
{
    std::vector<unsigned char> buffer(std::size_t{16} << 20);
    filz::stack_resource stack(buffer.data(), buffer.size());
    const int whole = sum_of_threads([&](int thread) {
        std::pmr::map<int, std::pmr::string> entries(&stack);
        return fill(entries, thread);
    });
    CHECK(whole == threads * rounds);
}

TEST_CASE("nor do threads whose containers find the heap by its type, which one of them opens")
{
    const int whole = sum_of_threads([](int thread) {
        table entries;
        return fill(entries, thread);
    });
    CHECK(whole == threads * rounds);
}
