/* rpc_loop.h: a thread that polls one gRPC completion queue
 * Shape:   every callback of the calls and channels bound to a loop runs on its thread, one at a time
 * Owner:   whoever made it; freed after everything bound to it. Callbacks must not block: the loop's other calls wait
 * Note:    a channel makes progress (reconnects, keepalive) only because somebody polls: that is this thread
 */
#ifndef RPC_RPC_LOOP_H
#define RPC_RPC_LOOP_H

#include <sched.h>
#include <stdbool.h>

struct rpc_loop;

/* cpus: where this thread and those that gRPC core starts for us may run; NULL: every CPU the process may use
 * (not merely the caller's own: EAL pins the main thread, and threads would inherit that).
 * name: at most 15 characters, shown by ps and top. All signals are blocked in the thread. NULL: no memory. */
struct rpc_loop *rpc_loop_new(const char *name, const cpu_set_t *cpus);
/* A loop that only handles what has come in: its sockets are looked after by a loop of rpc_loop_new in the same process, which must be
 * there as long as this one has anything to do. For servers: core refuses clients' calls on it. gRPC core has one set of sockets for the process, and threads that all wait on it
 * wake each other in turn, whether the event was for them or not. */
struct rpc_loop *rpc_loop_new_fed(const char *name, const cpu_set_t *cpus);
/* Joins the thread. Not from a callback. */
void rpc_loop_free(struct rpc_loop *l);
bool rpc_loop_is_current(const struct rpc_loop *l);

#endif
