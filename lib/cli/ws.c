#include "cli/ws.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>
#include <wslay/wslay.h>

#include "base/rng.h"
#include "base/text.h"
#include "cli/http.h"
#include "cli/inbox.h"
#include "cli/link.h"

#define HEAD_MAX    (16u << 10)
#define PING_NS     (15ull * 1000000000u)
#define SILENT_NS   (45ull * 1000000000u)
#define FRAMES_MAX  ((uint64_t)CLI_MESSAGE_MAX / 3 * 4 + 65536)
#define HANDSHAKE_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

struct cli_ws {
    const struct cli_target *target;
    CURL *curl;
    curl_socket_t fd;
    wslay_event_context_ptr frames;
    struct rng rng;
    cli_ws_on_text *on_text;
    void *user;
    char head[HEAD_MAX + 1]; /* the handshake's answer, and what came behind it */
    size_t head_len, head_used;
    uint64_t heard_ns, pinged_ns;
    CURLcode broken; /* the transport's error */
    bool is_eof;
    bool has_text, has_more; /* in this turn a text came; so no more was read, though there may be some */
};

void cli_ws_accept(char out[29], const char *key)
{
    char text[64];
    uint8_t sum[SHA_DIGEST_LENGTH];
    int n = snprintf(text, sizeof(text), "%.24s" HANDSHAKE_GUID, key);

    SHA1((const uint8_t *)text, (size_t)n, sum);
    base64_encode(out, slice_of(sum, sizeof(sum)));
}

/* ---- bytes ---- */

static ssize_t read_some(struct cli_ws *w, void *out, size_t cap)
{
    size_t n = 0;
    CURLcode code = curl_easy_recv(w->curl, out, cap, &n);

    if (code == CURLE_AGAIN)
        return -1;
    if (code != CURLE_OK)
        w->broken = code;
    if (code != CURLE_OK || n == 0) {
        w->is_eof = true;
        return -1;
    }
    w->heard_ns = cli_now_ns();
    return (ssize_t)n;
}

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags, void *user)
{
    struct cli_ws *w = user;
    size_t left = w->head_len - w->head_used;
    ssize_t n;

    (void)flags;
    if (w->has_text) { /* wslay reads for as long as something comes: what has come is to be handed over first */
        w->has_more = true;
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    if (left) {
        n = (ssize_t)(left < len ? left : len);
        memcpy(buf, w->head + w->head_used, (size_t)n);
        w->head_used += (size_t)n;
        return n;
    }
    n = read_some(w, buf, len);
    if (n < 0)
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
    return n;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t len, int flags, void *user)
{
    struct cli_ws *w = user;
    size_t n = 0;
    CURLcode code = curl_easy_send(w->curl, data, len, &n);

    (void)flags;
    if (code == CURLE_OK && n)
        return (ssize_t)n;
    if (code != CURLE_OK && code != CURLE_AGAIN) {
        w->broken = code;
        w->is_eof = true;
    }
    wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
    return -1;
}

static int on_mask(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, void *user)
{
    struct cli_ws *w = user;

    (void)ctx;
    rng_fill(&w->rng, buf, len);
    return 0;
}

static void on_msg(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *m, void *user)
{
    struct cli_ws *w = user;

    (void)ctx;
    if (m->opcode != WSLAY_TEXT_FRAME && m->opcode != WSLAY_BINARY_FRAME)
        return;
    w->has_text = true;
    w->on_text(w->user, slice_of(m->msg, m->msg_length));
}

/* ---- the handshake ---- */

static int wait_for(struct cli_ws *w, short events, uint64_t end_ns)
{
    struct pollfd p = {w->fd, events, 0};
    uint64_t now = cli_now_ns();

    return now < end_ns && poll(&p, 1, (int)((end_ns - now) / 1000000) + 1) >= 0 ? 0 : -1;
}

static int send_all(struct cli_ws *w, const char *text, size_t len, uint64_t end_ns)
{
    size_t n;
    CURLcode code;

    while (len) {
        code = curl_easy_send(w->curl, text, len, &n);
        if (code == CURLE_OK) {
            text += n;
            len -= n;
        } else if (code != CURLE_AGAIN || wait_for(w, POLLOUT, end_ns)) {
            w->broken = code == CURLE_AGAIN ? CURLE_OPERATION_TIMEDOUT : code;
            return -1;
        }
    }
    return 0;
}

/* Until the empty line; what came behind it stays for wslay. */
static char *read_head(struct cli_ws *w, uint64_t end_ns)
{
    char *end;

    while (!(end = strstr(w->head, "\r\n\r\n"))) {
        ssize_t n = w->head_len < HEAD_MAX ? read_some(w, w->head + w->head_len, HEAD_MAX - w->head_len) : -1;

        if (n > 0) {
            w->head_len += (size_t)n;
            w->head[w->head_len] = 0;
        } else if (w->is_eof || w->head_len >= HEAD_MAX || wait_for(w, POLLIN, end_ns)) {
            if (w->broken == CURLE_OK)
                w->broken = w->is_eof ? CURLE_GOT_NOTHING : w->head_len >= HEAD_MAX ? CURLE_RECV_ERROR : CURLE_OPERATION_TIMEDOUT;
            return NULL;
        }
    }
    return end + 4;
}

static bool has_header(const char *head, const char *name, const char *value)
{
    size_t n = strlen(name);

    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, n) == 0 && line[2 + n] == ':') {
            const char *v = line + 3 + n + strspn(line + 3 + n, " \t");

            return strncmp(v, value, strlen(value)) == 0;
        }
    return false;
}

static int refused(struct cli_ws *w, const char *body, long status, struct cli_fault *f)
{
    struct cli_http_answer a = {.status = status, .body = (char *)(uintptr_t)body, .len = strlen(body)};
    int rc = cli_http_refused(f, &a);

    if (rc == -CLI_EDENIED)
        cli_hint_token(f, w->target);
    return rc;
}

static int handshake(struct cli_ws *w, const char *path, struct cli_fault *f)
{
    char request[12288], key[25], accept[29], host[CLI_URL_TEXT], url[CLI_URL_TEXT], *body;
    const char *token = w->target->token;
    uint64_t end = cli_now_ns() + w->target->connect_ns;
    uint8_t nonce[16];
    int n;

    rng_fill(&w->rng, nonce, sizeof(nonce));
    base64_encode(key, slice_of(nonce, sizeof(nonce)));
    cli_ws_accept(accept, key);
    n = snprintf(request, sizeof(request),
                 "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                 "Sec-WebSocket-Version: 13\r\nUser-Agent: codecast/" CODECAST_VERSION "\r\n%s%s%s\r\n",
                 path, cli_host_port(host, &w->target->main), key, token ? "Authorization: Bearer " : "", token ? token : "",
                 token ? "\r\n" : "");
    if (n < 0 || (size_t)n >= sizeof(request))
        return cli_fail(f, CLI_EUSAGE, "the token is too long");
    if (send_all(w, request, (size_t)n, end) || !(body = read_head(w, end)))
        return cli_http_unreached(f, w->target, cli_http_url(url, &w->target->main), w->broken);
    if (strncmp(w->head, "HTTP/1.1 101", 12) != 0)
        return refused(w, body, strncmp(w->head, "HTTP/1.", 7) == 0 ? atol(w->head + 9) : 0, f);
    if (!has_header(w->head, "sec-websocket-accept", accept))
        return cli_fail(f, CLI_EFAILED, "%s answers, but not as a WebSocket server", cli_http_url(url, &w->target->main));
    w->head_used = (size_t)(body - w->head);
    return 0;
}

static int connect_curl(struct cli_ws *w, struct cli_fault *f)
{
    char url[CLI_URL_TEXT];
    struct curl_slist *list = NULL;
    CURLcode code;

    cli_http_url(url, &w->target->main);
    cli_curl_setup(w->curl, w->target, &w->target->main, &list);
    cli_curl_heed_signals(w->curl);
    curl_easy_setopt(w->curl, CURLOPT_URL, url);
    curl_easy_setopt(w->curl, CURLOPT_CONNECT_ONLY, 1L);
    code = curl_easy_perform(w->curl);
    curl_easy_setopt(w->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(list);
    if (code == CURLE_OK)
        code = curl_easy_getinfo(w->curl, CURLINFO_ACTIVESOCKET, &w->fd);
    return code == CURLE_OK ? 0 : cli_http_unreached(f, w->target, url, code);
}

int cli_ws_open(struct cli_ws **out, const struct cli_target *t, const char *path, cli_ws_on_text *on_text, void *user,
                struct cli_fault *f)
{
    static const struct wslay_event_callbacks callbacks = {.recv_callback = on_recv,
                                                           .send_callback = on_send,
                                                           .genmask_callback = on_mask,
                                                           .on_msg_recv_callback = on_msg};
    struct cli_ws *w = calloc(1, sizeof(*w));
    int rc;

    *out = NULL;
    if (!w || !(w->curl = curl_easy_init()) || wslay_event_context_client_init(&w->frames, &callbacks, w)) {
        cli_ws_free(w);
        return cli_fail(f, CLI_EFAILED, "out of memory");
    }
    w->target = t;
    w->on_text = on_text;
    w->user = user;
    rng_init_system(&w->rng);
    wslay_event_config_set_max_recv_msg_length(w->frames, FRAMES_MAX);
    rc = connect_curl(w, f);
    if (!rc)
        rc = handshake(w, path, f);
    if (rc) {
        cli_ws_free(w);
        return rc;
    }
    w->heard_ns = w->pinged_ns = cli_now_ns();
    *out = w;
    return 0;
}

void cli_ws_free(struct cli_ws *w)
{
    if (!w)
        return;
    if (w->frames)
        wslay_event_context_free(w->frames);
    curl_easy_cleanup(w->curl);
    free(w);
}

/* ---- turns ---- */

int cli_ws_send(struct cli_ws *w, struct slice text, struct cli_fault *f)
{
    struct wslay_event_msg m = {.opcode = WSLAY_TEXT_FRAME, .msg = text.p, .msg_length = text.len};

    return wslay_event_queue_msg(w->frames, &m) ? cli_fail(f, CLI_EREACH, "the connection is closing") : 0;
}

static void ping(struct cli_ws *w, uint64_t now)
{
    struct wslay_event_msg m = {.opcode = WSLAY_PING};

    if (now - w->pinged_ns < PING_NS)
        return;
    w->pinged_ns = now;
    wslay_event_queue_msg(w->frames, &m);
}

static int over(struct cli_ws *w, struct cli_fault *f)
{
    uint16_t code = wslay_event_get_status_code_received(w->frames);

    if (code && code != WSLAY_CODE_ABNORMAL_CLOSURE && code != WSLAY_CODE_NO_STATUS_RCVD)
        return cli_fail(f, CLI_EREACH, "the gateway closed the connection (%u%s)", code,
                        code == 1001   ? ", it stops"
                        : code == 1008 ? ", not allowed"
                        : code == 1009 ? ", a frame was too large"
                        : code == 1013 ? ", try again later"
                                       : "");
    if (w->broken != CURLE_OK)
        return cli_fail(f, CLI_EREACH, "the connection broke: %s", curl_easy_strerror(w->broken));
    return cli_fail(f, CLI_EREACH, "the gateway closed the connection");
}

int cli_ws_turn(struct cli_ws *w, int wake_fd, int timeout_ms, struct cli_fault *f)
{
    bool has_left = w->head_used < w->head_len || w->has_more;
    struct pollfd p[2] = {{w->fd, POLLIN, 0}, {wake_fd, POLLIN, 0}};
    uint64_t now;

    if (wslay_event_want_write(w->frames))
        p[0].events |= POLLOUT;
    if (!has_left)
        poll(p, wake_fd >= 0 ? 2 : 1, timeout_ms < 0 || timeout_ms > 1000 ? 1000 : timeout_ms);
    w->has_text = w->has_more = false;
    if (wslay_event_recv(w->frames) < 0 || wslay_event_send(w->frames) < 0)
        return over(w, f);
    if (w->is_eof || wslay_event_get_close_received(w->frames))
        return over(w, f);
    now = cli_now_ns();
    ping(w, now);
    if (now - w->heard_ns > SILENT_NS)
        return cli_fail(f, CLI_EREACH, "the gateway has been silent for 45 s");
    return 0;
}

void cli_ws_close(struct cli_ws *w)
{
    wslay_event_queue_close(w->frames, WSLAY_CODE_NORMAL_CLOSURE, NULL, 0);
    wslay_event_send(w->frames);
}
