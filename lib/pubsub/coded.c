/* coded.c: the coded router's life: publishes, peers, time */
#include "pubsub/coded.h"

#include <stdio.h>
#include <stdlib.h>

#include "pubsub/coded_int.h"
#include "pubsub/generation_hash.h"
#include "pubsub/generation_header.h"

static void apply_defaults(struct pubsub_config *cfg)
{
    if (!cfg->k)
        cfg->k = 1;
    if (!cfg->keep_ns)
        cfg->keep_ns = 30000 * CODED_MS;
    if (!cfg->keep_bytes)
        cfg->keep_bytes = 64ull << 20;
    if (!cfg->rows_bytes)
        cfg->rows_bytes = 256ull << 20;
    if (!cfg->queue_bytes)
        cfg->queue_bytes = (8ull << 20) + 4ull * cfg->max_msg_bytes;
    if (!cfg->small_bytes)
        cfg->small_bytes = CODED_SIZE_SMALL;
}

/* cfg with its defaults. Below CODED_K_MIN: plain. */
static unsigned shards_of(const struct pubsub_config *cfg, uint32_t size)
{
    if (size <= cfg->small_bytes || size < CODED_K_MIN)
        return 1;
    return generation_header_k(size, coded_size_k(cfg->small_bytes, size, cfg->k));
}

size_t pubsub_hash_shards(const struct pubsub_config *cfg, struct slice payload, uint8_t out[PUBSUB_HASHES_MAX])
{
    struct pubsub_config own = *cfg;
    struct rlnc_shape shape;

    apply_defaults(&own);
    if (own.mode != PUBSUB_CODED || payload.len > UINT32_MAX || shards_of(&own, (uint32_t)payload.len) < CODED_K_MIN ||
        rlnc_shape_init(&shape, payload.len, shards_of(&own, (uint32_t)payload.len)))
        return 0;
    generation_hash_payload(&shape, payload.p, own.elide_bytes, out);
    return (size_t)shape.k * CODED_HASH_BYTES;
}

static uint32_t seen_max(const struct pubsub_config *cfg)
{
    return cfg->seen_max && cfg->seen_max < CODED_SEEN_MAX ? cfg->seen_max : CODED_SEEN_MAX;
}

struct coded *coded_new(const struct pubsub_config *cfg, const struct coded_host *host, uint64_t unix_ns)
{
    struct coded *c = calloc(1, sizeof(*c));
    uint8_t seed[16];

    if (!c)
        return NULL;
    c->cfg = *cfg;
    c->host = *host;
    apply_defaults(&c->cfg);
    key_pair_peer_id(cfg->key, &c->self);
    c->self_tag = coded_tag_of(&c->self);
    rng_fill(host->rng, c->hash_seed, sizeof(c->hash_seed));
    rng_fill(host->rng, &c->key_seed, sizeof(c->key_seed));
    rng_fill(host->rng, seed, sizeof(seed));
    map_init(&c->generations, 0, seed);
    map_init(&c->peers, CODED_PEERS_MAX, seed);
    list_init(&c->undecoded);
    list_init(&c->kept);
    timerq_init(&c->timers);
    c->near_at_ns = TIMER_NEVER;
    coded_push_init(c);
    coded_pace_init(&c->arrivals, 250 * CODED_MS, 3 * CODED_MS, 1000 * CODED_MS);
    coded_pace_init(&c->answers, 500 * CODED_MS, 5 * CODED_MS, 5000 * CODED_MS);
    coded_pace_init(&c->gaps, 250 * CODED_MS, 5 * CODED_MS, 2500 * CODED_MS);
    c->scratch = malloc(generation_decode_bytes());
    if (!c->scratch || seen_init(&c->done, seen_max(cfg), CODED_SEEN_NS)) {
        coded_free(c);
        return NULL;
    }
    return c;
}

static void drop_all(struct coded *c, struct list *l)
{
    while (!list_is_empty(l))
        coded_drop(c, CONTAINER_OF(l->next, struct generation, order));
}

void coded_free(struct coded *c)
{
    struct coded_peer *peer;
    size_t it = 0;

    if (!c)
        return;
    drop_all(c, &c->undecoded);
    drop_all(c, &c->kept);
    while ((peer = map_next(&c->peers, &it, NULL)))
        free(peer);
    map_fini(&c->peers);
    map_fini(&c->generations);
    timerq_fini(&c->timers);
    seen_fini(&c->done);
    free(c->scratch);
    free(c);
}

bool coded_is_small(const struct coded *c, uint32_t size)
{
    return shards_of(&c->cfg, size) < CODED_K_MIN;
}

/* hashes: of the source shards; made here when they are not as many as they should be. */
static struct buf *publish_header(struct coded *c, struct slice topic, const struct buf *payload, struct slice hashes,
                                  const struct rlnc_shape *shape)
{
    uint64_t seqno = c->host.next_seqno(c->host.core);

    if (hashes.len == (size_t)shape->k * CODED_HASH_BYTES)
        return generation_header_of(c->cfg.key, &c->self, topic, seqno, shape, hashes.p);
    return generation_header_make(c->cfg.key, &c->self, topic, seqno, shape, payload->data, c->cfg.elide_bytes);
}

static struct generation *publish_make(struct coded *c, struct slice topic, const struct buf *payload, struct slice hashes)
{
    struct rlnc_shape shape;
    struct coded_header h;
    struct generation *g = NULL;
    struct buf *field;
    struct rd r;
    struct pb_field f;

    if (rlnc_shape_init(&shape, payload->len, shards_of(&c->cfg, payload->len)))
        return NULL;
    field = publish_header(c, topic, payload, hashes, &shape);
    if (!field)
        return NULL;
    r = rd_of(buf_slice(field));
    if (pb_next(&r, &f) > 0 && !coded_header_read(f.bytes, &h)) {
        g = generation_new(&h, field, c->cfg.elide_bytes);
        if (g)
            generation_header_id(&h, g->id);
    }
    buf_unref(field);
    return g;
}

int coded_publish(struct coded *c, struct slice topic, struct buf *payload, const uint8_t sha256[32], uint64_t now)
{
    (void)sha256; /* the client's id; ours is the header's hash */
    return coded_publish_hashed(c, topic, payload, (struct slice){0}, now);
}

int coded_publish_hashed(struct coded *c, struct slice topic, struct buf *payload, struct slice hashes, uint64_t now)
{
    struct generation *g;

    if (topic.len == 0 || topic.len > CODED_TOPIC_MAX)
        return -PUBSUB_ETOPIC;
    if (payload->len > c->cfg.max_msg_bytes || coded_is_small(c, payload->len))
        return -PUBSUB_ESIZE;
    g = publish_make(c, topic, payload, hashes);
    if (!g || coded_add(c, g, NULL, now))
        return -PUBSUB_EMEM;
    g->have = coded_bits_all(g->shape.k);
    g->payload = payload;
    g->is_gate_open = true;
    coded_decoded(c, g, now);
    coded_near_topic(c, g->topic, now);
    coded_push_published(c, g);
    c->host.deliver(c->host.core, g->topic, &g->from, g->seqno, buf_ref(payload), payload->len, 0,
                    (uint8_t)g->shape.k, now);
    return 0;
}

static struct slice peer_key(const pubsub_peer *p)
{
    return slice_of(p, sizeof(*p));
}

struct coded_peer *coded_peer_find(const struct coded *c, pubsub_peer p)
{
    return p ? map_get(&c->peers, peer_key(&p)) : NULL;
}

void coded_peer_up(struct coded *c, pubsub_peer p, uint64_t now)
{
    const struct peer_id *id = c->host.peer_id(c->host.core, p);
    struct coded_peer *peer;

    (void)now;
    if (!id || !p || coded_peer_find(c, p))
        return;
    peer = calloc(1, sizeof(*peer));
    if (!peer)
        return;
    peer->p = p;
    peer->tag = coded_tag_of(id);
    if (map_put(&c->peers, peer_key(&p), peer))
        free(peer);
}

static void forget_in(struct list *l, pubsub_peer p)
{
    LIST_EACH(it, l)
        generation_peer_gone(CONTAINER_OF(it, struct generation, order), p);
}

void coded_peer_down(struct coded *c, pubsub_peer p, uint64_t now)
{
    (void)now;
    forget_in(&c->undecoded, p);
    forget_in(&c->kept, p);
    free(map_del(&c->peers, peer_key(&p)));
}

static bool offer(struct coded *c, struct generation *g, pubsub_peer p, struct slice topic)
{
    struct generation_link *l;
    struct coded_body b;

    if (!slice_is_equal(g->topic, topic) || generation_is_settled(g, p))
        return false;
    l = generation_link(g, p, true);
    if (!l || l->is_done || (l->heard_ns && l->told_rank == generation_rank(g)))
        return false;
    coded_body_init(&b);
    coded_body_header(&b, g, l);
    coded_body_have(&b, g, l);
    coded_body_send(c, &b, p);
    return true;
}

/* The newest first: they are what is most likely to be missed. */
static void offer_all(struct coded *c, struct list *l, pubsub_peer p, struct slice topic)
{
    unsigned left = CODED_OFFER_MAX;

    for (struct list *it = l->prev; it != l && left; it = it->prev)
        left -= offer(c, CONTAINER_OF(it, struct generation, order), p, topic);
}

void coded_grafted(struct coded *c, pubsub_peer p, struct slice topic, uint64_t now)
{
    struct coded_topic *t;

    if (!coded_peer_find(c, p))
        return;
    t = coded_near_topic(c, topic, now);
    if (t)
        t->told = 0; /* it may be back with the mesh unchanged */
    offer_all(c, &c->undecoded, p, topic);
    offer_all(c, &c->kept, p, topic);
}

void coded_heartbeat(struct coded *c, uint64_t now)
{
    coded_expire(c, now);
    coded_push_beat(c);
    coded_near_tell(c);
    coded_gossip_beat(c);
    coded_settle_links(c);
}

uint64_t coded_next_deadline(const struct coded *c)
{
    uint64_t at = timerq_next(&c->timers);

    return at < c->near_at_ns ? at : c->near_at_ns;
}

static bool is_due(uint64_t *at_ns, uint64_t now)
{
    if (*at_ns > now)
        return false;
    *at_ns = TIMER_NEVER;
    return true;
}

static void generation_due(struct coded *c, struct generation *g, uint64_t now)
{
    if (is_due(&g->expire_at_ns, now)) {
        c->host.counters->generations_expired += !generation_is_decoded(g);
        coded_drop(c, g);
        return;
    }
    if (is_due(&g->hint_at_ns, now) && !generation_is_decoded(g)) {
        coded_push_hints(c, g);
        coded_doubt_run(c, g, now);
    }
    if (is_due(&g->ahead_at_ns, now))
        coded_ahead_run(c, g);
    if (is_due(&g->repair_at_ns, now)) {
        if (rlnc_rank_is_full(&g->rank))
            coded_try_decode(c, g, now);
        else
            coded_repair_run(c, g, now);
    }
    coded_reschedule(c, g);
}

void coded_on_deadline(struct coded *c, uint64_t now)
{
    struct timer *t;

    if (c->near_at_ns <= now)
        coded_near_tell(c);
    while ((t = timerq_pop(&c->timers, now)))
        generation_due(c, CONTAINER_OF(t, struct generation, timer), now);
}

static unsigned list_info(const struct list *l, struct coded_generation_info *out, unsigned n, unsigned cap)
{
    for (const struct list *it = l->prev; it != l && n < cap; it = it->prev, n++) {
        const struct generation *g = CONTAINER_OF(it, struct generation, order);

        memcpy(out[n].id, g->id, CODED_ID_BYTES);
        out[n].k = (uint8_t)g->shape.k;
        out[n].rank = (uint8_t)generation_rank(g);
        out[n].is_decoded = generation_is_decoded(g);
        out[n].size_bytes = g->shape.size_bytes;
        out[n].born_ns = g->born_ns;
        snprintf(out[n].topic, sizeof(out[n].topic), "%.*s", (int)g->topic.len, (const char *)g->topic.p);
    }
    return n;
}

unsigned coded_generations(const struct coded *c, struct coded_generation_info *out, unsigned cap)
{
    return list_info(&c->kept, out, list_info(&c->undecoded, out, 0, cap), cap);
}

static void list_holders(const struct list *l, unsigned most, void (*each)(void *user, pubsub_peer p, bool is_whole), void *user)
{
    unsigned n = 0;

    for (const struct list *it = l->prev; it != l && n < most; it = it->prev, n++) {
        const struct generation *g = CONTAINER_OF(it, struct generation, order);

        for (unsigned i = 0; i < g->link_count; i++) {
            const struct generation_link *k = &g->links[i];

            if (k->is_done || k->rank >= g->shape.k)
                each(user, k->peer, true);
            else if (k->rank || !coded_bits_is_empty(&k->has))
                each(user, k->peer, false);
        }
        for (unsigned i = 0; i < g->settled_count; i++)
            each(user, g->settled[i].peer, true);
    }
}

void coded_holders(const struct coded *c, unsigned most, void (*each)(void *user, pubsub_peer p, bool is_whole), void *user)
{
    list_holders(&c->undecoded, most, each, user);
    list_holders(&c->kept, most, each, user);
}
