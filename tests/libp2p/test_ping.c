#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "libp2p/ping.h"

static void test_echo_gives_whole_blocks_at_any_split(void **state)
{
    uint8_t in[3 * PING_BLOCK_BYTES + 5], out[sizeof(in)];

    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = (uint8_t)i;
    for (size_t cut = 0; cut <= sizeof(in); cut++) {
        struct ping_echo e = {0};
        struct slice parts[2] = {{in, cut}, {in + cut, sizeof(in) - cut}};
        size_t n = 0;
        for (int i = 0; i < 2; i++) {
            while (ping_echo_input(&e, &parts[i])) {
                memcpy(out + n, e.block, PING_BLOCK_BYTES);
                n += PING_BLOCK_BYTES;
            }
            assert_int_equal(parts[i].len, 0);
        }
        assert_int_equal(n, 3 * PING_BLOCK_BYTES);
        assert_memory_equal(out, in, n);
        assert_int_equal(e.have, 5);
    }
}

static void test_probe_measures_when_the_last_byte_is_in(void **state)
{
    struct rng rng;
    struct ping_probe p;
    uint64_t rtt = 0;

    rng_init_seeded(&rng, 1);
    for (size_t cut = 0; cut < PING_BLOCK_BYTES; cut++) {
        ping_probe_init(&p, &rng, 1000);
        assert_int_equal(ping_probe_input(&p, slice_of(p.block, cut), &rtt, 1100), 0);
        assert_int_equal(ping_probe_input(&p, slice_of(p.block + cut, PING_BLOCK_BYTES - cut), &rtt, 1234), 1);
        assert_int_equal(rtt, 234);
        assert_int_equal(ping_probe_input(&p, slice_of(p.block, 0), &rtt, 2000), 0);
        assert_int_equal(ping_probe_input(&p, slice_of(p.block, 1), &rtt, 2000), -1); /* too many */
    }
    ping_probe_init(&p, &rng, 1000);
    assert_int_equal(ping_probe_input(&p, slice_of(p.block, PING_BLOCK_BYTES), &rtt, 1000), 1);
    assert_int_equal(rtt, 1); /* never "unknown" */
}

static void test_probe_refuses_other_bytes(void **state)
{
    struct rng rng;
    struct ping_probe p;
    uint8_t echo[PING_BLOCK_BYTES + 1];
    uint64_t rtt = 0;

    rng_init_seeded(&rng, 1);
    for (size_t at = 0; at < PING_BLOCK_BYTES; at++) {
        ping_probe_init(&p, &rng, 1);
        memcpy(echo, p.block, PING_BLOCK_BYTES);
        echo[at] ^= 1;
        assert_int_equal(ping_probe_input(&p, slice_of(echo, PING_BLOCK_BYTES), &rtt, 2), -1);
    }
    ping_probe_init(&p, &rng, 1);
    memcpy(echo, p.block, PING_BLOCK_BYTES);
    assert_int_equal(ping_probe_input(&p, slice_of(echo, sizeof(echo)), &rtt, 2), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo_gives_whole_blocks_at_any_split),
        cmocka_unit_test(test_probe_measures_when_the_last_byte_is_in),
        cmocka_unit_test(test_probe_refuses_other_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
