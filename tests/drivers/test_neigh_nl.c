/* The kernel's words on neighbours: canned messages, each truncation of them; and what this machine's kernel answers. */
#include "testing.h"

#include <errno.h>
#include <limits.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sched.h>
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
    static const int busy[] = {-EBUSY, -ENOBUFS, -ENOMEM, -EACCES, EBUSY, INT_MIN}; /* three of them */
    struct bytes b = {.len = 0};
    struct neigh_news news;
    struct slice in;

    put_error(&b, NLMSG_ERROR, 0);
    put_error(&b, NLMSG_ERROR, -1);
    in = slice_of(b.p, b.len);
    assert_int_equal(neigh_nl_next(&in, &news), NEIGH_NL_DENIED);
    assert_int_equal(neigh_nl_next(&in, &news), NEIGH_NL_END);
    for (unsigned i = 0; i < sizeof(busy) / sizeof(busy[0]); i++) {
        b.len = 0;
        put_error(&b, NLMSG_ERROR, busy[i]);
        in = slice_of(b.p, b.len);
        assert_int_equal(neigh_nl_next(&in, &news), i < 3 ? NEIGH_NL_BUSY : NEIGH_NL_DENIED);
    }
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

/* After an overrun it is asked for when nothing is queued any more; an answer that was awaited until then has been lost, too. */
static void test_neigh_watch_asks_after_what_an_overrun_left(void **state)
{
    struct bytes b = {.len = 0};
    struct neigh_news news;
    int ends[2];
    struct neigh_watch *w = watch_new(ends);

    put(&b, RTM_NEWNEIGH, false, NUD_REACHABLE, 0, 6);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(send(ends[1], b.p, b.len, 0), b.len);
    w->is_choked = w->is_dumping = true;
    for (unsigned turn = 0; turn < 3; turn++) {
        neigh_watch_turn(w);
        w->budget = turn < 2 ? 1 : 100;
        w->ifindex = 7;
        for (unsigned i = 0; i < (turn < 2 ? 1 : 3); i++)
            assert_true(neigh_watch_next(w, &news) && news.word == NEIGH_WORD_FRESH);
        assert_int_equal(neigh_watch_next(w, &news), turn == 2);
        assert_int_equal(was_asked(ends[1]), turn == 2);
    }
    assert_int_equal(news.word, NEIGH_WORD_ANEW);
    neigh_watch_close(w);
    close(ends[1]);
    free(w);
}

/* A refusal keeps nobody from reading on; it is asked again next turn. Only one that is no matter of time is said. */
static void test_neigh_watch_asks_again_where_the_kernel_refuses(void **state)
{
    struct bytes b = {.len = 0};
    struct neigh_news news;
    int ends[2];
    struct neigh_watch *w = watch_new(ends);

    put(&b, RTM_NEWNEIGH, false, NUD_REACHABLE, 0, 6);
    for (unsigned i = 0; i < 2; i++) {
        struct bytes no = {.len = 0};

        put_error(&no, NLMSG_ERROR, i ? -EPERM : -ENOBUFS);
        expect_anew(w, ends[1]);
        w->ifindex = 7;
        assert_int_equal(send(ends[1], no.p, no.len, 0), no.len);
        assert_int_equal(send(ends[1], b.p, b.len, 0), b.len);
        assert_true(neigh_watch_next(w, &news) && news.word == NEIGH_WORD_FRESH);
        assert_false(neigh_watch_next(w, &news) || was_asked(ends[1]));
        assert_true(w->wants_dump && !w->is_dumping);
        assert_int_equal(w->is_denied, i);
    }
    neigh_watch_close(w);
    close(ends[1]);
    free(w);
}

/* Who may not ask is told what changes all the same, and says that he may not. */
static void test_neigh_watch_reads_on_where_it_may_not_ask(void **state)
{
    struct bytes b = {.len = 0};
    uint8_t filler[NEIGH_NL_DUMP_BYTES] = {0};
    struct neigh_news news;
    int ends[2];
    struct neigh_watch *w = watch_new(ends);

    put(&b, RTM_NEWNEIGH, false, NUD_REACHABLE, 0, 6);
    while (send(ends[0], filler, sizeof(filler), 0) > 0)
        ;
    for (unsigned i = 0; i < 3; i++) {
        if (i == 1) { /* from busy to forbidden */
            assert_int_equal(shutdown(ends[0], SHUT_WR), 0);
            while (recv(ends[1], filler, sizeof(filler), 0) > 0)
                ;
        }
        assert_int_equal(send(ends[1], b.p, b.len, 0), b.len);
        neigh_watch_turn(w);
        w->wants_dump = true;
        w->ifindex = 7;
        assert_true(neigh_watch_next(w, &news) && news.word == NEIGH_WORD_FRESH);
        assert_false(neigh_watch_next(w, &news));
        assert_int_equal(w->is_denied, i > 0);
        assert_true(w->wants_dump && !w->is_dumping);
    }
    neigh_watch_close(w);
    close(ends[1]);
    free(w);
}

/* ---- what only the kernel's own queue shows ---- */

struct kernel_lan {
    int fd, ifindex; /* changes are made by fd */
    struct neigh_watch w;
    uint8_t x_last;  /* of X's MAC: the last that was told; 0: none */
    bool x_is_fixed; /* by what was told */
    unsigned anew;
};

enum { KERNEL_X = 200, KERNEL_OTHER = 201 }; /* neighbours 10.9.9.x */

/* A permanent neighbour with the MAC ..:last, or (0) none any more. */
static void kernel_neigh(const struct kernel_lan *l, uint8_t host, uint8_t last)
{
    const uint8_t ip[4] = {10, 9, 9, host}, lladdr[6] = {2, [5] = last};
    struct nlmsghdr h = {.nlmsg_type = last ? RTM_NEWNEIGH : RTM_DELNEIGH, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK};
    struct ndmsg nd = {.ndm_family = AF_INET, .ndm_ifindex = l->ifindex, .ndm_state = NUD_PERMANENT};
    struct bytes b = {.len = sizeof(h) + sizeof(nd)};
    struct {
        struct nlmsghdr h;
        struct nlmsgerr e;
        uint8_t rest[256];
    } answer;

    put_attr(&b, NDA_DST, ip, 4);
    if (last)
        put_attr(&b, NDA_LLADDR, lladdr, 6);
    h.nlmsg_flags |= last ? NLM_F_CREATE | NLM_F_REPLACE : 0;
    h.nlmsg_len = (uint32_t)b.len;
    memcpy(b.p, &h, sizeof(h));
    memcpy(b.p + sizeof(h), &nd, sizeof(nd));
    assert_int_equal(send(l->fd, b.p, b.len, 0), b.len);
    assert_true(recv(l->fd, &answer, sizeof(answer), 0) >= (ssize_t)(sizeof(answer.h) + sizeof(answer.e)));
    assert_int_equal(answer.h.nlmsg_type, NLMSG_ERROR);
    assert_int_equal(answer.e.error, 0);
}

/* As the stack does: an ANEW unfixes, a word fixes or not. */
static void kernel_lan_turn(struct kernel_lan *l)
{
    struct neigh_news news;

    neigh_watch_turn(&l->w);
    while (neigh_watch_next(&l->w, &news)) {
        if (news.word == NEIGH_WORD_ANEW) {
            l->anew++;
            l->x_is_fixed = false;
        } else if (!news.is_ip6 && news.ip[3] == KERNEL_X) {
            l->x_is_fixed = news.word == NEIGH_WORD_FIXED;
            l->x_last = news.word == NEIGH_WORD_GONE ? 0 : news.mac[5];
        }
    }
    assert_false(l->w.is_denied); /* never asked while one is under way */
}

/* A network namespace with one interface, and a watch that has read its table. NULL, and a word: no right to that. */
static struct kernel_lan *kernel_lan_new(void)
{
    struct kernel_lan *l;

    if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0) {
        print_message("skipped: a network namespace needs root\n");
        return NULL;
    }
    l = calloc(1, sizeof(*l));
    assert_non_null(l);
    assert_int_equal(system("ip link add nwa type veth peer name nwb && ip link set nwa up && ip addr add 10.9.9.1/24 dev nwa"), 0);
    l->ifindex = (int)if_nametoindex("nwa");
    l->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    assert_true(l->fd >= 0);
    kernel_neigh(l, KERNEL_X, 1);
    assert_int_equal(neigh_watch_open(&l->w, "nwa"), 0);
    kernel_lan_turn(l);
    kernel_lan_turn(l);
    assert_true(l->x_is_fixed && l->x_last == 1 && l->anew == 1 && l->w.overruns == 0);
    return l;
}

static void kernel_lan_free(struct kernel_lan *l)
{
    neigh_watch_close(&l->w);
    close(l->fd);
    free(l);
}

/* More than the queue holds, and that is more than a turn's. */
static void kernel_lan_overrun(const struct kernel_lan *l)
{
    for (unsigned i = 0; i < 600; i++)
        kernel_neigh(l, KERNEL_OTHER, (uint8_t)(1 + i % 200));
}

/* Until the queue has been empty the kernel drops all news without another word: the table is asked for after that. */
static void test_neigh_watch_follows_what_changes_after_an_overrun(void **state)
{
    struct kernel_lan *l = kernel_lan_new();

    if (!l)
        skip();
    for (uint8_t mac_now = 2; mac_now < 5; mac_now++) {
        unsigned anew = l->anew;

        kernel_lan_overrun(l);
        kernel_lan_turn(l);
        kernel_neigh(l, KERNEL_X, mac_now);
        for (unsigned i = 0; i < 4; i++)
            kernel_lan_turn(l);
        assert_true(l->x_is_fixed);
        assert_int_equal(l->x_last, mac_now);
        assert_int_equal(l->w.overruns, mac_now - 1);
        assert_int_equal(l->anew, anew + 1);
        assert_false(l->w.is_dumping || l->w.wants_dump || l->w.is_denied || l->w.is_choked);
    }
    kernel_lan_free(l);
}

/* X's last word in the queue is that it is permanent; that it was deleted is lost. */
static void test_neigh_watch_keeps_no_word_from_before_an_overrun(void **state)
{
    struct kernel_lan *l = kernel_lan_new();

    if (!l)
        skip();
    kernel_neigh(l, KERNEL_OTHER, 1);
    kernel_neigh(l, KERNEL_X, 5);
    kernel_lan_overrun(l);
    kernel_neigh(l, KERNEL_X, 0);
    for (unsigned i = 0; i < 5; i++)
        kernel_lan_turn(l);
    assert_int_equal(l->x_last, 5);
    assert_false(l->x_is_fixed);
    assert_int_equal(l->w.overruns, 1);
    kernel_lan_free(l);
}

/* The overrun comes while a dump is under way, or has just been asked for. */
static void test_neigh_watch_survives_overruns_around_a_dump(void **state)
{
    struct kernel_lan *l = kernel_lan_new();

    if (!l)
        skip();
    for (unsigned budget = 0; budget < 4; budget++) {
        struct neigh_news news;

        kernel_lan_overrun(l);
        l->w.wants_dump = true; /* as for an interface made anew */
        neigh_watch_turn(&l->w);
        l->w.budget = budget;
        while (neigh_watch_next(&l->w, &news))
            ;
        kernel_lan_overrun(l);
        kernel_lan_turn(l);
        kernel_neigh(l, KERNEL_X, (uint8_t)(10 + budget));
        for (unsigned i = 0; i < 6; i++)
            kernel_lan_turn(l);
        assert_true(l->x_is_fixed);
        assert_int_equal(l->x_last, 10 + budget);
        assert_false(l->w.is_dumping || l->w.wants_dump || l->w.is_denied || l->w.is_choked);
    }
    kernel_lan_free(l);
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
        cmocka_unit_test(test_neigh_watch_asks_after_what_an_overrun_left),
        cmocka_unit_test(test_neigh_watch_asks_again_where_the_kernel_refuses),
        cmocka_unit_test(test_neigh_watch_reads_on_where_it_may_not_ask),
        cmocka_unit_test(test_neigh_watch_follows_what_changes_after_an_overrun),
        cmocka_unit_test(test_neigh_watch_keeps_no_word_from_before_an_overrun),
        cmocka_unit_test(test_neigh_watch_survives_overruns_around_a_dump),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
