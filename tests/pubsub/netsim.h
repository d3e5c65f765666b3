/* netsim.h: a network of pub/sub cores in memory
 * Shape:   nodes, links with delay, jitter, loss of whole frames and rate; one virtual clock; everything from one seed
 * Owner:   one test. Nodes are numbered from 0; to node a, node b is the peer b + 1
 * Note:    a frame crosses as one fresh heap block, so a sanitizer sees reads past it, and nothing is shared
 *          between nodes. In place of a core a node can be raw: the test sends and receives frames itself
 */
#ifndef TESTS_PUBSUB_NETSIM_H
#define TESTS_PUBSUB_NETSIM_H

#include "pubsub/pubsub.h"

#define NETSIM_MS 1000000ull
#define NETSIM_S  1000000000ull
#define NETSIM_START (1000 * NETSIM_S)           /* monotonic time at the beginning */
#define NETSIM_UNIX  1700000000000000000ull      /* wall clock at the beginning */

struct netsim;

struct netsim_link {
    uint64_t delay_ns, jitter_ns;
    double loss;            /* of frames, 0..1, in both directions */
    uint64_t bytes_per_s;   /* 0: no limit. Limited links tell the cores their queues (pubsub_peer_queue) */
    bool is_reordering;     /* jitter may put frames out of order, as datagrams would be */
};

struct netsim_delivery {
    char topic[PUBSUB_TOPIC_MAX + 1];
    uint64_t hash, at_ns; /* hash: netsim_hash of the payload */
    uint32_t len;
    uint8_t k;
    bool is_own; /* we published it */
    struct peer_id from, upstream;
};

struct netsim *netsim_new(uint64_t seed, const struct netsim_link *link_defaults);
void netsim_free(struct netsim *s);

/* Fills what most tests want: mode, mesh numbers 6/4/12/2, 1 MiB messages, small caches. The key is set by netsim_add. */
struct pubsub_config netsim_config(enum pubsub_mode mode);
unsigned netsim_add(struct netsim *s, const struct pubsub_config *cfg);
/* on_frame: what reaches it; frame is only valid in the call. on_frame may call netsim_send. */
unsigned netsim_add_raw(struct netsim *s, void (*on_frame)(void *user, struct netsim *s, unsigned from,
                                                           struct slice frame), void *user);
unsigned netsim_nodes(const struct netsim *s);

/* a dials b: up at once on both sides. Nothing happens when they are connected. */
void netsim_connect(struct netsim *s, unsigned a, unsigned b, enum pubsub_proto proto);
/* Down at once; what is under way is lost. */
void netsim_disconnect(struct netsim *s, unsigned a, unsigned b);
bool netsim_is_connected(const struct netsim *s, unsigned a, unsigned b);
/* Everyone dials everyone with a higher number; or each node `degree` random others (and its predecessor, so that the
 * network is one). */
void netsim_connect_all(struct netsim *s, enum pubsub_proto proto);
void netsim_connect_random(struct netsim *s, unsigned degree, enum pubsub_proto proto);
/* Before a node connects: the address that others see of it (10.0.x.y of its own when unset). */
void netsim_set_ip(struct netsim *s, unsigned n, uint32_t ip);
/* What identify does: each side of a connection hands its signed record to the other's core. Off until called. */
void netsim_with_records(struct netsim *s);
/* Dials that cores ask for are made, when a record comes with them. Off until called. */
void netsim_with_dials(struct netsim *s);
unsigned netsim_dials(const struct netsim *s, unsigned n);
/* The application of node n, for has_validation: its verdicts come delay_ns after the message. */
void netsim_validator(struct netsim *s, unsigned n, enum pubsub_verdict (*judge)(void *user, struct slice payload),
                      void *user, uint64_t delay_ns);
/* Work that the core of node n (cfg.jobs) gives out comes back after up to delay_ns, in any order; without this call at once. */
void netsim_work(struct netsim *s, unsigned n, uint64_t delay_ns);
/* From now on what node n sends holds no messages any more; its control goes on. */
void netsim_mute(struct netsim *s, unsigned n);
/* The link's settings, to change; connected nodes only. */
struct netsim_link *netsim_link(struct netsim *s, unsigned a, unsigned b);
/* All its links go down and it takes no part any more (its core stays to be looked at). */
void netsim_kill(struct netsim *s, unsigned n);
bool netsim_is_killed(const struct netsim *s, unsigned n);

struct pubsub *netsim_core(struct netsim *s, unsigned n);
const struct peer_id *netsim_peer_id(const struct netsim *s, unsigned n);
const struct key_pair *netsim_key(const struct netsim *s, unsigned n);
uint64_t netsim_now(const struct netsim *s);
struct pubsub_counters netsim_counters(struct netsim *s, unsigned n);

/* The calls of the core, with their outputs carried out. */
int netsim_subscribe(struct netsim *s, unsigned n, const char *topic);
int netsim_unsubscribe(struct netsim *s, unsigned n, const char *topic);
int netsim_publish(struct netsim *s, unsigned n, const char *topic, struct slice payload);
void netsim_leave(struct netsim *s, unsigned n);
/* From a raw node, or forged in the name of any. */
void netsim_send(struct netsim *s, unsigned from, unsigned to, struct slice frame);
/* Carries out what a core has to say after the test called it directly. */
void netsim_drain(struct netsim *s, unsigned n);

void netsim_run(struct netsim *s, uint64_t for_ns);

/* What node n was given, in order. */
const struct netsim_delivery *netsim_deliveries(const struct netsim *s, unsigned n, unsigned *count);
uint64_t netsim_hash(struct slice payload);
/* How often this payload came on this topic, own publishes included. */
unsigned netsim_count(const struct netsim *s, unsigned n, const char *topic, struct slice payload);
/* The core asked to disconnect this peer (and netsim did so). */
unsigned netsim_disconnects(const struct netsim *s, unsigned n);
/* Payload bytes and all, on all links, since the start; and traces of a type at a node (has_trace). */
uint64_t netsim_wire_bytes(const struct netsim *s);
uint64_t netsim_wire_frames(const struct netsim *s);
uint64_t netsim_traces(const struct netsim *s, unsigned n, enum pubsub_trace_type type);

#endif
