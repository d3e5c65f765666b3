/* test_recovery.c: loss, timeouts and acknowledgements, segment by segment */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "fixture.h"

/* ---- loss ---- */

static void test_sacked_hole_is_sent_again_at_once(void **state)
{
    (void)state;
    p.rtt_ns = 40 * MS;
    puppet_start(&p);
    puppet_connect(&p);
    send_packets(10);
    puppet_write(&p, 10 * MSS);
    puppet_expect_nothing(&p); /* the first window is ten */
    puppet_wait(&p, 40 * MS);
    puppet_sack(&p, 1 + MSS, 1 + 2 * MSS);
    acked(1);
    puppet_expect(&p, TCP_ACK, 1 + 10 * MSS, 1, MSS); /* limited transmit: one left, one may go */
    puppet_expect_nothing(&p);
    puppet_sack(&p, 1 + MSS, 1 + 3 * MSS);
    acked(1);
    puppet_expect(&p, TCP_ACK, 1 + 11 * MSS, 1, MSS);
    puppet_sack(&p, 1 + MSS, 1 + 4 * MSS);
    acked(1);
    puppet_expect(&p, TCP_ACK, 1, 1, MSS); /* three: fast retransmit */
    puppet_expect_nothing(&p);
    assert_int_equal(info().recovery_count, 1);
    assert_int_equal(info().cwnd_bytes, 7 * MSS);
    assert_int_equal(info().rto_count, 0);
    /* A second hole in the same window is no second reduction. */
    puppet_wait(&p, 20 * MS); /* paced */
    puppet_sack(&p, 1 + 5 * MSS, 1 + 12 * MSS);
    puppet_sack(&p, 1 + MSS, 1 + 4 * MSS);
    acked(1);
    puppet_expect(&p, TCP_ACK, 1 + 4 * MSS, 1, MSS);
    assert_int_equal(info().cwnd_bytes, 7 * MSS);
    p.ts_val++;
    puppet_drain(&p);
    acked(1 + 12 * MSS); /* recovery over */
    assert_int_equal(info().recovery_count, 1);
    puppet_drain(&p);
}

static void test_three_duplicate_acks_do_without_sack(void **state)
{
    (void)state;
    p.sack = false;
    puppet_start(&p);
    puppet_connect(&p);
    acked(1); /* tells the scaled window: a duplicate must not change it */
    send_packets(10);
    puppet_write(&p, 10 * MSS);
    acked(1);
    puppet_expect(&p, TCP_ACK, 1 + 10 * MSS, 1, MSS); /* RFC 3042 */
    acked(1);
    puppet_expect(&p, TCP_ACK, 1 + 11 * MSS, 1, MSS);
    acked(1);
    puppet_expect(&p, TCP_ACK, 1, 1, MSS);
    assert_int_equal(info().recovery_count, 1);
    puppet_drain(&p);
    acked(1 + 5 * MSS); /* partial: the next hole follows without waiting (RFC 6582) */
    puppet_expect(&p, TCP_ACK, 1 + 5 * MSS, 1, MSS);
    puppet_drain(&p);
    while (info().acked_bytes < 20 * MSS) {
        acked(1 + (uint32_t)info().sent_bytes);
        puppet_drain(&p);
    }
    assert_int_equal(info().rto_count, 0);
    assert_int_equal(info().send_queued_bytes, 0);
}

static void test_duplicate_sacks_are_told_from_holes(void **state)
{
    (void)state;
    p.rtt_ns = 40 * MS;
    puppet_start(&p);
    puppet_connect(&p);
    send_packets(8);
    puppet_wait(&p, 40 * MS);
    puppet_sack(&p, 1, 1 + MSS); /* below the ACK (RFC 2883) */
    acked(1 + 2 * MSS);
    assert_int_equal(tcp_stack_counters(p.s)->dsack_seen, 1);
    puppet_sack(&p, 1 + 5 * MSS, 1 + 6 * MSS); /* inside the second block */
    puppet_sack(&p, 1 + 4 * MSS, 1 + 6 * MSS);
    acked(1 + 2 * MSS);
    assert_int_equal(tcp_stack_counters(p.s)->dsack_seen, 2);
    assert_int_equal(info().in_flight_bytes, 4 * MSS);
    puppet_expect_nothing(&p);
}

static void test_two_duplicates_are_not_loss(void **state)
{
    (void)state;
    p.rtt_ns = 40 * MS;
    puppet_start(&p);
    puppet_connect(&p);
    send_packets(5);
    puppet_wait(&p, 40 * MS);
    puppet_sack(&p, 1 + MSS, 1 + 2 * MSS);
    acked(1);
    puppet_sack(&p, 1 + MSS, 1 + 3 * MSS);
    acked(1);
    puppet_expect_nothing(&p);
    acked(1 + 5 * MSS);
    assert_int_equal(info().rtx_segments, 0);
}

static void test_timeout_waits_doubles_and_slows_down(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    send_packets(10);
    uint64_t rto = info().rto_ns;
    assert_true(rto >= 200 * MS && rto < 210 * MS); /* the handshake took no time */
    puppet_wait(&p, 2 * MS + 1000);
    puppet_expect(&p, TCP_ACK, 1 + 9 * MSS, 1, MSS); /* the tail probe */
    for (uint64_t wait = 4 * MS; wait < rto; wait *= 2) {
        puppet_wait(&p, wait - MS);
        puppet_expect_nothing(&p);
        puppet_wait(&p, MS + 1000);
        puppet_expect(&p, TCP_ACK, 1 + 9 * MSS, 1, MSS); /* again, and the timeout counts from it */
    }
    puppet_wait(&p, rto - MS);
    puppet_expect_nothing(&p);
    puppet_wait(&p, 2 * MS);
    puppet_expect(&p, TCP_ACK, 1, 1, MSS);
    puppet_expect_nothing(&p); /* one segment */
    assert_int_equal(info().cwnd_bytes, MSS);
    assert_int_equal(info().ssthresh_bytes, 7 * MSS);
    puppet_wait(&p, 2 * rto - 2 * MS);
    puppet_expect_nothing(&p);
    puppet_wait(&p, 4 * MS);
    puppet_expect(&p, TCP_ACK, 1, 1, MSS);
    assert_int_equal(info().ssthresh_bytes, 7 * MSS); /* not reduced twice for the same data */
    p.ts_val += 700;
    acked(1 + MSS);
    puppet_expect(&p, TCP_ACK, 1 + MSS, 1, MSS); /* slow start: two */
    puppet_expect(&p, TCP_ACK, 1 + 2 * MSS, 1, MSS);
    puppet_expect_nothing(&p);
    acked(1 + 10 * MSS);
    assert_int_equal(info().send_queued_bytes, 0);
}

static void test_sacked_data_are_not_sent_again_after_a_timeout(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    send_packets(4);
    puppet_sack(&p, 1 + MSS, 1 + 3 * MSS);
    acked(1);
    puppet_wait(&p, SEC);
    puppet_expect(&p, TCP_ACK, 1, 1, MSS);
    acked(1 + 3 * MSS);
    puppet_expect(&p, TCP_ACK, 1 + 3 * MSS, 1, MSS);
    assert_int_equal(info().rtx_segments, 2);
}

static void test_late_original_takes_the_timeout_back(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    uint64_t before = info().cwnd_bytes;
    puppet_wait(&p, 10 * MS);
    send_packets(10);
    uint32_t ecr = p.ts_ecr;
    puppet_wait(&p, 400 * MS);
    assert_true(puppet_drain(&p) >= 1);
    assert_int_equal(info().cwnd_bytes, MSS);
    p.ts_ecr = ecr; /* the answer echoes the first transmission (RFC 3522) */
    acked(1 + MSS);
    assert_true(info().cwnd_bytes >= before);
    assert_int_equal(tcp_stack_counters(p.s)->spurious_undone, 1);
    puppet_drain(&p);
    assert_int_equal(info().rtx_segments, 1); /* and nothing else goes again */
}

/* The ACK that takes a recovery back brings SACKs that look like more loss: that, too, was reordering until it is judged
 * anew. */
static void test_recovery_taken_back_does_not_begin_again_at_once(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    puppet_wait(&p, 10 * MS);
    send_packets(10);
    uint64_t before = info().cwnd_bytes;
    uint32_t ecr = p.ts_ecr;
    puppet_wait(&p, 10 * MS);
    puppet_sack(&p, 1 + MSS, 1 + 4 * MSS);
    acked(1);
    assert_int_equal(info().recovery_count, 1);
    assert_true(puppet_drain(&p) >= 1);
    assert_true(info().cwnd_bytes < before);
    p.ts_ecr = ecr; /* the first transmission of the first packet was only late */
    puppet_sack(&p, 1 + 5 * MSS, 1 + 8 * MSS);
    acked(1 + 4 * MSS);
    assert_int_equal(tcp_stack_counters(p.s)->spurious_undone, 1);
    assert_int_equal(info().recovery_count, 1);
    assert_true(info().cwnd_bytes >= before);
    acked(1 + 10 * MSS);
    assert_int_equal(info().recovery_count, 1);
}

static void test_reneging_peer_gets_everything_again(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    send_packets(4);
    puppet_sack(&p, 1 + MSS, 1 + 4 * MSS);
    acked(1);
    puppet_drain(&p); /* the hole again */
    acked(1 + MSS);   /* but no longer what it had SACKed */
    for (unsigned i = 0; i < 20 && info().send_queued_bytes; i++) {
        puppet_wait(&p, SEC);
        while (puppet_next(&p))
            if (p.rel_seq == 1 + MSS && p.len)
                acked(1 + 4 * MSS);
    }
    assert_int_equal(info().send_queued_bytes, 0);
    assert_int_equal(tcp_stack_counters(p.s)->sack_reneged, 1);
}

static void test_timeout_is_counted_from_the_last_progress(void **state)
{
    (void)state;
    p.sack = false; /* no tail probes */
    puppet_start(&p);
    puppet_connect(&p);
    send_packets(5);
    for (uint32_t i = 1; i < 5; i++) { /* each ACK within the timeout, all of them together not */
        puppet_wait(&p, 150 * MS);
        puppet_expect_nothing(&p);
        acked(1 + i * MSS);
    }
    assert_int_equal(info().rto_count, 0);
}

static void test_retransmission_has_a_whole_timeout_of_its_own(void **state)
{
    (void)state;
    p.rtt_ns = 150 * MS;
    puppet_start(&p);
    puppet_connect(&p);
    send_packets(5);
    puppet_wait(&p, 310 * MS); /* the tail probe put the timeout off */
    puppet_drain(&p);
    puppet_wait(&p, 430 * MS);
    puppet_sack(&p, 1 + MSS, 1 + 5 * MSS);
    acked(1);
    puppet_expect(&p, TCP_ACK, 1, 1, MSS);
    puppet_wait(&p, 150 * MS);
    puppet_expect_nothing(&p);
    assert_int_equal(info().rto_count, 0);
    puppet_wait(&p, 2 * SEC);
    puppet_drain(&p);
    assert_true(info().rto_count > 0);
}

static void test_unanswered_data_end_the_connection(void **state)
{
    struct tcp_event ev;
    unsigned n = 0;

    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    send_packets(1);
    for (uint64_t end = p.now + 60 * SEC; p.now < end; n += puppet_drain(&p))
        puppet_wait(&p, 50 * MS);
    puppet_event(&p, TCP_EV_CLOSED, &ev);
    assert_int_equal(ev.reason, TCP_CLOSED_TIMEOUT);
    assert_true(n >= 12 && n <= 24); /* probes, then 0.2 s doubled until 30 s, at last in smaller packets */
}

static void test_what_the_port_refused_is_sent_again_without_blame(void **state)
{
    struct tcp_segment seg;

    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    puppet_write(&p, 3 * MSS);
    puppet_expect(&p, TCP_ACK, 1, 1, MSS);
    assert_int_equal(tcp_stack_output(p.s, &seg, p.now), 1);
    tcp_stack_output_failed(p.s, &seg, p.now);
    puppet_expect(&p, TCP_ACK, 1 + MSS, 1, MSS);
    puppet_expect(&p, TCP_ACK, 1 + 2 * MSS, 1, MSS);
    assert_int_equal(info().cwnd_bytes, 10 * MSS);
    assert_int_equal(info().recovery_count, 0);
    assert_int_equal(info().rtx_segments, 0);
    assert_int_equal(info().sent_bytes, 3 * MSS);
    /* A bare ACK too. */
    puppet_send(&p, TCP_ACK, 1, 1, 100);
    puppet_send(&p, TCP_ACK, 101, 1, 3000);
    assert_int_equal(tcp_stack_output(p.s, &seg, p.now), 1);
    tcp_stack_output_failed(p.s, &seg, p.now);
    puppet_expect(&p, TCP_ACK, 1 + 3 * MSS, 3101, 0);
}

/* ---- acknowledging ---- */

static void test_every_second_packet_is_acknowledged(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    puppet_send(&p, TCP_ACK, 1, 1, MSS);
    puppet_expect_nothing(&p);
    puppet_send(&p, TCP_ACK, 1 + MSS, 1, MSS);
    puppet_expect(&p, TCP_ACK, 1, 1 + 2 * MSS, 0);
    puppet_send(&p, TCP_ACK, 1 + 2 * MSS, 1, MSS);
    puppet_wait(&p, 39 * MS);
    puppet_expect_nothing(&p);
    puppet_wait(&p, 2 * MS);
    puppet_expect(&p, TCP_ACK, 1, 1 + 3 * MSS, 0);
    puppet_send(&p, TCP_ACK, 1 + 3 * MSS, 1, 20000); /* a super-frame was many packets */
    puppet_expect(&p, TCP_ACK, 1, 20001 + 3 * MSS, 0);
}

static void test_answer_carries_the_acknowledgement(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    puppet_send(&p, TCP_ACK, 1, 1, 64);
    puppet_read(&p);
    puppet_write(&p, 64);
    puppet_expect(&p, TCP_ACK, 1, 65, 64);
    puppet_expect_nothing(&p);
    puppet_wait(&p, 50 * MS);
    puppet_expect_nothing(&p); /* no separate ACK follows */
}

static void test_holes_are_reported_at_once_and_duplicates_too(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    puppet_send(&p, TCP_ACK, 101, 1, 100);
    puppet_expect(&p, TCP_ACK, 1, 1, 0);
    assert_true(p.in.opt.sack_count == 1 && p.in.opt.sack[0].lo == p.peer_iss + 101);
    puppet_send(&p, TCP_ACK, 301, 1, 100);
    puppet_expect(&p, TCP_ACK, 1, 1, 0);
    assert_true(p.in.opt.sack_count == 2 && p.in.opt.sack[0].lo == p.peer_iss + 301);
    puppet_send(&p, TCP_ACK, 1, 1, 100); /* fills the first: at once */
    puppet_expect(&p, TCP_ACK, 1, 201, 0);
    assert_int_equal(p.in.opt.sack_count, 1);
    puppet_send(&p, TCP_ACK, 1, 1, 100); /* seen before: RFC 2883 */
    puppet_expect(&p, TCP_ACK, 1, 201, 0);
    assert_true(p.in.opt.sack_count == 2 && p.in.opt.sack[0].lo == p.peer_iss + 1 &&
                p.in.opt.sack[0].hi == p.peer_iss + 101);
}

static void test_duplicate_acks_come_one_by_one_without_sack(void **state)
{
    (void)state;
    p.sack = false;
    puppet_start(&p);
    puppet_connect(&p);
    for (unsigned i = 1; i <= 3; i++) /* one burst, one turn of the loop */
        puppet_send(&p, TCP_ACK, 1 + i * MSS, 1, MSS);
    for (unsigned i = 0; i < 3; i++)
        puppet_expect(&p, TCP_ACK, 1, 1, 0);
    puppet_expect_nothing(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_sacked_hole_is_sent_again_at_once),
        T(test_three_duplicate_acks_do_without_sack),
        T(test_duplicate_sacks_are_told_from_holes),
        T(test_two_duplicates_are_not_loss),
        T(test_timeout_waits_doubles_and_slows_down),
        T(test_sacked_data_are_not_sent_again_after_a_timeout),
        T(test_late_original_takes_the_timeout_back),
        T(test_recovery_taken_back_does_not_begin_again_at_once),
        T(test_reneging_peer_gets_everything_again),
        T(test_timeout_is_counted_from_the_last_progress),
        T(test_retransmission_has_a_whole_timeout_of_its_own),
        T(test_unanswered_data_end_the_connection),
        T(test_what_the_port_refused_is_sent_again_without_blame),
        T(test_every_second_packet_is_acknowledged),
        T(test_answer_carries_the_acknowledgement),
        T(test_holes_are_reported_at_once_and_duplicates_too),
        T(test_duplicate_acks_come_one_by_one_without_sack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
