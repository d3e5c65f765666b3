/* bench_session.c: one stream through two sessions in memory, on one core, in its CPU time
 * Prints per write size: MB/s through both ends, ns per byte, the sender's and the receiver's share, and the baseline: the
 * cipher alone over the same bytes. Argument: megabytes per run (default 512), or "cipher": that baseline alone, of full frames.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "libp2p/noise.h"
#include "libp2p/session.h"

#define SECOND    1000000000ull
#define OUT_BYTES (512 * 1024)
#define QUEUE     (4u << 20)
#define RUNS      5

static const char *const protos[] = {"/bench/sink/1.0.0"};

struct end {
    struct key_pair key;
    struct noise_identity identity;
    struct session_local local;
    struct session *s;
    uint64_t got, opened, cpu_ns;
};

static struct end a, b;
static struct rng rng;
static uint8_t block[OUT_BYTES];

/* Of this thread's CPU, so that other work on the machine does not count. */
static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * SECOND + (uint64_t)ts.tv_nsec;
}

static void end_init(struct end *e, bool is_dialer)
{
    key_pair_init(&e->key, &rng);
    noise_identity_init(&e->identity, &e->key, &rng);
    e->local = (struct session_local){.agent = "bench"};
    struct session_config cfg = {.identity = &e->identity, .is_dialer = is_dialer, .accepts = protos, .naccepts = 1,
                                 .local = &e->local, .rng = &rng, .limits = {.stream_queue_bytes = QUEUE}};
    e->s = session_new(&cfg, now_ns());
    e->got = 0;
}

static void drain(struct end *e)
{
    struct session_event ev;

    while (session_next_event(e->s, &ev)) {
        if (ev.type == SESSION_STREAM_DATA)
            e->got += ev.data.len;
        if (ev.type == SESSION_CLOSED) {
            fprintf(stderr, "bench_session: %s\n", ev.reason);
            exit(1);
        }
    }
}

/* One block from one end to the other; the time of each is kept apart. False: nothing to say. */
static bool move(struct end *from, struct end *to)
{
    uint64_t t0 = now_ns(), t1;

    if (!session_has_output(from->s))
        return false;
    struct slice in = {block, session_output(from->s, block, sizeof(block), t0)};
    drain(from);
    t1 = now_ns();
    from->cpu_ns += t1 - t0;
    while (in.len) {
        session_input(to->s, &in, t1);
        drain(to);
    }
    to->cpu_ns += now_ns() - t1;
    return true;
}

static void settle(void)
{
    while ((int)move(&a, &b) | (int)move(&b, &a))
        ;
}

/* Fills the queue with writes of n bytes. */
static void fill(uint32_t id, struct buf *w, uint32_t n, uint64_t *left)
{
    while (*left) {
        uint32_t k = *left < n ? (uint32_t)*left : n;
        if (session_stream_send(a.s, id, buf_ref(w), 0, k) < 0) {
            buf_unref(w);
            return;
        }
        *left -= k;
    }
}

static double run(uint32_t write_bytes, uint64_t total, double *tx, double *rx)
{
    const char *proto = protos[0];
    struct buf *w = buf_new(write_bytes);
    uint64_t left = total, t0;
    double ns;
    uint32_t id;

    w->len = write_bytes;
    rng_fill(&rng, w->data, write_bytes);
    end_init(&a, true);
    end_init(&b, false);
    settle();
    id = (uint32_t)session_open_stream(a.s, &proto, 1, NULL, now_ns());
    settle();
    a.cpu_ns = b.cpu_ns = 0;
    t0 = now_ns();
    while (b.got < total) {
        uint64_t f0 = now_ns();
        fill(id, w, write_bytes, &left);
        a.cpu_ns += now_ns() - f0;
        settle();
    }
    ns = (double)(now_ns() - t0);
    *tx = (double)a.cpu_ns / (double)total;
    *rx = (double)b.cpu_ns / (double)total;
    session_free(a.s);
    session_free(b.s);
    buf_unref(w);
    return (double)total / ns * 1000;
}

static int compare(const void *x, const void *y)
{
    double p = *(const double *)x, q = *(const double *)y;

    return p < q ? -1 : p > q;
}

/* Seal and open of full frames, nothing else. */
static double cipher_alone(uint64_t total)
{
    static uint8_t plain[NOISE_SEAL_MAX], frame[NOISE_SEAL_MAX + NOISE_FRAME_EXTRA], out[NOISE_OPEN_MAX];
    static const uint8_t key[32] = {7};
    struct noise_transport x = {0}, y = {0};
    struct slice piece = {plain, sizeof(plain)};
    uint64_t done = 0, t0;

    if (aead_init(&x.tx, key) || aead_init(&y.rx, key))
        exit(1);
    t0 = now_ns();
    for (; done < total; done += sizeof(plain)) {
        ssize_t n = noise_seal(&x, &piece, 1, frame, sizeof(frame));
        if (noise_open(&y, slice_of(frame, (size_t)n), out, sizeof(out)) < 0)
            exit(1);
    }
    double mb = (double)done / (double)(now_ns() - t0) * 1000;
    noise_transport_fini(&x);
    noise_transport_fini(&y);
    return mb;
}

int main(int argc, char **argv)
{
    static const uint32_t sizes[] = {64, 1024, 16384, 65536, 1048576};
    uint64_t total = (argc > 1 ? strtoull(argv[1], NULL, 0) : 512) * 1000000;

    crypto_init();
    rng_init_system(&rng);
    if (argc > 1 && strcmp(argv[1], "cipher") == 0) {
        printf("cipher %.0f\n", cipher_alone(300000000));
        return 0;
    }
    printf("%10s %10s %10s %8s %12s %12s %14s %8s\n", "write B", "MB/s", "worst", "ns/B", "sender ns/B", "receiver ns/B",
           "cipher MB/s", "ratio");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        double mb[RUNS], base[RUNS], tx, rx;
        uint64_t n = sizes[i] < 1024 ? total / 4 : total;
        for (int k = 0; k < RUNS; k++) {
            base[k] = cipher_alone(n);
            mb[k] = run(sizes[i], n, &tx, &rx);
        }
        qsort(mb, RUNS, sizeof(mb[0]), compare);
        qsort(base, RUNS, sizeof(base[0]), compare);
        printf("%10u %10.0f %10.0f %8.3f %12.3f %12.3f %14.0f %8.2f\n", sizes[i], mb[RUNS / 2], mb[0], 1000 / mb[RUNS / 2],
               tx, rx, base[RUNS / 2], mb[RUNS / 2] / base[RUNS / 2]);
    }
    return 0;
}
