/* The kernel's words on neighbours: canned messages, each truncation of them; and what this machine's kernel answers. */
#include "testing.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drivers/neigh_watch.h"

static const uint8_t ip4[4] = {10, 0, 0, 9}, ip6[16] = {0xfd, 1, [15] = 9}, mac[6] = {2, 0, 0, 0, 0, 9};

struct bytes {
    uint8_t p[1024];
    size_t len;
};

static void put_attr(struct bytes *b, unsigned type, const uint8_t *p, size_t len)
{
    struct rtattr h = {.rta_len = (unsigned short)(sizeof(h) + len), .rta_type = (unsigned short)type};

    memcpy(b->p + b->len, &h, sizeof(h));
    memcpy(b->p + b->len + sizeof(h), p, len);
    b->len += RTA_ALIGN(h.rta_len);
}

/* One message of a neighbour on interface 7; mac_len 0: without. */
static void put(struct bytes *b, unsigned type, bool is_ip6, unsigned state, unsigned flags, size_t mac_len)
{
    size_t at = b->len;
    struct ndmsg nd = {.ndm_family = is_ip6 ? AF_INET6 : AF_INET, .ndm_ifindex = 7, .ndm_state = (uint16_t)state, .ndm_flags = (uint8_t)flags};
    struct nlmsghdr h = {.nlmsg_type = (uint16_t)type};

    b->len += sizeof(h);
    memcpy(b->p + b->len, &nd, sizeof(nd));
    b->len += sizeof(nd);
    put_attr(b, NDA_DST, is_ip6 ? ip6 : ip4, is_ip6 ? 16 : 4);
    if (mac_len)
        put_attr(b, NDA_LLADDR, mac, mac_len);
    put_attr(b, NDA_CACHEINFO, (const uint8_t[16]){0}, 16);
    h.nlmsg_len = (uint32_t)(b->len - at);
    memcpy(b->p + at, &h, sizeof(h));
}

static void put_error(struct bytes *b, unsigned type, int error)
{
    struct nlmsghdr h = {.nlmsg_len = sizeof(h) + sizeof(error), .nlmsg_type = (uint16_t)type};

    memcpy(b->p + b->len, &h, sizeof(h));
    memcpy(b->p + b->len + sizeof(h), &error, sizeof(error));
    b->len += h.nlmsg_len;
}

static void test_neigh_nl_reads_each_state(void **state)
{
    static const struct {
        unsigned type, state, flags;
        size_t mac_len;
        int word; /* -1: none */
    } rows[] = {
        {RTM_NEWNEIGH, NUD_PERMANENT, 0, 6, NEIGH_WORD_FIXED}, {RTM_NEWNEIGH, NUD_NOARP, 0, 6, NEIGH_WORD_FIXED},
        {RTM_NEWNEIGH, NUD_REACHABLE, 0, 6, NEIGH_WORD_FRESH}, {RTM_NEWNEIGH, NUD_STALE, 0, 6, NEIGH_WORD_OLD},
        {RTM_NEWNEIGH, NUD_DELAY, 0, 6, NEIGH_WORD_OLD},       {RTM_NEWNEIGH, NUD_PROBE, NTF_ROUTER, 6, NEIGH_WORD_OLD},
        {RTM_NEWNEIGH, NUD_FAILED, 0, 0, NEIGH_WORD_GONE},     {RTM_DELNEIGH, NUD_PERMANENT, 0, 6, NEIGH_WORD_GONE},
        {RTM_NEWNEIGH, NUD_INCOMPLETE, 0, 0, -1},              {RTM_NEWNEIGH, NUD_REACHABLE, NTF_PROXY, 6, -1},
        {RTM_NEWNEIGH, NUD_REACHABLE, 0, 4, -1},               {RTM_NEWNEIGH, NUD_REACHABLE, 0, 0, -1},
        {RTM_NEWROUTE, NUD_REACHABLE, 0, 6, -1},
    };

    for (unsigned i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
        struct bytes b = {.len = 0};
        struct neigh_news news;
        bool is_ip6 = i % 2;
        struct slice in;

        put(&b, rows[i / 2].type, is_ip6, rows[i / 2].state, rows[i / 2].flags, rows[i / 2].mac_len);
        in = slice_of(b.p, b.len);
        assert_int_equal(neigh_nl_next(&in, &news), rows[i / 2].word < 0 ? NEIGH_NL_END : NEIGH_NL_NEWS);
        assert_int_equal(in.len, 0);
        if (rows[i / 2].word < 0)
            continue;
        assert_int_equal(news.word, rows[i / 2].word);
        assert_int_equal(news.ifindex, 7);
        assert_int_equal(news.is_ip6, is_ip6);
        assert_memory_equal(news.ip, is_ip6 ? ip6 : ip4, is_ip6 ? 16 : 4);
        if (news.word != NEIGH_WORD_GONE)
            assert_memory_equal(news.mac, mac, 6);
    }
}

/* Every beginning of a datagram gives the news of its whole messages, and then an end or the finding that it makes no sense. */
static void test_neigh_nl_survives_each_truncation(void **state)
{
    struct bytes b = {.len = 0};
    size_t ends[4];

    for (unsigned i = 0; i < 3; i++) {
        put(&b, RTM_NEWNEIGH, i == 1, NUD_REACHABLE, 0, 6);
        ends[i] = b.len;
    }
    put_error(&b, NLMSG_DONE, 0);
    ends[3] = b.len;
    for (size_t cut = 0; cut <= b.len; cut++) {
        uint8_t *copy = malloc(cut ? cut : 1); /* a sanitizer sees one byte too many */
        struct slice in = slice_of(copy, cut);
        struct neigh_news news;
        unsigned whole = 0, got = 0;
        enum neigh_nl kind;

        assert_non_null(copy);
        memcpy(copy, b.p, cut);
        while (whole < 4 && ends[whole] <= cut)
            whole++;
        while ((kind = neigh_nl_next(&in, &news)) == NEIGH_NL_NEWS || kind == NEIGH_NL_DONE)
            got++;
        assert_int_equal(got, whole);
        assert_int_equal(kind, cut == 0 || (whole && cut == ends[whole - 1]) ? NEIGH_NL_END : NEIGH_NL_BAD);
        assert_int_equal(in.len, 0);
        free(copy);
    }
}

static void test_neigh_nl_tells_a_refusal_from_an_acknowledgement(void **state)
{
    struct bytes b = {.len = 0};
    struct neigh_news news;
    struct slice in;

    put_error(&b, NLMSG_ERROR, 0);
    put_error(&b, NLMSG_ERROR, -1);
    in = slice_of(b.p, b.len);
    assert_int_equal(neigh_nl_next(&in, &news), NEIGH_NL_DENIED);
    assert_int_equal(neigh_nl_next(&in, &news), NEIGH_NL_END);
}

static void test_neigh_nl_refuses_lengths_that_lie(void **state)
{
    struct bytes b = {.len = 0};
    struct neigh_news news;
    struct rtattr a;
    struct slice in;

    put(&b, RTM_NEWNEIGH, false, NUD_REACHABLE, 0, 6);
    memcpy(&a, b.p + NEIGH_NL_DUMP_BYTES, sizeof(a)); /* the first attribute: the address */
    for (unsigned len = 0; len < 400; len++) {
        struct bytes bad = b;

        a.rta_len = (unsigned short)len;
        memcpy(bad.p + NEIGH_NL_DUMP_BYTES, &a, sizeof(a));
        in = slice_of(bad.p, bad.len);
        if (len != 8)
            assert_int_not_equal(neigh_nl_next(&in, &news), NEIGH_NL_NEWS);
    }
    for (uint32_t len = 0; len < 16; len++) { /* a message shorter than its header would be read for ever */
        memcpy(b.p, &len, sizeof(len));
        in = slice_of(b.p, b.len);
        assert_int_equal(neigh_nl_next(&in, &news), NEIGH_NL_BAD);
        assert_int_equal(in.len, 0);
    }
}

/* The kernel of this machine: an ANEW, what it knows of the loopback (nothing), and the dump's end. */
static void test_neigh_watch_reads_the_table(void **state)
{
    struct neigh_watch *w = malloc(sizeof(*w));
    struct neigh_news news;
    unsigned anew = 0;

    assert_non_null(w);
    if (neigh_watch_open(w, "lo") < 0) {
        free(w);
        skip();
    }
    for (unsigned i = 0; i < 3; i++) {
        neigh_watch_turn(w);
        while (neigh_watch_next(w, &news))
            anew += news.word == NEIGH_WORD_ANEW;
    }
    assert_int_equal(anew, 1);
    assert_false(w->is_dumping || w->wants_dump || w->is_denied);
    assert_int_equal(w->overruns, 0);
    w->wants_dump = true; /* as after an overrun */
    neigh_watch_turn(w);
    assert_true(neigh_watch_next(w, &news));
    assert_int_equal(news.word, NEIGH_WORD_ANEW);
    neigh_watch_close(w);
    assert_false(neigh_watch_next(w, &news));
    free(w);
}

/* One end of a socket pair for the kernel's. */
static struct neigh_watch *watch_new(int ends[2])
{
    struct neigh_watch *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends), 0);
    w->fd = ends[0];
    memcpy(w->iface, "lo", 3);
    return w;
}

static bool was_asked(int kernel)
{
    uint8_t bytes[NEIGH_NL_DUMP_BYTES + 1];

    return recv(kernel, bytes, sizeof(bytes), 0) == NEIGH_NL_DUMP_BYTES;
}

static void expect_anew(struct neigh_watch *w, int kernel)
{
    struct neigh_news news;

    neigh_watch_turn(w);
    assert_true(neigh_watch_next(w, &news));
    assert_int_equal(news.word, NEIGH_WORD_ANEW);
    assert_true(was_asked(kernel));
}

/* In it the dump's end may have been: the next turn asks anew. */
static void test_neigh_watch_asks_anew_after_what_it_cannot_read(void **state)
{
    static const size_t lens[] = {5, NEIGH_WATCH_BUF + 1}; /* no message, and more than is read at once */
    uint8_t *bytes = calloc(1, NEIGH_WATCH_BUF + 1);
    struct bytes done = {.len = 0};
    struct neigh_news news;
    int ends[2];
    struct neigh_watch *w = watch_new(ends);

    assert_non_null(bytes);
    for (unsigned i = 0; i < 2; i++) {
        expect_anew(w, ends[1]);
        assert_int_equal(send(ends[1], bytes, lens[i], 0), lens[i]);
        assert_false(neigh_watch_next(w, &news));
        assert_int_equal(w->overruns, i + 1);
        assert_false(was_asked(ends[1])); /* once a turn */
    }
    expect_anew(w, ends[1]);
    put_error(&done, NLMSG_DONE, 0);
    assert_int_equal(send(ends[1], done.p, done.len, 0), done.len);
    assert_false(neigh_watch_next(w, &news));
    neigh_watch_turn(w);
    assert_false(neigh_watch_next(w, &news) || was_asked(ends[1]));
    assert_int_equal(w->overruns, 2);
    neigh_watch_close(w);
    close(ends[1]);
    free(bytes);
    free(w);
}

/* Events for more than a turn keep nobody from asking. */
static void test_neigh_watch_asks_before_it_reads(void **state)
{
    struct bytes b = {.len = 0};
    struct neigh_news news;
    int ends[2];
    struct neigh_watch *w = watch_new(ends);

    put(&b, RTM_NEWNEIGH, false, NUD_REACHABLE, 0, 6);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(send(ends[1], b.p, b.len, 0), b.len);
    neigh_watch_turn(w);
    w->budget = 3;
    w->ifindex = 7;
    assert_true(neigh_watch_next(w, &news));
    assert_int_equal(news.word, NEIGH_WORD_ANEW);
    assert_true(was_asked(ends[1]));
    for (unsigned i = 0; i < 3; i++)
        assert_true(neigh_watch_next(w, &news) && news.word == NEIGH_WORD_FRESH);
    assert_false(neigh_watch_next(w, &news));
    neigh_watch_close(w);
    close(ends[1]);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_neigh_nl_reads_each_state),
        cmocka_unit_test(test_neigh_nl_survives_each_truncation),
        cmocka_unit_test(test_neigh_nl_tells_a_refusal_from_an_acknowledgement),
        cmocka_unit_test(test_neigh_nl_refuses_lengths_that_lie),
        cmocka_unit_test(test_neigh_watch_reads_the_table),
        cmocka_unit_test(test_neigh_watch_asks_anew_after_what_it_cannot_read),
        cmocka_unit_test(test_neigh_watch_asks_before_it_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
