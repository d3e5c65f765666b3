/* conn_mtu.c: how large a connection's packets may be
 * Source:  RFC 1191 (what routers say; 6.3: larger again after ten minutes; 7.1: routers that name no size), RFC 5927 7
 *          (whom to believe: only about what is in flight, and only what could have been too large), RFC 4821 in its simplest
 *          form: full packets that time out twice while nothing arrives try a smaller size, as where ICMP is filtered
 */
#include "tcp/conn.h"
#include "tcp/stack.h"

#define RAISE_AFTER_NS  600000000000ull
#define RAISE_MAX_SHIFT 6 /* a path that swallows large packets is tried ever more seldom */
#define HOLE_MAX_TIMEOUTS 9
#define HOLE_TIMEOUTS   3 /* unanswered ones before smaller sizes are tried; each of them for two more */

/* Sizes worth trying (RFC 1191 7.1, without those of vanished networks), and IPv6's least. */
static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 1492, 1280, 1006, 576};

static uint32_t next_smaller(uint32_t mtu_bytes)
{
    unsigned i = 0, n = sizeof(plateaus) / sizeof(*plateaus);

    while (i + 1 < n && plateaus[i] >= mtu_bytes)
        i++;
    return plateaus[i];
}

static uint32_t head_bytes(const struct tcp_conn *c)
{
    return ip_hlen(&c->flow.remote.ip) + TCP_HLEN;
}

static uint32_t least_mtu(const struct tcp_conn *c)
{
    return c->flow.remote.ip.family == IP_V6 ? IPV6_MTU_MIN : PMTU_MIN;
}

void conn_set_mss(struct tcp_conn *c, bool is_initial)
{
    uint32_t ours = c->mtu_bytes - head_bytes(c);
    uint32_t least = c->peer_mss < ours ? c->peer_mss : ours;

    c->mss = least - (c->ts_ok ? TCP_TS_LEN : 0);
    cc_set_mss(&c->cc, c->mss, is_initial);
}

void conn_path_mtu(struct tcp_conn *c, uint32_t mtu_bytes)
{
    uint32_t before = c->mss;

    if (mtu_bytes < least_mtu(c))
        mtu_bytes = least_mtu(c);
    if (mtu_bytes > c->stack->cfg.mtu_bytes)
        mtu_bytes = c->stack->cfg.mtu_bytes;
    c->mtu_bytes = mtu_bytes;
    conn_set_mss(c, false);
    if (c->mss >= before || conn_is_handshake(c) || c->state == TCP_ST_CLOSED)
        return;
    /* RFC 1191 6.4: what was too large is sent again without taking it for congestion. */
    c->must_cut = true;
    if (conn_cut(c))
        sb_mark_all_lost(&c->sb);
    conn_kick(c);
}

bool conn_cut(struct tcp_conn *c)
{
    if (c->must_cut && sb_resegment(&c->sb, c->mss) == 0)
        c->must_cut = false;
    return !c->must_cut;
}

static void raise_later(struct tcp_conn *c, uint64_t now)
{
    c->mtu_raise_ns = now + (RAISE_AFTER_NS << c->mtu_raise_shift);
}

void conn_mtu_told(struct tcp_conn *c, uint32_t mtu_bytes, uint64_t now)
{
    uint32_t most = sb_flight(&c->sb) + head_bytes(c) + (c->ts_ok ? TCP_TS_LEN : 0);

    if (mtu_bytes == 0)
        mtu_bytes = next_smaller(c->mtu_bytes);
    if (mtu_bytes < least_mtu(c))
        mtu_bytes = least_mtu(c);
    if (mtu_bytes >= c->mtu_bytes || most <= mtu_bytes) {
        c->stack->n.drop_icmp_form++; /* nothing in flight can have been too large for that */
        return;
    }
    c->stack->n.pmtu_lowered++;
    conn_path_mtu(c, mtu_bytes);
    raise_later(c, now);
}

/* The next size to try where full packets vanish, 0: none is left. */
static uint32_t next_guess(const struct tcp_conn *c)
{
    uint32_t mtu_bytes = c->mtu_bytes;

    if (mtu_bytes > ETH_MTU)
        return ETH_MTU - 8; /* not 1500 itself: tunnels take some */
    if (mtu_bytes > IPV6_MTU_MIN)
        return IPV6_MTU_MIN;
    return mtu_bytes > least_mtu(c) ? least_mtu(c) : 0;
}

void conn_mtu_timeout(struct tcp_conn *c, uint64_t now)
{
    uint32_t n = c->rtt.backoff, guess = next_guess(c);

    if (conn_is_handshake(c) || n < HOLE_TIMEOUTS || (n - HOLE_TIMEOUTS) % 2 != 0)
        return;
    /* Something large has arrived, or nothing large was sent. */
    if (c->sb.sacked_bytes || (!c->mtu_before_hole && sb_head_len(&c->sb) < c->mss))
        return;
    if (!guess || n > HOLE_MAX_TIMEOUTS) {
        /* Small ones do not arrive either: size is not the trouble. */
        if (c->mtu_before_hole)
            conn_path_mtu(c, c->mtu_before_hole);
        c->mtu_before_hole = 0;
        return;
    }
    if (!c->mtu_before_hole)
        c->mtu_before_hole = c->mtu_bytes;
    c->stack->n.pmtu_blackhole++;
    conn_path_mtu(c, guess);
    raise_later(c, now);
}

void conn_mtu_progress(struct tcp_conn *c)
{
    if (c->mtu_before_hole && c->mtu_raise_shift < RAISE_MAX_SHIFT)
        c->mtu_raise_shift++;
    c->mtu_before_hole = 0;
}

void conn_mtu_raise(struct tcp_conn *c)
{
    c->mtu_raise_ns = UINT64_MAX;
    c->stack->n.pmtu_raised++;
    conn_path_mtu(c, c->stack->cfg.mtu_bytes);
}
