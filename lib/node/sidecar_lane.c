/* sidecar_lane.c: publishes that come by lanes (lane/lane_server.h), in the name of the stream that lanes were offered on
 * Rules:   a lane is worth what its stream is: the same token, the same limits; it ends with the stream. A stream is offered lanes when
 *          its client says that it knows them (metadata codecast-lane) and, with SIDECAR_AUTH, has shown its token with the call
 * Owner:   the lanes' thread, but for the offer: the stream's
 */
#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "base/text.h"
#include "http/http_metrics.h"
#include "node/sidecar_impl.h"

static void refused(struct sidecar *s, struct lane_answer *a, int http, const char *why)
{
    SIDECAR_COUNT(s, refused, 1);
    log_debug("\"publish by lane refused\" why=\"%s\"", why);
    a->outcome = LANE_REFUSED;
    a->http = (uint16_t)http;
    snprintf(a->text, sizeof(a->text), "%s", why);
}

/* False: *a says why. */
static bool charge(struct stream *st, size_t bytes, struct lane_answer *a)
{
    struct sidecar *s = st->sidecar;
    struct auth_grant g;
    char why[128];
    int http;

    pthread_mutex_lock(&s->lock);
    g = *st->grant;
    pthread_mutex_unlock(&s->lock);
    http = sidecar_auth_charge(s, &g, bytes, why);
    if (http) {
        refused(s, a, http, why);
        return false;
    }
    return true;
}

static bool publish(void *user, struct slice topic, struct slice payload, bool *is_charged, struct lane_answer *a)
{
    struct stream *st = user;
    char id[65];
    int err;

    if (st->sidecar->guard && !*is_charged) {
        if (sidecar_auth_is_over(st)) /* the stream ends, and this lane with it: what has no answer the gateway sends again */
            return false;
        if (!charge(st, payload.len, a))
            return true;
        *is_charged = true;
    }
    err = sidecar_hand_on(st->sidecar, topic, payload, NULL, NULL, id);
    if (err == -HUB_EFULL) /* it comes again, charged as it is */
        return false;
    if (err == 0)
        a->outcome = LANE_PUBLISHED;
    else if (err == -HUB_EDUP)
        a->outcome = LANE_DEDUPLICATED;
    else
        refused(st->sidecar, a, sidecar_refusal_http(err), hub_err_text(err));
    return true;
}

int sidecar_lane_start(struct sidecar *s, const struct node_config *cfg, const cpu_set_t *cpus, char err[256])
{
    struct lane_server_config lc = {.bind = cfg->sidecar_bind,
                                    .port = (uint16_t)cfg->sidecar_lane_port,
                                    .cpus = cpus,
                                    .max_payload = hub_max_message_bytes(s->hub),
                                    .publish = publish};

    if (!cfg->has_sidecar_lane)
        return 0;
    s->lanes = lane_server_new(&lc);
    if (!s->lanes)
        snprintf(err, 256, "SIDECAR_LANE_PORT=%u: cannot listen on %s: %s", cfg->sidecar_lane_port, cfg->sidecar_bind, strerror(errno));
    return s->lanes ? 0 : -1;
}

void sidecar_lane_offer(struct stream *st)
{
    struct sidecar *s = st->sidecar;
    uint8_t secret[LANE_SECRET_BYTES];
    char hex[2 * LANE_SECRET_BYTES + 1];
    struct rpc_msg *m;

    if (!s->lanes || (s->guard && !st->grant) || !st->reads_answers ||
        !slice_is_equal(rpc_call_metadata(st->call, "codecast-lane"), SLICE_LIT("1")))
        return;
    st->lane.session = lane_session_new(s->lanes, st, secret);
    if (!st->lane.session)
        return;
    hex_encode(hex, slice_of(secret, sizeof(secret)));
    m = sidecar_offer(lane_server_port(s->lanes), hex);
    explicit_bzero(secret, sizeof(secret));
    explicit_bzero(hex, sizeof(hex));
    if (m)
        rpc_call_send(st->call, m, RPC_MUST);
    rpc_msg_unref(m);
}

void sidecar_lane_metrics(struct sidecar *s, struct metrics *m)
{
    struct lane_server_stats st;

    if (!s->lanes)
        return;
    lane_server_get_stats(s->lanes, &st);
    metrics_gauge(m, "codecast_sidecar_lanes", "Open lanes: connections of gateways that publish beside their gRPC stream", st.conns);
    metrics_counter(m, "codecast_sidecar_lane_publishes_total", "Publishes that came by lanes", st.publishes);
    metrics_counter(m, "codecast_sidecar_lane_reads_total", "Reads that they came with", st.reads);
    metrics_counter(m, "codecast_sidecar_lane_waits_total", "Publishes by lanes that waited for the data path", st.waits);
    metrics_counter(m, "codecast_sidecar_lane_accepted_total", "Connections to the lanes' port, whoever they were", st.accepted);
    metrics_counter(m, "codecast_sidecar_lane_refused_total", "Connections to the lanes' port that were not let in", st.refused);
    metrics_counter(m, "codecast_sidecar_lane_broken_total", "Connections to the lanes' port that sent something else", st.broken);
}
