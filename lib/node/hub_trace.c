#include "node/hub_impl.h"

#include <stdlib.h>

#include "base/pb.h"

struct trace {
    struct hub_trace pub; /* first */
    _Atomic uint32_t refs;
    uint8_t bytes[];
};

struct hub_trace *hub_trace_ref(struct hub_trace *t)
{
    ((struct trace *)t)->refs++;
    return t;
}

void hub_trace_unref(struct hub_trace *t)
{
    if (--((struct trace *)t)->refs == 0)
        free(t);
}

static struct slice msg_id(const struct pubsub_trace *t)
{
    return slice_of(t->msg_id, t->msg_id_len);
}

/* RPCMeta is left out: what an RPC held is told by the events of its parts. */
static void put_body(struct wr *w, const struct pubsub_trace *t)
{
    struct slice peer = peer_id_slice(&t->peer_id), topic = slice_str(t->topic);

    switch (t->type) {
    case TRACE_PUBLISH_MESSAGE:
        pb_put_bytes(w, 1, msg_id(t));
        pb_put_bytes(w, 2, topic);
        break;
    case TRACE_REJECT_MESSAGE:
        pb_put_bytes(w, 1, msg_id(t));
        pb_put_bytes(w, 2, peer);
        pb_put_bytes(w, 3, slice_str(t->reason ? t->reason : ""));
        pb_put_bytes(w, 4, topic);
        break;
    case TRACE_DUPLICATE_MESSAGE:
        pb_put_bytes(w, 1, msg_id(t));
        pb_put_bytes(w, 2, peer);
        pb_put_bytes(w, 3, topic);
        break;
    case TRACE_DELIVER_MESSAGE:
        pb_put_bytes(w, 1, msg_id(t));
        pb_put_bytes(w, 2, topic);
        pb_put_bytes(w, 3, peer);
        break;
    case TRACE_ADD_PEER:
    case TRACE_REMOVE_PEER: pb_put_bytes(w, 1, peer); break;
    case TRACE_RECV_RPC:
    case TRACE_SEND_RPC:
        pb_put_bytes(w, 1, peer);
        pb_put_varint(w, 3, t->length);
        break;
    case TRACE_DROP_RPC: pb_put_bytes(w, 1, peer); break;
    case TRACE_JOIN: pb_put_bytes(w, 1, topic); break;
    case TRACE_LEAVE: pb_put_bytes(w, 2, topic); break; /* two, not one */
    case TRACE_GRAFT:
    case TRACE_PRUNE:
        pb_put_bytes(w, 1, peer);
        pb_put_bytes(w, 2, topic);
        break;
    case TRACE_DUPLICATE_SHARD:
    case TRACE_UNHELPFUL_SHARD:
    case TRACE_UNNECESSARY_SHARD:
    case TRACE_NEW_SHARD:
        pb_put_bytes(w, 1, msg_id(t));
        pb_put_bytes(w, 2, peer);
        pb_put_bytes(w, 3, slice_of(t->coefs, t->coefs_len));
        break;
    }
}

static void put_event(struct wr *w, const struct xtrace *x, const struct peer_id *self, size_t body_len)
{
    pb_put_varint(w, 1, x->t.type);
    pb_put_bytes(w, 2, peer_id_slice(self));
    pb_put_varint(w, 3, x->unix_ns);
    pb_put_head(w, 4 + (uint32_t)x->t.type, body_len); /* the sub-messages stand in the order of the types, from 4 */
    put_body(w, &x->t);
}

struct hub_trace *hub_trace_encode(const struct xtrace *x, const struct peer_id *self, int kind)
{
    struct wr body = wr_counter(), all = wr_counter(), w;
    struct trace *t;

    put_body(&body, &x->t);
    put_event(&all, x, self, body.len);
    t = malloc(sizeof(*t) + all.len);
    if (!t)
        return NULL;
    w = wr_of(t->bytes, all.len);
    put_event(&w, x, self, body.len);
    t->refs = 1;
    t->pub = (struct hub_trace){kind, slice_of(t->bytes, w.len)};
    return &t->pub;
}
