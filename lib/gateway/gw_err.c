/* gw_err.c: what a publish or a request can come to, as clients are told */
#include "gateway/gw_err.h"

#include "rpc/rpc_err.h"

static const struct {
    const char *text;
    int http, rpc;
} table[GW_E_COUNT] = {
    [GW_OK] = {"ok", 200, RPC_CODE_OK},
    [GW_E_JSON] = {"invalid JSON", 400, RPC_CODE_INVALID_ARGUMENT},
    [GW_E_TOPIC] = {"missing topic", 400, RPC_CODE_INVALID_ARGUMENT},
    [GW_E_TOPIC_LONG] = {"topic too long: at most 256 bytes", 400, RPC_CODE_INVALID_ARGUMENT},
    [GW_E_TOPIC_TYPE] = {"invalid JSON, missing topic: a topic must be a string", 400, RPC_CODE_INVALID_ARGUMENT},
    [GW_E_TOPICS_TYPE] = {"invalid JSON, missing topic: topics must be an array of strings", 400, RPC_CODE_INVALID_ARGUMENT},
    [GW_E_TOPIC_TEXT] = {"topic holds control characters or is not UTF-8", 400, RPC_CODE_INVALID_ARGUMENT},
    [GW_E_CLIENT] = {"missing client ID", 400, RPC_CODE_INVALID_ARGUMENT},
    [GW_E_CLIENT_LONG] = {"client ID too long: at most 256 bytes", 400, RPC_CODE_INVALID_ARGUMENT},
    [GW_E_CLIENT_TYPE] = {"invalid JSON, missing client ID: client_id must be a string", 400, RPC_CODE_INVALID_ARGUMENT},
    [GW_E_CLIENT_TEXT] = {"client ID holds control characters or is not UTF-8", 400, RPC_CODE_INVALID_ARGUMENT},
    [GW_E_MESSAGE] = {"either message or message_length must be provided", 400, RPC_CODE_INVALID_ARGUMENT},
    [GW_E_MESSAGE_TYPE] = {"invalid JSON: message must be a string", 400, RPC_CODE_INVALID_ARGUMENT},
    [GW_E_EMPTY] = {"missing message", 400, RPC_CODE_INVALID_ARGUMENT},
    [GW_E_LENGTH] = {"message_length must be at least 1", 400, RPC_CODE_INVALID_ARGUMENT},
    [GW_E_LENGTH_TYPE] = {"invalid JSON: message_length must be a whole number", 400, RPC_CODE_INVALID_ARGUMENT},
    [GW_E_BASE64] = {"message is not base64", 400, RPC_CODE_INVALID_ARGUMENT},
    [GW_E_ENCODING] = {"encoding must be base64 or text", 400, RPC_CODE_INVALID_ARGUMENT},
    [GW_E_THRESHOLD] = {"threshold must be a number above 0 and at most 1", 400, RPC_CODE_INVALID_ARGUMENT},
    [GW_E_THRESHOLD_TYPE] = {"invalid JSON: threshold must be a number above 0 and at most 1", 400, RPC_CODE_INVALID_ARGUMENT},
    [GW_E_AMOUNT] = {"invalid JSON: expose_amount must be a whole number from 0 on", 400, RPC_CODE_INVALID_ARGUMENT},
    [GW_E_ID_LONG] = {"id too long: at most 160 bytes of JSON", 400, RPC_CODE_INVALID_ARGUMENT},
    [GW_E_UNASSIGNED] = {"topic not assigned: nobody subscribed to it", 400, RPC_CODE_FAILED_PRECONDITION},
    [GW_E_TOO_LARGE] = {"message too large", 413, RPC_CODE_RESOURCE_EXHAUSTED},
    [GW_E_NO_NODE] = {"no node can be reached", 503, RPC_CODE_UNAVAILABLE},
    [GW_E_BUSY] = {"all nodes are busy", 503, RPC_CODE_UNAVAILABLE},
    [GW_E_UNCONFIRMED] = {"no node confirmed the message in time", 504, RPC_CODE_UNAVAILABLE},
    [GW_E_REFUSED] = {"the node refused the message", 502, RPC_CODE_UNAVAILABLE},
    [GW_E_FULL] = {"too many clients or subscriptions", 503, RPC_CODE_RESOURCE_EXHAUSTED},
    [GW_E_TOPICS] = {"too many topics: the nodes take no further one", 503, RPC_CODE_RESOURCE_EXHAUSTED},
    [GW_E_CLIENT_TOPICS] = {"too many topics for one client", 409, RPC_CODE_RESOURCE_EXHAUSTED},
    [GW_E_STOPPING] = {"shutting down", 503, RPC_CODE_UNAVAILABLE},
    [GW_E_NOMEM] = {"out of memory", 500, RPC_CODE_INTERNAL},
    [GW_E_LIMIT_SECOND] = {"rate limit exceeded", 429, RPC_CODE_RESOURCE_EXHAUSTED},
    [GW_E_LIMIT_HOUR] = {"hourly limit exceeded", 429, RPC_CODE_RESOURCE_EXHAUSTED},
    [GW_E_LIMIT_DAY] = {"daily quota exceeded", 429, RPC_CODE_RESOURCE_EXHAUSTED},
    [GW_E_LIMIT_SIZE] = {"message too large for this client", 413, RPC_CODE_RESOURCE_EXHAUSTED},
    [GW_E_TYPE] = {"type must be subscribe, unsubscribe or publish", 400, RPC_CODE_INVALID_ARGUMENT},
};

static int index_of(int err)
{
    err = err < 0 ? -err : err;
    return err < GW_E_COUNT ? err : GW_E_NOMEM;
}

const char *gw_err_text(int err)
{
    return table[index_of(err)].text;
}

int gw_err_http(int err)
{
    return table[index_of(err)].http;
}

int gw_err_rpc(int err)
{
    return table[index_of(err)].rpc;
}
