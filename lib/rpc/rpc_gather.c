#include "rpc/rpc_gather.h"

#include "rpc/rpc_call_impl.h"

#define CALLS_MAX 16

static _Thread_local struct {
    bool is_on;
    unsigned count;
    struct rpc_call *calls[CALLS_MAX]; /* with a reference each */
} gather;

bool rpc_gather_add(struct rpc_call *c)
{
    if (!gather.is_on)
        return false;
    for (unsigned i = 0; i < gather.count; i++)
        if (gather.calls[i] == c)
            return true;
    if (gather.count == CALLS_MAX)
        return false;
    gather.calls[gather.count++] = rpc_call_ref(c);
    return true;
}

void rpc_gather_flush(void)
{
    gather.is_on = true;
    for (unsigned i = 0; i < gather.count; i++) {
        rpc_call_pump_now(gather.calls[i]);
        rpc_call_unref(gather.calls[i]);
    }
    gather.count = 0;
}

bool rpc_gather_has(void)
{
    return gather.count > 0;
}

void rpc_gather_end(void)
{
    rpc_gather_flush();
    gather.is_on = false;
}
