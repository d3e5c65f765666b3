#include "node/config.h"

#include <jansson.h>
#include <string.h>

#include "net/allowlist.h"
#include "net/net.h"
#include "pubsub/pubsub.h"

#define MIB 1048576
#define LIST_ENTRY_MAX 1024 /* of an entry that is wrong, as much is looked at to show it */

const char *const node_mode_names[] = {"optimum", "gossipsub", NULL};
const char *const node_driver_names[] = {"auto", "kernel", "af_packet", "tap", "af_xdp", "vfio", "memif", NULL};
static const char *const signing_names[] = {"strict", "none", NULL}; /* order of enum pubsub_signing */
static const char *const id_names[] = {"spec", "sha256", NULL};      /* order of enum pubsub_id_rule */
const char *const node_client_policies[] = {"drop-oldest", "drop-newest", "disconnect", NULL};
static const char *const memif_roles[] = {"client", "server", NULL};
static const char *const tcp_cc_names[] = {"cubic", "bbr", NULL};           /* order of enum tcp_cc */
static const char *const tcp_ecn_names[] = {"off", "accept", "on", NULL};  /* order of enum tcp_ecn */
static const char *const dht_names[] = {"private", "public", "off", NULL};

#define FIELD(f) offsetof(struct node_config, f)
#define TEXT(name, field, def, rule, help) {name, SETTING_TEXT, FIELD(field), def, 0, 0, false, NULL, rule, help}
#define PORT(name, field, def, help) {name, SETTING_PORT, FIELD(field), def, 0, 0, false, NULL, NULL, help}
#define U32(name, field, def, lo, hi, help) {name, SETTING_U32, FIELD(field), def, lo, hi, false, NULL, NULL, help}
#define REAL(name, field, def, hi, help) {name, SETTING_REAL, FIELD(field), def, 0, hi, true, NULL, NULL, help}
#define BOOL(name, field, def, help) {name, SETTING_BOOL, FIELD(field), def, 0, 0, false, NULL, NULL, help}
#define CHOICE(name, field, def, words, help) {name, SETTING_CHOICE, FIELD(field), def, 0, 0, false, words, NULL, help}

#define MODE_VARIABLES(prefix, field, def_port)                                                                \
    PORT(prefix "_PORT", field.port, def_port, "TCP port of the mesh"),                                        \
        U32(prefix "_MAX_MSG_SIZE", field.max_msg_bytes, "1048576", 1, 32 * MIB, "largest payload, bytes"), \
        U32(prefix "_MESH_TARGET", field.mesh_target, "6", 1, 1024, "peers wanted in a topic's mesh"),     \
        U32(prefix "_MESH_MIN", field.mesh_min, "4", 1, 1024, "below this, more are grafted"),             \
        U32(prefix "_MESH_MAX", field.mesh_max, "12", 1, 1024, "above this, some are pruned")

static const struct setting table[] = {
    SETTING_CLUSTER_ID(FIELD(cluster_id)),
    CHOICE("NODE_MODE", mode, "optimum", node_mode_names, "coded shards, or plain gossipsub"),
    PORT("SIDECAR_PORT", sidecar_port, "33212", "gRPC port for clients and gateways"),
    TEXT("SIDECAR_BIND", sidecar_bind, "0.0.0.0", NULL, "address that the gRPC port binds"),
    BOOL("SIDECAR_LANE", has_sidecar_lane, "true", "whether our gateways may publish by plain TCP beside their gRPC stream, which costs less"),
    U32("SIDECAR_LANE_PORT", sidecar_lane_port, "0", 0, 65535, "TCP port of it, bound as SIDECAR_BIND says; gateways are told; 0: one that is free"),
    BOOL("SIDECAR_AUTH", sidecar_auth, "false", "whether clients of the gRPC port, gateways among them, need a token"),
    U32("CLIENT_QUEUE_BYTES", client_queue_bytes, "268435456", 65536, 4294967295.0, "what may wait for one client of the gRPC port that reads slowly"),
    U32("CLIENTS_QUEUE_BYTES", clients_queue_bytes, "2147483648", 0, 4294967295.0, "what may wait for all such clients together, shared messages once; past it a client may have 1 MiB; 0: no bound"),
    CHOICE("CLIENT_POLICY", client_policy, "drop-oldest", node_client_policies, "what happens to such a client when its queue is full"),
    PORT("API_PORT", api_port, "9090", "HTTP port of status and metrics"),
    TEXT("API_BIND", api_bind, "0.0.0.0", NULL, "address that the HTTP port binds"),
    TEXT("IDENTITY_DIR", identity_dir, "/identity", NULL, "folder of p2p.key"),
    MODE_VARIABLES("OPTIMUM", optimum, "7070"),
    U32("OPTIMUM_SHARD_FACTOR", shard_factor, "4", 1, 255, "shards that a message is cut into (k)"),
    U32("OPTIMUM_SMALL_MESSAGE", small_message, "16384", 1, 32 * MIB, "payloads up to so many bytes go plain, those little above with more redundancy"),
    REAL("OPTIMUM_SHARD_MULT", shard_mult, "1.5", 64, "shards sent by a publisher, times k"),
    REAL("OPTIMUM_THRESHOLD", threshold, "0.75", 1, "share of k at which a relay starts to recode"),
    MODE_VARIABLES("GOSSIPSUB", gossip, "6060"),
    CHOICE("GOSSIPSUB_SIGNING", signing, "strict", signing_names, "messages carry author and signature, or none may"),
    CHOICE("GOSSIPSUB_MSG_ID", id_rule, "spec", id_names, "message ids: author and number, or the payload's SHA-256"),
    BOOL("REPLAY_GUARD", has_replay_guard, "false",
         "drop plain signed messages whose author sent them over two minutes ago; for networks where every author's seqnos grow"),
    BOOL("GOSSIPSUB_V13", has_v13, "false", "offer /meshsub/1.3.0, with its Extensions message"),
    BOOL("FLOOD_PUBLISH", is_flood_publish, "false", "our own plain messages go to all subscribers, not to the mesh alone"),
    BOOL("PEER_EXCHANGE", has_px, "true", "name other peers to those we prune, and dial the peers that trusted ones name"),
    U32("SCORE_IP_THRESHOLD", score_ip_threshold, "10", 0, 100000, "peers of one address that cost no score; 0: any number"),
    TEXT("RELAY_TOPICS", relay_text, "", NULL, "comma list of topics that are passed on also while no client of this node subscribes to them"),
    TEXT("DIRECT_PEERS", direct_text, "", NULL, "comma list of peer ids that get all our messages, outside the mesh; they name us too"),
    TEXT("BOOTSTRAP_PEERS", bootstrap_text, "", NULL, "comma list of /ip4|dns4/../tcp/../p2p/.. and /dnsaddr/..; this node itself may be in it"),
    TEXT("CHAIN_ID", chain_id, "default", NULL, "the network that we find peers of: all its nodes have the same"),
    CHOICE("DHT", dht, "private", dht_names, "peers find each other in our own network's DHT, in the public one, or in none"),
    U32("MAX_PEERS", max_peers, "512", 8, 1024, "connected peers beyond which newcomers are turned away"),
    U32("CONN_LOW", conn_low, "32", 0, 1024, "connected peers below which known peers are dialed"),
    U32("CONN_HIGH", conn_high, "256", 8, 1024, "connected peers above which the least useful are let go"),
    TEXT("PEER_ALLOWLIST", allow_path, "", NULL, "file of peer ids, one a line, that alone may be peers; read again at SIGHUP"),
    TEXT("DNS_SERVERS", dns_servers, "", NULL, "comma list of a.b.c.d[:port] that resolve dns.. bootstrap peers; default: the system's"),
    TEXT("ANNOUNCE_ADDRS", announce_text, "", NULL, "comma list of addresses to tell peers, behind NAT: /ip4/../tcp/.."),
    CHOICE("NET_DRIVER", net_driver, "auto", node_driver_names, "data path"),
    TEXT("NET_IFACE", net_iface, "", NULL, "interface of the data path; default: that of the default route"),
    TEXT("NET_PCI", net_pci, "", NULL, "vfio: PCI address of the NIC, as in 0000:3b:00.0; NET_IFACE may hold it too"),
    TEXT("NET_ADDR", net_addr, "", NULL, "a.b.c.d/len of a port that is ours alone (tap, memif, vfio); kernel: address to bind"),
    TEXT("NET_GATEWAY", net_gateway, "", NULL, "next hop of a port that is ours alone"),
    TEXT("NET_ADDR6", net_addr6, "", NULL, "x::y/len beside NET_ADDR, or alone; af_packet: which of the interface's, default its lasting one; none"),
    TEXT("NET_GATEWAY6", net_gateway6, "", NULL, "next hop of IPv6 of a port that is ours alone"),
    CHOICE("NET_TCP_CC", net_tcp_cc, "bbr", tcp_cc_names, "congestion control of our own TCP, and of the kernel driver's sockets where the kernel has it"),
    CHOICE("NET_TCP_ECN", net_tcp_ecn, "accept", tcp_ecn_names, "congestion marks on our own TCP: never, when the peer asks, or asked for too"),
    U32("NET_VLAN", net_vlan, "0", 0, 4094, "VLAN of a port that is ours alone; 0: none"),
    TEXT("NET_MEMIF", net_memif, "/run/codecast/memif.sock", NULL, "memif: socket of codecast-switch, or of the one node at the other end"),
    U32("NET_MEMIF_ID", net_memif_id, "0", 0, 65535, "memif: port of the switch that this node has; no other node has it"),
    CHOICE("NET_MEMIF_ROLE", net_memif_role, "client", memif_roles, "memif: client of a switch; of two nodes without one, one is the server"),
    U32("NET_MTU", net_mtu, "0", 0, 9600, "IP packet bytes of a port that is ours alone; 0: as the port has it"),
    U32("NET_LCORES", net_lcores, "0", 0, 16, "lcores of the network, each with its own connections; 0: as the CPUs allow"),
    U32("CODING_LCORES", coding_lcores, "0", 0, 8, "lcores of the router and its helpers; 0: as the CPUs allow"),
    SETTING_COUNTRY(FIELD(country), FIELD(country_iso)),
    SETTING_RUN_AS_USER(FIELD(run_as)),
    SETTING_LOG_LEVEL(FIELD(log_level)),
    SETTING_LOG_FORMAT(FIELD(log_format)),
};
#define COUNT (sizeof(table) / sizeof(table[0]))

/* GOSSIPSUB_* that are not set take their OPTIMUM_* twins, so that operators switch NODE_MODE alone. */
static void take_twins(struct node_config *c, settings_lookup get, void *ctx)
{
    static const struct {
        const char *suffix;
        size_t offset, size;
    } twin[] = {
#define TWIN(name, f) {name, offsetof(struct node_mode_config, f), sizeof(((struct node_mode_config *)0)->f)}
        TWIN("PORT", port),          TWIN("MAX_MSG_SIZE", max_msg_bytes), TWIN("MESH_TARGET", mesh_target),
        TWIN("MESH_MIN", mesh_min),  TWIN("MESH_MAX", mesh_max),
#undef TWIN
    };

    for (size_t i = 0; i < sizeof(twin) / sizeof(twin[0]); i++) {
        char ours[64], theirs[64];
        snprintf(ours, sizeof(ours), "GOSSIPSUB_%s", twin[i].suffix);
        snprintf(theirs, sizeof(theirs), "OPTIMUM_%s", twin[i].suffix);
        if (!settings_is_set(get, ctx, ours) && settings_is_set(get, ctx, theirs))
            memcpy((char *)&c->gossip + twin[i].offset, (char *)&c->optimum + twin[i].offset, twin[i].size);
    }
}

static void check_mesh(const char *prefix, const struct node_mode_config *m, struct settings_report *rep)
{
    char name[64], value[64];

    snprintf(name, sizeof(name), "%s_MESH_TARGET", prefix);
    snprintf(value, sizeof(value), "%u", m->mesh_target);
    if (m->mesh_min > m->mesh_target || m->mesh_target > m->mesh_max)
        settings_fatal(rep, name, value, "must be MIN <= TARGET <= MAX, but %s_MESH_MIN=%u and %s_MESH_MAX=%u", prefix,
                       m->mesh_min, prefix, m->mesh_max);
    else if (m->mesh_min == m->mesh_target || m->mesh_target == m->mesh_max)
        settings_warn(rep, name, value, "equals %s_MESH_%s: the mesh has no room to move", prefix,
                      m->mesh_min == m->mesh_target ? "MIN" : "MAX");
}

/* One entry of a comma list: [s, end) without blanks. False at the end of the list. */
static bool next_entry(const char **at, struct slice *entry)
{
    const char *s = *at, *end;

    for (;;) {
        s += strspn(s, ", \t\r\n");
        if (!*s)
            return false;
        end = s + strcspn(s, ",");
        *at = end;
        while (end > s && strchr(" \t\r\n", end[-1]))
            end--;
        *entry = slice_of(s, (size_t)(end - s));
        return true;
    }
}

static bool ends_with(struct slice s, const char *tail)
{
    size_t n = strlen(tail);
    return s.len >= n && memcmp(s.p + s.len - n, tail, n) == 0;
}

static unsigned parse_addrs(const char *name, const char *list, struct multiaddr *out, unsigned cap, bool needs_peer,
                            struct settings_report *rep)
{
    struct slice e;
    unsigned n = 0;

    while (next_entry(&list, &e)) {
        char text[LIST_ENTRY_MAX];
        struct multiaddr_target t;
        int err;
        snprintf(text, sizeof(text), "%.*s", (int)(e.len < LIST_ENTRY_MAX ? e.len : LIST_ENTRY_MAX - 1), (const char *)e.p);
        if (ends_with(e, "/p2p/") || ends_with(e, "/p2p")) {
            settings_fatal(rep, name, text, "the peer id after /p2p/ is empty: probably the variable that should hold it "
                                            "(as BOOTSTRAP_PEER_ID) was not exported");
            continue;
        }
        if (n == cap) {
            settings_fatal(rep, name, text, "at most %u addresses", cap);
            break;
        }
        err = multiaddr_parse(&out[n], e);
        if (!err)
            err = multiaddr_target(multiaddr_slice(&out[n]), &t);
        if (err) {
            settings_fatal(rep, name, text, "not an address like /ip4/192.0.2.1/tcp/7070%s: %s",
                           needs_peer ? "/p2p/12D3KooW.." : "", multiaddr_err_text(err));
            continue;
        }
        if (needs_peer && t.peer.len == 0 && t.kind != MULTIADDR_DNSADDR) {
            settings_fatal(rep, name, text, "must end in /p2p/ and the peer's id");
            continue;
        }
        n++;
    }
    return n;
}

static void check_peers(const struct node_config *c, struct settings_report *rep)
{
    struct allowlist *allow = NULL;
    char value[32], err[256];

    settings_check_name(rep, "CHAIN_ID", c->chain_id);
    if (c->chain_id && strlen(c->chain_id) > 40)
        settings_fatal(rep, "CHAIN_ID", c->chain_id, "may have at most 40 characters");
    if (*c->allow_path && !(allow = allowlist_load(c->allow_path, err)))
        settings_fatal(rep, "PEER_ALLOWLIST", c->allow_path, "%s", err);
    allowlist_free(allow);
    snprintf(value, sizeof(value), "%u", c->conn_high);
    if (c->conn_low > c->conn_high || c->conn_high > c->max_peers)
        settings_fatal(rep, "CONN_HIGH", value, "must be CONN_LOW <= CONN_HIGH <= MAX_PEERS, but CONN_LOW=%u and MAX_PEERS=%u",
                       c->conn_low, c->max_peers);
    if (c->conn_high < c->active->mesh_max) {
        snprintf(value, sizeof(value), "%u", c->conn_high);
        settings_warn(rep, "CONN_HIGH", value, "is below the mesh's largest size, %u", c->active->mesh_max);
    }
}

static void parse_direct(struct node_config *c, struct settings_report *rep)
{
    const char *list = c->direct_text;
    struct slice e;

    while (next_entry(&list, &e)) {
        char text[LIST_ENTRY_MAX];
        snprintf(text, sizeof(text), "%.*s", (int)(e.len < LIST_ENTRY_MAX ? e.len : LIST_ENTRY_MAX - 1), (const char *)e.p);
        if (c->ndirect == NODE_MAX_DIRECT) {
            settings_fatal(rep, "DIRECT_PEERS", text, "at most %u peers", NODE_MAX_DIRECT);
            return;
        }
        if (peer_id_parse(&c->direct[c->ndirect], e))
            settings_fatal(rep, "DIRECT_PEERS", text, "not a peer id like 12D3KooW..");
        else
            c->ndirect++;
    }
}

static void parse_relay(struct node_config *c, struct settings_report *rep)
{
    const char *list = c->relay_text;
    struct slice e;

    while (next_entry(&list, &e)) {
        char text[LIST_ENTRY_MAX];
        snprintf(text, sizeof(text), "%.*s", (int)(e.len < LIST_ENTRY_MAX ? e.len : LIST_ENTRY_MAX - 1), (const char *)e.p);
        if (c->nrelay == NODE_MAX_RELAY) {
            settings_fatal(rep, "RELAY_TOPICS", text, "at most %u topics", NODE_MAX_RELAY);
            return;
        }
        if (e.len > PUBSUB_TOPIC_MAX)
            settings_fatal(rep, "RELAY_TOPICS", text, "a topic has at most %u bytes", PUBSUB_TOPIC_MAX);
        else
            c->relay[c->nrelay++] = e;
    }
}

static void check_ports(const struct node_config *c, struct settings_report *rep)
{
    char value[16];

    snprintf(value, sizeof(value), "%u", c->sidecar_port);
    if (c->sidecar_port < 1024)
        settings_warn(rep, "SIDECAR_PORT", value, "below 1024 needs extra rights");
    if (c->sidecar_port == c->api_port)
        settings_fatal(rep, "SIDECAR_PORT", value, "is also API_PORT: ports must differ");
    if (c->sidecar_port == c->active->port)
        settings_fatal(rep, "SIDECAR_PORT", value, "is also the mesh's port: ports must differ");
    snprintf(value, sizeof(value), "%u", c->sidecar_lane_port);
    if (c->sidecar_lane_port && (c->sidecar_lane_port == c->sidecar_port || c->sidecar_lane_port == c->api_port || c->sidecar_lane_port == c->active->port))
        settings_fatal(rep, "SIDECAR_LANE_PORT", value, "is also another port of this node: ports must differ");
    snprintf(value, sizeof(value), "%u", c->api_port);
    if (c->api_port == c->active->port)
        settings_fatal(rep, "API_PORT", value, "is also the mesh's port: ports must differ");
}

/* An address, or one with the length of its network behind a slash (*has_len). */
static bool is_network(const char *s, bool *has_len)
{
    const char *slash = strchr(s, '/');
    unsigned len = 0;
    char ip[64];

    *has_len = slash != NULL;
    if (!slash)
        return settings_ip_bits(s) != 0;
    if ((size_t)(slash - s) >= sizeof(ip) || strlen(slash + 1) > 3 || !slash[1] || slash[1 + strspn(slash + 1, "0123456789")])
        return false;
    memcpy(ip, s, (size_t)(slash - s));
    ip[slash - s] = 0;
    for (const char *p = slash + 1; *p; p++)
        len = len * 10 + (unsigned)(*p - '0');
    return len <= settings_ip_bits(ip) && settings_ip_bits(ip);
}

static bool is_pci_address(const char *s)
{
    unsigned domain, bus, device, function;
    int end = 0;

    return sscanf(s, "%4x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &end) == 4 && end == 12 && !s[end];
}

/* vfio, memif and tap: of a NIC or interface that is ours alone. */
static void check_own_port(const struct node_config *c, const char *driver, struct settings_report *rep)
{
    bool is_vfio = strcmp(driver, "vfio") == 0, is_memif = strcmp(driver, "memif") == 0, is_own = is_vfio || is_memif || strcmp(driver, "tap") == 0;
    char value[16];

    if (is_vfio && !is_pci_address(c->net_pci))
        settings_fatal(rep, "NET_PCI", *c->net_pci ? c->net_pci : NULL, "the vfio driver needs a NIC's PCI address, as in 0000:3b:00.0");
    else if (!is_vfio && *c->net_pci)
        settings_warn(rep, "NET_PCI", c->net_pci, "has no effect with the driver %s", driver);
    if (is_memif && (c->net_memif[0] != '/' || strlen(c->net_memif) > 107))
        settings_fatal(rep, "NET_MEMIF", c->net_memif, "must be a path from / on, of at most 107 characters");
    snprintf(value, sizeof(value), "%u", c->net_vlan);
    if (c->net_vlan && !is_own)
        settings_fatal(rep, "NET_VLAN", value, "the driver %s shares the kernel's interface: make one of that VLAN (ip link add link eth0 name "
                       "eth0.%s type vlan id %s) and name it in NET_IFACE", driver, value, value);
    snprintf(value, sizeof(value), "%u", c->net_mtu);
    if (c->net_mtu && !is_own)
        settings_fatal(rep, "NET_MTU", value, "the driver %s takes the MTU of the kernel's interface: ip link set IF mtu %s", driver, value);
    else if (c->net_mtu && c->net_mtu < 1280)
        settings_fatal(rep, "NET_MTU", value, "must be 1280 to 9600");
    snprintf(value, sizeof(value), "%u", c->net_lcores);
    if (c->net_lcores > net_roles_max((enum net_driver)c->net_driver))
        settings_fatal(rep, "NET_LCORES", value, "must be 0 or 1 with the driver %s: it has one receive queue for us", driver);
}

static void check_addresses(const struct node_config *c, struct settings_report *rep)
{
    const char *driver = node_driver_names[c->net_driver];
    bool has_len = false, has_len6 = false;

    if (!settings_ip_bits(c->sidecar_bind))
        settings_fatal(rep, "SIDECAR_BIND", c->sidecar_bind, "must be an IP address");
    if (!settings_ip_bits(c->api_bind))
        settings_fatal(rep, "API_BIND", c->api_bind, "must be an IP address");
    if (*c->net_gateway && !settings_ip_bits(c->net_gateway))
        settings_fatal(rep, "NET_GATEWAY", c->net_gateway, "must be an IP address");
    if (*c->net_gateway6 && settings_ip_bits(c->net_gateway6) != 128)
        settings_fatal(rep, "NET_GATEWAY6", c->net_gateway6, "must be an IPv6 address");
    if (*c->net_addr6 && strcmp(c->net_addr6, "none") != 0 && (!is_network(c->net_addr6, &has_len6) || !strchr(c->net_addr6, ':')))
        settings_fatal(rep, "NET_ADDR6", c->net_addr6, "must be an IPv6 address with its network's length as in fd00::10/64, or none");
    if (*c->net_addr && !is_network(c->net_addr, &has_len))
        settings_fatal(rep, "NET_ADDR", c->net_addr, "must be an IP address, or one with its network's length as in 172.28.0.10/16");
    else if ((strcmp(driver, "tap") == 0 || strcmp(driver, "vfio") == 0 || strcmp(driver, "memif") == 0) && !has_len && (*c->net_addr || !has_len6))
        settings_fatal(rep, "NET_ADDR", *c->net_addr ? c->net_addr : NULL, "the %s driver needs an address of its own, as in 172.28.0.10/16 (or NET_ADDR6)", driver);
    check_own_port(c, driver, rep);
}

unsigned node_config_load(struct node_config *c, settings_lookup get, void *ctx, struct settings_report *rep)
{
    unsigned before = rep->fatal;
    char value[32];

    memset(c, 0, sizeof(*c));
    settings_load(table, COUNT, c, get, ctx, rep);
    take_twins(c, get, ctx);
    if (!*c->net_pci && strcmp(node_driver_names[c->net_driver], "vfio") == 0)
        c->net_pci = c->net_iface;
    c->active = c->mode == NODE_GOSSIPSUB ? &c->gossip : &c->optimum;
    settings_check_name(rep, "CLUSTER_ID", c->cluster_id);
    settings_check_country(rep, c->country, c->country_iso);
    check_mesh(c->mode == NODE_GOSSIPSUB ? "GOSSIPSUB" : "OPTIMUM", c->active, rep);
    check_ports(c, rep);
    check_addresses(c, rep);
    check_peers(c, rep);
    settings_check_user(&c->run_as_user, "RUN_AS_USER", c->run_as, rep);
    auth_settings_load(&c->auth, "SIDECAR_AUTH", c->sidecar_auth, get, ctx, rep);
    if (settings_is_set(get, ctx, "ENABLE_AUTH") && !settings_is_set(get, ctx, "PROXY_PORT"))
        settings_warn(rep, "ENABLE_AUTH", get(ctx, "ENABLE_AUTH"), "has no effect without a gateway inside (PROXY_PORT); "
                                                                   "SIDECAR_AUTH is for the gRPC port");
    if (c->shard_mult < 1.0) {
        snprintf(value, sizeof(value), "%g", c->shard_mult);
        settings_warn(rep, "OPTIMUM_SHARD_MULT", value, "below 1.0: a publisher sends less than a whole message and leaves "
                                                       "the rest to repair");
    }
    if (c->mode != NODE_GOSSIPSUB && (c->signing || c->id_rule))
        settings_warn(rep, c->signing ? "GOSSIPSUB_SIGNING" : "GOSSIPSUB_MSG_ID",
                      c->signing ? signing_names[c->signing] : id_names[c->id_rule], "has no effect in mode optimum");
    c->nbootstrap = parse_addrs("BOOTSTRAP_PEERS", c->bootstrap_text, c->bootstrap, NODE_MAX_BOOTSTRAP, true, rep);
    parse_direct(c, rep);
    parse_relay(c, rep);
    c->nannounce = parse_addrs("ANNOUNCE_ADDRS", c->announce_text, c->announce, NODE_MAX_ANNOUNCE, false, rep);
    return rep->fatal - before;
}

void node_config_help(FILE *f)
{
    settings_print_help(f, table, COUNT);
    auth_settings_print_help(f);
}

char *node_config_json(const struct node_config *c)
{
    json_t *j = json_object(), *peers = json_array();
    char *text;

    json_object_set_new(j, "cluster_id", json_string(c->cluster_id));
    json_object_set_new(j, "mode", json_string(node_mode_names[c->mode]));
    json_object_set_new(j, "country", json_string(c->country));
    json_object_set_new(j, "country_iso", json_string(c->country_iso));
    json_object_set_new(j, "port", json_integer(c->active->port));
    json_object_set_new(j, "sidecar_port", json_integer(c->sidecar_port));
    json_object_set_new(j, "sidecar_lane", json_boolean(c->has_sidecar_lane));
    json_object_set_new(j, "sidecar_lane_port", json_integer(c->sidecar_lane_port));
    json_object_set_new(j, "sidecar_auth", json_boolean(c->sidecar_auth));
    json_object_set_new(j, "api_port", json_integer(c->api_port));
    json_object_set_new(j, "max_msg_size", json_integer(c->active->max_msg_bytes));
    json_object_set_new(j, "mesh_target", json_integer(c->active->mesh_target));
    json_object_set_new(j, "mesh_min", json_integer(c->active->mesh_min));
    json_object_set_new(j, "mesh_max", json_integer(c->active->mesh_max));
    json_object_set_new(j, "shard_factor", json_integer(c->shard_factor));
    json_object_set_new(j, "small_message", json_integer(c->small_message));
    json_object_set_new(j, "shard_mult", json_real(c->shard_mult));
    json_object_set_new(j, "threshold", json_real(c->threshold));
    json_object_set_new(j, "signing", json_string(signing_names[c->signing]));
    json_object_set_new(j, "msg_id", json_string(id_names[c->id_rule]));
    json_object_set_new(j, "flood_publish", json_boolean(c->is_flood_publish));
    json_object_set_new(j, "chain_id", json_string(c->chain_id));
    json_object_set_new(j, "dht", json_string(dht_names[c->dht]));
    json_object_set_new(j, "max_peers", json_integer(c->max_peers));
    json_object_set_new(j, "conn_low", json_integer(c->conn_low));
    json_object_set_new(j, "conn_high", json_integer(c->conn_high));
    json_object_set_new(j, "peer_allowlist", json_string(c->allow_path));
    json_object_set_new(j, "peer_exchange", json_boolean(c->has_px));
    json_object_set_new(j, "score_ip_threshold", json_integer(c->score_ip_threshold));
    json_object_set_new(j, "net_driver", json_string(node_driver_names[c->net_driver]));
    json_object_set_new(j, "log_level", json_string(setting_log_levels[c->log_level]));
    json_object_set_new(j, "log_format", json_string(setting_log_formats[c->log_format]));
    for (unsigned i = 0; i < c->nbootstrap; i++) {
        char text_addr[MULTIADDR_TEXT_MAX];
        if (multiaddr_format(multiaddr_slice(&c->bootstrap[i]), text_addr, sizeof(text_addr)) > 0)
            json_array_append_new(peers, json_string(text_addr));
    }
    json_object_set_new(j, "bootstrap_peers", peers);
    text = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    return text;
}
