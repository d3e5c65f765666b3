/* Strangers at the listening port: garbage, silence, floods, drips. Over kernel sockets, with plain sockets as the attackers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "world.h"

#define CROWD 80

static void quick(unsigned i, struct net_config *cfg)
{
    cfg->handshake_ns = i == 0 ? 400000000ull : 0;
    cfg->max_conns = 64;
    cfg->max_handshakes = 20;
    cfg->max_handshakes_per_ip = 8;
}

/* Strangers stay until they make way. */
static void patient(unsigned i, struct net_config *cfg)
{
    quick(i, cfg);
    cfg->handshake_ns = 0;
}

static struct world *make_with(unsigned count, void (*change)(unsigned i, struct net_config *cfg))
{
    struct world *w = malloc(sizeof(*w));

    world_init(w, false, count, NULL, change);
    return w;
}

static struct world *make(unsigned count)
{
    return make_with(count, quick);
}

static void drop(struct world *w)
{
    world_fini(w);
    free(w);
}

/* A plain connection from 127.0.0.<from> to node 0. */
static int stranger(struct world *w, uint8_t from)
{
    struct multiaddr_target t;
    struct sockaddr_in sa = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    sa.sin_addr.s_addr = htonl(0x7f000000u | from);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(multiaddr_target(multiaddr_slice(&w->nodes[0].addr), &t), 0);
    memcpy(&sa.sin_addr, t.ip, 4);
    sa.sin_port = htons(t.port);
    if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
        assert_int_equal(errno, EINPROGRESS);
    return fd;
}

/* Has the other side closed it? What it sent before is read and dropped. */
static bool is_closed(int fd)
{
    char scrap[4096];
    ssize_t n;

    while ((n = recv(fd, scrap, sizeof(scrap), MSG_DONTWAIT)) > 0)
        ;
    return n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOTCONN);
}

static bool is_fd_closed(struct world *w, void *arg)
{
    return is_closed(*(int *)arg);
}

static struct net_counters counters(struct world *w)
{
    struct net_counters k;

    net_counters_get(w->nodes[0].net, &k);
    return k;
}

static void test_hostile_garbage_is_cut(void **state)
{
    const struct {
        const char *name;
        const char *bytes;
        size_t len;
    } t[] = {
        {"http", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27},
        {"tls", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11},
        {"zeroes", "\0\0\0\0\0\0\0\0", 8},
        {"long length", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10},
        {"right header, wrong secure channel", "\x13/multistream/1.0.0\n\x07/plain\n\xff\xff\xff", 31},
        {"noise garbage", "\x13/multistream/1.0.0\n\x07/noise\n\x00\x05hello", 35},
    };
    struct world *w = make(1);

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        int fd = stranger(w, 30);

        world_run(w, NULL, NULL, 5);
        assert_int_equal(send(fd, t[i].bytes, t[i].len, MSG_NOSIGNAL), (ssize_t)t[i].len);
        if (!world_run(w, is_fd_closed, &fd, 3000))
            fail_msg("%s: still open", t[i].name);
        close(fd);
    }
    WORLD_WAIT(w, counters(w).conns_now == 0);
    assert_int_equal(w->nodes[0].nconns, 0);
    assert_int_equal(counters(w).handshakes_failed, sizeof(t) / sizeof(t[0]));
    drop(w);
}

static void test_hostile_random_bytes_never_break(void **state)
{
    struct world *w = make(2);
    struct rng rng;

    rng_init_seeded(&rng, 99);
    for (unsigned i = 0; i < 40; i++) {
        uint8_t bytes[3000];
        int fd = stranger(w, 31);

        rng_fill(&rng, bytes, sizeof(bytes));
        if (i % 2)
            memcpy(bytes, "\x13/multistream/1.0.0\n\x07/noise\n", 28);
        world_run(w, NULL, NULL, 2);
        (void)!send(fd, bytes, 1 + rng_below(&rng, sizeof(bytes) - 1), MSG_NOSIGNAL | MSG_DONTWAIT);
        world_run(w, NULL, NULL, 2);
        close(fd);
    }
    world_connect(w, 1, 0, NULL, NULL); /* the service goes on */
    drop(w);
}

static void test_hostile_drips_run_out_of_time(void **state)
{
    struct world *w = make(1);
    int fd = stranger(w, 32);
    const char drip[] = "\x13/multistream/1.0.0\n";
    uint64_t begun;

    WORLD_WAIT(w, counters(w).handshakes_now == 1);
    begun = w->now;
    for (size_t i = 0; i < sizeof(drip) - 1 && !is_closed(fd); i++) {
        send(fd, drip + i, 1, MSG_NOSIGNAL);
        world_run(w, NULL, NULL, 50);
    }
    assert_true(is_closed(fd));
    assert_true(w->now - begun >= 350000000ull);
    assert_int_equal(counters(w).conns_now, 0);
    close(fd);
    drop(w);
}

static void test_hostile_silence_from_one_address_is_bounded(void **state)
{
    struct world *w = make(1);
    int fds[20];
    unsigned open = 0;

    for (unsigned i = 0; i < 20; i++)
        fds[i] = stranger(w, 33);
    WORLD_WAIT(w, counters(w).refused_ip == 12);
    assert_int_equal(counters(w).handshakes_now, 8);
    for (unsigned i = 0; i < 20; i++)
        open += !is_closed(fds[i]);
    assert_int_equal(open, 8);
    for (unsigned i = 0; i < 20; i++)
        close(fds[i]);
    WORLD_WAIT(w, counters(w).conns_now == 0);
    drop(w);
}

/* Many addresses, all silent: the table is full, and an honest peer still gets in. */
static void test_hostile_flood_does_not_shut_us(void **state)
{
    struct world *w = make_with(2, patient);
    int fds[CROWD];

    for (unsigned i = 0; i < CROWD; i++)
        fds[i] = stranger(w, (uint8_t)(100 + i));
    WORLD_WAIT(w, counters(w).handshakes_now + counters(w).refused_full == CROWD);
    assert_int_equal(counters(w).handshakes_now, 20);
    world_run(w, NULL, NULL, 260); /* the first ones are now old enough to make way */
    world_connect(w, 1, 0, NULL, NULL);
    assert_true(counters(w).handshakes_evicted >= 1);
    for (unsigned i = 0; i < CROWD; i++)
        close(fds[i]);
    WORLD_WAIT(w, counters(w).conns_now == 1);
    assert_int_equal(counters(w).handshakes_now, 0);
    drop(w);
}

static void test_hostile_resets_leave_nothing(void **state)
{
    struct world *w = make(1);
    struct linger hard = {1, 0};

    for (unsigned i = 0; i < 50; i++) {
        int fd = stranger(w, (uint8_t)(40 + i % 8));

        if (i % 2)
            world_run(w, NULL, NULL, 1);
        (void)!send(fd, "\x13/multi", 7, MSG_NOSIGNAL | MSG_DONTWAIT);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        close(fd);
    }
    WORLD_WAIT(w,
               counters(w).handshakes_failed + counters(w).conns_refused >= 25 && counters(w).conns_now == 0);
    world_run(w, NULL, NULL, 50);
    assert_int_equal(counters(w).conns_now, 0);
    assert_int_equal(counters(w).handshakes_now, 0);
    drop(w);
}

/* Without descriptors the backlog waits and we sleep; with them again it is served. */
static void test_hostile_no_descriptors_no_spin(void **state)
{
    struct world *w = make(1);
    struct rlimit limit, none;
    struct pollfd p = {.events = POLLIN};
    int fds[4];

    for (unsigned i = 0; i < 4; i++)
        fds[i] = stranger(w, (uint8_t)(60 + i));
    getrlimit(RLIMIT_NOFILE, &limit);
    none = limit;
    none.rlim_cur = (rlim_t)fds[0]; /* every number below is in use */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    world_run(w, NULL, NULL, 20);
    assert_int_equal(counters(w).handshakes_now, 0);
    assert_true(counters(w).accepts_failed > 0);
    assert_int_equal(net_wait_fds(w->nodes[0].net, &p.fd, 1), 1);
    assert_int_equal(poll(&p, 1, 0), 0);
    assert_true(net_next_deadline(w->nodes[0].net) > w->now);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    WORLD_WAIT(w, counters(w).handshakes_now == 4);
    for (unsigned i = 0; i < 4; i++)
        close(fds[i]);
    drop(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile_garbage_is_cut),
        cmocka_unit_test(test_hostile_random_bytes_never_break),
        cmocka_unit_test(test_hostile_drips_run_out_of_time),
        cmocka_unit_test(test_hostile_silence_from_one_address_is_bounded),
        cmocka_unit_test(test_hostile_flood_does_not_shut_us),
        cmocka_unit_test(test_hostile_no_descriptors_no_spin),
        cmocka_unit_test(test_hostile_resets_leave_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
