/* rpc_err.h: what can go wrong in this room, and gRPC's status codes
 * Errors:  functions return 0 or -RPC_E...; a call's outcome is an enum rpc_code, which peers see
 */
#ifndef RPC_RPC_ERR_H
#define RPC_RPC_ERR_H

enum rpc_err {
    RPC_ECLOSED = 1, /* the call has ended or its sending side has; drop the message */
    RPC_EFULL,       /* the send queue is at its bound; try after on_drained, or count the loss */
    RPC_ETOOBIG,     /* the message is larger than max_send_bytes; it can never be sent */
    RPC_EBIND,       /* the address is malformed or taken */
    RPC_ENOMEM,
    RPC_EARG,   /* a parameter is out of range, or a method path is registered twice */
    RPC_ESTATE, /* not now: the server runs already, or is stopping */
};

/* "RPC_EFULL" for RPC_EFULL or -RPC_EFULL. */
const char *rpc_err_name(int err);

enum rpc_code {
    RPC_CODE_OK = 0,
    RPC_CODE_CANCELLED = 1,
    RPC_CODE_UNKNOWN = 2,
    RPC_CODE_INVALID_ARGUMENT = 3,
    RPC_CODE_DEADLINE_EXCEEDED = 4,
    RPC_CODE_NOT_FOUND = 5,
    RPC_CODE_ALREADY_EXISTS = 6,
    RPC_CODE_PERMISSION_DENIED = 7,
    RPC_CODE_RESOURCE_EXHAUSTED = 8,
    RPC_CODE_FAILED_PRECONDITION = 9,
    RPC_CODE_ABORTED = 10,
    RPC_CODE_OUT_OF_RANGE = 11,
    RPC_CODE_UNIMPLEMENTED = 12,
    RPC_CODE_INTERNAL = 13,
    RPC_CODE_UNAVAILABLE = 14,
    RPC_CODE_DATA_LOSS = 15,
    RPC_CODE_UNAUTHENTICATED = 16,
};

/* "RESOURCE_EXHAUSTED"; "UNKNOWN" for a number outside the list. */
const char *rpc_code_name(int code);

#endif
