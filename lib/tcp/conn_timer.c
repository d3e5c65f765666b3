/* conn_timer.c: every deadline of a connection
 * RTX      from the first unanswered transmission; restarted when new data are acknowledged or the head is sent again
 * TLP      two round trips after the last transmission or delivery; then twice as long each time, until RTX would be sooner
 * REORDER  when the first overdue packet counts as lost
 * PACE     when the next burst may leave, while there is one and the window has room
 * PERSIST  nothing in flight, something queued, no window (or no memory, or no neighbour): probe and look again
 * DELACK   from the first segment not yet acknowledged
 * KEEP     checked lazily: silence is measured from last_heard_ns
 * LIFE     end of the handshake's patience, of FIN_WAIT_2's
 * The queue holds the earliest of them or something earlier; moving one later costs nothing.
 */
#include "tcp/conn.h"
#include "tcp/stack.h"

#define PERSIST_MAX_SHIFT 10
#define RETRY_NS          100000000ull

void conn_timer_set(struct tcp_conn *c, enum conn_deadline d, uint64_t at)
{
    c->deadline[d] = at;
    if (!timer_is_set(&c->timer) || at < c->timer.at_ns)
        timerq_set(&c->stack->timers, &c->timer, at); /* cannot fail: reserved */
}

void conn_timer_clear(struct tcp_conn *c, enum conn_deadline d)
{
    c->deadline[d] = TIMER_NEVER;
}

static bool take_due(struct tcp_conn *c, enum conn_deadline d, uint64_t now)
{
    if (c->deadline[d] > now)
        return false;
    c->deadline[d] = TIMER_NEVER;
    return true;
}

/* No sign of progress for longer than we wait: true, and c is finished. */
static bool give_up(struct tcp_conn *c, uint64_t since, uint64_t now)
{
    if (!since || now - since < c->stack->cfg.user_timeout_ns)
        return false;
    conn_finish(c, c->unreachable ? TCP_CLOSED_UNREACHABLE : TCP_CLOSED_TIMEOUT);
    return true;
}

static bool on_rtx(struct tcp_conn *c, uint64_t now)
{
    if (sb_flight(&c->sb) == 0)
        return false;
    if (!conn_is_handshake(c) && give_up(c, c->stuck_since_ns, now))
        return true;
    conn_timeout(c, now);
    conn_mtu_timeout(c, now);
    conn_timer_set(c, CONN_RTX, now + rtt_rto_ns(&c->rtt));
    return false;
}

void conn_persist(struct tcp_conn *c, uint64_t now)
{
    uint64_t wait = rtt_rto_ns(&c->rtt)
                    << (c->persist_count < PERSIST_MAX_SHIFT ? c->persist_count : PERSIST_MAX_SHIFT);

    c->persist_count++;
    conn_timer_set(c, CONN_PERSIST,
                   now + (wait < c->stack->cfg.rto_max_ns ? wait : c->stack->cfg.rto_max_ns));
}

void conn_retry(struct tcp_conn *c, uint64_t now)
{
    conn_timer_set(c, CONN_PERSIST, now + RETRY_NS);
}

static bool on_persist(struct tcp_conn *c, uint64_t now)
{
    bool has_unsent = !c->fin_sent && (c->fin_queued || c->sb.nxt != conn_fin_seq(c));

    if (sb_flight(&c->sb))
        return false;
    if (conn_is_handshake(c) || !has_unsent) { /* the SYN, or an ACK, found no memory or no neighbour */
        conn_kick(c);
        return false;
    }
    if (give_up(c, c->stuck_since_ns, now))
        return true;
    /* A peer that answers probes but never opens its window may hold us, but not after our close. */
    if (c->fin_queued && give_up(c, c->moved_ns, now))
        return true;
    if (!c->stuck_since_ns)
        c->stuck_since_ns = now;
    c->probe_now = true;
    conn_kick(c);
    conn_persist(c, now);
    return false;
}

static bool on_keep(struct tcp_conn *c, uint64_t now)
{
    const struct tcp_config *cfg = &c->stack->cfg;
    uint64_t due = c->last_heard_ns + cfg->keepalive_idle_ns;

    if (now < due) {
        c->probes = 0;
        conn_timer_set(c, CONN_KEEP, due);
        return false;
    }
    if (sb_flight(&c->sb)) {
        /* The retransmission timer is already finding out. */
        conn_timer_set(c, CONN_KEEP, now + cfg->keepalive_interval_ns);
        return false;
    }
    if (c->probes >= cfg->keepalive_probes) {
        conn_finish(c, TCP_CLOSED_TIMEOUT);
        return true;
    }
    c->probes++;
    c->probe_now = true;
    c->stack->n.keepalive_sent++;
    conn_kick(c);
    conn_timer_set(c, CONN_KEEP, now + cfg->keepalive_interval_ns);
    return false;
}

static bool on_life(struct tcp_conn *c, uint64_t now)
{
    if (conn_is_handshake(c)) {
        conn_finish(c, c->unreachable ? TCP_CLOSED_UNREACHABLE : TCP_CLOSED_TIMEOUT);
        return true;
    }
    if (c->state != TCP_ST_FIN_WAIT_2)
        return false;
    if (now - c->last_data_ns < c->stack->cfg.fin_wait_ns) {
        conn_timer_set(c, CONN_LIFE, c->last_data_ns + c->stack->cfg.fin_wait_ns);
        return false;
    }
    stack_reset_conn(c, now);
    conn_finish(c, TCP_CLOSED_TIMEOUT);
    return true;
}

static void rearm(struct tcp_conn *c)
{
    uint64_t at = TIMER_NEVER;

    for (unsigned i = 0; i < CONN_DEADLINES; i++)
        if (c->deadline[i] < at)
            at = c->deadline[i];
    if (at == TIMER_NEVER)
        timerq_cancel(&c->stack->timers, &c->timer);
    else
        timerq_set(&c->stack->timers, &c->timer, at);
}

void conn_on_timer(struct tcp_conn *c, uint64_t now)
{
    if (take_due(c, CONN_DELACK, now)) {
        c->is_answering = false;
        conn_ack_now(c);
    }
    if (take_due(c, CONN_LIFE, now) && on_life(c, now))
        return;
    if (take_due(c, CONN_PACE, now))
        conn_kick(c);
    if (take_due(c, CONN_REORDER, now))
        conn_on_reorder(c, now);
    if (take_due(c, CONN_TLP, now))
        conn_on_probe(c, now); /* puts RTX off */
    if (take_due(c, CONN_RTX, now) && on_rtx(c, now))
        return;
    if (take_due(c, CONN_PERSIST, now) && on_persist(c, now))
        return;
    if (take_due(c, CONN_KEEP, now) && on_keep(c, now))
        return;
    rearm(c);
}
