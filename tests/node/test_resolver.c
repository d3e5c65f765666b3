/* The resolver's thread against a name server that is the test: a UDP socket on loopback. */
#include "testing.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/resolver.h"

#define ID_TEXT "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"

enum { A = 1, TXT = 16, AAAA = 28 };

struct record {
    const char *name;
    int type;
    const char *data; /* an IP in text, or the record's text */
};

static struct server {
    int fd;
    char text[64];
    const struct record *records;
    unsigned count, asked;
    bool is_silent;
} server;

static struct box { /* what came back */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct xresolved *last;
    unsigned answers;
} box = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, 0};

static void on_answer(void *user, struct xresolved *a)
{
    pthread_mutex_lock(&box.lock);
    free(box.last);
    box.last = a;
    box.answers++;
    pthread_cond_signal(&box.changed);
    pthread_mutex_unlock(&box.lock);
}

static bool is_done(unsigned answers)
{
    bool done;

    pthread_mutex_lock(&box.lock);
    done = box.answers >= answers;
    pthread_mutex_unlock(&box.lock);
    return done;
}

static void open_server(const struct record *records, unsigned count)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f4d0935)}; /* 127.77.9.53 */
    socklen_t len = sizeof(sa);

    server = (struct server){.fd = socket(AF_INET, SOCK_DGRAM, 0), .records = records, .count = count};
    assert_int_equal(bind(server.fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(getsockname(server.fd, (struct sockaddr *)&sa, &len), 0);
    snprintf(server.text, sizeof(server.text), "127.77.9.53:%u", ntohs(sa.sin_port));
    box.answers = 0;
}

static size_t put_record(uint8_t *out, const struct record *r)
{
    uint8_t data[256];
    size_t len;

    if (r->type == TXT) {
        len = 1 + strlen(r->data);
        data[0] = (uint8_t)strlen(r->data);
        memcpy(data + 1, r->data, len - 1);
    } else {
        len = r->type == A ? 4 : 16;
        assert_int_equal(inet_pton(r->type == A ? AF_INET : AF_INET6, r->data, data), 1);
    }
    uint8_t head[12] = {0xc0, 12, 0, (uint8_t)r->type, 0, 1, 0, 0, 0, 1, 0, (uint8_t)len};
    memcpy(out, head, sizeof(head));
    memcpy(out + sizeof(head), data, len);
    return sizeof(head) + len;
}

static void serve_one(void)
{
    uint8_t q[512], out[4096];
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    ssize_t n = recvfrom(server.fd, q, sizeof(q), MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
    char name[256] = "";
    size_t at = 12, len;
    unsigned found = 0;

    if (n < 17)
        return;
    server.asked++;
    if (server.is_silent)
        return;
    while (q[at]) {
        snprintf(name + strlen(name), sizeof(name) - strlen(name), "%s%.*s", *name ? "." : "", q[at], (char *)q + at + 1);
        at += 1u + q[at];
    }
    int type = q[at + 1] << 8 | q[at + 2];
    len = at + 5;
    memcpy(out, q, len);
    for (unsigned i = 0; i < server.count; i++)
        if (strcasecmp(server.records[i].name, name) == 0 && server.records[i].type == type) {
            len += put_record(out + len, &server.records[i]);
            found++;
        }
    out[2] = 0x81;
    out[3] = 0x80;
    out[6] = 0;
    out[7] = (uint8_t)found;
    memset(out + 8, 0, 4);
    sendto(server.fd, out, len, 0, (struct sockaddr *)&from, from_len);
}

/* Asks and serves until the answer is there; it is the box's. */
static const struct xresolved *resolve(struct resolver *r, const char *text)
{
    struct multiaddr a;
    unsigned want = box.answers + 1;

    assert_int_equal(multiaddr_parse(&a, slice_str(text)), 0);
    resolver_ask(r, 7, &a);
    for (unsigned i = 0; i < 6000 && !is_done(want); i++) {
        struct pollfd p = {.fd = server.fd, .events = POLLIN};
        if (poll(&p, 1, 10) > 0)
            serve_one();
    }
    assert_true(is_done(want));
    assert_int_equal(box.last->index, 7);
    return box.last;
}

static struct resolver *start(void)
{
    char err[256] = "";
    struct resolver *r = resolver_start(server.text, NULL, on_answer, NULL, err);

    if (!r)
        fail_msg("%s", err);
    return r;
}

static void stop(struct resolver *r)
{
    resolver_stop(r);
    close(server.fd);
    free(box.last);
    box.last = NULL;
}

static bool has(const struct xresolved *x, const char *text)
{
    for (unsigned i = 0; i < x->count; i++) {
        char got[MULTIADDR_TEXT_MAX];
        assert_true(multiaddr_format(multiaddr_slice(&x->addrs[i]), got, sizeof(got)) > 0);
        if (strcmp(got, text) == 0)
            return true;
    }
    return false;
}

static void test_resolver_asks_for_the_family_that_the_name_says(void **state)
{
    static const struct record records[] = {{"n.test", A, "10.0.0.1"}, {"n.test", A, "10.0.0.2"}, {"n.test", AAAA, "2001:db8::1"}};
    const struct xresolved *x;
    struct resolver *r;

    open_server(records, 3);
    r = start();
    x = resolve(r, "/dns4/n.test/tcp/7070/p2p/" ID_TEXT);
    assert_int_equal(x->count, 2);
    assert_true(has(x, "/ip4/10.0.0.1/tcp/7070/p2p/" ID_TEXT));
    assert_true(has(x, "/ip4/10.0.0.2/tcp/7070/p2p/" ID_TEXT));
    x = resolve(r, "/dns6/n.test/tcp/7071/p2p/" ID_TEXT);
    assert_int_equal(x->count, 1);
    assert_true(has(x, "/ip6/2001:db8::1/tcp/7071/p2p/" ID_TEXT));
    x = resolve(r, "/dns/n.test/tcp/7070/p2p/" ID_TEXT);
    assert_int_equal(x->count, 3);
    stop(r);
}

static void test_resolver_follows_dnsaddr_and_not_in_circles(void **state)
{
    static const struct record records[] = {
        {"_dnsaddr.a.test", TXT, "dnsaddr=/dnsaddr/a.test/p2p/" ID_TEXT}, /* itself */
        {"_dnsaddr.a.test", TXT, "dnsaddr=/dnsaddr/b.test/p2p/" ID_TEXT},
        {"_dnsaddr.b.test", TXT, "dnsaddr=/dns4/n.test/tcp/7070/p2p/" ID_TEXT},
        {"_dnsaddr.b.test", TXT, "dnsaddr=/dnsaddr/a.test/p2p/" ID_TEXT}, /* back again */
        {"n.test", A, "10.0.0.1"},
    };
    const struct xresolved *x;
    struct resolver *r;

    open_server(records, 5);
    r = start();
    x = resolve(r, "/dnsaddr/a.test");
    assert_int_equal(x->count, 1);
    assert_true(has(x, "/ip4/10.0.0.1/tcp/7070/p2p/" ID_TEXT));
    assert_true(server.asked <= RESOLVER_QUERIES);
    stop(r);
}

static void test_resolver_says_why_a_name_has_no_address(void **state)
{
    static const struct record records[] = {{"_dnsaddr.a.test", TXT, "v=spf1 -all"}};
    const struct xresolved *x;
    struct resolver *r;

    open_server(records, 1);
    r = start();
    x = resolve(r, "/dns4/nobody.test/tcp/7070/p2p/" ID_TEXT);
    assert_int_equal(x->count, 0);
    assert_true(x->reason[0] != 0);
    x = resolve(r, "/dnsaddr/a.test");
    assert_int_equal(x->count, 0);
    assert_string_equal(x->reason, "no usable address in the answer");
    stop(r);
}

/* The server never answers: stopping does not wait for it, and tells of what was under way. */
static void test_resolver_stops_in_the_middle_of_a_question(void **state)
{
    struct resolver *r;
    struct multiaddr a;

    open_server(NULL, 0);
    server.is_silent = true;
    r = start();
    assert_int_equal(multiaddr_parse(&a, slice_str("/dns4/n.test/tcp/7070/p2p/" ID_TEXT)), 0);
    resolver_ask(r, 1, &a);
    for (unsigned i = 0; i < 500 && server.asked == 0; i++) {
        struct pollfd p = {.fd = server.fd, .events = POLLIN};
        if (poll(&p, 1, 10) > 0)
            serve_one();
    }
    assert_true(server.asked > 0);
    resolver_stop(r);
    assert_int_equal(box.answers, 1);
    assert_int_equal(box.last->count, 0);
    close(server.fd);
    free(box.last);
    box.last = NULL;
}

static void test_resolver_names_the_setting_that_is_wrong(void **state)
{
    char err[256] = "";

    assert_null(resolver_start("not a server", NULL, on_answer, NULL, err));
    assert_non_null(strstr(err, "DNS_SERVERS=not a server"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolver_asks_for_the_family_that_the_name_says),
        cmocka_unit_test(test_resolver_follows_dnsaddr_and_not_in_circles),
        cmocka_unit_test(test_resolver_says_why_a_name_has_no_address),
        cmocka_unit_test(test_resolver_stops_in_the_middle_of_a_question),
        cmocka_unit_test(test_resolver_names_the_setting_that_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
