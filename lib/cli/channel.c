#include "cli/channel.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/http.h"
#include "cli/link.h"

#define SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"
#define CA_MAX   (16u << 20)

/* The file whole, NUL-terminated; NULL: errno says why. */
static char *read_text(const char *path)
{
    FILE *f = fopen(path, "rbe");
    char *text = f ? calloc(1, CA_MAX) : NULL;

    if (text && fread(text, 1, CA_MAX - 1, f) == 0) {
        free(text);
        text = NULL;
        errno = ENODATA;
    }
    if (f)
        fclose(f);
    return text;
}

static int read_roots(const struct cli_target *t, char **roots, struct cli_fault *f)
{
    const char *path = t->ca ? t->ca : SYSTEM_CA;

    *roots = t->main.is_tls ? read_text(path) : NULL;
    if (*roots || !t->main.is_tls)
        return 0;
    return cli_fail(f, CLI_EFAILED, "%s: %s", path, strerror(errno));
}

int cli_channel_init(struct cli_channel *c, const struct cli_target *t, struct cli_fault *f)
{
    char target[CLI_URL_TEXT];
    struct rpc_client_config cfg = {.target = cli_host_port(target, &t->main),
                                    .max_recv_bytes = CLI_MESSAGE_MAX / 3 * 4 + 65536,
                                    .connect_timeout_ms = (uint32_t)(t->connect_ns / 1000000)};

    char *roots;
    int rc;

    memset(c, 0, sizeof(*c));
    c->target = t;
    if (t->token) {
        if ((size_t)snprintf(c->bearer, sizeof(c->bearer), "Bearer %s", t->token) >= sizeof(c->bearer))
            return cli_fail(f, CLI_EUSAGE, "the token is too long");
        c->headers[c->header_count++] = (struct rpc_header){"authorization", slice_str(c->bearer)};
    }
    c->loop = rpc_loop_new("codecast", NULL);
    cfg.loop = c->loop;
    rc = read_roots(t, &roots, f);
    if (rc)
        return rc;
    cfg.tls_roots = roots;
    if (!c->loop || rpc_client_new(&c->client, &cfg))
        rc = cli_fail(f, CLI_EFAILED, "out of memory");
    free(roots);
    return rc;
}

void cli_channel_fini(struct cli_channel *c)
{
    if (c->client)
        rpc_client_free(c->client);
    if (c->loop)
        rpc_loop_free(c->loop);
    c->client = NULL;
    c->loop = NULL;
}

int cli_channel_fault(const struct cli_target *t, const struct rpc_status *st, struct cli_fault *f)
{
    char url[CLI_URL_TEXT];
    const char *inner = strstr(st->message, "last error: ");
    int rc;

    cli_target_text(url, t);
    switch (st->code) {
    case RPC_CODE_OK: return 0;
    case RPC_CODE_UNAVAILABLE:
    case RPC_CODE_DEADLINE_EXCEEDED:
    case RPC_CODE_UNKNOWN:
    case RPC_CODE_CANCELLED: /* by the other side, when it stops: what we cancel is not told */
        rc = cli_fail(f, CLI_EREACH, "cannot reach %s: %s", url,
                      strstr(st->message, "Connection refused")   ? "nobody listens there, or the way is blocked"
                      : strstr(st->message, "DNS resolution")     ? "the name does not resolve"
                      : st->code == RPC_CODE_DEADLINE_EXCEEDED    ? "no answer in time"
                      : st->code == RPC_CODE_CANCELLED            ? "it ended before it answered"
                      : strstr(st->message, "timed out")          ? "no answer in time"
                      : inner                                     ? inner + 12
                      : st->message[0]                            ? st->message
                                                                  : rpc_code_name(st->code));
        if (t->main.is_tls && (strstr(st->message, "andshak") || strstr(st->message, "ertificate") || strstr(st->message, "SSL")))
            cli_hint_tls(f);
        else
            cli_hint_reach(f, t);
        return rc;
    case RPC_CODE_UNAUTHENTICATED:
    case RPC_CODE_PERMISSION_DENIED:
        rc = cli_fail(f, CLI_EDENIED, "refused: %s", st->message);
        cli_hint_token(f, t);
        return rc;
    case RPC_CODE_UNIMPLEMENTED:
        rc = cli_fail(f, CLI_EFAILED, "%s does not know this call", url);
        cli_hint(f, "is it a %s? %s", cli_kind_name(t->kind),
                 t->kind == CLI_SIDECAR ? "grpc://HOST:PORT is for gateways" : "sidecar://HOST:PORT is for nodes");
        return rc;
    default:
        return cli_fail(f, CLI_EFAILED, "refused (%s): %s", rpc_code_name(st->code),
                        st->message[0] ? st->message : "no reason given");
    }
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool is_done;
    int code;
    char text[512];
    struct rpc_msg *reply;
};

static void on_reply(const struct rpc_status *st, struct rpc_msg *reply, void *user)
{
    struct waiter *w = user;

    pthread_mutex_lock(&w->lock);
    w->code = st->code;
    snprintf(w->text, sizeof(w->text), "%s", st->message);
    w->reply = reply ? rpc_msg_ref(reply) : NULL;
    w->is_done = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

/* False: a signal that ends the program is pending, and there is no answer yet. */
static bool wait_for(struct waiter *w)
{
    struct timespec until;
    bool is_done = false;

    while (!is_done && !cli_signal_is_pending()) {
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 100000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_mutex_lock(&w->lock);
        if (!w->is_done)
            pthread_cond_timedwait(&w->cond, &w->lock, &until);
        is_done = w->is_done;
        pthread_mutex_unlock(&w->lock);
    }
    return is_done;
}

int cli_channel_call(struct cli_channel *c, const char *path, struct rpc_msg *req, struct rpc_msg **reply,
                     struct cli_fault *f)
{
    struct waiter w = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    struct rpc_call_options opt = {.headers = c->headers, .header_count = c->header_count, .timeout_ms = (uint32_t)(c->target->connect_ns / 1000000)};
    struct rpc_status st;
    int rc = req ? rpc_client_unary(c->client, path, req, &opt, on_reply, &w) : -RPC_ENOMEM;

    rpc_msg_unref(req);
    if (rc)
        return cli_fail(f, CLI_EFAILED, "%s: %s", path, rc == -RPC_EARG ? "the token holds characters that cannot be sent" : rpc_err_name(rc));
    if (!wait_for(&w)) { /* Ctrl-C: this ends the call, too, and with it the wait */
        rpc_client_free(c->client);
        c->client = NULL;
    }
    st = (struct rpc_status){w.code, w.text};
    rc = cli_channel_fault(c->target, &st, f);
    if (reply && !rc)
        *reply = w.reply;
    else
        rpc_msg_unref(w.reply);
    return rc;
}
