// An index of the words of a text, built by the first run and found by each later one, in the file words-cpp.filz.
//
//     words TEXT WORD...
//
// In the project's directory, it is compiled and run like this:
//
//     cc -O2 -Iinclude -c c/filz.c -o filz.o
//     c++ -std=c++17 -O2 -Iinclude examples/words.cpp filz.o -pthread -o words && ./words README.md filz
//
// It is a std::map in the file. Nothing is loaded or parsed the second time.
#include <cctype>
#include <filesystem>
#include <filz/memory_resource.hpp>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

// The heap, and what is in it. Change the number when these types change.
struct words {
    static filz::mmap_resource &heap()
    {
        static filz::mmap_resource heap(filz::mmap_settings("words-cpp.filz").persistent(filz::container_tag(1)));
        return heap;
    }
};
template <class T> using in_heap = filz::allocator<T, words>;
using string = std::basic_string<char, std::char_traits<char>, in_heap<char>>;
using lines = std::vector<unsigned long, in_heap<unsigned long>>;
using table = std::map<string, lines, std::less<>, in_heap<std::pair<const string, lines>>>;

struct contents {
    std::uintmax_t size; // of the text
    std::filesystem::file_time_type modified;
    unsigned long lines;
    table entries;
};
template <> struct filz::is_storable<contents> : filz::is_storable<table> {
};

// Sets the root last: a run that is killed before leaves none, and the next one starts again.
static const contents *build(std::istream &text, std::uintmax_t size, std::filesystem::file_time_type modified)
{
    words::heap().reset();
    contents *all = words::heap().create<contents>(contents{size, modified, 0, {}});
    std::string line, word;
    while (std::getline(text, line)) {
        all->lines++;
        for (char c : line + '\n') {
            const auto letter = static_cast<unsigned char>(c);
            if (std::isalnum(letter) != 0) {
                word += static_cast<char>(std::tolower(letter));
            } else if (!word.empty()) {
                all->entries[string(std::string_view(word))].push_back(all->lines);
                word.clear();
            }
        }
    }
    words::heap().set_root(all);
    return all;
}

// By a std::string_view, which allocates nothing in the heap.
static void look_up(const contents &all, std::string_view word)
{
    const auto found = all.entries.find(word);
    if (found == all.entries.end())
        std::cout << word << ": nowhere\n";
    else
        std::cout << word << ": " << found->second.size() << " times, last in line " << found->second.back() << "\n";
}

static void run(const char *path, char **asked)
{
    std::ifstream text(path);
    const std::uintmax_t size = std::filesystem::file_size(path);
    const std::filesystem::file_time_type modified = std::filesystem::last_write_time(path);
    words::heap().open();
    const contents *all = words::heap().root<contents>();
    const bool found = all != nullptr && all->size == size && all->modified == modified;
    if (!found)
        all = build(text, size, modified);
    std::cout << (found ? "found: " : "built: ") << all->entries.size() << " words in " << all->lines << " lines\n";
    for (; *asked != nullptr; asked++)
        look_up(*all, *asked);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        std::cerr << "usage: words TEXT WORD...\n";
        return 2;
    }
    try {
        run(argv[1], argv + 2);
    } catch (const std::exception &error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
