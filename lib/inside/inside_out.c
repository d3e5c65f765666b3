/* inside_out.c: what the gateway wants of the node, in order
 * Owner:   pushed by any thread of the gateway under the pool's lock; done on the link's own thread, which alone waits for room
 *          in the lcore's ring
 */
#include <stdlib.h>

#include "base/log.h"
#include "inside/inside_link_impl.h"

#define RETRY_NS 1000000 /* a ring turns over in far less */
#define CHECK_NS 2000000000u /* a publish that waits for so long looks whether the data path lives */

enum out_kind { OUT_PUBLISH, OUT_SUBSCRIBE, OUT_UNSUBSCRIBE, OUT_HEALTH, OUT_TOPICS };

struct out_job {
    struct inside_item item; /* first */
    enum out_kind kind;
    struct rpc_msg *payload; /* PUBLISH */
    uint8_t id[GW_ID_BYTES];
    gw_topics_fn *answer; /* TOPICS */
    void *user;
    size_t topic_len;
    char topic[GW_NAME_MAX + 1];
};

static struct out_job *job_new(enum out_kind kind, struct slice topic)
{
    struct out_job *j = topic.len > GW_NAME_MAX ? NULL : calloc(1, sizeof(*j));

    if (!j)
        return NULL;
    j->kind = kind;
    j->topic_len = topic.len;
    if (topic.len)
        memcpy(j->topic, topic.p, topic.len);
    return j;
}

static void job_free(struct out_job *j)
{
    rpc_msg_unref(j->payload);
    free(j);
}

static bool push(struct inside_link *l, struct out_job *j, uint64_t bytes)
{
    if (!j)
        return false;
    if (inside_queue_push(&l->out, &j->item, bytes))
        return true;
    job_free(j);
    return false;
}

bool inside_out_publish(struct inside_link *l, const struct gw_publish *p)
{
    struct out_job *j = job_new(OUT_PUBLISH, p->topic);

    if (!j)
        return false;
    memcpy(j->id, p->id, sizeof(j->id));
    j->payload = rpc_msg_ref(p->payload);
    return push(l, j, rpc_msg_len(j->payload));
}

bool inside_out_topic(struct inside_link *l, struct slice topic, bool wanted)
{
    return push(l, job_new(wanted ? OUT_SUBSCRIBE : OUT_UNSUBSCRIBE, topic), 0);
}

bool inside_out_ask_health(struct inside_link *l)
{
    return push(l, job_new(OUT_HEALTH, (struct slice){0}), 0);
}

bool inside_out_ask_topics(struct inside_link *l, gw_topics_fn *answer, void *user)
{
    struct out_job *j = job_new(OUT_TOPICS, (struct slice){0});

    if (!j)
        return false;
    j->answer = answer;
    j->user = user;
    return push(l, j, 0);
}

/* ---- on the link's thread ---- */

static struct gw_outcome outcome_of(int err)
{
    switch (-err) {
    case 0: return (struct gw_outcome){GW_OK, false, NULL, 0};
    case HUB_EDUP: return (struct gw_outcome){GW_OK, true, NULL, 0};
    case HUB_ESIZE: return (struct gw_outcome){GW_E_TOO_LARGE, false, hub_err_text(err), 413};
    case HUB_ETOPIC: return (struct gw_outcome){GW_E_REFUSED, false, hub_err_text(err), 400};
    default: return (struct gw_outcome){GW_E_REFUSED, false, hub_err_text(err), 503};
    }
}

static void release_payload(void *msg)
{
    rpc_msg_unref(msg);
}

void inside_tell_health(struct inside_link *l)
{
    struct hub_health h;

    hub_health_get(l->hub, &h);
    gw_node_health(l->link.node, &(struct gw_node_health){.country = h.country,
                                                          .country_iso = h.country_iso,
                                                          .p2p_address = h.p2p_address,
                                                          .mode = hub_mode(l->hub),
                                                          .memory_used = h.memory_used,
                                                          .cpu_used = h.cpu_used,
                                                          .disk_used = h.disk_used,
                                                          .max_message_bytes = hub_max_message_bytes(l->hub),
                                                          .max_topics = hub_max_topics(l->hub),
                                                          .topics = hub_topics_now(l->hub)});
}

/* A node whose data path does not answer takes no publishes, and is not healthy. */
static void check_health(struct inside_link *l)
{
    bool is_answering = hub_is_answering(l->hub);

    gw_node_lock(l->link.node);
    gw_node_set_ready(l->link.node, is_answering);
    gw_node_unlock(l->link.node);
    if (is_answering != l->is_answering)
        log_line(is_answering ? LOG_INFO_L : LOG_WARN_L, is_answering ? "\"the data path answers again\"" : "\"the data path does not answer\"");
    l->is_answering = is_answering;
    inside_tell_health(l);
}

static int publish_once(struct inside_link *l, struct out_job *j)
{
    char id[65];

    if (memchr(j->topic, 0, j->topic_len))
        return -HUB_ETOPIC;
    return hub_publish(l->hub, j->topic, rpc_msg_slice(j->payload), release_payload, rpc_msg_ref(j->payload), id);
}

static void run_publish(struct inside_link *l, struct out_job *j)
{
    uint64_t since_ns = inside_now_ns();
    struct gw_outcome o;
    int err = publish_once(l, j);

    if (err == -HUB_EFULL)
        l->n.waits++;
    while (err == -HUB_EFULL) {
        if (!inside_queue_rest(&l->out, RETRY_NS))
            return; /* the link goes down, and the pool answers */
        if (inside_now_ns() - since_ns > CHECK_NS) { /* whoever asks for health waits behind us */
            check_health(l);
            since_ns = inside_now_ns();
        }
        err = publish_once(l, j);
    }
    if (err == 0)
        l->n.published++;
    else if (err != -HUB_EDUP)
        l->n.refused++;
    o = outcome_of(err);
    gw_node_answered(l->link.node, slice_of(j->topic, j->topic_len), j->id, &o);
}

static void run_subscribe(struct inside_link *l, const struct out_job *j)
{
    int err;

    while ((err = hub_subscribe(l->subscriber, j->topic)) == -HUB_EFULL) /* the ring, which passes */
        if (!inside_queue_rest(&l->out, RETRY_NS))
            return;
    if (err)
        gw_node_refused_topic(l->link.node, slice_of(j->topic, j->topic_len), hub_err_text(err));
}

static void tell_topics(struct inside_link *l, const struct out_job *j)
{
    char **topics = hub_topics(l->hub);
    size_t n = 0;

    while (topics && topics[n])
        n++;
    j->answer(j->user, topics, n);
    hub_strings_free(topics);
}

void *inside_out_run(void *link)
{
    struct inside_link *l = link;
    struct inside_item *it;

    while ((it = inside_queue_pop(&l->out))) {
        struct out_job *j = CONTAINER_OF(it, struct out_job, item);

        switch (j->kind) {
        case OUT_PUBLISH: run_publish(l, j); break;
        case OUT_SUBSCRIBE: run_subscribe(l, j); break;
        case OUT_UNSUBSCRIBE: hub_unsubscribe(l->subscriber, j->topic); break;
        case OUT_HEALTH: check_health(l); break;
        case OUT_TOPICS: tell_topics(l, j); break;
        }
        job_free(j);
    }
    return NULL;
}

void inside_out_drop(struct inside_link *l)
{
    struct inside_item *it;

    while ((it = inside_queue_take(&l->out))) {
        struct out_job *j = CONTAINER_OF(it, struct out_job, item);

        if (j->kind == OUT_TOPICS)
            j->answer(j->user, NULL, 0);
        job_free(j);
    }
}
