/* coding_int.h: what the files of the coding role share (inside lib/node only)
 * Owner:   one worker lcore
 * Files:   coding_role.c the role and its turn, coding_nets.c the net roles, coding_jobs.c the helpers, coding_peers.c connections and dialing, coding_service.c commands of control, coding_held.c publishes that wait,
 *          coding_upkeep.c what is looked after once a second, coding_kad.c the DHT, coding_trust.c what the core is told of a peer beside its frames
 */
#ifndef NODE_CODING_INT_H
#define NODE_CODING_INT_H

#include "node/coding_role.h"

/* A line for control to log: writing to a terminal may block, so it is not done here. */
/* A line for control to log: writing to a terminal may block, so it is not done on an lcore. */
void coding_note(struct coding_role *r, int level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same for what strangers can cause without end: beyond a rate lines are left out, counted, and the next one says how many. */
void coding_peer_note(struct coding_role *r, int level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Makes a buffer that another role lent ours until its last reference goes: then it goes home by `release`, which finds
 * its list by b->home: the role for sources, nets[i] for frames. */
void coding_adopt(void *home, struct buf *b, void (*release)(struct buf *));
void coding_frame_release(struct buf *b);
void coding_source_release(struct buf *b);
/* May more be said to net and control in this turn? */
bool coding_has_room(const struct coding_role *r);

/* coding_nets.c. To the net role that m->conn names; false: xout_send's, or no such role. */
#define CODING_NET_ROOM 8 /* places of a ring that one step of the role may need */
bool coding_to_net(struct coding_role *r, const struct xmsg *m);
bool coding_nets_have_room(const struct coding_role *r);
/* May rare messages be said still? */
bool coding_nets_take_more(const struct coding_role *r);
void coding_nets_flush(struct coding_role *r);
void coding_nets_send_home(struct coding_role *r);
bool coding_nets_have_input(const struct coding_role *r);
/* The net role that is to dial addr. */
unsigned coding_dial_role(const struct coding_role *r, const struct multiaddr *addr);
/* Keeps count of each role's connections. */
void coding_nets_count(struct coding_role *r, unsigned from, const struct net_event *ev);

/* coding_role.c. Carries out what the core has to say; false: there may be more than there is room for. */
bool coding_drain(struct coding_role *r, uint64_t now);
/* To stop number `at` of a snapshot's way: the net roles, then the helpers, then back to control. */
void coding_pass_snapshot(struct coding_role *r, unsigned at, const struct xmsg *m);

/* coding_jobs.c */
void coding_give_work(struct coding_role *r, struct pubsub_job *job, uint64_t now);
unsigned coding_take_jobs(struct coding_role *r, uint64_t now);
/* Enough jobs are left for what a frame may bring. */
bool coding_may_take_frames(const struct coding_role *r);
void coding_jobs_flush(struct coding_role *r);
bool coding_jobs_have_input(const struct coding_role *r);

/* coding_peers.c. Takes ev. */
void coding_net_event(struct coding_role *r, struct net_event *ev, uint64_t now);
void coding_frame(struct coding_role *r, const struct xmsg *m, uint64_t now);
void coding_dial_due(struct coding_role *r, uint64_t now);
/* PX: dials whom the core names. Takes the output's record. */
void coding_px(struct coding_role *r, struct pubsub_output *o, uint64_t now);

/* coding_names.c. resolved: taken. */
void coding_names_init(struct coding_role *r, uint64_t now);
void coding_names_poll(struct coding_role *r, uint64_t now);
void coding_names_resolved(struct coding_role *r, struct xresolved *a, uint64_t now);

/* coding_self.c: our addresses, as identify and the DHT tell them. */
void coding_self_init(struct coding_role *r);
void coding_self_identified(struct coding_role *r, const struct peer_conn *c, const struct net_identity *id, uint64_t now);
void coding_self_peer_gone(struct coding_role *r, const struct peer_id *id, uint64_t now);
void coding_self_upkeep(struct coding_role *r, uint64_t now);

/* coding_upkeep.c: does something once a second. */
void coding_upkeep(struct coding_role *r, uint64_t now);

/* coding_kad.c. All may be called without a DHT. 0 or -1 (no memory). */
int coding_kad_init(struct coding_role *r, uint64_t now);
void coding_kad_conn_up(struct coding_role *r, struct peer *p, uint64_t now);
void coding_kad_dial_failed(struct coding_role *r, const struct peer_id *peer, uint64_t now);
/* NET_EV_REQUEST, _ANSWER, _REQUEST_FAILED. */
void coding_kad_event(struct coding_role *r, const struct net_event *ev, uint64_t now);
void coding_kad_identified(struct coding_role *r, const struct peer *p, const struct net_identity *id, uint64_t now);
void coding_kad_drain(struct coding_role *r, uint64_t now);
void coding_kad_poll(struct coding_role *r, uint64_t now);
uint64_t coding_kad_deadline(const struct coding_role *r);

/* coding_trust.c. up: p's stream is ready. record: its envelope from identify, unverified, or NULL; a reference is taken. */
void coding_trust_up(struct coding_role *r, const struct peer *p, uint64_t now);
void coding_trust_record(struct coding_role *r, struct peer *p, struct buf *record, uint64_t now);

/* coding_held.c. Publishes p, or keeps it until those before it have gone and its peers keep up. */
void coding_publish(struct coding_role *r, struct xpublish *p, uint64_t now);
/* Publishes the first that waits, if it may go. False: it may not, or none waits. */
bool coding_held_go_on(struct coding_role *r, uint64_t now);
uint64_t coding_held_deadline(const struct coding_role *r, uint64_t now);
void coding_held_drop(struct coding_role *r);

/* coding_service.c */
void coding_from_control(struct coding_role *r, const struct xmsg *m, uint64_t now);
void coding_go_on_leaving(struct coding_role *r, uint64_t now);

#endif
