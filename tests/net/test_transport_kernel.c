/* test_transport_kernel.c: which congestion control the kernel driver's sockets have
 * How:     this process's own descriptors are looked through for TCP sockets
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "net/transport_kernel.h"

#define FDS 64

/* How many of our TCP sockets have it; *all: of how many. */
static unsigned sockets_with(const char *cc, unsigned *all)
{
    unsigned n = 0;

    *all = 0;
    for (int fd = 0; fd < FDS; fd++) {
        char name[32] = "";
        socklen_t len = sizeof(name);

        if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len))
            continue;
        ++*all;
        n += strcmp(name, cc) == 0;
    }
    return n;
}

/* The listener, the dialed one and the accepted one. */
static void test_sockets_have_the_congestion_control_that_was_asked_for(void **state)
{
    const char *reason = "";
    char err[256] = "";
    struct pipe *pipes[2];
    unsigned all, opened = 0;
    struct transport *t = transport_kernel_new("127.77.31.1", 0, LISTENER_ALONE, "reno", err); /* every kernel has it */
    struct pipe_event ev;

    (void)state;
    assert_non_null(t);
    assert_null(t->no_cc);
    assert_non_null(transport_dial(t, &t->listen, 1, &reason));
    for (unsigned i = 0; i < 100000 && opened < 2; i++) {
        transport_poll(t, 1);
        while (opened < 2 && transport_next_event(t, &ev))
            if (ev.type == PIPE_NEW || ev.type == PIPE_OPEN)
                pipes[opened++] = ev.pipe;
        transport_flush(t, 1);
    }
    assert_int_equal(opened, 2);
    assert_int_equal(sockets_with("reno", &all), 3);
    assert_int_equal(all, 3);
    for (unsigned i = 0; i < 2; i++)
        pipe_close(pipes[i], false, 1);
    transport_free(t);
}

static void test_what_the_kernel_has_not_got_is_told_and_done_without(void **state)
{
    char err[256] = "";
    struct transport *t = transport_kernel_new("127.77.31.1", 0, LISTENER_ALONE, "nosuch", err);

    (void)state;
    assert_non_null(t);
    assert_string_equal(t->no_cc, "nosuch");
    transport_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sockets_have_the_congestion_control_that_was_asked_for),
        cmocka_unit_test(test_what_the_kernel_has_not_got_is_told_and_done_without),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
