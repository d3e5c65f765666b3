/* http_tls.c: a certificate and its key, ready for handshakes */
#include "http/http_tls.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "http/http_private.h"

#define CHAIN_MAX 16

/* A key with a passphrase: nobody is there to ask. */
static int no_passphrase(char *buf, int size, int rw, void *user)
{
    (void)buf;
    (void)size;
    (void)rw;
    (void)user;
    return -1;
}

/* Clients that offer only other protocols get an alert instead of a connection that neither side understands (RFC 7301 3.2). */
static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                           unsigned in_len, void *user)
{
    static const unsigned char ours[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

    (void)ssl;
    (void)user;
    return SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_len, ours, sizeof(ours), in, in_len) ==
                   OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static const char *take_certificate(struct http_tls *t, BIO *in)
{
    X509 *cert = PEM_read_bio_X509(in, NULL, no_passphrase, NULL), *next;
    struct tm end;
    int rc;

    if (!cert)
        return "the certificate file holds no certificate in PEM";
    rc = SSL_CTX_use_certificate(t->ctx, cert);
    if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &end) == 1)
        t->expires_s = timegm(&end);
    X509_free(cert);
    if (rc != 1)
        return "the certificate cannot be used";
    for (unsigned i = 0; i < CHAIN_MAX && (next = PEM_read_bio_X509(in, NULL, no_passphrase, NULL)); i++)
        if (SSL_CTX_add0_chain_cert(t->ctx, next) != 1) {
            X509_free(next);
            return "the certificate's chain cannot be used";
        }
    return NULL;
}

static const char *take_key(struct http_tls *t, BIO *in)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL);
    int rc;

    if (!key)
        return "the key file holds no private key in PEM without a passphrase";
    rc = SSL_CTX_use_PrivateKey(t->ctx, key); /* compares it with the certificate */
    EVP_PKEY_free(key);
    return rc == 1 && SSL_CTX_check_private_key(t->ctx) == 1 ? NULL : "the key is not that of the certificate";
}

static const char *fill(struct http_tls *t, struct slice cert, struct slice key)
{
    BIO *c = BIO_new_mem_buf(cert.p, (int)cert.len), *k = BIO_new_mem_buf(key.p, (int)key.len);
    const char *why = c && k ? take_certificate(t, c) : "out of memory";

    if (!why)
        why = take_key(t, k);
    BIO_free(c);
    BIO_free(k);
    ERR_clear_error(); /* the end of a chain leaves one too */
    return why;
}

struct http_tls *http_tls_new(struct slice cert, struct slice key, char err[160])
{
    struct http_tls *t = calloc(1, sizeof(*t));
    const char *why = "out of memory";

    if (t) {
        atomic_init(&t->refs, 1);
        t->ctx = SSL_CTX_new(TLS_server_method());
    }
    if (t && t->ctx) {
        SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
        SSL_CTX_set_options(t->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
        SSL_CTX_set_mode(t->ctx, SSL_MODE_RELEASE_BUFFERS); /* idle clients hold no record buffers */
        SSL_CTX_set_alpn_select_cb(t->ctx, select_protocol, NULL);
        why = fill(t, cert, key);
    }
    if (!why)
        return t;
    snprintf(err, 160, "%s", why);
    http_tls_unref(t);
    return NULL;
}

struct http_tls *http_tls_ref(struct http_tls *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void http_tls_unref(struct http_tls *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(t->ctx);
    free(t);
}

int64_t http_tls_expires_s(const struct http_tls *t)
{
    return t->expires_s;
}
