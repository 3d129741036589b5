/* filz/memory_resource.hpp: the containers of C++17 on filz's heaps.
 *
 *     #include <filz/memory_resource.hpp>
 *     #include <functional>
 *     #include <iostream>
 *     #include <map>
 *     #include <string>
 *
 *     struct notes { // a type that stands for the heap
 *         static filz::mmap_resource &heap()
 *         {
 *             static filz::mmap_resource heap(filz::mmap_settings("notes.filz").persistent(filz::container_tag(1)));
 *             return heap;
 *         }
 *     };
 *     using text = std::basic_string<char, std::char_traits<char>, filz::allocator<char, notes>>;
 *     using table = std::map<text, int, std::less<>, filz::allocator<std::pair<const text, int>, notes>>;
 *
 *     int main()
 *     {
 *         notes::heap().open();
 *         table &counts = notes::heap().root_or_create<table>();
 *         std::cout << "run " << ++counts["runs of this program"] << "\n";
 *     }
 *
 * Each run finds the map that the last one left in notes.filz, and adds one to its count.
 *
 * This header wraps the C headers in C++17, all of it inline. Link with libfilz. A container gets its memory in one of
 * two ways:
 *
 *   filz::mmap_resource    std::pmr::memory_resources, for containers such as std::pmr::vector that this process makes
 *   filz::stack_resource   and that end with it: `filz::mmap_resource heap; std::pmr::vector<int> numbers(&heap);`
 *   filz::allocator        an allocator of no size, for containers that are in a persistent heap themselves
 *
 * Both allocate and never free: deallocating does nothing. A vector that grows leaves its old block behind, and an
 * element that is erased leaves its node, until the heap is reset. Reserve the size if you know it.
 *
 * <filz/mmap.h> and <filz/stack.h> say what holds for the heaps in any language.
 *
 * PERSISTENT CONTAINERS. A container that stays in a persistent heap needs filz::allocator. A container of std::pmr
 * keeps a pointer to its memory_resource, which has a vtable. In the next run both are somewhere else, so the first
 * growth is a SIGSEGV. A container with std::allocator keeps its elements in memory that is gone. filz::allocator
 * stores nothing: it finds the heap by its type. Containers and their elements then refer only to blocks of the heap,
 * which have the same addresses in each run. In a read-only heap, the allocator can't make a key to look up either:
 * compare with a std::string_view, in a map by std::less<>.
 *
 * root, set_root and root_or_create of an mmap_resource are compile errors for types that is_storable rejects. NOT
 * DETECTED, because C++ can't list the members of a class: a member of a struct of your own (specialise is_storable for
 * it); a virtual base of a class without virtual functions; what a pointer, a std::string_view, a
 * std::reference_wrapper or an iterator points to, for example a string literal, a variable or another heap; a
 * container of another heap than the one whose root it is; std::any, std::filesystem::path, std::mutex, std::thread and
 * other types that keep addresses, locks or handles of a process.
 *
 * Tests store, reopen, read, grow and erase from these types in several processes at different addresses (address-space
 * layout randomisation), with libstdc++ 12 and libc++ 16: std::vector, deque, list, forward_list, map, multimap, set,
 * unordered_map, unordered_multimap, unordered_set, basic_string (short ones, which point into themselves, and long
 * ones), optional, pair, tuple, array, variant, and priority_queue; nested in each other, with the standard's hash and
 * comparison functions. multiset, unordered_multiset, stack and queue aren't tested, but hold no address of the process
 * in either library. These can't be stored: strings of libstdc++'s old ABI (_GLIBCXX_USE_CXX11_ABI=0), because an empty
 * one points to a variable of the library; function, shared_ptr, any, regex, streams. libstdc++'s debug mode
 * (_GLIBCXX_DEBUG), whose containers refer to the iterators of a process, isn't tested.
 *
 * Each library lays out its containers in its own way. container_tag makes a tag of your number and the library, so
 * that a program compiled with another library is refused (FILZ_ETAG). Change the number when your types change. Use
 * only hash functions that give the same result in each run, as std::hash does in both libraries.
 *
 * A change to a container is many stores. If the program is killed in the middle of one, or a power cut comes when the
 * kernel has written only some of the pages, nobody can read the container, although the heap is in order. filz
 * promises blocks, not transactions. So build first, and then set_root; or write to another file and publish it; or
 * change only what one store publishes. The same holds for readers beside a shared writer (FILZ_MMAP_SHARED): no
 * standard container may be read while it changes.
 *
 * A container in a heap need not be destroyed. Destroy one that is elsewhere, for example on the stack, before the heap
 * is closed or reset. A static mmap_resource is closed when static objects are destroyed. If other threads may still
 * run then, use `static auto &heap = *new filz::mmap_resource(...)`, because filz itself leaves the file in order at
 * exit.
 *
 * THREADS. Any threads may use allocate, deallocate and filz::allocator at the same time. A container is as thread-safe
 * as it is elsewhere. close, reset, publish and rewind require exclusive access.
 *
 * ERRORS. A function that allocates throws std::bad_alloc where the C function returns NULL. The other functions have
 * two forms, like those of std::filesystem: one throws std::system_error, whose text begins with the heap's path, and
 * one sets a std::error_code. FILZ_E constants belong to filz::error_category(), and compare with a code: `error.code()
 * == FILZ_ETAG`. errno values belong to std::generic_category(): `error.code() == std::errc::no_space_on_device`. With
 * -fno-exceptions, what would throw calls std::abort. */
#ifndef FILZ_MEMORY_RESOURCE_HPP
#define FILZ_MEMORY_RESOURCE_HPP

#if __cplusplus < 201703L
#error "<filz/memory_resource.hpp> needs C++17"
#elif !__has_include(<memory_resource>)
#error "<filz/memory_resource.hpp> needs <memory_resource>: libstdc++ 9, libc++ 16, or newer"
#endif

#include "stack.h"

#ifdef FILZ_HAS_MMAP
#include "mmap.h"
#endif

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <limits>
#include <memory>
#include <memory_resource>
#include <new>
#include <string>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#ifdef FILZ_HAS_MMAP
/* Makes `code == FILZ_ETAG` compile. */
template <> struct std::is_error_code_enum<filz_error> : std::true_type {
};
#endif

namespace filz
{

namespace detail
{
/* These end the function or, without exceptions, the process. */
[[noreturn]] inline void throw_bad_alloc()
{
#ifdef __cpp_exceptions
    throw std::bad_alloc();
#else
    std::abort();
#endif
}
[[noreturn]] inline void throw_bad_array_new_length()
{
#ifdef __cpp_exceptions
    throw std::bad_array_new_length();
#else
    std::abort();
#endif
}
[[noreturn]] inline void throw_system_error(std::error_code code, const std::string &what)
{
#ifdef __cpp_exceptions
    throw std::system_error(code, what);
#else
    static_cast<void>(code);
    static_cast<void>(what);
    std::abort();
#endif
}

inline void *or_bad_alloc(void *block)
{
    if (block == nullptr)
        throw_bad_alloc();
    return block;
}
} // namespace detail

/* A std::pmr::memory_resource over a stack allocator in the caller's buffer. It owns neither, and must not outlive
 * them. Containers keep its address, so it can't be copied or moved. Two are equal if they are the same object. */
class stack_resource final : public std::pmr::memory_resource
{
  public:
    /* Makes an allocator in `bytes` bytes at `memory`, the first of which are its header. If not even that fits, each
     * allocation throws std::bad_alloc. */
    stack_resource(void *memory, std::size_t bytes) noexcept : handle_(filz_stack_init(memory, bytes))
    {
    }

    /* The same in an array: `std::byte buffer[4096]; filz::stack_resource scratch(buffer);` */
    template <class Byte, std::size_t size, class = std::enable_if_t<std::is_trivially_copyable_v<Byte>>>
    explicit stack_resource(Byte (&buffer)[size]) noexcept : stack_resource(buffer, sizeof(buffer))
    {
    }

    /* Refers to an existing allocator, such as one of FILZ_STACK: `filz::stack_resource r(*scratch)`. */
    explicit stack_resource(filz_stack &stack) noexcept : handle_(&stack)
    {
    }

    stack_resource(const stack_resource &) = delete;
    stack_resource &operator=(const stack_resource &) = delete;

    /* For the C functions. Null if the buffer was too small for a header. */
    filz_stack *handle() const noexcept
    {
        return handle_;
    }

    /* The number of bytes allocated, to rewind to later. */
    std::size_t mark() const noexcept
    {
        return handle_ == nullptr ? 0 : filz_stack_mark(handle_);
    }

    /* Ends every block allocated since `mark`. No container may use one of them afterwards, not even in its destructor
     * if its elements have destructors. Requires exclusive access. */
    void rewind(std::size_t mark) noexcept
    {
        if (handle_ != nullptr)
            filz_stack_rewind(handle_, mark);
    }

    /* Ends every block, as rewind(0) does. */
    void reset() noexcept
    {
        rewind(0);
    }

    /* Whether `address` lies in the buffer, allocated or not. */
    bool owns(const void *address) const noexcept
    {
        return handle_ != nullptr && filz_stack_owns(handle_, address);
    }

    /* The buffer's size, and how much of it is in use. */
    filz_stack_info stats() const noexcept
    {
        filz_stack_info info = {};
        if (handle_ != nullptr)
            filz_stack_stats(handle_, &info);
        return info;
    }

  private:
    void *do_allocate(std::size_t bytes, std::size_t alignment) override
    {
        return detail::or_bad_alloc(handle_ == nullptr ? nullptr : filz_stack_alloc(handle_, bytes, alignment));
    }

    void do_deallocate(void *, std::size_t, std::size_t) override
    {
    }

    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
    {
        return this == &other;
    }

    filz_stack *handle_;
};

#ifdef FILZ_HAS_MMAP

namespace detail
{
class FILZ_API category final : public std::error_category
{
  public:
    const char *name() const noexcept override
    {
        return "filz";
    }

    std::string message(int error) const override
    {
        return filz_error_text(error);
    }
};
} // namespace detail

/* The category of FILZ_E constants. Its messages are those of filz_error_text. */
FILZ_API inline const std::error_category &error_category() noexcept
{
    static const detail::category instance;
    return instance;
}

/* Turns a C function's result into a code: 0 is no error, a FILZ_E constant gets error_category(), and an errno value
 * std::generic_category(). The code's value is the number itself. */
inline std::error_code to_error_code(int error) noexcept
{
    return {error, error < 0 ? error_category() : std::generic_category()};
}

/* The settings of an mmap_resource, with the meanings of the fields of filz_mmap. Each function changes one and returns
 * the settings: `filz::mmap_settings("index.filz").persistent(1).capacity(1 << 30)`. */
class mmap_settings
{
  public:
    /* All defaults: see WHERE THE FILE GOES in <filz/mmap.h>. */
    mmap_settings() = default;

    /* The heap is in this file. A std::filesystem::path works too. */
    explicit mmap_settings(std::string path) : path_(std::move(path)), named_(true)
    {
    }

    /* The heap outlives the program (FILZ_MMAP_PERSISTENT). `tag` says what is in it; see container_tag. */
    mmap_settings &persistent(std::uint64_t tag)
    {
        return with(FILZ_MMAP_PERSISTENT, tag);
    }

    /* Others may read the heap while this process writes to it (FILZ_MMAP_SHARED). */
    mmap_settings &shared(std::uint64_t tag)
    {
        return with(FILZ_MMAP_SHARED, tag);
    }

    /* This process only reads a persistent heap, and any number of processes may (FILZ_MMAP_READ_ONLY). */
    mmap_settings &read_only(std::uint64_t tag)
    {
        return with(FILZ_MMAP_READ_ONLY, tag);
    }

    /* What this process writes to a persistent heap stays its own (FILZ_MMAP_PRIVATE). */
    mmap_settings &private_copy(std::uint64_t tag)
    {
        return with(FILZ_MMAP_PRIVATE, tag);
    }

    /* The heap is in core dumps (FILZ_MMAP_DUMP). */
    mmap_settings &in_core_dumps()
    {
        flags_ |= FILZ_MMAP_DUMP;
        return *this;
    }

    /* The limit in bytes. */
    mmap_settings &capacity(std::size_t bytes)
    {
        capacity_ = bytes;
        return *this;
    }

    /* The address of a new persistent heap. */
    mmap_settings &at_address(std::uintptr_t base)
    {
        base_ = base;
        return *this;
    }

  private:
    friend class mmap_resource;

    mmap_settings &with(unsigned flag, std::uint64_t tag)
    {
        flags_ |= flag;
        tag_ = tag;
        return *this;
    }

    std::string path_;
    bool named_ = false;
    std::size_t capacity_ = 0;
    unsigned flags_ = 0;
    std::uint64_t tag_ = 0;
    std::uintptr_t base_ = 0;
};

/* A tag for a persistent heap that holds containers. The lower half is `version`, a number of your choice. The upper
 * half says which standard library the containers are from, with what changes their layout. */
constexpr std::uint64_t container_tag(std::uint32_t version) noexcept
{
#ifdef _LIBCPP_ABI_VERSION
    constexpr std::uint32_t library = 0x6c630000u | _LIBCPP_ABI_VERSION;
#elif defined(__GLIBCXX__)
#ifdef _GLIBCXX_DEBUG
    constexpr std::uint32_t debug = 2;
#else
    constexpr std::uint32_t debug = 0;
#endif
    constexpr std::uint32_t library = 0x67730000u | debug | (_GLIBCXX_USE_CXX11_ABI ? 1 : 0);
#else
    constexpr std::uint32_t library = 0;
#endif
    return std::uint64_t{library} << 32 | version;
}

/* An allocator for containers that are in a heap themselves: see PERSISTENT CONTAINERS. `Heap` is a type with a static
 * function `heap()` that returns the filz_mmap or the mmap_resource by reference. Each process may open it in its own
 * way, for example by another path. The allocator has no state, so all allocators of one Heap are equal. */
template <class T, class Heap> class allocator
{
  public:
    using value_type = T;
    using is_always_equal = std::true_type;
    using propagate_on_container_copy_assignment = std::true_type;
    using propagate_on_container_move_assignment = std::true_type;
    using propagate_on_container_swap = std::true_type;
    template <class U> struct rebind {
        using other = allocator<U, Heap>;
    };

    allocator() = default;

    template <class U> constexpr allocator(const allocator<U, Heap> &) noexcept
    {
    }

    /* Room for `count` objects. Opens the heap if it isn't. Throws std::bad_alloc where filz_mmap_alloc returns NULL,
     * and std::bad_array_new_length if the size doesn't fit a std::size_t. */
    [[nodiscard]] T *allocate(std::size_t count)
    {
        if (count > std::numeric_limits<std::size_t>::max() / sizeof(T))
            detail::throw_bad_array_new_length();
        void *block = filz_mmap_alloc(handle(Heap::heap()), count * sizeof(T), alignof(T));
        return static_cast<T *>(detail::or_bad_alloc(block));
    }

    /* Does nothing. */
    void deallocate(T *, std::size_t) noexcept
    {
    }

  private:
    static filz_mmap *handle(filz_mmap &heap) noexcept
    {
        return &heap;
    }
    template <class Resource> static filz_mmap *handle(Resource &resource) noexcept
    {
        return resource.handle();
    }
};

template <class T, class U, class Heap>
constexpr bool operator==(const allocator<T, Heap> &, const allocator<U, Heap> &) noexcept
{
    return true;
}
template <class T, class U, class Heap>
constexpr bool operator!=(const allocator<T, Heap> &, const allocator<U, Heap> &) noexcept
{
    return false;
}

template <class T> struct is_storable;

namespace detail
{
template <class T> struct is_allocator_of_a_heap : std::false_type {
};
template <class T, class Heap> struct is_allocator_of_a_heap<allocator<T, Heap>> : std::true_type {
};

template <class T> struct is_polymorphic_allocator : std::false_type {
};
template <class T> struct is_polymorphic_allocator<std::pmr::polymorphic_allocator<T>> : std::true_type {
};

/* Whether the member type Member<T> is storable, or T has none. The member type of some types is the type itself. */
template <template <class> class Member, class T, class = void> struct member_is_storable : std::true_type {
};
template <template <class> class Member, class T>
struct member_is_storable<Member, T, std::void_t<Member<T>>>
    : std::disjunction<std::is_same<std::remove_cv_t<Member<T>>, T>, is_storable<Member<T>>> {
};
template <class T> using value_type_of = typename T::value_type;
template <class T> using container_type_of = typename T::container_type;
template <class T> using hasher_of = typename T::hasher;
template <class T> using key_equal_of = typename T::key_equal;
template <class T> using key_compare_of = typename T::key_compare;
template <class T> using value_compare_of = typename T::value_compare;

template <class T, class = void> struct has_pmr_allocator : std::false_type {
};
template <class T>
struct has_pmr_allocator<T, std::void_t<typename T::allocator_type>>
    : is_polymorphic_allocator<typename T::allocator_type> {
};

template <class T, class = void> struct has_storable_allocator : std::true_type {
};
template <class T>
struct has_storable_allocator<T, std::void_t<typename T::allocator_type>>
    : is_allocator_of_a_heap<typename T::allocator_type> {
};

template <class T>
struct class_is_storable
    : std::conjunction<std::negation<std::is_polymorphic<T>>, has_storable_allocator<T>,
                       member_is_storable<value_type_of, T>, member_is_storable<container_type_of, T>,
                       member_is_storable<hasher_of, T>, member_is_storable<key_equal_of, T>,
                       member_is_storable<key_compare_of, T>, member_is_storable<value_compare_of, T>> {
};

template <class T>
struct type_is_storable
    : std::conditional_t<std::is_class_v<T>, class_is_storable<T>,
                         std::bool_constant<std::is_object_v<T> && !std::is_member_function_pointer_v<T> &&
                                            !(std::is_pointer_v<T> && std::is_function_v<std::remove_pointer_t<T>>)>> {
};
} // namespace detail

/* Whether the next run can use a T in a persistent heap, as far as can be told: see NOT DETECTED. False for types with
 * a vtable; pointers to functions; containers whose allocator isn't a filz::allocator; std::function, shared_ptr,
 * weak_ptr and unique_ptr that deletes; and types that hold one of these as their elements, hash or comparison
 * function. Specialise it for a struct of your own, so that its members are checked:
 *
 *     template <> struct filz::is_storable<row> : filz::are_storable<decltype(row::name), decltype(row::numbers)> {};
 *
 * or for a container with an allocator of your own, if you know that it is storable. */
template <class T> struct is_storable : detail::type_is_storable<T> {
};
template <class T> inline constexpr bool is_storable_v = is_storable<T>::value;

/* Whether all of them are storable. */
template <class... T> struct are_storable : std::conjunction<is_storable<T>...> {
};

template <class T> struct is_storable<const T> : is_storable<T> {
};
template <class T> struct is_storable<volatile T> : is_storable<T> {
};
template <class T> struct is_storable<const volatile T> : is_storable<T> {
};
template <class T, std::size_t size> struct is_storable<T[size]> : is_storable<T> {
};
template <class T, std::size_t size> struct is_storable<const T[size]> : is_storable<T> {
};
template <class First, class Second> struct is_storable<std::pair<First, Second>> : are_storable<First, Second> {
};
template <class... T> struct is_storable<std::tuple<T...>> : are_storable<T...> {
};
template <class... T> struct is_storable<std::variant<T...>> : are_storable<T...> {
};
template <class Signature> struct is_storable<std::function<Signature>> : std::false_type {
};
template <class T> struct is_storable<std::shared_ptr<T>> : std::false_type {
};
template <class T> struct is_storable<std::weak_ptr<T>> : std::false_type {
};
template <class T> struct is_storable<std::default_delete<T>> : std::false_type {
};
template <class T, class Deleter> struct is_storable<std::unique_ptr<T, Deleter>> : is_storable<Deleter> {
};
#if defined(_GLIBCXX_USE_CXX11_ABI) && !_GLIBCXX_USE_CXX11_ABI
template <class Char, class Traits, class Allocator>
struct is_storable<std::basic_string<Char, Traits, Allocator>> : std::false_type {
};
#endif

namespace detail
{
/* Fails to compile, and says why, if the next run couldn't use a T that it finds. */
template <class T> constexpr void require_storable() noexcept
{
    static_assert(!std::is_polymorphic_v<T>, "this type has a vtable, which is elsewhere in the next run");
    static_assert(!has_pmr_allocator<T>::value,
                  "a container of std::pmr points to a memory_resource of this process: use filz::allocator");
    static_assert(is_storable_v<T>,
                  "this type refers to what is elsewhere in the next run: see PERSISTENT CONTAINERS and is_storable");
}
} // namespace detail

/* A std::pmr::memory_resource that owns a heap in a file. Containers keep its address, so it can't be copied or moved.
 * Two are equal if they are the same object. */
class mmap_resource final : public std::pmr::memory_resource
{
  public:
    /* A closed heap with these settings. The first allocation opens it; a program calls open to see the error. */
    explicit mmap_resource(mmap_settings settings = {}) : settings_(std::move(settings))
    {
        handle_.path = settings_.named_ ? settings_.path_.c_str() : nullptr;
        handle_.capacity = settings_.capacity_;
        handle_.flags = settings_.flags_;
        handle_.tag = settings_.tag_;
        handle_.base = settings_.base_;
    }

    /* Closes the heap. */
    ~mmap_resource() override
    {
        close();
    }

    mmap_resource(const mmap_resource &) = delete;
    mmap_resource &operator=(const mmap_resource &) = delete;

    /* For the C functions. */
    filz_mmap *handle() noexcept
    {
        return &handle_;
    }
    const filz_mmap *handle() const noexcept
    {
        return &handle_;
    }

    /* Opens the heap, or does nothing if it is open. The errors are those of filz_mmap_open. */
    void open()
    {
        require(filz_mmap_open(&handle_));
    }
    void open(std::error_code &error) noexcept
    {
        error = to_error_code(filz_mmap_open(&handle_));
    }

    /* Closes the heap: every block ends, unless the heap is persistent. It can be opened again. Requires exclusive
     * access. */
    void close() noexcept
    {
        filz_mmap_close(&handle_);
    }

    /* Ends every block. The errors are those of filz_mmap_reset. Requires exclusive access. */
    void reset()
    {
        require(filz_mmap_reset(&handle_));
    }
    void reset(std::error_code &error) noexcept
    {
        error = to_error_code(filz_mmap_reset(&handle_));
    }

    /* Brings the heap to the disk. The errors are those of filz_mmap_sync. */
    void sync()
    {
        require(filz_mmap_sync(&handle_));
    }
    void sync(std::error_code &error) noexcept
    {
        error = to_error_code(filz_mmap_sync(&handle_));
    }

    /* Renames the heap's file to `path`, while others may read the file of that name, and closes the heap. The errors
     * are those of filz_mmap_publish. */
    void publish(const std::string &path)
    {
        require(filz_mmap_publish(&handle_, path.c_str()));
    }
    void publish(const std::string &path, std::error_code &error) noexcept
    {
        error = to_error_code(filz_mmap_publish(&handle_, path.c_str()));
    }

    /* Whether the heap's name still leads to its file. */
    bool is_current() const noexcept
    {
        return filz_mmap_is_current(&handle_);
    }

    /* Whether `address` lies in the heap's address space, allocated or not. */
    bool owns(const void *address) const noexcept
    {
        return filz_mmap_owns(&handle_, address);
    }

    /* How full the heap is. The errors are those of filz_mmap_stats. */
    filz_mmap_info stats() const
    {
        filz_mmap_info info = {};
        require(filz_mmap_stats(&handle_, &info));
        return info;
    }
    filz_mmap_info stats(std::error_code &error) const noexcept
    {
        filz_mmap_info info = {};
        error = to_error_code(filz_mmap_stats(&handle_, &info));
        return info;
    }

    /* Makes a T in the heap. It is never destroyed. If its constructor throws, its memory stays allocated. */
    template <class T, class... Arguments> T *create(Arguments &&...arguments)
    {
        void *block = allocate(sizeof(T), alignof(T));
        if constexpr (std::is_constructible_v<T, Arguments...>)
            return ::new (block) T(std::forward<Arguments>(arguments)...);
        else
            return ::new (block) T{std::forward<Arguments>(arguments)...};
    }

    /* The root, which this process or an earlier one must have set as a T. That isn't checked, but opening the heap
     * checks the tag. Null if there is none, or the heap is closed. For a heap that is only read, T should be const. */
    template <class T> T *root() const noexcept
    {
        detail::require_storable<T>();
        return static_cast<T *>(filz_mmap_root(&handle_));
    }

    /* Makes an object in the heap its root. A thread that reads the root sees what was written before. The errors are
     * those of filz_mmap_set_root. */
    template <class T> void set_root(const T *root)
    {
        detail::require_storable<T>();
        require(filz_mmap_set_root(&handle_, root));
    }
    template <class T> void set_root(const T *root, std::error_code &error) noexcept
    {
        detail::require_storable<T>();
        error = to_error_code(filz_mmap_set_root(&handle_, root));
    }

    /* Clears the root. */
    void set_root(std::nullptr_t)
    {
        require(filz_mmap_set_root(&handle_, nullptr));
    }

    /* The root; if there is none, creates a T and makes it the root. Opens the heap. Throws what open, create and
     * set_root do. If several threads may call it first, let one of them call it before the others. */
    template <class T, class... Arguments> T &root_or_create(Arguments &&...arguments)
    {
        open();
        T *found = root<T>();
        if (found == nullptr) {
            found = create<T>(std::forward<Arguments>(arguments)...);
            set_root(found);
        }
        return *found;
    }

  private:
    void require(int error) const
    {
        if (error != 0)
            detail::throw_system_error(to_error_code(error), settings_.named_ ? settings_.path_ : "filz");
    }

    void *do_allocate(std::size_t bytes, std::size_t alignment) override
    {
        return detail::or_bad_alloc(filz_mmap_alloc(&handle_, bytes, alignment));
    }

    void do_deallocate(void *, std::size_t, std::size_t) override
    {
    }

    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
    {
        return this == &other;
    }

    mmap_settings settings_;
    filz_mmap handle_ = FILZ_MMAP_INIT;
};

#endif

} // namespace filz

#ifdef FILZ_HAS_MMAP
/* std::error_code looks for it in the namespace of the constants. */
inline std::error_code make_error_code(filz_error error) noexcept
{
    return filz::to_error_code(error);
}
#endif

#endif
