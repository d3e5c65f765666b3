/* generation_header.c: a generation's name and its publisher's signature */
#include "pubsub/generation_header.h"

#include "crypto/sha256.h"
#include "pubsub/generation_hash.h"

static const char id_domain[] = "codecast-rlnc-generation-v1:";
static const char sig_domain[] = "codecast-rlnc-header-v1:";

unsigned generation_header_k(uint32_t size_bytes, unsigned want)
{
    uint32_t shard = (uint32_t)(((uint64_t)size_bytes + want - 1) / want);

    return shard ? (unsigned)(((uint64_t)size_bytes + shard - 1) / shard) : 1;
}

/* What is signed: the domain, then the core. */
static struct slice signed_bytes(uint8_t *out, size_t cap, struct slice core)
{
    struct wr w = wr_of(out, cap);

    wr_bytes(&w, sig_domain, sizeof(sig_domain) - 1);
    wr_slice(&w, core);
    return slice_of(out, w.bad ? 0 : w.len);
}

struct buf *generation_header_of(const struct key_pair *key, const struct peer_id *self, struct slice topic, uint64_t seqno,
                                 const struct rlnc_shape *shape, const uint8_t *hashes)
{
    uint8_t core[CODED_HEADER_MAX], text[CODED_HEADER_MAX + sizeof(sig_domain)], sig[KEY_SIGNATURE_MAX];
    struct coded_header h = {.topic = topic, .from = peer_id_slice(self), .seqno = seqno, .shape = *shape,
                             .hashes = slice_of(hashes, (size_t)shape->k * CODED_HASH_BYTES)};
    struct wr w = wr_of(core, sizeof(core));
    struct buf *b = buf_new(CODED_HEADER_MAX);
    size_t sig_len;

    if (!b)
        return NULL;
    coded_header_core_put(&w, &h);
    h.core = slice_of(core, w.len);
    sig_len = key_pair_sign(key, signed_bytes(text, sizeof(text), h.core), sig);
    w = wr_of(b->data, b->cap);
    coded_header_put(&w, h.core, slice_of(sig, sig_len));
    b->len = (uint32_t)w.len;
    return b;
}

struct buf *generation_header_make(const struct key_pair *key, const struct peer_id *self, struct slice topic,
                                   uint64_t seqno, const struct rlnc_shape *shape, const uint8_t *payload,
                                   uint32_t elide_bytes)
{
    uint8_t hashes[RLNC_K_MAX * CODED_HASH_BYTES];

    generation_hash_payload(shape, payload, elide_bytes, hashes);
    return generation_header_of(key, self, topic, seqno, shape, hashes);
}

void generation_header_id(const struct coded_header *h, uint8_t id[CODED_ID_BYTES])
{
    uint8_t digest[SHA256_BYTES];
    struct sha256 s;

    sha256_init(&s);
    sha256_update(&s, slice_of(id_domain, sizeof(id_domain) - 1));
    sha256_update(&s, h->core);
    sha256_final(&s, digest);
    memcpy(id, digest, CODED_ID_BYTES);
}

int generation_header_verify(const struct coded_header *h)
{
    uint8_t text[CODED_HEADER_MAX + sizeof(sig_domain)];
    struct public_key key;
    struct peer_id from;

    if (peer_id_from_bytes(&from, h->from) || public_key_of_peer(&key, &from))
        return -CODED_E_FROM;
    return public_key_verify(&key, signed_bytes(text, sizeof(text), h->core), h->signature) ? -CODED_E_SIGNATURE : 0;
}
