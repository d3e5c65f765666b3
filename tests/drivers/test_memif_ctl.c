/* What two ends of a memif say to each other, without sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "drivers/memif_ctl.h"

struct talk {
    struct memif_ctl client, server;
};

/* Everything of the client's is there. */
static void fill(struct memif_ctl *c)
{
    c->nregions = 2;
    c->regions[0] = (struct memif_region_fact){100, 1 << 20};
    c->regions[1] = (struct memif_region_fact){101, 4096};
    c->rings[MEMIF_TO_SERVER] = (struct memif_ring_fact){102, 0, 64, 8, true};
    c->rings[MEMIF_TO_CLIENT] = (struct memif_ring_fact){103, 1, 128, 9, true};
}

/* One message, if there is one: what it brings, or 100. */
static int pass(struct memif_ctl *from, struct memif_ctl *to)
{
    uint8_t msg[MEMIF_MSG_BYTES];
    bool is_taken;
    int fd;

    return memif_ctl_output(from, msg, &fd) ? memif_ctl_input(to, slice_of(msg, sizeof(msg)), fd, &is_taken) : 100;
}

/* Up to the step-th exchange; 8 is a whole conversation. */
static void talk(struct talk *t, unsigned steps)
{
    static const int news[][2] = {{MEMIF_NEWS_HELLO, MEMIF_NEWS_INIT}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, MEMIF_NEWS_CONNECT}, {MEMIF_NEWS_UP, 100}};

    memif_ctl_init(&t->server, true, 0);
    memif_ctl_init(&t->client, false, 77);
    for (unsigned i = 0; i < steps; i++) {
        assert_int_equal(pass(&t->server, &t->client), news[i][0]);
        if (i == 0) {
            fill(&t->client);
            memif_ctl_offer(&t->client);
        }
        assert_int_equal(pass(&t->client, &t->server), news[i][1]);
        if (news[i][1] == MEMIF_NEWS_INIT || news[i][1] == MEMIF_NEWS_CONNECT)
            memif_ctl_accept(&t->server);
    }
}

static void test_memif_ctl_tells_everything(void **state)
{
    struct talk t;

    talk(&t, 7);
    assert_int_equal(t.server.expect, MEMIF_EXPECT_NOTHING);
    assert_int_equal(t.client.expect, MEMIF_EXPECT_NOTHING);
    assert_int_equal(t.server.id, 77);
    assert_int_equal(t.server.nregions, 2);
    assert_memory_equal(t.server.regions, t.client.regions, sizeof(t.server.regions));
    assert_memory_equal(&t.server.rings[0], &t.client.rings[0], sizeof(t.server.rings[0]));
    assert_memory_equal(&t.server.rings[1], &t.client.rings[1], sizeof(t.server.rings[1]));
    memif_ctl_refuse(&t.client, "enough");
    assert_int_equal(pass(&t.client, &t.server), MEMIF_NEWS_GONE);
    assert_string_equal(t.server.text, "enough");
    assert_int_equal(t.server.expect, MEMIF_EXPECT_END);
}

/* Each message at each moment: what is not due is refused, and nothing is remembered of it. */
static void test_memif_ctl_keeps_to_its_turn(void **state)
{
    for (unsigned steps = 0; steps <= 7; steps++)
        for (unsigned type = 0; type < 12; type++)
            for (unsigned end = 0; end < 2; end++) {
                struct talk t;
                struct memif_ctl *c = end ? &t.server : &t.client, before;
                uint8_t msg[MEMIF_MSG_BYTES] = {(uint8_t)type};
                bool is_taken = true;
                int rc;

                talk(&t, steps);
                before = *c;
                rc = memif_ctl_input(c, slice_of(msg, sizeof(msg)), -1, &is_taken);
                assert_false(is_taken);
                if (type == MEMIF_MSG_DISCONNECT) {
                    assert_int_equal(rc, MEMIF_NEWS_GONE);
                } else if (type == MEMIF_MSG_NONE || type > MEMIF_MSG_DISCONNECT) {
                    assert_int_equal(rc, -MEMIF_EFORM);
                } else if (rc < 0) {
                    assert_memory_equal(c, &before, sizeof(before));
                } else if (rc == MEMIF_NEWS_UP) {
                    assert_true(!end && steps == 6 && type == MEMIF_MSG_CONNECTED);
                } else if (rc == MEMIF_NEWS_CONNECT) {
                    fail_msg("a server that has rings takes no second CONNECT");
                } else {
                    assert_true(!end && type == MEMIF_MSG_ACK && steps >= 1 && steps <= 5);
                }
            }
}

static void test_memif_ctl_takes_whole_messages(void **state)
{
    uint8_t msg[MEMIF_MSG_BYTES + 1] = {MEMIF_MSG_HELLO};
    struct talk t;
    bool is_taken;

    for (size_t len = 0; len <= sizeof(msg); len++) {
        talk(&t, 0);
        if (len != MEMIF_MSG_BYTES)
            assert_int_equal(memif_ctl_input(&t.client, slice_of(msg, len), -1, &is_taken), -MEMIF_EFORM);
    }
}

static void put(uint8_t *p, uint64_t v, size_t n)
{
    memcpy(p, &v, n);
}

static int tell(struct memif_ctl *c, unsigned type, size_t at, uint64_t v, size_t n, int fd)
{
    uint8_t msg[MEMIF_MSG_BYTES] = {(uint8_t)type}, out[MEMIF_MSG_BYTES];
    bool is_taken;
    int ignored, rc;

    memif_ctl_output(c, out, &ignored);
    if (type == MEMIF_MSG_ADD_REGION)
        put(msg + MEMIF_REGION_SIZE, 4096, 8);
    if (type == MEMIF_MSG_ADD_RING)
        msg[MEMIF_RING_LOG2] = 8;
    if (type == MEMIF_MSG_INIT)
        put(msg + MEMIF_INIT_VERSION, MEMIF_VERSION, 2);
    if (type == MEMIF_MSG_HELLO) {
        put(msg + MEMIF_HELLO_MIN_VERSION, MEMIF_VERSION, 2);
        put(msg + MEMIF_HELLO_MAX_VERSION, MEMIF_VERSION, 2);
        msg[MEMIF_HELLO_MAX_LOG2] = 10;
    }
    put(msg + at, v, n);
    rc = memif_ctl_input(c, slice_of(msg, sizeof(msg)), fd, &is_taken);
    assert_int_equal(is_taken, rc >= 0 && fd >= 0 && (type == MEMIF_MSG_ADD_REGION || type == MEMIF_MSG_ADD_RING));
    return rc;
}

static void test_memif_ctl_has_limits(void **state)
{
    static const struct {
        unsigned steps, type;
        size_t at;
        uint64_t value;
        size_t bytes;
        int fd, want;
    } cases[] = {
        {0, MEMIF_MSG_INIT, MEMIF_INIT_VERSION, 0x0100, 2, -1, -MEMIF_EVERSION},
        {0, MEMIF_MSG_INIT, MEMIF_INIT_MODE, 1, 1, -1, -MEMIF_EVERSION},
        {0, MEMIF_MSG_INIT, MEMIF_INIT_ID, 0xffffffff, 4, -1, MEMIF_NEWS_INIT},
        {1, MEMIF_MSG_ADD_REGION, MEMIF_REGION_INDEX, 0, 2, -1, -MEMIF_EFD},
        {1, MEMIF_MSG_ADD_REGION, MEMIF_REGION_INDEX, 1, 2, 5, -MEMIF_EORDER},
        {1, MEMIF_MSG_ADD_REGION, MEMIF_REGION_SIZE, 0, 8, 5, -MEMIF_ELIMIT},
        {1, MEMIF_MSG_ADD_REGION, MEMIF_REGION_SIZE, MEMIF_REGION_BYTES_MAX + 1, 8, 5, -MEMIF_ELIMIT},
        {1, MEMIF_MSG_ADD_REGION, MEMIF_REGION_SIZE, UINT64_MAX, 8, 5, -MEMIF_ELIMIT},
        {1, MEMIF_MSG_ADD_REGION, MEMIF_REGION_SIZE, MEMIF_REGION_BYTES_MAX, 8, 5, 0},
        {1, MEMIF_MSG_ADD_RING, MEMIF_RING_INDEX, 0, 2, -1, -MEMIF_EFD},
        {1, MEMIF_MSG_ADD_RING, MEMIF_RING_INDEX, 1, 2, 5, -MEMIF_ELIMIT},
        {1, MEMIF_MSG_ADD_RING, MEMIF_RING_LOG2, 5, 1, 5, -MEMIF_ELIMIT},
        {1, MEMIF_MSG_ADD_RING, MEMIF_RING_LOG2, 15, 1, 5, -MEMIF_ELIMIT},
        {1, MEMIF_MSG_ADD_RING, MEMIF_RING_LOG2, 14, 1, 5, 0},
        {4, MEMIF_MSG_ADD_RING, MEMIF_RING_FLAGS, MEMIF_RING_TO_SERVER, 2, 5, -MEMIF_EORDER}, /* twice */
        {1, MEMIF_MSG_CONNECT, 2, 0, 1, -1, -MEMIF_EORDER},
        {4, MEMIF_MSG_CONNECT, 2, 0, 1, -1, -MEMIF_EORDER},
    };
    struct talk t;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        talk(&t, cases[i].steps);
        assert_int_equal(tell(&t.server, cases[i].type, cases[i].at, cases[i].value, cases[i].bytes, cases[i].fd), cases[i].want);
    }
    talk(&t, 1);
    for (unsigned i = 0; i < MEMIF_REGIONS_MAX; i++)
        assert_int_equal(tell(&t.server, MEMIF_MSG_ADD_REGION, MEMIF_REGION_INDEX, i, 2, (int)(5 + i)), 0);
    assert_int_equal(tell(&t.server, MEMIF_MSG_ADD_REGION, MEMIF_REGION_INDEX, MEMIF_REGIONS_MAX, 2, 99), -MEMIF_ELIMIT);

    talk(&t, 1); /* all together, too */
    assert_int_equal(tell(&t.server, MEMIF_MSG_ADD_REGION, MEMIF_REGION_SIZE, MEMIF_REGION_BYTES_MAX - 1, 8, 5), 0);
    for (unsigned i = 2; i > 0; i--) {
        uint64_t fields = 1 | (uint64_t)i << 16; /* the second region, of i bytes */

        assert_int_equal(tell(&t.server, MEMIF_MSG_ADD_REGION, MEMIF_REGION_INDEX, fields, 8, 6), i == 1 ? 0 : -MEMIF_ELIMIT);
    }

    for (unsigned i = 0; i < 3; i++) { /* what a client hears of a server's limits */
        static const uint64_t version[] = {0x0100, 0x0201, MEMIF_VERSION};

        talk(&t, 0);
        assert_int_equal(tell(&t.client, MEMIF_MSG_HELLO, i == 1 ? MEMIF_HELLO_MIN_VERSION : MEMIF_HELLO_MAX_VERSION, version[i], 2, -1),
                         i == 2 ? MEMIF_NEWS_HELLO : -MEMIF_EVERSION);
    }
    talk(&t, 0);
    assert_int_equal(tell(&t.client, MEMIF_MSG_HELLO, MEMIF_HELLO_MAX_LOG2, 5, 1, -1), -MEMIF_ELIMIT);
    talk(&t, 0);
    assert_int_equal(tell(&t.client, MEMIF_MSG_HELLO, MEMIF_HELLO_MAX_LOG2, 255, 1, -1), MEMIF_NEWS_HELLO);
    assert_int_equal(t.client.log2_max, MEMIF_LOG2_MAX);
}

/* A goodbye without an end to its text. */
static void test_memif_ctl_ends_texts(void **state)
{
    uint8_t msg[MEMIF_MSG_BYTES];
    struct talk t;
    bool is_taken;

    memset(msg, 'x', sizeof(msg));
    msg[0] = MEMIF_MSG_DISCONNECT;
    msg[1] = 0;
    talk(&t, 7);
    assert_int_equal(memif_ctl_input(&t.client, slice_of(msg, sizeof(msg)), -1, &is_taken), MEMIF_NEWS_GONE);
    assert_int_equal(strlen(t.client.text), MEMIF_TEXT_BYTES);
    for (int err = -10; err < 10; err++)
        assert_non_null(memif_err_name(err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memif_ctl_tells_everything),
        cmocka_unit_test(test_memif_ctl_keeps_to_its_turn),
        cmocka_unit_test(test_memif_ctl_takes_whole_messages),
        cmocka_unit_test(test_memif_ctl_has_limits),
        cmocka_unit_test(test_memif_ctl_ends_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
