/* conn_ecn.c: explicit congestion notification (RFC 3168): routers mark packets instead of dropping them
 * Receiving: a marked packet is echoed in every ACK until the sender says that it has slowed down. Sending: an echo counts as a loss
 * without one, once a window, and milder (RFC 8511, cc_cubic.c)
 */
#include "tcp/conn.h"
#include "tcp/stack.h"

#define BOTH (TCP_ECE | TCP_CWR)

bool conn_ecn_is_asked(const struct tcp_config *cfg, const struct tcp_in *syn)
{
    return cfg->ecn != TCP_ECN_OFF && (syn->flags & BOTH) == BOTH;
}

void conn_ecn_negotiate(struct tcp_conn *c, const struct tcp_in *in)
{
    bool has_ack = in->flags & TCP_ACK;

    if (has_ack) /* a box on the way that returns what it gets has answered with both */
        c->ecn_ok = c->ecn_asked && (in->flags & BOTH) == TCP_ECE;
    else
        c->ecn_ok = c->state != TCP_ST_SYN_SENT && conn_ecn_is_asked(&c->stack->cfg, in);
    c->stack->n.ecn_agreed += c->ecn_ok;
}

uint8_t conn_ecn_syn_flags(struct tcp_conn *c, bool is_answer)
{
    if (is_answer)
        return c->ecn_ok ? TCP_ECE : 0;
    /* Asked once: whoever throws such a SYN away gets a plain one (RFC 3168 6.1.1.1). */
    c->ecn_asked = c->stack->cfg.ecn == TCP_ECN_ON && c->syn_timeouts == 0;
    return c->ecn_asked ? BOTH : 0;
}

void conn_ecn_received(struct tcp_conn *c, const struct tcp_in *in)
{
    if (in->payload.len && (in->flags & TCP_CWR))
        c->ecn_echo = false;
    if (!in->is_ce)
        return;
    c->stack->n.ecn_marks++;
    if (!c->ecn_echo)
        conn_ack_now(c);
    c->ecn_echo = true;
}

void conn_ecn_reduced(struct tcp_conn *c)
{
    c->ecn_recover = c->sb.nxt;
    c->has_ecn_recover = c->ecn_tell = c->ecn_ok;
}

void conn_ecn_acked(struct tcp_conn *c, const struct tcp_in *in, uint64_t now)
{
    if (c->has_ecn_recover && seq_gt(c->sb.una, c->ecn_recover))
        c->has_ecn_recover = false;
    if (!(in->flags & TCP_ECE) || c->has_ecn_recover || conn_is_handshake(c))
        return;
    if (c->recovery == CONN_OPEN && c->cc.ops->marked) {
        c->stack->n.ecn_reduced++;
        c->cc.ops->marked(&c->cc, now);
    }
    conn_ecn_reduced(c);
}
