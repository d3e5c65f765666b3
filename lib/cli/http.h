/* http.h: questions to a gateway or a node's API, answered as JSON or text
 * Shape:   path -> status and body, over one connection that is kept
 * Owner:   one thread; it blocks, the answer's time is bounded
 * Errors:  -CLI_EREACH, -CLI_EDENIED (401, 403), -CLI_EFAILED (other statuses, no JSON), with words and a hint
 * Limits:  32 MiB a body. The environment's proxies are not used: they are for the web
 */
#ifndef CLI_HTTP_H
#define CLI_HTTP_H

#include <curl/curl.h>
#include <jansson.h>

#include "base/slice.h"
#include "cli/target.h"

struct cli_http;

struct cli_http_answer {
    long status;
    char *body; /* NUL-terminated; cli_http_answer_fini */
    size_t len, cap;
    double seconds; /* from the question to the whole answer */
};

/* e: t's main or http side. Both must outlive it. NULL: no memory. */
struct cli_http *cli_http_new(const struct cli_target *t, const struct cli_endpoint *e);
void cli_http_free(struct cli_http *h);

/* path: "/api/v1/health?x=y". 0 whatever the status: it is the answer's. */
int cli_http_get(struct cli_http *h, const char *path, struct cli_http_answer *a, struct cli_fault *f);
void cli_http_answer_fini(struct cli_http_answer *a);
/* 0: *out is an object (json_decref). A 503 with a JSON object counts as an answer: that is how health says it. */
int cli_http_json(struct cli_http *h, const char *path, json_t **out, struct cli_fault *f);

/* ---- for the room's other users of curl ---- */

/* Address, TLS, token, times. headers: *list grows by the token's. */
void cli_curl_setup(CURL *c, const struct cli_target *t, const struct cli_endpoint *e, struct curl_slist **list);
/* A transfer that blocks ends within a second of SIGINT, SIGTERM or SIGHUP, also while they are blocked (inbox.h). */
void cli_curl_heed_signals(CURL *c);
/* A body's receiver for CURLOPT_WRITEFUNCTION, with a struct cli_http_answer. */
size_t cli_http_on_body(char *p, size_t one, size_t n, void *user);
/* Says why curl failed, and what to try. */
int cli_http_unreached(struct cli_fault *f, const struct cli_target *t, const char *url, CURLcode code);
/* Says what a status that is no success means; the body's "error" in words. */
int cli_http_refused(struct cli_fault *f, const struct cli_http_answer *a);
/* What to try when nobody answers at the target. */
void cli_hint_reach(struct cli_fault *f, const struct cli_target *t);
void cli_hint_tls(struct cli_fault *f);
void cli_hint_token(struct cli_fault *f, const struct cli_target *t);

#endif
