#include "libp2p/keyfile.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "base/wr.h"
#include "libp2p/keyfile_json.h"

#define SUM_BYTES 8
#define POLY_ISO  0xD800000000000000u /* x^64 + x^4 + x^3 + x + 1, bits reversed */

const char *keyfile_err_name(int err)
{
    switch (-err) {
    case KEYFILE_ESIZE: return "KEYFILE_ESIZE";
    case KEYFILE_ESUM: return "KEYFILE_ESUM";
    case KEYFILE_EJSON: return "KEYFILE_EJSON";
    case KEYFILE_EKEY: return "KEYFILE_EKEY";
    case KEYFILE_ETYPE: return "KEYFILE_ETYPE";
    case KEYFILE_EID: return "KEYFILE_EID";
    case KEYFILE_ESPACE: return "KEYFILE_ESPACE";
    default: return "?";
    }
}

uint64_t keyfile_sum(struct slice content)
{
    uint64_t sum = ~0ull;

    for (size_t i = 0; i < content.len; i++) {
        sum ^= content.p[i];
        for (unsigned bit = 0; bit < 8; bit++)
            sum = sum & 1 ? sum >> 1 ^ POLY_ISO : sum >> 1;
    }
    return ~sum;
}

static uint64_t read_sum(const uint8_t *p)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < SUM_BYTES; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

/* The type, not ours, that an encoded PrivateKey names; past the last known one when nobody knows it. */
static enum key_type type_of(struct slice pb)
{
    struct public_key as_public; /* the two messages have the same shape */

    return public_key_decode(&as_public, pb) ? KEY_ECDSA + 1 : as_public.type;
}

static int take_key(struct key_pair *k, const struct keyfile_text *text, struct keyfile_why *why)
{
    uint8_t pb[KEYFILE_TEXT_MAX];
    ssize_t n = base64_decode(pb, sizeof(pb), slice_of(text->p, (size_t)text->len));
    int rc = 0;

    why->key_err = n < 0 ? 0 : key_pair_decode(k, slice_of(pb, (size_t)n));
    if (n < 0 || why->key_err)
        rc = -KEYFILE_EKEY;
    if (why->key_err == -KEY_ETYPE) {
        why->type = type_of(slice_of(pb, (size_t)n));
        rc = -KEYFILE_ETYPE;
    }
    crypto_wipe(pb, sizeof(pb));
    return rc;
}

static int check_id(const struct key_pair *k, const struct keyfile_text *text, struct keyfile_why *why)
{
    struct peer_id named;

    key_pair_peer_id(k, &why->id);
    if (peer_id_parse(&named, slice_of(text->p, (size_t)text->len)) || !peer_id_is_equal(&named, &why->id))
        return -KEYFILE_EID;
    return 0;
}

int keyfile_parse(struct key_pair *k, struct slice file, struct keyfile_why *why)
{
    struct keyfile_why unused;
    struct keyfile_json json;
    struct key_pair made;
    int rc;

    if (!why)
        why = &unused;
    memset(why, 0, sizeof(*why));
    if (file.len < SUM_BYTES || file.len > KEYFILE_MAX)
        return -KEYFILE_ESIZE;
    why->stored_sum = read_sum(file.p);
    why->computed_sum = keyfile_sum(slice_of(file.p + SUM_BYTES, file.len - SUM_BYTES));
    if (why->stored_sum != why->computed_sum)
        return -KEYFILE_ESUM;
    rc = keyfile_json_parse(&json, slice_of(file.p + SUM_BYTES, file.len - SUM_BYTES)) ? -KEYFILE_EJSON : 0;
    if (!rc)
        rc = take_key(&made, &json.key, why);
    if (!rc)
        rc = check_id(&made, &json.id, why);
    if (!rc)
        *k = made;
    crypto_wipe(&json, sizeof(json));
    key_pair_fini(&made);
    return rc;
}

ssize_t keyfile_format(const struct key_pair *k, uint8_t *out, size_t cap)
{
    uint8_t pb[KEY_OWN_PRIVATE_PB_MAX], sum[SUM_BYTES];
    char key[BASE64_SIZE(KEY_OWN_PRIVATE_PB_MAX)], id[PEER_ID_TEXT_MAX];
    struct wr w = wr_of(out, cap);
    struct peer_id peer;
    uint64_t v;

    key_pair_peer_id(k, &peer);
    peer_id_format(&peer, id);
    base64_encode(key, slice_of(pb, (size_t)key_pair_encode(k, pb, sizeof(pb))));
    wr_be(&w, 0, SUM_BYTES); /* its place */
    wr_slice(&w, SLICE_LIT("{\"Key\":\""));
    wr_slice(&w, slice_str(key));
    wr_slice(&w, SLICE_LIT("\",\"ID\":\""));
    wr_slice(&w, slice_str(id));
    wr_slice(&w, SLICE_LIT("\"}"));
    crypto_wipe(pb, sizeof(pb));
    crypto_wipe(key, sizeof(key));
    if (w.bad)
        return -KEYFILE_ESPACE;
    v = keyfile_sum(slice_of(out + SUM_BYTES, w.len - SUM_BYTES));
    for (unsigned i = 0; i < SUM_BYTES; i++)
        sum[i] = (uint8_t)(v >> (8 * i));
    memcpy(out, sum, SUM_BYTES);
    return (ssize_t)w.len;
}

void keyfile_explain(int err, const struct keyfile_why *why, char *out, size_t cap)
{
    char id[PEER_ID_TEXT_MAX];

    switch (-err) {
    case KEYFILE_ESIZE: snprintf(out, cap, "the key file is empty, cut or over %d bytes", KEYFILE_MAX); break;
    case KEYFILE_ESUM:
        snprintf(out, cap,
                 "checksum mismatch: the key file says 0x%016" PRIx64 ", its content has 0x%016" PRIx64,
                 why->stored_sum, why->computed_sum);
        break;
    case KEYFILE_EJSON: snprintf(out, cap, "the key file is not JSON with the strings Key and ID"); break;
    case KEYFILE_EKEY:
        snprintf(out, cap, "Key in the key file is not a private key (%s)",
                 why->key_err ? key_err_name(why->key_err) : "broken base64");
        break;
    case KEYFILE_ETYPE:
        snprintf(out, cap, "unsupported key type %s in the key file; supported: Ed25519, Secp256k1",
                 key_type_name(why->type));
        break;
    case KEYFILE_EID:
        peer_id_format(&why->id, id);
        snprintf(out, cap, "ID in the key file does not belong to its Key, which is %s", id);
        break;
    default: snprintf(out, cap, "%s", keyfile_err_name(err)); break;
    }
}
