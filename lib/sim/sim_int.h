/* sim_int.h: the simulation's insides, shared by the files of the room (private)
 * Reading order: sim.c (time), node.c (cores and their links), link.c (frames under way), liar.c, reference.c
 */
#ifndef SIM_SIM_INT_H
#define SIM_SIM_INT_H

#include "base/list.h"
#include "base/timerq.h"
#include "sim/arena.h"
#include "sim/geo.h"
#include "sim/sim.h"

#define SIM_TOPIC "sim"
#define SIM_START (1000 * SIM_S) /* monotonic time at the beginning */
#define SIM_UNIX  1700000000000000000ull

enum { SIM_TIMER_CORE, SIM_TIMER_UPLINK, SIM_TIMER_ARRIVE, SIM_TIMER_PUBLISH, SIM_TIMER_START, SIM_TIMER_CHURN };

/* One RPC under way. */
struct sim_frame {
    struct timer timer;
    struct sim_frame *next; /* queue of the end, or idle */
    struct list under_way;
    uint32_t from, end;     /* node, and which of its ends */
    uint64_t epoch, begun_ns;
    struct buf *buf;
    uint64_t bytes;         /* on the wire */
};

/* One side of a connection: what goes out of it. */
struct sim_end {
    uint32_t peer, back; /* node, and which of its ends this is the other side of */
    uint64_t epoch;      /* 0: down */
    uint64_t delay_ns, last_arrival_ns, queued_bytes;
    struct sim_frame *head, *tail;
    double finish;       /* in the uplink's service, when head is through */
    struct list active;  /* among the node's ends with something to send */
    bool is_dialer;
    bool has_cut;        /* this node cut the other off */
    bool was_lied;       /* a wrong shard went out here */
};

enum sim_behaviour { SIM_HONEST, SIM_FORGER, SIM_SILENT, SIM_WITHHOLDER };

struct sim_node {
    struct timer core_timer, uplink_timer, churn_timer;
    struct pubsub *core;
    struct reference *reference;
    struct key_pair key;
    struct peer_id id;
    struct sim_place place;
    enum sim_behaviour behaviour;
    bool is_up, was_away; /* was_away: counts for no message from then on until it is back */
    bool is_publisher_gone;
    uint32_t first_cut_message; /* messages published when an honest node first cut it off; 0: none did */
    uint64_t up_since_ns;
    struct sim_end *ends;
    uint32_t nends, cap;
    struct list active;   /* ends */
    uint32_t nactive;
    double service;       /* bytes that each active end got so far */
    uint64_t serviced_ns, down_free_ns;
    struct sim_node_result r;
};

struct sim {
    const struct sim_config *cfg;
    struct pubsub_config core;
    struct sim_geo geo;
    struct sim_arena *arena; /* NULL: payloads carried */
    struct rng rng;          /* of the network */
    struct rng core_rng;     /* of the cores */
    struct rng payload_rng;  /* of payloads: that they are carried changes nothing else */
    struct timerq timers;
    struct timer publish_timer;
    uint64_t now, epochs, events, lost_frames, first_ns, last_ns, end_ns, complete_ns;
    double up_bytes_per_ns, down_bytes_per_ns;
    struct sim_node *nodes;
    struct sim_frame *idle;
    struct list under_way;
    struct sim_message *messages;
    uint64_t *payload_hash;  /* carried */
    uint32_t *latency_us;
    struct sim_node_result *results;
    uint32_t published;
    struct pubsub_counters gone; /* of honest cores that are no more */
    uint64_t reference_in, reference_useless;
    uint64_t wanted, delivered, wrong, honest_cut;
    bool is_counting;        /* since the first publish */
};

/* link.c */
/* Takes the buffer's reference. bytes: what it counts on the wire. */
void sim_link_send(struct sim *s, uint32_t from, uint32_t end, struct buf *buf, uint64_t bytes);
void sim_link_drop(struct sim *s, uint32_t node, struct sim_end *e); /* what is queued */
void sim_link_departed(struct sim *s, uint32_t node);
void sim_link_frame_free(struct sim *s, struct sim_frame *f);

/* node.c */
void sim_node_init(struct sim *s, uint32_t i);
void sim_node_fini(struct sim *s, uint32_t i);
void sim_node_connect(struct sim *s, uint32_t a, uint32_t b);
bool sim_node_is_linked(const struct sim *s, uint32_t a, uint32_t b);
void sim_node_start(struct sim *s, uint32_t i);
void sim_node_leave(struct sim *s, uint32_t i);
void sim_node_count(const struct sim_node *n, struct pubsub_counters *sum);
void sim_node_drain(struct sim *s, uint32_t i);
/* Takes the frame's buffer. */
void sim_node_input(struct sim *s, uint32_t i, uint32_t end, struct buf *buf);
void sim_node_publish(struct sim *s, uint32_t i, uint32_t message);
void sim_node_delivered(struct sim *s, uint32_t i, uint32_t message);
void sim_node_queue(struct sim *s, uint32_t node, struct sim_end *e);

static inline bool sim_node_is_honest(const struct sim_node *n)
{
    return n->behaviour == SIM_HONEST;
}

/* liar.c: what an adversary does to a frame of its own core. False: it does not go out. */
bool sim_liar_frame(struct sim *s, struct sim_node *n, struct sim_end *e, struct buf *buf);
bool sim_liar_has_payload(struct slice frame);

#endif
