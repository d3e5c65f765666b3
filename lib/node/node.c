#include <stdlib.h>

#include "base/log.h"
#include "crypto/crypto.h"
#include "drivers/capture.h"
#include "node/api.h"
#include "node/hub_xcore.h"
#include "node/node_int.h"
#include "node/resolver.h"
#include "node/sidecar.h"
#include "node/telemetry.h"

#define LEAVE_MS 3500

/* Before the rights to the file are given up; its thread floats over the control CPUs. */
static int start_capture(struct node *n, const struct node_options *opt, char err[512])
{
    struct capture_config cc = {.path = opt->pcap_path, .snap_bytes = opt->pcap_snap_bytes};
    char reason[256] = "";

    if (!opt->pcap_path)
        return 0;
    n->capture = capture_open(&cc, reason);
    if (!n->capture)
        snprintf(err, 512, "%s", reason);
    return n->capture ? 0 : -1;
}

static void on_resolved(void *user, struct xresolved *a)
{
    hub_resolved(((struct node *)user)->hub, a);
}

static void ask_resolver(void *user, unsigned index, const struct multiaddr *addr)
{
    resolver_ask(((struct node *)user)->resolver, index, addr);
}

static int start_resolver(struct node *n, char err[512])
{
    char reason[256] = "";

    if (n->coding.names.count == 0)
        return 0;
    n->resolver = resolver_start(n->cfg->dns_servers, &n->plan.control, on_resolved, n, reason);
    if (!n->resolver) {
        snprintf(err, 512, "%s", reason);
        return -1;
    }
    hub_set_resolver(n->hub, ask_resolver, n);
    return 0;
}

static int make_hub(struct node *n, char err[512])
{
    struct hub_config hc = {.config = n->cfg, .to_coding = &n->hub_to_coding, .from_coding = &n->coding_to_hub,
                            .door = &n->hub_door, .cpus = &n->plan.control};

    key_pair_peer_id(n->key, &hc.self);
    n->hub = hub_new(&hc);
    for (unsigned i = 0; n->hub && i < n->cfg->nrelay; i++)
        if (hub_relay(n->hub, n->cfg->relay[i])) {
            hub_free(n->hub);
            n->hub = NULL;
        }
    if (!n->hub)
        snprintf(err, 512, "no memory for the hub");
    return n->hub ? 0 : -1;
}

static int start_control(struct node *n, char err[512])
{
    char reason[256] = "";

    if (hub_start(n->hub)) {
        snprintf(err, 512, "the hub's thread could not be started");
        return -1;
    }
    n->sidecar = sidecar_start(n->cfg, n->hub, &n->plan.control, reason);
    if (n->sidecar)
        n->api = api_start(n->cfg, n->hub, n->sidecar, &n->guest, &n->plan.control, reason);
    if (!n->api)
        snprintf(err, 512, "%s", reason);
    return n->api ? 0 : -1;
}

static int start_guest(struct node *n, char err[512])
{
    char reason[256] = "";

    if (!n->guest.start)
        return 0;
    n->has_guest = n->guest.start(n->guest.user, n->hub, &n->plan.control, reason) == 0;
    if (!n->has_guest)
        snprintf(err, 512, "%s", reason);
    return n->has_guest ? 0 : -1;
}

static int say_open(const struct node_options *opt, char err[512])
{
    char reason[256] = "";

    if (!opt->on_open || opt->on_open(opt->user, reason) == 0)
        return 0;
    snprintf(err, 512, "%s", reason);
    return -1;
}

static void say_started(struct node *n)
{
    char id[PEER_ID_TEXT_MAX], addr[MULTIADDR_TEXT_MAX] = "", layout[400];
    struct peer_id self;

    key_pair_peer_id(n->key, &self);
    peer_id_format(&self, id);
    if (n->local.naddrs)
        multiaddr_format(multiaddr_slice(&n->addrs[0]), addr, sizeof(addr));
    if (n->plan.is_huge_forbidden)
        log_info("\"hugepages are not used: without the capability SYS_NICE this process may not place memory\"");
    eal_plan_format(&n->plan, layout, sizeof(layout));
    log_info("\"lcores\" net=%u coding=%u cpus=%u layout=\"%s\"", n->plan.layout.net, n->plan.layout.coding, n->plan.ncpus, layout);
    log_info("\"node started\" version=%s mode=%s peer_id=%s addr=%s sidecar=%s:%u api=%s:%u lcores=%u hugepages=%s",
             CODECAST_VERSION, node_mode_names[n->cfg->mode], id, addr, n->cfg->sidecar_bind, n->cfg->sidecar_port,
             n->cfg->api_bind, n->cfg->api_port, n->nworkers, n->plan.has_hugepages ? "yes" : "no");
}

static int make_plan(struct node *n, const struct node_options *opt, char err[512])
{
    struct layout_wish w = opt->layout;
    char reason[256] = "";
    cpu_set_t all;

    if (sched_getaffinity(0, sizeof(all), &all)) {
        CPU_ZERO(&all);
        CPU_SET(0, &all);
    }
    if (!w.lcores && !w.net)
        w.net = n->cfg->net_lcores;
    if (!w.lcores && !w.coding)
        w.coding = n->cfg->coding_lcores;
    /* How many queues a NIC has is known only once it is open: several are used when asked for. */
    unsigned most = n->cfg->net_driver == NET_VFIO && !w.net ? 1 : net_roles_max((enum net_driver)n->cfg->net_driver);
    if (w.net > most) { /* NET_LCORES was checked with the settings */
        snprintf(err, 512, "--net-lcores=%u: must be 0 or 1 with NET_DRIVER=%s: it has one receive queue for us", w.net,
                 node_driver_names[n->cfg->net_driver]);
        return -1;
    }
    if (eal_plan_make(&n->plan, &all, &w, most, reason)) {
        snprintf(err, 512, "%s", reason);
        return -1;
    }
    n->plan.pci = n->cfg->net_driver == NET_VFIO ? n->cfg->net_pci : NULL;
    n->plan.nic_queues = n->plan.pci ? n->plan.layout.net : 0;
    n->plan.args = opt->eal_args;
    n->plan.nargs = opt->neal_args;
    return 0;
}

struct node *node_start(const struct node_config *cfg, const struct key_pair *key, const struct node_options *opt,
                        char err[512])
{
    struct node *n = calloc(1, sizeof(*n));
    uint64_t now;

    if (!n) {
        snprintf(err, 512, "no memory");
        return NULL;
    }
    n->cfg = cfg;
    n->key = key;
    n->guest = opt->guest;
    n->hub_door.fd = -1; /* node_stop closes what there is */
    for (unsigned i = 0; i < LAYOUT_LCORES_MAX; i++)
        n->workers[i].door.fd = -1;
    crypto_init();
    rng_init_system(&n->rng);
    /* Coefficients and jitter: fast and seeded from the system; keys use the other ones. */
    rng_init_seeded(&n->coding_rng, rng_u64(&n->rng));
    noise_identity_init(&n->noise, key, &n->rng);
    if (make_plan(n, opt, err))
        goto fail;
    if (eal_start(&n->plan, "p2pnode", cfg->log_level == LOG_DEBUG_L, err))
        goto fail;
    n->nworkers = n->plan.layout.lcores;
    for (unsigned i = 0; i < n->nworkers; i++)
        if (worker_init(&n->workers[i])) {
            snprintf(err, 512, "no descriptor for a doorbell");
            goto fail;
        }
    now = clock_now_ns();
    node_say_of_us(n);
    if (node_make_rings(n, err) || make_hub(n, err) || start_capture(n, opt, err) || node_start_nets(n, now, err) ||
        node_start_helpers(n, err) ||
        node_start_coding(n, now, err) || start_resolver(n, err) || start_control(n, err) || start_guest(n, err) || say_open(opt, err) ||
        node_launch(n, opt->is_spin, err))
        goto fail;
    n->is_up = true;
    telemetry_open(n->hub);
    say_started(n);
    return n;
fail:
    node_stop(n);
    return NULL;
}

void node_reread(struct node *n)
{
    const char *path = n->cfg->allow_path;
    struct allowlist *a;
    char err[256];

    if (!*path) {
        log_info("\"nothing to read again: PEER_ALLOWLIST is not set\"");
        return;
    }
    a = allowlist_load(path, err);
    if (!a) {
        log_error("\"the old allow-list stays\" file=\"%s\" reason=\"%s\"", path, err);
        return;
    }
    log_info("\"allow-list read\" file=\"%s\" peers=%u", path, a->count);
    for (unsigned i = 1; i < n->nnets; i++)
        hub_allow(n->hub, i, allowlist_copy(a));
    hub_allow(n->hub, 0, a);
}

void node_stop(struct node *n)
{
    if (!n)
        return;
    telemetry_close();
    if (n->has_guest)
        n->guest.stop(n->guest.user);
    if (n->is_running && n->hub)
        hub_leave(n->hub, n->is_up ? LEAVE_MS : 0);
    api_stop(n->api);
    sidecar_stop(n->sidecar);
    if (n->is_running)
        node_stop_workers(n);
    if (n->hub) {
        hub_stop(n->hub); /* after it nobody asks the resolver */
        hub_set_resolver(n->hub, NULL, NULL);
    }
    resolver_stop(n->resolver);
    node_settle(n);
    capture_close(n->capture);
    hub_free(n->hub);
    node_free_path(n);
    noise_identity_fini(&n->noise);
    free(n);
}
