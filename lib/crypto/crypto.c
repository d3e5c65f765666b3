#include "crypto/crypto.h"

#include <openssl/crypto.h>
#include <sodium.h>

#include "crypto/k256.h"

const char *crypto_err_name(int err)
{
    switch (-err) {
    case CRYPTO_ENOMEM: return "CRYPTO_ENOMEM";
    case CRYPTO_EAUTH: return "CRYPTO_EAUTH";
    case CRYPTO_EKEY: return "CRYPTO_EKEY";
    default: return "?";
    }
}

int crypto_init(void)
{
    if (sodium_init() < 0)
        return -1;
    k256_init();
    return 0;
}

void crypto_wipe(void *p, size_t len)
{
    OPENSSL_cleanse(p, len);
}

bool crypto_is_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}
