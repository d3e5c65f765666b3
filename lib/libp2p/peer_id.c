#include "libp2p/peer_id.h"

#include <assert.h>

#include "crypto/sha256.h"
#include "libp2p/multibase.h"

enum { HASH_IDENTITY = 0x00, HASH_SHA256 = 0x12 };
enum { CID_V1 = 0x01, CID_LIBP2P_KEY = 0x72 };

#define IDENTITY_MAX (PEER_ID_MAX - 2)

/* Bytes of every encoded Ed25519 PublicKey before the key itself: Type = 1, Data of 32 bytes. */
static const uint8_t ed25519_head[] = {0x08, 0x01, 0x12, 0x20};

const char *peer_id_err_name(int err)
{
    switch (-err) {
    case PEER_ID_EFORMAT: return "PEER_ID_EFORMAT";
    case PEER_ID_EHASH: return "PEER_ID_EHASH";
    case PEER_ID_EKEY: return "PEER_ID_EKEY";
    default: return "?";
    }
}

void peer_id_from_key(struct peer_id *id, struct slice key)
{
    memset(id, 0, sizeof(*id));
    if (key.len <= IDENTITY_MAX) {
        id->bytes[0] = HASH_IDENTITY;
        id->bytes[1] = (uint8_t)key.len;
        if (key.len)
            memcpy(id->bytes + 2, key.p, key.len);
        id->len = (uint8_t)(2 + key.len);
    } else {
        id->bytes[0] = HASH_SHA256;
        id->bytes[1] = SHA256_BYTES;
        sha256_of(key, id->bytes + 2);
        id->len = 2 + SHA256_BYTES;
    }
}

void peer_id_from_ed25519(struct peer_id *id, const uint8_t public[32])
{
    uint8_t key[sizeof(ed25519_head) + 32];

    memcpy(key, ed25519_head, sizeof(ed25519_head));
    memcpy(key + sizeof(ed25519_head), public, 32);
    peer_id_from_key(id, slice_of(key, sizeof(key)));
}

/* Codes and lengths below 128 are one byte each, so a longer varint is already a wrong one. */
int peer_id_from_bytes(struct peer_id *id, struct slice bytes)
{
    if (bytes.len < 3 || bytes.len > PEER_ID_MAX || bytes.p[1] != bytes.len - 2)
        return -PEER_ID_EHASH;
    if (bytes.p[0] != HASH_IDENTITY && (bytes.p[0] != HASH_SHA256 || bytes.p[1] != SHA256_BYTES))
        return -PEER_ID_EHASH;
    memset(id, 0, sizeof(*id));
    memcpy(id->bytes, bytes.p, bytes.len);
    id->len = (uint8_t)bytes.len;
    return 0;
}

static int from_cid(struct peer_id *id, const uint8_t *cid, ssize_t len)
{
    if (len < 2 || cid[0] != CID_V1 || cid[1] != CID_LIBP2P_KEY)
        return -PEER_ID_EFORMAT;
    return peer_id_from_bytes(id, slice_of(cid + 2, (size_t)len - 2));
}

int peer_id_parse(struct peer_id *id, struct slice text)
{
    uint8_t raw[PEER_ID_CID_MAX];
    struct slice rest;
    ssize_t n;

    if (text.len < 2 || text.len > PEER_ID_CID_MAX)
        return -PEER_ID_EFORMAT;
    rest = slice_of(text.p + 1, text.len - 1);
    switch (text.p[0]) {
    case 'b': return from_cid(id, raw, base32_decode(raw, sizeof(raw), rest));
    case 'k': return from_cid(id, raw, base36_decode(raw, sizeof(raw), rest));
    case 'z': return from_cid(id, raw, base58_decode(raw, sizeof(raw), rest));
    case '1':
    case 'Q':
        n = base58_decode(raw, sizeof(raw), text);
        return n < 0 ? -PEER_ID_EFORMAT : peer_id_from_bytes(id, slice_of(raw, (size_t)n));
    default: return -PEER_ID_EFORMAT;
    }
}

size_t peer_id_format(const struct peer_id *id, char out[PEER_ID_TEXT_MAX])
{
    ssize_t n = base58_encode(out, PEER_ID_TEXT_MAX, peer_id_slice(id));

    assert(n >= 0); /* 44 bytes make at most 62 digits */
    return (size_t)n;
}

int peer_id_key(const struct peer_id *id, struct slice *key)
{
    if (id->len < 3 || id->bytes[0] != HASH_IDENTITY)
        return -PEER_ID_EKEY;
    *key = slice_of(id->bytes + 2, id->len - 2u);
    return 0;
}
