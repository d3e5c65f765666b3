/* kad.c: lookups and when to make them (kad.h); answering others is kad_serve.c's */
#include <stdlib.h>

#include "base/timerq.h"
#include "libp2p/kad_pvt.h"

#define REFRESH_NS 600000000000ull
#define ASK_NS     10000000000ull
#define KEY_TRIES  1024 /* hashes to find a key of a far bucket; nearer ones are filled by looking ourselves up */

struct kad *kad_new(const struct kad_config *cfg, uint64_t now)
{
    struct kad *k = calloc(1, sizeof(*k));

    if (!k)
        return NULL;
    k->cfg = *cfg;
    if (!k->cfg.refresh_ns)
        k->cfg.refresh_ns = REFRESH_NS;
    if (!k->cfg.ask_ns)
        k->cfg.ask_ns = ASK_NS;
    kad_table_init(&k->table, &cfg->self);
    k->walk_ns = KAD_WALK_NS;
    k->next_walk_ns = TIMER_NEVER;
    k->next_token = 1;
    return k;
}

void kad_free(struct kad *k)
{
    if (!k)
        return;
    kad_table_fini(&k->table);
    buf_unref(k->heard);
    free(k);
}

static uint64_t jittered(struct kad *k, uint64_t ns)
{
    return ns - rng_below(k->cfg.rng, ns / 4 + 1);
}

void kad_peer_serves(struct kad *k, const struct peer_id *id, uint64_t now)
{
    bool is_new = !kad_table_has(&k->table, id);

    if (!kad_table_add(&k->table, id, now) || !is_new)
        return;
    /* Someone new may know others: look soon, but not once for each of many. */
    k->walk_ns = KAD_WALK_NS;
    if (k->next_walk_ns > now + KAD_WALK_NS)
        k->next_walk_ns = now + jittered(k, KAD_WALK_NS);
}

void kad_peer_left(struct kad *k, const struct peer_id *id)
{
    kad_table_remove(&k->table, id);
}

/* ---- lookups ---- */

static struct kad_run *free_run(struct kad *k)
{
    for (unsigned i = 0; i < KAD_QUERIES; i++)
        if (!k->runs[i].is_on)
            return &k->runs[i];
    return NULL;
}

static bool start(struct kad *k, struct slice key, uint64_t now)
{
    struct kad_entry near[KAD_K];
    struct kad_run *run = free_run(k);
    struct kad_key target;
    unsigned n;

    if (!run || key.len > sizeof(run->key))
        return false;
    target = kad_key_of(key);
    n = kad_table_closest(&k->table, &target, NULL, near, KAD_K);
    if (n == 0)
        return false;
    memset(run, 0, sizeof(*run));
    run->is_on = true;
    run->serial = ++k->next_serial;
    k->now_ns = now;
    run->key_len = (uint8_t)key.len;
    memcpy(run->key, key.p, key.len);
    kad_query_init(&run->query, &target);
    for (unsigned i = 0; i < n; i++)
        kad_query_add(&run->query, &near[i].id);
    kad_table_looked_up(&k->table, &target, now);
    return true;
}

bool kad_lookup(struct kad *k, struct slice key, uint64_t now)
{
    return start(k, key, now);
}

/* An id in the form of an Ed25519 key's whose key shares `bits` bits with ours, or nearly so. */
static void random_id(struct kad *k, unsigned bits, struct peer_id *id)
{
    uint8_t public[32];
    unsigned best = 0;

    for (unsigned i = 0; i < KEY_TRIES; i++) {
        struct peer_id tried;
        struct kad_key key;
        rng_fill(k->cfg.rng, public, sizeof(public));
        peer_id_from_ed25519(&tried, public);
        key = kad_key_of(peer_id_slice(&tried));
        unsigned got = kad_key_common_bits(&k->table.self, &key);
        if (i == 0 || got == bits || (got > best && got < bits)) {
            *id = tried;
            best = got;
        }
        if (got == bits)
            return;
    }
}

/* Ourselves, so that our neighbours know us and we them; somebody at random; one bucket that nobody asked after. */
static void walk(struct kad *k, uint64_t now)
{
    struct peer_id id;
    unsigned bucket = 0;

    k->found_new = false;
    start(k, peer_id_slice(&k->cfg.self), now);
    random_id(k, 0, &id);
    start(k, peer_id_slice(&id), now);
    if (kad_table_stale(&k->table, k->cfg.refresh_ns, &bucket, now)) {
        random_id(k, bucket, &id);
        start(k, peer_id_slice(&id), now);
    }
    k->next_walk_ns = TIMER_NEVER; /* until these are over */
}

static bool is_idle(const struct kad *k)
{
    for (unsigned i = 0; i < KAD_QUERIES; i++)
        if (k->runs[i].is_on)
            return false;
    return true;
}

static void run_over(struct kad *k, struct kad_run *run, uint64_t now)
{
    uint64_t longest = k->cfg.refresh_ns;

    run->is_on = false;
    k->counters.walks++;
    if (!is_idle(k))
        return;
    if (k->table.count < KAD_K && longest > KAD_SMALL_NS)
        longest = KAD_SMALL_NS;
    k->walk_ns = k->found_new ? KAD_WALK_NS : k->walk_ns * 2 < longest ? k->walk_ns * 2 : longest;
    k->next_walk_ns = now + jittered(k, k->walk_ns);
}

static void end_finished(struct kad *k, uint64_t now)
{
    for (unsigned i = 0; i < KAD_QUERIES; i++)
        if (k->runs[i].is_on && kad_query_is_over(&k->runs[i].query))
            run_over(k, &k->runs[i], now);
}

/* ---- questions and answers ---- */

static struct kad_ask *find_ask(struct kad *k, uint64_t token)
{
    for (unsigned i = 0; token && i < KAD_ASKS; i++)
        if (k->asks[i].token == token)
            return &k->asks[i];
    return NULL;
}

/* The run that asked, unless it ended meanwhile and another has its place. */
static struct kad_run *run_of(struct kad *k, const struct kad_ask *a)
{
    struct kad_run *run = &k->runs[a->run];

    return run->is_on && run->serial == a->serial ? run : NULL;
}

static void ask_failed(struct kad *k, struct kad_ask *a, uint64_t now)
{
    struct kad_run *run = run_of(k, a);

    k->counters.failures++;
    kad_table_failed(&k->table, &a->peer);
    if (run)
        kad_query_failed(&run->query, &a->peer);
    a->token = 0;
    end_finished(k, now);
}

void kad_unasked(struct kad *k, uint64_t token, uint64_t now)
{
    struct kad_ask *a = find_ask(k, token);
    struct kad_run *run = a ? run_of(k, a) : NULL;

    if (!a)
        return;
    k->now_ns = now;
    k->counters.unasked++;
    if (run)
        kad_query_failed(&run->query, &a->peer);
    a->token = 0;
    end_finished(k, now);
}

void kad_failed(struct kad *k, uint64_t token, uint64_t now)
{
    struct kad_ask *a = find_ask(k, token);

    k->now_ns = now;
    if (a)
        ask_failed(k, a, now);
}

void kad_hear(struct kad *k, const struct kad_peer *peers, unsigned count)
{
    for (unsigned i = 0; i < count && k->nheard < KAD_PEERS_MAX; i++)
        if (peers[i].naddrs && !peer_id_is_equal(&peers[i].id, &k->cfg.self))
            k->heard_peers[k->nheard++] = peers[i];
    k->counters.found += k->nheard;
}

/* Outputs point into a copy of the message: the caller's is borrowed for the call alone. */
bool kad_keep_message(struct kad *k, struct slice in, struct kad_msg *m)
{
    buf_unref(k->heard);
    k->nheard = k->heard_at = 0;
    k->heard = buf_copy(in);
    return k->heard && kad_decode(buf_slice(k->heard), m) == 0;
}

void kad_answer(struct kad *k, uint64_t token, struct slice in, uint64_t now)
{
    struct kad_ask *a = find_ask(k, token);
    struct kad_run *run;
    struct kad_msg m;
    bool was_known;

    if (!a)
        return;
    if (!kad_keep_message(k, in, &m) || m.type != KAD_FIND_NODE) {
        k->counters.answers_bad++;
        ask_failed(k, a, now);
        return;
    }
    k->counters.answers++;
    k->now_ns = now;
    was_known = kad_table_has(&k->table, &a->peer);
    if (kad_table_add(&k->table, &a->peer, now) && !was_known)
        k->found_new = true;
    kad_hear(k, m.closer, m.ncloser);
    run = run_of(k, a);
    for (unsigned i = 0; run && i < m.ncloser; i++) {
        const struct kad_peer *p = &m.closer[i];
        if (peer_id_is_equal(&p->id, &k->cfg.self) || (!p->naddrs && !kad_table_has(&k->table, &p->id)))
            continue;
        kad_query_add(&run->query, &p->id);
    }
    if (run)
        kad_query_answered(&run->query, &a->peer);
    a->token = 0;
    end_finished(k, now);
}

static struct kad_ask *free_ask(struct kad *k)
{
    for (unsigned i = 0; i < KAD_ASKS; i++)
        if (!k->asks[i].token)
            return &k->asks[i];
    return NULL;
}

static bool next_ask(struct kad *k, struct kad_output *out)
{
    struct kad_ask *a = free_ask(k);

    for (unsigned i = 0; a && i < KAD_QUERIES; i++) {
        struct kad_run *run = &k->runs[i];
        const struct peer_id *id = run->is_on ? kad_query_next(&run->query) : NULL;
        struct kad_msg m = {.type = KAD_FIND_NODE};
        if (!id)
            continue;
        *a = (struct kad_ask){.token = k->next_token++, .run = i, .serial = run->serial, .peer = *id, .deadline_ns = k->now_ns + k->cfg.ask_ns};
        m.key = slice_of(run->key, run->key_len);
        *out = (struct kad_output){.type = KAD_ASK, .peer = *id, .token = a->token};
        out->request = slice_of(k->request, (size_t)kad_encode(&m, k->request, sizeof(k->request)));
        k->counters.asked++;
        return true;
    }
    return false;
}

bool kad_next_output(struct kad *k, struct kad_output *out)
{
    if (k->heard_at < k->nheard) {
        const struct kad_peer *p = &k->heard_peers[k->heard_at++];
        *out = (struct kad_output){.type = KAD_FOUND, .peer = p->id, .naddrs = p->naddrs};
        memcpy(out->addrs, p->addrs, sizeof(out->addrs));
        return true;
    }
    return next_ask(k, out);
}

uint64_t kad_next_deadline(const struct kad *k)
{
    uint64_t at = is_idle(k) ? k->next_walk_ns : TIMER_NEVER;

    for (unsigned i = 0; i < KAD_ASKS; i++)
        if (k->asks[i].token && k->asks[i].deadline_ns < at)
            at = k->asks[i].deadline_ns;
    return at;
}

void kad_on_deadline(struct kad *k, uint64_t now)
{
    k->now_ns = now;
    for (unsigned i = 0; i < KAD_ASKS; i++)
        if (k->asks[i].token && now >= k->asks[i].deadline_ns)
            ask_failed(k, &k->asks[i], now);
    if (now < k->next_walk_ns || !is_idle(k))
        return;
    walk(k, now);
    if (is_idle(k)) /* nobody to ask: until someone comes */
        k->next_walk_ns = TIMER_NEVER;
}

void kad_counters_get(const struct kad *k, struct kad_counters *out)
{
    *out = k->counters;
    out->table_now = k->table.count;
    out->queries_now = 0;
    for (unsigned i = 0; i < KAD_QUERIES; i++)
        out->queries_now += k->runs[i].is_on;
}

bool kad_has(const struct kad *k, const struct peer_id *id)
{
    return kad_table_has(&k->table, id);
}
