/* relay_load.c: a publisher A and a receiver C of one node B between them, for figures 4 and 5
 * usage: relay_load plain|coded SIZE sign|nosign IP_A IP_C [K]
 * Messages are made, and signed, before the clock runs. stdin, a line each:
 *   run ADDR PID SECONDS RATE   connects both to the node ADDR (/ip4/../tcp/..), whose process is PID, and passes messages through it for
 *                               SECONDS after a third of that to warm up; RATE a second, or 0: as many as it takes
 * stdout, a line for each: "sent N delivered N seconds X cpu X load X lost N p50 US p99 US"; cpu: of PID and all its threads, load: our own;
 * p50, p99: from A's send to C's receipt, with a RATE alone
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/load_end.h"
#include "pubsub/message.h"

#define POOL_BYTES   (1ull << 30)
#define SIGNED_MAX   120000u
#define UNSIGNED_MAX 700000u
#define CODED_BUFS   64u
#define LATE_NS      3000000000ull
#define DELAYS_MAX   100000u
#define IDLE_NS      50000ull

struct load {
    struct load_end a, c, *ends[2];
    struct rng rng, fast;
    bool is_coded, is_signed;
    uint32_t size, k;
    const char *ip_a, *ip_c;
    struct pubsub_config core;
    struct buf **pool;       /* plain: whole RPC frames; coded: payloads */
    uint8_t (*hashes)[PUBSUB_HASHES_MAX];
    size_t *hashes_len;
    unsigned pool_count, next;
    uint64_t number, sent, sent_at_ns;
    uint32_t delay_us[DELAYS_MAX];
    unsigned ndelays;
};

static struct load load;

static struct buf *payload_new(uint32_t size, uint64_t number)
{
    struct buf *b = buf_new(size);

    if (!b)
        load_die("no memory");
    b->len = size;
    rng_fill(&load.fast, b->data, size);
    memcpy(b->data, &number, size < sizeof(number) ? size : sizeof(number));
    return b;
}

static struct buf *frame_of(const struct message *m)
{
    struct buf *b = buf_new(m->bytes);

    if (!b)
        load_die("no memory");
    for (unsigned i = 0; i < m->npieces; i++) {
        memcpy(b->data + b->len, m->pieces[i].buf->data + m->pieces[i].off, m->pieces[i].len);
        b->len += m->pieces[i].len;
    }
    return b;
}

static struct buf *plain_alloc(void *ctx, uint32_t cap)
{
    return buf_new(cap);
}

static void make_plain(struct load *l)
{
    unsigned max = l->is_signed ? SIGNED_MAX : UNSIGNED_MAX;
    uint64_t count = POOL_BYTES / (l->size + 300);
    struct message_pool *pool = message_pool_new(plain_alloc, NULL);
    struct message_scratch scratch = {0};
    struct peer_id self;
    struct key_pair key;

    key_pair_from_seed(&key, (const uint8_t[32]){0xa1});
    key_pair_peer_id(&key, &self);
    message_pool_ids(pool, &(struct message_ids){.rule = l->is_signed ? PUBSUB_ID_SPEC : PUBSUB_ID_SHA256});
    l->pool_count = (unsigned)(count < max ? count : max);
    l->pool = calloc(l->pool_count, sizeof(*l->pool));
    for (unsigned i = 0; i < l->pool_count; i++) {
        struct buf *payload = payload_new(l->size, i);
        struct message *m = l->is_signed ? message_new_signed(pool, &key, &self, bench_now_ns() + i, slice_str(LOAD_TOPIC), payload, &scratch)
                                         : message_new_unsigned(pool, slice_str(LOAD_TOPIC), payload);
        if (!m)
            load_die("no memory");
        l->pool[i] = frame_of(m);
        message_unref(m);
        buf_unref(payload);
    }
    message_scratch_fini(&scratch);
}

static void make_coded(struct load *l)
{
    l->core = (struct pubsub_config){.mode = PUBSUB_CODED, .mesh_target = 6, .mesh_min = 4, .mesh_max = 12, .mesh_out = 2,
                                     .max_msg_bytes = 2u << 20, .k = l->k, .mult = 1.5, .threshold = 0.75, .keep_bytes = 16u << 20};
    l->pool_count = CODED_BUFS;
    l->pool = calloc(CODED_BUFS, sizeof(*l->pool));
    l->hashes = calloc(CODED_BUFS, sizeof(*l->hashes));
    l->hashes_len = calloc(CODED_BUFS, sizeof(*l->hashes_len));
    for (unsigned i = 0; i < CODED_BUFS; i++) {
        l->pool[i] = payload_new(l->size, i);
        l->hashes_len[i] = pubsub_hash_shards(&l->core, buf_slice(l->pool[i]), l->hashes[i]);
    }
}

/* The same bytes under a new number: a header of its own. The id that clients know is not looked at here. */
static bool publish_coded(struct load *l, uint64_t now)
{
    unsigned at = l->next++ % l->pool_count;
    uint8_t id[32] = {0};

    memcpy(id, &l->number, sizeof(l->number));
    l->number++;
    if (net_conn_queue_bytes(l->a.net, l->a.conn) > 4u << 20)
        return false;
    if (pubsub_publish_hashed(l->a.ps, slice_str(LOAD_TOPIC), buf_ref(l->pool[at]), id, slice_of(l->hashes[at], l->hashes_len[at]), now))
        load_die("the publisher's core refuses a message");
    return true;
}

static bool publish(struct load *l, uint64_t now)
{
    if (l->is_coded)
        return publish_coded(l, now);
    if (l->next == l->pool_count)
        return false;
    if (!load_end_send(&l->a, l->pool[l->next], now))
        return false;
    buf_ref(l->pool[l->next++]);
    return true;
}

static void turn(struct load *l, uint64_t *idle_ns)
{
    uint64_t now = bench_now_ns();

    if (load_end_turn(&l->a, now) + load_end_turn(&l->c, now))
        *idle_ns = 0;
    else if (!*idle_ns)
        *idle_ns = now;
    else if (now - *idle_ns > IDLE_NS)
        load_end_wait(l->ends, 2, 1000000);
}

/* Run time of all threads of a process, from its scheduler: finer than its ticks. */
static double cpu_s(int pid)
{
    char path[300];
    uint64_t sum = 0, ns;
    struct dirent *d;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    dir = opendir(path);
    if (!dir)
        load_die("the node is gone");
    while ((d = readdir(dir))) {
        snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, d->d_name);
        FILE *f = d->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (f && fscanf(f, "%" SCNu64, &ns) == 1)
            sum += ns;
        if (f)
            fclose(f);
    }
    closedir(dir);
    return (double)sum / 1e9;
}

static double own_cpu_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Both in the topic, and a message comes through. */
static void meet(struct load *l, const char *addr)
{
    uint64_t end = bench_now_ns() + 20000000000ull, next = 0, idle = 0, now;
    bool has_joined = false;

    load_end_open(&l->a, 1, l->ip_a, l->is_coded ? &l->core : NULL, &l->rng);
    load_end_open(&l->c, 2, l->ip_c, l->is_coded ? &l->core : NULL, &l->rng);
    load_end_dial(&l->a, addr);
    load_end_dial(&l->c, addr);
    while (l->c.messages == 0) {
        now = bench_now_ns();
        if (now > end)
            load_die("no message comes through");
        turn(l, &idle);
        if (!l->a.is_ready || !l->c.is_ready)
            continue;
        if (!has_joined && !l->is_coded) {
            load_end_join(&l->a, now);
            load_end_join(&l->c, now);
        }
        if (!has_joined)
            next = now + 300000000ull;
        has_joined = true;
        if (now >= next) {
            l->sent += publish(l, now);
            next = now + 500000000ull;
        }
    }
    for (end = bench_now_ns() + 500000000ull; bench_now_ns() < end;)
        turn(l, &idle);
    l->sent = l->c.messages; /* probes that came too early are none of the figure */
}

static uint64_t window(const struct load *l)
{
    uint64_t n = (4u << 20) / l->size;

    return n < 4 ? 4 : n > 512 ? 512 : n;
}

/* Sends until `end`, then waits for what is under way; returns what was lost. */
static uint64_t pump(struct load *l, uint64_t end, unsigned rate)
{
    uint64_t idle = 0, lost = 0, progress = bench_now_ns(), next = progress, now, had, max = window(l);

    for (;;) {
        now = bench_now_ns();
        had = l->c.messages;
        if (now >= end)
            break;
        if (rate && now >= next) {
            l->sent += publish(l, now);
            l->sent_at_ns = now;
            next += 1000000000ull / rate;
        }
        for (unsigned i = 0; !rate && l->sent - l->c.messages - lost < max && i < 64; i++) {
            if (!publish(l, now))
                break;
            l->sent++;
        }
        turn(l, &idle);
        if (l->c.messages != had && rate && l->ndelays < DELAYS_MAX)
            l->delay_us[l->ndelays++] = (uint32_t)((l->c.last_ns - l->sent_at_ns) / 1000);
        if (l->c.messages != had || rate)
            progress = now;
        else if (l->sent != l->c.messages && now - progress > LATE_NS)
            lost = l->sent - l->c.messages, progress = now;
        if (!l->is_coded && l->next == l->pool_count && l->sent - l->c.messages - lost == 0)
            break;
    }
    return lost;
}

static void drain(struct load *l)
{
    uint64_t idle = 0, end = bench_now_ns() + LATE_NS;

    while (l->sent != l->c.messages && bench_now_ns() < end)
        turn(l, &idle);
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static void run(struct load *l, const char *addr, int pid, double seconds, unsigned rate)
{
    double cpu, own;
    uint64_t start, sent, got, ns, lost;

    l->next = 0;
    l->sent = l->ndelays = 0;
    meet(l, addr);
    if (!rate)
        pump(l, bench_now_ns() + (uint64_t)(seconds / 3 * 1e9), 0);
    cpu = cpu_s(pid);
    own = own_cpu_s();
    sent = l->sent;
    got = l->c.messages;
    start = bench_now_ns();
    lost = pump(l, start + (uint64_t)(seconds * 1e9), rate);
    ns = bench_now_ns() - start;
    cpu = cpu_s(pid) - cpu;
    own = own_cpu_s() - own;
    got = l->c.messages - got;
    drain(l);
    lost = l->sent > l->c.messages ? l->sent - l->c.messages : lost;
    qsort(l->delay_us, l->ndelays, sizeof(l->delay_us[0]), by_value);
    printf("sent %" PRIu64 " delivered %" PRIu64 " seconds %.6f cpu %.6f load %.6f lost %" PRIu64 " p50 %u p99 %u\n", l->sent - sent, got,
           (double)ns / 1e9, cpu, own, lost, l->ndelays ? l->delay_us[l->ndelays / 2] : 0, l->ndelays ? l->delay_us[l->ndelays * 99 / 100] : 0);
    fflush(stdout);
    load_end_close(&l->a);
    load_end_close(&l->c);
}

int main(int argc, char **argv)
{
    struct load *l = &load;
    char line[300], addr[200];
    double seconds;
    unsigned rate;
    int pid;

    if (argc < 6)
        load_die("usage: relay_load plain|coded SIZE sign|nosign IP_A IP_C [K]");
    l->is_coded = strcmp(argv[1], "coded") == 0;
    l->size = (uint32_t)atoi(argv[2]);
    l->is_signed = strcmp(argv[3], "sign") == 0;
    l->ip_a = argv[4];
    l->ip_c = argv[5];
    l->k = argc > 6 ? (uint32_t)atoi(argv[6]) : 4;
    l->ends[0] = &l->a;
    l->ends[1] = &l->c;
    crypto_init();
    rng_init_system(&l->rng);
    rng_init_seeded(&l->fast, 1);
    if (l->is_coded)
        make_coded(l);
    else
        make_plain(l);
    printf("made %u\n", l->pool_count);
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin))
        if (sscanf(line, "run %199s %d %lf %u", addr, &pid, &seconds, &rate) == 4)
            run(l, addr, pid, seconds, rate);
    return 0;
}
