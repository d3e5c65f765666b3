/* http_tls.h: a certificate and its key, ready for handshakes
 * Shape:   two PEM texts -> a checked context; a server takes it at its start and another one at any time
 * Source:  TLS 1.2 and 1.3; ALPN http/1.1 alone (HTTP/2 is off, see http_server.h)
 * Owner:   counted, atomically: any thread
 * Errors:  http_tls_new: NULL and a sentence in err that says which of the two texts is wrong
 */
#ifndef HTTP_HTTP_TLS_H
#define HTTP_HTTP_TLS_H

#include "base/slice.h"

struct http_tls;

/* cert: the server's certificate first, then its chain. The key must be its key, without a passphrase. One reference. */
struct http_tls *http_tls_new(struct slice cert, struct slice key, char err[160]);
struct http_tls *http_tls_ref(struct http_tls *t);
void http_tls_unref(struct http_tls *t); /* NULL is allowed */
/* When the certificate ends, in seconds since 1970. */
int64_t http_tls_expires_s(const struct http_tls *t);

#endif
