#include "node/telemetry.h"

#include <pthread.h>
#include <rte_telemetry.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/hub_impl.h"

#define NAMES_MAX 200 /* of the 256 that DPDK takes in an object or array */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct hub *hub; /* under the lock */

/* EAL's own choice of a folder (rte_eal_get_runtime_dir is known only after it has failed). */
int telemetry_has_folder(void)
{
    const char *dir = geteuid() == 0 ? "/var/run" : getenv("XDG_RUNTIME_DIR");

    return access(dir ? dir : "/tmp", W_OK) == 0;
}

static struct rte_tel_data *mesh_of(const struct snapshot *s, unsigned topic)
{
    struct rte_tel_data *ids = rte_tel_data_alloc();
    char text[PEER_ID_TEXT_MAX];
    unsigned n = 0;

    if (!ids)
        return NULL;
    rte_tel_data_start_array(ids, RTE_TEL_STRING_VAL);
    for (unsigned i = 0; i < s->npeers && topic < 64 && n < NAMES_MAX; i++)
        if (s->peers[i].meshes >> topic & 1) {
            peer_id_format(&s->peers[i].id, text);
            rte_tel_data_add_array_string(ids, text);
            n++;
        }
    return ids;
}

/* {topic: {subscribed, peers, mesh: [peer id]}}; DPDK's names are letters, digits and a few signs: others become "_". */
static void add_topic(struct rte_tel_data *d, const struct snapshot *s, unsigned i)
{
    struct rte_tel_data *t = rte_tel_data_alloc(), *mesh = mesh_of(s, i);
    char name[RTE_TEL_MAX_STRING_LEN];

    if (!t || !mesh) {
        rte_tel_data_free(t);
        rte_tel_data_free(mesh);
        return;
    }
    snprintf(name, sizeof(name), "%.100s", s->topics[i].topic);
    for (char *c = name; *c; c++)
        if (!(*c >= '0' && *c <= '9') && !((*c | 32) >= 'a' && (*c | 32) <= 'z') && *c != '/')
            *c = '_';
    rte_tel_data_start_dict(t);
    rte_tel_data_add_dict_int(t, "subscribed", s->topics[i].is_subscribed);
    rte_tel_data_add_dict_u64(t, "peers", s->topics[i].peers);
    rte_tel_data_add_dict_container(t, "mesh", mesh, 0);
    rte_tel_data_add_dict_container(d, name, t, 0);
}

static void add_ring(struct rte_tel_data *d, const struct snapshot_ring *r)
{
    struct rte_tel_data *t = rte_tel_data_alloc();

    if (!t)
        return;
    rte_tel_data_start_dict(t);
    rte_tel_data_add_dict_u64(t, "capacity", r->capacity);
    rte_tel_data_add_dict_u64(t, "depth", r->depth);
    rte_tel_data_add_dict_u64(t, "peak", r->peak);
    rte_tel_data_add_dict_u64(t, "pushed", r->pushed);
    rte_tel_data_add_dict_u64(t, "full", r->full);
    rte_tel_data_add_dict_u64(t, "dropped", r->dropped);
    rte_tel_data_add_dict_u64(t, "batches", r->batches);
    rte_tel_data_add_dict_u64(t, "batch_peak", r->batch_peak);
    rte_tel_data_add_dict_container(d, r->name, t, 0);
}

static void add_net(struct rte_tel_data *d, const char *name, const struct snapshot_net *n)
{
    struct rte_tel_data *t = rte_tel_data_alloc();

    if (!t)
        return;
    rte_tel_data_start_dict(t);
    rte_tel_data_add_dict_u64(t, "conns", n->conns);
    rte_tel_data_add_dict_u64(t, "handshakes", n->handshakes);
    rte_tel_data_add_dict_u64(t, "wire_in", n->wire_in);
    rte_tel_data_add_dict_u64(t, "wire_out", n->wire_out);
    rte_tel_data_add_dict_u64(t, "packets_in", n->packets_in);
    rte_tel_data_add_dict_u64(t, "packets_out", n->packets_out);
    rte_tel_data_add_dict_u64(t, "packets_dropped_in", n->dropped_in);
    rte_tel_data_add_dict_u64(t, "send_dropped", n->send_dropped);
    rte_tel_data_add_dict_container(d, name, t, 0);
}

static void add_nets(struct rte_tel_data *d, const struct snapshot *s)
{
    struct rte_tel_data *nets = rte_tel_data_alloc();
    char name[16];

    if (!nets)
        return;
    rte_tel_data_start_dict(nets);
    for (unsigned i = 0; i < s->nnets; i++) {
        snprintf(name, sizeof(name), "net%u", i);
        add_net(nets, name, &s->nets[i]);
    }
    rte_tel_data_add_dict_container(d, "nets", nets, 0);
}

static struct snapshot *take(void)
{
    struct snapshot *s;

    pthread_mutex_lock(&lock);
    s = hub ? hub_snapshot(hub) : NULL;
    pthread_mutex_unlock(&lock);
    return s;
}

static int show_mesh(const char *cmd, const char *params, struct rte_tel_data *d)
{
    struct snapshot *s = take();

    rte_tel_data_start_dict(d);
    for (unsigned i = 0; s && i < s->ntopics && i < NAMES_MAX; i++)
        add_topic(d, s, i);
    free(s);
    return 0;
}

static int show_lcores(const char *cmd, const char *params, struct rte_tel_data *d)
{
    struct snapshot *s = take();
    struct rte_tel_data *rings;

    rte_tel_data_start_dict(d);
    if (!s)
        return 0;
    rte_tel_data_add_dict_string(d, "driver", s->driver);
    rte_tel_data_add_dict_u64(d, "peers", s->npeers);
    rte_tel_data_add_dict_u64(d, "generations", s->ngenerations);
    rte_tel_data_add_dict_u64(d, "frames_dropped", s->frames_dropped);
    rte_tel_data_add_dict_u64(d, "send_dropped", s->send_dropped);
    add_nets(d, s);
    rings = rte_tel_data_alloc();
    if (rings) {
        rte_tel_data_start_dict(rings);
        for (unsigned i = 0; i < s->nrings; i++)
            add_ring(rings, &s->rings[i]);
        rte_tel_data_add_dict_container(d, "rings", rings, 0);
    }
    free(s);
    return 0;
}

void telemetry_open(struct hub *h)
{
    pthread_mutex_lock(&lock);
    hub = h;
    pthread_mutex_unlock(&lock);
    rte_telemetry_register_cmd("/codecast/mesh", show_mesh, "The mesh of each topic. No parameters");
    rte_telemetry_register_cmd("/codecast/lcores", show_lcores, "Net roles, and the rings between the lcores: depth, peak, batches, drops. No parameters");
}

void telemetry_close(void)
{
    pthread_mutex_lock(&lock);
    hub = NULL;
    pthread_mutex_unlock(&lock);
}
