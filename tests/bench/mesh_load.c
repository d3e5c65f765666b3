/* mesh_load: messages through a network of nodes, one at a time, timed at the nodes themselves
 *     mesh_load [--size 1024] [--count 20] [--gap MS] [--timeout MS] [--topic bench] [--topics 1] [--streams 1] [--publishers N] HOST:PORT..
 * Opens streams to the sidecar of each node, subscribes each to all topics, and publishes at one node after the other; each message
 * once the last one is everywhere or its time is over, and gap after the last one was published. Three times of a delivery:
 *     node    from the publisher's router taking it on to the receiver's router delivering it, by the stamps of their traces: the network alone
 *     entry   from the publish call here to the receiver's router: with gRPC and the hashing on the way in
 *     client  from the publish call here to the message here: base64, JSON and gRPC on the way out, too
 * Says "ready" when a round of warm-up messages has come through everywhere, waits for a line on stdin, then reports as JSON.
 * One process, two threads: its own work is a share of every time where CPUs are few, least in the first.
 */
#include <getopt.h>
#include <pthread.h>
#include <unistd.h>

#include "base/pb.h"
#include "base/rng.h"
#include "base/text.h"
#include "load_times.h"
#include "rpc/rpc_client.h"

#define NODES_MAX   256
#define STREAMS_MAX 512
#define WARM_ROUNDS 60
#define TRACE_PUBLISH 0
#define TRACE_DELIVER 3

struct stream {
    unsigned node;
    struct rpc_call *call;
    bool has_it; /* the message under way */
};

/* What a trace says of a message. */
struct sighting {
    unsigned node;
    uint64_t at_unix_ns;
    uint8_t id[64];
    size_t id_len;
};

/* The message under way. */
struct flight {
    uint64_t number, called_ns, called_unix_ns;
    unsigned publisher, clients, nodes;
    bool node_has[NODES_MAX];
    struct sighting routed;               /* by the publisher; id_len 0: not told yet */
    struct sighting early[2 * NODES_MAX]; /* deliveries told before that */
    unsigned nearly;
};

struct series {
    double *ms;
    size_t n, cap;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static struct stream streams[STREAMS_MAX];
static struct rpc_client *clients[NODES_MAX];
static unsigned nnodes, nstreams = 1, ntopics = 1, npublishers;
static struct flight now_flying; /* under lock, as all that follows */
static struct series by_node, by_entry, by_client, by_route;
static uint64_t repeated, refused, late, lost_to_streams;
static bool is_counting;
static size_t bytes = 1024;
static const char *topic_name = "bench";
static uint8_t *payload;

static uint64_t unix_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void add(struct series *s, double ms)
{
    if (!is_counting)
        return;
    if (s->n == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 1024;
        s->ms = realloc(s->ms, s->cap * sizeof(*s->ms));
        if (!s->ms)
            exit(1);
    }
    s->ms[s->n++] = ms;
}

/* ---- what comes ---- */

static void delivered(struct flight *f, const struct sighting *s)
{
    if (s->node == f->publisher || f->node_has[s->node] || s->id_len != f->routed.id_len || memcmp(s->id, f->routed.id, s->id_len) != 0)
        return;
    f->node_has[s->node] = true;
    f->nodes++;
    add(&by_node, ((double)s->at_unix_ns - (double)f->routed.at_unix_ns) / 1e6);
    add(&by_entry, ((double)s->at_unix_ns - (double)f->called_unix_ns) / 1e6);
}

static void routed(struct flight *f, const struct sighting *s)
{
    if (s->node != f->publisher || f->routed.id_len)
        return;
    f->routed = *s;
    add(&by_route, ((double)s->at_unix_ns - (double)f->called_unix_ns) / 1e6);
    for (unsigned i = 0; i < f->nearly; i++)
        delivered(f, &f->early[i]);
}

/* The message's id in the body of a trace event. */
static bool read_id(struct sighting *s, struct slice body)
{
    struct rd r = rd_of(body);
    struct pb_field p;

    while (pb_next(&r, &p) > 0)
        if (pb_is(&p, 1, PB_BYTES) && p.bytes.len && p.bytes.len <= sizeof(s->id)) {
            memcpy(s->id, p.bytes.p, p.bytes.len);
            s->id_len = p.bytes.len;
        }
    return s->id_len > 0;
}

/* One trace event; both kinds have the fields that matter here at the same places. */
static void on_trace(unsigned node, struct slice event)
{
    struct flight *f = &now_flying;
    struct sighting s = {.node = node};
    struct rd r = rd_of(event);
    struct pb_field p;
    struct slice body = {0};
    uint64_t type = 0;

    while (pb_next(&r, &p) > 0) {
        if (pb_is(&p, 1, PB_VARINT))
            type = p.u;
        else if (pb_is(&p, 3, PB_VARINT))
            s.at_unix_ns = p.u;
        else if (pb_is(&p, 4 + TRACE_PUBLISH, PB_BYTES) || pb_is(&p, 4 + TRACE_DELIVER, PB_BYTES))
            body = p.bytes;
    }
    if ((type != TRACE_PUBLISH && type != TRACE_DELIVER) || !read_id(&s, body))
        return;
    if (type == TRACE_PUBLISH)
        routed(f, &s);
    else if (f->routed.id_len)
        delivered(f, &s);
    else if (f->nearly < 2 * NODES_MAX)
        f->early[f->nearly++] = s;
}

/* JSON with the payload in base64 at its end: {.., "message":"..."}. */
static void on_json(struct stream *s, struct slice json)
{
    static const char key[] = "\"message\":\"";
    const uint8_t *at = memmem(json.p, json.len, key, sizeof(key) - 1);
    uint8_t head[LOAD_HEAD + 1];
    size_t from = at ? (size_t)(at - json.p) + sizeof(key) - 1 : json.len;
    struct flight *f = &now_flying;

    if (json.len - from < BASE64_SIZE(LOAD_HEAD + 1) || base64_decode(head, sizeof(head), slice_of(json.p + from, (LOAD_HEAD + 1) / 3 * 4)) < 0)
        return;
    head[32] = 0;
    if (strtoull((char *)head + 16, NULL, 16) != f->number) {
        late += is_counting;
        return;
    }
    if (s->has_it) {
        repeated += is_counting;
        return;
    }
    s->has_it = true;
    if (s->node == f->publisher)
        return;
    f->clients++;
    add(&by_client, (double)(bench_now_ns() - f->called_ns) / 1e6);
}

static void on_response(struct stream *s, struct slice response)
{
    struct rd r = rd_of(response);
    struct pb_field p;
    struct slice data = {0};
    uint64_t command = 0;

    while (pb_next(&r, &p) > 0) {
        if (pb_is(&p, 1, PB_VARINT))
            command = p.u;
        else if (pb_is(&p, 2, PB_BYTES))
            data = p.bytes;
    }
    if (command == 1)
        on_json(s, data);
    else if (command == 2 || command == 3)
        on_trace(s->node, data);
    else if (memmem(data.p, data.len, "\"error\"", 7)) {
        if (!refused++)
            fprintf(stderr, "mesh_load: %.*s\n", (int)(data.len < 200 ? data.len : 200), (const char *)data.p);
    } else if (memmem(data.p, data.len, "\"dropped\"", 9)) {
        lost_to_streams++;
    }
}

static void on_message(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    (void)c;
    pthread_mutex_lock(&lock);
    on_response(user, rpc_msg_slice(m));
    pthread_cond_signal(&moved);
    pthread_mutex_unlock(&lock);
}

static void on_close(struct rpc_call *c, const struct rpc_status *st, void *user)
{
    (void)c;
    if (st->code == RPC_CODE_CANCELLED)
        return; /* by ourselves */
    fprintf(stderr, "mesh_load: stream of node %u ended: %s\n", ((struct stream *)user)->node, st->message);
    _exit(1);
}

/* ---- what goes ---- */

static void put_request(struct wr *w, uint64_t command, struct slice data, const char *topic)
{
    pb_put_varint(w, 1, command);
    pb_put_bytes(w, 2, data);
    pb_put_bytes(w, 3, slice_str(topic));
}

static void say(struct stream *s, uint64_t command, struct slice data, const char *topic)
{
    struct wr size = wr_counter(), w;
    struct rpc_msg *m;

    put_request(&size, command, data, topic);
    m = rpc_msg_new(size.len);
    if (!m)
        exit(1);
    w = wr_of(rpc_msg_bytes(m), size.len);
    put_request(&w, command, data, topic);
    if (rpc_call_send(s->call, m, RPC_MUST) < 0)
        exit(1);
    rpc_msg_unref(m);
}

static void subscribe(struct stream *s)
{
    char topic[64];

    for (unsigned i = 0; i < ntopics; i++) {
        snprintf(topic, sizeof(topic), "%s-%u", topic_name, i);
        say(s, 2, (struct slice){0}, topic);
    }
}

static void open_streams(char **targets)
{
    static const struct rpc_handlers on = {.on_message = on_message, .on_close = on_close};
    struct rpc_loop *loop = rpc_loop_new("load", NULL);
    struct rpc_call_options opt = {.wait_for_ready = true, .queue = {.max_messages = 65536, .max_bytes = 512 << 20}};

    for (unsigned i = 0; i < nnodes; i++) {
        struct rpc_client_config cfg = {.target = targets[i], .loop = loop, .max_recv_bytes = 128 << 20};
        if (!loop || rpc_client_new(&clients[i], &cfg) < 0)
            exit(1);
        for (unsigned k = 0; k < nstreams; k++) {
            struct stream *s = &streams[i * nstreams + k];
            struct rpc_header no_traces = {"codecast-traces", SLICE_LIT("off")};
            s->node = i;
            opt.headers = &no_traces;
            opt.header_count = k > 0; /* the first of a node tells its traces */
            if (rpc_client_open(clients[i], "/proto.CommandStream/ListenCommands", &on, s, &opt, &s->call) < 0)
                exit(1);
            subscribe(s);
        }
    }
}

static bool is_everywhere(void)
{
    return now_flying.clients == (nnodes - 1) * nstreams && now_flying.nodes == nnodes - 1;
}

/* Publishes number n and waits until it is everywhere, or timeout. true: it is. */
static bool send_one(uint64_t n, uint64_t timeout_ns)
{
    unsigned publisher = (unsigned)(n % npublishers);
    uint64_t end = bench_now_ns() + timeout_ns;
    char head[LOAD_HEAD + 1], topic[64];
    bool ok;

    load_head(head, n);
    memcpy(payload, head, LOAD_HEAD);
    snprintf(topic, sizeof(topic), "%s-%u", topic_name, (unsigned)(n / npublishers % ntopics));
    pthread_mutex_lock(&lock);
    memset(&now_flying, 0, sizeof(now_flying));
    now_flying.number = n;
    now_flying.publisher = publisher;
    for (unsigned i = 0; i < nnodes * nstreams; i++)
        streams[i].has_it = false;
    now_flying.called_ns = bench_now_ns();
    now_flying.called_unix_ns = unix_ns();
    pthread_mutex_unlock(&lock);
    say(&streams[publisher * nstreams], 1, slice_of(payload, bytes), topic);
    pthread_mutex_lock(&lock);
    while (!(ok = is_everywhere()) && bench_now_ns() < end) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        t.tv_nsec += 50000000;
        t.tv_sec += t.tv_nsec / 1000000000;
        t.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&moved, &lock, &t);
    }
    pthread_mutex_unlock(&lock);
    return ok;
}

static void warm_up(void)
{
    for (unsigned round = 0; round < WARM_ROUNDS; round++) {
        bool all = true;
        for (unsigned i = 0; i < npublishers; i++)
            all = send_one((uint64_t)(round + 1) * 1000000000ull * npublishers + i, 1000000000ull) && all;
        if (all)
            return;
    }
    fprintf(stderr, "mesh_load: warm-up messages did not come through everywhere\n");
    exit(1);
}

/* ---- the report ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void print_series(const char *name, struct series *s)
{
    qsort(s->ms, s->n, sizeof(*s->ms), by_value);
    printf(", \"%s_ms\": ", name);
    if (s->n)
        printf("{\"p50\": %.4f, \"p95\": %.4f, \"p99\": %.4f, \"max\": %.4f}", s->ms[s->n / 2], s->ms[s->n * 95 / 100], s->ms[s->n * 99 / 100],
               s->ms[s->n - 1]);
    else
        printf("null");
}

static void run(uint64_t count, uint64_t gap_ns, uint64_t timeout_ns)
{
    uint64_t begun = bench_now_ns(), complete = 0;

    is_counting = true;
    for (uint64_t n = 0; n < count; n++) {
        uint64_t at = bench_now_ns(), due = at + gap_ns;
        complete += send_one(n, timeout_ns);
        at = bench_now_ns();
        if (at < due && n + 1 < count)
            usleep((useconds_t)((due - at) / 1000));
    }
    pthread_mutex_lock(&lock);
    printf("{\"published\": %lu, \"expected\": %lu, \"delivered\": %zu, \"at_nodes\": %zu, \"complete\": %lu, \"repeated\": %lu, \"late\": %lu, "
           "\"refused\": %lu, \"lost_to_streams\": %lu, \"seconds\": %.3f",
           (unsigned long)count, (unsigned long)(count * (nnodes - 1) * nstreams), by_client.n, by_node.n, (unsigned long)complete,
           (unsigned long)repeated, (unsigned long)late, (unsigned long)refused, (unsigned long)lost_to_streams,
           (double)(bench_now_ns() - begun) / 1e9);
    print_series("node", &by_node);
    print_series("entry", &by_entry);
    print_series("client", &by_client);
    print_series("route", &by_route);
    printf("}\n");
    fflush(stdout);
    pthread_mutex_unlock(&lock);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"size", 1, NULL, 's'},   {"count", 1, NULL, 'c'},   {"gap", 1, NULL, 'g'},        {"timeout", 1, NULL, 't'},
                                            {"topics", 1, NULL, 'T'}, {"streams", 1, NULL, 'S'}, {"publishers", 1, NULL, 'p'},
                                            {"topic", 1, NULL, 'n'},  {0}};
    uint64_t count = 20, gap_ns = 0, timeout_ns = 10000000000ull;
    struct rng rng;
    char line[16];

    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case 's': bytes = strtoul(optarg, NULL, 10); break;
        case 'c': count = strtoull(optarg, NULL, 10); break;
        case 'g': gap_ns = strtoull(optarg, NULL, 10) * 1000000; break;
        case 't': timeout_ns = strtoull(optarg, NULL, 10) * 1000000; break;
        case 'n': topic_name = optarg; break;
        case 'T': ntopics = (unsigned)atoi(optarg); break;
        case 'S': nstreams = (unsigned)atoi(optarg); break;
        case 'p': npublishers = (unsigned)atoi(optarg); break;
        default: return 2;
        }
    }
    nnodes = (unsigned)(argc - optind);
    if (nnodes < 2 || nnodes > NODES_MAX || nnodes * nstreams > STREAMS_MAX || !nstreams || !ntopics || npublishers > nnodes) {
        fprintf(stderr, "mesh_load: see the top of mesh_load.c\n");
        return 2;
    }
    npublishers = npublishers ? npublishers : nnodes;
    bytes = bytes < LOAD_HEAD + 1 ? LOAD_HEAD + 1 : bytes;
    payload = malloc(bytes);
    if (!payload)
        return 1;
    rng_init_seeded(&rng, 1);
    rng_fill(&rng, payload, bytes);
    open_streams(argv + optind);
    warm_up();
    puts("ready");
    fflush(stdout);
    if (fgets(line, sizeof(line), stdin))
        run(count, gap_ns, timeout_ns);
    _exit(0); /* gRPC core needs no farewell */
}
