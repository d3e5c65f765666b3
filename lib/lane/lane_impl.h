/* lane_impl.h: the server's inside (inside the room only)
 * Owner:   struct lane_conn and what is not marked: the thread. "lock": the server's; a session's own lock is held while its publishes
 *          are handed on
 */
#ifndef LANE_LANE_IMPL_H
#define LANE_LANE_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "lane/lane_server.h"

#define READ_BYTES    (256u << 10)
#define ANSWERS_BYTES (64u << 10)
#define SOURCES       256

struct lane_session {
    struct list node; /* lock */
    unsigned refs;    /* lock: its maker's, and one of each connection */
    struct lane_server *server;
    void *user;
    uint8_t secret[LANE_SECRET_BYTES];
    pthread_mutex_t lock;
    bool is_over; /* its own lock */
};

struct lane_conn {
    struct list node;
    int fd;
    struct lane_server *server;
    struct lane_session *session; /* NULL: the secret has not come */
    uint64_t since_ns;
    uint8_t source; /* its address hashed */
    bool is_stalled; /* publish had no room for what rest begins with */
    bool has_waited, is_charged; /* of the publish at hand, until it is answered: it is counted once, and taken off limits once */
    uint32_t events; /* asked of epoll */
    struct { /* what came and is not done yet, what must still go: on the heap while there is any */
        uint8_t *p;
        size_t len;
    } rest, out;
};

struct lane_server {
    struct lane_server_config cfg;
    int listener, epoll, bell;
    uint16_t port;
    pthread_t thread;
    bool has_thread, is_deaf; /* deaf: no descriptors left, the listener rests */
    atomic_bool stopping, has_ended; /* ended: sessions, whose connections are to be closed */
    pthread_mutex_t lock;
    struct list sessions; /* lock */
    struct list conns, strangers; /* with a session, and without: the oldest first */
    unsigned n_conns, n_strangers, n_stalled; /* conns: both */
    unsigned strangers_of[SOURCES];
    uint64_t seed[2]; /* of the sources' hash: nobody shall choose whose share he falls into */
    uint64_t swept_ns;
    struct {
        atomic_ullong accepted, refused, broken, publishes, reads, waits;
        atomic_uint conns;
    } n;
    uint8_t in[LANE_FRAME_MAX + READ_BYTES]; /* of the connection at hand: what it had left, and what it sends now */
    uint8_t answers[ANSWERS_BYTES];
};

#define LANE_COUNT(s, field) ((void)atomic_fetch_add_explicit(&(s)->n.field, 1, memory_order_relaxed))

/* lane_server.c. The session of that secret with one more reference; NULL: none, or it has enough connections. */
struct lane_session *lane_session_find(struct lane_server *s, struct slice secret);
void lane_session_unref(struct lane_session *x);

/* lane_conn.c. Takes fd. */
void lane_conn_new(struct lane_server *s, int fd, uint8_t source, uint64_t now);
void lane_conn_ready(struct lane_conn *c, uint32_t events);
/* Tries what found no room. */
void lane_conn_retry(struct lane_conn *c);
/* Closes it if it is over or took too long to say who it is. */
void lane_conn_sweep(struct lane_conn *c, uint64_t now);
void lane_conn_close(struct lane_conn *c);

#endif
