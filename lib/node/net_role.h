/* net_role.h: a net lcore's share of the node: one struct net joined to the rings
 * Shape:   commands from the coding role -> net; net's events -> the coding role
 * Owner:   one worker lcore
 * Memory:  frames come from this role's pool and come home to it; buffers that the coding role lends for sending are
 *          wrapped in shadows, whose counts this lcore alone touches, and go home when the last shadow does
 */
#ifndef NODE_NET_ROLE_H
#define NODE_NET_ROLE_H

#include "base/bufpool.h"
#include "net/allowlist.h"
#include "node/snapshot.h"
#include "node/xcore.h"

#define NET_ROLE_WATCHED 2048 /* connections whose queues are reported at a time: all there can be, or one left out would look full for ever */

struct shadow;

struct net_role {
    struct net *net;
    unsigned number; /* among the node's net roles */
    struct xout to_coding;
    struct xring *from_coding;
    struct bufpool frames;
    struct shadow *free_shadows, *shadow_blocks;
    struct shadow *done; /* whose lent buffers go home; the same buffer may be lent many times, so they are the list */
    struct net_event event; /* one that the ring did not take */
    bool has_event;
    struct allowlist *allow; /* NULL: anyone */
    struct session_local *local; /* what identify says of us; this lcore's from init on */
    struct xself *self;          /* what it points into; NULL: what the caller of init gave */
    struct net_watched {
        net_conn_id conn;
        uint64_t told_bytes, told_taken; /* as the coding role knows it */
    } watched[NET_ROLE_WATCHED];
    unsigned nwatched;
    uint64_t next_watch_ns, next_look_ns;
    uint64_t send_dropped, send_no_conn, answers_lost;
};

/* cfg->frame_alloc and frame_ctx are set here. cfg->allow is ours from now on, also when this fails. */
int net_role_init(struct net_role *r, struct net_config *cfg, uint64_t now, char err[256], char why[512]);
/* The node's end, all lcores stopped: closes the connections and gives back what was lent for sending, what is still in
 * the ring included. `kept`: messages that the coding role had not got into the ring. */
void net_role_settle(struct net_role *r, const struct xout *kept);
/* After both roles have settled. */
void net_role_fini(struct net_role *r);
/* One turn; returns the work done. */
unsigned net_role_poll(struct net_role *r, uint64_t now);
uint64_t net_role_next_deadline(const struct net_role *r);
bool net_role_has_input(const struct net_role *r);

#endif
