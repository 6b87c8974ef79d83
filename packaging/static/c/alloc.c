/* Memory for a process that lives a few milliseconds: size classes with free lists over chunks of
   1 MiB. The C library's own allocator spreads over more pages and asks the kernel more often; this
   saves a tenth of the CPU of a whole exchange. CPython and OpenSSL are told to use it by their own
   interfaces; the C library, and the whole interpreter, keep theirs. */

#define _GNU_SOURCE
#include "provider.h"

#include <openssl/crypto.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

enum { CHUNK = 1 << 20, LARGEST = CHUNK / 8, FINE = 1024, STEP = 16, CLASSES = 64 + 4 * 8 };

/* In front of every block, and while the block is free its place in a list. */
typedef union head {
    _Alignas(16) size_t size; /* of the whole block; above LARGEST it is a mapping of its own */
    union head *next;
} head;

static head *lists[CLASSES];
static char *free_from, *free_to; /* of the newest chunk */
static atomic_flag busy = ATOMIC_FLAG_INIT;

/* The watchdog's thread allocates too, while OpenSSL works without CPython's lock. */
static void lock(void)
{
    while (atomic_flag_test_and_set_explicit(&busy, memory_order_acquire))
        sched_yield();
}

static void unlock(void)
{
    atomic_flag_clear_explicit(&busy, memory_order_release);
}

/* The class of a block of `size` bytes, its head included, and its size rounded up: in steps of 16
   bytes to FINE, then in four steps for each power of two. */
static unsigned class_of(size_t size, size_t *rounded)
{
    if (size <= FINE) {
        *rounded = (size + STEP - 1) & ~(size_t)(STEP - 1);
        return (unsigned)(*rounded / STEP) - 1;
    }
    unsigned power = 63 - (unsigned)__builtin_clzl(size - 1); /* 2^power < size <= 2^(power + 1) */
    unsigned quarter = (unsigned)((size - 1) >> (power - 2)) & 3;
    *rounded = (size_t)(quarter + 5) << (power - 2);
    return 64 + 4 * (power - 10) + quarter;
}

static void *map(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static size_t whole_pages(size_t size)
{
    return (size + sizeof(head) + 4095) & ~(size_t)4095;
}

static head *take(size_t size)
{
    size_t rounded;
    unsigned class = class_of(size, &rounded);
    head *block = lists[class];
    if (block != NULL) {
        lists[class] = block->next;
    } else {
        if ((size_t)(free_to - free_from) < rounded) {
            char *chunk = map(CHUNK); /* what is left of the last one is given up */
            if (chunk == NULL)
                return NULL;
            free_from = chunk;
            free_to = chunk + CHUNK;
        }
        block = (head *)free_from;
        free_from += rounded;
    }
    block->size = rounded;
    return block;
}

static void *allocate(size_t size)
{
    head *block;
    if (size > LARGEST - sizeof(head)) {
        if (size > PTRDIFF_MAX - 8192)
            return NULL;
        if ((block = map(whole_pages(size))) != NULL)
            block->size = whole_pages(size);
    } else {
        lock();
        block = take(size + sizeof(head));
        unlock();
    }
    return block == NULL ? NULL : block + 1;
}

static void release(void *p)
{
    if (p == NULL)
        return;
    head *block = (head *)p - 1;
    if (block->size > LARGEST) {
        munmap(block, block->size);
        return;
    }
    size_t rounded;
    unsigned class = class_of(block->size, &rounded);
    lock();
    block->next = lists[class];
    lists[class] = block;
    unlock();
}

static void *zeroed(size_t size)
{
    void *p = allocate(size);
    /* A mapping of its own is zero already, and of CPython's (maps of its arenas: 384 KiB) hardly a
       page is ever used. */
    return p == NULL || ((head *)p - 1)->size > LARGEST ? p : memset(p, 0, size);
}

static void *resize(void *p, size_t size)
{
    if (p == NULL)
        return allocate(size);
    size_t has = ((head *)p - 1)->size - sizeof(head);
    if (size <= has)
        return p;
    void *larger = allocate(size);
    if (larger != NULL) {
        memcpy(larger, p, has);
        release(p);
    }
    return larger;
}

static void *py_malloc(void *Py_UNUSED(context), size_t size)
{
    return allocate(size);
}

static void *py_calloc(void *Py_UNUSED(context), size_t count, size_t size)
{
    size_t total;
    return __builtin_mul_overflow(count, size, &total) ? NULL : zeroed(total);
}

static void *py_realloc(void *Py_UNUSED(context), void *p, size_t size)
{
    return resize(p, size);
}

static void py_free(void *Py_UNUSED(context), void *p)
{
    release(p);
}

static void *ssl_malloc(size_t size, const char *Py_UNUSED(file), int Py_UNUSED(line))
{
    return allocate(size);
}

static void *ssl_realloc(void *p, size_t size, const char *Py_UNUSED(file), int Py_UNUSED(line))
{
    return resize(p, size);
}

static void ssl_free(void *p, const char *Py_UNUSED(file), int Py_UNUSED(line))
{
    release(p);
}

void use_own_memory(void)
{
    PyMemAllocatorEx raw = {NULL, py_malloc, py_calloc, py_realloc, py_free};
    PyMem_SetAllocator(PYMEM_DOMAIN_RAW, &raw);
    CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free);
}
