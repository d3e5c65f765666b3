/* gw_pool_impl.h: the pool's inside (inside the room only)
 * Locks:   pool.lock guards everything below but what is constant after new, and the links' own state. The links' operations
 *          are called under it
 */
#ifndef GATEWAY_GW_POOL_IMPL_H
#define GATEWAY_GW_POOL_IMPL_H

#include <pthread.h>

#include "base/map.h"
#include "gateway/gw_balance.h"
#include "gateway/gw_kept.h"
#include "gateway/gw_pool.h"
#include "lane/lane_frame.h"

struct gw_node {
    struct gw_pool *pool;
    unsigned index;
    struct gw_link *link;
    bool is_open;  /* between gw_node_up and gw_node_down */
    bool is_ready; /* and may have new publishes */
    struct list inflight; /* struct gw_publish in the order they were sent */
    uint64_t inflight_bytes;
    struct gw_kept kept; /* small messages that it confirmed lately (gw_pool_kept.c) */
    struct list kept_large; /* struct gw_publish: the others, oldest first */
    uint64_t kept_bytes;    /* of these */
    struct gw_load load;
    bool is_mute;      /* its health says it is not one of ours, and it never answered a publish */
    bool has_answered; /* a publish */
    bool asking_health;
    uint64_t health_ns; /* asked */
    struct map refused; /* wanted topics that it did not take, or would not */
    uint64_t refused_told_ns; /* logged last */
    struct map names;         /* topics that it has, as it told lately; empty while it has room for all of them */
    bool asking_names;
    bool is_full; /* it refused a topic since its health was told */
    uint32_t others;                /* topics that it has, and not for us, as far as is known */
    uint32_t ours_least, ours_most; /* that it has for us, since its health was told */
    bool is_owed;     /* it dropped something for us, maybe a refusal: all topics are to be asked for anew */
    uint64_t anew_ns; /* they were last */
    struct gw_node_info info;
};

struct gw_pool {
    struct gateway *gw;
    struct rpc_loop *loops[2];
    unsigned n_nodes;
    pthread_mutex_t lock;
    struct map by_key; /* publishes in flight: id and topic */
    struct map wanted; /* topics */
    struct map known;  /* topics that nodes named lately */
    uint64_t known_ns;
    struct list waiting; /* publishes that lost their node and found no other */
    uint64_t queue_bytes; /* published to one node and not confirmed: at most so many */
    uint64_t clock;       /* of the shares: gw_balance.h */
    unsigned next;        /* round robin among equals */
    bool stopping;
    /* What each publish and each delivery asks, without the lock: which nodes are up, and the least limit of those that tell. */
    _Atomic uint64_t noted_up, noted_max_bytes;
    struct gw_node nodes[GW_NODES_MAX];
};

/* gw_pool.c */
/* Under the lock: a node came, went or told its limit. */
void gw_pool_note(struct gw_pool *pool);

/* gw_pool_send.c */
/* Under the lock: takes everything off the node; the caller passes it to gw_pool_resend without the lock. */
void gw_pool_take_inflight(struct gw_node *n, struct list *out);
void gw_pool_resend(struct gw_pool *pool, struct list *publishes);
void gw_pool_check_answers(struct gw_pool *pool, uint64_t now);
/* Tries those that wait again. */
void gw_pool_retry_waiting(struct gw_pool *pool, uint64_t now);

/* Under the lock: p is the node's no more, and may be sent to it again. */
void gw_pool_take_back(struct gw_publish *p, struct list *out);
/* Answers that came by a lane, all to publishes that n had. First under the lock, then without it. */
struct gw_lane_answer {
    struct gw_publish *p;
    struct gw_outcome outcome; /* its text: below */
    bool is_again;             /* it has been sent to another node */
    char text[LANE_TEXT_MAX + 1];
};
void gw_pool_answers_taken(struct gw_node *n, struct gw_lane_answer *a, unsigned count, uint64_t now);
void gw_pool_answers_tell(struct gw_node *n, struct gw_lane_answer *a, unsigned count, uint64_t now);

/* gw_pool_kept.c */
/* Without the lock: these were confirmed by n and whoever waited was told. Takes them off the list. */
void gw_pool_keep(struct gw_node *n, struct list *confirmed, uint64_t now);
/* Under the lock: those that n may not have sent on, as repeats. */
void gw_pool_take_kept(struct gw_node *n, struct list *out, uint64_t now);
/* Without the lock. */
void gw_pool_forget_kept(struct gw_pool *pool, uint64_t now);
void gw_pool_free_kept(struct gw_node *n);

/* gw_pool_topics.c. Under the lock. */
void gw_pool_ask_topics_anew(struct gw_node *n);
void gw_pool_topics_down(struct gw_node *n);
/* A few times a second: asks anew where a refusal may have been lost. */
void gw_pool_topics_tick(struct gw_node *n, uint64_t now);
/* It told how many it has and may have: some of those that it refused may find room. */
void gw_pool_topics_told(struct gw_node *n, uint32_t max_topics, uint32_t topics);

/* gw_pool_ask.c */
void gw_pool_ask_health(struct gw_node *n, uint64_t now); /* under the lock */

static inline bool gw_node_is_up(const struct gw_node *n)
{
    return n->is_open && n->is_ready;
}

#endif
