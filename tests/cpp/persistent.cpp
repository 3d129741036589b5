// Containers that are in a persistent heap, over several processes: this program starts itself for each of them, at
// addresses that the kernel chooses anew. Each step checks all that the steps before have left, and grows it.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <filz/memory_resource.hpp>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <forward_list>
#include <iterator>
#include <list>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

namespace
{
const char *const file = "cpp-persistent.filz";

filz::mmap_settings settings;

struct kept {
    static filz::mmap_resource &heap()
    {
        static filz::mmap_resource heap(settings);
        return heap;
    }
};

template <class T> using in_heap = filz::allocator<T, kept>;
template <class T> using vector = std::vector<T, in_heap<T>>;
using string = std::basic_string<char, std::char_traits<char>, in_heap<char>>;
template <class Key, class Value> using pair_in_heap = in_heap<std::pair<const Key, Value>>;

// Where this process has its code, its C library's heap and its stack.
struct addresses {
    std::uintptr_t code, heap, stack;
};

struct everything {
    vector<addresses> processes;
    vector<int> numbers;
    vector<string> texts;
    std::deque<string, in_heap<string>> queue;
    std::list<string, in_heap<string>> list;
    std::forward_list<int, in_heap<int>> stack;
    std::map<string, int, std::less<>, pair_in_heap<string, int>> map;
    std::multimap<int, string, std::less<int>, pair_in_heap<int, string>> multimap;
    std::set<string, std::less<>, in_heap<string>> set;
    std::unordered_map<int, vector<string>, std::hash<int>, std::equal_to<int>, pair_in_heap<int, vector<string>>>
        table;
    std::unordered_multimap<int, int, std::hash<int>, std::equal_to<int>, pair_in_heap<int, int>> multitable;
    std::unordered_set<double, std::hash<double>, std::equal_to<double>, in_heap<double>> doubles;
    std::priority_queue<int, vector<int>> largest;
    string empty, brief, long_one;
    std::optional<string> maybe;
    std::pair<string, std::tuple<int, string>> together;
    std::array<string, 3> three;
    std::variant<int, string> either;
};
} // namespace

template <>
struct filz::is_storable<everything>
    : filz::are_storable<decltype(everything::processes), decltype(everything::numbers), decltype(everything::texts),
                         decltype(everything::queue), decltype(everything::list), decltype(everything::stack),
                         decltype(everything::map), decltype(everything::multimap), decltype(everything::set),
                         decltype(everything::table), decltype(everything::multitable), decltype(everything::doubles),
                         decltype(everything::largest), decltype(everything::brief), decltype(everything::maybe),
                         decltype(everything::together), decltype(everything::three), decltype(everything::either)> {
};

namespace
{
constexpr int each_run = 500;

// Some fit into the object of a string, others don't. Not in the heap, where one that is only read has no room.
std::string text(int i)
{
    return (i % 3 == 0 ? "s" : "a string that is too long to be inside of the object, ") + std::to_string(i);
}
string text_in_heap(int i)
{
    return string(std::string_view(text(i)));
}
bool is_text(std::string_view kept_text, int i)
{
    return kept_text == text(i);
}

// Each seventh is erased again, so that nodes are taken out of the middle of lists and trees.
bool stays(int i)
{
    return i % 7 != 3;
}

void grow(everything &all, int run)
{
    const int first = run * each_run;
    for (int i = first; i < first + each_run; i++) {
        all.numbers.push_back(i);
        all.texts.push_back(text_in_heap(i));
        all.queue.push_back(text_in_heap(i));
        all.list.push_back(text_in_heap(i));
        all.stack.push_front(i);
        all.map.emplace(text_in_heap(i), i);
        all.multimap.emplace(i / 2, text_in_heap(i));
        all.set.insert(text_in_heap(i));
        all.table[i / 2].push_back(text_in_heap(i));
        all.multitable.emplace(i / 2, i);
        all.doubles.insert(i / 2.0);
        all.largest.push(i);
        if (stays(i))
            continue;
        all.list.pop_back();
        all.stack.pop_front();
        all.map.erase(all.map.find(std::string_view(text(i))));
        all.set.erase(all.set.find(std::string_view(text(i))));
        all.doubles.erase(i / 2.0);
    }
    all.brief += static_cast<char>('a' + run);
    for (string *one : {&all.long_one, &all.together.first, &std::get<1>(all.together.second), &all.three[1]})
        *one += text_in_heap(run);
    all.maybe = text_in_heap(run);
    all.either = text_in_heap(run);
}

// What all is after this many runs. Reads only.
void check(const everything &all, int runs)
{
    const int count = runs * each_run;
    int at = 0, staying = 0, whole = 0;
    REQUIRE(all.numbers.size() == static_cast<std::size_t>(count));
    REQUIRE(all.texts.size() == all.numbers.size());
    REQUIRE(all.queue.size() == all.numbers.size());
    for (int i = 0; i < count; i++) {
        const auto place = static_cast<std::size_t>(i);
        const auto same = all.multimap.equal_range(i / 2);
        const auto &row = all.table.at(i / 2);
        const auto values = all.multitable.equal_range(i / 2);
        whole += all.numbers[place] == i && is_text(all.texts[place], i) && is_text(all.queue[place], i) &&
                 is_text(std::next(same.first, i % 2)->second, i) &&
                 is_text(row.at(static_cast<std::size_t>(i % 2)), i) &&
                 std::distance(values.first, values.second) == 2 &&
                 (all.set.count(std::string_view(text(i))) == 1) == stays(i) &&
                 (all.doubles.count(i / 2.0) == 1) == stays(i) &&
                 (all.map.find(std::string_view(text(i))) != all.map.end()) == stays(i);
        staying += stays(i);
    }
    CHECK(whole == count);
    for (const string &one : all.list) {
        at += !stays(at);
        whole += is_text(one, at++);
    }
    CHECK(whole == count + staying);
    CHECK(std::distance(all.stack.begin(), all.stack.end()) == staying);
    CHECK(all.map.size() == static_cast<std::size_t>(staying));
    CHECK(all.set.size() == all.map.size());
    CHECK(all.doubles.size() == all.map.size());
    CHECK(all.largest.size() == all.numbers.size());
    CHECK(all.largest.top() == count - 1);
    std::string longer, letters;
    for (int run = 0; run < runs; run++) {
        longer += text(run);
        letters += static_cast<char>('a' + run);
    }
    CHECK(all.empty.empty());
    CHECK(all.empty.c_str()[0] == '\0');
    CHECK(std::string_view(all.brief) == letters);
    CHECK(std::string_view(all.long_one) == longer);
    CHECK(std::string_view(all.together.first) == longer);
    CHECK(std::string_view(std::get<1>(all.together.second)) == longer);
    CHECK(all.three[0].empty());
    CHECK(std::string_view(all.three[1]) == longer);
    CHECK(is_text(all.maybe.value(), runs - 1));
    CHECK(is_text(std::get<string>(all.either), runs - 1));
}

void note_addresses(everything &all)
{
    int local = 0;
    std::unique_ptr<int> allocated(new int(0));
    all.processes.push_back({reinterpret_cast<std::uintptr_t>(&note_addresses),
                             reinterpret_cast<std::uintptr_t>(allocated.get()),
                             reinterpret_cast<std::uintptr_t>(&local)});
}

// What a process does that is started with "step" and this word, after `runs` others have grown the heap.
void step(const std::string &word, int runs)
{
    const std::uint64_t tag = filz::container_tag(1);
    settings = filz::mmap_settings(file);
    if (word == "read") {
        settings.read_only(tag);
        kept::heap().open();
        REQUIRE(kept::heap().root<const everything>() != nullptr);
        check(*kept::heap().root<const everything>(), runs);
        return;
    }
    if (word == "copy")
        settings.private_copy(tag);
    else
        settings.persistent(tag);
    everything &all = kept::heap().root_or_create<everything>();
    if (runs > 0)
        check(all, runs);
    grow(all, runs);
    check(all, runs + 1);
    if (word == "copy")
        return;
    note_addresses(all);
    if (word == "killed")
        std::raise(SIGKILL);
}

// Runs a step in a process of its own. Returns how that ended, as waitpid says.
int in_new_process(const char *word, int runs)
{
    std::string program = std::filesystem::read_symlink("/proc/self/exe"), count = std::to_string(runs);
    std::string step_word = "step", name = word;
    char *arguments[] = {program.data(), step_word.data(), name.data(), count.data(), nullptr};
    pid_t child = 0;
    std::fflush(nullptr);
    REQUIRE(posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environ) == 0);
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        REQUIRE(errno == EINTR);
    return status;
}

template <class Member> std::size_t different(const everything &all, Member member)
{
    std::set<std::uintptr_t> found;
    for (const addresses &one : all.processes)
        found.insert(one.*member);
    return found.size();
}
} // namespace

TEST_CASE("containers in a persistent heap go on in each process, whatever its addresses, and after a kill")
{
    std::filesystem::remove(file);
    CHECK(in_new_process("grow", 0) == 0);
    CHECK(in_new_process("read", 1) == 0);
    CHECK(in_new_process("grow", 1) == 0);
    CHECK(in_new_process("grow", 2) == 0);
    CHECK(in_new_process("copy", 3) == 0);
    const int killed = in_new_process("killed", 3);
    CHECK(WIFSIGNALED(killed));
    CHECK(WTERMSIG(killed) == SIGKILL);
    CHECK(in_new_process("read", 4) == 0);
    CHECK(in_new_process("grow", 4) == 0);

    settings = filz::mmap_settings(file).read_only(filz::container_tag(1));
    kept::heap().open();
    const everything &all = *kept::heap().root<const everything>();
    check(all, 5);
    std::printf("5 processes had %zu places for their code, %zu for their heap, %zu for their stack\n",
                different(all, &addresses::code), different(all, &addresses::heap), different(all, &addresses::stack));
    if (different(all, &addresses::stack) == 1)
        std::puts("address-space layout randomisation is off here, so addresses that changed weren't tested");
}

TEST_CASE("a heap with containers of another library is refused")
{
    filz::mmap_resource other(
        filz::mmap_settings("cpp-other-library.filz").persistent(filz::container_tag(1) ^ 1ull << 40));
    std::filesystem::remove("cpp-other-library.filz");
    other.open();
    other.close();
    filz::mmap_resource mine(filz::mmap_settings("cpp-other-library.filz").persistent(filz::container_tag(1)));
    std::error_code error;
    mine.open(error);
    CHECK(error == FILZ_ETAG);
}

int main(int argc, char **argv)
{
    doctest::Context context(argc, argv);
    if (argc == 4 && std::strcmp(argv[1], "step") == 0) {
        // A check outside of a test case: the first that fails ends the process.
        context.setAsDefaultForAssertsOutOfTestCases();
        context.setAssertHandler([](const doctest::AssertData &data) {
            if (!data.m_failed)
                return;
            std::fprintf(stderr, "%s:%d: %s is false\n", data.m_file, data.m_line, data.m_expr);
            std::_Exit(EXIT_FAILURE);
        });
        step(argv[2], std::atoi(argv[3]));
        return EXIT_SUCCESS;
    }
    return context.run();
}
