/* rpc_thread.h: where threads run, and that signals stay with the main thread (inside the room only)
 * Why:     EAL pins the main thread to its lcore's CPU and threads inherit that, gRPC core's own included: they are
 *          started by whoever happens to call into it. So each such call is made between enter and leave
 * Owner:   the calling thread
 */
#ifndef RPC_RPC_THREAD_H
#define RPC_RPC_THREAD_H

#include <sched.h>
#include <signal.h>

struct rpc_thread_mask {
    cpu_set_t cpus;
    sigset_t signals;
};

/* What this thread starts from here on runs on cpus (NULL: those the process was started with) and takes no signals. */
void rpc_thread_enter(struct rpc_thread_mask *saved, const cpu_set_t *cpus);
void rpc_thread_leave(const struct rpc_thread_mask *saved);

#endif
