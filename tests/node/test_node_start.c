/* test_node_start.c: a node's start: every step that may fail is made to, and leaves nothing behind
 * How:     functions that node.c calls are wrapped by the linker (meson.build); each fails when its turn has come. Ports that
 *          are taken need no wrapping
 */
#include "testing.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <rte_launch.h>
#include <rte_ring.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "node/coding_role.h"
#include "node/eal.h"
#include "node/helper_role.h"
#include "node/hub_xcore.h"
#include "node/node.h"
#include "node/sidecar.h"

#define IP       "127.77.31.1"
#define PATIENCE 20 /* seconds */
#define H2O_FDS  1  /* h2o 2.2 does not close the epoll descriptor of a loop that it destroys */

/* Which call is to fail: the count-th (from 1) of this name. */
static struct {
    const char *name;
    unsigned count;
} to_fail;

static bool fails(const char *name)
{
    return to_fail.name && strcmp(to_fail.name, name) == 0 && to_fail.count && --to_fail.count == 0;
}

#define WRAP(type, name, params, args, failure)            \
    type __real_##name params;                             \
    type __wrap_##name params;                             \
    type __wrap_##name params                              \
    {                                                      \
        return fails(#name) ? failure : __real_##name args; \
    }

WRAP(int, xdoor_init, (struct xdoor * d), (d), -1)
WRAP(int, xring_init, (struct xring * r, const char *n, unsigned depth, struct xdoor *d), (r, n, depth, d), -1)
WRAP(struct hub *, hub_new, (const struct hub_config *c), (c), NULL)
WRAP(struct net *, net_new, (const struct net_config *c, uint64_t now, char *err, char *why), (c, now, err, why), NULL)
WRAP(struct pubsub *, pubsub_new, (const struct pubsub_config *c, struct rng *r, uint64_t now, uint64_t unix_ns),
     (c, r, now, unix_ns), NULL)
WRAP(int, rte_eal_remote_launch, (lcore_function_t * f, void *arg, unsigned lcore), (f, arg, lcore), -1)
WRAP(int, helper_role_init, (struct helper_role * r), (r), -1)
WRAP(int, hub_start, (struct hub * h), (h), -1)

/* EAL starts once in a process. */
int __real_eal_start(const struct eal_plan *p, const char *program, bool is_verbose, char *err);
int __wrap_eal_start(const struct eal_plan *p, const char *program, bool is_verbose, char *err);
int __wrap_eal_start(const struct eal_plan *p, const char *program, bool is_verbose, char *err)
{
    static bool is_up;

    if (fails("eal_start")) {
        snprintf(err, 256, "no environment");
        return -1;
    }
    if (!is_up && __real_eal_start(p, program, is_verbose, err))
        return -1;
    is_up = true;
    return 0;
}

static struct node_config cfg;
static struct key_pair key;

static int bound(uint16_t port, uint16_t *got)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)); /* past TIME_WAITs, not past a listener */
    inet_pton(AF_INET, IP, &sa.sin_addr);
    if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, 8)) {
        close(fd);
        return -1;
    }
    getsockname(fd, (struct sockaddr *)&sa, &len);
    if (got)
        *got = ntohs(sa.sin_port);
    return fd;
}

static const char *lookup(void *ctx, const char *name)
{
    static const char *const kv[] = {"CLUSTER_ID",   "test", "NODE_MODE", "optimum", "NET_DRIVER", "kernel", "NET_ADDR",
                                     IP "/8",        "SIDECAR_BIND", IP,   "API_BIND", IP,          NULL};

    (void)ctx;
    for (const char *const *p = kv; *p; p += 2)
        if (strcmp(p[0], name) == 0)
            return p[1];
    return NULL;
}

static int setup(void **state)
{
    static const uint8_t seed[ED25519_SEED_BYTES] = {5};
    static struct settings_report rep;
    uint16_t port[3];
    int fd[3];

    (void)state;
    log_init(LOG_ERROR_L, LOG_LOGFMT, NULL);
    key_pair_from_seed(&key, seed);
    if (node_config_load(&cfg, lookup, NULL, &rep))
        return -1;
    for (int i = 0; i < 3; i++)
        fd[i] = bound(0, &port[i]);
    for (int i = 0; i < 3; i++)
        close(fd[i]);
    cfg.optimum.port = port[0];
    cfg.sidecar_port = port[1];
    cfg.api_port = port[2];
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    key_pair_fini(&key);
    return 0;
}

static unsigned entries(const char *dir)
{
    DIR *d = opendir(dir);
    unsigned n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* What a node holds that another could miss, or that would pile up. */
struct holdings {
    unsigned fds, threads;
};

static struct holdings holdings(void)
{
    return (struct holdings){entries("/proc/self/fd"), entries("/proc/self/task")};
}

/* gRPC core's own threads end in their own time. */
static void wait_for_no_more_than(struct holdings before)
{
    time_t until = time(NULL) + PATIENCE;
    struct holdings h;

    for (h = holdings(); h.fds > before.fds || h.threads > before.threads; h = holdings()) {
        if (time(NULL) > until)
            fail_msg("descriptors %u -> %u, threads %u -> %u", before.fds, h.fds, before.threads, h.threads);
        usleep(2000);
    }
}

/* Of two net and two coding roles. */
static const char *const rings[] = {"net_to_coding", "coding_to_net", "net1_to_coding", "coding_to_net1",
                                    "coding_to_helper1", "helper1_to_coding", "coding_to_hub", "hub_to_coding"};
#define RINGS (sizeof(rings) / sizeof(rings[0]))

static void nothing_is_left(void)
{
    const uint16_t ports[] = {cfg.optimum.port, cfg.sidecar_port, cfg.api_port};

    for (unsigned i = 0; i < RINGS; i++)
        assert_null(rte_ring_lookup(rings[i]));
    for (int i = 0; i < 3; i++) {
        time_t until = time(NULL) + PATIENCE;
        int fd;
        while ((fd = bound(ports[i], NULL)) < 0 && time(NULL) <= until)
            usleep(2000);
        assert_true(fd >= 0);
        close(fd);
    }
}

static struct node *start(char err[512])
{
    struct node_options opt = {.layout = {.net = 2, .coding = 2}};

    err[0] = 0;
    return node_start(&cfg, &key, &opt, err);
}

static void get(const char *path, char *out, size_t cap)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(cfg.api_port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char ask[128];
    size_t n = 0;

    inet_pton(AF_INET, IP, &sa.sin_addr);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    int len = snprintf(ask, sizeof(ask), "GET %s HTTP/1.0\r\nHost: x\r\n\r\n", path);
    assert_int_equal(write(fd, ask, (size_t)len), len);
    for (ssize_t got; n + 1 < cap && (got = read(fd, out + n, cap - n - 1)) > 0;)
        n += (size_t)got;
    out[n] = 0;
    close(fd);
}

static void test_node_starts_and_stops(void **state)
{
    static char text[1 << 18];
    char err[512];
    struct holdings first = {0};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct node *n = start(err);
        if (!n)
            fail_msg("%s", err);
        get("/metrics", text, sizeof(text));
        assert_non_null(strstr(text, "codecast_up{"));
        for (unsigned r = 0; r < RINGS; r++) {
            char want[64];
            snprintf(want, sizeof(want), "ring=\"%s\"", rings[r]);
            assert_non_null(strstr(strstr(text, "codecast_ring_full_total{"), want));
        }
        node_stop(n);
        nothing_is_left();
        if (i == 0)
            first = holdings();
    }
    first.fds += H2O_FDS;
    wait_for_no_more_than(first);
}

/* Twice: the first time may load what stays loaded. */
static void fails_cleanly(const char *name, unsigned count, const char *why)
{
    struct holdings before = {0};

    for (int i = 0; i < 2; i++) {
        char err[512];
        if (i == 1)
            before = holdings();
        to_fail.name = name;
        to_fail.count = count;
        assert_null(start(err));
        assert_int_equal(to_fail.count, 0); /* it was reached */
        to_fail.name = NULL;
        if (!strstr(err, why))
            fail_msg("%s: \"%s\"", name, err);
        nothing_is_left();
    }
    before.fds += strcmp(name, "rte_eal_remote_launch") == 0 ? H2O_FDS : 0; /* after the API's start */
    wait_for_no_more_than(before);
}

static void test_node_start_undoes_what_it_began(void **state)
{
    static const struct {
        const char *name;
        unsigned count;
        const char *why;
    } step[] = {
        {"eal_start", 1, "no environment"},
        {"xdoor_init", 1, "no descriptor"}, /* the first worker's, the last's, the hub's */
        {"xdoor_init", 4, "no descriptor"},
        {"xdoor_init", 5, "rings"},
        {"xring_init", 1, "rings"},
        {"xring_init", RINGS, "rings"},
        {"hub_new", 1, "no memory for the hub"},
        {"net_new", 1, ""},
        {"net_new", 2, ""},
        {"helper_role_init", 1, "no memory for a coding lcore"},
        {"pubsub_new", 1, "no memory for the router"},
        {"rte_eal_remote_launch", 1, "an lcore could not be started"},
        {"rte_eal_remote_launch", 4, "an lcore could not be started"},
        {"hub_start", 1, "the hub's thread could not be started"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(step) / sizeof(step[0]); i++)
        fails_cleanly(step[i].name, step[i].count, step[i].why);
}

static void test_node_start_names_a_port_that_is_taken(void **state)
{
    const struct {
        uint16_t port;
        const char *why;
    } taken[] = {{cfg.optimum.port, "cannot listen"}, {cfg.sidecar_port, "SIDECAR_PORT="}, {cfg.api_port, "API_PORT="}};

    (void)state;
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        struct holdings before = {0};
        for (int k = 0; k < 2; k++) {
            char err[512];
            if (k == 1)
                before = holdings();
            int fd = bound(taken[i].port, NULL);
            assert_true(fd >= 0);
            assert_null(start(err));
            close(fd);
            if (!strstr(err, taken[i].why))
                fail_msg("port %u: \"%s\"", taken[i].port, err);
            nothing_is_left();
        }
        wait_for_no_more_than(before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_starts_and_stops),
        cmocka_unit_test(test_node_start_undoes_what_it_began),
        cmocka_unit_test(test_node_start_names_a_port_that_is_taken),
        cmocka_unit_test(test_node_starts_and_stops), /* after all that */
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
