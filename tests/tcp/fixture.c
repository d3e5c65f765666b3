#include "fixture.h"

struct puppet p;

int fixture_setup(void **state)
{
    (void)state;
    puppet_init(&p);
    return 0;
}

int fixture_teardown(void **state)
{
    (void)state;
    puppet_fini(&p);
    return 0;
}

struct tcp_conn_info info(void)
{
    struct tcp_conn_info i;

    tcp_conn_info(p.conn, &i);
    return i;
}

void acked(uint32_t ack)
{
    p.ts_val++;
    puppet_send(&p, TCP_ACK, 1, ack, 0);
}

void send_packets(uint32_t n)
{
    assert_int_equal(puppet_write(&p, n * MSS), (int)(n * MSS));
    for (uint32_t i = 0; i < n; i++)
        puppet_expect(&p, TCP_ACK, 1 + i * MSS, 1, MSS);
}
