/* See thread_cache.h. When a thread ends, the tails of its chunks go to the next threads that need one. It may not read
 * a chunk whose heap is gone. */
#include "thread_cache.h"

#include <pthread.h>

#define NO_HEAP SIZE_MAX

/* A closed heap has id 0, so an empty entry must not. */
_Thread_local struct fz_active fz_active FZ_TLS_MODEL = {NO_HEAP, NULL};

/* The other heaps of a thread that uses more than one: a page. */
struct page {
    struct page *next, **link; /* in the list of all pages */
    size_t count;
    size_t replaced; /* the entry given up last, when all were in use */
    struct fz_active entries[];
};

static struct page *all_pages;

static pthread_key_t at_thread_exit;
static char no_page; /* the key's value in a thread without a page: not &fz_active, which macOS frees before */
static bool key_is_ours;
static pthread_once_t key_made = PTHREAD_ONCE_INIT;

static size_t entries_in_a_page(void)
{
    return (fz_os_page_size() - sizeof(struct page)) / sizeof(struct fz_active);
}

static void give_back(struct fz_active *entry)
{
    struct filz_heap *heap = fz_heap_find(entry->heap_id);
    if (heap != NULL)
        fz_chunk_leave(heap, entry->chunk);
    *entry = (struct fz_active){NO_HEAP, NULL};
}

static void remove_page(struct page *page)
{
    *page->link = page->next;
    if (page->next != NULL)
        page->next->link = page->link;
    fz_os_unmap(page, fz_os_page_size());
}

/* If a destructor of the program allocates after this has run, that sets the key, and this runs again. On macOS,
 * fz_active is a new one by then (microsoft/mimalloc#164), so the tail of its chunk is lost. */
static void leave_all(void *value)
{
    int cancel_state;
    fz_lock(&cancel_state);
    give_back(&fz_active);
    if (value != &no_page) {
        struct page *page = value;
        for (size_t i = 0; i < page->count; i++)
            give_back(&page->entries[i]);
        remove_page(page);
    }
    fz_unlock(cancel_state);
}

static void make_key(void)
{
    key_is_ours = pthread_key_create(&at_thread_exit, leave_all) == 0;
}

static bool has_key(void)
{
    return __atomic_load_n(&key_is_ours, __ATOMIC_RELAXED);
}

/* Without a key, of which a process has 1,024, a thread has one active chunk, whose tail is lost when it ends.
 *
 * Made at load: the first 32 keys of a process have their values in the thread itself, glibc allocates later ones. And
 * in fz_thread_cache_put, for a thread that allocates before this constructor runs. */
__attribute__((constructor)) static void make_key_early(void)
{
    pthread_once(&key_made, make_key);
}

static struct page *page_of_thread(void)
{
    void *value = has_key() ? pthread_getspecific(at_thread_exit) : NULL;
    return value != &no_page ? value : NULL;
}

static struct page *add_page(void)
{
    void *start = NULL;
    if (!has_key() || fz_os_reserve(&start, fz_os_page_size()) != 0)
        return NULL;
    struct page *page = start;
    if (fz_os_map_anonymous(page, fz_os_page_size()) != 0 || pthread_setspecific(at_thread_exit, page) != 0) {
        fz_os_unmap(page, fz_os_page_size());
        return NULL;
    }
    *page = (struct page){.next = all_pages, .link = &all_pages};
    if (all_pages != NULL)
        all_pages->link = &page->next;
    all_pages = page;
    return page;
}

static struct fz_active *find(const struct page *page, size_t heap_id)
{
    for (size_t i = 0; page != NULL && i < page->count; i++)
        if (page->entries[i].heap_id == heap_id)
            return (struct fz_active *)&page->entries[i];
    return NULL;
}

static struct fz_active *entry_of(size_t heap_id)
{
    return fz_active.heap_id == heap_id ? &fz_active : find(page_of_thread(), heap_id);
}

static void swap(struct fz_active *a, struct fz_active *b)
{
    struct fz_active before = *a;
    *a = *b;
    *b = before;
}

bool fz_thread_cache_select(size_t heap_id)
{
    struct fz_active *entry = NULL;
    if (heap_id != 0 && heap_id != fz_active.heap_id)
        entry = find(page_of_thread(), heap_id);
    if (entry != NULL)
        swap(entry, &fz_active);
    return entry != NULL;
}

struct fz_chunk *fz_thread_cache_chunk(size_t heap_id)
{
    const struct fz_active *entry = entry_of(heap_id);
    return entry != NULL ? entry->chunk : NULL;
}

/* An entry of no heap. If the page is full, gives up the entries in turn. */
static struct fz_active *free_entry(struct page *page)
{
    struct fz_active *entry = find(page, NO_HEAP);
    if (entry == NULL && page->count < entries_in_a_page())
        entry = &page->entries[page->count++];
    else if (entry == NULL)
        give_back(entry = &page->entries[page->replaced++ % page->count]);
    *entry = (struct fz_active){NO_HEAP, NULL};
    return entry;
}

/* In fz_active. */
static void make_room(void)
{
    struct page *page = page_of_thread();
    if (page == NULL)
        page = add_page();
    if (page != NULL)
        swap(free_entry(page), &fz_active);
    else
        give_back(&fz_active);
}

void fz_thread_cache_put(size_t heap_id, struct fz_chunk *chunk)
{
    pthread_once(&key_made, make_key);
    if (has_key() && pthread_getspecific(at_thread_exit) == NULL)
        pthread_setspecific(at_thread_exit, &no_page);
    fz_thread_cache_select(heap_id);
    if (fz_active.heap_id != heap_id && fz_heap_find(fz_active.heap_id) != NULL)
        make_room();
    fz_active = (struct fz_active){heap_id, chunk};
}

void fz_thread_cache_forget(size_t heap_id)
{
    struct fz_active *entry = entry_of(heap_id);
    if (entry != NULL)
        *entry = (struct fz_active){NO_HEAP, NULL};
}

void fz_thread_cache_leave(struct filz_heap *heap)
{
    struct fz_active *entry = entry_of(heap->id);
    if (heap->backing.growth == FZ_PRIVATE) /* no run follows, and the file may have been truncated */
        fz_thread_cache_forget(heap->id);
    else if (entry != NULL)
        give_back(entry);
}

void fz_thread_cache_end(bool is_unload)
{
    if (has_key())
        pthread_key_delete(at_thread_exit);
    __atomic_store_n(&key_is_ours, false, __ATOMIC_RELAXED);
    while (is_unload && all_pages != NULL)
        remove_page(all_pages);
}
