/* fuzz_auth.c: what clients and an issuer send: tokens, claims that somebody signed, key sets */
#include <stdlib.h>

#include "auth/auth_meter.h"
#include "auth/auth_token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct auth_policy policy = {.issuer = "https://issuer.test", .audience = "api", .leeway_s = 30, .defaults = {2, 100, 2 << 20, 100 << 20}};

static void fuzz_token(struct slice in)
{
    struct auth_token t;

    if (auth_token_read(&t, in) == 0 && (t.kid_len == 0 || t.kid_len > AUTH_KID_MAX || in.len > AUTH_TOKEN_MAX))
        abort();
}

static void fuzz_claims(struct slice in)
{
    struct auth_meter m;
    struct auth_grant g;
    uint64_t retry;

    if (auth_claims_read(in, &policy, &g, 1700000000) != 0)
        return;
    if (g.client_len == 0 || g.client_len > AUTH_CLIENT_MAX || g.expires_s <= 1700000000 || !(g.quota.per_second >= 0))
        abort();
    auth_meter_init(&m, 2, (const uint8_t[16]){0});
    for (uint64_t now = 1; now < UINT64_MAX / 2; now *= 7)
        auth_meter_take(&m, auth_grant_client(&g), &g.quota, now, &retry, now);
    auth_meter_fini(&m);
}

static void fuzz_keys(struct slice in)
{
    struct auth_keys *k;

    if (auth_keys_parse(&k, in) == 0 && k->count == 0)
        abort();
    auth_keys_unref(k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_token(slice_of(data, size));
    fuzz_claims(slice_of(data, size));
    fuzz_keys(slice_of(data, size));
    return 0;
}
