/* fuzz_coded.c: the whole coded router driven by a script
 * Input:   steps: an operation byte, then its bytes. Signatures cannot be guessed, so right messages of a known publisher are at
 *          hand: the script says in what order, from whom and how damaged they come; anything else it spells out itself
 * Holds:   no crash, no leak; what is delivered is what was published; the counters stay within their limits
 */
#include <stdlib.h>

#include "pubsub/coded_int.h"
#include "pubsub/generation_header.h"

enum { PEERS = 5, MESSAGES = 3, EVIL = MESSAGES, FIELD_MAX = 8192 };

/* What can be wrong with a shard of a generation that is known. */
enum damage { NONE, SPOILT, SHORT, LONG, EMPTY, FEW_COEFS, MANY_COEFS, ZERO_COEFS, BIG_RANK, BIG_INDEX, DAMAGES };

struct message {
    struct rlnc_shape shape;
    struct buf *payload, *header;
    uint8_t id[CODED_ID_BYTES];
};

static struct message messages[MESSAGES + 1]; /* the last: signed, but its hashes are of another payload; never delivered */
static struct key_pair author_key, self_key;
static struct peer_id author, ids[PEERS + 1];

static struct {
    struct coded *c;
    bool is_up[PEERS + 1];
    struct pubsub_counters n;
    struct rng rng;
    uint64_t now, seqno;
    unsigned sends;
} h;

static void make_messages(void)
{
    static const struct { unsigned k; uint32_t size; } shapes[MESSAGES + 1] = {{4, 41}, {2, 7}, {20, 399}, {5, 50}};
    uint8_t seed[32] = {1};

    key_pair_from_seed(&author_key, seed);
    key_pair_peer_id(&author_key, &author);
    seed[0] = 2;
    key_pair_from_seed(&self_key, seed);
    for (unsigned i = 0; i <= PEERS; i++) {
        struct key_pair k;
        seed[0] = (uint8_t)(10 + i);
        key_pair_from_seed(&k, seed);
        key_pair_peer_id(&k, &ids[i]);
    }
    ids[1] = author; /* one peer is the publisher itself */
    for (unsigned i = 0; i <= MESSAGES; i++) {
        struct message *m = &messages[i];
        struct coded_header head;
        struct pb_field f;
        struct rd r;

        rlnc_shape_init(&m->shape, shapes[i].size, shapes[i].k);
        m->payload = buf_new(shapes[i].size);
        m->payload->len = shapes[i].size;
        memset(m->payload->data, (int)(i + 65), shapes[i].size);
        for (uint32_t b = 0; b < shapes[i].size; b += 3)
            m->payload->data[b] = (uint8_t)(b * 37);
        m->header = generation_header_make(&author_key, &author, SLICE_LIT("t"), i, &m->shape, m->payload->data, 0);
        r = rd_of(buf_slice(m->header));
        if (pb_next(&r, &f) <= 0 || coded_header_read(f.bytes, &head))
            abort();
        generation_header_id(&head, m->id);
        m->payload->data[0] ^= i == EVIL;
    }
}

static unsigned peers_up(pubsub_peer *out, unsigned cap)
{
    unsigned n = 0;

    for (pubsub_peer p = 1; p <= PEERS && n < cap; p++)
        if (h.is_up[p])
            out[n++] = p;
    return n;
}

static unsigned host_mesh(void *core, struct slice t, pubsub_peer *out, unsigned cap)
{
    return peers_up(out, cap < 3 ? cap : 3);
}

static unsigned host_subscribers(void *core, struct slice t, pubsub_peer *out, unsigned cap)
{
    return peers_up(out, cap);
}

static const struct peer_id *host_peer_id(void *core, pubsub_peer p)
{
    return p <= PEERS ? &ids[p] : NULL;
}

static uint64_t host_queued(void *core, pubsub_peer p)
{
    return h.sends % 7 == 3 ? UINT64_MAX : 0;
}

static bool host_is_subscribed(void *core, struct slice t)
{
    return t.len == 1;
}

static void host_send(void *core, pubsub_peer p, struct slice body, struct buf *shard, uint32_t off, uint32_t len)
{
    struct rd r = rd_of(body);
    struct pb_field f;

    h.sends++;
    if (!h.is_up[p] || (shard && off + len > shard->len))
        abort();
    while (!shard && pb_next(&r, &f) > 0)
        if (f.number < CODED_HEADER || f.number > CODED_NEAR)
            abort();
}

static void host_deliver(void *core, struct slice t, const struct peer_id *from, uint64_t seqno, struct buf *payload, uint32_t size,
                         pubsub_peer upstream, uint8_t k, uint64_t since_ns)
{
    bool is_known = upstream == 0 && k; /* our own */

    for (unsigned i = 0; i < MESSAGES; i++)
        is_known |= slice_is_equal(buf_slice(payload), buf_slice(messages[i].payload));
    if (!is_known)
        abort();
    buf_unref(payload);
}

static void host_penalize(void *core, pubsub_peer p, double severity, const char *rule)
{
    if (severity > 1 && h.is_up[p]) {
        h.is_up[p] = false;
        coded_peer_down(h.c, p, h.now);
    }
}

static void host_useful(void *core, pubsub_peer p, struct slice t, double share)
{
    if (!h.is_up[p] || share <= 0 || share > 1)
        abort();
}

static void host_forged(void *core, pubsub_peer p, struct slice t, const char *rule)
{
    if (!rule)
        abort();
    host_penalize(core, p, 2, rule);
}

static void host_trace(void *core, const struct pubsub_trace *t)
{
    if (t->coefs_len > 255)
        abort();
}

static uint64_t host_seqno(void *core)
{
    return ++h.seqno;
}

static void open_router(void)
{
    struct pubsub_config cfg = {.key = &self_key, .k = 5, .mult = 1.5, .threshold = 0.5, .max_msg_bytes = 4096,
                                .small_bytes = 3, .rows_bytes = 1 << 16, .keep_bytes = 1 << 12, .has_trace = true};
    struct coded_host host = {.mesh = host_mesh, .subscribers = host_subscribers, .peer_id = host_peer_id,
                              .queued_bytes = host_queued, .is_subscribed = host_is_subscribed, .send = host_send,
                              .deliver = host_deliver, .penalize = host_penalize, .useful = host_useful, .forged = host_forged, .trace = host_trace,
                              .next_seqno = host_seqno, .counters = &h.n, .rng = &h.rng};

    memset(&h, 0, sizeof(h));
    rng_init_zero(&h.rng);
    h.now = 1000000000;
    h.c = coded_new(&cfg, &host, 0);
}

static void input(pubsub_peer p, uint32_t field, struct slice content)
{
    struct buf *frame = buf_copy(content);

    if (h.is_up[p])
        coded_input(h.c, p, field, buf_slice(frame), frame, h.now);
    buf_unref(frame);
}

static void input_field(pubsub_peer p, struct slice field)
{
    struct rd r = rd_of(field);
    struct pb_field f;

    if (pb_next(&r, &f) > 0)
        input(p, f.number, f.bytes);
}

static void damage_shard(struct coded_shard *s, const struct message *m, enum damage d, uint8_t *index, uint8_t *coefs)
{
    switch (d) {
    case SHORT: s->payload.len--; break;
    case LONG: s->payload.len++; break;
    case EMPTY: s->payload.len = 0; break;
    case FEW_COEFS: s->coefs.len -= s->coefs.len > 1; break;
    case MANY_COEFS: s->coefs = slice_of(coefs, s->coefs.len + 1); break;
    case ZERO_COEFS: memset(coefs, 0, m->shape.k); break;
    case BIG_RANK: s->rank = (uint8_t)(m->shape.k + 1); break;
    case BIG_INDEX: *index = (uint8_t)m->shape.k; break;
    default: break;
    }
}

/* A shard of message m: arg below 128 picks a source shard, else it is a mixture. */
static void input_shard(pubsub_peer p, struct message *m, uint8_t arg, enum damage d)
{
    uint8_t coefs[RLNC_K_MAX + 1] = {0}, bytes[FIELD_MAX], mixed[512] = {0}, index = arg % m->shape.k;
    struct rlnc_row row = rlnc_source_row(&m->shape, m->payload->data, index);
    struct coded_shard s = {.id = m->id, .coefs = slice_of(&index, 1), .payload = {mixed, row.len}, .rank = arg >> 6,
                            .flags = arg & 1};
    struct wr w = wr_of(bytes, sizeof(bytes));

    memcpy(mixed, row.p, row.len);
    if (arg >= 128) {
        for (unsigned i = 0; i < m->shape.k; i++)
            coefs[i] = (uint8_t)(arg * (i + 1) * (i + 3) + 1);
        coefs[0] |= 1;
        rlnc_expect(&m->shape, m->payload->data, coefs, mixed);
        s.coefs = slice_of(coefs, m->shape.k);
        s.payload = slice_of(mixed, m->shape.shard_bytes);
    }
    damage_shard(&s, m, d, &index, coefs);
    coded_shard_put(&w, &s);
    wr_slice(&w, s.payload);
    if (d == SPOILT && !w.bad)
        bytes[w.len - 1] ^= 1;
    input_field(p, slice_of(bytes, w.len));
}

/* where 0: as it is; else one bit of it turned. */
static void input_header(pubsub_peer p, const struct message *m, uint8_t where)
{
    uint8_t bytes[FIELD_MAX];

    memcpy(bytes, m->header->data, m->header->len);
    if (where)
        bytes[(size_t)where * m->header->len / 256] ^= (uint8_t)(1 << where % 8);
    input_field(p, slice_of(bytes, m->header->len));
}

static struct message *pick(uint8_t which)
{
    return &messages[which >= 252 ? EVIL : which % MESSAGES];
}

static void input_talk(pubsub_peer p, struct message *m, uint8_t a, uint8_t b)
{
    uint8_t bytes[FIELD_MAX];
    struct wr w = wr_of(bytes, sizeof(bytes));
    struct coded_bits bits = {{b}};
    struct coded_have have = {.id = m->id, .verified = bits, .sending = bits, .rank = a % 22};
    struct coded_want want = {.id = m->id, .verified = bits, .rank = a % 22, .count = b, .flags = a >> 5};

    if (a & 1)
        coded_have_put(&w, &have, m->shape.k);
    else
        coded_want_put(&w, &want, m->shape.k);
    input_field(p, slice_of(bytes, w.len));
}

static void publish(uint8_t size)
{
    struct buf *b = buf_new(size);
    uint8_t sha[32] = {0};

    b->len = size;
    memset(b->data, size, size);
    if (coded_publish(h.c, SLICE_LIT("t"), b, sha, h.now))
        buf_unref(b);
}

/* One step; returns the bytes used, 0 at the end. */
static size_t step(const uint8_t *d, size_t n)
{
    pubsub_peer p;
    size_t len;

    if (n < 3)
        return 0;
    p = 1 + d[0] / 16 % PEERS;
    switch (d[0] % 10) {
    case 0:
        if (!h.is_up[p]) {
            h.is_up[p] = true;
            coded_peer_up(h.c, p, h.now);
            coded_grafted(h.c, p, SLICE_LIT("t"), h.now);
        }
        break;
    case 1:
        if (h.is_up[p]) {
            h.is_up[p] = false;
            coded_peer_down(h.c, p, h.now);
        }
        break;
    case 2: input_header(p, pick(d[1]), d[2]); break;
    case 3: input_shard(p, pick(d[1]), d[2], NONE); break;
    case 4: input_shard(p, pick(d[1]), d[2], SPOILT + d[1] / MESSAGES % (DAMAGES - SPOILT)); break;
    case 5: input_talk(p, pick(d[1]), d[1], d[2]); break;
    case 6: publish(d[1]); break;
    case 7:
        h.now += (uint64_t)(d[1] + 1) * (d[1] + 1) * 100000;
        coded_on_deadline(h.c, h.now);
        break;
    case 8: coded_heartbeat(h.c, h.now); break;
    case 9:
        len = d[2] < n - 3 ? d[2] : n - 3;
        input(p, CODED_HEADER + d[1] % 6, slice_of(d + 3, len));
        return 3 + len;
    }
    return 3;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t used;

    if (!messages[0].header)
        make_messages();
    open_router();
    while ((used = step(data, size))) {
        data += used;
        size -= used;
        if (h.n.rows_bytes > 3 << 16 || h.n.generations_now > 100)
            abort();
    }
    for (unsigned i = 0; i < 50; i++) { /* all timers, to the end of every age */
        h.now += 1000000000;
        coded_on_deadline(h.c, h.now);
    }
    if (h.n.rows_bytes || h.n.generations_now)
        abort();
    coded_free(h.c);
    return 0;
}
