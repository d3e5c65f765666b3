/* The RPC reader and the message parser on any bytes; a checked frame must read to its end and survive being written. */
#include <stdlib.h>

#include "pubsub/message.h"
#include "pubsub/rpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint8_t sink; /* so that the reads below are not optimised away */

static void read_all(struct slice frame)
{
    struct rpc_reader r = rpc_reader_of(frame);
    struct rpc_item it;

    while (rpc_next(&r, &it)) {
        struct rd rd = rd_of(it.body);
        struct message_fields m;
        struct peer_id from;
        struct rpc_px px;
        struct slice id;
        if (it.topic.len)
            sink ^= it.topic.p[it.topic.len - 1];
        while (it.type >= RPC_IHAVE && it.type <= RPC_IDONTWANT && rpc_ids_next(&it.ids, &id))
            if (id.len)
                sink ^= id.p[id.len - 1];
        while (it.type == RPC_PRUNE && rpc_px_next(&rd, &px))
            if (px.record.len)
                sink ^= px.record.p[px.record.len - 1];
        if (it.type == RPC_EXTENSION && rpc_need_read(it.body, &id) && id.len)
            sink ^= id.p[id.len - 1];
        if (it.type == RPC_MESSAGE && message_parse(&m, it.body) == 0)
            message_check(&m, PUBSUB_STRICT_SIGN, &from);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct slice frame = slice_of(data, len);

    read_all(frame); /* also unchecked */
    if (sink == 1 && len > 1u << 30)
        abort();
    if (rpc_check(frame) == 0) {
        struct rpc_reader r = rpc_reader_of(frame);
        struct rpc_item it;
        while (rpc_next(&r, &it))
            ;
        if (rd_left(&r.rpc) || rd_left(&r.control))
            abort();
    }
    return 0;
}
