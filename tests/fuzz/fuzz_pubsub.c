/* A whole pub/sub core fed by a script of frames, calls and time steps.
 * Script: op byte, then its arguments; a short script ends quietly. What the core sends must be RPCs that check.
 *   0 t      t * 20 ms pass                 4 p n a  peer p sends a signed message of its own, seqno n, payload a bytes
 *   1 p      peer p comes (protocol p % 3)  5 t      subscribe to topic t     7 n t    publish n bytes on topic t
 *   2 p      peer p goes                    6 t      unsubscribe              8 p n    peer p's queue is n * 64 KiB
 *   3 p l h  a frame of h<<8|l bytes from peer p follows                      9        leave
 *   10 v     verdict v on the newest message that waits    11 p   peer p's record    12 p s   peer p's app score s - 128
 * The first byte's highest bit: messages wait for verdicts.
 */
#include <stdlib.h>

#include "base/rd.h"
#include "libp2p/peer_record.h"
#include "pubsub/message.h"
#include "pubsub/rpc.h"

#define PEERS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct state {
    struct pubsub *ps;
    struct message_pool *pool;
    struct message_scratch scratch;
    uint64_t now, token;
};

/* Made once: they take longer than most scripts. */
static struct key_pair keys[PEERS + 1];
static struct peer_id ids[PEERS + 1];

static struct buf *heap(void *ctx, uint32_t cap)
{
    return buf_new(cap);
}

static void check_rpc(const struct pubsub_output *out)
{
    uint32_t len = 0, at = 0;
    uint8_t *p;

    for (unsigned i = 0; i < out->npieces; i++)
        len += out->pieces[i].len;
    if (!(p = malloc(len ? len : 1)))
        abort();
    for (unsigned i = 0; i < out->npieces; i++) {
        memcpy(p + at, out->pieces[i].buf->data + out->pieces[i].off, out->pieces[i].len);
        at += out->pieces[i].len;
        buf_unref(out->pieces[i].buf);
    }
    if (!len || rpc_check(slice_of(p, len)))
        abort();
    free(p);
}

static void drain(struct state *st)
{
    struct pubsub_output out;

    while (pubsub_next_output(st->ps, &out)) {
        if (out.type == PUBSUB_SEND)
            check_rpc(&out);
        if (out.type == PUBSUB_VALIDATE)
            st->token = out.token;
        buf_unref(out.payload);
        buf_unref(out.record);
        if (out.type == PUBSUB_DISCONNECT)
            pubsub_peer_down(st->ps, out.peer, st->now);
    }
}

static struct slice topic(uint8_t n)
{
    static const char names[] = "abcdefgh";

    return slice_of(names + n % 8, 1);
}

static struct buf *signed_frame(struct state *st, unsigned p, uint64_t seqno, uint32_t bytes, struct slice name)
{
    struct buf *payload = buf_new(bytes), *frame = NULL;

    memset(payload->data, 'p', bytes);
    payload->len = bytes;
    struct message *m = message_new_signed(st->pool, &keys[p], &ids[p], seqno, name, payload, &st->scratch);
    buf_unref(payload);
    if (!m || !(frame = buf_new(m->bytes)))
        abort();
    for (unsigned i = 0; i < m->npieces; i++) {
        memcpy(frame->data + frame->len, m->pieces[i].buf->data + m->pieces[i].off, m->pieces[i].len);
        frame->len += m->pieces[i].len;
    }
    message_unref(m);
    return frame;
}

static void publish(struct state *st, uint32_t bytes, struct slice name)
{
    struct buf *payload = buf_new(bytes);
    uint8_t sha[32] = {(uint8_t)bytes, (uint8_t)(bytes >> 8)};

    memset(payload->data, 'q', bytes);
    payload->len = bytes;
    if (pubsub_publish(st->ps, name, payload, sha, st->now))
        buf_unref(payload);
}

static void record(struct state *st, unsigned p)
{
    static const uint8_t addr[] = {4, 10, 0, 0, 9, 6, 0x1b, 0x9e};
    struct slice addrs = slice_of(addr, sizeof(addr));
    uint8_t out[512];
    ssize_t n = peer_record_seal(&keys[p], st->now, &addrs, 1, out, sizeof(out));

    if (n < 0)
        abort();
    pubsub_peer_record(st->ps, p, slice_of(out, (size_t)n), st->now);
}

static void step(struct state *st, struct rd *r)
{
    uint8_t op = (rd_u8(r) & 0x7f) % 13, a = op == 9 ? 0 : rd_u8(r);
    unsigned p = a % PEERS + 1;
    struct slice bytes;
    uint32_t n;

    switch (op) {
    case 0: st->now += a * 20000000ull; break;
    case 1: pubsub_peer_up(st->ps, p, &ids[p], a % PUBSUB_PROTO_COUNT, a & 16, (struct slice){0}, st->now); break;
    case 2: pubsub_peer_down(st->ps, p, st->now); break;
    case 3:
        n = rd_u8(r);
        n |= (uint32_t)rd_u8(r) << 8;
        if (n > rd_left(r))
            n = (uint32_t)rd_left(r);
        bytes = rd_bytes(r, n);
        pubsub_rpc(st->ps, p, buf_copy(bytes), st->now);
        break;
    case 4:
        n = rd_u8(r);
        pubsub_rpc(st->ps, p, signed_frame(st, p, n, rd_u8(r) * 16u, topic(a / PEERS)), st->now);
        break;
    case 5: pubsub_subscribe(st->ps, topic(a), st->now); break;
    case 6: pubsub_unsubscribe(st->ps, topic(a), st->now); break;
    case 7: publish(st, a * 100u, topic(rd_u8(r))); break;
    case 8: pubsub_peer_queue(st->ps, p, rd_u8(r) * 65536ull, st->now); break;
    case 9: pubsub_leave(st->ps, st->now); break;
    case 10: pubsub_validated(st->ps, st->token, (enum pubsub_verdict)(a % 3), st->now); break;
    case 11: record(st, p); break;
    case 12: pubsub_peer_app_score(st->ps, p, (double)rd_u8(r) - 128); break;
    }
    if (st->now >= pubsub_next_deadline(st->ps))
        pubsub_on_deadline(st->ps, st->now);
}

static void init(struct state *st, struct rng *rng, bool waits)
{
    struct pubsub_config cfg = {.mode = PUBSUB_GOSSIP, .seen_max = 64, .keep_bytes = 20000, .queue_bytes = 1 << 20,
                                .max_msg_bytes = 10000, .mesh_target = 2, .mesh_min = 1, .mesh_max = 3, .mesh_out = 1,
                                .has_trace = true, .has_px = true, .has_validation = waits, .validation_max = 2,
                                .is_flood_publish = waits};

    for (unsigned i = 0; i <= PEERS && !ids[PEERS].len; i++) {
        uint8_t seed[ED25519_SEED_BYTES] = {(uint8_t)i};
        key_pair_from_seed(&keys[i], seed);
        key_pair_peer_id(&keys[i], &ids[i]);
    }
    cfg.key = &keys[0];
    st->now = 1000000000;
    st->pool = message_pool_new(heap, NULL);
    st->ps = pubsub_new(&cfg, rng, st->now, 1700000000000000000ull);
    if (!st->ps || !st->pool)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rd r = rd_of(slice_of(data, len));
    struct state st = {0};
    struct rng rng;

    rng_init_zero(&rng);
    init(&st, &rng, len && data[0] & 0x80);
    while (rd_left(&r)) {
        step(&st, &r);
        drain(&st);
    }
    pubsub_free(st.ps);
    message_pool_close(st.pool);
    message_scratch_fini(&st.scratch);
    return 0;
}
