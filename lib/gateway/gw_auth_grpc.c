/* gw_auth_grpc.c: tokens of gRPC calls, from the metadata "authorization: Bearer TOKEN"
 * Note:    checked when a call opens, before any message of it is read. Health and reflection are lib/rpc's and open: they tell nothing
 *          that is not in this source
 */
#include <stdlib.h>
#include <time.h>

#include "gateway/gw_grpc_impl.h"

static enum rpc_code code_of(int err)
{
    switch (-err) {
    case AUTH_E_INACTIVE: return RPC_CODE_PERMISSION_DENIED;
    case AUTH_E_NO_KEYS:
    case AUTH_E_ASKING: return RPC_CODE_UNAVAILABLE;
    case AUTH_E_NOMEM: return RPC_CODE_INTERNAL;
    default: return RPC_CODE_UNAUTHENTICATED;
    }
}

bool gw_auth_call(struct gateway *gw, struct rpc_call *c, struct auth_grant **out)
{
    struct auth_grant g;
    int rc;

    *out = NULL;
    if (!gw->cfg.enable_auth)
        return true;
    rc = auth_guard_admit(gw->guard, gw_auth_bearer(rpc_call_metadata(c, "authorization")), &g, time(NULL));
    if (!rc && !(*out = gw_auth_keep(&g)))
        rc = -AUTH_E_NOMEM;
    if (rc)
        rpc_call_finish(c, code_of(rc), auth_err_name(rc));
    return rc == 0;
}

/* ---- unary methods: the grant is the call's data ---- */

void gw_grpc_unary_open(struct rpc_call *c, void *user)
{
    struct auth_grant *g;

    if (gw_auth_call(user, c, &g))
        rpc_call_set_data(c, g);
}

void gw_grpc_unary_close(struct rpc_call *c, const struct rpc_status *st, void *user)
{
    (void)st;
    (void)user;
    free(rpc_call_data(c));
}
