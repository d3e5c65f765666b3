/* fixture.h: what the tests of one stack share: a puppet for each test, and what they say of its connection
 * Note:    T(test) makes a fresh puppet before the test and ends it afterwards
 */
#ifndef TESTS_TCP_FIXTURE_H
#define TESTS_TCP_FIXTURE_H

#include "puppet.h"
#include "testing.h"

#define MSS 1448u /* 1460 less timestamps */

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

extern struct puppet p;

int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Of p's connection. */
struct tcp_conn_info info(void);
/* The peer acknowledges all before `ack`, with its clock one further. */
void acked(uint32_t ack);
/* n full packets in flight from 1 on. */
void send_packets(uint32_t n);

#endif
