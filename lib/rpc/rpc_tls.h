/* rpc_tls.h: a server's certificate and key, which may change while it runs (inside the room only)
 * Owner:   any thread; gRPC core asks for news at every handshake, on threads of its own
 */
#ifndef RPC_RPC_TLS_H
#define RPC_RPC_TLS_H

#include <pthread.h>
#include <stdint.h>

#include <grpc/grpc_security.h>

struct rpc_tls {
    pthread_mutex_t lock;
    char *cert, *key;         /* NULL: plain */
    uint64_t version, handed; /* handed: the version that core has */
};

/* 0 or -RPC_ENOMEM. cert NULL: plain. */
int rpc_tls_init(struct rpc_tls *t, const char *cert, const char *key);
void rpc_tls_fini(struct rpc_tls *t);
/* 0 or -RPC_ENOMEM, then all is as it was. */
int rpc_tls_set(struct rpc_tls *t, const char *cert, const char *key);
/* What a port is opened with; the caller releases it. t outlives the server. */
grpc_server_credentials *rpc_tls_credentials(struct rpc_tls *t);

#endif
