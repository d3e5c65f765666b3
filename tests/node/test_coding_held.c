/* Publishes of clients wait, in order, while the peer they go to is behind with what it has been sent. */
#include "testing.h"

#include "pubsub/rpc.h" /* before the fix, which has an f of its own */

#include "coding_fix.h"
#include "eal_testing.h"

#define TOPIC   "t"
#define COUNT   40u
#define BYTES   (1u << 20)
#define QUEUE   (12ull << 20) /* what makes a peer slow: 8 MiB + 4 messages */

static uint8_t space[BYTES + COUNT];
static struct buf payloads[COUNT];
static uint64_t sent_bytes;
static unsigned sent, published, failed;

static int setup(void **state)
{
    sent_bytes = 0;
    sent = published = failed = 0;
    return setup_with(NULL);
}

/* Numbered by where it starts: space[i] is i. */
static void publish(unsigned i)
{
    struct xpublish *p = calloc(1, sizeof(*p));
    struct xmsg m = {.type = X_PUBLISH, .publish = p};

    assert_non_null(p);
    payloads[i] = (struct buf){.data = space + i, .len = BYTES, .cap = BYTES, .refs = 1};
    snprintf(p->topic, sizeof(p->topic), TOPIC);
    p->payload = &payloads[i];
    p->bytes = BYTES;
    p->sha256[0] = (uint8_t)i;
    p->kind = X_PUBLISH;
    assert_true(xring_push_sp(&f.from_control, &m));
}

static void subscribed(net_conn_id conn)
{
    struct buf *b = calloc(1, sizeof(*b) + 64);
    struct xmsg m = {.type = X_RPC, .conn = conn, .buf = b};
    struct wr w;

    assert_non_null(b);
    w = wr_of((uint8_t *)(b + 1), 64);
    rpc_put_subscription(&w, SLICE_LIT(TOPIC), true);
    *b = (struct buf){.data = (uint8_t *)(b + 1), .len = (uint32_t)w.len, .cap = 64, .refs = 1};
    assert_true(xring_push_sp(&f.from_net, &m));
}

/* What the role says to net and control: messages in order, none twice. */
static void look(void)
{
    struct xmsg m;

    poll_some();
    while (xring_pop_sc(&f.to_net, &m)) {
        for (unsigned i = 0; m.type == X_SEND && i < m.send.count; i++) {
            const struct net_piece *p = &m.send.piece[i];
            sent_bytes += p->len;
            if (p->len < BYTES)
                continue;
            assert_ptr_equal(p->buf->data + p->off, space + sent);
            sent++;
        }
        drop_msg(&m);
    }
    while (xring_pop_sc(&f.to_control, &m)) {
        published += m.type == X_PUBLISHED;
        failed += m.type == X_PUBLISHED && m.publish->err;
        drop_msg(&m);
    }
}

static void queue_is(net_conn_id conn, uint64_t bytes)
{
    struct xmsg m = {.type = X_QUEUE, .conn = conn, .queue = {bytes, sent_bytes}};

    assert_true(xring_push_sp(&f.from_net, &m));
    look();
}

static void start(void)
{
    event(NET_EV_CONN_UP, 1, 1);
    event(NET_EV_PUBSUB_READY, 1, 1);
    subscribed(1);
    look();
    for (unsigned i = 0; i < COUNT; i++)
        publish(i);
    for (unsigned i = 0; i < 4; i++)
        look();
}

/* Nothing said of queues yet: what is in the ring counts, so the first burst does not run over them. */
static void test_held_publishes_go_in_order_as_the_queue_drains(void **state)
{
    unsigned before;

    start();
    assert_true(sent >= 3 && sent_bytes <= QUEUE / 4 + 2 * BYTES);
    assert_true(published > sent && published <= QUEUE / 2 / BYTES + 1); /* some are put off for the peer, the rest waits */
    assert_int_equal(f.r.nheld, COUNT - published);
    for (unsigned i = 0; sent < COUNT && i < 2 * COUNT; i++) {
        before = sent;
        queue_is(1, QUEUE / 4 - BYTES / 2); /* room for one */
        assert_true(sent > before && sent <= before + 2);
    }
    assert_int_equal(sent, COUNT);
    assert_int_equal(published, COUNT);
    assert_int_equal(failed, 0);
    assert_int_equal(f.r.nheld, 0);
    assert_true(f.r.publishes_held >= COUNT / 2);
}

/* A peer that takes nothing is not waited for without end; a role that leaves waits for nobody. */
static void test_held_publishes_go_when_the_peer_is_stuck_or_we_leave(void **state)
{
    struct xmsg leave = {.type = X_LEAVE};
    unsigned before;

    start();
    before = published;
    queue_is(1, QUEUE);
    f.now += 4 * 1000000000ull;
    look();
    assert_int_equal(published, before);
    f.now += 2 * 1000000000ull;
    look();
    assert_int_equal(published, COUNT);

    queue_is(1, QUEUE + 1);
    queue_is(1, QUEUE);
    for (unsigned i = 0; i < COUNT; i++) /* the same once more: repeats, which are refused in the end */
        publish(i);
    look();
    assert_true(f.r.nheld > 0);
    assert_true(xring_push_sp(&f.from_control, &leave));
    look();
    assert_int_equal(f.r.nheld, 0);
    assert_int_equal(published, 2 * COUNT);
    assert_int_equal(failed, COUNT);
}

/* The node ends while publishes wait: they go home with the rest. */
static void test_held_publishes_are_given_back_at_the_end(void **state)
{
    start();
    assert_true(f.r.nheld > 0);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_held_publishes_go_in_order_as_the_queue_drains),
        TEST(test_held_publishes_go_when_the_peer_is_stuck_or_we_leave),
        TEST(test_held_publishes_are_given_back_at_the_end),
    };

    for (unsigned i = 0; i < COUNT; i++)
        space[i] = (uint8_t)i;
    return cmocka_run_group_tests(tests, eal_for_tests, NULL);
}
