#include "inside/inside_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "inside/inside_link_impl.h"
#include "node/hub.h"

_Static_assert(GW_TOPICS_MAX == HUB_TOPICS_MAX, "a gateway takes as many topics as a node does");

static struct inside_link *of(struct gw_link *l)
{
    return CONTAINER_OF(l, struct inside_link, link);
}

uint64_t inside_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool start(struct gw_link *gl)
{
    static const struct hub_subscriber_ops ops = {.on_message = inside_in_message};
    struct inside_link *l = of(gl);

    l->subscriber = hub_subscriber_new(l->hub, &ops, l);
    if (!l->subscriber || !inside_queue_start(&l->out, "gw-to-node", l->cpus, inside_out_run, l) ||
        !inside_queue_start(&l->in, "gw-from-node", l->cpus, inside_in_run, l))
        return false;
    inside_tell_health(l); /* so that the size limit holds from the first request on */
    gw_node_lock(gl->node);
    gw_node_up(gl->node, inside_now_ns());
    gw_node_unlock(gl->node);
    return true;
}

static bool publish(struct gw_link *l, struct gw_publish *p)
{
    return inside_out_publish(of(l), p);
}

static void want_topic(struct gw_link *l, struct slice topic, bool wanted)
{
    if (!inside_out_topic(of(l), topic, wanted))
        log_error("\"no memory for a subscription\" topic=%.*s wanted=%s", (int)topic.len, (const char *)topic.p,
                  wanted ? "yes" : "no");
}

static bool ask_health(struct gw_link *l)
{
    return inside_out_ask_health(of(l));
}

static bool ask_topics(struct gw_link *l, gw_topics_fn *answer, void *user)
{
    return inside_out_ask_topics(of(l), answer, user);
}

/* Also when start failed half way. */
static void stop(struct gw_link *gl)
{
    struct inside_link *l = of(gl);

    inside_queue_stop(&l->out);
    inside_out_drop(l);
    hub_subscriber_free(l->subscriber);
    l->subscriber = NULL;
    inside_queue_stop(&l->in);
    inside_in_drop(l);
    gw_node_down(gl->node);
}

static void link_free(struct gw_link *gl)
{
    struct inside_link *l = of(gl);

    inside_queue_fini(&l->out);
    inside_queue_fini(&l->in);
    free(l);
}

static const struct gw_link_ops inside_ops = {.start = start,
                                              .publish = publish,
                                              .want_topic = want_topic,
                                              .ask_health = ask_health,
                                              .ask_topics = ask_topics,
                                              .stop = stop,
                                              .free = link_free};

struct gw_link *inside_link_new(struct hub *hub, const char *target, const cpu_set_t *cpus)
{
    struct inside_link *l = calloc(1, sizeof(*l));

    if (!l)
        return NULL;
    l->link.ops = &inside_ops;
    snprintf(l->link.target, sizeof(l->link.target), "%s", target);
    l->hub = hub;
    l->cpus = cpus;
    l->is_answering = true;
    inside_queue_init(&l->out, UINT64_MAX); /* the pool bounds what is under way to a node */
    inside_queue_init(&l->in, INSIDE_IN_BYTES);
    return &l->link;
}

void inside_link_stats(struct gw_link *gl, struct inside_link_stats *out)
{
    struct inside_link *l = of(gl);
    uint64_t count, peak;

    *out = (struct inside_link_stats){.published = l->n.published,
                                      .waits = l->n.waits,
                                      .refused = l->n.refused,
                                      .delivered = l->n.delivered,
                                      .lost = l->n.lost};
    inside_queue_depth(&l->out, &count, &out->out_bytes, &peak);
    inside_queue_depth(&l->in, &count, &out->in_bytes, &out->in_peak_bytes);
}
