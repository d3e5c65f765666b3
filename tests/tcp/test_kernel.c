/* test_kernel.c: our stack against the Linux kernel's TCP over a veth, by IPv4 and by IPv6. Exit 77 without root
 * argv: [megabytes], 50 by default
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tcp/csum.h"
#include "veth.h"

#define PERIOD 1000003u
#define MS     1000000ull
#define SEC    1000000000ull

static struct veth veth;
static uint64_t big_bytes = 50u << 20;
static struct buf *pattern;
static bool is_v6;
static const struct ip_addr our_ip = {IP_V4, {10, 77, 0, 1}}, kernel_ip = {IP_V4, {10, 77, 0, 2}};
static const struct ip_addr our_ip6 = {IP_V6, {0xfd, 0x77, [15] = 1}}, kernel_ip6 = {IP_V6, {0xfd, 0x77, [15] = 2}};

/* ---- the kernel's side: plain sockets in a child ---- */

struct peer {
    int port;
    bool do_listen, do_reset, close_first, half_close;
    uint64_t to_send, to_receive;
    int rcvbuf;
    unsigned slow_us; /* between reads */
    int want_errno;   /* of connect or read */
    int ready[2];     /* a listening peer says so */
};

static int peer_open(const struct peer *p)
{
    struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)p->port)};
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)p->port)};
    struct sockaddr *a = is_v6 ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4;
    socklen_t len = is_v6 ? sizeof(a6) : sizeof(a4);
    int fd = socket(a->sa_family, SOCK_STREAM, 0), one = 1, c;

    if (p->rcvbuf)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &p->rcvbuf, sizeof(p->rcvbuf));
    if (p->do_listen) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(fd, a, len) || listen(fd, 8))
            return -1;
        if (write(p->ready[1], "y", 1) != 1)
            return -1;
        c = accept(fd, NULL, NULL);
        close(fd);
        return c;
    }
    memcpy(&a4.sin_addr, our_ip.bytes, 4);
    memcpy(&a6.sin6_addr, our_ip6.bytes, 16);
    for (int i = 0; i < 3; i++) { /* the stack may listen a moment later */
        if (connect(fd, a, len) == 0)
            return fd;
        if (errno != ETIMEDOUT)
            break;
    }
    c = errno;
    close(fd);
    errno = c;
    return -1;
}

static int peer_send(int fd, uint64_t n)
{
    for (uint64_t at = 0; at < n;) {
        size_t want = n - at < 262144 ? (size_t)(n - at) : 262144;
        ssize_t k = send(fd, pattern->data + at % PERIOD, want, MSG_NOSIGNAL);
        if (k <= 0)
            return 2;
        at += (uint64_t)k;
    }
    return 0;
}

static int peer_receive(const struct peer *p, int fd, uint64_t n)
{
    static uint8_t in[262144];

    for (uint64_t at = 0; at < n;) {
        ssize_t k = recv(fd, in, sizeof(in), 0);
        if (k <= 0)
            return 3;
        if (at + (uint64_t)k > n || memcmp(in, pattern->data + at % PERIOD, (size_t)k) != 0)
            return 4;
        at += (uint64_t)k;
        if (p->slow_us)
            usleep(p->slow_us);
    }
    return 0;
}

static int peer_main(void *arg)
{
    const struct peer *p = arg;
    int fd = peer_open(p), rc = 0;
    uint8_t c;

    if (fd < 0)
        return p->want_errno && errno == p->want_errno ? 0 : 1;
    if (p->do_reset) {
        struct linger l = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
        usleep(20000);
        close(fd);
        return 0;
    }
    if (p->want_errno) /* we are to be reset */
        return recv(fd, &c, 1, 0) < 0 && errno == p->want_errno ? 0 : 5;
    if (p->half_close) {
        shutdown(fd, SHUT_WR);
        usleep(50000);
    }
    if (p->to_send)
        rc = peer_send(fd, p->to_send);
    if (!rc)
        rc = peer_receive(p, fd, p->to_receive);
    if (!rc && p->close_first)
        shutdown(fd, SHUT_WR);
    if (!rc && recv(fd, &c, 1, 0) != 0)
        rc = 6; /* not a clean end */
    close(fd);
    return rc;
}

/* ---- our side ---- */

struct side {
    struct veth_wire wire;
    struct tcp_conn *conn;
    uint64_t to_send, sent, received;
    bool close_when_sent, close_when_peer_closed, abort_when_open, is_broken;
    bool opened, peer_closed, closed;
    enum tcp_reason reason;
    struct tcp_conn_info info;
};

static void move_data(struct side *s)
{
    struct slice v[8];
    unsigned n;

    while ((n = tcp_recv_peek(s->conn, v, 8))) {
        uint32_t total = 0;
        for (unsigned i = 0; i < n; i++) {
            if (memcmp(v[i].p, pattern->data + (s->received + total) % PERIOD, v[i].len) != 0)
                s->is_broken = true;
            total += (uint32_t)v[i].len;
        }
        tcp_recv_consume(s->conn, total);
        s->received += total;
    }
    while (s->sent < s->to_send) {
        uint64_t left = s->to_send - s->sent;
        uint32_t k = left < 65536 ? (uint32_t)left : 65536;
        int took = tcp_send_buf(s->conn, pattern, (uint32_t)(s->sent % PERIOD), k);
        if (took <= 0)
            break;
        s->sent += (uint32_t)took;
    }
    if (s->sent == s->to_send &&
        ((s->close_when_sent && s->to_send) || (s->close_when_peer_closed && s->peer_closed)))
        tcp_close(s->conn);
}

static void on_event(const struct tcp_event *ev, void *arg)
{
    struct side *s = arg;

    if (ev->type == TCP_EV_ACCEPTED)
        s->conn = ev->conn;
    if (ev->type == TCP_EV_ACCEPTED || ev->type == TCP_EV_CONNECTED) {
        s->opened = true;
        if (s->abort_when_open) {
            tcp_abort(s->conn);
            s->conn = NULL;
            return;
        }
    }
    if (ev->type == TCP_EV_PEER_CLOSED)
        s->peer_closed = true;
    if (ev->type == TCP_EV_CLOSED) {
        s->closed = true;
        s->reason = ev->reason;
        tcp_conn_info(ev->conn, &s->info);
        s->conn = NULL;
        return;
    }
    move_data(s);
}

static void side_init(struct side *s, bool offload)
{
    struct tcp_config c;
    static struct rng rng;
    int err;

    memset(s, 0, sizeof(*s));
    rng_init_system(&rng);
    tcp_config_defaults(&c);
    memcpy(c.mac, veth.mac, 6);
    c.ip = our_ip;
    c.ip6 = our_ip6;
    c.time_wait_ns = SEC;
    if (offload) {
        c.csum_tx = true;
        c.gso_max_bytes = 65535;
    }
    s->wire.veth = &veth;
    rng_init_seeded(&s->wire.rng, 42);
    s->wire.stack = tcp_stack_new(&c, &rng, &err, veth_now());
    assert_non_null(s->wire.stack);
    veth_kernel_offloads(&veth, offload);
}

static void side_fini(struct side *s)
{
    tcp_stack_free(s->wire.stack);
    free(s->wire.held);
    assert_int_equal(pattern->refs, 1);
}

static void side_connect(struct side *s, uint16_t port)
{
    struct ip_endpoint to = {is_v6 ? kernel_ip6 : kernel_ip, port};

    assert_int_equal(tcp_connect(s->wire.stack, &to, 0, s, &s->conn, veth_now()), 0);
}

/* Turns until the child has ended (and we are closed, if is_closing). */
static void run(struct side *s, pid_t child, bool is_closing)
{
    uint64_t end = veth_now() + 90 * SEC;
    int status = -1;
    bool exited = false;

    while (!exited || (is_closing && !s->closed)) {
        veth_turn(&s->wire, 5, on_event, s);
        if (!exited && waitpid(child, &status, WNOHANG) == child)
            exited = true;
        if (veth_now() > end) {
            if (s->conn)
                tcp_conn_info(s->conn, &s->info);
            fail_msg("no end: sent %llu received %llu state %s", (unsigned long long)s->sent,
                     (unsigned long long)s->received, tcp_state_name(s->info.state));
        }
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_false(s->is_broken);
}

static void report(const char *what, const struct side *s, uint64_t bytes, uint64_t began)
{
    double t = (double)(veth_now() - began) / 1e9;

    print_message("%s: %.0f MB/s, %llu retransmissions, %llu recoveries, %llu timeouts, srtt %llu us\n", what,
                  (double)bytes / 1e6 / t, (unsigned long long)s->info.rtx_segments,
                  (unsigned long long)s->info.recovery_count, (unsigned long long)s->info.rto_count,
                  (unsigned long long)(s->info.srtt_ns / 1000));
}

/* The peer's process; if it is to listen, it does when this returns. */
static pid_t start_peer(struct peer *p)
{
    char c;

    if (!p->do_listen)
        return veth_run_kernel(&veth, peer_main, p);
    assert_int_equal(pipe(p->ready), 0);
    pid_t child = veth_run_kernel(&veth, peer_main, p);
    close(p->ready[1]);
    assert_int_equal(read(p->ready[0], &c, 1), 1);
    close(p->ready[0]);
    return child;
}

/* ---- tests ---- */

static void transfer(const char *what, bool offload, bool we_connect, uint64_t out, uint64_t in,
                     uint32_t loss, uint32_t reorder)
{
    struct side s;
    struct peer p = {
        .port = 9000, .do_listen = we_connect, .to_send = in, .to_receive = out, .close_first = in > 0};

    side_init(&s, offload);
    s.wire.loss_ppm = loss;
    s.wire.reorder_ppm = reorder;
    s.to_send = out;
    s.close_when_sent = out > 0;
    s.close_when_peer_closed = true;
    if (!we_connect)
        assert_int_equal(tcp_listen(s.wire.stack, 9000, 4), 0);
    pid_t child = start_peer(&p);
    uint64_t began = veth_now();
    if (we_connect)
        side_connect(&s, 9000);
    run(&s, child, true);
    assert_int_equal(s.reason, TCP_CLOSED_DONE);
    assert_true(s.received == in);
    assert_true(s.info.sack && s.info.timestamps && s.info.window_scale);
    report(what, &s, out + in, began);
    side_fini(&s);
}

static void test_kernel_transfers_both_ways(void **state)
{
    (void)state;
    transfer("send, offloads, we connect", true, true, big_bytes, 0, 0, 0);
    transfer("receive, offloads, we connect", true, true, 0, big_bytes, 0, 0);
    transfer("send, offloads, kernel connects", true, false, big_bytes, 0, 0, 0);
    transfer("receive, offloads, kernel connects", true, false, 0, big_bytes, 0, 0);
    transfer("send, plain", false, true, big_bytes, 0, 0, 0);
    transfer("receive, plain", false, true, 0, big_bytes, 0, 0);
}

static void test_kernel_transfers_under_loss(void **state)
{
    (void)state;
    transfer("send, plain, 1 % lost, 1 % late", false, true, big_bytes / 5, 0, 10000, 10000);
    transfer("receive, plain, 1 % lost, 1 % late", false, true, 0, big_bytes / 5, 10000, 10000);
    transfer("send, offloads, 2 % lost", true, false, big_bytes / 5, 0, 20000, 0);
    transfer("receive, offloads, 2 % lost", true, false, 0, big_bytes / 5, 20000, 0);
}

static void test_kernel_reads_slowly(void **state)
{
    struct side s;
    struct peer p = {.port = 9001, .do_listen = true, .to_receive = 400000, .rcvbuf = 4096, .slow_us = 10000};

    (void)state;
    side_init(&s, false);
    s.to_send = p.to_receive;
    s.close_when_sent = true;
    pid_t child = start_peer(&p);
    side_connect(&s, 9001);
    run(&s, child, true);
    assert_int_equal(s.reason, TCP_CLOSED_DONE);
    side_fini(&s);
}

static void test_kernel_closes_half_and_goes_on_reading(void **state)
{
    struct side s;
    struct peer p = {.port = 9002, .do_listen = true, .to_receive = 100000, .half_close = true};

    (void)state;
    side_init(&s, true);
    pid_t child = start_peer(&p);
    side_connect(&s, 9002);
    while (!s.peer_closed)
        veth_turn(&s.wire, 5, on_event, &s);
    s.to_send = 100000;
    s.close_when_sent = true;
    move_data(&s);
    run(&s, child, true);
    assert_int_equal(s.reason, TCP_CLOSED_DONE);
    side_fini(&s);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void test_kernel_refuses(void **state)
{
    struct side s;

    (void)state;
    side_init(&s, true);
    side_connect(&s, 9999);
    run(&s, veth_run_kernel(&veth, nothing, NULL), true);
    assert_int_equal(s.reason, TCP_CLOSED_REFUSED);
    side_fini(&s);
}

static void test_kernel_is_refused(void **state)
{
    struct side s;
    struct peer p = {.port = 9998, .want_errno = ECONNREFUSED};

    (void)state;
    side_init(&s, true);
    run(&s, start_peer(&p), false);
    assert_true(tcp_stack_counters(s.wire.stack)->tx_rst >= 1);
    side_fini(&s);
}

static void test_kernel_resets(void **state)
{
    struct side s;
    struct peer p = {.port = 9003, .do_listen = true, .do_reset = true};

    (void)state;
    side_init(&s, true);
    pid_t child = start_peer(&p);
    side_connect(&s, 9003);
    run(&s, child, true);
    assert_true(s.opened);
    assert_int_equal(s.reason, TCP_CLOSED_RESET);
    side_fini(&s);
}

static void test_kernel_is_reset(void **state)
{
    struct side s;
    struct peer p = {.port = 9004, .want_errno = ECONNRESET};

    (void)state;
    side_init(&s, true);
    s.abort_when_open = true;
    assert_int_equal(tcp_listen(s.wire.stack, 9004, 4), 0);
    run(&s, start_peer(&p), false);
    assert_int_equal(tcp_stack_conn_count(s.wire.stack), 0);
    side_fini(&s);
}

/* The neighbour that does not exist, and a port of ours that answers echo. */
static void test_kernel_neighbour_is_silent(void **state)
{
    struct side s;
    struct ip_endpoint to = {is_v6 ? kernel_ip6 : kernel_ip, 9000};

    (void)state;
    to.ip.bytes[is_v6 ? 15 : 3] = 99;
    side_init(&s, true);
    assert_int_equal(tcp_connect(s.wire.stack, &to, 0, &s, &s.conn, veth_now()), 0);
    run(&s, veth_run_kernel(&veth, nothing, NULL), true);
    assert_int_equal(s.reason, TCP_CLOSED_UNREACHABLE);
    side_fini(&s);
}

static int ping_main(void *arg)
{
    struct sockaddr_in a4 = {.sin_family = AF_INET};
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
    struct sockaddr *a = is_v6 ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4;
    uint8_t out[8 + 600] = {is_v6 ? 128 : ICMP_ECHO, 0, 0, 0, 0x12, 0x34, 0, 1}, in[2048];
    int fd = socket(a->sa_family, SOCK_RAW, is_v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
    uint8_t want = is_v6 ? 129 : ICMP_ECHOREPLY, *got = is_v6 ? in : in + 20; /* the kernel keeps an IPv6 header to itself */
    struct timeval tv = {3, 0};
    ssize_t n;

    (void)arg;
    memcpy(&a4.sin_addr, our_ip.bytes, 4);
    memcpy(&a6.sin6_addr, our_ip6.bytes, 16);
    for (unsigned i = 8; i < sizeof(out); i++)
        out[i] = (uint8_t)i;
    uint16_t c = csum_of(slice_of(out, sizeof(out)));
    if (!is_v6) /* else the kernel sums, and checks */
        memcpy(out + 2, &c, 2);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    if (sendto(fd, out, sizeof(out), 0, a, is_v6 ? sizeof(a6) : sizeof(a4)) < 0)
        return 1;
    do /* neighbour discovery comes by the same socket */
        n = recv(fd, in, sizeof(in), 0);
    while (n > 0 && is_v6 && got[0] != want);
    return n == got - in + (ssize_t)sizeof(out) && got[0] == want &&
                   (is_v6 || csum_of(slice_of(got, sizeof(out))) == 0) &&
                   memcmp(got + 4, out + 4, sizeof(out) - 4) == 0
               ? 0
               : 2;
}

static void test_kernel_pings(void **state)
{
    struct side s;

    (void)state;
    side_init(&s, true);
    run(&s, veth_run_kernel(&veth, ping_main, NULL), false);
    side_fini(&s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernel_pings),
        cmocka_unit_test(test_kernel_refuses),
        cmocka_unit_test(test_kernel_is_refused),
        cmocka_unit_test(test_kernel_resets),
        cmocka_unit_test(test_kernel_is_reset),
        cmocka_unit_test(test_kernel_closes_half_and_goes_on_reading),
        cmocka_unit_test(test_kernel_reads_slowly),
        cmocka_unit_test(test_kernel_transfers_both_ways),
        cmocka_unit_test(test_kernel_transfers_under_loss),
        cmocka_unit_test(test_kernel_neighbour_is_silent),
    };
    struct rng rng;

    if (argc > 1)
        big_bytes = strtoull(argv[1], NULL, 0) << 20;
    if (veth_init(&veth)) {
        printf("needs root and iproute2: skipped\n");
        return 77;
    }
    pattern = buf_new(2 * PERIOD);
    rng_init_seeded(&rng, 3);
    rng_fill(&rng, pattern->data, PERIOD);
    memcpy(pattern->data + PERIOD, pattern->data, PERIOD);
    int rc = cmocka_run_group_tests_name("IPv4", tests, NULL, NULL);
    is_v6 = true;
    big_bytes /= 5;
    rc += cmocka_run_group_tests_name("IPv6", tests, NULL, NULL);
    buf_unref(pattern);
    veth_fini(&veth);
    return rc;
}
