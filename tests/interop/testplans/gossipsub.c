/* gossipsub.c: a node of libp2p's gossipsub-interop (libp2p/test-plans)
 *
 *     gossipsub --params FILE.json
 *
 * Its number comes from the host name, nodeN; others are looked up under such names and dialed at TCP port 9000. FILE has the
 * script that every node runs. stdout: one JSON object a line. Exit: 0 the script is through; 1 not; 2 usage.
 * Not there: partial messages; parameters other than the mesh's numbers, GossipFactor and HeartbeatInterval (said on stderr).
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "crypto/crypto.h"
#include "plan_node.h"

struct player {
    struct plan_node *node;
    uint32_t id;
    uint64_t started_ns;
    bool has_begun; /* gossipsub was set up */
};

static int fail(const char *what, const char *of)
{
    fprintf(stderr, "gossipsub: %s %s\n", what, of ? of : "");
    return -1;
}

static const char *text(const json_t *step, const char *key)
{
    const char *s = json_string_value(json_object_get(step, key));

    return s ? s : "";
}

static int lookup(uint32_t id, struct multiaddr *out)
{
    struct addrinfo want = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    char name[32];

    snprintf(name, sizeof(name), "node%u", id);
    if (getaddrinfo(name, NULL, &want, &found))
        return fail("no address of", name);
    multiaddr_of_tcp(out, (const uint8_t *)&((struct sockaddr_in *)(void *)found->ai_addr)->sin_addr, 4, PLAN_PORT, NULL);
    freeaddrinfo(found);
    return 0;
}

static int begin(struct player *p, const json_t *step)
{
    static const char *const known[] = {"D", "Dlo", "Dhi", "Dout", "GossipFactor", "HeartbeatInterval"};
    json_t *g = json_object_get(step, "gossipSubParams"), *value;
    double of[6] = {0};
    const char *key;

    json_object_foreach(g, key, value) {
        unsigned i = 0;
        while (i < 6 && strcmp(known[i], key))
            i++;
        if (i < 6 && json_is_number(value))
            of[i] = json_number_value(value);
        else if (!json_is_null(value))
            fprintf(stderr, "gossipsub: %s is not settable: ours stays\n", key);
    }
    struct plan_params params = {(uint32_t)of[0], (uint32_t)of[1], (uint32_t)of[2], (uint32_t)of[3], of[4], (uint64_t)of[5]};
    p->has_begun = plan_node_start(p->node, &params, plan_now()) == 0;
    return p->has_begun ? 0 : fail("gossipsub does not start", NULL);
}

static int dial(struct player *p, const json_t *step)
{
    json_t *target;
    size_t i;

    json_array_foreach(json_object_get(step, "connectTo"), i, target) {
        uint32_t id = (uint32_t)json_integer_value(target);
        struct multiaddr addr;
        if (lookup(id, &addr))
            return -1;
        if (plan_node_connect(p->node, id, &addr))
            return fail("not connected to a node of", "connectTo");
    }
    return 0;
}

static int publish(struct player *p, const json_t *step)
{
    json_int_t size = json_integer_value(json_object_get(step, "messageSizeBytes"));

    if (size < PLAN_ID_BYTES || size > PLAN_MSG_MAX)
        return fail("messageSizeBytes is out of bounds", NULL);
    int err = plan_node_publish(p->node, text(step, "topicID"), (uint64_t)json_integer_value(json_object_get(step, "messageID")),
                                (uint32_t)size);
    return err ? fail("publish:", pubsub_err_name(err)) : 0;
}

static int play(struct player *p, const json_t *step)
{
    const char *type = text(step, "type");

    if (!strcmp(type, "ifNodeIDEquals"))
        return json_integer_value(json_object_get(step, "nodeID")) == p->id ? play(p, json_object_get(step, "instruction")) : 0;
    if (!strcmp(type, "initGossipSub"))
        return p->has_begun ? fail("initGossipSub came twice", NULL) : begin(p, step);
    if (!p->has_begun)
        return fail("before initGossipSub:", type);
    if (!strcmp(type, "connect"))
        return dial(p, step);
    if (!strcmp(type, "subscribeToTopic"))
        return json_is_true(json_object_get(step, "partial")) ? fail("no partial messages:", type)
                                                              : plan_node_subscribe(p->node, text(step, "topicID"));
    if (!strcmp(type, "publish"))
        return publish(p, step);
    if (!strcmp(type, "setTopicValidationDelay"))
        return plan_node_delay(p->node, text(step, "topicID"),
                               (uint64_t)(json_number_value(json_object_get(step, "delaySeconds")) * 1e9));
    if (strcmp(type, "waitUntil"))
        return fail("unknown instruction:", type);
    plan_node_run(p->node, p->started_ns + (uint64_t)json_integer_value(json_object_get(step, "elapsedSeconds")) * 1000000000ull);
    return 0;
}

static int play_all(struct player *p, const json_t *script)
{
    json_t *step;
    size_t i;

    if (!json_is_array(script))
        return fail("no script in the parameters", NULL);
    json_array_foreach(script, i, step)
        if (play(p, step))
            return -1;
    return 0;
}

int main(int argc, char **argv)
{
    struct player p = {.started_ns = plan_now()};
    char host[65] = "", peer[PEER_ID_TEXT_MAX];
    json_error_t error;
    struct key_pair key;
    struct peer_id id;

    gethostname(host, sizeof(host) - 1);
    if (argc != 3 || strcmp(argv[1], "--params") || sscanf(host, "node%u", &p.id) != 1) {
        fprintf(stderr, "usage: gossipsub --params FILE.json, on a host called nodeN (this is %s)\n", host);
        return 2;
    }
    json_t *params = json_load_file(argv[2], 0, &error);
    if (!params) {
        fprintf(stderr, "gossipsub: %s: %s\n", argv[2], error.text);
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    crypto_init();
    plan_key(&key, p.id);
    key_pair_peer_id(&key, &id);
    key_pair_fini(&key);
    peer_id_format(&id, peer);
    plan_say("PeerID", ", \"id\": \"%s\", \"node_id\": %u", peer, p.id);
    p.node = plan_node_new(p.id, plan_now());
    int err = p.node ? play_all(&p, json_object_get(params, "script")) : -1;
    if (p.node)
        plan_node_free(p.node);
    json_decref(params);
    return err ? 1 : 0;
}
