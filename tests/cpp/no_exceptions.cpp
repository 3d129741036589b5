// With -fno-exceptions the header compiles, errors are codes, and what would throw aborts. No doctest, which throws.
#include <filz/memory_resource.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __cpp_exceptions
#error "this is the test of -fno-exceptions"
#endif

namespace
{
struct small_heap {
    static filz::mmap_resource &heap()
    {
        static filz::mmap_resource heap(filz::mmap_settings().capacity(1 << 20));
        return heap;
    }
};

int failures;

void expect(bool holds, const char *what)
{
    std::printf("%s: %s\n", holds ? "ok" : "FAILED", what);
    failures += !holds;
}

template <class Call> bool aborts(Call call)
{
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        const rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        std::signal(SIGABRT, SIG_DFL);
        call();
        _exit(0);
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}
} // namespace

int main()
{
    filz::mmap_resource heap(filz::mmap_settings("no/such/directory.filz"));
    std::error_code error;
    heap.open(error);
    expect(error == std::errc::no_such_file_or_directory, "an error of open is a code");
    expect(aborts([&] { heap.open(); }), "an open without a code aborts");
    expect(aborts([] { static_cast<void>(small_heap::heap().allocate(2 << 20)); }), "a resource that is full aborts");
    expect(aborts([] { static_cast<void>(filz::allocator<int, small_heap>().allocate(1 << 20)); }),
           "an allocator whose heap is full aborts");
    expect(aborts([] { static_cast<void>(filz::allocator<int, small_heap>().allocate(SIZE_MAX)); }),
           "an allocator aborts when it is asked for what is no size");
    std::vector<int, filz::allocator<int, small_heap>> numbers(1000, 1);
    expect(small_heap::heap().owns(numbers.data()) && numbers[999] == 1, "a container works as ever");
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
