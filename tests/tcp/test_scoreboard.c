/* test_scoreboard.c: what was sent, what is lost, what goes again */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/rng.h"
#include "tcp/scoreboard.h"

#define MSS 1000

static struct rack rack;

static void board(struct scoreboard *sb, uint32_t packets, uint32_t first)
{
    rack_init(&rack);
    sb_init(sb, first);
    assert_int_equal(sb_reserve(sb, packets), 0);
    sb_sent(sb, packets * MSS, MSS, 5);
}

/* Every counter recounted from the records. */
static void check(const struct scoreboard *sb)
{
    uint32_t sacked = 0, count = 0, lost = 0, seq = sb->una;

    for (uint32_t i = sb->head; i != sb->tail; i++) {
        const struct sb_record *r = &sb->ring[i & (sb->cap - 1)];
        assert_true(r->seq == seq && r->len > 0);
        seq += r->len;
        if (r->flags & SB_SACKED) {
            sacked += r->len;
            count++;
        } else if ((r->flags & SB_LOST) && !(r->flags & SB_RTX))
            lost += r->len;
    }
    assert_true(seq == sb->nxt);
    assert_int_equal(sb->sacked_bytes, sacked);
    assert_int_equal(sb->sacked_count, count);
    assert_int_equal(sb->lost_bytes, lost);
    assert_true(sb_pipe(sb) <= sb_flight(sb));
}

/* As a connection does after an ACK: order is kept, so three SACKed packets are enough, fewer must wait ten. */
static uint64_t detect(struct scoreboard *sb, struct sb_news *n, uint64_t now)
{
    if (n->once)
        rack_delivered(&rack, n->once->sent_ns, n->once->seq + n->once->len, now);
    if (n->again)
        rack_delivered(&rack, n->again->sent_ns, n->again->seq + n->again->len, now);
    return sb_detect(sb, &rack, sb->sacked_count >= RACK_DUP_THRESH ? 0 : 10, n, now);
}

/* Nobody judges retransmissions without SACK; their marks must not pile up. */
static void test_scoreboard_forgets_marks_of_what_is_acknowledged(void **state)
{
    struct scoreboard sb;
    struct sb_news n = {0};
    uint32_t seq;

    (void)state;
    board(&sb, 4, 1000);
    for (unsigned i = 0; i < 1000; i++) {
        sb_mark_head_lost(&sb);
        assert_int_equal(sb_next_rtx(&sb, MSS, MSS, &seq), MSS);
        sb_retransmitted(&sb, seq, MSS, 6 + i);
        sb_ack(&sb, seq + MSS, &n);
        assert_int_equal(sb_reserve(&sb, 1), 0);
        sb_sent(&sb, MSS, MSS, 6 + i);
        check(&sb);
    }
    assert_true(sb.in_flight_again.tail - sb.in_flight_again.head <= 4);
    assert_true(sb.in_flight_again.cap <= 16);
    sb_fini(&sb);
}

static void test_scoreboard_finds_loss_after_three_packets_or_a_while(void **state)
{
    struct scoreboard sb;
    struct sb_news n = {0};

    (void)state;
    board(&sb, 10, 1000); /* at 5 */
    sb_sack(&sb, 3000, 4000, &n);
    assert_int_equal(detect(&sb, &n, 6), 15);
    sb_sack(&sb, 4000, 5000, &n);
    assert_int_equal(detect(&sb, &n, 6), 15);
    assert_int_equal(n.lost_bytes, 0);
    sb_sack(&sb, 5000, 6000, &n);
    assert_int_equal(detect(&sb, &n, 6), 0);
    assert_int_equal(n.lost_bytes, 2 * MSS); /* 1000 and 2000 */
    assert_int_equal(n.delivered_bytes, 3 * MSS);
    assert_int_equal(sb_pipe(&sb), 5 * MSS);
    assert_int_equal(sb.sacked_count, 3);
    check(&sb);
    sb_fini(&sb);

    board(&sb, 3, 0); /* at 5 */
    n = (struct sb_news){0};
    assert_int_equal(sb_reserve(&sb, 2), 0);
    sb_sent(&sb, 2 * MSS, MSS, 8);
    sb_sack(&sb, 4000, 5000, &n); /* the last */
    assert_int_equal(detect(&sb, &n, 9), 15);
    assert_int_equal(detect(&sb, &n, 14), 15);
    assert_int_equal(n.lost_bytes, 0);
    assert_int_equal(detect(&sb, &n, 15), 18); /* the first three; the fourth was sent later */
    assert_int_equal(n.lost_bytes, 3 * MSS);
    assert_int_equal(detect(&sb, &n, 18), 0);
    assert_int_equal(n.lost_bytes, 4 * MSS);
    check(&sb);
    sb_fini(&sb);
}

static void test_scoreboard_tells_what_was_overtaken(void **state)
{
    struct scoreboard sb;
    struct sb_news n = {0};

    (void)state;
    board(&sb, 6, 0);
    sb_ack(&sb, 1000, &n);
    sb_sack(&sb, 2000, 3000, &n);
    sb_sack(&sb, 4000, 5000, &n);
    assert_false(n.is_reordered);
    assert_int_equal(n.once->seq, 4000);
    n = (struct sb_news){0};
    sb_sack(&sb, 3000, 4000, &n);
    assert_true(n.is_reordered);
    /* What comes late because it was sent late is none. */
    n = (struct sb_news){0};
    sb_mark_all_lost(&sb);
    sb_retransmitted(&sb, 1000, 1000, 7);
    sb_ack(&sb, 5000, &n);
    assert_false(n.is_reordered);
    assert_int_equal(n.again->seq, 1000);
    check(&sb);
    sb_fini(&sb);
}

static void test_scoreboard_tells_what_came_though_believed_lost(void **state)
{
    struct scoreboard sb;
    struct sb_news n = {0};

    (void)state;
    board(&sb, 4, 0);
    sb_mark_all_lost(&sb);
    sb_retransmitted(&sb, 0, 1000, 7);
    sb_ack(&sb, 1000, &n);
    assert_int_equal(n.late_bytes, 0);
    sb_sack(&sb, 2000, 4000, &n);
    assert_int_equal(n.late_bytes, 2000);
    check(&sb);
    sb_fini(&sb);
}

static void test_scoreboard_probes_its_tail(void **state)
{
    struct scoreboard sb;
    struct sb_news n = {0};
    uint32_t seq;

    (void)state;
    board(&sb, 4, 0);
    assert_true(sb_mark_tail_lost(&sb));
    assert_int_equal(sb_next_rtx(&sb, MSS, 9 * MSS, &seq), MSS);
    assert_int_equal(seq, 3000);
    sb_retransmitted(&sb, 3000, 1000, 7);
    assert_int_equal(sb_pipe(&sb), 4000);
    sb_sack(&sb, 3000, 4000, &n); /* the probe's answer tells of all before it */
    rack_delivered(&rack, 7, 4000, 8);
    assert_int_equal(sb_detect(&sb, &rack, 1, &n, 8), 0);
    assert_int_equal(n.lost_bytes, 3000);
    assert_false(sb_mark_tail_lost(&sb));
    check(&sb);
    sb_fini(&sb);
}

static void test_scoreboard_measures_the_rate_of_delivery(void **state)
{
    struct scoreboard sb;
    struct sb_news n = {0};
    struct rate_sample r;

    (void)state;
    sb_init(&sb, 0);
    assert_int_equal(sb_reserve(&sb, 8), 0);
    for (uint64_t i = 0; i < 4; i++)
        sb_sent(&sb, MSS, MSS, 1000000 + i * 6400); /* slower than the network */
    sb_ack(&sb, 1000, &n);
    sb_sample(&sb, &n, &r, 2000000);
    assert_int_equal(r.delivered_bytes, 1000);
    assert_int_equal(r.interval_ns, 1000000); /* the first packet: a round trip */
    n = (struct sb_news){0};
    sb_ack(&sb, 4000, &n); /* three at once: ACKs were compressed */
    sb_sample(&sb, &n, &r, 2006400);
    assert_int_equal(r.delivered_bytes, 4000);
    assert_int_equal(r.prior_delivered_bytes, 0);
    assert_int_equal(r.interval_ns, 1006400);
    assert_false(r.is_idle);

    n = (struct sb_news){0};
    sb_note_idle(&sb);
    sb_sent(&sb, 2 * MSS, MSS, 3000000);
    sb_ack(&sb, 6000, &n);
    sb_sample(&sb, &n, &r, 3500032);
    assert_int_equal(r.delivered_bytes, 2000);
    assert_int_equal(r.prior_delivered_bytes, 4000);
    assert_int_equal(r.interval_ns, 500032); /* nothing was in flight: the clock began anew */
    assert_true(r.is_idle);
    n = (struct sb_news){0};
    sb_sent(&sb, MSS, MSS, 4000000);
    sb_ack(&sb, 7000, &n);
    sb_sample(&sb, &n, &r, 4500032);
    assert_false(r.is_idle);
    assert_true(rate_bytes_per_s(&r) > 1990000 && rate_bytes_per_s(&r) < 2010000);
    sb_fini(&sb);
}

static void test_scoreboard_gives_runs_to_send_again(void **state)
{
    struct scoreboard sb;
    struct sb_news n = {0};
    uint32_t seq;

    (void)state;
    board(&sb, 10, 0);
    sb_sack(&sb, 4000, 5000, &n);
    sb_sack(&sb, 6000, 10000, &n);
    detect(&sb, &n, 9);
    assert_int_equal(n.lost_bytes, 5 * MSS);
    assert_int_equal(sb_next_rtx(&sb, MSS, 3000, &seq), 3000);
    assert_int_equal(seq, 0);
    sb_retransmitted(&sb, 0, 3000, 9);
    assert_int_equal(sb_next_rtx(&sb, MSS, 3000, &seq), 1000); /* up to the SACKed one */
    assert_int_equal(seq, 3000);
    sb_retransmitted(&sb, 3000, 1000, 9);
    assert_int_equal(sb_next_rtx(&sb, MSS, 0, &seq), 1000); /* at least one */
    assert_int_equal(seq, 5000);
    sb_retransmitted(&sb, 5000, 1000, 9);
    assert_int_equal(sb_next_rtx(&sb, MSS, 3000, &seq), 0);
    assert_int_equal(sb_pipe(&sb), 5 * MSS);
    check(&sb);
    sb_fini(&sb);
}

static void test_scoreboard_finds_retransmissions_lost_again(void **state)
{
    struct scoreboard sb;
    struct sb_news n = {0};
    uint32_t seq;

    (void)state;
    board(&sb, 6, 0);
    sb_sack(&sb, 1000, 6000, &n);
    detect(&sb, &n, 9);
    assert_int_equal(sb_next_rtx(&sb, MSS, 9000, &seq), 1000);
    sb_retransmitted(&sb, 0, 1000, 9);
    detect(&sb, &n, 9);
    assert_int_equal(n.lost_again, 0);
    /* What was sent after it arrives, it does not. */
    assert_int_equal(sb_reserve(&sb, 4), 0);
    sb_sent(&sb, 1000, MSS, 9); /* in the same turn, but later */
    sb_sack(&sb, 6000, 7000, &n);
    detect(&sb, &n, 12);
    assert_int_equal(n.lost_again, 1);
    assert_int_equal(sb_next_rtx(&sb, MSS, 9000, &seq), 1000);
    assert_int_equal(seq, 0);
    /* Twice. */
    sb_retransmitted(&sb, 0, 1000, 13);
    sb_sent(&sb, 2000, MSS, 13);
    sb_sack(&sb, 8000, 9000, &n);
    detect(&sb, &n, 16);
    assert_int_equal(n.lost_again, 2);
    assert_int_equal(sb_next_rtx(&sb, MSS, 9000, &seq), 1000);
    assert_int_equal(seq, 0);
    check(&sb);
    sb_fini(&sb);
}

static void test_scoreboard_samples_only_what_was_sent_once(void **state)
{
    struct scoreboard sb;
    struct sb_news n = {0};
    uint32_t seq;

    (void)state;
    board(&sb, 2, 0); /* at 5 */
    sb_mark_head_lost(&sb);
    assert_int_equal(sb_next_rtx(&sb, MSS, MSS, &seq), MSS);
    sb_retransmitted(&sb, seq, MSS, 50);
    sb_ack(&sb, 1000, &n);
    assert_null(n.once);
    n = (struct sb_news){0};
    sb_ack(&sb, 2000, &n);
    assert_true(n.once->sent_ns == 5);
    assert_int_equal(sb_flight(&sb), 0);
    sb_fini(&sb);
}

static void test_scoreboard_forgets_sacks_of_a_reneging_peer(void **state)
{
    struct scoreboard sb;
    struct sb_news n = {0};
    uint32_t seq;

    (void)state;
    board(&sb, 5, 0);
    sb_sack(&sb, 2000, 5000, &n);
    assert_false(sb_mark_all_lost(&sb)); /* not reneged: keeps them */
    assert_int_equal(sb.lost_bytes, 2000);
    check(&sb);
    sb_ack(&sb, 2000, &n); /* acknowledges up to the SACKed range, not beyond */
    assert_true(sb_mark_all_lost(&sb));
    assert_int_equal(sb.lost_bytes, 3000);
    assert_int_equal(sb_next_rtx(&sb, MSS, 9000, &seq), 3000);
    check(&sb);
    sb_fini(&sb);
}

static void test_scoreboard_ignores_sacks_of_the_impossible(void **state)
{
    struct scoreboard sb;
    struct sb_news n = {0};

    (void)state;
    board(&sb, 5, 1000);
    sb_sack(&sb, 5000, 7000, &n);              /* beyond what was sent */
    sb_sack(&sb, 4000, 3000, &n);              /* backwards */
    sb_sack(&sb, 3000, 3000, &n);              /* empty */
    sb_sack(&sb, 0, 1000, &n);                 /* below */
    sb_sack(&sb, 1000 + (1u << 31), 2000, &n); /* half the space away */
    assert_int_equal(n.delivered_bytes, 0);
    assert_int_equal(sb.sacked.count, 0);
    sb_sack(&sb, 500, 2000, &n); /* reaches below: the part inside counts */
    assert_int_equal(n.delivered_bytes, 1000);
    check(&sb);
    sb_fini(&sb);
}

static void test_scoreboard_may_find_the_same_loss_again(void **state)
{
    struct scoreboard sb;
    struct sb_news n = {0};

    (void)state;
    board(&sb, 6, 0);
    sb_sack(&sb, 2000, 6000, &n);
    detect(&sb, &n, 9);
    assert_int_equal(n.lost_bytes, 2000);
    sb_unmark_lost(&sb); /* taken back as late, not lost */
    assert_int_equal(sb.lost_bytes, 0);
    check(&sb);
    n = (struct sb_news){0};
    detect(&sb, &n, 9); /* but the evidence is still there */
    assert_int_equal(n.lost_bytes, 2000);
    check(&sb);
    sb_fini(&sb);
}

static void test_scoreboard_is_cut_anew_for_a_smaller_packet(void **state)
{
    struct scoreboard sb;
    struct sb_news n = {0};
    uint32_t seq;

    (void)state;
    board(&sb, 4, 0);
    sb_sack(&sb, 1000, 2000, &n);
    assert_int_equal(sb_resegment(&sb, 400), 0);
    check(&sb);
    assert_int_equal(sb.tail - sb.head, 12);
    sb_mark_all_lost(&sb);
    check(&sb);
    assert_int_equal(sb_next_rtx(&sb, 400, 400, &seq), 400);
    sb_fini(&sb);
}

/* 32 MiB in flight, and the path takes 576 bytes from now on: more records than the bound, which holds again when they are gone. */
static void test_scoreboard_is_cut_beyond_its_bound(void **state)
{
    struct scoreboard sb;
    struct sb_news n = {0};
    uint32_t seq;

    (void)state;
    sb_init(&sb, 0);
    for (unsigned i = 0; i < 512; i++) {
        assert_int_equal(sb_reserve(&sb, 46), 0);
        sb_sent(&sb, 65536, 1448, 1);
    }
    assert_int_equal(sb_resegment(&sb, 400), 0);
    assert_true(sb.tail - sb.head > SB_MAX_RECORDS);
    sb_mark_all_lost(&sb);
    assert_int_equal(sb_next_rtx(&sb, 400, 400, &seq), 400);
    assert_int_equal(sb_reserve(&sb, SB_MAX_RECORDS), -1);
    sb_ack(&sb, 32u << 20, &n);
    assert_int_equal(sb.lost_bytes, 0);
    assert_int_equal(sb_reserve(&sb, 100), 0);
    sb_fini(&sb);
}

static void test_scoreboard_marks_what_never_left(void **state)
{
    struct scoreboard sb;
    uint32_t seq;

    (void)state;
    board(&sb, 6, 0);
    sb_unsent(&sb, 4000, 2000); /* the newest: as if never sent */
    assert_int_equal(sb.nxt, 4000);
    assert_int_equal(sb_next_rtx(&sb, MSS, 9000, &seq), 0);
    check(&sb);
    sb_mark_all_lost(&sb);
    assert_int_equal(sb_next_rtx(&sb, MSS, 9000, &seq), 4000);
    sb_retransmitted(&sb, 0, 4000, 7);
    sb_unsent(&sb, 2000, 2000); /* retransmitted: lost again */
    assert_int_equal(sb_pipe(&sb), 2000);
    assert_int_equal(sb_next_rtx(&sb, MSS, 9000, &seq), 2000);
    assert_int_equal(seq, 2000);
    check(&sb);
    sb_fini(&sb);
}

static void random_turn(struct scoreboard *sb, struct rng *r, uint64_t now)
{
    struct sb_news n = {0};
    uint32_t seq, len, flight = sb_flight(sb);

    switch (rng_below(r, 7)) {
    case 0:
    case 1:
        len = 1 + (uint32_t)rng_below(r, 8 * MSS);
        assert_int_equal(sb_reserve(sb, len / MSS + 1), 0);
        sb_sent(sb, len, MSS, now);
        break;
    case 2:
        if (flight)
            sb_ack(sb,
                   sb->una + 1 +
                       (uint32_t)rng_below(r, rng_below(r, 4) ? (flight < 3000 ? flight : 3000) : flight),
                   &n);
        break;
    case 3:
    case 4:
        seq = sb->una - 100 + (uint32_t)rng_below(r, flight + 200);
        sb_sack(sb, seq, seq + 1 + (uint32_t)rng_below(r, 4 * MSS), &n);
        detect(sb, &n, now);
        break;
    case 5:
        if ((len = sb_next_rtx(sb, MSS, (uint32_t)rng_below(r, 5 * MSS), &seq)))
            sb_retransmitted(sb, seq, len, now);
        else
            assert_int_equal(sb->lost_bytes, 0);
        break;
    default:
        switch (rng_below(r, 14)) {
        case 4: sb_mark_tail_lost(sb); break;
        case 0: sb_mark_all_lost(sb); break;
        case 1: sb_mark_head_lost(sb); break;
        case 2: sb_unmark_lost(sb); break;
        case 3: sb_unsent(sb, sb->una + (uint32_t)rng_below(r, flight + 1), 1500); break;
        default: break;
        }
    }
}

static void test_scoreboard_counts_right_whatever_happens(void **state)
{
    struct rng r;

    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct scoreboard sb;
        rng_init_seeded(&r, seed);
        sb_init(&sb, seed % 2 ? 0xffffe000u : 5);
        for (uint64_t k = 0; k < 400; k++) {
            random_turn(&sb, &r, k + 1);
            check(&sb);
        }
        /* All that is lost comes up to be sent again: nothing is forgotten. */
        uint32_t seq, len;
        sb_mark_all_lost(&sb);
        while ((len = sb_next_rtx(&sb, MSS, 3 * MSS, &seq)))
            sb_retransmitted(&sb, seq, len, 999);
        assert_int_equal(sb.lost_bytes, 0);
        check(&sb);
        sb_fini(&sb);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scoreboard_forgets_marks_of_what_is_acknowledged),
        cmocka_unit_test(test_scoreboard_finds_loss_after_three_packets_or_a_while),
        cmocka_unit_test(test_scoreboard_tells_what_was_overtaken),
        cmocka_unit_test(test_scoreboard_tells_what_came_though_believed_lost),
        cmocka_unit_test(test_scoreboard_probes_its_tail),
        cmocka_unit_test(test_scoreboard_measures_the_rate_of_delivery),
        cmocka_unit_test(test_scoreboard_gives_runs_to_send_again),
        cmocka_unit_test(test_scoreboard_finds_retransmissions_lost_again),
        cmocka_unit_test(test_scoreboard_samples_only_what_was_sent_once),
        cmocka_unit_test(test_scoreboard_forgets_sacks_of_a_reneging_peer),
        cmocka_unit_test(test_scoreboard_ignores_sacks_of_the_impossible),
        cmocka_unit_test(test_scoreboard_may_find_the_same_loss_again),
        cmocka_unit_test(test_scoreboard_is_cut_anew_for_a_smaller_packet),
        cmocka_unit_test(test_scoreboard_is_cut_beyond_its_bound),
        cmocka_unit_test(test_scoreboard_marks_what_never_left),
        cmocka_unit_test(test_scoreboard_counts_right_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
