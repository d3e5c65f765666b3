/* gw_tls.c: the gateway's certificate and key, read again when their files change */
#include "gateway/gw_tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/gw_impl.h"
#include "http/http_tls.h"

#define SOON_S (14 * 24 * 3600) /* a certificate that ends within it is worth a warning */

struct pair {
    char *cert, *key;
    struct http_tls *http;
};

static void wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

static void pair_free(struct pair *p)
{
    free(p->cert);
    wipe(p->key);
    http_tls_unref(p->http);
}

static struct gw_file_state state_of(const char *path)
{
    struct gw_file_state s = {0};
    struct stat st;

    if (stat(path, &st) == 0)
        s = (struct gw_file_state){st.st_mtim, st.st_ctim, st.st_dev, st.st_ino, (uint64_t)st.st_size};
    return s;
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool is_same(const struct gw_file_state *a, const struct gw_file_state *b)
{
    return is_same_time(a->mtime, b->mtime) && is_same_time(a->ctime, b->ctime) && a->dev == b->dev && a->inode == b->inode &&
           a->size == b->size;
}

/* NULL, and why in err. */
static char *read_file(const char *name, const char *path, char err[256])
{
    char *text = malloc(GW_PEM_MAX + 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n = fd < 0 || !text ? -1 : 1;

    while (n > 0 && len <= GW_PEM_MAX) {
        n = read(fd, text + len, GW_PEM_MAX + 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    if (n < 0)
        snprintf(err, 256, "%s=%.120s: cannot be read: %s", name, path, strerror(errno));
    else if (len > GW_PEM_MAX)
        snprintf(err, 256, "%s=%.120s: is larger than %u bytes", name, path, GW_PEM_MAX);
    if (fd >= 0)
        close(fd);
    if (n < 0 || len > GW_PEM_MAX) {
        free(text);
        return NULL;
    }
    text[len] = 0;
    return text;
}

static int load(const struct gw_config *c, struct pair *p, char err[256])
{
    char why[160];

    *p = (struct pair){.cert = read_file("PROXY_TLS_CERT", c->tls_cert, err)};
    if (p->cert)
        p->key = read_file("PROXY_TLS_KEY", c->tls_key, err);
    if (p->key) {
        p->http = http_tls_new(slice_str(p->cert), slice_str(p->key), why);
        if (!p->http)
            snprintf(err, 256, "PROXY_TLS_CERT=%.60s, PROXY_TLS_KEY=%.60s: %.90s", c->tls_cert, c->tls_key, why);
    }
    if (p->http)
        return 0;
    pair_free(p);
    return -1;
}

static void warn_of_end(struct gateway *gw)
{
    int64_t left = atomic_load(&gw->tls.expires_s) - (int64_t)time(NULL);

    if (left < SOON_S)
        log_warn("\"the certificate %s\" file=%s days=%lld", left < 0 ? "has expired" : "expires soon", gw->cfg.tls_cert,
                 (long long)(left / 86400));
}

static void take(struct gateway *gw, const struct pair *p)
{
    struct pair old = {gw->tls.cert, gw->tls.key, gw->tls.http};

    gw->tls.cert = p->cert;
    gw->tls.key = p->key;
    gw->tls.http = p->http;
    pair_free(&old);
    atomic_store(&gw->tls.expires_s, http_tls_expires_s(p->http));
    warn_of_end(gw);
}

/* Before the files are read: a change while we read is then seen as one more. */
static bool look(struct gateway *gw)
{
    struct gw_file_state now[2] = {state_of(gw->cfg.tls_cert), state_of(gw->cfg.tls_key)};
    bool changed = !is_same(&now[0], &gw->tls.seen[0]) || !is_same(&now[1], &gw->tls.seen[1]);

    memcpy(gw->tls.seen, now, sizeof(now));
    return changed;
}

int gw_tls_start(struct gateway *gw, char err[256])
{
    struct pair p;

    if (!gw->cfg.tls_cert[0])
        return 0;
    look(gw);
    if (load(&gw->cfg, &p, err) < 0)
        return -1;
    take(gw, &p);
    return 0;
}

void gw_tls_tick(struct gateway *gw)
{
    char err[256];
    struct pair p;

    if (!gw->tls.http || !look(gw))
        return;
    if (load(&gw->cfg, &p, err) < 0) {
        gw_count(&gw->tls.refused, 1);
        log_warn("\"the new certificate is refused, the old one stays\" err=\"%s\"", err);
        return;
    }
    take(gw, &p);
    http_server_set_tls(gw->http, gw->tls.http);
    if (rpc_server_set_tls(gw->grpc, gw->tls.cert, gw->tls.key) < 0)
        log_warn("\"no memory for the new certificate: gRPC keeps the old one\"");
    gw_count(&gw->tls.reloaded, 1);
    log_info("\"new certificate\" file=%s", gw->cfg.tls_cert);
}

void gw_tls_fini(struct gateway *gw)
{
    struct pair p = {gw->tls.cert, gw->tls.key, gw->tls.http};

    pair_free(&p);
    gw->tls = (struct gw_tls){0};
}

void gw_tls_metrics(struct gateway *gw, struct metrics *m)
{
    if (!gw->cfg.tls_cert[0])
        return;
    metrics_counter(m, "codecast_tls_reloads_total", "New certificates taken while running.", gw_read(&gw->tls.reloaded));
    metrics_counter(m, "codecast_tls_reloads_refused_total", "New certificates that were wrong: the old one stayed.",
                    gw_read(&gw->tls.refused));
    metrics_gauge(m, "codecast_tls_certificate_end_seconds", "When the certificate ends, unix time.",
                  (double)atomic_load(&gw->tls.expires_s));
}
