#include "node/hub_impl.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/text.h"
#include "node/worker.h"

#define MESSAGES_SHOWN 100
#define TOPICS_SHOWN   256 /* beside the peers; /topics has more */
#define IDS_SHOWN      1024
#define SCORE_LOWEST (-1e6) /* a peer that is cut off has minus infinity, which JSON cannot say */

static json_t *peer_id_json(const struct peer_id *id)
{
    char text[PEER_ID_TEXT_MAX] = "";

    if (id->len)
        peer_id_format(id, text);
    return json_string(text);
}

static json_t *addr_json(const struct multiaddr *a)
{
    char text[MULTIADDR_TEXT_MAX];

    return json_string(multiaddr_format(multiaddr_slice(a), text, sizeof(text)) > 0 ? text : "");
}

static char *dump(json_t *j)
{
    char *text = json_dumps(j, JSON_COMPACT);

    json_decref(j);
    return text;
}

static json_t *mesh_topics(const struct snapshot *s, const struct snapshot_peer *p)
{
    json_t *a = json_array();

    for (unsigned t = 0; t < s->ntopics && t < 64; t++)
        if (p->meshes >> t & 1)
            json_array_append_new(a, json_string(s->topics[t].topic));
    return a;
}

/* P1..P7 of gossipsub's peer scoring, weighted. */
static json_t *score_parts(const struct snapshot_peer *p)
{
    static const char *const names[] = {"p1", "p2", "p3", "p4", "p5", "p6", "p7"};
    json_t *j = json_object();

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        json_object_set_new(j, names[i], json_real(p->info.score_parts[i]));
    return j;
}

static json_t *traffic_json(const struct snapshot_peer *p)
{
    return json_pack("{s:I,s:I,s:I,s:I}", "bytes_in", (json_int_t)p->bytes_in, "bytes_out", (json_int_t)p->bytes_out, "rpc_in",
                     (json_int_t)p->rpc_in, "rpc_out", (json_int_t)p->rpc_out);
}

static json_t *peer_json(const struct snapshot *s, const struct snapshot_peer *p)
{
    json_t *j = json_object();

    json_object_set_new(j, "peer_id", peer_id_json(&p->id));
    json_object_set_new(j, "address", addr_json(&p->addr));
    json_object_set_new(j, "direction", json_string(p->is_dialer ? "outbound" : "inbound"));
    json_object_set_new(j, "connections", json_integer(p->conns));
    json_object_set_new(j, "agent", json_string(p->agent));
    json_object_set_new(j, "protocol", json_string(p->protocol));
    json_object_set_new(j, "mesh", mesh_topics(s, p));
    json_object_set_new(j, "topics", json_integer(p->info.topics));
    json_object_set_new(j, "score", json_real(p->info.score < SCORE_LOWEST ? SCORE_LOWEST : p->info.score));
    json_object_set_new(j, "score_parts", score_parts(p));
    json_object_set_new(j, "rtt_ms", json_real((double)p->rtt_ns / 1e6));
    json_object_set_new(j, "traffic", traffic_json(p));
    json_object_set_new(j, "queue_bytes", json_integer((json_int_t)p->queue_bytes));
    json_object_set_new(j, "connected_seconds", json_real((double)(s->now_ns - p->connected_ns) / 1e9));
    return j;
}

static json_t *topic_json(const struct pubsub_topic_info *t)
{
    json_t *j = json_object();

    json_object_set_new(j, "topic", json_string(t->topic));
    json_object_set_new(j, "subscribed", json_boolean(t->is_subscribed));
    json_object_set_new(j, "peers", json_integer(t->peers));
    json_object_set_new(j, "mesh", json_integer(t->mesh));
    return j;
}

char *hub_json_peers(struct hub *h)
{
    struct snapshot *s = hub_snapshot(h);
    json_t *j, *peers, *topics;

    if (!s)
        return NULL;
    j = json_object();
    peers = json_array();
    topics = json_array();
    for (unsigned i = 0; i < s->npeers; i++)
        json_array_append_new(peers, peer_json(s, &s->peers[i]));
    for (unsigned i = 0; i < s->ntopics && i < TOPICS_SHOWN; i++)
        json_array_append_new(topics, topic_json(&s->topics[i]));
    json_object_set_new(j, "peer_id", json_string(h->peer_id));
    json_object_set_new(j, "cluster_id", json_string(h->cfg.config->cluster_id));
    json_object_set_new(j, "mode", json_string(hub_mode(h)));
    json_object_set_new(j, "driver", json_string(s->driver));
    json_object_set_new(j, "total_peers", json_integer(s->npeers));
    json_object_set_new(j, "total_topics", json_integer((json_int_t)s->pubsub.topics_now));
    json_object_set_new(j, "subscribed_topics", json_integer((json_int_t)s->pubsub.topics_ours_now));
    json_object_set_new(j, "bootstrap_waiting", json_integer(s->nbootstrap_waiting));
    json_object_set_new(j, "peers", peers);
    json_object_set_new(j, "topics", topics);
    free(s);
    return dump(j);
}

static json_t *own_addresses(struct hub *h, const struct snapshot *s)
{
    const struct node_config *c = h->cfg.config;
    json_t *a = json_array();

    for (unsigned i = 0; i < c->nannounce; i++)
        json_array_append_new(a, addr_json(&c->announce[i]));
    if (s->listen.len)
        json_array_append_new(a, addr_json(&s->listen));
    if (s->listen6.len && c->nannounce == 0)
        json_array_append_new(a, addr_json(&s->listen6));
    for (unsigned i = 0; i < s->nfound; i++)
        json_array_append_new(a, addr_json(&s->found[i]));
    return a;
}

char *hub_json_node_state(struct hub *h)
{
    struct snapshot *s = hub_snapshot(h);
    struct hub_health health;
    json_t *j, *peers, *topics;

    if (!s)
        return NULL;
    j = json_object();
    peers = json_array();
    topics = json_array();
    hub_health_get(h, &health);
    for (unsigned i = 0; i < s->npeers; i++)
        json_array_append_new(peers, peer_id_json(&s->peers[i].id));
    for (unsigned i = 0; i < s->ntopics; i++)
        if (s->topics[i].is_subscribed)
            json_array_append_new(topics, json_string(s->topics[i].topic));
    json_object_set_new(j, "pub_key", json_string(h->peer_id));
    json_object_set_new(j, "country", json_string(health.country));
    json_object_set_new(j, "country_iso", json_string(health.country_iso));
    json_object_set_new(j, "addresses", own_addresses(h, s));
    json_object_set_new(j, "peers", peers);
    json_object_set_new(j, "topics", topics);
    free(s);
    return dump(j);
}

/* Message ids, the latest first: what this node delivered and what its clients published. Of both it has the whole. */
static json_t *known_ids(struct hub *h)
{
    uint8_t(*hash)[32] = malloc(2 * IDS_SHOWN * sizeof(*hash));
    json_t *a = json_array(), *had = json_object();
    uint64_t now = clock_now_ns();
    size_t n = 0;

    pthread_mutex_lock(&h->lock);
    if (hash) {
        n = seen_payloads_latest(&h->delivered, hash, IDS_SHOWN, now);
        n += seen_payloads_latest(&h->published, hash + n, IDS_SHOWN, now);
    }
    pthread_mutex_unlock(&h->lock);
    for (size_t i = 0; i < n && json_array_size(a) < IDS_SHOWN; i++) {
        char id[65];
        hex_encode(id, slice_of(hash[i], 32));
        if (!json_object_get(had, id)) {
            json_object_set_new(had, id, json_true());
            json_array_append_new(a, json_string(id));
        }
    }
    json_decref(had);
    free(hash);
    return a;
}

/* What a message is called follows from its payload, so one that is not whole yet goes by its generation. */
static json_t *undecoded(const struct snapshot *s)
{
    json_t *j = json_object();

    for (unsigned i = 0; i < s->ngenerations; i++) {
        const struct coded_generation_info *g = &s->generations[i];
        char id[2 * sizeof(g->id) + 1];

        hex_encode(id, slice_of(g->id, sizeof(g->id)));
        if (!g->is_decoded)
            json_object_set_new(j, id, json_integer(g->rank));
    }
    return j;
}

char *hub_json_p2p_snapshot(struct hub *h)
{
    struct snapshot *s = hub_snapshot(h);
    json_t *j, *known, *connected;

    if (!s)
        return NULL;
    j = json_object();
    known = known_ids(h);
    connected = json_array();
    for (unsigned i = 0; i < s->npeers; i++)
        json_array_append_new(connected, peer_id_json(&s->peers[i].id));
    json_object_set(j, "seen_message_hashes", known);
    json_object_set_new(j, "fully_decoded_message_hashes", known);
    json_object_set_new(j, "undecoded_shard_buffer_sizes", undecoded(s));
    json_object_set_new(j, "total_peer_count", json_integer(s->npeers));
    json_object_set_new(j, "full_message_node_count", json_integer(s->whole_holders));
    json_object_set_new(j, "partial_message_node_count", json_integer(s->part_holders));
    json_object_set_new(j, "connected_peers", connected);
    free(s);
    return dump(j);
}

static json_t *message_json(const struct snapshot *s, const struct coded_generation_info *g)
{
    char id[2 * sizeof(g->id) + 1];

    hex_encode(id, slice_of(g->id, sizeof(g->id)));
    return json_pack("{s:s,s:s,s:I,s:i,s:i,s:b,s:f}", "id", id, "topic", g->topic, "bytes", (json_int_t)g->size_bytes, "k", g->k,
                     "rank", g->rank, "decoded", g->is_decoded, "age_seconds", (double)(s->now_ns - g->born_ns) / 1e9);
}

/* What rates are made of. */
static json_t *counters_json(const struct hub *h, const struct snapshot *s)
{
    const struct pubsub_counters *p = &s->pubsub;
    const struct {
        const char *name;
        uint64_t v;
    } row[] = {{"published", h->n.published},       {"delivered", p->delivered},
               {"delivered_bytes", p->delivered_bytes}, {"rpc_in_bytes", p->rpc_in_bytes},
               {"rpc_out_bytes", p->rpc_out_bytes}, {"shards_in", p->shards_in},
               {"shards_out", p->shards_out},       {"shards_new", p->shards_new},
               {"shards_duplicate", p->shards_duplicate}, {"shards_unhelpful", p->shards_unhelpful},
               {"shards_unnecessary", p->shards_unnecessary}, {"duplicates", p->duplicates},
               {"decoded", p->decoded},             {"repairs_asked", p->repairs_asked},
               {"expired", p->generations_expired}, {"rejected", p->rejected + p->invalid_rpc}};
    json_t *j = json_object();

    for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++)
        json_object_set_new(j, row[i].name, json_integer((json_int_t)row[i].v));
    return j;
}

char *hub_json_messages(struct hub *h)
{
    struct snapshot *s = hub_snapshot(h);
    json_t *j, *messages;

    if (!s)
        return NULL;
    j = json_object();
    messages = json_array();
    for (unsigned i = 0; i < s->ngenerations && i < MESSAGES_SHOWN; i++)
        json_array_append_new(messages, message_json(s, &s->generations[i]));
    json_object_set_new(j, "now_seconds", json_real((double)s->now_ns / 1e9));
    json_object_set_new(j, "known", json_integer((json_int_t)s->pubsub.generations_now));
    json_object_set_new(j, "undecoded", json_integer((json_int_t)s->pubsub.undecoded_now));
    json_object_set_new(j, "counters", counters_json(h, s));
    json_object_set_new(j, "messages", messages);
    free(s);
    return dump(j);
}

/* The mesh of topics[topic], or, when that is beyond the list, of the one that was asked about. */
static json_t *members(const struct snapshot *s, unsigned topic)
{
    json_t *a = json_array();

    for (unsigned i = 0; i < s->npeers; i++)
        if (topic < 64 ? s->peers[i].meshes >> topic & 1 : topic == SNAPSHOT_TOPICS && s->peers[i].is_in_asked)
            json_array_append_new(a, peer_json(s, &s->peers[i]));
    return a;
}

static void add_topic(json_t *list, const struct snapshot *s, const struct pubsub_topic_info *info, unsigned at, bool has_nodeinfo)
{
    json_t *t = topic_json(info);

    if (has_nodeinfo)
        json_object_set_new(t, "nodes", members(s, at));
    json_array_append_new(list, t);
}

char *hub_json_topics(struct hub *h, const char *topic, bool has_nodeinfo)
{
    bool is_one = topic && *topic;
    struct snapshot *s = hub_snapshot_about(h, is_one && strlen(topic) <= PUBSUB_TOPIC_MAX ? topic : "");
    json_t *j, *a;

    if (!s)
        return NULL;
    j = json_object();
    a = json_array();
    if (s->is_about_known)
        add_topic(a, s, &s->asked, SNAPSHOT_TOPICS, has_nodeinfo);
    for (unsigned i = 0; i < s->ntopics && !is_one; i++)
        add_topic(a, s, &s->topics[i], i, has_nodeinfo);
    json_object_set_new(j, "count", json_integer(is_one ? (json_int_t)json_array_size(a) : (json_int_t)s->pubsub.topics_now));
    if (!is_one)
        json_object_set_new(j, "subscribed", json_integer((json_int_t)s->pubsub.topics_ours_now));
    if (!is_one && json_array_size(a) < s->pubsub.topics_now) /* of peers alone: ours are all there */
        json_object_set_new(j, "shown", json_integer((json_int_t)json_array_size(a)));
    json_object_set_new(j, "topics", a);
    free(s);
    return dump(j);
}

bool hub_is_ready(struct hub *h, char why[HUB_REASON_MAX])
{
    struct snapshot *s = hub_snapshot(h);

    why[0] = 0;
    if (!s) {
        snprintf(why, HUB_REASON_MAX, "the data path does not answer");
        return false;
    }
    if (s->nbootstrap_waiting > 0 && s->npeers == 0)
        snprintf(why, HUB_REASON_MAX, "no peer yet, waiting for %u bootstrap peers", s->nbootstrap_waiting);
    for (unsigned i = 0; i < s->ntopics && !why[0]; i++)
        if (s->topics[i].is_subscribed && s->topics[i].mesh == 0 && s->topics[i].peers > 0) /* else no peer is expected */
            snprintf(why, HUB_REASON_MAX, "topic %.120s has no mesh peer yet", s->topics[i].topic);
    free(s);
    return !why[0];
}
