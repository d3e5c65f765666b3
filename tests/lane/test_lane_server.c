/* test_lane_server.c: the node's end over real sockets: who may come in, answers in order, no room, the end of a session */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lane/lane_server.h"

#define BURST 40000 /* answers of 8 MB: more than sockets hold */

struct node {
    struct lane_server *server;
    struct lane_session *session;
    uint8_t secret[LANE_SECRET_BYTES];
    atomic_int full;  /* so many publishes find no room */
    atomic_int taken, tries, charges;
    atomic_bool is_gone; /* publish may not run any more */
};

static bool publish(void *user, struct slice topic, struct slice payload, bool *is_charged, struct lane_answer *a)
{
    struct node *n = user;

    assert_false(atomic_load(&n->is_gone));
    atomic_fetch_add(&n->tries, 1);
    atomic_fetch_add(&n->charges, !*is_charged);
    *is_charged = true;
    if (atomic_load(&n->full) > 0) {
        atomic_fetch_sub(&n->full, 1);
        return false;
    }
    atomic_fetch_add(&n->taken, 1);
    a->outcome = LANE_PUBLISHED;
    if (slice_is_equal(topic, SLICE_LIT("again"))) {
        a->outcome = LANE_DEDUPLICATED;
    } else if (slice_is_equal(topic, SLICE_LIT("no"))) {
        a->outcome = LANE_REFUSED;
        a->http = 429;
        snprintf(a->text, sizeof(a->text), "%.*s", (int)payload.len, (const char *)payload.p);
    }
    return true;
}

static int setup(void **state)
{
    struct node *n = calloc(1, sizeof(*n));
    struct lane_server_config cfg = {.bind = "127.0.0.1", .max_payload = 1u << 20, .publish = publish};

    n->server = lane_server_new(&cfg);
    assert_non_null(n->server);
    n->session = lane_session_new(n->server, n, n->secret);
    assert_non_null(n->session);
    *state = n;
    return 0;
}

static int teardown(void **state)
{
    struct node *n = *state;

    lane_session_free(n->session);
    lane_server_free(n->server);
    free(n);
    return 0;
}

/* host: the last byte of the address in 127.0.0.0/8 that it comes from; 0: any. */
static int dial_from(const struct node *n, uint8_t host)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(lane_server_port(n->server)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + host)};
    struct timeval patience = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (host)
        assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static int dial(const struct node *n)
{
    return dial_from(n, 0);
}

static void say(int fd, const struct lane_frame *f)
{
    uint8_t buf[1024];
    struct wr w = wr_of(buf, sizeof(buf));

    lane_frame_write(&w, f);
    assert_false(w.bad);
    assert_int_equal(send(fd, buf, w.len, MSG_NOSIGNAL), w.len);
}

/* The next frame, into buf; false: the end. */
static bool hear(int fd, struct lane_frame *f, uint8_t buf[512])
{
    size_t have = 0;
    ssize_t n;

    while ((n = lane_frame_read(f, slice_of(buf, have))) == 0) {
        n = recv(fd, buf + have, have < 4 ? 4 - have : 4u + buf[3] - have, 0);
        if (n <= 0)
            return false;
        have += (size_t)n;
    }
    assert_int_equal(n, have);
    return true;
}

static int enter(const struct node *n)
{
    struct lane_frame f = {.type = LANE_HELLO, .secret = {n->secret, sizeof(n->secret)}};
    uint8_t buf[512];
    int fd = dial(n);

    say(fd, &f);
    assert_true(hear(fd, &f, buf));
    assert_int_equal(f.type, LANE_READY);
    assert_int_equal(f.max_payload, LANE_PAYLOAD_MAX);
    return fd;
}

static struct lane_frame publish_of(uint32_t number, const char *topic, const char *payload)
{
    return (struct lane_frame){.type = LANE_PUBLISH, .number = number, .topic = slice_str(topic), .payload = slice_str(payload)};
}

static void assert_ends(int fd)
{
    uint8_t byte;
    ssize_t n = recv(fd, &byte, 1, 0);

    assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
    close(fd);
}

static struct lane_server_stats stats_of(const struct node *n)
{
    struct lane_server_stats st;

    lane_server_get_stats(n->server, &st);
    return st;
}

static void test_answers_say_what_became_of_it(void **state)
{
    static const char *const topics[] = {"t", "again", "no"};
    int fd = enter(*state);
    struct lane_frame f;
    uint8_t buf[512];

    for (uint32_t i = 0; i < 3; i++) {
        f = publish_of(i, topics[i], "slow down");
        say(fd, &f);
    }
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(hear(fd, &f, buf));
        assert_int_equal(f.type, LANE_ANSWER);
        assert_int_equal(f.number, i);
        assert_int_equal(f.outcome, i);
    }
    assert_int_equal(f.http, 429);
    assert_true(slice_is_equal(f.text, SLICE_LIT("slow down")));
    close(fd);
}

static void test_secret_is_asked_for(void **state)
{
    struct lane_frame hello = {.type = LANE_HELLO}, early = publish_of(0, "t", "x");
    uint8_t wrong[LANE_SECRET_BYTES];
    struct node *n = *state;
    int fd = dial(n);

    memcpy(wrong, n->secret, sizeof(wrong));
    wrong[31] ^= 1;
    hello.secret = slice_of(wrong, sizeof(wrong));
    say(fd, &hello);
    assert_ends(fd);
    assert_int_equal(stats_of(n).refused, 1);
    fd = dial(n);
    say(fd, &early);
    assert_ends(fd);
    fd = dial(n);
    assert_int_equal(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 18);
    assert_ends(fd);
    assert_int_equal(stats_of(n).broken, 2);
    assert_int_equal(n->taken, 0);
}

/* Those who say nothing hold little, and do not keep out who knows the secret; a session has its share only. */
static void test_strangers_and_sessions_have_their_share(void **state)
{
    struct lane_frame hello = {.type = LANE_HELLO}, f = publish_of(0, "t", "x");
    struct node *n = *state;
    int first = dial(n), fds[128], fd;
    uint8_t buf[512];

    for (int i = 0; i < 128; i++)
        fds[i] = dial(n);
    assert_ends(first);
    assert_int_equal(stats_of(n).refused, 1);
    hello.secret = slice_of(n->secret, sizeof(n->secret));
    for (int i = 0; i < 128; i++) {
        say(fds[i], &hello);
        assert_true(hear(fds[i], &f, buf));
        assert_int_equal(f.type, LANE_READY);
    }
    assert_int_equal(stats_of(n).conns, 128);
    fd = dial(n);
    say(fd, &hello);
    assert_ends(fd);
    assert_int_equal(stats_of(n).refused, 2);
    fd = dial(n);
    assert_int_equal(send(fd, "\0\0\x80\0\x03", 5, MSG_NOSIGNAL), 5); /* a long publish begins */
    assert_ends(fd);
    assert_int_equal(stats_of(n).broken, 1);
    for (int i = 0; i < 128; i++)
        close(fds[i]);
}

/* However many come from elsewhere, also while it has not said anything yet. */
static void test_flood_pushes_out_its_own(void **state)
{
    struct node *n = *state;
    struct lane_frame f = {.type = LANE_HELLO, .secret = {n->secret, sizeof(n->secret)}};
    int honest[3], fds[200], heard = 0;
    uint8_t buf[512];

    for (int i = 0; i < 3; i++)
        honest[i] = dial_from(n, 3 + i);
    for (int i = 0; i < 200; i++)
        fds[i] = dial_from(n, i % 2 ? 7 : 8);
    while (stats_of(n).refused < 203 - 128)
        usleep(1000);
    for (int i = 0; i < 3; i++) { /* sources are told apart by 256 places: one of these may share a flood's */
        f = (struct lane_frame){.type = LANE_HELLO, .secret = {n->secret, sizeof(n->secret)}};
        say(honest[i], &f);
        heard += hear(honest[i], &f, buf) && f.type == LANE_READY;
        close(honest[i]);
    }
    assert_true(heard > 0);
    assert_int_equal(stats_of(n).refused, 203 - 128);
    assert_ends(fds[0]);
    for (int i = 1; i < 200; i++)
        close(fds[i]);
}

static void test_nonsense_ends_a_connection(void **state)
{
    struct lane_frame answer = {.type = LANE_ANSWER};
    struct node *n = *state;
    int fd = enter(n), other = enter(n);
    uint8_t buf[512];

    say(fd, &answer);
    assert_ends(fd);
    fd = enter(n);
    assert_int_equal(send(fd, "\xff\xff\xff\xff\x03", 5, MSG_NOSIGNAL), 5);
    assert_ends(fd);
    assert_int_equal(stats_of(n).broken, 2);
    answer = publish_of(5, "t", "x");
    say(other, &answer);
    assert_true(hear(other, &answer, buf));
    assert_int_equal(answer.number, 5);
    close(other);
}

/* Byte by byte, and some that find no room at first. */
static void test_publishes_wait_for_room_in_order(void **state)
{
    struct node *n = *state;
    int fd = enter(n);
    uint8_t buf[512];
    struct lane_frame f = publish_of(0, "t", "payload");
    struct wr w = wr_of(buf, sizeof(buf));

    atomic_store(&n->full, 3);
    for (uint32_t i = 0; i < 4; i++) {
        f.number = i;
        lane_frame_write(&w, &f);
    }
    for (size_t i = 0; i < w.len; i++)
        assert_int_equal(send(fd, buf + i, 1, MSG_NOSIGNAL), 1);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(hear(fd, &f, buf));
        assert_int_equal(f.number, i);
    }
    assert_int_equal(stats_of(n).waits, 1);
    assert_int_equal(n->taken, 4);
    assert_int_equal(n->tries, 7);
    assert_int_equal(n->charges, 4);
    close(fd);
}

/* However often they are tried, and others between them. */
static void test_publishes_that_wait_are_charged_and_counted_once(void **state)
{
    static const char *const payloads[] = {"short", "a longer one"};
    struct node *n = *state;
    int fds[2] = {enter(n), enter(n)};
    struct lane_frame f;
    uint8_t buf[512];

    atomic_store(&n->full, 1 << 30);
    for (uint32_t i = 0; i < 4; i++) {
        f = publish_of(i / 2, "t", payloads[i % 2]);
        say(fds[i % 2], &f);
    }
    while (stats_of(n).waits < 2 || atomic_load(&n->tries) < 20)
        usleep(1000);
    assert_int_equal(n->charges, 2);
    atomic_store(&n->full, 0);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(hear(fds[i % 2], &f, buf));
        assert_int_equal(f.number, i / 2);
    }
    assert_int_equal(n->charges, 4);
    assert_int_equal(n->taken, 4);
    close(fds[0]);
    close(fds[1]);
}

/* A client that reads late holds itself up: it is not read beyond what its answers fill, and nothing is lost. */
static void test_answers_wait_for_a_client_that_does_not_read(void **state)
{
    struct node *n = *state;
    int small = 65536, fd = dial(n);
    struct lane_frame f = {.type = LANE_HELLO, .secret = {n->secret, sizeof(n->secret)}};
    char text[LANE_TEXT_MAX];
    uint8_t buf[512];
    pid_t writer;

    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    say(fd, &f);
    assert_true(hear(fd, &f, buf));
    memset(text, 'x', sizeof(text));
    writer = fork(); /* sends more than sockets hold, and has to wait for us */
    if (writer == 0) {
        for (uint32_t i = 0; i < BURST; i++) {
            f = publish_of(i, "no", "");
            f.payload = slice_of(text, sizeof(text));
            say(fd, &f);
        }
        _exit(0);
    }
    for (uint32_t i = 0; i < BURST; i++) {
        assert_true(hear(fd, &f, buf));
        assert_int_equal(f.number, i);
        assert_int_equal(f.text.len, LANE_TEXT_MAX);
    }
    assert_int_equal(n->taken, BURST);
    close(fd);
}

static void test_stalled_connection_ends_with_its_client(void **state)
{
    struct node *n = *state;
    struct lane_frame f = publish_of(0, "t", "x");
    int fd = enter(n);

    atomic_store(&n->full, 1 << 30);
    say(fd, &f);
    while (stats_of(n).waits == 0)
        usleep(1000);
    close(fd);
    while (stats_of(n).conns)
        usleep(1000);
    assert_int_equal(n->taken, 0);
}

static void test_session_takes_its_connections_with_it(void **state)
{
    struct node *n = *state;
    struct lane_frame f = publish_of(0, "t", "x"), hello = {.type = LANE_HELLO, .secret = {n->secret, sizeof(n->secret)}};
    int fd = enter(n), stalled = enter(n);
    uint8_t buf[512];

    say(fd, &f);
    assert_true(hear(fd, &f, buf));
    atomic_store(&n->full, 1 << 30);
    f = publish_of(0, "t", "x");
    say(stalled, &f);
    while (stats_of(n).waits == 0)
        usleep(1000);
    lane_session_free(n->session);
    atomic_store(&n->is_gone, true);
    n->session = NULL;
    assert_ends(fd);
    assert_ends(stalled);
    fd = dial(n);
    say(fd, &hello);
    assert_ends(fd);
    assert_int_equal(stats_of(n).conns, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers_say_what_became_of_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secret_is_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strangers_and_sessions_have_their_share, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flood_pushes_out_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nonsense_ends_a_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_publishes_wait_for_room_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_publishes_that_wait_are_charged_and_counted_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answers_wait_for_a_client_that_does_not_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stalled_connection_ends_with_its_client, setup, teardown),
        cmocka_unit_test_setup_teardown(test_session_takes_its_connections_with_it, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
