/* node_path.c: the data path of a node: its rings, its roles, the lcores that run them (node_int.h) */
#include <math.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "libp2p/kad.h"
#include "node/hub_xcore.h"
#include "node/node_int.h"
#include "node/self_record.h"
#include "pubsub/pubsub_wire.h"

#define RING_DEPTH    4096
#define CONTROL_DEPTH 8192
#define FRAME_SPARE   (IWANT_ANSWER_BYTES + (64u << 10)) /* of an RPC beside its payload: what js joins to it; header, coefficients */
#define CONNS_EACH    2 /* connections a peer, on the whole: both sides may dial at once */
#define SPIN_NS       50000ull /* with a CPU to spare */
#define SPIN_SHARED_NS 5000ull

static const char *const optimum_protocols[] = {"/codecast/rlnc/1.0.0"};
static const char *const gossip_protocols[] = {"/meshsub/1.3.0", "/meshsub/1.2.0", "/meshsub/1.1.0"};
static const enum pubsub_proto gossip_versions[] = {PUBSUB_MESHSUB_13, PUBSUB_MESHSUB_12, PUBSUB_MESHSUB_11};
#define GOSSIP_VERSIONS (sizeof(gossip_versions) / sizeof(gossip_versions[0]))

_Static_assert(NODE_MAX_ANNOUNCE + 1 + OBSERVED_ADDRS <= XSELF_ADDRS, "all that may be announced fits");

/* The lcore of each role. */
static struct worker *net_worker(struct node *n, unsigned role)
{
    return &n->workers[n->nworkers == 1 ? 0 : role];
}

static struct worker *router_worker(struct node *n)
{
    return &n->workers[n->nworkers == 1 ? 0 : n->plan.layout.net];
}

/* The rings of role 0 have no number: most nodes have no other. */
static int make_net_rings(struct node *n, unsigned role)
{
    char to[40], from[40];

    snprintf(to, sizeof(to), role ? "coding_to_net%u" : "coding_to_net", role);
    snprintf(from, sizeof(from), role ? "net%u_to_coding" : "net_to_coding", role);
    return xring_init(&n->net_to_coding[role], from, RING_DEPTH, &router_worker(n)->door) ||
           xring_init(&n->coding_to_net[role], to, RING_DEPTH, &net_worker(n, role)->door);
}

static struct worker *helper_worker(struct node *n, unsigned helper)
{
    return &n->workers[n->plan.layout.net + 1 + helper];
}

static unsigned helpers_of(const struct node *n)
{
    return n->nworkers == 1 ? 0 : n->plan.layout.coding - 1;
}

/* Named by the number of the coding lcore: the router is number 0. */
static int make_helper_rings(struct node *n, unsigned helper)
{
    char to[40], from[40];

    snprintf(to, sizeof(to), "coding_to_helper%u", helper + 1);
    snprintf(from, sizeof(from), "helper%u_to_coding", helper + 1);
    return xring_init(&n->helper_to_coding[helper], from, HELPER_RING, &router_worker(n)->door) ||
           xring_init(&n->coding_to_helper[helper], to, HELPER_RING, &helper_worker(n, helper)->door);
}

int node_make_rings(struct node *n, char err[512])
{
    bool has_failed = xdoor_init(&n->hub_door) || xring_init(&n->coding_to_hub, "coding_to_hub", CONTROL_DEPTH, &n->hub_door) ||
                      xring_init(&n->hub_to_coding, "hub_to_coding", CONTROL_DEPTH, &router_worker(n)->door);

    for (unsigned i = 0; i < n->plan.layout.net && !has_failed; i++)
        has_failed = make_net_rings(n, i);
    for (unsigned i = 0; i < helpers_of(n) && !has_failed; i++)
        has_failed = make_helper_rings(n, i);
    if (has_failed)
        snprintf(err, 512, "no memory for the rings between lcores");
    return has_failed ? -1 : 0;
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

void node_say_of_us(struct node *n)
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

/* What falls to one role of the connections of all: flows are dealt out by their hash, not evenly. */
static uint32_t conns_of_role(const struct node *n)
{
    uint32_t all = CONNS_EACH * n->cfg->max_peers, nroles = n->plan.layout.net;
    uint32_t share = all / nroles + all / nroles / 2 + 8;

    return nroles == 1 || share > all ? all : share;
}

static int start_net(struct node *n, struct net_config *nc, const struct allowlist *allow, uint64_t now, char err[512], char why[512])
{
    struct net_role *r = &n->nets[n->nnets];
    char reason[256] = "", scrap[512];

    nc->role = n->nnets;
    nc->first = n->nnets ? n->nets[0].net : NULL;
    nc->rng = &n->net_rngs[n->nnets];
    nc->local = &n->net_locals[n->nnets];
    nc->allow = allow ? allowlist_copy(allow) : NULL;
    if (allow && !nc->allow) { /* without a list anyone could come */
        snprintf(err, 512, "no memory");
        return -1;
    }
    rng_init_system(&n->net_rngs[n->nnets]);
    if (net_role_init(r, nc, now, reason, nc->role ? scrap : why)) {
        snprintf(err, 512, "%s", reason);
        net_role_fini(r);
        return -1;
    }
    r->to_coding.ring = &n->net_to_coding[n->nnets];
    r->from_coding = &n->coding_to_net[n->nnets];
    n->nnets++;
    return 0;
}

int node_start_nets(struct node *n, uint64_t now, char err[512])
{
    const struct node_config *c = n->cfg;
    struct net_config nc = {.driver = (enum net_driver)c->net_driver, .listen_port = c->active->port,
                            .identity = &n->noise, .max_conns = conns_of_role(n), .nroles = n->plan.layout.net,
                            .max_frame_bytes = c->active->max_msg_bytes + FRAME_SPARE,
                            .max_queue_bytes = (32ull << 20) + 8ull * c->active->max_msg_bytes};
    char why[512] = "", reason[256] = "";
    struct allowlist *allow = NULL;
    int rc = 0;

    nc.iface = *c->net_iface ? c->net_iface : NULL;
    nc.tcp_cc = (uint8_t)c->net_tcp_cc;
    nc.tcp_ecn = (uint8_t)c->net_tcp_ecn;
    nc.gateway = *c->net_gateway ? c->net_gateway : NULL;
    nc.addr6 = *c->net_addr6 ? c->net_addr6 : NULL;
    nc.gateway6 = *c->net_gateway6 ? c->net_gateway6 : NULL;
    nc.pci = *c->net_pci ? c->net_pci : NULL;
    nc.memif = c->net_memif;
    nc.memif_id = c->net_memif_id;
    nc.is_memif_server = c->net_memif_role;
    nc.vlan = (uint16_t)c->net_vlan;
    nc.mtu = (uint16_t)c->net_mtu;
    nc.addr = *c->net_addr ? c->net_addr : NULL;
    nc.listen_ip = nc.addr;
    nc.capture = n->capture;
    for (unsigned i = 0; i < n->npubsub; i++)
        nc.protocols[i] = n->protocols[i];
    nc.services[0] = *n->kad_protocol ? n->kad_protocol : NULL;
    if (*c->allow_path && !(allow = allowlist_load(c->allow_path, reason))) {
        snprintf(err, 512, "PEER_ALLOWLIST=%s: %s", c->allow_path, reason);
        return -1;
    }
    for (unsigned i = 0; i < n->plan.layout.net && !rc; i++)
        rc = start_net(n, &nc, allow, now, err, why);
    allowlist_free(allow);
    if (rc)
        return -1;
    const struct multiaddr *own = net_listen_addr(n->nets[0].net);
    if (own && own->len && n->local.naddrs == 0)
        n->addrs[n->local.naddrs++] = *own;
    const struct multiaddr *own6 = net_listen_addr6(n->nets[0].net);
    if (own6->len && c->nannounce == 0 && n->local.naddrs <= NODE_MAX_ANNOUNCE)
        n->addrs[n->local.naddrs++] = *own6;
    if (n->local.naddrs)
        hub_set_address(n->hub, &n->addrs[0]);
    n->record_seq = wall_now_ns();
    if (self_record_make(&n->local, n->key, n->record_seq, n->record))
        log_warn("\"no signed record of our addresses: none, or too many\" addresses=%u", n->local.naddrs);
    for (unsigned i = 0; i < n->nnets; i++)
        n->net_locals[i] = n->local;
    if (net_missing_cc(n->nets[0].net))
        log_warn("\"the kernel does not give us NET_TCP_CC: its sockets have the system's congestion control\" wanted=%s", net_missing_cc(n->nets[0].net));
    log_info("\"data path\" driver=\"%s\" why=\"%s\"", net_driver_text(n->nets[0].net), why);
    return 0;
}

int node_start_helpers(struct node *n, char err[512])
{
    for (; n->nhelpers < helpers_of(n); n->nhelpers++) {
        struct helper_role *h = &n->helpers[n->nhelpers];
        h->in = &n->coding_to_helper[n->nhelpers];
        h->out.ring = &n->helper_to_coding[n->nhelpers];
        if (helper_role_init(h)) {
            snprintf(err, 512, "no memory for a coding lcore");
            return -1;
        }
    }
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

int node_start_coding(struct node *n, uint64_t now, char err[512])
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
    for (unsigned i = 0; i < n->nnets; i++) {
        n->coding.nets[i].out.ring = &n->coding_to_net[i];
        n->coding.nets[i].in = &n->net_to_coding[i];
    }
    n->coding.nnets = n->nnets;
    for (unsigned i = 0; i < n->nhelpers; i++) {
        n->coding.helpers[i].out.ring = &n->coding_to_helper[i];
        n->coding.helpers[i].in = &n->helper_to_coding[i];
    }
    n->coding.nhelpers = n->nhelpers;
    n->coding.to_control.ring = &n->coding_to_hub;
    n->coding.from_control = &n->hub_to_coding;
    n->has_coding = true;
    if (coding_role_init(&n->coding, &cc, now, wall_now_ns())) {
        snprintf(err, 512, "no memory for the router");
        return -1;
    }
    return 0;
}

int node_launch(struct node *n, bool is_spin, char err[512])
{
    unsigned lcore = 0;

    for (unsigned i = 0; i < n->nnets; i++)
        net_worker(n, i)->net = &n->nets[i];
    router_worker(n)->coding = &n->coding;
    for (unsigned i = 0; i < n->nhelpers; i++)
        helper_worker(n, i)->helper = &n->helpers[i];
    n->is_running = true;
    for (unsigned i = 0; i < n->nworkers; i++) {
        spin_init(&n->workers[i].spin, is_spin ? UINT64_MAX : n->plan.ncpus > n->nworkers ? SPIN_NS : SPIN_SHARED_NS);
        lcore = rte_get_next_lcore(lcore, 1, 0);
        if (lcore >= RTE_MAX_LCORE || rte_eal_remote_launch(worker_run, &n->workers[i], lcore)) {
            snprintf(err, 512, "an lcore could not be started");
            return -1;
        }
    }
    return 0;
}

void node_stop_workers(struct node *n)
{
    for (unsigned i = 0; i < n->nworkers; i++)
        worker_stop(&n->workers[i]);
    rte_eal_mp_wait_lcore();
    n->is_running = false;
}

/* Single-threaded by now: every buffer goes home before the pools are freed. */
static void settle_coding(struct node *n)
{
    const struct xout *kept[NET_ROLES_MAX];
    struct buf *b, *next;

    for (unsigned i = 0; i < n->nnets; i++)
        kept[i] = &n->nets[i].to_coding;
    coding_role_settle(&n->coding, kept);
    for (unsigned i = 0; i < n->nnets; i++)
        for (b = n->coding.nets[i].frames.head; b; b = next) {
            next = b->next;
            bufpool_put(&n->nets[i].frames, b);
        }
    for (b = n->coding.sources.head; b; b = next) {
        next = b->next;
        hub_source_done(b);
    }
    coding_role_fini(&n->coding);
}

/* Role 0 has what all of them share, the guard of our ports among it: it ends last. */
void node_settle(struct node *n)
{
    for (unsigned i = n->nnets; i-- > 0;)
        net_role_settle(&n->nets[i], &n->coding.nets[i].out);
    for (unsigned i = 0; i < n->nhelpers; i++)
        helper_role_fini(&n->helpers[i]);
    if (n->has_coding)
        settle_coding(n);
    for (unsigned i = 0; i < n->nnets; i++)
        net_role_fini(&n->nets[i]);
}

void node_free_path(struct node *n)
{
    for (unsigned i = 0; i < n->plan.layout.net; i++) {
        xring_fini(&n->net_to_coding[i]);
        xring_fini(&n->coding_to_net[i]);
    }
    for (unsigned i = 0; i < LAYOUT_CODING_MAX; i++) {
        xring_fini(&n->coding_to_helper[i]);
        xring_fini(&n->helper_to_coding[i]);
    }
    xring_fini(&n->coding_to_hub);
    xring_fini(&n->hub_to_coding);
    for (unsigned i = 0; i < n->nworkers; i++)
        worker_fini(&n->workers[i]);
    xdoor_fini(&n->hub_door);
}
