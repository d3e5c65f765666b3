#include "testing.h"

#include "node/mute.h"

#define S 1000000000ull

/* Seconds from `from` at which it is due, looked at ten times a second, the stream being opened anew each time. */
static unsigned dues(struct mute *m, uint64_t from, uint64_t to, uint64_t at[8])
{
    unsigned n = 0;

    for (uint64_t now = from; now < to; now += S / 10)
        if (mute_is_due(m, now)) {
            at[n++] = (now - from) / S;
            mute_stream_gone(m);
            mute_stream_ready(m, now);
        }
    return n;
}

static void test_mute_peer_is_tried_a_few_times_ever_later(void **state)
{
    struct mute m = {0};
    uint64_t at[8];

    mute_stream_ready(&m, 100 * S);
    assert_int_equal(dues(&m, 100 * S, 1000 * S, at), MUTE_TRIES);
    assert_int_equal(at[0], 3);
    assert_int_equal(at[1], 9);
    assert_int_equal(at[2], 21);
    assert_int_equal(at[3], 45);
}

static void test_mute_peer_that_speaks_is_left_alone(void **state)
{
    struct mute m = {0};
    uint64_t at[8];

    mute_heard(&m, 7); /* also before our stream is ready */
    mute_stream_ready(&m, 100 * S);
    assert_int_equal(dues(&m, 100 * S, 1000 * S, at), 0);
}

static void test_mute_without_a_stream_is_never_due(void **state)
{
    struct mute m = {0};
    uint64_t at[8];

    assert_int_equal(dues(&m, 100 * S, 200 * S, at), 0);
    mute_stream_ready(&m, 200 * S);
    mute_stream_gone(&m);
    mute_conn_down(&m, 7, 201 * S);
    assert_int_equal(dues(&m, 201 * S, 300 * S, at), 0);
}

/* It spoke on a connection that is gone; ours goes over another, which stays. */
static void test_mute_counts_anew_when_the_connection_it_spoke_on_goes_down(void **state)
{
    struct mute m = {0};
    uint64_t at[8];

    mute_stream_ready(&m, 100 * S);
    mute_heard(&m, 7);
    mute_conn_down(&m, 8, 110 * S);
    assert_int_equal(dues(&m, 110 * S, 200 * S, at), 0);
    mute_conn_down(&m, 7, 200 * S);
    assert_int_equal(dues(&m, 200 * S, 205 * S, at), 1);
    assert_int_equal(at[0], 3);
    mute_heard(&m, 8);
    assert_int_equal(dues(&m, 205 * S, 1000 * S, at), 0);
}

static void test_mute_peer_is_lost_when_a_try_leads_to_no_stream_of_its_own(void **state)
{
    struct mute m = {0};
    uint64_t at[8];

    mute_stream_ready(&m, 100 * S);
    assert_int_equal(dues(&m, 100 * S, 104 * S, at), 1);
    assert_false(mute_is_lost(&m)); /* the first try is under way */
    assert_int_equal(dues(&m, 104 * S, 111 * S, at), 1);
    assert_true(mute_is_lost(&m));
    mute_opened(&m, 7);
    assert_false(mute_is_lost(&m)); /* it listens, and has nothing to say */
    mute_conn_down(&m, 7, 112 * S);
    assert_true(mute_is_lost(&m));
    mute_heard(&m, 8);
    assert_false(mute_is_lost(&m));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mute_peer_is_tried_a_few_times_ever_later),
        cmocka_unit_test(test_mute_peer_that_speaks_is_left_alone),
        cmocka_unit_test(test_mute_without_a_stream_is_never_due),
        cmocka_unit_test(test_mute_counts_anew_when_the_connection_it_spoke_on_goes_down),
        cmocka_unit_test(test_mute_peer_is_lost_when_a_try_leads_to_no_stream_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
