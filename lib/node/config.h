/* config.h: the node's configuration from the environment
 * Shape:   a look-up of variables -> struct node_config and a report of every broken rule
 * Source:  docs/OPERATIONS.md lists the variables; names and rules are those that operators have today
 * Memory:  text points into the environment; the rest is inline. Immutable after load
 * Errors:  node_config_load returns the number of fatal lines; rep holds them and the warnings
 */
#ifndef NODE_CONFIG_H
#define NODE_CONFIG_H

#include "auth/auth_settings.h"
#include "base/rights.h"
#include "base/settings.h"
#include "libp2p/multiaddr.h"

#define NODE_MAX_BOOTSTRAP 64
#define NODE_MAX_ANNOUNCE  8
#define NODE_MAX_DIRECT    64
#define NODE_MAX_RELAY     64

enum node_dht { NODE_DHT_PRIVATE, NODE_DHT_PUBLIC, NODE_DHT_OFF };
enum node_client_policy { NODE_CLIENT_DROP_OLDEST, NODE_CLIENT_DROP_NEWEST, NODE_CLIENT_DISCONNECT };
enum node_mode { NODE_OPTIMUM, NODE_GOSSIPSUB };

struct node_mode_config { /* OPTIMUM_* and GOSSIPSUB_* twins */
    uint16_t port;
    uint32_t max_msg_bytes, mesh_target, mesh_min, mesh_max;
};

struct node_config {
    const char *cluster_id, *country, *country_iso, *identity_dir, *bootstrap_text, *announce_text;
    const char *net_iface, *net_addr, *net_gateway, *net_addr6, *net_gateway6, *net_pci; /* vfio: net_pci is set, by NET_IFACE if need be */
    uint32_t net_vlan, net_mtu, net_memif_id;
    const char *net_memif;
    int net_memif_role;     /* 0 client, 1 server */
    const char *sidecar_bind, *api_bind;
    const char *run_as;     /* "": stays who it is */
    struct rights_user run_as_user;
    const char *chain_id, *allow_path, *dns_servers; /* allow_path "": anyone; dns_servers "": the system's */
    int dht;                /* enum node_dht */
    uint32_t max_peers, conn_low, conn_high;
    int mode;               /* enum node_mode */
    int log_level;          /* enum log_level */
    int log_format;
    uint32_t net_lcores, coding_lcores; /* 0: by CPUs */
    int net_tcp_cc, net_tcp_ecn; /* as enum tcp_cc and tcp_ecn of tcp/tcp.h */
    int net_driver;         /* index in node_driver_names, same order as enum net_driver */
    uint16_t sidecar_port, api_port;
    struct node_mode_config optimum, gossip;
    const struct node_mode_config *active; /* of the two */
    bool is_flood_publish, has_px, has_v13, has_replay_guard;
    int signing, id_rule;   /* enum pubsub_signing, enum pubsub_id_rule; mode gossipsub */
    uint32_t score_ip_threshold;
    uint32_t shard_factor, small_message;
    double shard_mult, threshold;
    unsigned nbootstrap, nannounce;
    struct multiaddr bootstrap[NODE_MAX_BOOTSTRAP];
    struct multiaddr announce[NODE_MAX_ANNOUNCE];
    const char *relay_text;
    unsigned nrelay;
    struct slice relay[NODE_MAX_RELAY]; /* topics */
    const char *direct_text;
    unsigned ndirect;
    struct peer_id direct[NODE_MAX_DIRECT];
    uint32_t client_queue_bytes, clients_queue_bytes;
    int client_policy; /* enum node_client_policy */
    bool sidecar_auth, has_sidecar_lane;
    uint32_t sidecar_lane_port;
    struct auth_settings auth; /* of the sidecar's clients */
};

extern const char *const node_mode_names[];   /* NULL-terminated */
extern const char *const node_client_policies[];
extern const char *const node_driver_names[];

unsigned node_config_load(struct node_config *c, settings_lookup get, void *ctx, struct settings_report *rep);
/* Every variable with its default, meaning and rule. */
void node_config_help(FILE *f);
/* The active configuration as compact JSON, secrets removed (there are none in it); malloc'ed. */
char *node_config_json(const struct node_config *c);

#endif
