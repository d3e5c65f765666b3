/* topics.h: topics, and which peers are in them
 * Shape:   name -> topic; topic x peer -> link; a link may be in the topic's mesh
 *          While we are not subscribed to a topic its mesh list is the fanout: the few peers we publish to
 * Owner:   the pub/sub core
 * Memory:  a topic lives while it is subscribed, has links or kept messages, or had a recent publish of ours
 * Limits:  TOPICS_MAX in all, TOPICS_OF_PEERS_MAX once peers name them, TOPICS_OF_PUBLISHES_MAX once publishes do, of which
 *          TOPICS_PUBLISHED_MAX at a time make new ones; the caller bounds links per peer
 */
#ifndef PUBSUB_TOPICS_H
#define PUBSUB_TOPICS_H

#include "base/list.h"
#include "base/map.h"
#include "pubsub/pubsub.h"
#include "pubsub/score.h"

#define TOPICS_MAX      65536
/* Topics that only peers know do not fill the table: a few of them could keep us from our own. */
#define TOPICS_OF_PEERS_MAX (TOPICS_MAX / 4 * 3)
/* A publish to a new name keeps a place for a minute. Our own subscriptions find theirs all the same, and peers' topics too. */
#define TOPICS_OF_PUBLISHES_MAX (TOPICS_MAX - PUBSUB_TOPICS_MAX)
#define TOPICS_PUBLISHED_MAX    (TOPICS_MAX / 2)
#define TOPICS_PER_PEER PUBSUB_TOPICS_MAX

struct peer;

/* Since heartbeat `tick` (members.c). */
struct topic_beat {
    uint32_t tick;
    uint16_t refills;
    bool has_needed, has_made_room;
};

/* What is done at once, and in vain again after 1, 2, 4 .. heartbeats. */
struct topic_retry {
    uint32_t tick, pause;
};

struct topic {
    struct list node;
    struct list links; /* peers that announced it */
    struct list mesh;  /* or the fanout */
    struct list kept;  /* messages that mcache holds (relay.c), oldest first */
    unsigned npeers, nmesh;
    unsigned nneedy;   /* of the mesh */
    struct topic_retry need, missed; /* places asked for, and those who brought what our mesh missed (members.c) */
    struct topic_beat beat;
    unsigned npending; /* messages that wait for the application's verdict */
    bool is_wanted;    /* by the application (wishes.c) */
    bool is_subscribed; /* and peers have been told */
    bool has_reader; /* wanted, and the application wants the messages too */
    struct list turn; /* linked: wanted and not subscribed, or the other way round */
    struct score_subject subject; /* set when we subscribe */
    uint64_t published_ns; /* topic_set_published */
    uint16_t len;
    char name[PUBSUB_TOPIC_MAX + 1];
};

struct link {
    struct topic *topic;
    struct peer *peer;
    struct list by_topic, by_peer;
    struct list by_mesh; /* linked: in the mesh (fanout) */
    bool is_new;         /* announced in the RPC at hand */
    bool is_needy;       /* in the mesh because it had nobody else, or we had not; not for ever */
    bool was_needy;      /* or is */
    uint32_t needy_tick; /* since this heartbeat, the last time */
    bool has_asked;      /* we asked it for a place at asked_tick; its GRAFT is the answer */
    uint32_t asked_tick;
};

struct topics {
    struct map map;
    struct list all;
    uint32_t npublished; /* with published_ns */
};

void topics_init(struct topics *t, const uint8_t seed[16]);
void topics_fini(struct topics *t);
struct topic *topic_find(const struct topics *t, struct slice name);
/* Made when it is new and there are fewer than max. NULL: as many, or no memory. The name is 1..PUBSUB_TOPIC_MAX bytes. */
struct topic *topic_get(struct topics *t, struct slice name, uint32_t max);
/* The same for a publish of ours. */
struct topic *topic_get_to_publish(struct topics *t, struct slice name);
/* at_ns: of our last publish without a subscription; 0: long ago, or we are subscribed. */
void topic_set_published(struct topics *t, struct topic *tp, uint64_t at_ns);
/* Frees it when nothing needs it any more. */
void topic_release(struct topics *t, struct topic *tp);
static inline struct slice topic_slice(const struct topic *tp)
{
    return slice_of(tp->name, tp->len);
}

/* peer_links: the peer's list of links. */
struct link *link_add(struct topic *tp, struct peer *p, struct list *peer_links);
void link_free(struct link *l);
static inline bool link_is_mesh(const struct link *l)
{
    return list_is_linked(&l->by_mesh);
}
void link_mesh_add(struct link *l);
/* Of one in the mesh. */
void link_set_needy(struct link *l, bool is_needy);
void link_mesh_del(struct link *l);

#endif
