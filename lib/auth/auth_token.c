/* auth_token.c: form, header and signature of a token */
#include "auth/auth_token.h"

#include <cjose/cjose.h>
#include <jansson.h>

#include "base/text.h"

#define HEADER_MAX 2048 /* decoded */

static bool split(struct slice text, struct slice part[3])
{
    unsigned n = 0;
    size_t from = 0;

    for (size_t i = 0; i <= text.len; i++)
        if (i == text.len || text.p[i] == '.') {
            if (n == 3)
                return false;
            part[n++] = slice_of(text.p + from, i - from);
            from = i + 1;
        }
    return n == 3;
}

static bool is_part(struct slice text)
{
    return text.len > 0 && base64url_is_valid(text);
}

static bool is_type_ok(const json_t *typ)
{
    const char *s = json_string_value(typ);

    return !typ || (s && (strcasecmp(s, "JWT") == 0 || strcasecmp(s, "at+jwt") == 0 ||
                          strcasecmp(s, "application/at+jwt") == 0));
}

static int read_header(struct auth_token *t, const json_t *h)
{
    const json_t *alg = json_object_get(h, "alg"), *kid = json_object_get(h, "kid");

    if (!json_is_object(h) || !is_type_ok(json_object_get(h, "typ")))
        return -AUTH_E_HEADER;
    if (!json_is_string(alg) || strcmp(json_string_value(alg), "RS256") != 0)
        return -AUTH_E_ALG;
    if (json_object_get(h, "crit"))
        return -AUTH_E_CRIT;
    if (!json_is_string(kid) || json_string_length(kid) == 0 || json_string_length(kid) > AUTH_KID_MAX)
        return -AUTH_E_KID;
    t->kid_len = json_string_length(kid);
    memcpy(t->kid, json_string_value(kid), t->kid_len + 1);
    return 0;
}

int auth_token_read(struct auth_token *t, struct slice text)
{
    uint8_t header[HEADER_MAX];
    struct slice part[3];
    ssize_t n;
    json_t *h;
    int rc;

    *t = (struct auth_token){.text = text};
    if (text.len == 0)
        return -AUTH_E_MISSING;
    if (text.len > AUTH_TOKEN_MAX)
        return -AUTH_E_LONG;
    if (!split(text, part) || !is_part(part[0]) || !is_part(part[1]))
        return -AUTH_E_FORM;
    n = base64url_decode(header, sizeof(header), part[0]);
    h = n < 0 ? NULL : json_loadb((const char *)header, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
    rc = h ? read_header(t, h) : -AUTH_E_HEADER;
    json_decref(h);
    /* an empty signature is what "none" has: told apart above, where the algorithm is named */
    return rc == 0 && !is_part(part[2]) ? -AUTH_E_FORM : rc;
}

int auth_token_verify(const struct auth_token *t, const struct auth_key *key, const struct auth_policy *p,
                      struct auth_grant *out, int64_t now_s)
{
    cjose_err err;
    cjose_jws_t *jws = cjose_jws_import((const char *)t->text.p, t->text.len, &err);
    uint8_t *claims;
    size_t len;
    int rc;

    if (!jws)
        return -AUTH_E_FORM;
    if (!cjose_jws_verify(jws, key->jwk, &err) || !cjose_jws_get_plaintext(jws, &claims, &len, &err))
        rc = -AUTH_E_SIGNATURE;
    else
        rc = auth_claims_read(slice_of(claims, len), p, out, now_s);
    cjose_jws_release(jws);
    return rc;
}
