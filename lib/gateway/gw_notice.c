/* gw_notice.c: what a client that asked for it is told about messages it does not get */
#include <stdio.h>

#include "gateway/gw_impl.h"

size_t gw_notice_dropped(struct gateway *gw, char out[GW_NOTICE_MAX], uint64_t messages, uint64_t bytes)
{
    gw_count(&gw->count.notices, 1);
    return (size_t)snprintf(out, GW_NOTICE_MAX,
                            "{\"type\":\"notice\",\"notice\":\"dropped\",\"messages\":%llu,\"bytes\":%llu}",
                            (unsigned long long)messages, (unsigned long long)bytes);
}
