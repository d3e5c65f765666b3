#include "rpc/rpc_home.h"

#include <assert.h>

void rpc_home_init(struct rpc_home *h)
{
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->empty, NULL);
    list_init(&h->live);
}

void rpc_home_fini(struct rpc_home *h)
{
    assert(h->open == 0 && list_is_empty(&h->live));
    /* taking the lock once more waits for the rpc_home_done that woke us to be out of it */
    pthread_mutex_lock(&h->lock);
    pthread_mutex_unlock(&h->lock);
    pthread_cond_destroy(&h->empty);
    pthread_mutex_destroy(&h->lock);
}

bool rpc_home_add(struct rpc_home *h, struct rpc_live *l, grpc_call *call)
{
    bool is_in = false;

    l->call = call;
    pthread_mutex_lock(&h->lock);
    if (!h->closed) {
        list_push_back(&h->live, &l->node);
        h->open++;
        is_in = true;
    }
    pthread_mutex_unlock(&h->lock);
    if (is_in)
        RPC_COUNT(h->totals.calls, 1);
    return is_in;
}

void rpc_home_close(struct rpc_home *h)
{
    pthread_mutex_lock(&h->lock);
    h->closed = true;
    pthread_mutex_unlock(&h->lock);
}

void rpc_home_del(struct rpc_home *h, struct rpc_live *l)
{
    pthread_mutex_lock(&h->lock);
    list_del(&l->node);
    pthread_mutex_unlock(&h->lock);
}

void rpc_home_done(struct rpc_home *h)
{
    pthread_mutex_lock(&h->lock);
    if (--h->open == 0)
        pthread_cond_broadcast(&h->empty);
    pthread_mutex_unlock(&h->lock);
}

uint32_t rpc_home_open(struct rpc_home *h)
{
    uint32_t n;

    pthread_mutex_lock(&h->lock);
    n = h->open;
    pthread_mutex_unlock(&h->lock);
    return n;
}

void rpc_home_cancel_all(struct rpc_home *h, enum rpc_code code, const char *message)
{
    pthread_mutex_lock(&h->lock);
    LIST_EACH (n, &h->live)
        grpc_call_cancel_with_status(CONTAINER_OF(n, struct rpc_live, node)->call, (grpc_status_code)code, message,
                                     NULL);
    pthread_mutex_unlock(&h->lock);
}

void rpc_home_wait_empty(struct rpc_home *h)
{
    pthread_mutex_lock(&h->lock);
    while (h->open)
        pthread_cond_wait(&h->empty, &h->lock);
    pthread_mutex_unlock(&h->lock);
}
