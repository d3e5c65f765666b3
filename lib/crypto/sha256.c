/* The library's low-level SHA-256: deprecated for applications since 3.0, but the only form that lives in the caller's
 * memory. EVP allocates a context per hash and looks the algorithm up, which a hash of 256 bytes would feel. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/sha256.h"

#include <openssl/sha.h>

#include "crypto/crypto.h"
#include "crypto/sha256_lanes.h"

_Static_assert(sizeof(SHA256_CTX) <= sizeof(struct sha256), "struct sha256 holds the library's state");
_Static_assert(_Alignof(SHA256_CTX) <= _Alignof(struct sha256), "and is aligned for it");

static SHA256_CTX *state_of(struct sha256 *s)
{
    return (SHA256_CTX *)(void *)s->opaque;
}

void sha256_init(struct sha256 *s)
{
    SHA256_Init(state_of(s));
}

void sha256_update(struct sha256 *s, struct slice in)
{
    if (in.len)
        SHA256_Update(state_of(s), in.p, in.len);
}

void sha256_final(struct sha256 *s, uint8_t out[SHA256_BYTES])
{
    SHA256_Final(out, state_of(s));
    crypto_wipe(s, sizeof(*s));
}

void sha256_of(struct slice in, uint8_t out[SHA256_BYTES])
{
    struct sha256 s;

    sha256_init(&s);
    sha256_update(&s, in);
    sha256_final(&s, out);
}

static bool has_lanes;

/* Before main, so that it is immutable once threads exist. */
__attribute__((constructor)) static void ask_cpu(void)
{
    has_lanes = sha256_lanes_is_usable();
}

void sha256_many(const struct slice *in, size_t count, uint8_t (*out)[SHA256_BYTES])
{
    if (has_lanes && count > 1) {
        sha256_lanes(in, count, out);
        return;
    }
    for (size_t i = 0; i < count; i++)
        sha256_of(in[i], out[i]);
}
