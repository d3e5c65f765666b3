/* The guard on loopback: ports are reserved and silent. No rights needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drivers/guard.h"

static const uint8_t ip[4] = {127, 0, 0, 77};

static struct sockaddr_in address(uint16_t port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};

    memcpy(&sa.sin_addr, ip, 4);
    return sa;
}

/* What a connect comes to within 100 ms: 0 connected, ECONNREFUSED, or EINPROGRESS when nobody says a word. */
static int connect_result(uint16_t port)
{
    struct sockaddr_in sa = address(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), err = 0;
    socklen_t len = sizeof(err);
    struct pollfd p = {fd, POLLOUT, 0};

    if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0) {
        close(fd);
        return 0;
    }
    if (errno != EINPROGRESS) {
        err = errno;
    } else if (poll(&p, 1, 100) == 0) {
        err = EINPROGRESS;
    } else {
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
    }
    close(fd);
    return err;
}

static int bind_result(uint16_t port)
{
    struct sockaddr_in sa = address(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0),
        rc = bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 ? 0 : errno;

    close(fd);
    return rc;
}

static void test_guard_silences_and_reserves(void **state)
{
    struct rng rng;
    struct guard g;
    char err[256];

    rng_init_seeded(&rng, 5);
    assert_int_equal(connect_result(7471), ECONNREFUSED); /* the kernel's usual answer */
    if (guard_open(&g, ip, NULL, 7471, 64, &rng, err) < 0)
        fail_msg("%s", err);
    assert_int_equal(g.count, 65);
    assert_int_equal(g.dial_count, 64);
    assert_int_equal(connect_result(7471), EINPROGRESS);
    assert_int_equal(bind_result(7471), EADDRINUSE);
    assert_int_equal(connect_result(g.dial_first), EINPROGRESS);
    assert_int_equal(connect_result((uint16_t)(g.dial_first + 63)), EINPROGRESS);
    assert_int_equal(bind_result((uint16_t)(g.dial_first + 63)), EADDRINUSE);
    guard_close(&g);
    assert_int_equal(connect_result(7471), ECONNREFUSED);
}

static void test_guard_tells_a_taken_port(void **state)
{
    struct rng rng;
    struct guard first, second;
    char err[256] = "";

    rng_init_seeded(&rng, 5);
    assert_int_equal(guard_open(&first, ip, NULL, 7472, 0, &rng, err), 0);
    assert_int_equal(guard_open(&second, ip, NULL, 7472, 0, &rng, err), -1);
    assert_non_null(strstr(err, "7472"));
    guard_close(&second);
    guard_close(&first);
}

static void test_guard_dial_ranges_differ(void **state)
{
    struct rng rng;
    struct guard a, b;
    char err[256];

    rng_init_zero(&rng); /* both want the same run: the second must find another, or say so */
    assert_int_equal(guard_open(&a, ip, NULL, 0, 16, &rng, err), 0);
    assert_int_equal(guard_open(&b, ip, NULL, 0, 16, &rng, err), -1);
    guard_close(&b);
    rng_init_seeded(&rng, 1);
    assert_int_equal(guard_open(&b, ip, NULL, 0, 16, &rng, err), 0);
    assert_true(a.dial_first != b.dial_first);
    guard_close(&a);
    guard_close(&b);
}

static void test_guard_ipv6_is_silent_too(void **state)
{
    static const uint8_t ip6[16] = {[15] = 1};
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct pollfd p = {.events = POLLOUT};
    struct guard g;
    struct rng rng;
    char err[256];

    rng_init_seeded(&rng, 5);
    if (guard_open(&g, ip, ip6, 7473, 16, &rng, err) < 0) {
        guard_close(&g);
        skip(); /* no IPv6 here */
    }
    assert_int_equal(g.count, 2 * 17);
    guard_close(&g);
    assert_int_equal(guard_open(&g, NULL, ip6, 7473, 16, &rng, err), 0); /* IPv6 alone */
    assert_int_equal(g.count, 17);
    sa.sin6_port = htons(7473);
    p.fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(p.fd, (struct sockaddr *)&sa, sizeof(sa)), -1);
    assert_int_equal(errno, EINPROGRESS);
    assert_int_equal(poll(&p, 1, 100), 0); /* neither SYN-ACK nor RST */
    close(p.fd);
    guard_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guard_ipv6_is_silent_too),
        cmocka_unit_test(test_guard_silences_and_reserves),
        cmocka_unit_test(test_guard_tells_a_taken_port),
        cmocka_unit_test(test_guard_dial_ranges_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
