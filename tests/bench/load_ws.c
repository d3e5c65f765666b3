/* load_ws.c: WebSocket clients by the thousand, one thread: publishers with a window, subscribers of one topic
 * Usage: load_ws ADDRESS PORT PUBLISHERS SUBSCRIBERS BYTES WINDOW SECONDS
 * Says "ready" when all are connected and subscribed; a line on stdin begins the run; then the report as JSON; stays until stdin ends.
 * The topic is named after the number of subscribers: a gateway remembers those of an earlier run, and walks through them.
 * WINDOW bounds both what a publisher has without an answer and, times publishers, what subscribers have not got yet.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "load_times.h"

#define SCRATCH (1u << 20)
#define DRAIN_NS 3000000000u

struct conn {
    int fd;
    uint8_t *kept; /* the beginning of a frame that has not come whole */
    size_t n_kept;
    uint64_t sent, answered;
    uint8_t *out; /* what the socket did not take */
    size_t n_out;
};

static struct load_times times;
static struct conn *conns;
static unsigned n_pub, n_sub, n_conns, n_ready, window;
static size_t bytes;
static char *payload;
static uint8_t scratch[SCRATCH];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void *need(void *p)
{
    if (!p)
        die("load_ws");
    return p;
}

/* ---- out ---- */

static void flush_out(struct conn *c)
{
    ssize_t n = c->n_out ? send(c->fd, c->out, c->n_out, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

    if (n < 0 && errno != EAGAIN)
        die("send");
    if (n > 0) {
        memmove(c->out, c->out + n, c->n_out - (size_t)n);
        c->n_out -= (size_t)n;
    }
}

/* A masked text frame. The mask is zero: the server has its work with it, we have none. */
static void send_text(struct conn *c, const char *text, size_t len)
{
    uint8_t *p = c->out = need(realloc(c->out, c->n_out + len + 14));

    p += c->n_out;
    *p++ = 0x81;
    if (len < 126) {
        *p++ = (uint8_t)(0x80 | len);
    } else if (len < 65536) {
        *p++ = 0xfe;
        *p++ = (uint8_t)(len >> 8);
        *p++ = (uint8_t)len;
    } else {
        *p++ = 0xff;
        for (int shift = 56; shift >= 0; shift -= 8)
            *p++ = (uint8_t)((uint64_t)len >> shift);
    }
    memset(p, 0, 4);
    memcpy(p + 4, text, len);
    c->n_out = (size_t)(p + 4 + len - c->out);
    flush_out(c);
}

static void publish(struct conn *c)
{
    static char *frame;
    char head[LOAD_HEAD + 1];
    int n;

    if (!frame)
        frame = need(malloc(bytes + 256));
    load_head(head, (uint64_t)(c - conns) << 40 | c->sent);
    memcpy(payload, head, LOAD_HEAD);
    n = snprintf(frame, bytes + 256, "{\"type\":\"publish\",\"topic\":\"bench-%u\",\"id\":%llu,\"message\":\"%s\"}", n_sub,
                 (unsigned long long)c->sent, payload);
    c->sent++;
    times.sent++;
    send_text(c, frame, (size_t)n);
}

static void publish_due(struct conn *c)
{
    while (!c->n_out && c->sent - c->answered < window &&
           (!n_sub || times.sent * n_sub < times.delivered + (uint64_t)window * n_pub * n_sub))
        publish(c);
}

/* ---- in ---- */

static void take_frame(struct conn *c, const uint8_t *p, size_t len)
{
    static const char ack[] = "{\"type\":\"ack\"", mark[] = "\"message\":\"";
    const char *m;
    uint8_t head[24];

    if (len > sizeof(ack) && memcmp(p, ack, sizeof(ack) - 1) == 0) {
        if (c < conns + n_pub) {
            c->answered++;
            times.answered++;
            if (!n_sub)
                times.last_ns = bench_now_ns();
        } else {
            n_ready++;
        }
        return;
    }
    m = memmem(p, len, mark, sizeof(mark) - 1);
    if (m && base64_decode(head, sizeof(head), slice_of(m + sizeof(mark) - 1, 32)) == 24) {
        load_arrived(&times, (const char *)head);
    } else {
        if (!times.refused++)
            fprintf(stderr, "load_ws: %.*s\n", (int)(len < 200 ? len : 200), (const char *)p);
        c->answered++;
    }
}

/* The whole frames of it; the number of bytes they were. */
static size_t take_frames(struct conn *c, const uint8_t *p, size_t n)
{
    size_t at = 0;

    while (n - at >= 2) {
        size_t head = 2, len = p[at + 1] & 0x7f;

        if (len == 126)
            head = 4;
        else if (len == 127)
            head = 10;
        if (n - at < head)
            break;
        if (head > 2)
            len = 0;
        for (size_t i = 2; i < head; i++)
            len = len << 8 | p[at + i];
        if (n - at - head < len)
            break;
        if ((p[at] & 0x0f) == 1)
            take_frame(c, p + at + head, len);
        at += head + len;
    }
    return at;
}

static void read_conn(struct conn *c)
{
    for (;;) {
        size_t room = SCRATCH - c->n_kept, used;
        ssize_t n;

        if (c->n_kept)
            memcpy(scratch, c->kept, c->n_kept);
        n = recv(c->fd, scratch + c->n_kept, room, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            fprintf(stderr, "load_ws: the server ended a connection\n");
            exit(1);
        }
        if (n < 0)
            return;
        used = take_frames(c, scratch, c->n_kept + (size_t)n);
        c->n_kept = c->n_kept + (size_t)n - used;
        if (c->n_kept)
            c->kept = need(realloc(c->kept, c->n_kept));
        memcpy(c->kept ? c->kept : scratch, scratch + used, c->n_kept);
        if (!c->n_kept) {
            free(c->kept);
            c->kept = NULL;
        }
        if ((size_t)n < room)
            return;
    }
}

/* ---- connecting ---- */

static void handshake(struct conn *c, const char *address, unsigned index)
{
    char text[1024];
    size_t n = 0;
    int len = snprintf(text, sizeof(text),
                       "GET /api/v1/ws?client_id=load-%u HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                       index, address);

    if (send(c->fd, text, (size_t)len, MSG_NOSIGNAL) != len)
        die("handshake");
    while (n < 4 || memcmp(text + n - 4, "\r\n\r\n", 4) != 0) /* byte by byte: what follows are frames */
        if (n == sizeof(text) || recv(c->fd, text + n++, 1, 0) != 1)
            die("handshake's answer");
    if (memcmp(text, "HTTP/1.1 101", 12) != 0) {
        fprintf(stderr, "load_ws: %.40s\n", text);
        exit(1);
    }
}

static void connect_all(const char *address, int port, int poll)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1;

    if (inet_pton(AF_INET, address, &a.sin_addr) != 1)
        die(address);
    for (unsigned i = 0; i < n_conns; i++) {
        struct conn *c = &conns[i];
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};

        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof(a)) < 0)
            die("connect");
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        handshake(c, address, i);
        if (i >= n_pub) {
            char text[96];

            send_text(c, text, (size_t)snprintf(text, sizeof(text), "{\"type\":\"subscribe\",\"topic\":\"bench-%u\",\"id\":\"s\"}", n_sub));
        }
        if (epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &e) < 0)
            die("epoll_ctl");
    }
}

/* ---- the run ---- */

static void turn(int poll, int timeout_ms)
{
    struct epoll_event e[256];
    int n = epoll_wait(poll, e, 256, timeout_ms);

    for (int i = 0; i < n; i++)
        read_conn(e[i].data.ptr);
}

static bool is_all_there(void)
{
    return n_sub ? times.delivered >= (times.sent - times.refused) * n_sub : times.answered + times.refused >= times.sent;
}

static void run(int poll, double seconds)
{
    uint64_t end;

    times.began_ns = bench_now_ns();
    end = times.began_ns + (uint64_t)(seconds * 1e9);
    while (bench_now_ns() < end) {
        for (unsigned i = 0; i < n_pub; i++) {
            flush_out(&conns[i]);
            publish_due(&conns[i]);
        }
        turn(poll, 1);
    }
    end = bench_now_ns() + DRAIN_NS; /* what is under way counts, and its time too */
    while (!is_all_there() && bench_now_ns() < end) {
        for (unsigned i = 0; i < n_pub; i++)
            flush_out(&conns[i]);
        turn(poll, 10);
    }
}

int main(int argc, char **argv)
{
    struct rlimit files;
    char line[16];
    int poll = epoll_create1(EPOLL_CLOEXEC);

    if (argc != 8) {
        fprintf(stderr, "usage: load_ws ADDRESS PORT PUBLISHERS SUBSCRIBERS BYTES WINDOW SECONDS\n");
        return 2;
    }
    n_pub = (unsigned)atoi(argv[3]);
    n_sub = (unsigned)atoi(argv[4]);
    bytes = (size_t)atol(argv[5]);
    window = (unsigned)atoi(argv[6]);
    n_conns = n_pub + n_sub;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    conns = need(calloc(n_conns, sizeof(*conns)));
    times.us = need(malloc(LOAD_TIMES_N * sizeof(*times.us)));
    bytes = bytes < LOAD_HEAD ? LOAD_HEAD : bytes;
    payload = need(malloc(bytes + 1));
    memset(payload, 'x', bytes);
    payload[bytes] = 0;
    connect_all(argv[1], atoi(argv[2]), poll);
    while (n_ready < n_sub)
        turn(poll, 100);
    puts("ready");
    fflush(stdout);
    if (fgets(line, sizeof(line), stdin) && n_pub) {
        run(poll, atof(argv[7]));
        load_report(&times);
    }
    while (fgets(line, sizeof(line), stdin))
        ;
    return 0;
}
