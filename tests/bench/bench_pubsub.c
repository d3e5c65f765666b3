/* bench_pubsub: messages relayed A -> B -> C by three cores in one thread, frames handed over in memory, by its CPU time
 * Prints, per payload size, with and without signatures: messages per second through the whole chain, and the time of
 * B alone (parse, check, cache, forward, deliver), which is what a relay costs. Arguments: [seconds per case], or
 * SECONDS verify BYTES: what Ed25519 verification alone allows, in CPU time
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/bufpool.h"
#include "pubsub/pubsub.h"

enum { A, B, C, NODES };

struct chain {
    struct pubsub *ps[NODES];
    struct key_pair keys[NODES];
    struct peer_id ids[NODES];
    struct rng rng;
    struct bufpool pool;
    uint64_t now, delivered[NODES], relay_ns;
};

static uint64_t clock_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* As the receiving side of a connection would: one frame in one buffer. */
static struct buf *flatten(struct chain *c, const struct pubsub_output *out)
{
    uint32_t len = 0;
    struct buf *b;

    for (unsigned i = 0; i < out->npieces; i++)
        len += out->pieces[i].len;
    if (!(b = bufpool_get(&c->pool, len)))
        abort();
    for (unsigned i = 0; i < out->npieces; i++) {
        memcpy(b->data + b->len, out->pieces[i].buf->data + out->pieces[i].off, out->pieces[i].len);
        b->len += out->pieces[i].len;
        buf_unref(out->pieces[i].buf);
    }
    return b;
}

static void pump(struct chain *c, int node);

static void give(struct chain *c, int from, int to, struct buf *frame)
{
    uint64_t t = to == B ? clock_ns() : 0;

    pubsub_rpc(c->ps[to], (pubsub_peer)from + 1, frame, c->now);
    if (to == B)
        c->relay_ns += clock_ns() - t;
    pump(c, to);
}

static void pump(struct chain *c, int node)
{
    struct pubsub_output out;

    for (;;) {
        uint64_t t = node == B ? clock_ns() : 0;
        bool more = pubsub_next_output(c->ps[node], &out);
        if (node == B)
            c->relay_ns += clock_ns() - t;
        if (!more)
            return;
        if (out.type == PUBSUB_SEND)
            give(c, node, (int)out.peer - 1, flatten(c, &out));
        c->delivered[node] += out.type == PUBSUB_DELIVER;
        buf_unref(out.payload);
    }
}

static void advance(struct chain *c, uint64_t ns)
{
    c->now += ns;
    for (int i = 0; i < NODES; i++)
        if (pubsub_next_deadline(c->ps[i]) <= c->now) {
            pubsub_on_deadline(c->ps[i], c->now);
            pump(c, i);
        }
}

static void chain_init(struct chain *c, enum pubsub_signing signing)
{
    struct pubsub_config cfg = {.mode = PUBSUB_GOSSIP, .signing = signing, .mesh_target = 6, .mesh_min = 4, .mesh_max = 12,
                                .mesh_out = 2, .max_msg_bytes = 1 << 20, .alloc = bufpool_alloc, .alloc_ctx = &c->pool};

    *c = (struct chain){.now = 1000000000};
    rng_init_seeded(&c->rng, 1);
    bufpool_init(&c->pool, 1ull << 32, 1ull << 30);
    for (int i = 0; i < NODES; i++) {
        key_pair_from_seed(&c->keys[i], (const uint8_t[32]){(uint8_t)(i + 1)});
        key_pair_peer_id(&c->keys[i], &c->ids[i]);
        cfg.key = &c->keys[i];
        if (!(c->ps[i] = pubsub_new(&cfg, &c->rng, c->now, 1700000000000000000ull)))
            abort();
    }
    for (int i = 0; i < NODES - 1; i++) {
        pubsub_peer_up(c->ps[i], (pubsub_peer)i + 2, &c->ids[i + 1], PUBSUB_MESHSUB_12, true, (struct slice){0}, c->now);
        pubsub_peer_up(c->ps[i + 1], (pubsub_peer)i + 1, &c->ids[i], PUBSUB_MESHSUB_12, false, (struct slice){0}, c->now);
    }
    for (int i = 0; i < NODES; i++) {
        pubsub_subscribe(c->ps[i], SLICE_LIT("bench"), c->now);
        pump(c, i);
    }
    for (int i = 0; i < 30; i++)
        advance(c, 100000000);
}

static void chain_fini(struct chain *c)
{
    for (int i = 0; i < NODES; i++)
        pubsub_free(c->ps[i]);
    bufpool_fini(&c->pool);
}

static void run(enum pubsub_signing signing, uint32_t size, double seconds)
{
    struct chain c;
    uint64_t n = 0, start, end;

    chain_init(&c, signing);
    c.relay_ns = 0;
    start = clock_ns();
    do {
        for (int k = 0; k < 64; k++, n++) {
            struct buf *payload = bufpool_get(&c.pool, size);
            uint8_t sha[32] = {0};
            memset(payload->data, 'x', size);
            payload->len = size;
            memcpy(payload->data, &n, sizeof(n));
            memcpy(sha, &n, sizeof(n));
            if (pubsub_publish(c.ps[A], SLICE_LIT("bench"), payload, sha, c.now))
                abort();
            pump(&c, A);
            advance(&c, 100000); /* 10,000 messages a second of virtual time */
        }
        end = clock_ns();
    } while ((double)(end - start) < seconds * 1e9);
    if (c.delivered[C] != n)
        fprintf(stderr, "only %llu of %llu arrived\n", (unsigned long long)c.delivered[C], (unsigned long long)n);
    double s = (double)(end - start) / 1e9, relay = (double)c.relay_ns / (double)n;
    printf("%-14s %8u B  A->B->C %9.0f msg/s %8.1f MB/s   relay alone %8.0f ns/msg = %9.0f msg/s\n",
           signing == PUBSUB_STRICT_SIGN ? "StrictSign" : "StrictNoSign", size, (double)n / s, (double)n * size / s / 1e6,
           relay, 1e9 / relay);
    chain_fini(&c);
}

/* What Ed25519 verification alone allows for a message of this size: the bound of a signed relay. */
static double verifications(uint32_t size, double seconds)
{
    uint8_t *message = calloc(1, size + 100u), signature[KEY_SIGNATURE_MAX];
    struct slice m = slice_of(message, size + 100u);
    struct public_key public;
    struct key_pair key;
    struct peer_id id;
    uint64_t n = 0, start, end;

    if (!message)
        abort();
    key_pair_from_seed(&key, (const uint8_t[32]){9});
    key_pair_peer_id(&key, &id);
    size_t len = key_pair_sign(&key, m, signature);
    start = clock_ns();
    do {
        for (int i = 0; i < 16; i++, n++)
            if (public_key_of_peer(&public, &id) || public_key_verify(&public, m, slice_of(signature, len)))
                abort();
        end = clock_ns();
    } while ((double)(end - start) < seconds * 1e9);
    free(message);
    return (double)n * 1e9 / (double)(end - start);
}

int main(int argc, char **argv)
{
    static const uint32_t sizes[] = {64, 1024, 16384, 262144, 1000000};
    double seconds = argc > 1 ? atof(argv[1]) : 1;

    crypto_init();
    if (argc > 3) {
        printf("Ed25519 verification alone %8s B %9.0f /s\n", argv[3], verifications((uint32_t)atoi(argv[3]), seconds));
        return 0;
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        printf("Ed25519 verification alone %8u B %9.0f /s\n", sizes[i], verifications(sizes[i], seconds));
    for (int signing = PUBSUB_STRICT_SIGN; signing <= PUBSUB_STRICT_NO_SIGN; signing++)
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
            run((enum pubsub_signing)signing, sizes[i], seconds);
    return 0;
}
