/* coded_table.c: generations by id, what they may cost, and when they go */
#include "pubsub/coded_int.h"

static struct slice id_slice(const uint8_t *id)
{
    return slice_of(id, CODED_ID_BYTES);
}

struct generation *coded_find(const struct coded *c, const uint8_t *id)
{
    return map_get(&c->generations, id_slice(id));
}

bool coded_is_done(const struct coded *c, const uint8_t *id, uint64_t now)
{
    return seen_has(&c->done, msgkey_of(&c->key_seed, id_slice(id)), now);
}

struct buf *coded_alloc(struct coded *c, uint32_t len)
{
    return c->cfg.alloc ? c->cfg.alloc(c->cfg.alloc_ctx, len) : buf_new(len);
}

/* What a message costs while it is kept: many small ones must count too. */
static uint64_t kept_cost(const struct generation *g)
{
    return (uint64_t)g->shape.size_bytes + g->block_bytes + g->links_bytes;
}

static void count_now(struct coded *c)
{
    c->host.counters->generations_now = c->undecoded_count + c->kept_count;
    c->host.counters->rows_bytes = c->rows_bytes;
    c->host.counters->kept_bytes = c->kept_bytes;
}

/* Takes g's cost off whoever pays for it now. */
static void discharge(struct coded *c, struct generation *g)
{
    struct coded_peer *peer = coded_peer_find(c, g->charged);

    if (peer) {
        peer->undecoded--;
        peer->bytes -= g->bytes;
    }
    g->charged = 0;
    c->rows_bytes -= g->bytes;
    c->undecoded_count--;
}

/* Drops the undecoded generation that has been without progress for longest, if that is long enough. */
static bool evict_stale(struct coded *c, const struct generation *keep, uint64_t now)
{
    LIST_EACH(it, &c->undecoded) {
        struct generation *g = CONTAINER_OF(it, struct generation, order);

        if (g == keep)
            continue;
        if (g->progress_ns + CODED_YIELD_NS > now)
            return false;
        c->host.counters->generations_expired++;
        coded_drop(c, g);
        return true;
    }
    return false;
}

bool coded_make_room(struct coded *c, uint64_t bytes, const struct generation *keep, uint64_t now)
{
    while (c->rows_bytes + bytes > c->cfg.rows_bytes)
        if (!coded_ahead_yield(c) && !evict_stale(c, keep, now))
            return false;
    return true;
}

bool coded_has_share(struct coded *c, const struct coded_peer *peer, uint64_t bytes)
{
    uint64_t most = c->cfg.rows_bytes / 2;

    if (peer->bytes + bytes > most)
        coded_ahead_yield(c);
    return peer->bytes + bytes <= most;
}

bool coded_may_add(struct coded *c, const struct coded_peer *peer, const struct rlnc_shape *shape, uint64_t now)
{
    /* A peer over its share must not push out what others brought. */
    bool has_share = peer->undecoded < CODED_UNDECODED_PER_PEER && coded_has_share(c, peer, shape->size_bytes);

    if (has_share && (c->undecoded_count < CODED_UNDECODED_MAX || evict_stale(c, NULL, now)) &&
        coded_make_room(c, shape->size_bytes, NULL, now))
        return true;
    c->host.counters->generations_refused++;
    return false;
}

int coded_add(struct coded *c, struct generation *g, struct coded_peer *peer, uint64_t now)
{
    if (map_put(&c->generations, id_slice(g->id), g)) {
        generation_free(g);
        return -1;
    }
    g->born_ns = g->progress_ns = now;
    g->charged = peer ? peer->p : 0;
    if (peer) {
        peer->undecoded++;
        peer->bytes += g->bytes;
    }
    list_push_back(&c->undecoded, &g->order);
    c->undecoded_count++;
    c->rows_bytes += g->bytes;
    g->expire_at_ns = now + CODED_STALE_NS;
    coded_reschedule(c, g);
    count_now(c);
    return 0;
}

void coded_drop(struct coded *c, struct generation *g)
{
    if (generation_is_decoded(g)) {
        c->kept_bytes -= kept_cost(g);
        c->kept_count--;
    } else {
        discharge(c, g);
    }
    list_del(&g->order);
    timerq_cancel(&c->timers, &g->timer);
    map_del(&c->generations, id_slice(g->id));
    generation_free(g);
    count_now(c);
}

void coded_charge(struct coded *c, struct generation *g, uint32_t before)
{
    struct coded_peer *peer = coded_peer_find(c, g->charged);

    c->rows_bytes += (uint64_t)g->bytes - before;
    if (peer)
        peer->bytes += (uint64_t)g->bytes - before;
    count_now(c);
}

void coded_progress(struct coded *c, struct generation *g, uint64_t now)
{
    g->progress_ns = now;
    g->round = 0;
    g->expire_at_ns = now + CODED_STALE_NS;
    list_del(&g->order);
    list_push_back(&c->undecoded, &g->order);
}

static void evict_kept(struct coded *c)
{
    while (c->kept_bytes > c->cfg.keep_bytes && c->kept_count > 1)
        coded_drop(c, CONTAINER_OF(c->kept.next, struct generation, order));
}

void coded_settle_links(struct coded *c)
{
    LIST_EACH(it, &c->undecoded) {
        struct generation *g = CONTAINER_OF(it, struct generation, order);
        uint32_t before = g->bytes, was = g->links_bytes;

        if (!g->is_link_due)
            continue;
        g->links_bytes = generation_links_settle(g);
        g->bytes += g->links_bytes - was;
        coded_charge(c, g, before);
    }
    LIST_EACH(it, &c->kept) {
        struct generation *g = CONTAINER_OF(it, struct generation, order);

        if (!g->is_link_due)
            continue;
        c->kept_bytes -= g->links_bytes;
        g->links_bytes = generation_links_settle(g);
        c->kept_bytes += g->links_bytes;
    }
    evict_kept(c);
    count_now(c);
}

void coded_decoded(struct coded *c, struct generation *g, uint64_t now)
{
    discharge(c, g);
    g->bytes -= g->links_bytes; /* they are charged as kept now, and with what they have become at the next heartbeat */
    g->is_link_due = true;
    list_del(&g->order);
    list_push_back(&c->kept, &g->order);
    c->kept_count++;
    c->kept_bytes += kept_cost(g);
    g->hint_at_ns = g->repair_at_ns = g->ahead_at_ns = TIMER_NEVER;
    g->expire_at_ns = now + c->cfg.keep_ns;
    coded_reschedule(c, g);
    seen_add(&c->done, msgkey_of(&c->key_seed, id_slice(g->id)), now);
    evict_kept(c); /* never g: it is the youngest */
    count_now(c);
}

/* Generations whose timer could not be set for want of memory. */
static void set_missing_timers(struct coded *c, struct list *l)
{
    LIST_EACH(it, l) {
        struct generation *g = CONTAINER_OF(it, struct generation, order);

        if (!timer_is_set(&g->timer))
            coded_reschedule(c, g);
    }
}

void coded_expire(struct coded *c, uint64_t now)
{
    set_missing_timers(c, &c->undecoded);
    set_missing_timers(c, &c->kept);
    LIST_EACH(it, &c->undecoded) {
        struct generation *g = CONTAINER_OF(it, struct generation, order);

        if (!c->host.is_subscribed(c->host.core, g->topic))
            coded_drop(c, g);
    }
    seen_expire(&c->done, now);
}

void coded_reschedule(struct coded *c, struct generation *g)
{
    uint64_t at = g->expire_at_ns;

    at = g->hint_at_ns < at ? g->hint_at_ns : at;
    at = g->repair_at_ns < at ? g->repair_at_ns : at;
    at = g->ahead_at_ns < at ? g->ahead_at_ns : at;
    if (timer_is_set(&g->timer) && g->timer.at_ns == at)
        return;
    timerq_set(&c->timers, &g->timer, at); /* without memory the heartbeat tries again */
}

void coded_memory(const struct coded *c, struct pubsub_counters *out)
{
    struct coded_peer *peer;
    size_t it = 0;

    out->undecoded_now = c->undecoded_count;
    out->undecoded_bytes_max = out->peer_rows_bytes_max = 0;
    out->rows_bytes_limit = c->cfg.rows_bytes;
    out->peer_rows_bytes_limit = c->cfg.rows_bytes / 2;
    LIST_EACH(node, &c->undecoded) {
        const struct generation *g = CONTAINER_OF(node, struct generation, order);

        out->undecoded_bytes_max = g->bytes > out->undecoded_bytes_max ? g->bytes : out->undecoded_bytes_max;
    }
    while ((peer = map_next(&c->peers, &it, NULL)))
        out->peer_rows_bytes_max = peer->bytes > out->peer_rows_bytes_max ? peer->bytes : out->peer_rows_bytes_max;
}
