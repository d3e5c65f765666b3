/* test_coding_jobs.c: the router and a helper, with the rings between them */
#include "testing.h"

#include "coding_fix.h"
#include "eal_testing.h"
#include "node/helper_role.h"
#include "pubsub/message.h"

#define TOPIC "demo"

static struct xring to_helper, from_helper;
static struct helper_role helper;
static struct key_pair author;
static struct message_pool *pool;

static void tweak(struct coding_config *cc)
{
    (void)cc;
    assert_int_equal(xring_init(&to_helper, "th", HELPER_RING, &f.door), 0);
    assert_int_equal(xring_init(&from_helper, "fh", HELPER_RING, &f.door), 0);
    f.r.nhelpers = 1;
    f.r.helpers[0].out.ring = &to_helper;
    f.r.helpers[0].in = &from_helper;
    helper = (struct helper_role){.in = &to_helper, .out.ring = &from_helper};
    assert_int_equal(helper_role_init(&helper), 0);
}

static struct buf *alloc(void *ctx, uint32_t cap)
{
    (void)ctx;
    return buf_new(cap);
}

/* A peer whose stream is ready, and a topic with a reader. */
static int setup(void **state)
{
    static const uint8_t seed[ED25519_SEED_BYTES] = {9};
    struct xpublish *p = calloc(1, sizeof(*p));
    struct xmsg m = {.type = X_SUBSCRIBE, .publish = p};

    (void)state;
    assert_non_null(p);
    if (setup_with(tweak))
        return -1;
    key_pair_from_seed(&author, seed);
    pool = message_pool_new(alloc, NULL);
    p->kind = X_SUBSCRIBE;
    memcpy(p->topic, TOPIC, sizeof(TOPIC));
    assert_true(xring_push_sp(&f.from_control, &m));
    event(NET_EV_CONN_UP, 1, 1);
    event(NET_EV_PUBSUB_READY, 1, 1);
    poll_some();
    count_net(X_EVENT);
    return 0;
}

static int finish(void **state)
{
    struct xmsg m;

    helper_role_fini(&helper);
    message_pool_close(pool);
    key_pair_fini(&author);
    while (xring_pop_sc(&f.to_control, &m)) {
        if (m.type == X_DELIVER)
            buf_unref(m.delivery->payload);
        drop_msg(&m);
    }
    teardown(state);
    xring_fini(&to_helper);
    xring_fini(&from_helper);
    return 0;
}

/* The peer sends message number i of the author. */
static void send_message(uint32_t i)
{
    struct message_scratch scratch = {0};
    struct buf *payload = buf_new(4), *frame;
    struct peer_id self;
    struct message *msg;
    struct xmsg m = {.type = X_RPC, .conn = 1};

    memcpy(payload->data, &i, 4);
    payload->len = 4;
    key_pair_peer_id(&author, &self);
    msg = message_new_signed(pool, &author, &self, i + 1, slice_str(TOPIC), payload, &scratch);
    assert_non_null(msg);
    frame = calloc(1, sizeof(*frame) + msg->bytes); /* drop_msg frees it */
    *frame = (struct buf){.data = (uint8_t *)(frame + 1), .cap = msg->bytes, .refs = 1};
    for (unsigned k = 0; k < msg->npieces; k++) {
        memcpy(frame->data + frame->len, msg->pieces[k].buf->data + msg->pieces[k].off, msg->pieces[k].len);
        frame->len += msg->pieces[k].len;
    }
    m.buf = frame;
    assert_true(xring_push_sp(&f.from_net, &m));
    message_unref(msg);
    buf_unref(payload);
    message_scratch_fini(&scratch);
}

static unsigned deliveries(uint32_t from)
{
    struct xmsg m;
    unsigned n = 0;

    while (xring_pop_sc(&f.to_control, &m)) {
        if (m.type == X_DELIVER) {
            uint32_t i;
            assert_int_equal(m.delivery->payload->len, 4);
            memcpy(&i, m.delivery->payload->data, 4);
            assert_int_equal(i, from + n);
            n++;
            buf_unref(m.delivery->payload);
        }
        drop_msg(&m);
    }
    return n;
}

/* Nothing else to do: it is checked here, and delivered in the same turn. */
static void test_coding_checks_a_single_message_itself(void **state)
{
    (void)state;
    send_message(0);
    coding_role_poll(&f.r, f.now += 1000);
    assert_int_equal(f.r.jobs_here, 1);
    assert_int_equal(xring_count(&to_helper), 0);
    assert_int_equal(deliveries(0), 1);
}

/* Many at once: the helper has its fill, the router does the rest, and the order stays. */
static void test_coding_shares_a_burst_with_its_helper(void **state)
{
    unsigned got = 0;

    (void)state;
    for (uint32_t i = 0; i < 50; i++)
        send_message(i);
    coding_role_poll(&f.r, f.now += 1000);
    assert_int_equal(xring_count(&to_helper), 16);
    assert_int_equal(f.r.jobs_out, 16);
    assert_int_equal(f.r.jobs_here, 34);
    assert_int_equal(deliveries(0), 0); /* the first ones are out */
    for (unsigned turns = 0; got < 50; turns++) {
        assert_true(turns < 10);
        helper_role_poll(&helper);
        coding_role_poll(&f.r, f.now += 1000);
        got += deliveries(got);
    }
    assert_int_equal(f.r.jobs_out, 0);
    assert_int_equal(f.r.helpers[0].jobs, 0);
    assert_false(helper_role_has_input(&helper));
}

/* The end may come while jobs are anywhere: nothing is lost that must be freed. */
static void test_coding_ends_with_jobs_out(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 20; i++)
        send_message(i);
    coding_role_poll(&f.r, f.now += 1000);
    assert_true(xring_count(&to_helper) > 0);
}

static void test_coding_asks_its_helper_for_a_snapshot(void **state)
{
    struct snapshot *s = calloc(1, sizeof(*s));
    struct xmsg m = {.type = X_SNAPSHOT, .snapshot = s};

    (void)state;
    assert_non_null(s);
    assert_true(xring_push_sp(&f.from_control, &m));
    poll_some();
    while (xring_pop_sc(&f.to_net, &m) && m.type != X_SNAPSHOT)
        drop_msg(&m);
    assert_int_equal(m.type, X_SNAPSHOT);
    assert_true(xring_push_sp(&f.from_net, &m));
    poll_some();
    assert_int_equal(xring_count(&to_helper), 1);
    helper_role_poll(&helper);
    poll_some();
    do
        assert_true(xring_pop_sc(&f.to_control, &m));
    while (m.type != X_SNAPSHOT && (drop_msg(&m), true));
    assert_ptr_equal(m.snapshot, s);
    assert_int_equal(s->nrings, 6);
    free(s);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_coding_checks_a_single_message_itself),
        TEST(test_coding_shares_a_burst_with_its_helper),
        TEST(test_coding_ends_with_jobs_out),
        TEST(test_coding_asks_its_helper_for_a_snapshot),
    };

    return cmocka_run_group_tests(tests, eal_for_tests, NULL);
}
