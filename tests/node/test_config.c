#include "testing.h"

#include "node/config.h"
#include "pubsub/pubsub.h"

static const char *lookup(void *ctx, const char *name)
{
    const char *const *kv = ctx;

    for (; *kv; kv += 2)
        if (strcmp(kv[0], name) == 0)
            return kv[1];
    return NULL;
}

#define ID "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"

static struct node_config cfg;

static unsigned load(const char *const *env, struct settings_report *rep)
{
    memset(rep, 0, sizeof(*rep));
    return node_config_load(&cfg, lookup, (void *)(uintptr_t)env, rep);
}

static void test_config_defaults_are_those_operators_know(void **state)
{
    const char *env[] = {"CLUSTER_ID", "n1", NULL};
    struct settings_report rep;

    assert_int_equal(load(env, &rep), 0);
    assert_int_equal(rep.warnings, 0);
    assert_int_equal(cfg.mode, NODE_OPTIMUM);
    assert_int_equal(cfg.active->port, 7070);
    assert_int_equal(cfg.active->max_msg_bytes, 1048576);
    assert_true(cfg.active->mesh_target == 6 && cfg.active->mesh_min == 4 && cfg.active->mesh_max == 12);
    assert_true(cfg.shard_factor == 4 && cfg.small_message == 16384 && cfg.shard_mult == 1.5 && cfg.threshold == 0.75);
    assert_true(cfg.sidecar_port == 33212 && cfg.api_port == 9090);
    assert_string_equal(cfg.identity_dir, "/identity");
}

static void test_config_gossipsub_values_fall_back_to_their_twins(void **state)
{
    const char *plain[] = {"CLUSTER_ID", "n1", "NODE_MODE", "gossipsub", NULL};
    const char *twins[] = {"CLUSTER_ID", "n1", "NODE_MODE", "gossipsub", "OPTIMUM_PORT", "7171", "OPTIMUM_MESH_TARGET", "8",
                           "OPTIMUM_MAX_MSG_SIZE", "2097152", "GOSSIPSUB_MESH_TARGET", "7", NULL};
    struct settings_report rep;

    assert_int_equal(load(plain, &rep), 0);
    assert_int_equal(cfg.active->port, 6060);
    assert_int_equal(load(twins, &rep), 0);
    assert_int_equal(cfg.active->port, 7171);
    assert_int_equal(cfg.active->mesh_target, 7);
    assert_int_equal(cfg.active->max_msg_bytes, 2097152);
    assert_int_equal(cfg.active->mesh_min, 4);
}

static void test_config_gossipsub_rules_are_chosen_by_name(void **state)
{
    const char *plain[] = {"CLUSTER_ID", "n1", NULL};
    const char *chosen[] = {"CLUSTER_ID", "n1", "NODE_MODE", "gossipsub", "GOSSIPSUB_SIGNING", "none", "GOSSIPSUB_MSG_ID",
                            "sha256", "FLOOD_PUBLISH", "true", "PEER_EXCHANGE", "no", "SCORE_IP_THRESHOLD", "0", NULL};
    const char *idle[] = {"CLUSTER_ID", "n1", "GOSSIPSUB_SIGNING", "none", NULL};
    struct settings_report rep;

    assert_int_equal(load(plain, &rep), 0);
    assert_true(cfg.signing == PUBSUB_STRICT_SIGN && cfg.id_rule == PUBSUB_ID_SPEC);
    assert_true(!cfg.is_flood_publish && cfg.has_px && cfg.score_ip_threshold == 10);
    assert_int_equal(load(chosen, &rep), 0);
    assert_int_equal(rep.warnings, 0);
    assert_true(cfg.signing == PUBSUB_STRICT_NO_SIGN && cfg.id_rule == PUBSUB_ID_SHA256);
    assert_true(cfg.is_flood_publish && !cfg.has_px && cfg.score_ip_threshold == 0);
    assert_int_equal(load(idle, &rep), 0);
    assert_int_equal(rep.warnings, 1); /* only mode gossipsub has a choice */
}

static void test_config_topics_to_relay(void **state)
{
    const char *v[] = {"CLUSTER_ID", "n1", "RELAY_TOPICS", " blocks, a b ,", NULL};
    struct settings_report rep;

    assert_int_equal(load(v, &rep), 0);
    assert_int_equal(cfg.nrelay, 2);
    assert_true(slice_is_equal(cfg.relay[0], slice_str("blocks")) && slice_is_equal(cfg.relay[1], slice_str("a b")));
}

#define X16 "xxxxxxxxxxxxxxxx"
#define X64 X16 X16 X16 X16
#define TOPIC_257 X64 X64 X64 X64 "x"

static void test_config_every_broken_rule_is_one_clear_line(void **state)
{
    static const struct {
        const char *name, *value, *want;
    } bad[] = {
        {"CLUSTER_ID", "has space", "CLUSTER_ID=has space: may hold letters"},
        {"CLUSTER_ID", "a/b", "CLUSTER_ID=a/b: "},
        {"NODE_MODE", "fast", "NODE_MODE=fast: must be one of optimum, gossipsub"},
        {"SIDECAR_PORT", "70000", "SIDECAR_PORT=70000: must be a port from 1 to 65535"},
        {"SIDECAR_PORT", "9090", "SIDECAR_PORT=9090: is also API_PORT"},
        {"SIDECAR_PORT", "7070", "SIDECAR_PORT=7070: is also the mesh's port"},
        {"SIDECAR_LANE_PORT", "33212", "SIDECAR_LANE_PORT=33212: is also another port of this node"},
        {"SIDECAR_LANE", "perhaps", "SIDECAR_LANE=perhaps: must be true or false"},
        {"API_PORT", "0", "API_PORT=0: "},
        {"API_PORT", "7070", "API_PORT=7070: is also the mesh's port"},
        {"GOSSIPSUB_SIGNING", "maybe", "GOSSIPSUB_SIGNING=maybe: must be one of strict, none"},
        {"DIRECT_PEERS", ID ",nobody", "DIRECT_PEERS=nobody: not a peer id"},
        {"RELAY_TOPICS", "a," TOPIC_257, "RELAY_TOPICS=xxxxxxxx"},
        {"PEER_EXCHANGE", "2", "PEER_EXCHANGE=2: must be true or false"},
        {"OPTIMUM_PORT", "x", "OPTIMUM_PORT=x: "},
        {"OPTIMUM_MAX_MSG_SIZE", "0", "OPTIMUM_MAX_MSG_SIZE=0: "},
        {"OPTIMUM_MAX_MSG_SIZE", "1MB", "OPTIMUM_MAX_MSG_SIZE=1MB: "},
        {"OPTIMUM_MESH_TARGET", "3", "OPTIMUM_MESH_TARGET=3: must be MIN <= TARGET <= MAX"},
        {"OPTIMUM_MESH_TARGET", "13", "OPTIMUM_MESH_TARGET=13: must be MIN <= TARGET <= MAX"},
        {"OPTIMUM_MESH_MIN", "7", "OPTIMUM_MESH_TARGET=6: must be MIN <= TARGET <= MAX"},
        {"OPTIMUM_MESH_MAX", "5", "OPTIMUM_MESH_TARGET=6: "},
        {"OPTIMUM_MESH_MIN", "-1", "OPTIMUM_MESH_MIN=-1: "},
        {"OPTIMUM_SHARD_FACTOR", "0", "OPTIMUM_SHARD_FACTOR=0: must be a whole number from 1 to 255"},
        {"OPTIMUM_SMALL_MESSAGE", "0", "OPTIMUM_SMALL_MESSAGE=0: must be a whole number from 1 to 33554432"},
        {"OPTIMUM_SHARD_FACTOR", "256", "OPTIMUM_SHARD_FACTOR=256: "},
        {"OPTIMUM_SHARD_MULT", "0", "OPTIMUM_SHARD_MULT=0: must be a number > 0"},
        {"OPTIMUM_SHARD_MULT", "-1", "OPTIMUM_SHARD_MULT=-1: "},
        {"OPTIMUM_THRESHOLD", "0", "OPTIMUM_THRESHOLD=0: must be a number > 0 and <= 1"},
        {"OPTIMUM_THRESHOLD", "1.1", "OPTIMUM_THRESHOLD=1.1: "},
        {"BOOTSTRAP_PEERS", "/ip4/10.0.0.1/tcp/7070/p2p/", "BOOTSTRAP_PEERS=/ip4/10.0.0.1/tcp/7070/p2p/: the peer id after /p2p/ is empty"},
        {"BOOTSTRAP_PEERS", "/ip4/10.0.0.1/tcp/7070", "BOOTSTRAP_PEERS=/ip4/10.0.0.1/tcp/7070: must end in /p2p/"},
        {"BOOTSTRAP_PEERS", "10.0.0.1:7070", "BOOTSTRAP_PEERS=10.0.0.1:7070: not an address like /ip4/192.0.2.1/tcp/7070/p2p/12D3KooW..: it must begin with a slash"},
        {"BOOTSTRAP_PEERS", "/ip4/10.0.0.1/udp/7070/p2p/" ID, "BOOTSTRAP_PEERS=/ip4/10.0.0.1/udp/7070/p2p/" ID ": not an address like /ip4/192.0.2.1/tcp/7070/p2p/12D3KooW..: it is no host with a TCP port"},
        {"COUNTRY_ISO", "AUT", "COUNTRY_ISO=AUT: must be two letters"},
        {"BOOTSTRAP_PEERS", "/ip4/10.0.0.1/tcp/7070/p2p/nonsense", "BOOTSTRAP_PEERS=/ip4/10.0.0.1/tcp/7070/p2p/nonsense: not an"},
        {"BOOTSTRAP_PEERS", "/ip4/999.0.0.1/tcp/7070/p2p/" ID, "BOOTSTRAP_PEERS="},
        {"ANNOUNCE_ADDRS", "here", "ANNOUNCE_ADDRS=here: not an address"},
        {"NET_DRIVER", "dpdk", "NET_DRIVER=dpdk: must be one of auto, kernel, af_packet"},
        {"SIDECAR_BIND", "here", "SIDECAR_BIND=here: must be an IP address"},
        {"API_BIND", "1.2.3", "API_BIND=1.2.3: must be an IP address"},
        {"NET_GATEWAY", "1.2.3.4/8", "NET_GATEWAY=1.2.3.4/8: must be an IP address"},
        {"NET_ADDR", "eth0", "NET_ADDR=eth0: must be an IP address, or one with its network's length"},
        {"NET_ADDR", "10.0.0.1/33", "NET_ADDR=10.0.0.1/33: must be"},
        {"NET_ADDR", "10.0.0.1/", "NET_ADDR=10.0.0.1/: must be"},
        {"NET_ADDR", "10.0.0.1/8x", "NET_ADDR=10.0.0.1/8x: must be"},
        {"NET_ADDR6", "10.0.0.1/8", "NET_ADDR6=10.0.0.1/8: must be an IPv6 address"},
        {"NET_ADDR6", "fd00::1/129", "NET_ADDR6=fd00::1/129: must be"},
        {"NET_ADDR6", "no", "NET_ADDR6=no: must be"},
        {"NET_GATEWAY6", "10.0.0.1", "NET_GATEWAY6=10.0.0.1: must be an IPv6 address"},
        {"NET_DRIVER", "tap", "NET_ADDR is not set: the tap driver needs an address of its own"},
        {"LOG_LEVEL", "loud", "LOG_LEVEL=loud: must be one of debug, info, warn, error"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *env[] = {bad[i].name, bad[i].value, "CLUSTER_ID", "n1", NULL};
        struct settings_report rep;
        assert_int_equal(load(env, &rep), 1);
        assert_true(rep.is_fatal[0]);
        if (strncmp(rep.lines[0], bad[i].want, strlen(bad[i].want)) != 0)
            fail_msg("got \"%s\", want \"%s...\"", rep.lines[0], bad[i].want);
    }
    const char *none[] = {NULL};
    struct settings_report rep;
    assert_int_equal(load(none, &rep), 1);
    assert_string_equal(rep.lines[0], "CLUSTER_ID is not set: must be set: a name of letters, digits, '-', '_' and '.'");
}

static void test_config_of_a_nic_of_our_own(void **state)
{
    static const struct {
        const char *iface;
        unsigned fatal;
    } cases[] = {{"0000:3b:00.0", 0}, {"0000:3B:1f.7", 0}, {"", 1}, {"eth0", 1}, {"3b:00.0", 1}, {"0000:3b:00.0x", 1}, {"0000:3b:00", 1}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *env[] = {"CLUSTER_ID", "n1", "NET_DRIVER", "vfio", "NET_ADDR", "10.0.0.1/24", i & 1 ? "NET_PCI" : "NET_IFACE", cases[i].iface, NULL};
        struct settings_report rep;

        assert_int_equal(load(env, &rep), cases[i].fatal);
        assert_true(!cases[i].fatal || strstr(rep.lines[0], "the vfio driver needs a NIC's PCI address"));
    }
}

static void test_config_of_several_net_lcores(void **state)
{
    static const struct {
        const char *driver, *lcores, *want;
    } cases[] = {
        {"auto", "2", NULL}, {"kernel", "16", NULL}, {"af_packet", "2", NULL}, {"tap", "1", NULL}, {"af_xdp", "0", NULL},
        {"tap", "2", "NET_LCORES=2: must be 0 or 1 with the driver tap"},
        {"memif", "3", "NET_LCORES=3: must be 0 or 1 with the driver memif"},
        {"af_xdp", "2", "NET_LCORES=2: must be 0 or 1 with the driver af_xdp"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *env[] = {"CLUSTER_ID", "n1", "NET_DRIVER", cases[i].driver, "NET_ADDR", "10.0.0.1/24", "NET_LCORES", cases[i].lcores, NULL};
        struct settings_report rep;

        assert_int_equal(load(env, &rep), cases[i].want ? 1 : 0);
        assert_true(!cases[i].want || strncmp(rep.lines[0], cases[i].want, strlen(cases[i].want)) == 0);
    }
}

static void test_config_of_ipv6_alone(void **state)
{
    static const struct {
        const char *addr, *addr6;
        unsigned fatal;
    } cases[] = {{"10.0.0.1/24", "", 0}, {"10.0.0.1/24", "fd00::1/64", 0}, {"", "fd00::1/64", 0}, {"", "fd00::1", 1}, {"", "none", 1}, {"10.0.0.1", "fd00::1/64", 1}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *env[] = {"CLUSTER_ID", "n1", "NET_DRIVER", "tap", "NET_ADDR", cases[i].addr, "NET_ADDR6", cases[i].addr6, NULL};
        struct settings_report rep;

        assert_int_equal(load(env, &rep), cases[i].fatal);
    }
}

static void test_config_warns_without_failing(void **state)
{
    static const struct {
        const char *name, *value, *want;
    } odd[] = {
        {"OPTIMUM_MESH_MIN", "6", "OPTIMUM_MESH_TARGET=6: equals OPTIMUM_MESH_MIN"},
        {"OPTIMUM_MESH_MAX", "6", "OPTIMUM_MESH_TARGET=6: equals OPTIMUM_MESH_MAX"},
        {"OPTIMUM_SHARD_MULT", "0.5", "OPTIMUM_SHARD_MULT=0.5: below 1.0"},
        {"SIDECAR_PORT", "80", "SIDECAR_PORT=80: below 1024"},
        {"ENABLE_AUTH", "true", "ENABLE_AUTH=true: has no effect"},
    };

    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        const char *env[] = {"CLUSTER_ID", "n1", odd[i].name, odd[i].value, NULL};
        struct settings_report rep;
        assert_int_equal(load(env, &rep), 0);
        assert_int_equal(rep.warnings, 1);
        if (strncmp(rep.lines[0], odd[i].want, strlen(odd[i].want)) != 0)
            fail_msg("got \"%s\", want \"%s...\"", rep.lines[0], odd[i].want);
    }
}

static void test_config_of_tokens(void **state)
{
    const char *none[] = {"CLUSTER_ID", "n1", "SIDECAR_AUTH", "true", NULL};
    const char *all[] = {"CLUSTER_ID", "n1", "SIDECAR_AUTH", "true", "AUTH0_DOMAIN", "a.example", "AUTH0_AUDIENCE", "api", NULL};
    struct settings_report rep;

    assert_int_equal(load(none, &rep), 2);
    assert_non_null(strstr(rep.lines[0], "AUTH0_DOMAIN is not set: must be set when SIDECAR_AUTH is true"));
    assert_non_null(strstr(rep.lines[1], "AUTH0_AUDIENCE is not set: must be set when SIDECAR_AUTH is true"));
    assert_int_equal(load(all, &rep), 0);
    assert_int_equal(rep.warnings, 0);
}

static void test_config_reads_lists(void **state)
{
    const char *env[] = {"CLUSTER_ID", "n1", "BOOTSTRAP_PEERS", " /ip4/10.0.0.1/tcp/7070/p2p/" ID " ,, /dns4/host/tcp/1/p2p/" ID ",",
                         "ANNOUNCE_ADDRS", "/ip4/192.0.2.7/tcp/7070", NULL};
    struct settings_report rep;

    assert_int_equal(load(env, &rep), 0);
    assert_int_equal(cfg.nbootstrap, 2);
    assert_int_equal(cfg.nannounce, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_defaults_are_those_operators_know),
        cmocka_unit_test(test_config_gossipsub_values_fall_back_to_their_twins),
        cmocka_unit_test(test_config_gossipsub_rules_are_chosen_by_name),
        cmocka_unit_test(test_config_topics_to_relay),
        cmocka_unit_test(test_config_every_broken_rule_is_one_clear_line),
        cmocka_unit_test(test_config_of_a_nic_of_our_own),
        cmocka_unit_test(test_config_of_several_net_lcores),
        cmocka_unit_test(test_config_of_ipv6_alone),
        cmocka_unit_test(test_config_warns_without_failing),
        cmocka_unit_test(test_config_of_tokens),
        cmocka_unit_test(test_config_reads_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
