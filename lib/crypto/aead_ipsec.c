/* ChaCha20-Poly1305 by libipsec-mb's direct calls: kernels chosen for this CPU, no context on the heap. */
#include <assert.h>
#include <intel-ipsec-mb.h>
#include <string.h>

#include "crypto/aead_lib.h"

typedef struct chacha20_poly1305_context_data mb_state;

_Static_assert(sizeof(mb_state) <= sizeof(((struct aead_run *)0)->state), "struct aead_run holds the library's state");

const size_t aead_lib_align = 1;

/* A table of functions to us; its queues, which would belong to one thread, are not used. */
static IMB_MGR *kernels;

/* Before main, so that it is immutable once threads exist. */
__attribute__((constructor)) static void choose_kernels(void)
{
    kernels = alloc_mb_mgr(0);
    if (kernels)
        init_mb_mgr_auto(kernels, NULL);
}

__attribute__((destructor)) static void free_kernels(void)
{
    free_mb_mgr(kernels);
    kernels = NULL;
}

static mb_state *state_of(struct aead_run *r)
{
    return (mb_state *)(void *)r->state;
}

int aead_lib_init(struct aead *a, const uint8_t key[AEAD_KEY_BYTES])
{
    if (!kernels)
        return -CRYPTO_ENOMEM;
    memcpy(a->key, key, AEAD_KEY_BYTES);
    return 0;
}

void aead_lib_fini(struct aead *a)
{
    crypto_wipe(a->key, sizeof(a->key));
}

void aead_lib_begin(struct aead_run *r, const struct aead *a, const uint8_t nonce[AEAD_NONCE_BYTES], struct slice ad, bool is_seal)
{
    r->a = a;
    r->is_seal = is_seal;
    /* The library refuses a NULL where it reads nothing. */
    IMB_CHACHA20_POLY1305_INIT(kernels, a->key, state_of(r), nonce, ad.len ? ad.p : nonce, ad.len);
}

void aead_lib_crypt(struct aead_run *r, uint8_t *out, const uint8_t *in, size_t len)
{
    if (r->is_seal)
        IMB_CHACHA20_POLY1305_ENC_UPDATE(kernels, r->a->key, state_of(r), out, in, len);
    else
        IMB_CHACHA20_POLY1305_DEC_UPDATE(kernels, r->a->key, state_of(r), out, in, len);
}

void aead_lib_seal_tag(struct aead_run *r, uint8_t tag[AEAD_TAG_BYTES])
{
    IMB_CHACHA20_POLY1305_ENC_FINALIZE(kernels, state_of(r), tag, AEAD_TAG_BYTES);
    crypto_wipe(r->state, sizeof(mb_state));
}

bool aead_lib_open_tag(struct aead_run *r, const uint8_t tag[AEAD_TAG_BYTES])
{
    uint8_t want[AEAD_TAG_BYTES];
    bool is_equal;

    aead_lib_seal_tag(r, want);
    is_equal = crypto_is_equal(want, tag, sizeof(want));
    crypto_wipe(want, sizeof(want)); /* the right tag of a forged message is nobody's to learn */
    return is_equal;
}
