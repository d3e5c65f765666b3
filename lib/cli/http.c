#include "cli/http.h"

#include <stdlib.h>
#include <string.h>

#include "cli/inbox.h"

#define BODY_MAX  (32u << 20)
#define ANSWER_MS 15000

struct cli_http {
    const struct cli_target *target;
    CURL *curl;
    struct curl_slist *headers;
    char url[CLI_URL_TEXT];
};

void cli_curl_setup(CURL *c, const struct cli_target *t, const struct cli_endpoint *e, struct curl_slist **list)
{
    char line[8192];

    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)(t->connect_ns / 1000000));
    curl_easy_setopt(c, CURLOPT_USERAGENT, "codecast/" CODECAST_VERSION);
    if (e->is_tls && t->ca) {
        curl_easy_setopt(c, CURLOPT_CAINFO, t->ca);
        curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
    }
    if (t->token && (size_t)snprintf(line, sizeof(line), "Authorization: Bearer %s", t->token) < sizeof(line))
        *list = curl_slist_append(*list, line);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, *list);
}

static int on_progress(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)user, (void)a, (void)b, (void)c, (void)d;
    return cli_signal_is_pending();
}

void cli_curl_heed_signals(CURL *c)
{
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
}

size_t cli_http_on_body(char *p, size_t one, size_t n, void *user)
{
    struct cli_http_answer *a = user;

    (void)one;
    if (a->len + n > BODY_MAX)
        return 0;
    if (a->len + n + 1 > a->cap) {
        size_t cap = (a->len + n + 1) * 2;
        char *more = realloc(a->body, cap);

        if (!more)
            return 0;
        a->body = more;
        a->cap = cap;
    }
    memcpy(a->body + a->len, p, n);
    a->len += n;
    a->body[a->len] = 0;
    return n;
}

void cli_http_answer_fini(struct cli_http_answer *a)
{
    free(a->body);
    *a = (struct cli_http_answer){0};
}

struct cli_http *cli_http_new(const struct cli_target *t, const struct cli_endpoint *e)
{
    struct cli_http *h = calloc(1, sizeof(*h));

    if (!h || !(h->curl = curl_easy_init())) {
        free(h);
        return NULL;
    }
    h->target = t;
    cli_http_url(h->url, e);
    cli_curl_setup(h->curl, t, e, &h->headers);
    cli_curl_heed_signals(h->curl);
    curl_easy_setopt(h->curl, CURLOPT_TIMEOUT_MS, (long)ANSWER_MS);
    curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, cli_http_on_body);
    return h;
}

void cli_http_free(struct cli_http *h)
{
    if (!h)
        return;
    curl_easy_cleanup(h->curl);
    curl_slist_free_all(h->headers);
    free(h);
}

void cli_hint_reach(struct cli_fault *f, const struct cli_target *t)
{
    if (t->kind == CLI_SIDECAR)
        cli_hint(f, "is the node running there? --sidecar HOST:PORT and --api HOST:PORT (or CODECAST_SIDECAR, CODECAST_API) "
                    "name another; nc -zv HOST PORT tries the port");
    else
        cli_hint(f, "is the gateway running there? --gateway HOST:PORT (or CODECAST_GATEWAY) names another, --sidecar a "
                    "node; nc -zv HOST PORT tries the port");
}

void cli_hint_tls(struct cli_fault *f)
{
    cli_hint(f, "--ca FILE names the CA of a certificate that the system does not know; http:// and grpc:// are for servers "
                "without TLS");
}

void cli_hint_token(struct cli_fault *f, const struct cli_target *t)
{
    cli_hint(f, t->token ? "the token was refused: is it of this issuer, and not over?"
                         : "a token is needed: --token TOKEN or CODECAST_TOKEN");
}

static bool is_about_tls(CURLcode code)
{
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR || code == CURLE_SSL_CACERT_BADFILE ||
           code == CURLE_SSL_CERTPROBLEM;
}

int cli_http_unreached(struct cli_fault *f, const struct cli_target *t, const char *url, CURLcode code)
{
    int rc;
    const char *why = code == CURLE_COULDNT_CONNECT      ? "nobody listens there, or the way is blocked"
                      : code == CURLE_COULDNT_RESOLVE_HOST ? "the name does not resolve"
                      : code == CURLE_OPERATION_TIMEDOUT   ? "no answer in time"
                      : code == CURLE_ABORTED_BY_CALLBACK  ? "interrupted"
                      : code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR ? "the connection was closed without an answer"
                                                                              : curl_easy_strerror(code);

    rc = cli_fail(f, CLI_EREACH, "cannot reach %s: %s", url, why);
    if (code == CURLE_SSL_CACERT_BADFILE)
        cli_hint(f, "--ca %s: the file cannot be read or holds no certificate", t->ca ? t->ca : "FILE");
    else if (is_about_tls(code))
        cli_hint_tls(f);
    else
        cli_hint_reach(f, t);
    return rc;
}

int cli_http_refused(struct cli_fault *f, const struct cli_http_answer *a)
{
    json_t *j = a->body ? json_loadb(a->body, a->len, 0, NULL) : NULL;
    const char *why = json_string_value(json_object_get(j, "error"));
    bool is_denied = a->status == 401 || a->status == 403;
    int rc;

    rc = cli_fail(f, is_denied ? CLI_EDENIED : CLI_EFAILED, "refused (%ld): %s", a->status, why ? why : "no reason given");
    json_decref(j);
    return rc;
}

int cli_http_get(struct cli_http *h, const char *path, struct cli_http_answer *a, struct cli_fault *f)
{
    char url[CLI_URL_TEXT + 512];
    CURLcode code;

    *a = (struct cli_http_answer){0};
    if ((size_t)snprintf(url, sizeof(url), "%s%s", h->url, path) >= sizeof(url))
        return cli_fail(f, CLI_EUSAGE, "the address is too long");
    curl_easy_setopt(h->curl, CURLOPT_URL, url);
    curl_easy_setopt(h->curl, CURLOPT_WRITEDATA, a);
    code = curl_easy_perform(h->curl);
    if (code != CURLE_OK) {
        cli_http_answer_fini(a);
        return cli_http_unreached(f, h->target, h->url, code);
    }
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &a->status);
    curl_easy_getinfo(h->curl, CURLINFO_TOTAL_TIME, &a->seconds);
    return 0;
}

int cli_http_json(struct cli_http *h, const char *path, json_t **out, struct cli_fault *f)
{
    struct cli_http_answer a;
    int rc = cli_http_get(h, path, &a, f);

    *out = NULL;
    if (rc)
        return rc;
    if (a.status == 200 || a.status == 503)
        *out = json_loadb(a.body ? a.body : "", a.len, 0, NULL);
    if (!json_is_object(*out) || (a.status == 503 && json_object_get(*out, "error"))) {
        json_decref(*out);
        *out = NULL;
        rc = a.status == 200 ? cli_fail(f, CLI_EFAILED, "%s%s: the answer is no JSON object: is this a codecast program?", h->url, path)
                             : cli_http_refused(f, &a);
        if (rc == -CLI_EDENIED)
            cli_hint_token(f, h->target);
    }
    cli_http_answer_fini(&a);
    return rc;
}
