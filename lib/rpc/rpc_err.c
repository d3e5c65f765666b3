#include "rpc/rpc_err.h"

#include <stddef.h>

const char *rpc_err_name(int err)
{
    static const char *const names[] = {
        [0] = "OK",
        [RPC_ECLOSED] = "RPC_ECLOSED",
        [RPC_EFULL] = "RPC_EFULL",
        [RPC_ETOOBIG] = "RPC_ETOOBIG",
        [RPC_EBIND] = "RPC_EBIND",
        [RPC_ENOMEM] = "RPC_ENOMEM",
        [RPC_EARG] = "RPC_EARG",
        [RPC_ESTATE] = "RPC_ESTATE",
    };
    size_t i = (size_t)(err < 0 ? -(long)err : (long)err);

    return i < sizeof(names) / sizeof(*names) ? names[i] : "RPC_E?";
}

const char *rpc_code_name(int code)
{
    static const char *const names[] = {
        "OK",        "CANCELLED",         "UNKNOWN",           "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",    "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
        "UNIMPLEMENTED", "INTERNAL",      "UNAVAILABLE",       "DATA_LOSS",
        "UNAUTHENTICATED",
    };

    return code >= 0 && (size_t)code < sizeof(names) / sizeof(*names) ? names[code] : "UNKNOWN";
}
