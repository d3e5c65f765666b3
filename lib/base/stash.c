/* stash.c: small blocks that a thread has freed lately, to be had again at once */
#include "base/stash.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define STEP    64
#define CLASSES (STASH_MAX / STEP)

/* A sanitizer must see each block's end. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_CHECKED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_CHECKED 1
#endif
#ifndef IS_CHECKED
#define IS_CHECKED 0
#endif

struct block {
    struct block *next;
};

static _Thread_local struct stash {
    bool is_registered, is_over;
    struct {
        struct block *first;
        unsigned count;
    } of[CLASSES];
} mine;

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool has_key;

static void on_thread_end(void *arg)
{
    struct stash *s = arg;

    s->is_over = true; /* other destructors may still free */
    for (unsigned i = 0; i < CLASSES; i++)
        while (s->of[i].first) {
            struct block *b = s->of[i].first;

            s->of[i].first = b->next;
            free(b);
        }
}

static void make_key(void)
{
    has_key = pthread_key_create(&key, on_thread_end) == 0;
}

/* False: nobody would free this thread's blocks at its end. */
static bool may_keep(void)
{
    if (!mine.is_registered && !mine.is_over) {
        pthread_once(&once, make_key);
        mine.is_registered = has_key && pthread_setspecific(key, &mine) == 0;
    }
    return mine.is_registered && !mine.is_over;
}

static unsigned class_of(size_t n)
{
    return n ? (unsigned)((n - 1) / STEP) : 0;
}

void *stash_get(size_t n)
{
    unsigned i = class_of(n);
    struct block *b;

    if (n > STASH_MAX || IS_CHECKED)
        return malloc(n ? n : 1);
    b = mine.of[i].first;
    if (!b)
        return malloc((size_t)(i + 1) * STEP);
    mine.of[i].first = b->next;
    mine.of[i].count--;
    return b;
}

void stash_put(void *p, size_t n)
{
    unsigned i = class_of(n);
    struct block *b = p;

    if (!p)
        return;
    if (n > STASH_MAX || IS_CHECKED || mine.of[i].count >= STASH_CLASS_BYTES / ((i + 1) * STEP) || !may_keep()) {
        free(p);
        return;
    }
    b->next = mine.of[i].first;
    mine.of[i].first = b;
    mine.of[i].count++;
}

unsigned stash_count(size_t n)
{
    return n > STASH_MAX ? 0 : mine.of[class_of(n)].count;
}
