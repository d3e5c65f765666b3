#include "inside/inside.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gateway/gateway.h"
#include "http/http_metrics.h"
#include "inside/inside_link.h"

struct inside {
    struct gw_config cfg;
    const struct node_config *node;
    pthread_mutex_t lock; /* guards both; held while they are read for metrics, so that they stay */
    struct gateway *gateway;
    struct gw_link *link; /* the gateway's */
};

/* ---- settings ---- */

static bool is_any(const char *host)
{
    return !host[0] || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

static void check_port(const char *name, const struct setting_listen *l, const char *other, const char *bind, uint16_t port,
                       struct settings_report *rep)
{
    char value[80];

    if (l->port != port || !(is_any(l->host) || is_any(bind) || strcmp(l->host, bind) == 0))
        return;
    snprintf(value, sizeof(value), "%s:%u", l->host, l->port);
    settings_fatal(rep, name, value, "is also %s: ports must differ", other);
}

bool inside_config_load(struct gw_config *gw, const struct node_config *node, settings_lookup get, void *ctx,
                        struct settings_report *rep)
{
    const struct setting_listen *l[] = {&gw->proxy, &gw->grpc};
    static const char *const names[] = {"PROXY_PORT", "PROXY_GRPC_PORT"};

    if (!gw_config_load_inside(gw, node->cluster_id, get, ctx, rep))
        return false;
    gw->country = node->country;
    gw->country_iso = node->country_iso;
    for (unsigned i = 0; i < 2; i++) {
        check_port(names[i], l[i], "SIDECAR_PORT", node->sidecar_bind, node->sidecar_port, rep);
        check_port(names[i], l[i], "API_PORT", node->api_bind, node->api_port, rep);
        check_port(names[i], l[i], "the mesh's port", "", node->active->port, rep);
    }
    return true;
}

/* ---- the guest ---- */

/* host:port of our sidecar as others may reach it: the address that it binds, or that of the mesh. */
static void target_of(const struct node_config *c, struct hub *hub, char out[128])
{
    struct hub_health h;
    char ip[64] = "127.0.0.1";

    hub_health_get(hub, &h);
    if (!is_any(c->sidecar_bind))
        snprintf(ip, sizeof(ip), "%s", c->sidecar_bind);
    else if (sscanf(h.p2p_address, "/ip%*1[46]/%63[^/]", ip) != 1)
        snprintf(ip, sizeof(ip), "127.0.0.1");
    snprintf(out, 128, strchr(ip, ':') ? "[%s]:%u" : "%s:%u", ip, c->sidecar_port);
}

static int start(void *user, struct hub *hub, const cpu_set_t *cpus, char err[256])
{
    struct inside *in = user;
    struct gateway *gw = NULL;
    struct gw_link *link;
    char target[128];

    target_of(in->node, hub, target);
    in->cfg.cpus = cpus;
    link = inside_link_new(hub, target, cpus);
    if (link)
        gw = gateway_start(&in->cfg, link, err);
    else
        snprintf(err, 256, "no memory for the gateway");
    if (!gw)
        return -1;
    pthread_mutex_lock(&in->lock);
    in->gateway = gw;
    in->link = link;
    pthread_mutex_unlock(&in->lock);
    log_info("\"gateway is up inside the node\" proxy=%s:%u grpc=%s:%u further_nodes=%u", in->cfg.proxy.host,
             in->cfg.proxy.port, in->cfg.grpc.host, in->cfg.grpc.port, in->cfg.n_nodes);
    return 0;
}

static void stop(void *user)
{
    struct inside *in = user;
    struct gateway *gw;

    pthread_mutex_lock(&in->lock);
    gw = in->gateway;
    in->gateway = NULL;
    in->link = NULL;
    pthread_mutex_unlock(&in->lock);
    gateway_stop(gw);
    gateway_free(gw);
    log_info("\"gateway has stopped\"");
}

static void link_families(struct gw_link *link, struct metrics *m)
{
    struct inside_link_stats s;

    inside_link_stats(link, &s);
    metrics_counter(m, "codecast_inside_published_total", "Publishes of the gateway inside that this node took", s.published);
    metrics_counter(m, "codecast_inside_waits_total", "Of them, those that waited for the data path", s.waits);
    metrics_counter(m, "codecast_inside_refused_total", "Publishes of the gateway inside that this node refused", s.refused);
    metrics_counter(m, "codecast_inside_delivered_total", "Messages that this node handed to the gateway inside", s.delivered);
    metrics_counter(m, "codecast_inside_lost_total", "Messages dropped because the gateway inside was too slow", s.lost);
    metrics_gauge(m, "codecast_inside_publish_queue_bytes", "Publishes of the gateway inside that wait", (double)s.out_bytes);
    metrics_gauge(m, "codecast_inside_deliver_queue_bytes", "Messages that wait for the gateway inside", (double)s.in_bytes);
    metrics_gauge(m, "codecast_inside_deliver_queue_bytes_peak", "Most that ever waited", (double)s.in_peak_bytes);
}

static void write_metrics(void *user, struct metrics *m)
{
    struct inside *in = user;

    pthread_mutex_lock(&in->lock);
    if (in->gateway) {
        gateway_metrics(in->gateway, m);
        link_families(in->link, m);
    }
    pthread_mutex_unlock(&in->lock);
}

struct inside *inside_new(const struct gw_config *gw, const struct node_config *node)
{
    struct inside *in = calloc(1, sizeof(*in));

    if (!in)
        return NULL;
    in->cfg = *gw;
    in->node = node;
    pthread_mutex_init(&in->lock, NULL);
    return in;
}

struct node_guest inside_guest(struct inside *in)
{
    return (struct node_guest){.start = start, .stop = stop, .metrics = write_metrics, .user = in};
}

void inside_free(struct inside *in)
{
    if (!in)
        return;
    pthread_mutex_destroy(&in->lock);
    free(in);
}
