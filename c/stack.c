/* The stack allocator: a count of bytes used, bumped by compare-and-swap, and a buffer after it.
 *
 * Freestanding: this file may use no libc header, and nothing of libc except memcpy and memset, which every compiler
 * needs. */
#include "filz/stack.h"

#include "bump.h"
#include "poison.h"

#if !defined(FILZ_COMPARE_AND_SWAP) && __GCC_ATOMIC_POINTER_LOCK_FREE < 2
#error "no compare-and-swap here: compile with -DFILZ_COMPARE_AND_SWAP and supply a function for it; see <filz/stack.h>"
#endif

static uintptr_t buffer_of(const filz_stack *self)
{
    return (uintptr_t)(self + 1);
}

static uintptr_t buffer_end(const filz_stack *self)
{
    return buffer_of(self) + self->capacity;
}

#ifdef FILZ_COMPARE_AND_SWAP
/* If only an interrupt can come between, it is enough that the compiler keeps the order. */
static size_t load_used(const filz_stack *self)
{
    size_t used = *(const volatile size_t *)&self->used;
    __atomic_signal_fence(__ATOMIC_ACQUIRE);
    return used;
}

static void store_used(filz_stack *self, size_t used)
{
    __atomic_signal_fence(__ATOMIC_RELEASE);
    *(volatile size_t *)&self->used = used;
}

static bool swap_used(filz_stack *self, size_t *expected, size_t desired)
{
    bool swapped = filz_compare_and_swap(&self->used, *expected, desired);
    *expected = load_used(self);
    return swapped;
}
#else
static size_t load_used(const filz_stack *self)
{
    return __atomic_load_n(&self->used, __ATOMIC_ACQUIRE);
}

static void store_used(filz_stack *self, size_t used)
{
    __atomic_store_n(&self->used, used, __ATOMIC_RELEASE);
}

/* Moves `used` from `*expected` to `desired` if nobody moved it meanwhile; else sets `*expected` to it. */
static bool swap_used(filz_stack *self, size_t *expected, size_t desired)
{
    return __atomic_compare_exchange_n(&self->used, expected, desired, true, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}
#endif

/* --- poisoning --- */

/* Not for a variable on the stack: nobody would unpoison it at the function's end. */
static void poison_new(const filz_stack *self)
{
    if (FZ_POISONS && fz_variable_kind(buffer_of(self)) != 's')
        fz_poison(buffer_of(self), buffer_end(self));
}

/* Its end shows it. If that is allocated, only a global one is known to be. */
static bool is_poisoned(const filz_stack *self)
{
    uintptr_t end = align_down(buffer_end(self), FZ_POISON_GRANULE);
    if (!FZ_POISONS || end <= buffer_of(self))
        return false;
    return buffer_of(self) + load_used(self) >= end ? fz_variable_kind(end - 1) == 'g' : fz_is_poisoned(end - 1, 1);
}

/* The end of the 8 bytes in which a block ends. Other threads allocate from these too, so all are unpoisoned. */
static uintptr_t shared_end(const filz_stack *self, uintptr_t end)
{
    return end + smaller_of(padding_for(end, FZ_POISON_GRANULE), buffer_end(self) - end);
}

/* --- the allocator --- */

filz_stack *filz_stack_init(void *memory, size_t bytes)
{
    uintptr_t header;
    uintptr_t start = (uintptr_t)memory;
    if (memory == NULL || !bump_fits(start, start + bytes, sizeof(filz_stack), _Alignof(filz_stack), &header))
        return NULL;
    filz_stack *self = (filz_stack *)header;
    fz_unpoison(start, start + bytes); /* it may have been another allocator's */
    self->capacity = start + bytes - buffer_of(self);
    self->used = 0;
    poison_new(self);
    return self;
}

void *filz_stack_alloc(filz_stack *self, size_t size, size_t align)
{
    if (!is_power_of_two(align))
        return NULL;
    size = at_least_one(size);
    uintptr_t buffer = buffer_of(self);
    uintptr_t end = buffer_end(self);
    uintptr_t block;
    size_t used = load_used(self);
    do {
        if (!bump_fits(buffer + used, end, size, align, &block))
            return NULL;
    } while (!swap_used(self, &used, block + size - buffer));
    fz_unpoison(block, shared_end(self, block + size));
    return (void *)block;
}

void *filz_stack_alloc_zeroed(filz_stack *self, size_t size, size_t align)
{
    void *block = filz_stack_alloc(self, size, align);
    return block ? __builtin_memset(block, 0, size) : NULL;
}

/* Grows or shrinks the newest block in place. False if it isn't the newest, or there is no room. The part that it gives
 * back is poisoned before another thread can allocate it. */
static bool resize_newest(filz_stack *self, void *block, size_t size, size_t new_size)
{
    size_t start = (uintptr_t)block - buffer_of(self);
    size_t end = start + size;
    if (new_size > self->capacity - start)
        return false;
    if (new_size < size && is_poisoned(self))
        fz_poison_shrunk((uintptr_t)block + new_size, (uintptr_t)block + size);
    while (load_used(self) == end) {
        size_t expected = end;
        if (swap_used(self, &expected, start + new_size)) {
            fz_unpoison((uintptr_t)block, shared_end(self, (uintptr_t)block + new_size));
            return true;
        }
    }
    return false;
}

/* Whether `block`, of `size` bytes, can be from this allocator. */
static inline bool can_be_ours(const filz_stack *self, const void *block, size_t size, size_t align)
{
    uintptr_t start = (uintptr_t)block, cursor = buffer_of(self) + load_used(self);
    return filz_stack_owns(self, block) && start < cursor && size <= cursor - start && padding_for(start, align) == 0;
}

#ifdef NDEBUG
#define ASSERT(condition) ((void)(0 && (condition)))
#else
#define ASSERT(condition) ((condition) ? (void)0 : __builtin_trap())
#endif

void *filz_stack_realloc(filz_stack *self, void *block, size_t size, size_t align, size_t new_size)
{
    if (block == NULL)
        return filz_stack_alloc(self, new_size, align);
    if (!is_power_of_two(align))
        return NULL;
    ASSERT(can_be_ours(self, block, size, align));
    if (resize_newest(self, block, at_least_one(size), at_least_one(new_size)) || new_size <= at_least_one(size))
        return block;
    void *copy = filz_stack_alloc(self, new_size, align);
    return copy ? __builtin_memcpy(copy, block, size) : NULL;
}

void filz_stack_dealloc(filz_stack *self, void *block, size_t size, size_t align)
{
    (void)self, (void)block, (void)size, (void)align;
}

bool filz_stack_owns(const filz_stack *self, const void *address)
{
    return (uintptr_t)address - buffer_of(self) < self->capacity;
}

size_t filz_stack_mark(const filz_stack *self)
{
    return load_used(self);
}

void filz_stack_rewind(filz_stack *self, size_t mark)
{
    if (mark >= load_used(self))
        return;
    if (is_poisoned(self))
        fz_poison(buffer_of(self) + mark, shared_end(self, buffer_of(self) + load_used(self)));
    store_used(self, mark);
}

void filz_stack_reset(filz_stack *self)
{
    filz_stack_rewind(self, 0);
}

void filz_stack_stats(const filz_stack *self, filz_stack_info *out)
{
    out->capacity = self->capacity;
    out->used = load_used(self);
}
