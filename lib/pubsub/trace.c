#include "pubsub/core.h"

void trace_push(struct pubsub *ps, const struct pubsub_trace *t)
{
    struct event *ev = ps->cfg.has_trace ? events_push(&ps->events, PUBSUB_TRACE) : NULL;

    if (!ev)
        return;
    ev->trace = *t;
    ev->out.peer = t->peer;
}

void trace_message(struct pubsub *ps, enum pubsub_trace_type type, const struct peer *p, struct slice topic,
                   struct slice id, const char *reason, uint64_t length)
{
    struct event *ev = ps->cfg.has_trace ? events_push(&ps->events, PUBSUB_TRACE) : NULL;

    if (!ev)
        return;
    ev->trace.type = type;
    ev->trace.peer = ev->out.peer = p ? p->handle : 0;
    ev->trace.peer_id = p ? p->id : ps->self;
    ev->trace.reason = reason;
    ev->trace.length = length;
    if (id.len && id.len <= sizeof(ev->trace.msg_id)) {
        memcpy(ev->trace.msg_id, id.p, id.len);
        ev->trace.msg_id_len = (uint8_t)id.len;
    }
    if (topic.len && topic.len <= PUBSUB_TOPIC_MAX)
        memcpy(ev->trace.topic, topic.p, topic.len);
}

void trace_peer(struct pubsub *ps, enum pubsub_trace_type type, const struct peer *p, struct slice topic)
{
    trace_message(ps, type, p, topic, (struct slice){0}, NULL, 0);
}
