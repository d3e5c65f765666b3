/* test_auth_meter.c: how much each client has published lately */
#include "testing.h"

#include <math.h>

#include "auth/auth_meter.h"

#define S    1000000000ull
#define HOUR (3600 * S)
#define DAY  (24 * HOUR)

static const uint8_t seed[16] = {1, 2, 3};
static const struct auth_quota open_quota = {INFINITY, AUTH_UNLIMITED, AUTH_UNLIMITED, AUTH_UNLIMITED};

static int take(struct auth_meter *m, const struct auth_quota *q, uint64_t bytes, uint64_t *retry, uint64_t now)
{
    return auth_meter_take(m, SLICE_LIT("anna"), q, bytes, retry, now);
}

static void test_meter_without_limits(void **state)
{
    struct auth_meter m;
    uint64_t retry;

    auth_meter_init(&m, 10, seed);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(take(&m, &open_quota, UINT64_MAX, &retry, S), 0);
    auth_meter_fini(&m);
}

static void test_meter_rate_is_a_burst_then_even(void **state)
{
    struct auth_quota q = open_quota;
    struct auth_meter m;
    uint64_t retry, now = 5 * S;

    q.per_second = 2;
    auth_meter_init(&m, 10, seed);
    assert_int_equal(take(&m, &q, 1, &retry, now), 0);
    assert_int_equal(take(&m, &q, 1, &retry, now), 0);
    assert_int_equal(take(&m, &q, 1, &retry, now), -AUTH_E_SECOND);
    assert_int_equal(retry, S / 2);
    assert_int_equal(take(&m, &q, 1, &retry, now + S / 2 - 1), -AUTH_E_SECOND);
    assert_int_equal(retry, 1);
    assert_int_equal(take(&m, &q, 1, &retry, now + S / 2), 0);
    assert_int_equal(take(&m, &q, 1, &retry, now + S / 2), -AUTH_E_SECOND);
    assert_int_equal(take(&m, &q, 1, &retry, now + 10 * S), 0); /* what was not used is not saved beyond a second's worth */
    assert_int_equal(take(&m, &q, 1, &retry, now + 10 * S), 0);
    assert_int_equal(take(&m, &q, 1, &retry, now + 10 * S), -AUTH_E_SECOND);
    auth_meter_fini(&m);
}

/* Over a long time exactly the rate gets through, however the client asks. */
static void test_meter_rate_over_time(void **state)
{
    static const double rates[] = {0.25, 1, 2.5, 1000};

    for (unsigned r = 0; r < 4; r++) {
        struct auth_quota q = open_quota;
        struct auth_meter m;
        uint64_t retry, taken = 0;

        q.per_second = rates[r];
        auth_meter_init(&m, 10, seed);
        for (uint64_t now = S; now < 41 * S; now += S / 5000)
            taken += take(&m, &q, 1, &retry, now) == 0;
        assert_true((double)taken >= 40 * rates[r] - 1 && (double)taken <= 41 * rates[r] + 1);
        auth_meter_fini(&m);
    }
}

static void test_meter_hour(void **state)
{
    struct auth_quota q = open_quota;
    struct auth_meter m;
    uint64_t retry, now = 5 * S;

    q.per_hour = 3;
    auth_meter_init(&m, 10, seed);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(take(&m, &q, 1, &retry, now + i * S), 0);
    assert_int_equal(take(&m, &q, 1, &retry, now + 10 * S), -AUTH_E_HOUR);
    assert_int_equal(retry, HOUR - 10 * S);
    assert_int_equal(take(&m, &q, 1, &retry, now + HOUR - 1), -AUTH_E_HOUR);
    assert_int_equal(take(&m, &q, 1, &retry, now + HOUR), 0);
    q.per_hour = 5; /* a new token may say more */
    assert_int_equal(take(&m, &q, 1, &retry, now + HOUR), 0);
    auth_meter_fini(&m);
}

static void test_meter_day_and_size(void **state)
{
    struct auth_quota q = open_quota;
    struct auth_meter m;
    uint64_t retry, now = 5 * S;

    q.daily_bytes = 1000;
    q.message_bytes = 600;
    auth_meter_init(&m, 10, seed);
    assert_int_equal(take(&m, &q, 601, &retry, now), -AUTH_E_SIZE);
    assert_int_equal(retry, 0);
    assert_int_equal(take(&m, &q, 600, &retry, now), 0);
    assert_int_equal(take(&m, &q, 401, &retry, now + HOUR), -AUTH_E_DAY);
    assert_int_equal(retry, DAY - HOUR);
    assert_int_equal(take(&m, &q, 400, &retry, now + HOUR), 0);
    assert_int_equal(take(&m, &q, 1, &retry, now + HOUR), -AUTH_E_DAY);
    assert_int_equal(take(&m, &q, 600, &retry, now + DAY), 0);
    q.daily_bytes = 100;
    assert_int_equal(take(&m, &q, 101, &retry, now + DAY), -AUTH_E_SIZE); /* would never fit */
    assert_int_equal(take(&m, &q, 100, &retry, now + DAY), -AUTH_E_DAY);  /* more is used than there is now */
    auth_meter_fini(&m);
}

static void test_meter_none_at_all(void **state)
{
    struct auth_quota q = open_quota;
    struct auth_meter m;
    uint64_t retry;

    auth_meter_init(&m, 10, seed);
    q.per_second = 0;
    assert_int_equal(take(&m, &q, 1, &retry, S), -AUTH_E_SECOND);
    assert_true(retry > 0);
    q = open_quota;
    q.per_hour = 0;
    assert_int_equal(take(&m, &q, 1, &retry, S), -AUTH_E_HOUR);
    assert_true(retry > 0);
    q = open_quota;
    q.daily_bytes = 0;
    assert_int_equal(take(&m, &q, 1, &retry, S), -AUTH_E_SIZE);
    q = open_quota;
    q.message_bytes = 0;
    assert_int_equal(take(&m, &q, 1, &retry, S), -AUTH_E_SIZE);
    auth_meter_fini(&m);
}

/* What one limit refuses is not taken off the others. */
static void test_meter_refusals_cost_nothing(void **state)
{
    const struct auth_quota q = {1, 10, AUTH_UNLIMITED, 1000};
    struct auth_meter m;
    uint64_t retry, now = S;

    auth_meter_init(&m, 10, seed);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(take(&m, &q, 100, &retry, now), 0);
        for (unsigned k = 0; k < 50; k++)
            assert_int_not_equal(take(&m, &q, 100, &retry, now), 0);
        now += S;
    }
    assert_int_equal(take(&m, &q, 0, &retry, now), -AUTH_E_HOUR);
    auth_meter_fini(&m);
}

static void test_meter_clients_are_apart_and_bounded(void **state)
{
    struct auth_quota q = open_quota;
    struct auth_meter m;
    uint64_t retry;
    char name[16];

    q.per_hour = 1;
    auth_meter_init(&m, 100, seed);
    for (unsigned i = 0; i < 1000; i++) {
        struct slice s = slice_of(name, (size_t)snprintf(name, sizeof(name), "c%u", i));

        assert_int_equal(auth_meter_take(&m, s, &q, 1, &retry, S), 0);
        assert_int_equal(auth_meter_take(&m, s, &q, 1, &retry, S), -AUTH_E_HOUR);
        assert_int_equal(auth_meter_take(&m, SLICE_LIT("c0"), &q, 1, &retry, S), -AUTH_E_HOUR); /* in use: stays */
    }
    assert_int_equal(m.clients.count, 100);
    assert_int_equal(m.forgotten, 900);
    assert_int_equal(auth_meter_take(&m, SLICE_LIT("c999"), &q, 1, &retry, S), -AUTH_E_HOUR);
    assert_int_equal(auth_meter_take(&m, SLICE_LIT("c1"), &q, 1, &retry, S), 0); /* forgotten */
    auth_meter_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meter_without_limits), cmocka_unit_test(test_meter_rate_is_a_burst_then_even),
        cmocka_unit_test(test_meter_rate_over_time), cmocka_unit_test(test_meter_hour),
        cmocka_unit_test(test_meter_day_and_size),   cmocka_unit_test(test_meter_none_at_all),
        cmocka_unit_test(test_meter_refusals_cost_nothing), cmocka_unit_test(test_meter_clients_are_apart_and_bounded)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
