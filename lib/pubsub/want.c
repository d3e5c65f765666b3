#include "pubsub/want.h"

#include <stdlib.h>

#define BUCKETS 4096u

int wants_init(struct wants *w)
{
    *w = (struct wants){.mask = BUCKETS - 1};
    list_init(&w->all);
    w->table = calloc(BUCKETS, sizeof(*w->table));
    return w->table ? 0 : -1;
}

void wants_fini(struct wants *w)
{
    if (!w->table)
        return;
    LIST_EACH(it, &w->all)
        free(CONTAINER_OF(it, struct want, node));
    free(w->table);
    *w = (struct wants){0};
}

static struct want **find(const struct wants *w, struct msgkey key)
{
    struct want **at = &w->table[key.a & w->mask];

    while (*at && ((*at)->key.a != key.a || (*at)->key.b != key.b))
        at = &(*at)->next_hash;
    return at;
}

/* Another source of a known want. True: it is the first that may be asked at once. */
static bool add_source(struct want *t, pubsub_peer peer, bool is_doubtful, uint32_t tick)
{
    for (unsigned i = 0; i < t->nsources; i++)
        if (t->sources[i] == peer)
            return false;
    if (is_doubtful) {
        if (t->nsources < WANT_SOURCES)
            t->sources[t->nsources++] = peer;
        return false;
    }
    if (t->asked == WANT_SOURCES) { /* all of them failed: a new chance */
        t->sources[0] = peer;
        t->nsources = t->asked = t->ngood = 1;
        t->wave = t->left = t->wave_at = 0;
        t->tick = tick;
        return true;
    }
    if (t->ngood < t->asked)
        t->ngood = t->asked;
    if (t->ngood == WANT_SOURCES)
        return false;
    /* Before the doubtful who were not asked yet: they may fall off the end. */
    t->nsources += t->nsources < WANT_SOURCES;
    memmove(t->sources + t->ngood + 1, t->sources + t->ngood, (t->nsources - t->ngood - 1u) * sizeof(*t->sources));
    t->sources[t->ngood++] = peer;
    if (t->asked)
        return false;
    t->asked = 1;
    t->tick = tick;
    return true;
}

bool want_offered(struct wants *w, struct msgkey key, struct slice id, pubsub_peer peer, bool is_doubtful, uint32_t tick)
{
    struct want **at = find(w, key), *t = *at;

    if (t)
        return add_source(t, peer, is_doubtful, tick);
    if (id.len > MESSAGE_ID_MAX || w->count >= WANTS_MAX || !(t = malloc(sizeof(*t))))
        return true;
    *t = (struct want){.key = key, .tick = is_doubtful ? tick - 1 : tick, .id_len = (uint8_t)id.len, .nsources = 1,
                       .asked = !is_doubtful, .ngood = !is_doubtful, .sources = {peer}};
    memcpy(t->id, id.p, id.len);
    *at = t;
    list_push_back(&w->all, &t->node);
    w->count++;
    return !is_doubtful;
}

static void drop(struct wants *w, struct want **at)
{
    struct want *t = *at;

    *at = t->next_hash;
    list_del(&t->node);
    w->count--;
    free(t);
}

void want_met(struct wants *w, struct msgkey key)
{
    struct want **at = w->count ? find(w, key) : NULL;

    if (at && *at)
        drop(w, at);
}

const struct want *want_retry(struct wants *w, uint32_t tick, pubsub_peer *peer)
{
    while (!list_is_empty(&w->all)) {
        struct want *t = CONTAINER_OF(w->all.next, struct want, node);
        if (!t->left && tick - t->tick < WANT_RETRY_TICKS)
            return NULL;
        if (t->asked == t->nsources && !t->left) {
            if (++t->rounds == WANT_ROUNDS) {
                drop(w, find(w, t->key));
                continue;
            }
            t->asked = t->wave = t->wave_at = 0;
        }
        t->nfailed = 0;
        if (!t->left) {
            t->failed_at = t->wave_at;
            t->nfailed = t->asked ? (uint8_t)(t->asked - t->wave_at) : 0;
            t->wave_at = t->asked;
            t->left = (uint8_t)(t->asked ? 2u << t->wave : 1u);
            t->wave += t->asked && t->wave < 2;
        }
        *peer = t->sources[t->asked++];
        if (--t->left && t->asked < t->nsources)
            return t;
        t->left = 0;
        t->tick = tick;
        list_del(&t->node);
        list_push_back(&w->all, &t->node);
        return t;
    }
    return NULL;
}
