#include "libp2p/envelope.h"

#include "base/pb.h"

enum { FIELD_PUBLIC_KEY = 1, FIELD_PAYLOAD_TYPE = 2, FIELD_PAYLOAD = 3, FIELD_SIGNATURE = 5 };

struct envelope {
    struct slice key, type, payload, signature;
};

/* What the signature covers. */
struct signed_bytes {
    size_t len;
    uint8_t p[ENVELOPE_MAX + ENVELOPE_DOMAIN_MAX + ENVELOPE_TYPE_MAX + 3 * UVARINT_MAX];
};

const char *envelope_err_name(int err)
{
    switch (-err) {
    case ENVELOPE_EFORMAT: return "ENVELOPE_EFORMAT";
    case ENVELOPE_ETOOBIG: return "ENVELOPE_ETOOBIG";
    case ENVELOPE_ETYPE: return "ENVELOPE_ETYPE";
    case ENVELOPE_EKEY: return "ENVELOPE_EKEY";
    case ENVELOPE_ESIGNATURE: return "ENVELOPE_ESIGNATURE";
    case ENVELOPE_ESPACE: return "ENVELOPE_ESPACE";
    default: return "?";
    }
}

static int make_signed_bytes(struct signed_bytes *s, struct slice domain, struct slice type,
                             struct slice payload)
{
    struct wr w = wr_of(s->p, sizeof(s->p));

    wr_uvarint(&w, domain.len);
    wr_slice(&w, domain);
    wr_uvarint(&w, type.len);
    wr_slice(&w, type);
    wr_uvarint(&w, payload.len);
    wr_slice(&w, payload);
    s->len = w.len;
    return w.bad ? -ENVELOPE_ETOOBIG : 0;
}

static int decode(struct slice in, struct envelope *e)
{
    struct rd r = rd_of(in);
    struct pb_field f;
    int rc;

    *e = (struct envelope){0};
    if (in.len > ENVELOPE_MAX)
        return -ENVELOPE_ETOOBIG;
    while ((rc = pb_next(&r, &f)) > 0) {
        if (f.type != PB_BYTES)
            continue;
        switch (f.number) {
        case FIELD_PUBLIC_KEY: e->key = f.bytes; break;
        case FIELD_PAYLOAD_TYPE: e->type = f.bytes; break;
        case FIELD_PAYLOAD: e->payload = f.bytes; break;
        case FIELD_SIGNATURE: e->signature = f.bytes; break;
        default: break;
        }
    }
    return rc < 0 || !e->key.len || !e->type.len || !e->signature.len ? -ENVELOPE_EFORMAT : 0;
}

int envelope_open(struct slice in, struct slice domain, struct slice type, struct public_key *signer,
                  struct slice *payload)
{
    struct signed_bytes s;
    struct public_key key;
    struct envelope e;
    int rc = decode(in, &e);

    if (rc)
        return rc;
    if (!slice_is_equal(e.type, type))
        return -ENVELOPE_ETYPE;
    if (public_key_decode(&key, e.key))
        return -ENVELOPE_EKEY;
    rc = make_signed_bytes(&s, domain, type, e.payload);
    if (rc)
        return rc;
    rc = public_key_verify(&key, slice_of(s.p, s.len), e.signature);
    if (rc)
        return rc == -KEY_ESIGNATURE ? -ENVELOPE_ESIGNATURE : -ENVELOPE_EKEY;
    *signer = key;
    *payload = e.payload;
    return 0;
}

ssize_t envelope_seal(const struct key_pair *key, struct slice domain, struct slice type,
                      struct slice payload, uint8_t *out, size_t cap)
{
    uint8_t pb[KEY_OWN_PUBLIC_PB_MAX], signature[KEY_SIGNATURE_MAX];
    struct wr w = wr_of(out, cap);
    struct signed_bytes s;
    ssize_t n = key_pair_encode_public(key, pb, sizeof(pb));

    if (make_signed_bytes(&s, domain, type, payload))
        return -ENVELOPE_ETOOBIG;
    pb_put_bytes(&w, FIELD_PUBLIC_KEY, slice_of(pb, (size_t)n));
    pb_put_bytes(&w, FIELD_PAYLOAD_TYPE, type);
    pb_put_bytes(&w, FIELD_PAYLOAD, payload);
    pb_put_bytes(&w, FIELD_SIGNATURE,
                 slice_of(signature, key_pair_sign(key, slice_of(s.p, s.len), signature)));
    if (w.bad)
        return -ENVELOPE_ESPACE;
    return w.len > ENVELOPE_MAX ? -ENVELOPE_ETOOBIG : (ssize_t)w.len;
}
