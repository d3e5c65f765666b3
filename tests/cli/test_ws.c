#include "testing.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#include "cli/ws.h"

/* A server of one connection that answers the handshake with `answer` (%s: the right accept value), then says `frames`, and `last` once a pong came. */
struct server {
    int fd;
    uint16_t port;
    const char *answer;
    const void *frames;
    size_t frames_len;
    const void *last;
    size_t last_len;
    bool has_answered_ping;
    pthread_t thread;
};

static void *serve(void *user)
{
    struct server *s = user;
    char in[4096], out[4096], accept_value[29], *key;
    int c = accept(s->fd, NULL, NULL);
    size_t n = 0;
    ssize_t got;

    do {
        got = read(c, in + n, sizeof(in) - 1 - n);
        n += got > 0 ? (size_t)got : 0;
        in[n] = 0;
    } while (got > 0 && !strstr(in, "\r\n\r\n"));
    key = strstr(in, "Sec-WebSocket-Key: ");
    cli_ws_accept(accept_value, key ? key + 19 : "");
    got = snprintf(out, sizeof(out), s->answer, accept_value);
    memcpy(out + got, s->frames, s->frames_len); /* in one piece with the head */
    if (write(c, out, (size_t)got + s->frames_len) > 0)
        while ((got = read(c, in, sizeof(in))) > 0)
            if (!s->has_answered_ping && (uint8_t)in[0] == 0x8a)
                s->has_answered_ping = write(c, s->last, s->last_len) == (ssize_t)s->last_len;
    close(c);
    return NULL;
}

static void server_start(struct server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);

    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(s->fd, 1), 0);
    getsockname(s->fd, (struct sockaddr *)&a, &len);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_end(struct server *s)
{
    pthread_join(s->thread, NULL);
    close(s->fd);
}

static struct cli_target target_of(const struct server *s)
{
    struct cli_target t = {.kind = CLI_GATEWAY_HTTP, .main = {.host = "127.0.0.1", .port = s->port}, .connect_ns = 10000000000u};

    t.http = t.main;
    return t;
}

static void on_text(void *user, struct slice text)
{
    snprintf(user, 32, "%.*s", (int)text.len, (const char *)text.p);
}

#define UPGRADE "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSEC-WEBSOCKET-ACCEPT:  %s\r\n\r\n"

static void test_accept_is_that_of_the_rfc(void **state)
{
    char out[29];

    cli_ws_accept(out, "dGhlIHNhbXBsZSBub25jZQ==");
    assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void test_frames_behind_the_handshake_are_read(void **state)
{
    static const uint8_t frames[] = {0x01, 2, 'h', 'e', 0x89, 1, 'p', 0x80, 3, 'l', 'l', 'o'};
    static const uint8_t bye[] = {0x88, 2, 0x03, 0xe9};
    struct server s = {.answer = UPGRADE, .frames = frames, .frames_len = sizeof(frames), .last = bye, .last_len = sizeof(bye)};
    struct cli_target t;
    struct cli_fault f = {0};
    struct cli_ws *w;
    char heard[32] = "";

    server_start(&s);
    t = target_of(&s);
    assert_int_equal(cli_ws_open(&w, &t, "/ws", on_text, heard, &f), 0);
    while (cli_ws_turn(w, -1, 1000, &f) == 0)
        ;
    assert_string_equal(heard, "hello");
    assert_non_null(strstr(f.what, "1001"));
    cli_ws_free(w);
    server_end(&s);
    assert_true(s.has_answered_ping);
}

static void test_refusals_are_told(void **state)
{
    static const struct {
        const char *answer, *what;
        int rc;
    } t[] = {
        {"HTTP/1.1 401 Unauthorized\r\n\r\n{\"error\":\"no token\"}%.0s", "no token", -CLI_EDENIED},
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n%.0s", "404", -CLI_EFAILED},
        {"HTTP/1.1 101 x\r\nSec-WebSocket-Accept: wrong\r\n\r\n%.0s", "not as a WebSocket server", -CLI_EFAILED},
        {"HTTP/1.1 101 x\r\nX-Sec-WebSocket-Accept: %s\r\n\r\n", "not as a WebSocket server", -CLI_EFAILED},
        {"SSH-2.0-OpenSSH\r\n\r\n%.0s", "refused", -CLI_EFAILED},
    };

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct server s = {.answer = t[i].answer, .frames = ""};
        struct cli_target target;
        struct cli_fault f = {0};
        struct cli_ws *w;

        server_start(&s);
        target = target_of(&s);
        assert_int_equal(cli_ws_open(&w, &target, "/ws", on_text, NULL, &f), t[i].rc);
        if (!strstr(f.what, t[i].what))
            fail_msg("'%s' does not say '%s'", f.what, t[i].what);
        server_end(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_accept_is_that_of_the_rfc),
                                       cmocka_unit_test(test_frames_behind_the_handshake_are_read),
                                       cmocka_unit_test(test_refusals_are_told)};

    curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
