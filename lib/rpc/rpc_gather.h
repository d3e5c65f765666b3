/* rpc_gather.h: what a thread sends in one turn goes out together
 * Shape:   a thread that works in turns (an event loop) calls rpc_gather_flush at the end of each; from the first time on its
 *          rpc_call_send queues alone, and the flush starts one send for all that a call has queued
 * Owner:   the calling thread's, thread-local; the loops of rpc_loop.h do it by themselves
 * Limits:  16 calls and 32 messages or 32 KiB of each wait; what is more goes out at once
 */
#ifndef RPC_RPC_GATHER_H
#define RPC_RPC_GATHER_H

#include <stdbool.h>

/* Never under a lock that a send may be under. */
void rpc_gather_flush(void);
/* Whether anything waits on this thread. */
bool rpc_gather_has(void);
/* The thread ends its turns: flushes, and from now on sends at once. */
void rpc_gather_end(void);

#endif
