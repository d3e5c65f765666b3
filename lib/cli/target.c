#include "cli/target.h"

#include <stdlib.h>
#include <string.h>

struct scheme {
    const char *name;
    enum cli_kind kind;
    bool is_tls;
};

static const struct scheme schemes[] = {
    {"http", CLI_GATEWAY_HTTP, false}, {"https", CLI_GATEWAY_HTTP, true},   {"ws", CLI_GATEWAY_HTTP, false},
    {"wss", CLI_GATEWAY_HTTP, true},   {"grpc", CLI_GATEWAY_GRPC, false},   {"grpcs", CLI_GATEWAY_GRPC, true},
    {"sidecar", CLI_SIDECAR, false},   {"sidecars", CLI_SIDECAR, true},
};

static uint16_t default_port(enum cli_kind k, bool is_tls)
{
    if (k == CLI_GATEWAY_HTTP)
        return is_tls ? 443 : CLI_PORT_HTTP;
    return k == CLI_GATEWAY_GRPC ? CLI_PORT_GRPC : CLI_PORT_SIDECAR;
}

static bool read_port(const char *text, uint16_t *port)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end || v < 1 || v > 65535)
        return false;
    *port = (uint16_t)v;
    return true;
}

/* host, host:port, :port, port, [v6], [v6]:port. */
static bool read_endpoint(struct cli_endpoint *e, const char *text, size_t len, uint16_t port)
{
    char s[300], *host = s, *colon;

    if (!len || len >= sizeof(s))
        return false;
    memcpy(s, text, len);
    s[len] = 0;
    e->port = port;
    if (s[0] == '[') {
        char *close = strchr(s, ']');

        if (!close || (close[1] && (close[1] != ':' || !read_port(close + 2, &e->port))))
            return false;
        *close = 0;
        host = s + 1;
    } else if (read_port(s, &e->port)) {
        host = strcpy(s, "127.0.0.1");
    } else if ((colon = strchr(s, ':')) != NULL && !strchr(colon + 1, ':')) {
        if (!read_port(colon + 1, &e->port))
            return false;
        *colon = 0;
    }
    if (!*host)
        host = strcpy(s, "127.0.0.1");
    if (strlen(host) >= sizeof(e->host) || strpbrk(host, "/?#@% \t\r\n\"'"))
        return false;
    strcpy(e->host, host);
    return true;
}

static int malformed(struct cli_fault *f, const char *text)
{
    int rc = cli_fail(f, CLI_EUSAGE, "'%s' is no address", text);

    cli_hint(f, "write HOST:PORT, http(s)://HOST:PORT, grpc(s)://HOST:PORT or sidecar://HOST:PORT");
    return rc;
}

/* What stands before "://" (NULL: nothing), and the rest without a last slash. */
static const char *split(const char *text, size_t *scheme_len, size_t *rest_len)
{
    const char *mark = strstr(text, "://"), *rest = mark ? mark + 3 : text;

    *scheme_len = mark ? (size_t)(mark - text) : 0;
    *rest_len = strlen(rest);
    if (*rest_len && rest[*rest_len - 1] == '/')
        --*rest_len;
    return rest;
}

int cli_target_parse(struct cli_target *t, const char *text, enum cli_kind kind, struct cli_fault *f)
{
    size_t scheme_len, rest_len;
    const char *rest = split(text, &scheme_len, &rest_len);
    const struct scheme *s = NULL;
    bool is_tls = false;

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]) && scheme_len; i++)
        if (strlen(schemes[i].name) == scheme_len && strncasecmp(schemes[i].name, text, scheme_len) == 0)
            s = &schemes[i];
    if (scheme_len && !s)
        return malformed(f, text);
    if (s && kind == CLI_SIDECAR)
        is_tls = s->is_tls; /* http://, https:// of a sidecar say no more than whether it has TLS */
    else if (s) {
        kind = s->kind;
        is_tls = s->is_tls;
    }
    if (!read_endpoint(&t->main, rest, rest_len, default_port(kind, is_tls)))
        return malformed(f, text);
    t->kind = kind;
    t->main.is_tls = is_tls;
    t->http = t->main;
    if (kind == CLI_GATEWAY_GRPC)
        t->http.port = is_tls ? 443 : CLI_PORT_HTTP;
    else if (kind == CLI_SIDECAR)
        t->http.port = CLI_PORT_NODE_API;
    return 0;
}

static int parse_api(struct cli_target *t, const char *text, struct cli_fault *f)
{
    size_t scheme_len, rest_len;
    const char *rest = split(text, &scheme_len, &rest_len);
    bool is_tls = scheme_len == 5 && strncasecmp(text, "https", 5) == 0;

    if (scheme_len && !is_tls && !(scheme_len == 4 && strncasecmp(text, "http", 4) == 0))
        return malformed(f, text);
    if (!read_endpoint(&t->http, rest, rest_len, t->kind == CLI_SIDECAR ? CLI_PORT_NODE_API : CLI_PORT_HTTP))
        return malformed(f, text);
    t->http.is_tls = is_tls;
    return 0;
}

static const char *or_env(const char *word, const char *(*get)(const char *), const char *name)
{
    const char *v = word ? word : get(name);

    return v && *v ? v : NULL;
}

int cli_target_choose(struct cli_target *t, const struct cli_target_words *o, const char *(*get)(const char *name),
                      struct cli_fault *f)
{
    const char *gateway = o->gateway, *sidecar = o->sidecar, *api = o->api;
    char host[300];
    int rc;

    if (gateway && sidecar)
        return cli_fail(f, CLI_EUSAGE, "--gateway and --sidecar: one of them, not both");
    if (!gateway && !sidecar && !api) {
        gateway = or_env(NULL, get, "CODECAST_GATEWAY");
        sidecar = gateway ? NULL : or_env(NULL, get, "CODECAST_SIDECAR");
    }
    if (!api && !o->gateway && !o->sidecar)
        api = or_env(NULL, get, "CODECAST_API");
    if (sidecar || (api && !gateway)) {
        snprintf(host, sizeof(host), "%s", sidecar ? sidecar : "127.0.0.1");
        rc = cli_target_parse(t, host, CLI_SIDECAR, f);
        if (!rc && api)
            rc = parse_api(t, api, f);
        if (!rc && !sidecar) { /* the API alone: the sidecar is on the same host */
            memcpy(t->main.host, t->http.host, sizeof(t->main.host));
        }
    } else {
        rc = cli_target_parse(t, gateway ? gateway : "http://127.0.0.1", CLI_GATEWAY_HTTP, f);
        if (!rc && api)
            rc = parse_api(t, api, f);
    }
    t->token = or_env(o->token, get, "CODECAST_TOKEN");
    t->ca = or_env(o->ca, get, "CODECAST_CA");
    return rc;
}

static void put_host_port(char *out, size_t cap, const struct cli_endpoint *e)
{
    snprintf(out, cap, strchr(e->host, ':') ? "[%s]:%u" : "%s:%u", e->host, e->port);
}

char *cli_host_port(char out[CLI_URL_TEXT], const struct cli_endpoint *e)
{
    put_host_port(out, CLI_URL_TEXT, e);
    return out;
}

char *cli_http_url(char out[CLI_URL_TEXT], const struct cli_endpoint *e)
{
    int n = snprintf(out, CLI_URL_TEXT, "http%s://", e->is_tls ? "s" : "");

    put_host_port(out + n, CLI_URL_TEXT - (size_t)n, e);
    return out;
}

char *cli_target_text(char out[CLI_URL_TEXT], const struct cli_target *t)
{
    static const char *const names[] = {"http", "grpc", "sidecar"};
    int n = snprintf(out, CLI_URL_TEXT, "%s%s://", names[t->kind], t->main.is_tls ? "s" : "");

    put_host_port(out + n, CLI_URL_TEXT - (size_t)n, &t->main);
    return out;
}

const char *cli_kind_name(enum cli_kind k)
{
    return k == CLI_SIDECAR ? "sidecar" : "gateway";
}
