/* rpc_home.h: what the calls of one server or client share: counters, and the list that ends them all (inside the room)
 * Owner:   the server or client; it outlives every call that is on the list
 */
#ifndef RPC_RPC_HOME_H
#define RPC_RPC_HOME_H

#include <pthread.h>
#include <stdatomic.h>

#include <grpc/grpc.h>

#include "base/list.h"
#include "rpc/rpc_err.h"

struct rpc_totals {
    atomic_ullong calls, ok, failed, cancelled;
    atomic_ullong received, received_bytes, sent, sent_bytes;
    atomic_ullong refused, dropped_must, dropped_may;
};

#define RPC_COUNT(field, n) ((void)atomic_fetch_add_explicit(&(field), (n), memory_order_relaxed))
#define RPC_READ(field)     atomic_load_explicit(&(field), memory_order_relaxed)

/* One open call of either kind. call is valid as long as it is on the list. */
struct rpc_live {
    struct list node;
    grpc_call *call;
};

struct rpc_home {
    pthread_mutex_t lock;
    pthread_cond_t empty;
    struct list live;
    uint32_t open;
    bool closed;
    struct rpc_totals totals;
};

void rpc_home_init(struct rpc_home *h);
/* Nothing may be open. */
void rpc_home_fini(struct rpc_home *h);
/* false: the home is closed, nothing was done. */
bool rpc_home_add(struct rpc_home *h, struct rpc_live *l, grpc_call *call);
/* No further call is let in. */
void rpc_home_close(struct rpc_home *h);
/* Unlinks l; the caller may then let go of l->call. Between this and rpc_home_done the home still waits for the caller. */
void rpc_home_del(struct rpc_home *h, struct rpc_live *l);
/* The call is over, its callbacks have returned: do not touch the home after this. */
void rpc_home_done(struct rpc_home *h);
uint32_t rpc_home_open(struct rpc_home *h);
void rpc_home_cancel_all(struct rpc_home *h, enum rpc_code code, const char *message);
void rpc_home_wait_empty(struct rpc_home *h);

#endif
