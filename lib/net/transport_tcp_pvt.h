/* transport_tcp_pvt.h: what the two files of the TCP transport share
 * Events:  the stack's are edges and name its connections; ours are levels and name pipes. A pipe with something to read
 *          sits on `ready`, moves to `again` when its PIPE_IN of this turn is handed out, and leaves when it is read empty
 */
#ifndef NET_TRANSPORT_TCP_PVT_H
#define NET_TRANSPORT_TCP_PVT_H

#include "base/list.h"
#include "drivers/pktio.h"
#include "net/transport_tcp.h"
#include "tcp/tcp.h"

#define PEEK_SLICES 16
#define USUAL_SLOTS 1024

struct tpipe {
    struct pipe pipe;
    struct list node;    /* in all */
    struct list ready;   /* in ready or again */
    struct list waiting; /* in lingering (polite close under way), or in roomy (owed a PIPE_ROOM) */
    struct tcp_conn *tcp;
    bool is_orphan;      /* the connection has left */
    bool is_finishing;   /* FIN follows the rest */
    bool has_fin;        /* the peer's side ends after what is unread */
    bool is_full;        /* room was 0: owe a PIPE_ROOM */
    const char *broken;  /* why, once it is */
    unsigned usual_slot; /* 1 + of is_unanswered, of a dial from the usual port; 0: answered, or another port */
    uint64_t linger_until;
    struct buf *rest;    /* what the stack did not take of the last send */
    uint32_t rest_off, rest_len;
};

struct ttcp {
    struct transport t;
    struct pktio *port;
    struct guard *guard;
    struct neigh_watch *neigh; /* NULL: of an address that is ours alone, or it cannot be had */
    uint64_t mac_changed, mtu_changed, neigh_denied;
    struct tcp_stack *stack;
    struct list all, ready, again, lingering, roomy;
    struct tpipe *gone;      /* owes a PIPE_GONE: its bytes were offered, its connection is no more */
    struct tpipe *lent_pipe; /* whose bytes are lent out */
    struct slice lent[PEEK_SLICES];
    unsigned nlent, lent_at;
    bool has_frames; /* of the last pktio_recv, not yet given back */
    bool is_tx_full;
    bool is_starved; /* a send found no memory */
    uint64_t dial_seed;
    struct rng *rng;
    uint16_t dial_first, dial_count;
    bool is_unanswered[USUAL_SLOTS]; /* by hash of the remote: the last dial from the usual port */
    uint64_t now;
    struct pktio_seg seg;
};

static inline struct ttcp *ttcp_of(const struct transport *t)
{
    return CONTAINER_OF((struct transport *)(uintptr_t)t, struct ttcp, t);
}

static inline struct tpipe *tpipe_of(const struct pipe *p)
{
    return CONTAINER_OF((struct pipe *)(uintptr_t)p, struct tpipe, pipe);
}

static inline struct ttcp *owner_of(const struct tpipe *p)
{
    return ttcp_of(p->pipe.transport);
}

/* transport_tcp_neigh.c */
void ttcp_neigh_open(struct ttcp *t, const char *iface, uint64_t now);
void ttcp_neigh_turn(struct ttcp *t, uint64_t now);
void ttcp_neigh_close(struct ttcp *t);
void ttcp_neigh_stats(const struct ttcp *t, struct port_counters *out);

/* transport_tcp_pipe.c */
struct tpipe *tpipe_new(struct ttcp *t, struct tcp_conn *tcp);
void tpipe_free(struct tpipe *p);
void tpipe_mark_ready(struct ttcp *t, struct tpipe *p);
/* Offers what is left of the last send to the stack again; true when nothing is left. */
bool tpipe_push_rest(struct tpipe *p);
/* What was lent out has been taken: the stack may forget it and open the window. */
void ttcp_settle(struct ttcp *t);
/* Of struct transport_ops. */
int tpipe_recv(struct pipe *pipe, struct slice *in, const char **reason);
uint64_t tpipe_room(const struct pipe *pipe);
void tpipe_send(struct pipe *pipe, struct buf *b, uint32_t off, uint32_t len, uint64_t now);
void tpipe_finish(struct pipe *pipe);
void tpipe_close(struct pipe *pipe, bool is_polite, uint64_t now);

#endif
