#include "pubsub/pending.h"

#include <stdlib.h>

void pending_init(struct pending *p, uint32_t max, const uint8_t seed[16])
{
    *p = (struct pending){.max = max, .max_bytes = UINT64_MAX};
    map_init(&p->by_key, 0, seed);
    map_init(&p->by_token, 0, seed);
    list_init(&p->all);
}

static struct slice key_slice(const struct msgkey *key)
{
    return slice_of(key, sizeof(*key));
}

static struct slice token_slice(const uint64_t *token)
{
    return slice_of(token, sizeof(*token));
}

void pending_release(struct pending_message *pm)
{
    message_unref(pm->message);
    free(pm);
}

void pending_fini(struct pending *p)
{
    if (p->all.next)
        LIST_EACH(it, &p->all)
            pending_release(CONTAINER_OF(it, struct pending_message, node));
    map_fini(&p->by_key);
    map_fini(&p->by_token);
}

struct pending_message *pending_add(struct pending *p, struct message *m, struct msgkey key, pubsub_peer source,
                                    uint64_t now)
{
    bool fits = p->count < p->max && (!p->count || p->bytes + m->held_bytes <= p->max_bytes);
    struct pending_message *pm = fits ? calloc(1, sizeof(*pm)) : NULL;

    if (!pm)
        return NULL;
    *pm = (struct pending_message){.message = m, .key = key, .token = ++p->last_token, .at_ns = now, .nsources = 1};
    pm->sources[0] = source;
    if (map_put(&p->by_key, key_slice(&pm->key), pm))
        goto no_key;
    if (map_put(&p->by_token, token_slice(&pm->token), pm))
        goto no_token;
    message_ref(m);
    list_push_back(&p->all, &pm->node);
    p->count++;
    p->bytes += m->held_bytes;
    return pm;
no_token:
    map_del(&p->by_key, key_slice(&pm->key));
no_key:
    free(pm);
    return NULL;
}

struct pending_message *pending_find(const struct pending *p, struct msgkey key)
{
    return p->count ? map_get(&p->by_key, key_slice(&key)) : NULL;
}

void pending_also(struct pending_message *pm, pubsub_peer source)
{
    for (unsigned i = 0; i < pm->nsources; i++)
        if (pm->sources[i] == source)
            return;
    if (pm->nsources < PENDING_SOURCES)
        pm->sources[pm->nsources++] = source;
}

static struct pending_message *take_out(struct pending *p, struct pending_message *pm)
{
    map_del(&p->by_key, key_slice(&pm->key));
    map_del(&p->by_token, token_slice(&pm->token));
    list_del(&pm->node);
    p->count--;
    p->bytes -= pm->message->held_bytes;
    return pm;
}

struct pending_message *pending_take(struct pending *p, uint64_t token)
{
    struct pending_message *pm = map_get(&p->by_token, token_slice(&token));

    return pm ? take_out(p, pm) : NULL;
}

struct pending_message *pending_late(struct pending *p, uint64_t for_ns, uint64_t now)
{
    if (list_is_empty(&p->all))
        return NULL;
    struct pending_message *pm = CONTAINER_OF(p->all.next, struct pending_message, node);
    return now - pm->at_ns >= for_ns ? take_out(p, pm) : NULL;
}

void pending_forget(struct pending *p, pubsub_peer source)
{
    LIST_EACH(it, &p->all) {
        struct pending_message *pm = CONTAINER_OF(it, struct pending_message, node);
        for (unsigned i = 0; i < pm->nsources; i++)
            if (pm->sources[i] == source)
                pm->sources[i] = 0;
    }
}
