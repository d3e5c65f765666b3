/* wishes.c: the topics that the application wants, and the pace at which we become what it wants
 * Shape:   is_wanted is the wish, is_subscribed what peers have been told. Where they differ the topic waits in one of two lists, once,
 *          however often the application changes its mind; a few hundred changes between two heartbeats are made at once, the rest after it
 * Limits:  a peer believes PUBSUB_TOPICS_MAX topics of us, and 4096 changes and 2048 GRAFTs and PRUNEs a heartbeat (LIMIT_SUBSCRIPTIONS,
 *          LIMIT_GRAFTS; earlier nodes drop what is beyond, for good): a hello with all our topics and the changes of two of our heartbeats
 *          are within. What is left goes first, so that nobody is told of more topics than he takes
 */
#include "pubsub/core.h"

#define CHANGES_PER_BEAT 1024

_Static_assert(PUBSUB_TOPICS_MAX + 2 * CHANGES_PER_BEAT <= 4096, "an honest node must stay within LIMIT_SUBSCRIPTIONS");

static bool is_topic_name(struct slice topic)
{
    return topic.len && topic.len <= PUBSUB_TOPIC_MAX;
}

static void announce(struct pubsub *ps, const struct topic *tp, bool is_subscribe)
{
    LIST_EACH(it, &ps->peer_list)
        peer_send_subscription(ps, CONTAINER_OF(it, struct peer, node), topic_slice(tp), is_subscribe);
}

static void change(struct pubsub *ps, struct topic *tp)
{
    ps->changes++;
    announce(ps, tp, tp->is_wanted);
    if (tp->is_wanted) {
        topic_join(ps, tp);
        return;
    }
    topic_leave(ps, tp);
    topic_release(&ps->topics, tp);
}

static void make_changes(struct pubsub *ps)
{
    struct list *it;

    while (ps->changes < CHANGES_PER_BEAT && ((it = list_pop_front(&ps->to_leave)) || (it = list_pop_front(&ps->to_join))))
        change(ps, CONTAINER_OF(it, struct topic, turn));
}

void wishes_heartbeat(struct pubsub *ps)
{
    ps->changes = 0;
    make_changes(ps);
}

static void wish(struct pubsub *ps, struct topic *tp, bool is_wanted)
{
    ps->nwanted += is_wanted ? 1 : -1u;
    tp->is_wanted = is_wanted;
    list_del(&tp->turn);
    if (tp->is_wanted == tp->is_subscribed) { /* back before its turn came */
        topic_release(&ps->topics, tp);
        return;
    }
    list_push_back(is_wanted ? &ps->to_join : &ps->to_leave, &tp->turn);
    make_changes(ps);
}

static int join(struct pubsub *ps, struct slice topic, bool has_reader, uint64_t now)
{
    struct topic *tp = is_topic_name(topic) ? topic_get(&ps->topics, topic, TOPICS_MAX) : NULL;

    ps->now = now;
    if (!tp)
        return is_topic_name(topic) ? -PUBSUB_EFULL : -PUBSUB_ETOPIC;
    if (!tp->is_wanted && ps->nwanted >= PUBSUB_TOPICS_MAX) {
        topic_release(&ps->topics, tp);
        return -PUBSUB_EFULL;
    }
    tp->has_reader = has_reader;
    if (!tp->is_wanted)
        wish(ps, tp, true);
    return 0;
}

int pubsub_subscribe(struct pubsub *ps, struct slice topic, uint64_t now)
{
    return join(ps, topic, true, now);
}

int pubsub_relay(struct pubsub *ps, struct slice topic, uint64_t now)
{
    return join(ps, topic, false, now);
}

int pubsub_unsubscribe(struct pubsub *ps, struct slice topic, uint64_t now)
{
    struct topic *tp = topic_find(&ps->topics, topic);

    ps->now = now;
    if (!tp || !tp->is_wanted)
        return -PUBSUB_ETOPIC;
    tp->has_reader = false;
    wish(ps, tp, false);
    return 0;
}

/* All at once: the connections close behind it. */
void pubsub_leave(struct pubsub *ps, uint64_t now)
{
    ps->now = now;
    ps->is_leaving = true;
    ps->nwanted = 0;
    LIST_EACH(it, &ps->topics.all) {
        struct topic *tp = CONTAINER_OF(it, struct topic, node);

        list_del(&tp->turn);
        tp->is_wanted = tp->has_reader = false;
        if (tp->is_subscribed)
            change(ps, tp);
        else
            topic_release(&ps->topics, tp);
    }
}
