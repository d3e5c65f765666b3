/* gw_tracer.c: what happened to the latest messages */
#include "gateway/gw_tracer.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/text.h"
#include "gateway/gw_pool.h"

#define INDEX_SIZE 8192

int gw_tracer_init(struct gw_tracer *t)
{
    pthread_mutex_init(&t->lock, NULL);
    t->ring = calloc(GW_TRACER_MESSAGES, sizeof(*t->ring));
    t->index = calloc(INDEX_SIZE, sizeof(*t->index));
    t->next = t->count = 0;
    return t->ring && t->index ? 0 : -GW_E_NOMEM;
}

void gw_tracer_fini(struct gw_tracer *t)
{
    free(t->ring);
    free(t->index);
    pthread_mutex_destroy(&t->lock);
}

void gw_tracer_reset(struct gw_tracer *t)
{
    pthread_mutex_lock(&t->lock);
    memset(t->index, 0, INDEX_SIZE * sizeof(*t->index));
    t->next = t->count = 0;
    pthread_mutex_unlock(&t->lock);
}

static struct gw_traced *at(const struct gw_tracer *t, uint32_t age)
{
    return &t->ring[(t->next + GW_TRACER_MESSAGES - 1 - age) % GW_TRACER_MESSAGES];
}

static uint16_t *index_of(struct gw_tracer *t, struct slice topic, const uint8_t id[GW_ID_BYTES])
{
    uint32_t h;

    memcpy(&h, id, sizeof(h)); /* of a SHA-256: even enough, and grinding it costs only statistics */
    for (size_t i = 0; i < topic.len; i++) /* one payload may go to several topics */
        h = (h ^ topic.p[i]) * 16777619u;
    h ^= h >> 16;
    return &t->index[h % INDEX_SIZE];
}

/* Under the lock. */
static struct gw_traced *get(struct gw_tracer *t, struct slice topic, const uint8_t id[GW_ID_BYTES],
                             uint64_t now)
{
    uint16_t *slot = index_of(t, topic, id);
    struct gw_traced *m = *slot ? &t->ring[*slot - 1] : NULL;

    if (m && memcmp(m->id, id, GW_ID_BYTES) == 0 && slice_is_equal(slice_str(m->topic), topic))
        return m;
    m = &t->ring[t->next];
    *slot = (uint16_t)(t->next + 1);
    t->next = (t->next + 1) % GW_TRACER_MESSAGES;
    if (t->count < GW_TRACER_MESSAGES)
        t->count++;
    memset(m, 0, sizeof(*m));
    memcpy(m->id, id, GW_ID_BYTES);
    memcpy(m->topic, topic.p, topic.len < GW_NAME_MAX ? topic.len : GW_NAME_MAX);
    m->first_ns = now;
    return m;
}

void gw_tracer_published(struct gw_tracer *t, struct slice topic, const uint8_t id[GW_ID_BYTES], size_t size,
                         uint64_t now)
{
    struct gw_traced *m;

    pthread_mutex_lock(&t->lock);
    m = get(t, topic, id, now);
    m->published_ns = now;
    m->size = size;
    m->bytes_moved += size;
    pthread_mutex_unlock(&t->lock);
}

void gw_tracer_arrived(struct gw_tracer *t, const struct gw_delivery *d, unsigned node, unsigned delivered,
                       uint64_t now)
{
    struct gw_traced *m;

    pthread_mutex_lock(&t->lock);
    m = get(t, d->topic, d->id, now);
    m->size = d->payload_len;
    m->bytes_moved += d->payload_len;
    m->nodes |= 1ull << node;
    if (m->delivered_ns)
        m->duplicates++;
    else
        m->delivered_ns = now;
    m->delivered += delivered;
    pthread_mutex_unlock(&t->lock);
}

struct totals {
    uint64_t published, delivered, duplicates, bytes, ideal;
    double delays[GW_TRACER_MESSAGES], sum;
    unsigned n_delays;
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double quantile(const struct totals *s, double q)
{
    return s->n_delays ? s->delays[(unsigned)(q * (s->n_delays - 1) + 0.5)] : 0;
}

static double delay_of(const struct gw_traced *m)
{
    if (!m->published_ns || m->delivered_ns <= m->published_ns)
        return 0;
    return (double)(m->delivered_ns - m->published_ns) / 1e9;
}

static json_t *describe(const struct gw_traced *m, const struct gw_node_info *nodes, unsigned n)
{
    json_t *seen = json_object();

    for (unsigned i = 0; i < n; i++)
        if (m->nodes >> i & 1)
            json_object_set_new(seen, nodes[i].target, json_true());
    return json_pack("{s:s,s:b,s:i,s:f,s:o,s:i,s:I}", "topic", m->topic, "published", m->published_ns != 0,
                     "delivered", (int)m->delivered, "delay_sec", delay_of(m), "peers_seen", seen,
                     "duplicates", (int)m->duplicates, "bytes_moved", (json_int_t)m->bytes_moved);
}

static void add_up(struct totals *s, const struct gw_traced *m)
{
    s->published += m->published_ns != 0;
    s->delivered += m->delivered;
    s->duplicates += m->duplicates;
    s->bytes += m->bytes_moved;
    s->ideal += m->size;
    if (m->published_ns && m->delivered_ns) {
        s->delays[s->n_delays] = delay_of(m);
        s->sum += s->delays[s->n_delays++];
    }
}

/* By its id, and where another topic had the same payload later, by id and topic. */
static void add_message(json_t *messages, const struct gw_traced *m, json_t *value)
{
    char key[2 * GW_ID_BYTES + 1 + GW_NAME_MAX + 1];

    hex_encode(key, slice_of(m->id, GW_ID_BYTES));
    if (json_object_get(messages, key))
        snprintf(key + 2 * GW_ID_BYTES, sizeof(key) - 2 * GW_ID_BYTES, " %s", m->topic);
    json_object_set_new(messages, key, value);
}

static json_t *now_text(void)
{
    time_t now = time(NULL);
    char text[32];
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    return json_string(text);
}

json_t *gw_tracer_snapshot(struct gw_tracer *t, const struct gw_node_info *nodes, unsigned n,
                           uint64_t window_ns, uint64_t now)
{
    struct totals *s = calloc(1, sizeof(*s));
    json_t *messages = json_object(), *out;
    unsigned active = 0;

    for (unsigned i = 0; i < n; i++)
        active += nodes[i].is_healthy;
    pthread_mutex_lock(&t->lock);
    for (uint32_t age = 0; s && age < t->count; age++) {
        const struct gw_traced *m = at(t, age);

        if (window_ns && m->first_ns + window_ns < now)
            continue;
        add_up(s, m);
        add_message(messages, m, describe(m, nodes, n));
    }
    pthread_mutex_unlock(&t->lock);
    if (!s) {
        json_decref(messages);
        return NULL;
    }
    qsort(s->delays, s->n_delays, sizeof(s->delays[0]), by_value);
    out = json_pack("{s:s,s:i,s:i,s:I,s:I,s:I,s:f,s:f,s:f,s:I,s:f,s:I,s:o,s:o,s:f}", "algorithm",
                    n && nodes[0].mode[0] ? nodes[0].mode : "optimum", "active_nodes", (int)active,
                    "unhealthy_nodes", (int)(n - active), "published_messages", (json_int_t)s->published,
                    "delivered_messages", (json_int_t)s->delivered, "duplicate_messages",
                    (json_int_t)s->duplicates, "average_delay_seconds",
                    s->n_delays ? s->sum / s->n_delays : 0.0, "p75", quantile(s, 0.75), "p95",
                    quantile(s, 0.95), "total_bytes_moved", (json_int_t)s->bytes, "bloat_factor",
                    s->ideal ? (double)s->bytes / (double)s->ideal : 0.0, "ideal_byte_complexity",
                    (json_int_t)s->ideal, "last_updated", now_text(), "messages", messages, "window_seconds",
                    (double)window_ns / 1e9);
    free(s);
    return out;
}
