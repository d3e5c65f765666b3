/* rpc_tls.c: a server's certificate and key, which may change while it runs */
#include "rpc/rpc_tls.h"

#include <stdlib.h>
#include <string.h>

#include "rpc/rpc_err.h"

int rpc_tls_init(struct rpc_tls *t, const char *cert, const char *key)
{
    memset(t, 0, sizeof(*t));
    pthread_mutex_init(&t->lock, NULL);
    return cert ? rpc_tls_set(t, cert, key) : 0;
}

static void wipe(char *key)
{
    if (key)
        explicit_bzero(key, strlen(key));
    free(key);
}

void rpc_tls_fini(struct rpc_tls *t)
{
    free(t->cert);
    wipe(t->key);
    pthread_mutex_destroy(&t->lock);
}

int rpc_tls_set(struct rpc_tls *t, const char *cert, const char *key)
{
    char *c = strdup(cert), *k = strdup(key), *old_cert, *old_key;

    if (!c || !k) {
        free(c);
        wipe(k);
        return -RPC_ENOMEM;
    }
    pthread_mutex_lock(&t->lock);
    old_cert = t->cert;
    old_key = t->key;
    t->cert = c;
    t->key = k;
    t->version++;
    pthread_mutex_unlock(&t->lock);
    free(old_cert);
    wipe(old_key);
    return 0;
}

/* At every handshake. */
static grpc_ssl_certificate_config_reload_status fetch(void *user, grpc_ssl_server_certificate_config **out)
{
    grpc_ssl_certificate_config_reload_status status = GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    struct rpc_tls *t = user;

    pthread_mutex_lock(&t->lock);
    if (t->handed != t->version) {
        grpc_ssl_pem_key_cert_pair pair = {.private_key = t->key, .cert_chain = t->cert};

        /* core (1.51) insists on roots for clients' certificates, though nobody asks clients for any: then any will do */
        *out = grpc_ssl_server_certificate_config_create(t->cert, &pair, 1);
        t->handed = t->version;
        status = GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
    }
    pthread_mutex_unlock(&t->lock);
    return status;
}

grpc_server_credentials *rpc_tls_credentials(struct rpc_tls *t)
{
    if (!t->cert)
        return grpc_insecure_server_credentials_create();
    return grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE, fetch, t));
}
