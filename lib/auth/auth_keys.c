/* auth_keys.c: an issuer's public keys */
#include "auth/auth_keys.h"

#include <stdlib.h>

#include <cjose/cjose.h>
#include <jansson.h>

#include "base/text.h"

#define MODULUS_MIN  256  /* bytes: 2048 bits */
#define MODULUS_MAX  1024 /* verifying costs as its square */
#define EXPONENT_MAX 4

/* A string member as a slice; false when it is absent or no string. */
static bool text_of(const json_t *o, const char *name, struct slice *out)
{
    const json_t *v = json_object_get(o, name);

    if (!json_is_string(v))
        return false;
    *out = slice_of(json_string_value(v), json_string_length(v));
    return true;
}

/* Absent, or exactly this. */
static bool may_be(const json_t *o, const char *name, const char *want)
{
    struct slice s;

    return !json_object_get(o, name) || (text_of(o, name, &s) && slice_is_equal(s, slice_str(want)));
}

static bool may_verify(const json_t *o)
{
    const json_t *ops = json_object_get(o, "key_ops"), *op;
    size_t i;

    if (!ops)
        return true;
    json_array_foreach(ops, i, op) {
        const char *s = json_string_value(op);

        if (s && strcmp(s, "verify") == 0)
            return true;
    }
    return false;
}

/* A number's bytes without leading zeroes. */
static bool number_of(const json_t *o, const char *name, uint8_t *out, size_t max, size_t *len)
{
    struct slice text;
    ssize_t n;
    size_t zeroes = 0;

    if (!text_of(o, name, &text))
        return false;
    n = base64url_decode(out, max, text);
    if (n <= 0)
        return false;
    while (zeroes < (size_t)n && out[zeroes] == 0)
        zeroes++;
    *len = (size_t)n - zeroes;
    memmove(out, out + zeroes, *len);
    return *len > 0;
}

static bool read_key(struct auth_key *k, const json_t *o)
{
    uint8_t n[MODULUS_MAX + 1], e[EXPONENT_MAX + 1];
    cjose_jwk_rsa_keyspec spec = {.n = n, .e = e};
    struct slice kty, kid;
    cjose_err err;

    if (!text_of(o, "kty", &kty) || !slice_is_equal(kty, SLICE_LIT("RSA")) || !may_be(o, "use", "sig") ||
        !may_be(o, "alg", "RS256") || !may_verify(o))
        return false;
    if (!text_of(o, "kid", &kid) || kid.len == 0 || kid.len > AUTH_KID_MAX)
        return false;
    if (!number_of(o, "n", n, sizeof(n), &spec.nlen) || !number_of(o, "e", e, sizeof(e), &spec.elen))
        return false;
    /* the top bit says that it has all the bits; an exponent of 1 would make every signature good */
    if (spec.nlen < MODULUS_MIN || spec.nlen > MODULUS_MAX || (spec.nlen == MODULUS_MIN && n[0] < 0x80) ||
        spec.elen > EXPONENT_MAX || e[spec.elen - 1] % 2 == 0 || (spec.elen == 1 && e[0] < 3))
        return false;
    k->jwk = cjose_jwk_create_RSA_spec(&spec, &err);
    memcpy(k->kid, kid.p, kid.len);
    k->kid_len = kid.len;
    return k->jwk != NULL;
}

static void read_all(struct auth_keys *k, const json_t *list)
{
    const json_t *o;
    size_t i;

    json_array_foreach(list, i, o) {
        struct auth_key *next = &k->at[k->count];

        if (k->count < AUTH_KEYS_MAX && json_is_object(o) && read_key(next, o)) {
            if (!auth_keys_find(k, slice_of(next->kid, next->kid_len))) {
                k->count++;
                continue;
            }
            cjose_jwk_release(next->jwk); /* a name given twice: the first holds */
        }
        k->passed_over++;
    }
}

int auth_keys_parse(struct auth_keys **out, struct slice json)
{
    struct auth_keys *k;
    json_t *doc;

    *out = NULL;
    if (json.len > AUTH_JWKS_MAX)
        return -AUTH_E_KEYS;
    doc = json_loadb((const char *)json.p, json.len, JSON_REJECT_DUPLICATES, NULL);
    if (!doc)
        return -AUTH_E_KEYS;
    k = calloc(1, sizeof(*k));
    if (k) {
        atomic_init(&k->refs, 1);
        read_all(k, json_object_get(doc, "keys"));
    }
    json_decref(doc);
    if (!k)
        return -AUTH_E_NOMEM;
    if (k->count == 0) {
        auth_keys_unref(k);
        return -AUTH_E_KEYS;
    }
    *out = k;
    return 0;
}

struct auth_keys *auth_keys_ref(struct auth_keys *k)
{
    atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
    return k;
}

void auth_keys_unref(struct auth_keys *k)
{
    if (!k || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < k->count; i++)
        cjose_jwk_release(k->at[i].jwk);
    free(k);
}

const struct auth_key *auth_keys_find(const struct auth_keys *k, struct slice kid)
{
    for (unsigned i = 0; i < k->count; i++)
        if (slice_is_equal(slice_of(k->at[i].kid, k->at[i].kid_len), kid))
            return &k->at[i];
    return NULL;
}
