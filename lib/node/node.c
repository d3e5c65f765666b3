#include "node/node.h"

#include <math.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "crypto/crypto.h"
#include "drivers/capture.h"
#include "libp2p/kad.h"
#include "libp2p/noise.h"
#include "node/api.h"
#include "node/eal.h"
#include "node/hub_xcore.h"
#include "node/self_record.h"
#include "node/resolver.h"
#include "node/sidecar.h"
#include "node/telemetry.h"
#include "node/worker.h"
#include "pubsub/pubsub_wire.h"

#define RING_DEPTH    4096
#define CONTROL_DEPTH 8192
#define FRAME_SPARE   (IWANT_ANSWER_BYTES + (64u << 10)) /* of an RPC beside its payload: what js joins to it; header, coefficients */
#define CONNS_EACH    2 /* connections a peer, on the whole: both sides may dial at once */
#define LEAVE_MS      3500
#define SPIN_NS       50000ull /* with a CPU to spare */
#define SPIN_SHARED_NS 5000ull

static const char *const optimum_protocols[] = {"/codecast/rlnc/1.0.0"};
static const char *const gossip_protocols[] = {"/meshsub/1.3.0", "/meshsub/1.2.0", "/meshsub/1.1.0"};
static const enum pubsub_proto gossip_versions[] = {PUBSUB_MESHSUB_13, PUBSUB_MESHSUB_12, PUBSUB_MESHSUB_11};
#define GOSSIP_VERSIONS (sizeof(gossip_versions) / sizeof(gossip_versions[0]))

struct node {
    const struct node_config *cfg;
    const struct key_pair *key;
    struct eal_plan plan;
    struct rng net_rng, coding_rng;
    struct noise_identity noise;
    struct session_local local;
    char kad_protocol[64];
    const char *protocols[NET_MAX_PROTOCOLS + 1]; /* what identify lists: pub/sub, then the DHT */
    unsigned npubsub;
    struct multiaddr addrs[NODE_MAX_ANNOUNCE + 1];
    uint8_t record[SELF_RECORD_MAX];
    uint64_t record_seq;
    struct xring net_to_coding, coding_to_net, coding_to_hub, hub_to_coding;
    struct xdoor hub_door;
    struct worker workers[2];
    unsigned nworkers;
    struct net_role net;
    struct coding_role coding;
    struct score_params score;
    struct score_thresholds thresholds;
    struct capture *capture; /* NULL: none */
    struct hub *hub;
    struct resolver *resolver; /* NULL: no names to resolve */
    struct sidecar *sidecar;
    struct api *api;
    struct node_guest guest;
    bool has_guest;
    bool has_net, has_coding, is_running, is_up;
};

_Static_assert(NODE_MAX_ANNOUNCE + 1 + OBSERVED_ADDRS <= XSELF_ADDRS, "all that may be announced fits");

static int make_rings(struct node *n, char err[512])
{
    struct worker *net = &n->workers[0], *coding = &n->workers[n->nworkers - 1];

    if (xdoor_init(&n->hub_door) || xring_init(&n->net_to_coding, "net_to_coding", RING_DEPTH, &coding->door) ||
        xring_init(&n->coding_to_net, "coding_to_net", RING_DEPTH, &net->door) ||
        xring_init(&n->coding_to_hub, "coding_to_hub", CONTROL_DEPTH, &n->hub_door) ||
        xring_init(&n->hub_to_coding, "hub_to_coding", CONTROL_DEPTH, &coding->door)) {
        snprintf(err, 512, "no memory for the rings between lcores");
        return -1;
    }
    return 0;
}

static uint64_t wall_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* Of gossip_protocols: 1.3 only when it is wanted. */
static unsigned first_version(const struct node_config *c)
{
    return c->has_v13 ? 0 : 1;
}

static void say_of_us(struct node *n)
{
    bool is_optimum = n->cfg->mode == NODE_OPTIMUM;
    unsigned first = first_version(n->cfg);
    const char *const *pubsub = is_optimum ? optimum_protocols : gossip_protocols + first;

    n->local = (struct session_local){.version = 1, .agent = "codecast/" CODECAST_VERSION, .addrs = n->addrs, .protocols = n->protocols};
    n->npubsub = is_optimum ? 1 : GOSSIP_VERSIONS - first;
    for (unsigned i = 0; i < n->npubsub; i++)
        n->protocols[n->local.nprotocols++] = pubsub[i];
    if (n->cfg->dht == NODE_DHT_PRIVATE)
        snprintf(n->kad_protocol, sizeof(n->kad_protocol), "/codecast/%s/kad/1.0.0", n->cfg->chain_id);
    else if (n->cfg->dht == NODE_DHT_PUBLIC)
        snprintf(n->kad_protocol, sizeof(n->kad_protocol), KAD_PUBLIC_PROTOCOL);
    if (*n->kad_protocol)
        n->protocols[n->local.nprotocols++] = n->kad_protocol;
    for (unsigned i = 0; i < n->cfg->nannounce; i++)
        n->addrs[n->local.naddrs++] = n->cfg->announce[i];
}

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

static int start_net(struct node *n, uint64_t now, char err[512])
{
    const struct node_config *c = n->cfg;
    struct net_config nc = {.driver = (enum net_driver)c->net_driver, .listen_port = c->active->port,
                            .identity = &n->noise, .local = &n->local, .max_conns = CONNS_EACH * c->max_peers,
                            .max_frame_bytes = c->active->max_msg_bytes + FRAME_SPARE,
                            .max_queue_bytes = (32ull << 20) + 8ull * c->active->max_msg_bytes, .rng = &n->net_rng};
    char why[512] = "", reason[256] = "";

    nc.iface = *c->net_iface ? c->net_iface : NULL;
    nc.gateway = *c->net_gateway ? c->net_gateway : NULL;
    nc.pci = *c->net_pci ? c->net_pci : NULL;
    nc.vlan = (uint16_t)c->net_vlan;
    nc.mtu = (uint16_t)c->net_mtu;
    nc.addr = *c->net_addr ? c->net_addr : NULL;
    nc.listen_ip = nc.addr;
    nc.capture = n->capture;
    for (unsigned i = 0; i < n->npubsub; i++)
        nc.protocols[i] = n->protocols[i];
    nc.services[0] = *n->kad_protocol ? n->kad_protocol : NULL;
    if (*c->allow_path && !(nc.allow = allowlist_load(c->allow_path, reason))) {
        snprintf(err, 512, "PEER_ALLOWLIST=%s: %s", c->allow_path, reason);
        return -1;
    }
    if (net_role_init(&n->net, &nc, now, reason, why)) {
        snprintf(err, 512, "%s", reason);
        return -1;
    }
    n->has_net = true;
    n->net.to_coding.ring = &n->net_to_coding;
    n->net.from_coding = &n->coding_to_net;
    const struct multiaddr *own = net_listen_addr(n->net.net);
    if (own && own->len && n->local.naddrs == 0)
        n->addrs[n->local.naddrs++] = *own;
    if (n->local.naddrs)
        hub_set_address(n->hub, &n->addrs[0]);
    n->record_seq = wall_now_ns();
    if (self_record_make(&n->local, n->key, n->record_seq, n->record))
        log_warn("\"no signed record of our addresses: none, or too many\" addresses=%u", n->local.naddrs);
    log_info("\"data path\" driver=\"%s\" why=\"%s\"", net_driver_text(n->net.net), why);
    return 0;
}

/* Scores, exchange, signatures. The structs that the core copies live in n. */
static void choose_rules(struct node *n, struct pubsub_config *pc, bool is_optimum)
{
    const struct node_config *c = n->cfg;

    n->score = score_defaults;
    n->thresholds = score_threshold_defaults;
    if (c->score_ip_threshold)
        n->score.ip_threshold = c->score_ip_threshold;
    else
        n->score.ip_weight = 0;
    if (!c->has_px)
        n->thresholds.accept_px = INFINITY;
    pc->score = &n->score;
    pc->thresholds = &n->thresholds;
    pc->has_px = c->has_px;
    pc->is_flood_publish = c->is_flood_publish;
    pc->has_replay_guard = c->has_replay_guard;
    if (is_optimum)
        return;
    pc->signing = (enum pubsub_signing)c->signing;
    pc->has_test_extension = c->has_v13;
    pc->id_rule = (enum pubsub_id_rule)c->id_rule;
}

/* Then other peers may be on it too; else nobody may send us to services of our own host. */
static bool is_on_loopback(const struct node *n)
{
    static const uint8_t loopback6[16] = {[15] = 1};

    for (unsigned i = 0; i < n->local.naddrs; i++) {
        struct multiaddr_target t;
        if (multiaddr_target(multiaddr_slice(&n->addrs[i]), &t))
            continue;
        if ((t.kind == MULTIADDR_IP4 && t.ip[0] == 127) || (t.kind == MULTIADDR_IP6 && memcmp(t.ip, loopback6, 16) == 0))
            return true;
    }
    return false;
}

static int start_coding(struct node *n, uint64_t now, char err[512])
{
    const struct node_config *c = n->cfg;
    bool is_optimum = c->mode == NODE_OPTIMUM;
    struct coding_config cc = {.bootstrap = c->bootstrap, .nbootstrap = c->nbootstrap, .rng = &n->coding_rng,
                               .own_mode = node_mode_names[c->mode],
                               .other_protocol = is_optimum ? gossip_protocols[1] : optimum_protocols[0],
                               .wants_traces = hub_wants_traces(n->hub)};

    cc.pubsub = (struct pubsub_config){.mode = is_optimum ? PUBSUB_CODED : PUBSUB_GOSSIP, .key = n->key,
                                       .mesh_target = c->active->mesh_target, .mesh_min = c->active->mesh_min,
                                       .mesh_max = c->active->mesh_max, .max_msg_bytes = c->active->max_msg_bytes,
                                       .k = c->shard_factor, .mult = c->shard_mult, .threshold = c->threshold,
                                       .small_bytes = c->small_message};
    choose_rules(n, &cc.pubsub, is_optimum);
    cc.direct = c->direct;
    cc.ndirect = c->ndirect;
    /* Dout must stay below Dlo and at most half of D. */
    cc.pubsub.mesh_out = c->active->mesh_target / 2 < 2 ? c->active->mesh_target / 2 : 2;
    if (cc.pubsub.mesh_out >= c->active->mesh_min)
        cc.pubsub.mesh_out = c->active->mesh_min - 1;
    if (is_optimum) {
        cc.protocols[0] = PUBSUB_CODED_1;
    } else {
        for (unsigned i = first_version(c); i < GOSSIP_VERSIONS; i++)
            cc.protocols[i - first_version(c)] = gossip_versions[i];
    }
    key_pair_peer_id(n->key, &cc.self);
    cc.addrs = n->addrs;
    cc.naddrs = n->local.naddrs;
    cc.finds_addrs = c->nannounce == 0;
    cc.listen_port = c->active->port;
    cc.record_seq = n->record_seq;
    cc.kad_protocol = *n->kad_protocol ? n->kad_protocol : NULL;
    cc.has_loopback = is_on_loopback(n);
    cc.max_peers = c->max_peers;
    cc.conn_low = c->conn_low;
    cc.conn_high = c->conn_high;
    n->coding.to_net.ring = &n->coding_to_net;
    n->coding.to_control.ring = &n->coding_to_hub;
    n->coding.from_net = &n->net_to_coding;
    n->coding.from_control = &n->hub_to_coding;
    n->has_coding = true;
    if (coding_role_init(&n->coding, &cc, now, wall_now_ns())) {
        snprintf(err, 512, "no memory for the router");
        return -1;
    }
    return 0;
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

static int launch(struct node *n, const struct node_options *opt, char err[512])
{
    unsigned lcore = 0;

    n->workers[0].net = &n->net;
    n->workers[n->nworkers - 1].coding = &n->coding;
    n->is_running = true;
    for (unsigned i = 0; i < n->nworkers; i++) {
        n->workers[i].spin_ns = opt->is_spin ? UINT64_MAX : n->plan.ncpus > n->nworkers ? SPIN_NS : SPIN_SHARED_NS;
        lcore = rte_get_next_lcore(lcore, 1, 0);
        if (lcore >= RTE_MAX_LCORE || rte_eal_remote_launch(worker_run, &n->workers[i], lcore)) {
            snprintf(err, 512, "an lcore could not be started");
            return -1;
        }
    }
    return 0;
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
    char id[PEER_ID_TEXT_MAX], addr[MULTIADDR_TEXT_MAX] = "";
    struct peer_id self;

    key_pair_peer_id(n->key, &self);
    peer_id_format(&self, id);
    if (n->local.naddrs)
        multiaddr_format(multiaddr_slice(&n->addrs[0]), addr, sizeof(addr));
    if (n->plan.is_huge_forbidden)
        log_info("\"hugepages are not used: without the capability SYS_NICE this process may not place memory\"");
    log_info("\"node started\" version=%s mode=%s peer_id=%s addr=%s sidecar=%s:%u api=%s:%u lcores=%u hugepages=%s",
             CODECAST_VERSION, node_mode_names[n->cfg->mode], id, addr, n->cfg->sidecar_bind, n->cfg->sidecar_port,
             n->cfg->api_bind, n->cfg->api_port, n->nworkers, n->plan.has_hugepages ? "yes" : "no");
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
    n->hub_door.fd = n->workers[0].door.fd = n->workers[1].door.fd = -1; /* node_stop closes what there is */
    crypto_init();
    rng_init_system(&n->net_rng);
    /* Coefficients and jitter: fast and seeded from the system; keys use the other one. */
    rng_init_seeded(&n->coding_rng, rng_u64(&n->net_rng));
    noise_identity_init(&n->noise, key, &n->net_rng);
    eal_plan_make(&n->plan, opt->lcores);
    n->plan.pci = cfg->net_driver == NET_VFIO ? cfg->net_pci : NULL;
    if (eal_start(&n->plan, "p2pnode", cfg->log_level == LOG_DEBUG_L, err))
        goto fail;
    n->nworkers = n->plan.workers;
    for (unsigned i = 0; i < n->nworkers; i++)
        if (worker_init(&n->workers[i])) {
            snprintf(err, 512, "no descriptor for a doorbell");
            goto fail;
        }
    now = clock_now_ns();
    say_of_us(n);
    if (make_rings(n, err) || make_hub(n, err) || start_capture(n, opt, err) || start_net(n, now, err) || start_coding(n, now, err) || start_resolver(n, err) ||
        start_control(n, err) || start_guest(n, err) || say_open(opt, err) || launch(n, opt, err))
        goto fail;
    n->is_up = true;
    telemetry_open(n->hub);
    say_started(n);
    return n;
fail:
    node_stop(n);
    return NULL;
}

static void stop_workers(struct node *n)
{
    for (unsigned i = 0; i < n->nworkers; i++)
        worker_stop(&n->workers[i]);
    rte_eal_mp_wait_lcore();
    n->is_running = false;
}

/* Single-threaded by now: every buffer goes home before the pools are freed. */
static void settle_coding(struct node *n)
{
    struct buf *b, *next;

    coding_role_settle(&n->coding, &n->net.to_coding);
    for (b = n->coding.frames.head; b; b = next) {
        next = b->next;
        bufpool_put(&n->net.frames, b);
    }
    for (b = n->coding.sources.head; b; b = next) {
        next = b->next;
        hub_source_done(b);
    }
    coding_role_fini(&n->coding);
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
    hub_allow(n->hub, a);
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
        stop_workers(n);
    if (n->hub) {
        hub_stop(n->hub); /* after it nobody asks the resolver */
        hub_set_resolver(n->hub, NULL, NULL);
    }
    resolver_stop(n->resolver);
    if (n->has_net)
        net_role_settle(&n->net, &n->coding.to_net);
    if (n->has_coding)
        settle_coding(n);
    if (n->has_net)
        net_role_fini(&n->net);
    capture_close(n->capture);
    hub_free(n->hub);
    xring_fini(&n->net_to_coding);
    xring_fini(&n->coding_to_net);
    xring_fini(&n->coding_to_hub);
    xring_fini(&n->hub_to_coding);
    for (unsigned i = 0; i < n->nworkers; i++)
        worker_fini(&n->workers[i]);
    xdoor_fini(&n->hub_door);
    noise_identity_fini(&n->noise);
    free(n);
}
