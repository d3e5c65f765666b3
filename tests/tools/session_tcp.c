/* session_tcp.c: one libp2p session over one kernel TCP connection, for trying the core against other implementations
 *
 *     session_tcp --dial IP:PORT | --listen IP:PORT
 *         --echo N SIZE    open N streams of /ref/echo/1.0.0, send SIZE bytes on each, want them back
 *         --sink SIZE      send SIZE bytes to /ref/sink/1.0.0, want its JSON answer to name their count
 *         --pings N        want N round trips measured by /ipfs/ping/1.0.0, 100 ms apart
 *         --push           change what we say of ourselves after identify, by push
 *         --expect ID      the peer's id
 *         --no-early       name no muxer inside Noise
 *         --linger MS      stay after all is done, before the goodbye
 *         --stay           serve until the peer leaves
 *
 * Serves /ref/echo/1.0.0 and /ref/sink/1.0.0 itself. One JSON object per event on stdout. Exit: 0 all that was asked
 * for came about; 1 not; 2 usage.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "crypto/sha256.h"
#include "base/text.h"
#include "libp2p/keys.h"
#include "libp2p/multiaddr.h"
#include "libp2p/noise.h"
#include "libp2p/session.h"

#define MS      1000000ull
#define FLOWS   64
#define BLOCK   65536
#define TIMEOUT (60000 * MS)

static const char *const served[] = {"/ref/echo/1.0.0", "/ref/sink/1.0.0"};
enum { ECHO, SINK };

/* A stream: ours (sends size bytes, hashes both ways) or theirs (hashes, echoes). */
struct flow {
    uint32_t id;
    bool is_ours, is_sink, is_done, is_failed;
    uint64_t size, sent, got;
    struct sha256 sent_hash, got_hash;
    char answer[256];
    size_t nanswer;
};

struct options {
    const char *dial, *listen, *expect;
    unsigned echoes, pings;
    uint64_t echo_size, sink_size, linger_ns;
    bool has_sink, is_push, is_stay, has_no_early;
};

struct tool {
    struct options opt;
    struct session *s;
    struct session_local local;
    int fd;
    uint64_t now, started, done_at;
    bool up, identified, closed;
    unsigned rtts;
    struct flow flows[FLOWS];
    unsigned nflows;
    struct buf *block;
    size_t out_at, out_len;
    uint8_t out[4 * BLOCK];
};

static struct tool t;

static uint64_t clock_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 * MS + (uint64_t)ts.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "session_tcp: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- sockets ---- */

static struct sockaddr_in parse_addr(const char *text)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    char host[64];
    unsigned port;

    if (sscanf(text, "%63[0-9.]:%u", host, &port) != 2 || inet_pton(AF_INET, host, &a.sin_addr) != 1) {
        fprintf(stderr, "session_tcp: not IP:PORT: %s\n", text);
        exit(2);
    }
    a.sin_port = htons((uint16_t)port);
    return a;
}

static int open_socket(const struct options *o, struct sockaddr_in *remote)
{
    struct sockaddr_in a = parse_addr(o->dial ? o->dial : o->listen);
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1, lfd;

    t.started = clock_ns();
    if (o->dial) {
        if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
            die("connect");
        *remote = a;
        return fd;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1) < 0)
        die("listen");
    getsockname(fd, (struct sockaddr *)&a, &len);
    printf("{\"event\":\"listening\",\"port\":%u}\n", ntohs(a.sin_port));
    lfd = fd;
    len = sizeof(*remote);
    fd = accept(lfd, (struct sockaddr *)remote, &len);
    close(lfd);
    if (fd < 0)
        die("accept");
    return fd;
}

/* ---- streams ---- */

static struct flow *flow_of(uint32_t id)
{
    for (unsigned i = 0; i < t.nflows; i++)
        if (t.flows[i].id == id)
            return &t.flows[i];
    return NULL;
}

static struct flow *flow_new(uint32_t id, bool is_ours, bool is_sink, uint64_t size)
{
    struct flow *f = t.nflows < FLOWS ? &t.flows[t.nflows++] : NULL;

    if (!f)
        return NULL;
    *f = (struct flow){.id = id, .is_ours = is_ours, .is_sink = is_sink, .size = size};
    sha256_init(&f->sent_hash);
    sha256_init(&f->got_hash);
    return f;
}

static void flow_pump(struct flow *f)
{
    if (!f->is_ours || f->sent > f->size)
        return;
    while (f->sent < f->size) {
        uint64_t left = f->size - f->sent;
        uint32_t n = left < BLOCK ? (uint32_t)left : BLOCK;
        if (session_stream_send(t.s, f->id, buf_ref(t.block), 0, n) < 0) {
            buf_unref(t.block);
            return;
        }
        sha256_update(&f->sent_hash, slice_of(t.block->data, n));
        f->sent += n;
    }
    session_stream_close(t.s, f->id);
    f->sent = f->size + 1; /* closed */
}

static void flow_open(bool is_sink, uint64_t size)
{
    const char *protocol = served[is_sink];
    int64_t id = session_open_stream(t.s, &protocol, 1, NULL, t.now);

    if (id < 0 || !flow_new((uint32_t)id, true, is_sink, size)) {
        fprintf(stderr, "session_tcp: cannot open a stream: %s\n", session_err_name((int)id));
        exit(1);
    }
    flow_pump(&t.flows[t.nflows - 1]);
}

static void flow_data(struct flow *f, struct slice data)
{
    sha256_update(&f->got_hash, data);
    f->got += data.len;
    if (f->is_ours && f->is_sink) {
        size_t n = data.len < sizeof(f->answer) - 1 - f->nanswer ? data.len : sizeof(f->answer) - 1 - f->nanswer;
        memcpy(f->answer + f->nanswer, data.p, n);
        f->nanswer += n;
    } else if (!f->is_ours && !f->is_sink) {
        struct buf *b = buf_copy(data);
        if (session_stream_send(t.s, f->id, b, 0, b->len) < 0) {
            buf_unref(b);
            f->is_failed = true;
        }
    }
}

static void flow_text(struct flow *f, char sent[65], char got[65])
{
    uint8_t h[SHA256_BYTES];

    sha256_final(&f->sent_hash, h);
    hex_encode(sent, slice_of(h, sizeof(h)));
    sha256_final(&f->got_hash, h);
    hex_encode(got, slice_of(h, sizeof(h)));
}

static void flow_eof(struct flow *f)
{
    char sent[65], got[65], answer[256];
    bool is_good;

    flow_text(f, sent, got);
    f->is_done = true;
    if (!f->is_ours && f->is_sink) {
        int n = snprintf(answer, sizeof(answer), "{\"bytes\":%llu,\"sha256\":\"%s\"}", (unsigned long long)f->got, got);
        session_stream_copy(t.s, f->id, slice_of(answer, (size_t)n));
    }
    if (!f->is_ours)
        session_stream_close(t.s, f->id);
    is_good = f->is_sink ? strstr(f->answer, sent) != NULL : f->got == f->size && strcmp(sent, got) == 0;
    if (f->is_ours)
        f->is_failed |= !is_good;
    printf("{\"event\":\"stream\",\"id\":%u,\"ours\":%s,\"protocol\":\"%s\",\"bytes\":%llu,\"sha256\":\"%s\",\"good\":%s}\n",
           f->id, f->is_ours ? "true" : "false", served[f->is_sink], (unsigned long long)f->got, got,
           !f->is_ours || is_good ? "true" : "false");
}

/* ---- events ---- */

static void print_slice(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.p[i];
        if (c < 32 || c > 126 || c == '"' || c == '\\')
            printf("\\u%04x", c);
        else
            putchar(c);
    }
}

static void print_addr(struct slice bytes)
{
    char text[MULTIADDR_TEXT_MAX];

    printf("\"%s\"", multiaddr_format(bytes, text, sizeof(text)) < 0 ? "?" : text);
}

static void print_identity(const struct session_identity *id)
{
    printf("{\"event\":\"identified\",\"push\":%s,\"agent\":\"", id->is_push ? "true" : "false");
    print_slice(id->agent);
    printf("\",\"protocols\":[");
    for (unsigned i = 0; i < id->nprotocols; i++) {
        printf("%s\"", i ? "," : "");
        print_slice(id->protocols[i]);
        printf("\"");
    }
    printf("],\"addrs\":[");
    for (unsigned i = 0; i < id->naddrs; i++) {
        printf("%s", i ? "," : "");
        print_addr(id->addrs[i]);
    }
    printf("],\"observed\":");
    print_addr(id->observed);
    printf(",\"record\":%zu}\n", id->record.len);
}

static void went_up(const struct session_event *ev)
{
    char text[PEER_ID_TEXT_MAX];

    t.up = true;
    peer_id_format(ev->peer, text);
    printf("{\"event\":\"up\",\"peer\":\"%s\",\"ms\":%.3f}\n", text, (double)(t.now - t.started) / MS);
    for (unsigned i = 0; i < t.opt.echoes; i++)
        flow_open(false, t.opt.echo_size);
    if (t.opt.has_sink)
        flow_open(true, t.opt.sink_size);
}

static void identified(const struct session_event *ev)
{
    print_identity(ev->identity);
    if (!t.identified && t.opt.is_push) {
        t.local.agent = "codecast-session/pushed";
        t.local.version++;
        session_local_changed(t.s, t.now);
    }
    t.identified = true;
}

static void handle(const struct session_event *ev)
{
    struct flow *f = ev->stream ? flow_of(ev->stream) : NULL;

    switch (ev->type) {
    case SESSION_UP: went_up(ev); break;
    case SESSION_IDENTIFIED: identified(ev); break;
    case SESSION_IDENTIFY_FAILED: printf("{\"event\":\"identify-failed\"}\n"); break;
    case SESSION_STREAM_OPENED:
        if (!flow_new(ev->stream, false, ev->protocol == SINK, 0))
            session_stream_reset(t.s, ev->stream);
        break;
    case SESSION_STREAM_READY: break;
    case SESSION_STREAM_DATA: flow_data(f, ev->data); break;
    case SESSION_STREAM_EOF: flow_eof(f); break;
    case SESSION_STREAM_WRITABLE: flow_pump(f); break;
    case SESSION_STREAM_REFUSED:
    case SESSION_STREAM_RESET:
        f->is_done = f->is_failed = true;
        printf("{\"event\":\"stream-failed\",\"id\":%u,\"err\":\"%s\"}\n", f->id, session_err_name(ev->err));
        break;
    case SESSION_RTT:
        t.rtts++;
        printf("{\"event\":\"rtt\",\"us\":%.1f,\"by\":\"%s\"}\n", (double)ev->rtt_ns / 1000, ev->by_ping ? "ping" : "muxer");
        break;
    case SESSION_CLOSED:
        t.closed = true;
        printf("{\"event\":\"closed\",\"err\":\"%s\",\"reason\":\"%s\"}\n", session_err_name(ev->err), ev->reason);
        break;
    }
}

static void drain(void)
{
    struct session_event ev;

    while (session_next_event(t.s, &ev))
        handle(&ev);
}

/* ---- the loop ---- */

/* False when the connection is gone. */
static bool read_some(void)
{
    static uint8_t in[4 * BLOCK];
    ssize_t n = recv(t.fd, in, sizeof(in), MSG_DONTWAIT);
    int err = 0;

    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    t.now = clock_ns(); /* round trips on one machine are shorter than a turn */
    for (struct slice s = {in, (size_t)n}; s.len && !err; drain())
        err = session_input(t.s, &s, t.now);
    return !err;
}

static bool write_some(void)
{
    for (;;) {
        if (t.out_at == t.out_len) {
            if (!session_has_output(t.s))
                return true;
            t.out_at = 0;
            t.out_len = session_output(t.s, t.out, sizeof(t.out), t.now);
            drain();
        }
        ssize_t n = send(t.fd, t.out + t.out_at, t.out_len - t.out_at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN;
        t.out_at += (size_t)n;
    }
}

static bool is_all_done(void)
{
    bool is_done = t.up && t.identified && t.rtts >= t.opt.pings + 1;

    for (unsigned i = 0; i < t.nflows; i++)
        is_done = is_done && t.flows[i].is_done;
    return is_done && !t.opt.is_stay;
}

static void wait_for_work(void)
{
    uint64_t next = session_next_deadline(t.s);
    struct pollfd p = {t.fd, (short)(POLLIN | (t.out_at < t.out_len ? POLLOUT : 0)), 0};
    int ms = 50;

    if (next < t.now + 50 * MS)
        ms = next > t.now ? (int)((next - t.now) / MS) : 0;
    poll(&p, 1, ms);
    t.now = clock_ns();
}

/* Says goodbye and lets it out. */
static void leave(void)
{
    uint64_t until = t.now + 2000 * MS;

    session_goaway(t.s);
    while (!session_is_done(t.s) || t.out_at < t.out_len) {
        if (!write_some() || t.now > until)
            return;
        wait_for_work();
        if (!read_some())
            return;
    }
}

static bool run(void)
{
    while (!t.closed) {
        session_on_deadline(t.s, t.now);
        drain();
        if (!write_some() || !read_some() || !write_some())
            break;
        if (is_all_done() && !t.done_at)
            t.done_at = t.now;
        if (t.done_at && t.now >= t.done_at + t.opt.linger_ns) {
            leave();
            return true;
        }
        if (t.now - t.started > TIMEOUT) {
            printf("{\"event\":\"timeout\"}\n");
            return false;
        }
        wait_for_work();
    }
    return t.opt.is_stay || t.done_at;
}

static void parse_options(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        bool has_one = i + 1 < argc;
        if (!strcmp(argv[i], "--dial") && has_one)
            o->dial = argv[++i];
        else if (!strcmp(argv[i], "--listen") && has_one)
            o->listen = argv[++i];
        else if (!strcmp(argv[i], "--expect") && has_one)
            o->expect = argv[++i];
        else if (!strcmp(argv[i], "--echo") && i + 2 < argc)
            o->echoes = (unsigned)atoi(argv[i + 1]), o->echo_size = strtoull(argv[i + 2], NULL, 0), i += 2;
        else if (!strcmp(argv[i], "--sink") && has_one)
            o->has_sink = true, o->sink_size = strtoull(argv[++i], NULL, 0);
        else if (!strcmp(argv[i], "--pings") && has_one)
            o->pings = (unsigned)atoi(argv[++i]);
        else if (!strcmp(argv[i], "--linger") && has_one)
            o->linger_ns = strtoull(argv[++i], NULL, 0) * MS;
        else if (!strcmp(argv[i], "--push"))
            o->is_push = true;
        else if (!strcmp(argv[i], "--stay"))
            o->is_stay = true;
        else if (!strcmp(argv[i], "--no-early"))
            o->has_no_early = true;
        else
            o->dial = o->listen = NULL, i = argc;
    }
    if (!o->dial == !o->listen || o->echoes >= FLOWS) {
        fprintf(stderr, "usage: session_tcp --dial IP:PORT | --listen IP:PORT [options]; see the top of its source\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    struct noise_identity identity;
    struct sockaddr_in remote = {0};
    struct multiaddr remote_addr;
    struct peer_id expect, me;
    struct key_pair key;
    struct rng rng;
    char text[PEER_ID_TEXT_MAX];

    setvbuf(stdout, NULL, _IOLBF, 0);
    parse_options(argc, argv, &t.opt);
    crypto_init();
    rng_init_system(&rng);
    key_pair_init(&key, &rng);
    noise_identity_init(&identity, &key, &rng);
    key_pair_peer_id(&key, &me);
    peer_id_format(&me, text);
    printf("{\"event\":\"self\",\"peer\":\"%s\"}\n", text);
    if (t.opt.expect && peer_id_parse(&expect, slice_str(t.opt.expect)) < 0)
        return 2;
    t.block = buf_new(BLOCK);
    t.block->len = BLOCK;
    rng_fill(&rng, t.block->data, BLOCK);
    t.fd = open_socket(&t.opt, &remote);
    setsockopt(t.fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    multiaddr_of_tcp(&remote_addr, (const uint8_t *)&remote.sin_addr, 4, ntohs(remote.sin_port), NULL);
    t.local = (struct session_local){.agent = "codecast-session/1", .protocols = served, .nprotocols = 2};
    struct session_config cfg = {.identity = &identity, .is_dialer = t.opt.dial, .accepts = served, .naccepts = 2,
                                 .expect = t.opt.expect ? &expect : NULL, .local = &t.local, .remote = &remote_addr,
                                 .rng = &rng, .has_no_early_muxer = t.opt.has_no_early,
                                 .limits = {.stream_queue_bytes = 16 << 20, .ping_ns = t.opt.pings ? 100 * MS : 0}};
    t.now = clock_ns();
    if (t.opt.listen)
        t.started = t.now;
    t.s = session_new(&cfg, t.now);
    if (!t.s)
        return 1;
    bool is_good = run();
    for (unsigned i = 0; i < t.nflows; i++)
        is_good = is_good && !t.flows[i].is_failed;
    session_free(t.s);
    buf_unref(t.block);
    close(t.fd);
    printf("{\"event\":\"end\",\"good\":%s}\n", is_good ? "true" : "false");
    return is_good ? 0 : 1;
}
