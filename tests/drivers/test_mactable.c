#include "testing.h"

#include "drivers/mactable.h"

static struct mactable t;
static const uint64_t seed[2] = {1, 2};

static const uint8_t *mac_of(unsigned i)
{
    static uint8_t mac[6];

    mac[0] = 2;
    memcpy(mac + 2, &i, 4);
    return mac;
}

static void test_mactable_learns_moves_and_forgets(void **state)
{
    mactable_init(&t, seed);
    assert_int_equal(mactable_find(&t, mac_of(1), 5), MACTABLE_NONE);
    mactable_learn(&t, mac_of(1), 3, 10);
    mactable_learn(&t, mac_of(2), 4, 10);
    assert_int_equal(mactable_find(&t, mac_of(1), 11), 3);
    mactable_learn(&t, mac_of(1), 4, 12); /* it moved */
    assert_int_equal(mactable_find(&t, mac_of(1), 12), 4);
    assert_int_equal(mactable_find(&t, mac_of(1), 12 + MACTABLE_AGE_NS), MACTABLE_NONE);
    mactable_forget_port(&t, 4);
    assert_int_equal(mactable_find(&t, mac_of(1), 13), MACTABLE_NONE);
    assert_int_equal(mactable_find(&t, mac_of(2), 13), MACTABLE_NONE);
}

static void test_mactable_group_addresses_are_nobodys(void **state)
{
    const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    mactable_init(&t, seed);
    mactable_learn(&t, all, 1, 10);
    assert_int_equal(mactable_find(&t, all, 10), MACTABLE_NONE);
}

/* A flood of invented addresses costs the silent their place, never those who spoke since. */
static void test_mactable_newcomers_take_the_oldest_place(void **state)
{
    mactable_init(&t, seed);
    for (unsigned i = 0; i < 100000; i++) {
        mactable_learn(&t, mac_of(i + 10), 1, 100 + 2 * i);
        mactable_learn(&t, mac_of(5), 2, 101 + 2 * i);
        assert_int_equal(mactable_find(&t, mac_of(5), 101 + 2 * i), 2);
        assert_int_equal(mactable_find(&t, mac_of(i + 10), 101 + 2 * i), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mactable_learns_moves_and_forgets),
        cmocka_unit_test(test_mactable_group_addresses_are_nobodys),
        cmocka_unit_test(test_mactable_newcomers_take_the_oldest_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
