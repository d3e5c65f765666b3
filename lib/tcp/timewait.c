#include "tcp/timewait.h"

#include "tcp/stack.h"

#define REUSE_AFTER_NS     1000000000ull
#define ANSWER_INTERVAL_NS 50000000ull /* two confused ends must not keep each other busy */

static void rearm(struct tcp_stack *s)
{
    if (list_is_empty(&s->timewait_list))
        timerq_cancel(&s->timers, &s->timewait_timer);
    else {
        const struct timewait *tw = CONTAINER_OF(s->timewait_list.next, struct timewait, link);
        timerq_set(&s->timers, &s->timewait_timer, tw->ends_ns);
    }
}

void timewait_free(struct tcp_stack *s, struct timewait *tw)
{
    table_del(&s->table, &tw->flow);
    list_del(&tw->link);
    slab_put(&s->timewaits, tw);
    rearm(s);
}

static struct timewait *timewait_new(struct tcp_stack *s)
{
    struct timewait *tw = slab_get(&s->timewaits);

    if (tw || list_is_empty(&s->timewait_list))
        return tw;
    s->n.drop_timewait_full++;
    timewait_free(s, CONTAINER_OF(s->timewait_list.next, struct timewait, link));
    return slab_get(&s->timewaits);
}

static void start(struct tcp_stack *s, struct timewait *tw, uint64_t now)
{
    tw->ends_ns = now + s->cfg.time_wait_ns;
    list_push_back(&s->timewait_list, &tw->link);
    rearm(s);
}

static void answer(struct tcp_stack *s, struct timewait *tw, const uint8_t *mac, uint64_t now)
{
    struct tcp_out o = {.src_mac = s->cfg.mac,
                        .dst_mac = mac,
                        .src_ip = stack_our_ip(s, &tw->flow.remote.ip),
                        .dst_ip = &tw->flow.remote.ip,
                        .src_port = tw->flow.local_port,
                        .dst_port = tw->flow.remote.port,
                        .seq = tw->snd_nxt,
                        .ack = tw->rcv_nxt,
                        .wnd = tw->wnd,
                        .flags = TCP_ACK,
                        .ttl = s->cfg.ttl};

    if (now < tw->quiet_until_ns) {
        s->n.drop_ack_rate++;
        return;
    }
    tw->quiet_until_ns = now + ANSWER_INTERVAL_NS;
    o.opt.has_ts = tw->ts_ok;
    o.opt.ts_val = (uint32_t)(now / 1000000) + tw->ts_offset;
    o.opt.ts_ecr = tw->ts_recent;
    stack_reply(s, &o);
}

void timewait_enter(struct tcp_stack *s, struct tcp_conn *c, uint64_t now)
{
    struct timewait *tw = timewait_new(s);

    if (c->acks_owed && conn_knows_mac(c)) {
        /* The last ACK: the connection will not be there to send it. */
        struct tcp_out o;
        conn_header(c, &o, now);
        o.wnd = conn_window(c, false);
        stack_reply(s, &o);
    }
    if (!tw)
        return;
    if (c->in_table)
        table_del(&s->table, &c->flow);
    c->in_table = false;
    *tw = (struct timewait){.flow = {.remote = c->flow.remote,
                                     .local_port = c->flow.local_port,
                                     .kind = FLOW_TIMEWAIT},
                            .began_ns = now,
                            .snd_nxt = c->sb.nxt,
                            .rcv_nxt = c->rq.nxt,
                            .ts_ok = c->ts_ok,
                            .ts_recent = c->ts_recent,
                            .ts_offset = c->ts_offset,
                            .wnd = conn_window(c, false)};
    table_add(&s->table, &tw->flow);
    start(s, tw, now);
}

bool timewait_is_reusable(const struct timewait *tw, uint64_t now)
{
    return tw->ts_ok && now - tw->began_ns >= REUSE_AFTER_NS;
}

/* RFC 6191 and RFC 9293 3.10.7.4: a SYN that cannot be an old duplicate. */
static bool is_new_syn(const struct timewait *tw, const struct tcp_in *in)
{
    if ((in->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) != TCP_SYN)
        return false;
    if (tw->ts_ok && in->opt.has_ts)
        return seq_gt(in->opt.ts_val, tw->ts_recent) ||
               (in->opt.ts_val == tw->ts_recent && seq_gt(in->seq, tw->rcv_nxt));
    return seq_gt(in->seq, tw->rcv_nxt);
}

bool timewait_input(struct tcp_stack *s, struct timewait *tw, const struct tcp_in *in, const uint8_t *src_mac,
                    uint64_t now)
{
    if (is_new_syn(tw, in) && stack_listener(s, tw->flow.local_port)) {
        s->n.timewait_reused++;
        timewait_free(s, tw);
        return true;
    }
    s->n.drop_timewait++;
    if (in->flags & TCP_RST)
        return false; /* RFC 1337 */
    /* An ACK that fits says nothing new; all else tells of a peer that missed ours. */
    if (!(in->flags & (TCP_SYN | TCP_FIN)) && in->payload.len == 0 && in->seq == tw->rcv_nxt)
        return false;
    answer(s, tw, src_mac, now);
    if (in->flags & TCP_FIN) {
        list_del(&tw->link);
        start(s, tw, now);
    }
    return false;
}

void timewait_expire(struct tcp_stack *s, uint64_t now)
{
    while (!list_is_empty(&s->timewait_list)) {
        struct timewait *tw = CONTAINER_OF(s->timewait_list.next, struct timewait, link);
        if (tw->ends_ns > now)
            break;
        timewait_free(s, tw);
    }
    rearm(s);
}
