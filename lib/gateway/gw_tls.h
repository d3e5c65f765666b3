/* gw_tls.h: the gateway's certificate and key, read again when their files change (inside the room only)
 * Owner:   main at the start, then the ticker; counters any thread
 * Rules:   a pair that is wrong at the start ends the program; one that is wrong later is refused and logged once, and the old one
 *          stays. Open connections keep what they began with
 * Limits:  GW_PEM_MAX bytes a file
 */
#ifndef GATEWAY_GW_TLS_H
#define GATEWAY_GW_TLS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define GW_PEM_MAX (1u << 20)

struct gateway;
struct http_tls;
struct metrics;

/* What tells one state of a file from another. */
struct gw_file_state {
    struct timespec mtime, ctime;
    uint64_t dev, inode, size;
};

struct gw_tls {
    char *cert, *key; /* PEM, NUL-terminated; NULL: no TLS */
    struct http_tls *http;
    struct gw_file_state seen[2]; /* as last tried */
    _Atomic uint64_t reloaded, refused;
    _Atomic int64_t expires_s;
};

/* Before the servers start. 0, or -1 and a sentence that names the setting. */
int gw_tls_start(struct gateway *gw, char err[256]);
/* Every TLS_TICKS of the ticker. */
void gw_tls_tick(struct gateway *gw);
void gw_tls_fini(struct gateway *gw);
void gw_tls_metrics(struct gateway *gw, struct metrics *m);

#endif
