/* crypto.h: what every file of the room shares
 * Shape:   error codes, start-up, wiping, constant-time comparison
 * Owner:   any thread; no state of ours
 * Errors:  0 or -CRYPTO_E…
 */
#ifndef CRYPTO_CRYPTO_H
#define CRYPTO_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>

enum crypto_err {
    CRYPTO_ENOMEM = 1, /* the library has no memory: give this connection up */
    CRYPTO_EAUTH,      /* a tag or signature does not match: the peer lied or the link is damaged */
    CRYPTO_EKEY,       /* a key that no honest peer sends (all-zero result, point off the group) */
};

/* "CRYPTO_EAUTH" for -CRYPTO_EAUTH; "?" for what is not ours. */
const char *crypto_err_name(int err);

/* Chooses the fastest kernels of this CPU. Once per program, before threads; everything works without it, slower.
 * -1: the library refused to start. */
int crypto_init(void);

/* Not removed by the compiler. */
void crypto_wipe(void *p, size_t len);
/* Time depends on len alone. */
bool crypto_is_equal(const void *a, const void *b, size_t len);

#endif
