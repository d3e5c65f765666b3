/* test_gw_lane.c: the end of lanes when there is no memory to say so to their threads; the HTTP server's loop is ours here */
#include "testing.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/gw_impl.h"
#include "gateway/gw_lane.h"
#include "gateway/gw_pool_impl.h"
#include "http/http_loop.h"

#define S 1000000000ull

static struct {
    void (*run)(void *user); /* what the thread was asked to run */
    void *user;
    bool is_refusing;
    int fd; /* of the watch; -1: none */
    struct http_watch_ops ops;
    void *of;
} loop;

unsigned __wrap_http_server_threads(const struct http_server *s);
bool __wrap_http_loop_run(struct http_server *s, unsigned i, void (*run)(void *user), void *user);
struct http_watch *__wrap_http_watch_new(int fd, const struct http_watch_ops *ops, void *user);
void __wrap_http_watch_want_write(struct http_watch *w);
void __wrap_http_watch_free(struct http_watch *w);

unsigned __wrap_http_server_threads(const struct http_server *s)
{
    return 1;
}

bool __wrap_http_loop_run(struct http_server *s, unsigned i, void (*run)(void *user), void *user)
{
    if (loop.is_refusing)
        return false;
    assert_null(loop.run);
    loop.run = run;
    loop.user = user;
    return true;
}

struct http_watch *__wrap_http_watch_new(int fd, const struct http_watch_ops *ops, void *user)
{
    loop.fd = fd;
    loop.ops = *ops;
    loop.of = user;
    return (struct http_watch *)&loop;
}

void __wrap_http_watch_want_write(struct http_watch *w)
{
}

void __wrap_http_watch_free(struct http_watch *w)
{
    if (w)
        close(loop.fd);
    loop.fd = -1;
}

static void turn(void)
{
    void (*run)(void *user) = loop.run;

    assert_non_null(run);
    loop.run = NULL;
    run(loop.user);
}

/* A lane of a stream that has ended, and whose thread could not be told: it is told later, with no other stream in sight. */
static void test_lane_ends_though_its_thread_could_not_be_told(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    struct gw_lane_offer offer = {.address = "127.0.0.1"};
    struct gateway *gw = calloc(1, sizeof(*gw));
    struct gw_pool *pool = calloc(1, sizeof(*pool));
    struct gw_link link = {.target = "n", .node = &pool->nodes[0]};
    int listener = socket(AF_INET, SOCK_STREAM, 0), peer;
    uint8_t ready[16];
    struct wr w = wr_of(ready, sizeof(ready));
    struct gw_lanes *lanes;
    uint64_t now;

    gw_lock_init(&pool->lock);
    list_init(&pool->waiting);
    pool->gw = gw;
    pool->nodes[0].pool = pool;
    assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
    offer.port = ntohs(a.sin_port);
    lanes = gw_lanes_new(&link);
    gw_lanes_offer(lanes, &offer);
    gw_lanes_tick(lanes, now = gw_now_ns());
    turn();
    peer = accept(listener, NULL, NULL);
    loop.ops.on_writable(loop.of);
    lane_frame_write(&w, &(struct lane_frame){.type = LANE_READY, .max_payload = 1000});
    assert_int_equal(send(peer, ready, w.len, 0), w.len);
    while (pool->nodes[0].info.lanes == 0)
        loop.ops.on_ready(loop.of);

    loop.is_refusing = true;
    gw_lanes_end(lanes);
    assert_int_equal(pool->nodes[0].info.lanes, 1);
    loop.is_refusing = false;
    gw_lanes_tick(lanes, now + S);
    assert_null(loop.run);
    gw_lanes_tick(lanes, now + 60 * S);
    turn();
    assert_int_equal(pool->nodes[0].info.lanes, 0);
    assert_int_equal(loop.fd, -1);
    gw_lanes_tick(lanes, now + 600 * S); /* and no other is opened */
    assert_null(loop.run);
    gw_lanes_free(lanes);
    close(peer);
    close(listener);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
    free(gw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lane_ends_though_its_thread_could_not_be_told)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
