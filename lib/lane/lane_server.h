/* lane_server.h: the node's end of lanes: a port where gateways that were let in publish many messages at a time
 * Shape:   sockets of one thread -> publish(user, topic, payload) -> answers, all of one read together
 * Why:     a publish and its answer over a gRPC stream cost either end a multiple of what is done with them
 * Owner:   the thread, which calls publish. Sessions may be made and freed by any thread
 * Rules:   a session is whoever was told its secret, over a connection that was authenticated; it ends when that one does.
 *          A connection that does not begin with the secret of a session is closed
 * Limits:  STRANGERS_MAX connections that have not said the secret (one more closes the oldest of the address that has most: a flood
 *          from some addresses keeps out nobody at another; one from more addresses than places can, until a firewall stops it),
 *          5 s to say it, SESSION_CONNS_MAX of a session; a connection that publish has no room for, or that does not take its
 *          answers, is not read, and holds what one read took at most (READ_BYTES); all refusals are counted
 * Errors:  lane_server_new: NULL, errno
 */
#ifndef LANE_LANE_SERVER_H
#define LANE_LANE_SERVER_H

#include <sched.h>

#include "lane/lane_frame.h"

struct lane_server;
struct lane_session;

struct lane_answer {
    enum lane_outcome outcome;
    uint16_t http;                 /* LANE_REFUSED */
    char text[LANE_TEXT_MAX + 1];  /* LANE_REFUSED */
};

struct lane_server_config {
    const char *bind;      /* "127.0.0.1", "::1", "0.0.0.0" */
    uint16_t port;         /* 0: the kernel chooses */
    const cpu_set_t *cpus; /* where the thread may run; NULL: as the caller */
    uint32_t max_payload;  /* told to gateways; at most LANE_PAYLOAD_MAX counts */
    /* Must not block. The bytes are lent for the call. False: there is no room for it now, it comes again within milliseconds; else
     * *a is the answer. user is the session's; *is_charged is false when this publish comes first, and as it was left when it comes
     * again: whether it has been taken off limits. */
    bool (*publish)(void *user, struct slice topic, struct slice payload, bool *is_charged, struct lane_answer *a);
};

struct lane_server_stats {
    uint64_t accepted, refused, broken; /* connections; refused: a wrong secret, too late, too many; broken: ended over what they sent */
    uint64_t publishes, reads;          /* a read takes many publishes */
    uint64_t waits;                     /* publishes that found no room */
    uint32_t conns;                     /* gauge: that were let in */
};

struct lane_server *lane_server_new(const struct lane_server_config *cfg);
uint16_t lane_server_port(const struct lane_server *s);
/* NULL: no memory. */
struct lane_session *lane_session_new(struct lane_server *s, void *user, uint8_t secret[LANE_SECRET_BYTES]);
/* When it returns publish does not run with its user and will not; its connections end. NULL is allowed. Not from publish. */
void lane_session_free(struct lane_session *x);
void lane_server_get_stats(const struct lane_server *s, struct lane_server_stats *out);
/* All sessions have been freed. NULL is allowed. */
void lane_server_free(struct lane_server *s);

#endif
