/* target.h: whom the program talks to, from options and environment
 * Shape:   "host:port" or a URL -> struct cli_target
 * Schemes: http, https: a gateway by HTTP and WebSocket; grpc, grpcs: a gateway by gRPC; sidecar, sidecars: a node's sidecar
 *          (the ones with s by TLS). Each has an HTTP side for questions: a gateway's own, a node's API
 * Memory:  token and ca are borrowed
 * Errors:  -CLI_EUSAGE
 */
#ifndef CLI_TARGET_H
#define CLI_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/fault.h"

#define CLI_PORT_HTTP     8080
#define CLI_PORT_GRPC     50051
#define CLI_PORT_SIDECAR  33212
#define CLI_PORT_NODE_API 9090

enum cli_kind { CLI_GATEWAY_HTTP, CLI_GATEWAY_GRPC, CLI_SIDECAR };

struct cli_endpoint {
    char host[254]; /* IPv6 without brackets */
    uint16_t port;
    bool is_tls;
};

struct cli_target {
    enum cli_kind kind;
    struct cli_endpoint main; /* messages go here */
    struct cli_endpoint http; /* health, peers, metrics are asked here */
    const char *token;        /* NULL: none */
    const char *ca;           /* file of CA certificates; NULL: the system's */
    uint64_t connect_ns;
};

/* What the user said; NULL: nothing. */
struct cli_target_words {
    const char *gateway, *sidecar, *api, *token, *ca;
};

/* Options win over the environment (CODECAST_GATEWAY, _SIDECAR, _API, _TOKEN, _CA, read by get), a sidecar or an API in the
 * same place stands against a gateway; with nothing said: http://127.0.0.1:8080. */
int cli_target_choose(struct cli_target *t, const struct cli_target_words *options, const char *(*get)(const char *name),
                      struct cli_fault *f);
/* One text; kind is for those without a scheme. The HTTP side gets its default port on the same host. */
int cli_target_parse(struct cli_target *t, const char *text, enum cli_kind kind, struct cli_fault *f);

#define CLI_URL_TEXT 320
/* "http://127.0.0.1:8080", "sidecar://[::1]:33212". Returns out. */
char *cli_target_text(char out[CLI_URL_TEXT], const struct cli_target *t);
/* "http://host:port" of an HTTP side. */
char *cli_http_url(char out[CLI_URL_TEXT], const struct cli_endpoint *e);
/* "host:port", as gRPC takes it. */
char *cli_host_port(char out[CLI_URL_TEXT], const struct cli_endpoint *e);
/* "gateway" or "sidecar". */
const char *cli_kind_name(enum cli_kind k);

#endif
