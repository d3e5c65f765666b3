/* One server and one client in this process, over loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <time.h>

#include "echo_service.h"
#include "rpc/rpc_client.h"
#include "rpc/rpc_gather.h"

#define MIB (1u << 20)

/* What a client stream has seen so far; every wait ends after 20 s, which fails the test. */
struct seen {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned messages, drained, closed;
    uint64_t bytes;
    bool wrong_order;
    uint32_t last;
    struct rpc_status st;
    char text[256];
    struct rpc_msg *reply;
    unsigned states[5];
};

static struct rpc_server *server;
static struct rpc_loop *loop;
static struct rpc_client *client;
static int port;

static void seen_init(struct seen *s)
{
    memset(s, 0, sizeof(*s));
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
}

/* Waits until *counter is at least n. */
static bool wait_for(struct seen *s, const unsigned *counter, unsigned n, int timeout_s)
{
    struct timespec until;
    int err = 0;
    bool is;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += timeout_s;
    pthread_mutex_lock(&s->lock);
    while (*counter < n && !err)
        err = pthread_cond_timedwait(&s->changed, &s->lock, &until);
    is = *counter >= n;
    pthread_mutex_unlock(&s->lock);
    return is;
}

static void got_message(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct seen *s = user;
    struct slice b = rpc_msg_slice(m);
    uint32_t n = 0;

    pthread_mutex_lock(&s->lock);
    if (b.len >= 4)
        memcpy(&n, b.p, 4);
    if (s->messages && n != s->last + 1)
        s->wrong_order = true;
    s->last = n;
    s->messages++;
    s->bytes += b.len;
    snprintf(s->text, sizeof(s->text), "%.*s", (int)(b.len < 200 ? b.len : 200), (const char *)b.p);
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void got_drained(struct rpc_call *c, void *user)
{
    struct seen *s = user;

    pthread_mutex_lock(&s->lock);
    s->drained++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void set_closed(struct seen *s, const struct rpc_status *st)
{
    pthread_mutex_lock(&s->lock);
    s->closed++;
    s->st.code = st->code;
    if (st->message[0])
        snprintf(s->text, sizeof(s->text), "%s", st->message);
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void got_close(struct rpc_call *c, const struct rpc_status *st, void *user)
{
    set_closed(user, st);
}

static void got_reply(const struct rpc_status *st, struct rpc_msg *reply, void *user)
{
    struct seen *s = user;

    s->reply = reply ? rpc_msg_ref(reply) : NULL;
    set_closed(s, st);
}

static void got_state(struct rpc_client *c, enum rpc_state state, void *user)
{
    struct seen *s = user;

    pthread_mutex_lock(&s->lock);
    s->states[state]++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static const struct rpc_handlers handlers = {
    .on_message = got_message, .on_drained = got_drained, .on_close = got_close};

static struct rpc_server *serve(int on_port)
{
    char bind[32];
    struct rpc_server_config cfg = {.bind = bind, .max_recv_bytes = 17 * MIB, .max_calls = 64};
    struct rpc_server *s;

    snprintf(bind, sizeof(bind), "127.0.0.1:%d", on_port);
    assert_int_equal(rpc_server_new(&s, &cfg), 0);
    assert_int_equal(rpc_server_add(s, &echo_service, NULL), 0);
    assert_int_equal(rpc_server_start(s), 0);
    return s;
}

static struct rpc_client *dial(int to_port, struct seen *s)
{
    char target[32];
    struct rpc_client_config cfg = {
        .target = target, .loop = loop, .max_recv_bytes = 17 * MIB, .backoff_initial_ms = 50, .backoff_max_ms = 200};
    struct rpc_client *c;

    snprintf(target, sizeof(target), "127.0.0.1:%d", to_port);
    if (s) {
        cfg.on_state = got_state;
        cfg.user = s;
    }
    assert_int_equal(rpc_client_new(&c, &cfg), 0);
    return c;
}

static int setup(void **state)
{
    server = serve(0);
    port = rpc_server_port(server);
    loop = rpc_loop_new("test-client", NULL);
    client = dial(port, NULL);
    return loop ? 0 : -1;
}

static int teardown(void **state)
{
    rpc_client_free(client);
    rpc_loop_free(loop);
    rpc_server_free(server);
    return 0;
}

/* A unary call of len bytes; fills s. */
static void ask_bytes(struct seen *s, const char *path, const void *bytes, size_t len, uint32_t timeout_ms)
{
    struct rpc_call_options opt = {.wait_for_ready = true, .timeout_ms = timeout_ms ? timeout_ms : 20000};
    struct rpc_msg *m = rpc_msg_copy(slice_of(bytes, len));

    seen_init(s);
    assert_int_equal(rpc_client_unary(client, path, m, &opt, got_reply, s), 0);
    rpc_msg_unref(m);
    assert_true(wait_for(s, &s->closed, 1, 20));
}

static struct rpc_call *open_on(struct rpc_client *cl, struct seen *s, const char *path,
                                struct rpc_queue_limits queue)
{
    struct rpc_call_options opt = {.wait_for_ready = true, .queue = queue};
    struct rpc_call *c;

    seen_init(s);
    assert_int_equal(rpc_client_open(cl, path, &handlers, s, &opt, &c), 0);
    return c;
}

static int send_number(struct rpc_call *c, uint32_t n, size_t len)
{
    struct rpc_msg *m = rpc_msg_new(len < 4 ? 4 : len);
    int err;

    memset(rpc_msg_bytes(m), 0, rpc_msg_len(m));
    memcpy(rpc_msg_bytes(m), &n, 4);
    err = rpc_call_send(c, m, RPC_MUST);
    rpc_msg_unref(m);
    return err;
}

static void test_unary_echoes(void **state)
{
    struct seen s;

    ask_bytes(&s, "/test.Echo/Unary", "hello", 5, 0);
    assert_int_equal(s.st.code, RPC_CODE_OK);
    assert_true(slice_is_equal(rpc_msg_slice(s.reply), SLICE_LIT("hello")));
    rpc_msg_unref(s.reply);
}

static void test_unary_answers_from_another_thread(void **state)
{
    struct seen s;

    ask_bytes(&s, "/test.Echo/Later", "later", 5, 0);
    assert_int_equal(s.st.code, RPC_CODE_OK);
    assert_true(slice_is_equal(rpc_msg_slice(s.reply), SLICE_LIT("later")));
    rpc_msg_unref(s.reply);
}

static void test_unary_gives_status_and_message(void **state)
{
    struct seen s;

    ask_bytes(&s, "/test.Echo/Status", "\x08no more", 8, 0);
    assert_int_equal(s.st.code, RPC_CODE_RESOURCE_EXHAUSTED);
    assert_string_equal(s.text, "no more");
    assert_null(s.reply);
    ask_bytes(&s, "/test.Echo/Unary", "", 0, 0);
    assert_int_equal(s.st.code, RPC_CODE_FAILED_PRECONDITION);
}

static void test_unknown_method_is_unimplemented(void **state)
{
    struct seen s;
    struct rpc_server_stats before, after;

    rpc_server_get_stats(server, &before);
    ask_bytes(&s, "/test.Echo/Nothing", "x", 1, 0);
    assert_int_equal(s.st.code, RPC_CODE_UNIMPLEMENTED);
    rpc_server_get_stats(server, &after);
    assert_int_equal(after.calls_unknown, before.calls_unknown + 1);
}

static void test_unary_runs_out_of_time(void **state)
{
    struct seen s;

    ask_bytes(&s, "/test.Echo/Hold", "x", 1, 100);
    assert_int_equal(s.st.code, RPC_CODE_DEADLINE_EXCEEDED);
}

static void test_unary_carries_16_mib(void **state)
{
    size_t len = 16 * MIB;
    uint8_t *big = malloc(len);
    struct seen s;

    for (size_t i = 0; i < len; i++)
        big[i] = (uint8_t)(i * 31 >> 3);
    ask_bytes(&s, "/test.Echo/Unary", big, len, 0);
    assert_int_equal(s.st.code, RPC_CODE_OK);
    assert_true(slice_is_equal(rpc_msg_slice(s.reply), slice_of(big, len)));
    rpc_msg_unref(s.reply);
    free(big);
}

static void test_oversize_is_resource_exhausted(void **state)
{
    size_t len = 18 * MIB;
    uint8_t *big = calloc(1, len);
    struct seen s;

    ask_bytes(&s, "/test.Echo/Unary", big, len, 0);
    assert_int_equal(s.st.code, RPC_CODE_RESOURCE_EXHAUSTED);
    free(big);
}

static void test_stream_echoes_in_order(void **state)
{
    struct seen s;
    struct rpc_call *c = open_on(client, &s, "/test.Echo/Bidi", (struct rpc_queue_limits){.max_messages = 8000});

    for (uint32_t i = 0; i < 7000; i++)
        assert_int_equal(send_number(c, i, 100), 0);
    assert_int_equal(rpc_call_half_close(c), 0);
    assert_int_equal(send_number(c, 0, 4), -RPC_ECLOSED);
    assert_true(wait_for(&s, &s.closed, 1, 20));
    assert_int_equal(s.messages, 7000);
    assert_false(s.wrong_order);
    assert_int_equal(s.st.code, RPC_CODE_OK);
    assert_true(rpc_call_is_closed(c));
    assert_int_equal(send_number(c, 0, 4), -RPC_ECLOSED);
    rpc_call_unref(c);
}

static struct rpc_call *open_bundling(struct seen *s, const char *path)
{
    struct rpc_call_options opt = {.wait_for_ready = true, .queue = {.max_messages = 8000}, .offers_bundles = true};
    struct rpc_call *c;

    seen_init(s);
    assert_int_equal(rpc_client_open(client, path, &handlers, s, &opt, &c), 0);
    return c;
}

/* 7000 numbers there and back. The first answer says whether the server takes bundles. */
static void echo_numbers(const char *path, struct rpc_call_stats *st)
{
    struct seen s;
    struct rpc_call *c = open_bundling(&s, path);

    assert_int_equal(send_number(c, 0, 4), 0);
    assert_true(wait_for(&s, &s.messages, 1, 20));
    for (uint32_t i = 1; i < 7000; i++)
        assert_int_equal(send_number(c, i, i % 500 == 0 ? 20000 : i % 200), 0);
    if (!wait_for(&s, &s.messages, 7000, 20))
        fail_msg("%s: %u of 7000 came back", path, s.messages);
    rpc_call_get_stats(c, st);
    rpc_call_half_close(c);
    assert_true(wait_for(&s, &s.closed, 1, 20));
    assert_false(s.wrong_order);
    assert_int_equal(s.st.code, RPC_CODE_OK);
    rpc_call_unref(c);
}

static void test_bundles_keep_every_message_in_order(void **state)
{
    struct rpc_call_stats st;

    echo_numbers("/test.Echo/Bidi", &st);
    assert_int_equal(st.sent, 7000);
    assert_int_equal(st.received, 7000);
    assert_int_equal(st.sent_bytes, st.received_bytes);
    assert_true(st.bundles > 0);
}

static void test_no_bundles_for_a_server_that_takes_none(void **state)
{
    struct rpc_call_stats st;

    echo_numbers("/test.Echo/Plain", &st);
    assert_int_equal(st.bundles, 0);
}

/* A pause holds what is left of a bundle, too. */
static void test_paused_call_gets_the_rest_of_a_bundle_later(void **state)
{
    struct rpc_call_stats st;

    echo_numbers("/test.Echo/Nap", &st);
    assert_true(st.bundles > 0);
}

/* A client that says it can, and then sends something else under the bundles' tag. */
static void test_malformed_bundle_ends_the_call(void **state)
{
    struct rpc_msg *m = rpc_msg_copy(SLICE_LIT("\x7a\x05no"));
    struct seen s;
    struct rpc_call *c = open_bundling(&s, "/test.Echo/Bidi");

    assert_int_equal(rpc_call_send(c, m, RPC_MUST), 0);
    assert_true(wait_for(&s, &s.closed, 1, 20));
    assert_int_equal(s.st.code, RPC_CODE_INTERNAL);
    rpc_msg_unref(m);
    rpc_call_unref(c);
}

/* A thread that works in turns sends at their ends. */
static void test_gathering_thread_sends_at_its_flush(void **state)
{
    struct seen s;
    struct rpc_call *c;
    struct rpc_call_stats st;

    rpc_gather_flush();
    c = open_bundling(&s, "/test.Echo/Bidi");
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(send_number(c, i, 10), 0);
    rpc_call_get_stats(c, &st);
    if (st.sent == 0) /* the stream's headers may be out already or not: then they took the first message along */
        assert_true(st.queued >= 4);
    rpc_gather_end();
    assert_false(rpc_gather_has());
    assert_true(wait_for(&s, &s.messages, 5, 20));
    assert_int_equal(send_number(c, 5, 10), 0); /* at once again */
    assert_true(wait_for(&s, &s.messages, 6, 20));
    rpc_call_half_close(c);
    assert_true(wait_for(&s, &s.closed, 1, 20));
    rpc_call_unref(c);
}

static void test_stream_answers_after_half_close(void **state)
{
    struct seen s;
    struct rpc_call *c = open_on(client, &s, "/test.Echo/Tail", (struct rpc_queue_limits){0});

    for (uint32_t i = 0; i < 10; i++)
        send_number(c, i, 10);
    rpc_call_half_close(c);
    assert_true(wait_for(&s, &s.closed, 1, 20));
    assert_int_equal(s.messages, 1);
    assert_string_equal(s.text, "count=10");
    assert_int_equal(s.st.code, RPC_CODE_OK);
    rpc_call_unref(c);
}

static void test_client_queue_refuses_and_drains(void **state)
{
    struct seen s;
    struct rpc_call *c = open_on(client, &s, "/test.Echo/Tail", (struct rpc_queue_limits){.max_messages = 4});
    unsigned sent = 0, refused = 0;
    struct rpc_call_stats st;
    char want[32];

    for (uint32_t i = 0; i < 200; i++) {
        int err = send_number(c, i, 100000);

        sent += err == 0;
        refused += err == -RPC_EFULL;
    }
    assert_int_equal(sent + refused, 200);
    assert_true(refused > 0);
    assert_true(wait_for(&s, &s.drained, 1, 20));
    rpc_call_get_stats(c, &st);
    assert_int_equal(st.refused, refused);
    rpc_call_half_close(c);
    assert_true(wait_for(&s, &s.closed, 1, 20));
    snprintf(want, sizeof(want), "count=%u", sent);
    assert_string_equal(s.text, want);
    rpc_call_unref(c);
}

/* The server sends 100 MB to a client that does not read: what is beyond the queue is refused, memory stays bounded. */
static void source(const char *path, uint32_t worth, unsigned *got, char *text)
{
    uint32_t arg[3] = {1000, 100000, worth};
    struct rpc_msg *m = rpc_msg_copy(slice_of(arg, sizeof(arg)));
    struct seen s;
    struct rpc_call *c = open_on(client, &s, path, (struct rpc_queue_limits){0});

    rpc_call_pause(c);
    assert_int_equal(rpc_call_send(c, m, RPC_MUST), 0);
    rpc_msg_unref(m);
    usleep(300000);
    assert_true(s.messages <= 1);
    rpc_call_resume(c);
    assert_true(wait_for(&s, &s.closed, 1, 20));
    assert_int_equal(s.st.code, RPC_CODE_OK);
    *got = s.messages;
    snprintf(text, 256, "%s", s.text);
    rpc_call_unref(c);
}

static void test_slow_reader_costs_a_bounded_queue(void **state)
{
    static const struct {
        const char *path;
        uint32_t worth;
        bool refuses;
    } cases[] = {
        {"/test.Echo/Source", 0, true},
        {"/test.Echo/Source", 1, false},
        {"/test.Echo/SourceOldest", 0, false},
        {"/test.Echo/SourceOldest", 1, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        unsigned got, refused = 0, dropped = 0;
        char text[256];

        source(cases[i].path, cases[i].worth, &got, text);
        assert_int_equal(sscanf(text, "refused=%u dropped=%u", &refused, &dropped), 2);
        assert_int_equal(got + refused + dropped, 1000);
        assert_true(got >= 10 && got < 500);
        assert_true(cases[i].refuses ? refused > 0 && !dropped : dropped > 0 && !refused);
    }
}

static void test_client_cancels(void **state)
{
    struct rpc_server_stats before, after;
    struct seen s;
    struct rpc_call *c;

    rpc_server_get_stats(server, &before);
    c = open_on(client, &s, "/test.Echo/Hold", (struct rpc_queue_limits){0});
    send_number(c, 1, 10);
    usleep(50000);
    rpc_call_abort(c, RPC_CODE_CANCELLED, "enough");
    assert_true(wait_for(&s, &s.closed, 1, 20));
    assert_int_equal(s.st.code, RPC_CODE_CANCELLED);
    rpc_call_unref(c);
    for (int i = 0; i < 200; i++) {
        rpc_server_get_stats(server, &after);
        if (after.cancelled > before.cancelled)
            break;
        usleep(10000);
    }
    assert_int_equal(after.cancelled, before.cancelled + 1);
}

static void test_stream_runs_out_of_time(void **state)
{
    struct rpc_call_options opt = {.timeout_ms = 100, .wait_for_ready = true};
    struct seen s;
    struct rpc_call *c;

    seen_init(&s);
    assert_int_equal(rpc_client_open(client, "/test.Echo/Hold", &handlers, &s, &opt, &c), 0);
    assert_true(wait_for(&s, &s.closed, 1, 20));
    assert_int_equal(s.st.code, RPC_CODE_DEADLINE_EXCEEDED);
    rpc_call_unref(c);
}

static void test_header_arrives(void **state)
{
    char token[6000] = {0};
    struct rpc_header h = {"authorization", slice_of(token, sizeof(token))};
    struct rpc_call_options opt = {.headers = &h, .header_count = 1, .timeout_ms = 10000, .wait_for_ready = true};
    struct rpc_msg *m = rpc_msg_copy(SLICE_LIT("x"));
    struct seen s;

    memset(token, 'a', sizeof(token));
    memcpy(token, "Bearer ", 7);
    seen_init(&s);
    assert_int_equal(rpc_client_unary(client, "/test.Echo/Header", m, &opt, got_reply, &s), 0);
    assert_true(wait_for(&s, &s.closed, 1, 20));
    assert_true(slice_is_equal(rpc_msg_slice(s.reply), slice_of(token, sizeof(token))));
    rpc_msg_unref(s.reply);
    h.key = "Not Legal";
    assert_int_equal(rpc_client_unary(client, "/test.Echo/Header", m, &opt, got_reply, &s), -RPC_EARG);
    rpc_msg_unref(m);
}

static void test_calls_are_bounded(void **state)
{
    struct rpc_call *c[64];
    struct seen s[64], more;

    for (int i = 0; i < 64; i++) {
        c[i] = open_on(client, &s[i], "/test.Echo/Bidi", (struct rpc_queue_limits){0});
        send_number(c[i], 1, 4);
        assert_true(wait_for(&s[i], &s[i].messages, 1, 20));
    }
    ask_bytes(&more, "/test.Echo/Unary", "x", 1, 0);
    assert_int_equal(more.st.code, RPC_CODE_RESOURCE_EXHAUSTED);
    for (int i = 0; i < 64; i++) {
        rpc_call_half_close(c[i]);
        assert_true(wait_for(&s[i], &s[i].closed, 1, 20));
        rpc_call_unref(c[i]);
    }
}

static void test_client_reconnects_by_itself(void **state)
{
    struct seen st, s;
    struct rpc_server *own = serve(0);
    int own_port = rpc_server_port(own);
    struct rpc_client *c;
    struct rpc_call *call;
    struct rpc_client_stats stats;

    seen_init(&st);
    c = dial(own_port, &st);
    assert_true(wait_for(&st, &st.states[RPC_READY], 1, 10));
    call = open_on(c, &s, "/test.Echo/Bidi", (struct rpc_queue_limits){0});
    send_number(call, 1, 4);
    assert_true(wait_for(&s, &s.messages, 1, 10));
    rpc_server_free(own); /* the open stream is cut */
    assert_true(wait_for(&s, &s.closed, 1, 10));
    assert_int_equal(s.st.code, RPC_CODE_UNAVAILABLE);
    rpc_call_unref(call);
    assert_true(wait_for(&st, &st.states[RPC_FAILING], 1, 10));
    own = serve(own_port);
    assert_true(wait_for(&st, &st.states[RPC_READY], 2, 10)); /* with no call made */
    call = open_on(c, &s, "/test.Echo/Bidi", (struct rpc_queue_limits){0});
    send_number(call, 1, 4);
    assert_true(wait_for(&s, &s.messages, 1, 10));
    rpc_client_get_stats(c, &stats);
    assert_int_equal(stats.connects, 2);
    assert_int_equal(stats.disconnects, 1);
    rpc_client_free(c); /* with a stream open: it ends */
    assert_int_equal(s.closed, 1);
    assert_int_equal(send_number(call, 1, 4), -RPC_ECLOSED);
    rpc_call_unref(call);
    rpc_server_free(own);
}

static void test_client_of_nothing_can_be_freed(void **state)
{
    struct seen s;
    struct rpc_client *c = dial(1, NULL); /* nobody listens on port 1 */
    struct rpc_call *call = open_on(c, &s, "/test.Echo/Bidi", (struct rpc_queue_limits){0});

    send_number(call, 1, 4);
    rpc_client_free(c);
    assert_int_equal(s.closed, 1);
    rpc_call_unref(call);
}

static void test_port_in_use_is_an_error(void **state)
{
    struct rpc_server_config cfg = {.bind = NULL};
    char bind[32];
    struct rpc_server *s;

    snprintf(bind, sizeof(bind), "127.0.0.1:%d", port);
    cfg.bind = bind;
    assert_int_equal(rpc_server_new(&s, &cfg), 0);
    assert_int_equal(rpc_server_start(s), -RPC_EBIND);
    rpc_server_free(s);
    cfg.bind = "nonsense";
    assert_int_equal(rpc_server_new(&s, &cfg), -RPC_EARG);
    cfg.bind = "127.0.0.1:0";
    assert_int_equal(rpc_server_new(&s, &cfg), 0);
    assert_int_equal(rpc_server_add(s, &echo_service, NULL), 0);
    assert_int_equal(rpc_server_add(s, &echo_service, NULL), -RPC_EARG);
    rpc_server_free(s);
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void test_server_stops_within_its_grace(void **state)
{
    struct rpc_server *own = serve(0);
    struct rpc_client *c = dial(rpc_server_port(own), NULL);
    struct seen s;
    struct rpc_call *call = open_on(c, &s, "/test.Echo/Hold", (struct rpc_queue_limits){0});
    double t0;

    send_number(call, 1, 4);
    usleep(200000);
    t0 = seconds();
    rpc_server_stop(own, 300);
    assert_true(seconds() - t0 >= 0.25 && seconds() - t0 < 5);
    assert_true(wait_for(&s, &s.closed, 1, 10));
    assert_int_equal(s.st.code, RPC_CODE_UNAVAILABLE);
    rpc_call_unref(call);
    rpc_server_stop(own, 300);
    rpc_server_free(own);
    rpc_client_free(c);
}

static void test_threads_do_not_inherit_a_pinned_cpu(void **state)
{
    cpu_set_t all, one, got;
    unsigned threads = 0;
    struct dirent *e;
    DIR *tasks;
    struct rpc_server *own;

    sched_getaffinity(0, sizeof(all), &all);
    if (CPU_COUNT(&all) < 2)
        skip();
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    sched_setaffinity(0, sizeof(one), &one);
    own = serve(0);
    sched_getaffinity(0, sizeof(got), &got);
    assert_true(CPU_EQUAL(&got, &one)); /* ours is back as it was */
    sched_setaffinity(0, sizeof(all), &all);
    tasks = opendir("/proc/self/task");
    while ((e = readdir(tasks))) {
        if (sched_getaffinity(atoi(e->d_name), sizeof(got), &got) == 0 && atoi(e->d_name) > 0) {
            assert_true(CPU_EQUAL(&got, &all));
            threads++;
        }
    }
    closedir(tasks);
    assert_true(threads > 4); /* gRPC core's own were looked at, too */
    rpc_server_free(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary_echoes),
        cmocka_unit_test(test_unary_answers_from_another_thread),
        cmocka_unit_test(test_unary_gives_status_and_message),
        cmocka_unit_test(test_unknown_method_is_unimplemented),
        cmocka_unit_test(test_unary_runs_out_of_time),
        cmocka_unit_test(test_unary_carries_16_mib),
        cmocka_unit_test(test_oversize_is_resource_exhausted),
        cmocka_unit_test(test_stream_echoes_in_order),
        cmocka_unit_test(test_bundles_keep_every_message_in_order),
        cmocka_unit_test(test_no_bundles_for_a_server_that_takes_none),
        cmocka_unit_test(test_paused_call_gets_the_rest_of_a_bundle_later),
        cmocka_unit_test(test_malformed_bundle_ends_the_call),
        cmocka_unit_test(test_gathering_thread_sends_at_its_flush),
        cmocka_unit_test(test_stream_answers_after_half_close),
        cmocka_unit_test(test_client_queue_refuses_and_drains),
        cmocka_unit_test(test_slow_reader_costs_a_bounded_queue),
        cmocka_unit_test(test_client_cancels),
        cmocka_unit_test(test_stream_runs_out_of_time),
        cmocka_unit_test(test_header_arrives),
        cmocka_unit_test(test_calls_are_bounded),
        cmocka_unit_test(test_client_reconnects_by_itself),
        cmocka_unit_test(test_client_of_nothing_can_be_freed),
        cmocka_unit_test(test_port_in_use_is_an_error),
        cmocka_unit_test(test_server_stops_within_its_grace),
        cmocka_unit_test(test_threads_do_not_inherit_a_pinned_cpu),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
