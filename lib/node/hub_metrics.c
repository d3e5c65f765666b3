#include "node/hub_impl.h"

#include <stdlib.h>

#include "http/http_metrics.h"
#include "node/worker.h"

#define TOPICS_SHOWN 256 /* series of each kind */

/* Dashboards know these names under a prefix of the mode. */
static void family(struct metrics *m, const char *prefix, const char *name, const char *type, const char *help, double v)
{
    char full[128];

    snprintf(full, sizeof(full), "%s%s", prefix, name);
    metrics_family(m, full, type, help);
    metrics_double(m, NULL, 0, v);
}

static void counter(struct metrics *m, const char *prefix, const char *name, const char *help, uint64_t v)
{
    family(m, prefix, name, "counter", help, (double)v);
}

/* family: announced by the caller. */
static void durations(struct metrics *m, const struct durations *d)
{
    struct metrics_hist h;

    metrics_hist_init(&h, durations_bounds_s, DURATIONS_CLASSES);
    for (unsigned i = 0; i <= DURATIONS_CLASSES; i++)
        atomic_init(&h.buckets[i], d->counts[i]);
    atomic_init(&h.sum, (double)d->sum_ns / 1e9);
    metrics_hist_write(m, NULL, 0, &h);
}

static void mode_families(struct hub *h, struct metrics *m, const struct snapshot *s)
{
    const struct pubsub_counters *p = &s->pubsub;
    const char *x = h->cfg.config->mode == NODE_OPTIMUM ? "optimum_mump2p_" : "optimum_gossip_p2p_";

    counter(m, x, "delivered_messages_count", "Messages delivered whole to this node", p->delivered);
    counter(m, x, "delivered_messages_bytes", "Payload bytes delivered to this node", p->delivered_bytes);
    metrics_family(m, h->cfg.config->mode == NODE_OPTIMUM ? "optimum_mump2p_delivered_messages_delay_seconds"
                                                          : "optimum_gossip_p2p_delivered_messages_delay_seconds",
                   "histogram", "From the first part of a message of another node that we had (header, shard or all) to its delivery");
    durations(m, &p->delays);
    counter(m, "codecast_", "delivered_shards_total", "Shards that the delivered messages were cut into (k); of a plain one 1", p->delivered_shards);
    counter(m, x, "received_messages_count", "RPCs received from peers", p->rpc_in);
    counter(m, x, "received_messages_bytes", "Bytes of RPCs received from peers", p->rpc_in_bytes);
    counter(m, x, "dropped_queue_full_total", "RPCs not sent because a peer's queue was full", p->rpc_dropped + s->send_dropped);
    counter(m, "codecast_", "put_off_total", "Messages that waited for a peer to have room", p->put_off);
    counter(m, "codecast_", "put_off_spared_total", "Of them, not sent: the peer had them by then", p->spared);
    counter(m, "codecast_", "publishes_held_total", "Publishes of clients that waited while peers were behind", s->publishes_held);
    family(m, "codecast_", "publishes_waiting", "gauge", "Of them, waiting now", s->publishes_waiting);
    counter(m, x, "dropped_rejected_total", "Messages and RPCs rejected as invalid", p->rejected + p->invalid_rpc);
    counter(m, x, "dropped_throttled_total", "Control messages past a peer's budget", p->control_ignored);
    counter(m, x, "shards_total", "Shards received", p->shards_in);
    counter(m, x, "shards_duplicate_total", "Shards received that we had", p->shards_duplicate);
    counter(m, x, "shards_unhelpful_total", "Shards received that were linearly dependent", p->shards_unhelpful);
    counter(m, x, "shards_unnecessary_total", "Shards received after the message was decodable", p->shards_unnecessary);
    family(m, x, "total_peers", "gauge", "Connected peers", s->npeers);
    metrics_family(m, h->cfg.config->mode == NODE_OPTIMUM ? "optimum_mump2p_peers_per_protocol" : "optimum_gossip_p2p_peers_per_protocol",
                   "gauge", "Peers by the pub/sub protocol that their stream speaks");
    for (unsigned i = 0; i < PUBSUB_PROTO_COUNT; i++) {
        struct metrics_label l = {"protocol", pubsub_proto_ids[i]};
        unsigned n = 0;
        for (unsigned j = 0; j < s->npeers; j++)
            n += strcmp(s->peers[j].protocol, pubsub_proto_ids[i]) == 0;
        metrics_u64(m, &l, 1, n);
    }
}

static void client_families(struct hub *h, struct metrics *m, const struct snapshot *s)
{
    counter(m, "optimum_p2p_", "messages_published_total", "Messages published by clients of this node", h->n.published);
    counter(m, "optimum_p2p_", "messages_received_total", "Messages delivered to clients of this node", h->n.delivered);
    metrics_family(m, "optimum_p2p_message_size_bytes", "histogram", "Payload sizes of those");
    metrics_hist_write(m, NULL, 0, &h->sizes);
    counter(m, "optimum_p2p_", "publish_errors_total", "Publishes that failed",
            h->n.failed + h->n.refused_size + h->n.refused_topic + h->n.refused_full);
    family(m, "optimum_p2p_", "active_topics", "gauge", "Topics with a subscriber here", hub_topics_read(h));
    family(m, "codecast_", "topics_known", "gauge", "Topics that this node or a peer of it is in", s->pubsub.topics_now);
    counter(m, "codecast_", "publish_deduplicated_total", "Publishes of a payload that its topic had within 120 s", h->n.duplicates);
    counter(m, "codecast_", "deliver_deduplicated_total", "Deliveries of a payload that its topic had within 120 s",
            h->n.delivered_duplicates);
    counter(m, "codecast_", "publish_refused_size_total", "Publishes larger than the maximum message size", h->n.refused_size);
    counter(m, "codecast_", "publish_refused_full_total", "Publishes refused because the ring to the data path was full",
            h->n.refused_full);
    counter(m, "codecast_", "traces_total", "Trace events given to clients", h->n.traces);
    counter(m, "codecast_", "traces_dropped_total", "Trace events dropped because clients or rings were slow", s->traces_dropped);
    counter(m, "codecast_", "notes_dropped_total", "Log lines of the data path dropped because its ring was full", s->notes_dropped);
    counter(m, "codecast_", "notes_left_out_total", "Log lines about peers left out because there were too many", s->notes_left_out);
    counter(m, "codecast_", "snapshots_late_total", "Snapshots that the data path did not answer in a second", h->n.snapshots_late);
    counter(m, "codecast_", "hub_late_total", "Messages to the data path that waited for room in its ring", h->n.late);
    counter(m, "codecast_", "hub_late_lost_total", "Messages to the data path lost for lack of memory", h->n.late_lost);
}

static void shard_families(struct metrics *m, const struct pubsub_counters *p)
{
    counter(m, "codecast_", "shards_sent_total", "Shards sent", p->shards_out);
    counter(m, "codecast_", "shards_sent_bytes_total", "Payload bytes of shards sent", p->shards_out_bytes);
    counter(m, "codecast_", "shards_received_bytes_total", "Payload bytes of shards received", p->shards_in_bytes);
    counter(m, "codecast_", "shards_new_total", "Shards that raised a rank", p->shards_new);
    counter(m, "codecast_", "shards_forged_total", "Shards that did not match their header", p->shards_forged);
    counter(m, "codecast_", "shards_refused_total", "Shards refused by a limit", p->shards_refused);
    counter(m, "codecast_", "headers_received_total", "Generation headers received", p->headers_in);
    counter(m, "codecast_", "headers_bad_total", "Generation headers with a wrong signature or shape", p->headers_bad);
    counter(m, "codecast_", "decoded_total", "Generations decoded", p->decoded);
    counter(m, "codecast_", "solved_ahead_total", "Generations solved but for their last row while that was awaited", p->solved_ahead);
    counter(m, "codecast_", "decoded_ahead_total", "Of those decoded, the ones finished from there in one pass", p->decoded_ahead);
    counter(m, "codecast_", "decode_failed_total", "Decodings whose result was forged and were repaired", p->decode_failed);
    counter(m, "codecast_", "doubt_rows_total", "Coded rows taken of a generation whose rows did not verify", p->shards_aside);
    counter(m, "codecast_", "doubt_tries_total", "Choices of such rows that were tried", p->doubt_tries);
    counter(m, "codecast_", "doubt_solved_total", "Generations that one of them decoded", p->doubt_solved);
    counter(m, "codecast_", "doubt_deferred_total", "Times that the bound on trying put it off", p->doubt_deferred);
    counter(m, "codecast_", "repairs_asked_total", "Repair requests sent", p->repairs_asked);
    counter(m, "codecast_", "repairs_served_total", "Repair requests answered", p->repairs_served);
    counter(m, "codecast_", "gossip_sent_bytes_total", "Bytes of gossip about coded messages", p->gossip_out_bytes);
    counter(m, "codecast_", "gossip_deferred_total", "Turns of that gossip put off to the next heartbeat by its bound", p->gossip_deferred);
    counter(m, "codecast_", "generations_expired_total", "Generations given up undecoded", p->generations_expired);
    counter(m, "codecast_", "generations_refused_total", "Generations refused by a limit", p->generations_refused);
    metrics_gauge(m, "codecast_generations", "Generations known", (double)p->generations_now);
    metrics_gauge(m, "codecast_rows_bytes", "Bytes held in rows of undecoded generations", (double)p->rows_bytes);
    metrics_gauge(m, "codecast_rows_bytes_limit", "Most of them", (double)p->rows_bytes_limit);
    metrics_gauge(m, "codecast_undecoded_generations", "Generations not decoded yet", (double)p->undecoded_now);
    metrics_gauge(m, "codecast_undecoded_largest_bytes", "Bytes held by the largest undecoded generation",
                  (double)p->undecoded_bytes_max);
    metrics_gauge(m, "codecast_peer_rows_bytes_max", "Bytes of undecoded generations charged to the peer with most",
                  (double)p->peer_rows_bytes_max);
    metrics_gauge(m, "codecast_peer_rows_bytes_limit", "Most that is charged to one peer", (double)p->peer_rows_bytes_limit);
    metrics_gauge(m, "codecast_kept_bytes", "Bytes of messages kept for late peers", (double)p->kept_bytes);
    counter(m, "codecast_", "replayed_total", "Messages of long ago that came again and were not passed on (REPLAY_GUARD)", p->replayed);
    metrics_gauge(m, "codecast_replay_authors", "Authors whose largest seqno is known", p->authors_now);
    counter(m, "codecast_", "replay_authors_evicted_total", "Authors that made way for others, or found no memory", p->authors_evicted);
    counter(m, "codecast_", "seen_evicted_total", "Message ids forgotten early because the cache was full", p->seen_evicted);
    counter(m, "codecast_", "kept_evicted_total", "Kept messages let go early because of the bound in bytes", p->mcache_evicted);
    metrics_gauge(m, "codecast_seen_messages", "Message ids remembered", (double)p->seen_now);
}

static void control_families(struct metrics *m, const struct pubsub_counters *p)
{
    const struct {
        const char *kind;
        uint64_t in, out;
    } row[] = {{"graft", p->graft_in, p->graft_out},
               {"prune", p->prune_in, p->prune_out},
               {"ihave", p->ihave_in, p->ihave_out},
               {"iwant", p->iwant_in, p->iwant_out},
               {"idontwant", p->idontwant_in, p->idontwant_out}};

    metrics_family(m, "codecast_control_total", "counter", "Control messages by kind and direction");
    for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct metrics_label in[] = {{"kind", row[i].kind}, {"direction", "in"}};
        struct metrics_label out[] = {{"kind", row[i].kind}, {"direction", "out"}};
        metrics_u64(m, in, 2, row[i].in);
        metrics_u64(m, out, 2, row[i].out);
    }
    counter(m, "codecast_", "messages_duplicate_total", "Plain messages received again", p->duplicates);
    counter(m, "codecast_", "iwant_served_total", "Messages sent because a peer asked by IWANT", p->iwant_served);
    counter(m, "codecast_", "oversize_total", "Messages of peers larger than the maximum message size", p->oversize);
}

static void score_families(struct metrics *m, const struct snapshot *s)
{
    static const struct {
        double from;
        const char *name;
    } bands[] = {{0, "good"}, {-10, "negative"}, {-50, "no_gossip"}, {-80, "no_publish"}, {-1e300, "graylisted"}};
    const struct pubsub_counters *p = &s->pubsub;

    metrics_family(m, "codecast_peers_by_score", "gauge", "Peers by the band that their score is in");
    for (unsigned i = 0; i < sizeof(bands) / sizeof(bands[0]); i++) {
        unsigned n = 0;
        for (unsigned j = 0; j < s->npeers; j++)
            n += (s->peers[j].info.score >= bands[i].from || i == 4) && (i == 0 || s->peers[j].info.score < bands[i - 1].from);
        metrics_u64(m, &(struct metrics_label){"band", bands[i].name}, 1, n);
    }
    metrics_family(m, "codecast_limits_total", "counter", "What peers asked for past a limit of one peer and heartbeat");
    for (unsigned i = 0; i < PUBSUB_LIMIT_COUNT; i++)
        metrics_u64(m, &(struct metrics_label){"limit", pubsub_limit_names[i]}, 1, p->limits[i]);
    counter(m, "codecast_", "floods_total", "Times that a peer went so far past a limit that it cost score", p->floods);
    counter(m, "codecast_", "graylisted_rpcs_total", "RPCs ignored for their sender's score", p->graylisted);
    counter(m, "codecast_", "bad_signatures_total", "Plain messages with a wrong signature", p->bad_signatures);
    counter(m, "codecast_", "promises_broken_total", "IHAVEs that were asked for and not followed by the message", p->promises_broken);
    counter(m, "codecast_", "backoff_violations_total", "GRAFTs that came before the backoff ended", p->backoff_violations);
    counter(m, "codecast_", "opportunistic_grafts_total", "Peers grafted because the mesh's median score was low",
            p->opportunistic_grafts);
    counter(m, "codecast_", "mesh_refills_total", "Peers grafted at once because a member had left a mesh that was too small", p->refills);
    counter(m, "codecast_", "mesh_missed_total", "Peers grafted, or asked for a place, because they brought what a small mesh had missed", p->missed_grafts);
    counter(m, "codecast_", "mesh_made_room_total", "Members of full meshes that made room for a peer that asked", p->made_room);
    counter(m, "codecast_", "needy_sent_total", "Places asked for, in a mesh too small, of peers within their backoff", p->needy_out);
    counter(m, "codecast_", "needy_received_total", "Places that peers asked for so", p->needy_in);
    counter(m, "codecast_", "needy_taken_total", "Of them, given beyond Dhi or within a backoff", p->needy_taken);
    counter(m, "codecast_", "needy_refused_total", "Of them, not given: the places were taken, or the peer had one lately", p->needy_refused);
    counter(m, "codecast_", "slow_pruned_total", "Peers that left a mesh because they stayed slow", p->slow_pruned);
    counter(m, "codecast_", "px_sent_total", "Peers that our PRUNEs named", p->px_out);
    counter(m, "codecast_", "px_received_total", "Peers that PRUNEs named to us", p->px_in);
    counter(m, "codecast_", "px_ignored_total", "Of them, named by peers that are not trusted enough, or too many", p->px_ignored);
    counter(m, "codecast_", "px_bad_records_total", "Signed peer records that were not good", p->px_bad_records);
    counter(m, "codecast_", "px_dials_total", "Peers that we wanted to dial because a PRUNE named them", p->px_dials);
}

static void peer_families(struct metrics *m, const struct snapshot *s)
{
    metrics_gauge(m, "codecast_peers_known", "Peers in the peer store, connected or not", s->peers_known);
    counter(m, "codecast_", "peers_trimmed_total", "Peers let go because there were more than CONN_HIGH", s->peers_trimmed);
    counter(m, "codecast_", "peers_idle_closed_total", "Peers let go because they were of no use", s->peers_idle_closed);
    counter(m, "codecast_", "peers_turned_away_total", "Connections turned away because there were MAX_PEERS, or too many", s->peers_turned_away);
    counter(m, "codecast_", "identities_dropped_total", "Identify messages of peers that sent more than one a second",
            s->identities_dropped);
    counter(m, "codecast_", "peers_not_allowed_total", "Connections refused because the peer is not on the allow-list",
            s->net.refused_peer);
    counter(m, "codecast_", "peers_unkept_total", "Peers heard of for whom the peer store had no place", s->peers_unkept);
    counter(m, "codecast_", "dials_total", "Dials begun", s->dials);
    metrics_gauge(m, "codecast_confirmed_addrs", "Addresses of ours that peers have confirmed and we announce", s->nfound);
    counter(m, "codecast_", "observed_refused_total", "Words of peers about our address that were not believable, or over a bound",
            s->observed_refused);
    metrics_gauge(m, "codecast_dht_table_peers", "Peers in the DHT's routing table", s->kad.table_now);
    counter(m, "codecast_", "dht_lookups_total", "Lookups in the DHT that came to their end", s->kad.walks);
    counter(m, "codecast_", "dht_found_total", "Peers with addresses that the DHT named", s->kad.found);
    counter(m, "codecast_", "dht_asked_total", "Questions to other DHT servers", s->kad.asked);
    counter(m, "codecast_", "dht_failed_total", "Of them, without a good answer", s->kad.failures);
    counter(m, "codecast_", "dht_unasked_total", "Of them, not put: a limit or memory of our own", s->kad.unasked);
    counter(m, "codecast_", "dht_served_total", "DHT requests of others that were answered", s->kad.served);
    counter(m, "codecast_", "dht_refused_total", "DHT requests of others that were reset", s->kad.refused);
    counter(m, "codecast_", "requests_refused_total", "Request streams of peers past a limit", s->net.requests_refused);
}

/* Every count of our own stack: each of its drops has a name there. */
static void tcp_families(struct metrics *m, const struct tcp_counters *c)
{
    metrics_family(m, "codecast_tcp_events_total", "counter", "What our own TCP counted, by its name in lib/tcp/counters.h");
#define COUNT(name) metrics_u64(m, (struct metrics_label[]){{"event", #name}}, 1, c->name);
    TCP_COUNTERS(COUNT)
#undef COUNT
}

static void net_families(struct metrics *m, const struct snapshot *s)
{
    const struct net_counters *n = &s->net;
    struct metrics_label driver = {"driver", s->driver};
    struct metrics_label in = {"direction", "in"}, out = {"direction", "out"};

    metrics_family(m, "optimum_bandwidth_total_bytes", "counter", "Bytes on the wire of peer connections");
    metrics_u64(m, &in, 1, n->wire_bytes_in);
    metrics_u64(m, &out, 1, n->wire_bytes_out);
    metrics_family(m, "optimum_bandwidth_messages_total", "counter", "RPC frames of peers");
    metrics_u64(m, &in, 1, n->frames_in);
    metrics_u64(m, &out, 1, n->frames_out);
    metrics_family(m, "optimum_bandwidth_traffic_bytes_total", "counter", "Bytes of RPC frames of peers");
    metrics_u64(m, &in, 1, n->bytes_in);
    metrics_u64(m, &out, 1, n->bytes_out);
    metrics_family(m, "optimum_conn_total_connections", "counter", "Connections made since the start");
    metrics_u64(m, &in, 1, n->conns_in);
    metrics_u64(m, &out, 1, n->conns_out);
    metrics_gauge(m, "optimum_conn_streams_current", "Streams of peer connections now", n->streams_now);
    metrics_gauge(m, "codecast_conns_now", "Peer connections now", n->conns_now);
    metrics_family(m, "optimum_conn_stream_duration_seconds", "histogram", "How long the peer connections that are over lasted");
    durations(m, &n->lasted);
    metrics_family(m, "codecast_net_driver", "gauge", "The data path in use");
    metrics_u64(m, &driver, 1, 1);
    counter(m, "codecast_", "net_events_lost_total", "Events of connections, frames among them, for which there was no memory", n->events_lost);
    counter(m, "codecast_", "conns_refused_total", "Connections refused by a limit", n->conns_refused);
    counter(m, "codecast_", "conns_refused_full_total", "Connections refused because there were too many", n->refused_full);
    counter(m, "codecast_", "conns_refused_ip_total", "Connections refused because their address had too many", n->refused_ip);
    counter(m, "codecast_", "accepts_failed_total", "Connections not taken for lack of descriptors, memory or backlog",
            n->accepts_failed);
    counter(m, "codecast_", "handshakes_evicted_total", "Handshakes that made way for newer ones", n->handshakes_evicted);
    counter(m, "codecast_", "peers_stalled_total", "Connections cut because the peer took nothing for too long", n->peers_stalled);
    counter(m, "codecast_", "handshakes_failed_total", "Handshakes that failed", n->handshakes_failed);
    counter(m, "codecast_", "dials_failed_total", "Dials that failed", n->dials_failed);
    counter(m, "codecast_", "frames_oversize_total", "Connections cut because of an oversize frame", n->frames_oversize);
    counter(m, "codecast_", "frames_no_memory_total", "Connections cut because a frame found no memory", n->frames_no_memory);
    counter(m, "codecast_", "frames_stalled_total", "Connections cut because a frame stopped half way", n->frames_stalled);
    counter(m, "codecast_", "streams_replaced_total", "Inbound streams replaced by a newer one", n->streams_replaced);
    counter(m, "codecast_", "frames_unassigned_total", "Frames of peers whose stream never became ready", s->frames_dropped);
    counter(m, "codecast_", "queue_full_total", "RPCs refused by a full connection queue", n->queue_full);
    counter(m, "codecast_", "pool_refused_total", "Buffers refused by a full pool", s->pool_refused);
    counter(m, "codecast_", "tcp_retransmits_total", "TCP segments sent again by our own stack", n->tcp_retransmits);
    counter(m, "codecast_", "tcp_checksum_errors_total", "TCP segments with a wrong checksum", n->tcp_checksum_errors);
    tcp_families(m, &n->tcp);
    metrics_family(m, "codecast_packets_total", "counter", "Packets of the port");
    metrics_u64(m, &in, 1, n->packets_in);
    metrics_u64(m, &out, 1, n->packets_out);
    metrics_family(m, "codecast_packets_dropped_total", "counter", "Packets that the port or its ring dropped");
    metrics_u64(m, &in, 1, n->packets_dropped_in);
    metrics_u64(m, &out, 1, n->packets_dropped_out);
}

static void port_families(struct metrics *m, const struct port_counters *p)
{
    counter(m, "codecast_", "port_full_total", "Times that the port took no more for now", p->tx_full);
    counter(m, "codecast_", "port_no_memory_total", "Packets that found no memory of the port", p->no_memory);
    counter(m, "codecast_", "port_foreign_total", "Packets of another VLAN than NET_VLAN", p->foreign);
    counter(m, "codecast_", "port_truncated_total", "Packets longer than the port's slots", p->truncated);
    counter(m, "codecast_", "port_zeroed_total", "Packets acknowledged and then not to be read: their connections break", p->zeroed);
    counter(m, "codecast_", "port_unkept_total", "Packets copied because half of the port's memory was held", p->unkept);
    counter(m, "codecast_", "port_links_down_total", "Times that the link went down, or the port was lost", p->links_down);
    counter(m, "codecast_", "port_lost_total", "Times that the port's interface or device was removed", p->lost);
    counter(m, "codecast_", "port_found_total", "Times that it was there again and opened anew", p->found);
    counter(m, "codecast_", "port_unopened_total", "Attempts to open it anew that failed: rights that were given up, or another shape", p->unopened);
    counter(m, "codecast_", "port_resets_total", "Times that the device asked for a reset", p->resets);
    counter(m, "codecast_", "port_mac_changed_total", "Times that our interface got another MAC", p->mac_changed);
    counter(m, "codecast_", "port_mtu_changed_total", "Times that our interface got another MTU", p->mtu_changed);
    counter(m, "codecast_", "port_neigh_denied_total", "Net roles to which the kernel denies its neighbours (netlink)", p->neigh_denied);
    counter(m, "codecast_", "port_neigh_overruns_total", "Times that news of the kernel's neighbours were missed and all were read again", p->neigh_overruns);
    counter(m, "codecast_", "captured_packets_total", "Packets that --pcap saw", p->captured);
    counter(m, "codecast_", "capture_dropped_total", "Of them, not in the file: its ring was full", p->capture_dropped);
}

enum ring_field { RING_PUSHED, RING_FULL, RING_DROPPED, RING_BATCHES, RING_DEPTH, RING_PEAK, RING_CAPACITY, RING_BATCH_PEAK };

static uint64_t ring_value(const struct snapshot_ring *r, enum ring_field f)
{
    switch (f) {
    case RING_PUSHED: return r->pushed;
    case RING_FULL: return r->full;
    case RING_DROPPED: return r->dropped;
    case RING_BATCHES: return r->batches;
    case RING_DEPTH: return r->depth;
    case RING_PEAK: return r->peak;
    case RING_CAPACITY: return r->capacity;
    case RING_BATCH_PEAK: return r->batch_peak;
    }
    return 0;
}

static void ring_families(struct metrics *m, const struct snapshot *s)
{
    static const struct {
        enum ring_field field;
        const char *name, *type, *help;
    } t[] = {
        {RING_PUSHED, "codecast_ring_messages_total", "counter", "Messages that crossed a ring"},
        {RING_FULL, "codecast_ring_full_total", "counter", "Times a ring was full and its producer waited"},
        {RING_DROPPED, "codecast_ring_dropped_total", "counter", "Messages done without (traces, log lines) because a ring had no room"},
        {RING_BATCHES, "codecast_ring_batches_total", "counter", "Runs of messages taken until a ring was empty; messages by batches is their mean size"},
        {RING_DEPTH, "codecast_ring_depth", "gauge", "Messages in a ring now"},
        {RING_PEAK, "codecast_ring_peak", "gauge", "Most messages ever in a ring"},
        {RING_CAPACITY, "codecast_ring_capacity", "gauge", "Messages that a ring can hold"},
        {RING_BATCH_PEAK, "codecast_ring_batch_peak", "gauge", "The longest run of messages taken until a ring was empty"},
    };

    for (unsigned f = 0; f < sizeof(t) / sizeof(t[0]); f++) {
        metrics_family(m, t[f].name, t[f].type, t[f].help);
        for (unsigned i = 0; i < s->nrings; i++)
            metrics_u64(m, &(struct metrics_label){"ring", s->rings[i].name}, 1, ring_value(&s->rings[i], t[f].field));
    }
}

static void job_families(struct metrics *m, const struct snapshot *s)
{
    metrics_family(m, "codecast_jobs_total", "counter", "Signatures of messages and hashes of shards that were made jobs for the coding lcores");
    metrics_u64(m, &(struct metrics_label){"kind", "verify"}, 1, s->pubsub.jobs_verify);
    metrics_u64(m, &(struct metrics_label){"kind", "hash"}, 1, s->pubsub.jobs_hash);
    counter(m, "codecast_", "jobs_here_total", "Of them, done by the router itself: no helper was free, or it was not worth the way", s->jobs_here);
}

/* What each net role has of the sums above. */
static void role_families(struct metrics *m, const struct snapshot *s)
{
    static const char *const numbers[NET_ROLES_MAX] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"};

    metrics_family(m, "codecast_net_role_connections", "gauge", "Connections of a net role");
    for (unsigned i = 0; i < s->nnets; i++)
        metrics_u64(m, &(struct metrics_label){"net", numbers[i]}, 1, s->nets[i].conns);
    metrics_family(m, "codecast_net_role_bytes_total", "counter", "Bytes on the wire of a net role's connections");
    for (unsigned i = 0; i < s->nnets; i++) {
        struct metrics_label in[] = {{"net", numbers[i]}, {"direction", "in"}}, out[] = {{"net", numbers[i]}, {"direction", "out"}};
        metrics_u64(m, in, 2, s->nets[i].wire_in);
        metrics_u64(m, out, 2, s->nets[i].wire_out);
    }
    metrics_family(m, "codecast_net_role_packets_total", "counter", "Packets of a net role's queue");
    for (unsigned i = 0; i < s->nnets; i++) {
        struct metrics_label in[] = {{"net", numbers[i]}, {"direction", "in"}}, out[] = {{"net", numbers[i]}, {"direction", "out"}};
        metrics_u64(m, in, 2, s->nets[i].packets_in);
        metrics_u64(m, out, 2, s->nets[i].packets_out);
    }
    metrics_family(m, "codecast_net_role_packets_dropped_total", "counter", "Packets lost in front of a net role");
    for (unsigned i = 0; i < s->nnets; i++)
        metrics_u64(m, &(struct metrics_label){"net", numbers[i]}, 1, s->nets[i].dropped_in);
}

static void topic_families(struct metrics *m, const struct snapshot *s)
{
    unsigned n = s->ntopics < TOPICS_SHOWN ? s->ntopics : TOPICS_SHOWN;

    metrics_family(m, "codecast_mesh_degree", "gauge", "Peers in the mesh of a topic, for 256 topics at most, our own first");
    for (unsigned i = 0; i < n; i++)
        metrics_u64(m, &(struct metrics_label){"topic", s->topics[i].topic}, 1, s->topics[i].mesh);
    metrics_family(m, "codecast_topic_peers", "gauge", "Peers that subscribe to a topic, for the same");
    for (unsigned i = 0; i < n; i++)
        metrics_u64(m, &(struct metrics_label){"topic", s->topics[i].topic}, 1, s->topics[i].peers);
}

void hub_metrics(struct hub *h, struct metrics *m)
{
    struct snapshot *s = hub_snapshot(h);

    metrics_gauge(m, "codecast_up", "1 when the data path answers", s != NULL);
    metrics_gauge(m, "codecast_uptime_seconds", "Seconds since the start", (double)(clock_now_ns() - h->started_ns) / 1e9);
    if (!s)
        return;
    metrics_gauge(m, "codecast_shard_factor", "Configured shards of a message (k)", h->cfg.config->shard_factor);
    metrics_gauge(m, "codecast_small_message_bytes", "Payloads up to this go plain (k = 1)", h->cfg.config->small_message);
    mode_families(h, m, s);
    client_families(h, m, s);
    shard_families(m, &s->pubsub);
    control_families(m, &s->pubsub);
    score_families(m, s);
    peer_families(m, s);
    net_families(m, s);
    port_families(m, &s->net.port);
    ring_families(m, s);
    role_families(m, s);
    job_families(m, s);
    topic_families(m, s);
    free(s);
}
