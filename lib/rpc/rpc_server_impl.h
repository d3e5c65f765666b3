/* rpc_server_impl.h: what the built-in services may see of a server (inside the room only) */
#ifndef RPC_RPC_SERVER_IMPL_H
#define RPC_RPC_SERVER_IMPL_H

#include "rpc/rpc_server.h"

#define RPC_MAX_SERVICES 32

/* The registered services' names, the built-in ones among them. */
unsigned rpc_server_services(const struct rpc_server *s, const char **names, unsigned cap);

/* Health. */
struct rpc_health;
struct rpc_health *rpc_health_new(void);
void rpc_health_free(struct rpc_health *h);
/* Ends the watches, so that a server that stops need not wait for them. */
void rpc_health_stop(struct rpc_health *h);
int rpc_health_set(struct rpc_health *h, const char *service, bool serving);
extern const struct rpc_service rpc_health_service; /* user: the struct rpc_health */

/* Reflection. */
struct rpc_reflect;
/* set: a FileDescriptorSet, borrowed for life. NULL: it is malformed, or no memory. */
struct rpc_reflect *rpc_reflect_new(struct slice set, const struct rpc_server *s);
void rpc_reflect_free(struct rpc_reflect *r);
extern const struct rpc_service rpc_reflect_service_v1, rpc_reflect_service_v1alpha; /* user: the struct rpc_reflect */

#endif
