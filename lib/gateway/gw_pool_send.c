/* gw_pool_send.c: publishes: which node, whether it confirmed, and what to do when it did not */
#include <stdio.h>

#include "base/log.h"
#include "base/pb.h"
#include "base/text.h"
#include "gateway/gw_impl.h"
#include "gateway/gw_pool_impl.h"
#include "http/http_flat.h"

#define ACK_NS       3000000000ull
#define ACK_NS_PER_B 125          /* and 8 MB/s on top */
#define MUTE_NS      300000000ull /* a node that never confirms anything: published once it took the bytes */
#define GIVE_UP_NS   15000000000ull

enum { COMMAND_PUBLISH = 1 };
enum sent { SENT, NO_NODE, ALL_BUSY };

static struct slice key_of(uint8_t buf[GW_ID_BYTES + GW_NAME_MAX], struct slice topic,
                           const uint8_t id[GW_ID_BYTES])
{
    memcpy(buf, id, GW_ID_BYTES);
    memcpy(buf + GW_ID_BYTES, topic.p, topic.len);
    return slice_of(buf, GW_ID_BYTES + topic.len);
}

static uint64_t size_of(const struct gw_publish *p)
{
    return rpc_msg_len(p->payload);
}

/* Command and topic, then the payload's tag and length, then the payload itself, shared and not copied. */
static struct rpc_msg *build_request(const struct gw_publish *p)
{
    uint8_t buf[48 + GW_NAME_MAX];
    struct wr w = wr_of(buf, sizeof(buf));
    struct rpc_msg *head, *m;

    pb_put_varint(&w, 1, COMMAND_PUBLISH);
    pb_put_bytes(&w, 3, p->topic);
    pb_put_head(&w, 2, size_of(p));
    head = w.bad ? NULL : rpc_msg_copy(slice_of(buf, w.len));
    m = head ? rpc_msg_join(head, p->payload) : NULL;
    rpc_msg_unref(head);
    return m;
}

/* A queue that is empty takes any message. */
static bool has_room(const struct gw_node *n, uint64_t bytes)
{
    uint64_t max = n->pool->queue_bytes;

    return n->inflight_bytes == 0 || (n->inflight_bytes < max && bytes <= max - n->inflight_bytes);
}

/* Under the lock, as all that follow up to resend. */
static struct gw_node *choose(struct gw_pool *pool, uint64_t tried, uint64_t bytes)
{
    uint64_t least = 0, price;
    struct gw_node *best = NULL;

    for (unsigned k = 0; k < pool->n_nodes; k++) {
        struct gw_node *n = &pool->nodes[(pool->next + k) % pool->n_nodes];

        if (!gw_node_is_up(n) || (tried >> n->index & 1))
            continue;
        price = gw_load_price(&n->load, bytes, pool->clock);
        if (!best || price < least) {
            best = n;
            least = price;
        }
    }
    if (best)
        pool->next = (best->index + 1) % pool->n_nodes;
    return best;
}

static enum sent try_send(struct gw_pool *pool, struct gw_publish *p, uint64_t now)
{
    uint8_t buf[GW_ID_BYTES + GW_NAME_MAX];
    enum sent rc = NO_NODE;
    struct gw_node *n;

    while ((n = choose(pool, p->tried, size_of(p)))) {
        p->tried |= 1ull << n->index;
        if (!has_room(n, size_of(p)) || rpc_call_send(n->stream, p->request, RPC_MUST) < 0) {
            rc = ALL_BUSY;
            continue;
        }
        p->node = n->index;
        p->sent_ns = now;
        map_put(&pool->by_key, key_of(buf, p->topic, p->id), p);
        list_push_back(&n->inflight, &p->link);
        n->inflight_bytes += size_of(p);
        gw_load_sent(&n->load, size_of(p), &pool->clock);
        n->info.published++;
        return SENT;
    }
    return rc;
}

static void take_one(struct gw_pool *pool, struct gw_publish *p)
{
    uint8_t buf[GW_ID_BYTES + GW_NAME_MAX];

    pool->nodes[p->node].inflight_bytes -= size_of(p);
    gw_load_taken(&pool->nodes[p->node].load, size_of(p));
    list_del(&p->link);
    map_del(&pool->by_key, key_of(buf, p->topic, p->id));
}

void gw_pool_take_inflight(struct gw_node *n, struct list *out)
{
    LIST_EACH(it, &n->inflight)
    {
        struct gw_publish *p = CONTAINER_OF(it, struct gw_publish, link);

        take_one(n->pool, p);
        list_push_back(out, &p->link);
    }
}

/* ---- without the lock ---- */

static void done(struct gw_publish *p, int err)
{
    gw_publish_done(p, &(struct gw_outcome){.err = err});
}

void gw_pool_publish(struct gw_upstream *u, struct gw_publish *p)
{
    struct gw_pool *pool = CONTAINER_OF(u, struct gw_pool, up);
    enum sent rc = NO_NODE;
    bool stopping;

    p->request = build_request(p);
    if (!p->request) {
        done(p, GW_E_NOMEM);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    stopping = pool->stopping;
    if (!stopping)
        rc = try_send(pool, p, gw_now_ns());
    pthread_mutex_unlock(&pool->lock);
    if (rc != SENT)
        done(p, stopping ? GW_E_STOPPING : rc == NO_NODE ? GW_E_NO_NODE : GW_E_BUSY);
}

/* These were with a node that went away or kept silent. Any node may have them next, but the one that had them comes last. */
void gw_pool_resend(struct gw_pool *pool, struct list *publishes)
{
    struct list failed;
    struct list *it;
    uint64_t now = gw_now_ns();

    list_init(&failed);
    pthread_mutex_lock(&pool->lock);
    while ((it = list_pop_front(publishes))) {
        struct gw_publish *p = CONTAINER_OF(it, struct gw_publish, link);

        if (pool->stopping) {
            list_push_back(&failed, it);
        } else if (try_send(pool, p, now) != SENT) {
            p->tried = 0;
            list_push_back(&pool->waiting, it);
        }
    }
    pthread_mutex_unlock(&pool->lock);
    while ((it = list_pop_front(&failed)))
        done(CONTAINER_OF(it, struct gw_publish, link), GW_E_STOPPING);
}

void gw_pool_retry_waiting(struct gw_pool *pool, uint64_t now)
{
    struct list failed;
    struct list *it;
    bool stopping;

    list_init(&failed);
    pthread_mutex_lock(&pool->lock);
    stopping = pool->stopping;
    LIST_EACH(w, &pool->waiting)
    {
        struct gw_publish *p = CONTAINER_OF(w, struct gw_publish, link);

        list_del(w);
        if (stopping || now - p->start_ns >= GIVE_UP_NS) {
            list_push_back(&failed, w);
        } else if (try_send(pool, p, now) != SENT) {
            p->tried = 0;
            list_push_front(&pool->waiting, w); /* behind the walk: seen again next time */
        }
    }
    pthread_mutex_unlock(&pool->lock);
    while ((it = list_pop_front(&failed)))
        done(CONTAINER_OF(it, struct gw_publish, link), stopping ? GW_E_STOPPING : GW_E_UNCONFIRMED);
}

/* Nodes that answer too late, or never do. */
void gw_pool_check_answers(struct gw_pool *pool, uint64_t now)
{
    struct list late, mute;
    struct list *it;

    list_init(&late);
    list_init(&mute);
    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->n_nodes; i++) {
        struct gw_node *n = &pool->nodes[i];

        LIST_EACH(w, &n->inflight)
        {
            struct gw_publish *p = CONTAINER_OF(w, struct gw_publish, link);
            uint64_t limit = n->is_mute ? MUTE_NS : ACK_NS + size_of(p) * ACK_NS_PER_B;

            if (now - p->sent_ns < limit)
                continue;
            n->info.unconfirmed++;
            if (!n->is_mute)
                gw_load_answered(&n->load, size_of(p), now - p->sent_ns);
            take_one(pool, p);
            list_push_back(n->is_mute ? &mute : &late, w);
        }
    }
    pthread_mutex_unlock(&pool->lock);
    while ((it = list_pop_front(&mute)))
        done(CONTAINER_OF(it, struct gw_publish, link), GW_OK);
    gw_pool_resend(pool, &late);
}

/* ---- answers ---- */

enum { A_STATUS, A_TOPIC, A_ID, A_ERROR, A_CODE, A_MESSAGES, A_COUNT };

struct node_answer {
    struct gw_outcome outcome;
    char topic[GW_NAME_MAX];
    size_t topic_len;
    uint8_t id[GW_ID_BYTES];
    char text[200];
    uint64_t
        lost; /* messages that the node dropped because we read too slowly: then it is no answer to a publish */
};

static bool read_topic(struct node_answer *a, const struct flat_value *v)
{
    uint8_t text[6 * GW_NAME_MAX];
    ssize_t n;

    if (v->type != FLAT_STRING || v->raw.len > sizeof(text))
        return false;
    n = http_flat_text(text, v);
    if (n < 0 || n > GW_NAME_MAX)
        return false;
    memcpy(a->topic, text, (size_t)n);
    a->topic_len = (size_t)n;
    return true;
}

static void read_error(struct node_answer *a, const struct flat_value *v)
{
    uint8_t text[sizeof(a->text)];
    double code = 0;
    ssize_t n;

    http_flat_number(&v[A_CODE], &code);
    n = v[A_ERROR].type == FLAT_STRING && v[A_ERROR].raw.len < sizeof(text)
            ? http_flat_text(text, &v[A_ERROR])
            : -1;
    snprintf(a->text, sizeof(a->text), "%.*s", n > 0 ? (int)n : 0, (char *)text);
    a->outcome.err = code == 413 ? GW_E_TOO_LARGE : GW_E_REFUSED;
    a->outcome.text = a->text[0] ? a->text : NULL;
    a->outcome.http = code >= 400 && code < 600 ? (int)code : 0;
}

static bool parse_answer(struct node_answer *a, struct slice data)
{
    static const char *const names[A_COUNT] = {"status", "topic", "message_id", "error", "code", "messages"};
    struct flat_value v[A_COUNT];
    double lost;

    memset(a, 0, sizeof(*a));
    if (http_flat_find(data, names, A_COUNT, v) < 0)
        return false;
    if (slice_is_equal(v[A_STATUS].raw, SLICE_LIT("dropped"))) {
        a->lost = http_flat_number(&v[A_MESSAGES], &lost) && lost >= 0 && lost < 1e15 ? (uint64_t)lost : 0;
        return true;
    }
    if (!read_topic(a, &v[A_TOPIC]) || v[A_ID].type != FLAT_STRING ||
        hex_decode(a->id, sizeof(a->id), v[A_ID].raw) != GW_ID_BYTES || v[A_STATUS].type != FLAT_STRING)
        return false;
    if (slice_is_equal(v[A_STATUS].raw, SLICE_LIT("deduplicated")))
        a->outcome.is_duplicate = true;
    else if (!slice_is_equal(v[A_STATUS].raw, SLICE_LIT("published")))
        read_error(a, v);
    return true;
}

/* "Not now" is worth another node; "too large" and "not allowed" are not. */
static bool is_worth_another(const struct node_answer *a)
{
    return a->outcome.err == GW_E_REFUSED && (a->outcome.http == 503 || a->outcome.http == 429);
}

void gw_pool_answer(struct gw_node *n, struct slice data)
{
    struct gw_pool *pool = n->pool;
    uint8_t buf[GW_ID_BYTES + GW_NAME_MAX];
    struct gw_publish *p = NULL;
    uint64_t now = gw_now_ns();
    struct node_answer a;
    bool again = false;

    if (!parse_answer(&a, data))
        return; /* something newer than we are */
    if (a.lost) {
        gw_count(&pool->gw->count.node_lost, a.lost);
        log_warn("\"node dropped messages for us\" node=%s messages=%llu", n->info.target,
                 (unsigned long long)a.lost);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    n->has_answered = true;
    n->is_mute = false;
    p = map_get(&pool->by_key, key_of(buf, slice_of(a.topic, a.topic_len), a.id));
    if (p && p->node == n->index) /* else it was passed on, and the first node answers late */
        gw_load_answered(&n->load, size_of(p), now - p->sent_ns);
    if (p)
        take_one(pool, p);
    if (p && is_worth_another(&a))
        again = try_send(pool, p, now) == SENT;
    pthread_mutex_unlock(&pool->lock);
    if (p && !again)
        gw_publish_done(p, &a.outcome);
}
