/* coding_service.c: what control asks of the router: publishes, subscriptions, snapshots, to leave (coding_int.h) */
#include <stdio.h>

#include "node/coding_int.h"

#define LEAVE_NS 2500000000ull

/* ---- snapshots ---- */

static void fill_peers(struct coding_role *r, struct snapshot *s)
{
    static struct pubsub_peer_info info[PEERS_MAX]; /* one coding role per process */
    unsigned n = pubsub_peers(r->ps, info, PEERS_MAX);

    s->npeers = 0;
    for (unsigned i = 0; i < PEERS_MAX && s->npeers < SNAPSHOT_PEERS; i++) {
        struct peer *p = r->peers.slots[i];
        if (!p)
            continue;
        struct snapshot_peer *o = &s->peers[s->npeers++];
        *o = (struct snapshot_peer){.id = p->id, .rtt_ns = p->rtt_ns, .queue_bytes = p->queue_bytes,
                                    .connected_ns = p->connected_ns, .has_stream = p->stream != 0,
                                    .rpc_in = p->rpc_in, .rpc_out = p->rpc_out, .bytes_in = p->bytes_in, .bytes_out = p->bytes_out};
        snprintf(o->agent, sizeof(o->agent), "%s", p->agent);
        if (p->stream)
            snprintf(o->protocol, sizeof(o->protocol), "%s", pubsub_proto_ids[r->cfg.protocols[p->protocol]]);
        LIST_EACH (it, &p->conns) {
            struct peer_conn *c = CONTAINER_OF(it, struct peer_conn, node);
            if (o->conns++ == 0 || c->id == p->stream) {
                o->addr = c->addr;
                o->is_dialer = c->is_dialer;
            }
        }
        for (unsigned j = 0; j < n; j++)
            if (info[j].peer == p->handle)
                o->info = info[j];
        for (unsigned t = 0; t < s->ntopics && t < 64; t++)
            if (pubsub_mesh_has(r->ps, slice_str(s->topics[t].topic), p->handle))
                o->meshes |= 1ull << t;
        o->is_in_asked = s->is_about_known && pubsub_mesh_has(r->ps, slice_str(s->about), p->handle);
    }
}

static void fill_snapshot(struct coding_role *r, struct snapshot *s, uint64_t now)
{
    s->now_ns = now;
    s->is_about_known = s->about[0] && pubsub_topic(r->ps, slice_str(s->about), &s->asked);
    s->ntopics = pubsub_topics(r->ps, s->topics, SNAPSHOT_TOPICS);
    fill_peers(r, s);
    s->ngenerations = pubsub_generations(r->ps, s->generations, SNAPSHOT_GENERATIONS);
    pubsub_holders(r->ps, &s->whole_holders, &s->part_holders);
    pubsub_counters_get(r->ps, &s->pubsub);
    s->nfound = r->nown - r->nfixed;
    for (unsigned i = 0; i < s->nfound; i++)
        s->found[i] = r->own[r->nfixed + i];
    s->observed_refused = r->observed.refused;
    s->nbootstrap_waiting = dialer_waiting(&r->dialer);
    if (r->kad)
        kad_counters_get(r->kad, &s->kad);
    s->peers_known = r->store.count;
    s->peers_trimmed = r->trimmed;
    s->peers_idle_closed = r->idle_closed;
    s->peers_turned_away = r->refused_full;
    s->identities_dropped = r->identities_dropped;
    s->peers_unkept = r->store.refused;
    s->dials = r->dialer.dialed;
    s->frames_dropped = r->frames_dropped;
    s->publishes_waiting = r->nheld;
    s->publishes_held = r->publishes_held;
    s->traces_dropped = r->traces_dropped;
    s->notes_dropped = r->notes_dropped;
    s->notes_left_out = r->peer_notes_left_out;
    s->pool_refused = r->payloads.refused;
    for (unsigned i = 0; i < r->nnets; i++)
        snapshot_add_ring(s, r->nets[i].out.ring);
    snapshot_add_ring(s, r->to_control.ring);
    for (unsigned i = 0; i < r->nhelpers; i++)
        snapshot_add_ring(s, r->helpers[i].out.ring);
    for (unsigned i = 0; i < r->nnets; i++)
        snapshot_add_batches(s, r->nets[i].in);
    for (unsigned i = 0; i < r->nhelpers; i++)
        snapshot_add_batches(s, r->helpers[i].in);
    s->jobs_here = r->jobs_here;
    snapshot_add_batches(s, r->from_control);
}

/* ---- commands of control ---- */

static void join_or_leave(struct coding_role *r, struct xpublish *p, uint64_t now)
{
    struct xmsg m = {.type = X_PUBLISHED, .publish = p};
    struct slice topic = slice_str(p->topic);

    switch (p->kind) {
    case X_SUBSCRIBE: p->err = pubsub_subscribe(r->ps, topic, now); break;
    case X_RELAY: p->err = pubsub_relay(r->ps, topic, now); break;
    default: p->err = pubsub_unsubscribe(r->ps, topic, now); break;
    }
    xout_send(&r->to_control, &m);
}

static void leave(struct coding_role *r, uint64_t now)
{
    r->is_leaving = true;
    r->leave_by_ns = now + LEAVE_NS;
    while (xring_room(r->to_control.ring) > 64 && coding_held_go_on(r, now)) /* they wait for nobody now */
        ;
    pubsub_leave(r->ps, now);
}

/* After the farewells are queued: close every connection, wait for the last, tell control. */
void coding_go_on_leaving(struct coding_role *r, uint64_t now)
{
    struct xmsg left = {.type = X_LEFT};

    if (!r->has_closed) {
        for (unsigned i = 0; i < PEERS_MAX; i++) {
            struct peer *p = r->peers.slots[i];
            if (!p)
                continue;
            LIST_EACH (it, &p->conns) {
                struct xmsg m = {.type = X_CLOSE, .conn = CONTAINER_OF(it, struct peer_conn, node)->id, .number = 1};
                if (!xring_push_sp(r->nets[net_conn_role(m.conn)].out.ring, &m))
                    return; /* goes on next turn; closing twice is harmless */
            }
        }
        r->has_closed = true;
    }
    if (!r->has_left && (r->peers.count == 0 || now >= r->leave_by_ns)) {
        r->has_left = true;
        xout_send(&r->to_control, &left);
    }
}

void coding_from_control(struct coding_role *r, const struct xmsg *m, uint64_t now)
{
    switch (m->type) {
    case X_PUBLISH: coding_publish(r, m->publish, now); break;
    case X_SUBSCRIBE:
    case X_RELAY:
    case X_UNSUBSCRIBE: join_or_leave(r, m->publish, now); break;
    case X_PAYLOADS_HOME:
        for (unsigned i = 0; i < m->homes.count; i++)
            buf_unref(m->homes.buf[i]);
        break;
    case X_TRACE_HOME:
        m->trace->next = r->traces;
        r->traces = m->trace;
        break;
    case X_DELIVERY_HOME:
        m->delivery->next = r->deliveries;
        r->deliveries = m->delivery;
        break;
    case X_SNAPSHOT:
        fill_snapshot(r, m->snapshot, now);
        coding_pass_snapshot(r, 0, m);
        break;
    case X_LEAVE: leave(r, now); break;
    case X_RESOLVED: coding_names_resolved(r, m->resolved, now); break;
    case X_ALLOW: coding_to_net(r, m); break;
    default: break;
    }
}
