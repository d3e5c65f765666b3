#include "sim/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void spread(FILE *f, const char *name, const struct sim_spread *s)
{
    fprintf(f, "  \"%s\": {\"min\": %.3f, \"mean\": %.3f, \"p50\": %.3f, \"p90\": %.3f, \"p95\": %.3f, \"p99\": %.3f, \"max\": %.3f},\n",
            name, s->min, s->mean, s->p50, s->p90, s->p95, s->p99, s->max);
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static void counters(FILE *f, const struct pubsub_counters *c)
{
    const struct {
        const char *name;
        uint64_t v;
    } rows[] = {
        {"delivered", c->delivered}, {"duplicates", c->duplicates}, {"rejected", c->rejected},
        {"rpc_out", c->rpc_out}, {"rpc_dropped", c->rpc_dropped},
        {"ihave_out", c->ihave_out}, {"iwant_out", c->iwant_out}, {"idontwant_out", c->idontwant_out},
        {"shards_in", c->shards_in}, {"shards_out", c->shards_out}, {"shards_new", c->shards_new},
        {"shards_duplicate", c->shards_duplicate}, {"shards_unhelpful", c->shards_unhelpful},
        {"shards_unnecessary", c->shards_unnecessary}, {"shards_forged", c->shards_forged},
        {"shards_refused", c->shards_refused}, {"decoded", c->decoded}, {"decode_failed", c->decode_failed},
        {"repairs_asked", c->repairs_asked}, {"repairs_served", c->repairs_served},
        {"shards_aside", c->shards_aside}, {"doubt_tries", c->doubt_tries}, {"doubt_solved", c->doubt_solved},
        {"gossip_out_bytes", c->gossip_out_bytes}, {"gossip_deferred", c->gossip_deferred},
        {"generations_expired", c->generations_expired}, {"promises_broken", c->promises_broken},
        {"graylisted", c->graylisted}, {"slow_drops", c->slow_drops}, {"no_memory", c->no_memory},
    };

    fprintf(f, "  \"counters\": {");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        fprintf(f, "%s\"%s\": %" PRIu64, i ? ", " : "", rows[i].name, rows[i].v);
    fprintf(f, "}\n");
}

static double useless_shards(const struct pubsub_counters *c)
{
    return (double)(c->shards_duplicate + c->shards_unhelpful + c->shards_unnecessary);
}

void sim_report_json(FILE *f, const struct sim_scenario *sc, const struct sim_result *r, const struct sim_stats *st)
{
    fprintf(f, "{\n  \"scenario\": {");
    sim_scenario_json(sc, f);
    fprintf(f, "\n  },\n");
    fprintf(f, "  \"wanted\": %" PRIu64 ", \"delivered\": %" PRIu64 ", \"delivered_share\": %.6f, \"wrong\": %" PRIu64 ",\n", st->wanted,
            st->delivered, ratio((double)st->delivered, (double)st->wanted), r->wrong);
    spread(f, "latency_ms", &st->latency_ms);
    spread(f, "time_to_all_ms", &st->last_ms);
    spread(f, "time_to_99_ms", &st->p99_ms);
    fprintf(f, "  \"messages_below_99\": %u,\n", st->never99);
    spread(f, "node_out_bytes", &st->out_bytes);
    spread(f, "node_in_bytes", &st->in_bytes);
    fprintf(f, "  \"sent_bytes\": %.0f, \"ideal_bytes\": %.0f, \"sent_over_ideal\": %.4f,\n", st->sent_bytes, st->ideal_bytes,
            ratio(st->sent_bytes, st->ideal_bytes));
    fprintf(f, "  \"useless_shards_share\": %.4f, \"duplicates_per_delivery\": %.4f,\n",
            ratio(useless_shards(&r->sum), (double)r->sum.shards_in), ratio((double)r->sum.duplicates, (double)st->delivered));
    fprintf(f, "  \"adversaries\": %" PRIu64 ", \"adversaries_cut\": %" PRIu64 ", \"lie_links\": %" PRIu64 ", \"lie_links_cut\": %" PRIu64 ", \"cut_after_messages\": %" PRIu64
               ", \"honest_cut\": %" PRIu64 ",\n",
            r->liars, r->liars_cut, r->lie_links, r->lie_links_cut, r->cut_after_messages, r->honest_cut);
    fprintf(f, "  \"virtual_s\": %.3f, \"events\": %" PRIu64 ", \"lost_frames\": %" PRIu64 ",\n",
            (double)(r->end_ns - r->first_ns) / 1e9, r->events, r->lost_frames);
    counters(f, &r->sum);
    fprintf(f, "}\n");
}

static int by_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

void sim_report_messages(FILE *f, const struct sim_result *r)
{
    uint32_t nodes = r->cfg->nodes, *v = malloc(nodes * sizeof(*v));


    fprintf(f, "message,publisher,at_ms,wanted,delivered,p50_ms,p95_ms,p99_ms,last_ms\n");
    for (uint32_t m = 0; v && m < r->cfg->messages; m++) {
        const struct sim_message *msg = &r->messages[m];
        uint32_t n = 0;

        for (uint32_t i = 0; i < nodes; i++) {
            uint32_t us = r->latency_us[(size_t)m * nodes + i];
            if (us < SIM_NOT_COUNTED && r->nodes[i].is_honest && i != msg->publisher)
                v[n++] = us;
        }
        qsort(v, n, sizeof(*v), by_u32);
        fprintf(f, "%u,%u,%.3f,%u,%u", m, msg->publisher, (double)(msg->at_ns - r->first_ns) / 1e6, msg->wanted, msg->delivered);
        if (n)
            fprintf(f, ",%.3f,%.3f,%.3f,%.3f\n", v[n / 2] / 1e3, v[n - 1 - n / 20] / 1e3, v[n - 1 - n / 100] / 1e3, v[n - 1] / 1e3);
        else
            fprintf(f, ",,,,\n");
    }
    free(v);
}

void sim_report_nodes(FILE *f, const struct sim_result *r)
{
    fprintf(f, "node,honest,links,mesh,out_bytes,in_bytes,out_frames,in_frames\n");
    for (uint32_t i = 0; i < r->cfg->nodes; i++) {
        const struct sim_node_result *n = &r->nodes[i];
        fprintf(f, "%u,%d,%u,%u,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n", i, n->is_honest, n->links, n->mesh, n->out_bytes,
                n->in_bytes, n->out_frames, n->in_frames);
    }
}

void sim_report_cdf(FILE *f, const struct sim_stats *st)
{
    uint64_t n = st->delivered, points = n < 1000 ? n : 1000;

    fprintf(f, "share,ms\n");
    for (uint64_t i = 1; i <= points; i++) {
        uint64_t at = i * n / points - 1;
        /* Of all that wanted it: what never came keeps the curve below 1. */
        fprintf(f, "%.6f,%.3f\n", ratio((double)(at + 1), (double)st->wanted), st->sorted_us[at] / 1e3);
    }
}

void sim_report_text(FILE *f, const struct sim_result *r, const struct sim_stats *st)
{
    fprintf(f, "delivered %" PRIu64 " of %" PRIu64 " (%.3f %%)%s\n", st->delivered, st->wanted,
            100 * ratio((double)st->delivered, (double)st->wanted), r->wrong ? "  WRONG PAYLOADS OR TWICE" : "");
    fprintf(f, "latency   p50 %.1f  p95 %.1f  p99 %.1f  max %.1f ms\n", st->latency_ms.p50, st->latency_ms.p95,
            st->latency_ms.p99, st->latency_ms.max);
    fprintf(f, "to 99 %%   p50 %.1f  max %.1f ms    to all  p50 %.1f  max %.1f ms\n", st->p99_ms.p50, st->p99_ms.max,
            st->last_ms.p50, st->last_ms.max);
    fprintf(f, "bytes     %.3f of ideal; a node sent %.2f MB (p95 %.2f, max %.2f)\n", ratio(st->sent_bytes, st->ideal_bytes),
            st->out_bytes.mean / 1e6, st->out_bytes.p95 / 1e6, st->out_bytes.max / 1e6);
    if (r->sum.shards_in)
        fprintf(f, "shards    %" PRIu64 " in, useless %.1f %% (duplicate %.1f, dependent %.1f, late %.1f), asked %" PRIu64 "\n",
                r->sum.shards_in, 100 * ratio(useless_shards(&r->sum), (double)r->sum.shards_in),
                100 * ratio((double)r->sum.shards_duplicate, (double)r->sum.shards_in),
                100 * ratio((double)r->sum.shards_unhelpful, (double)r->sum.shards_in),
                100 * ratio((double)r->sum.shards_unnecessary, (double)r->sum.shards_in), r->sum.repairs_asked);
    else
        fprintf(f, "copies    %.2f duplicates for each delivery\n", ratio((double)r->sum.duplicates, (double)st->delivered));
    if (r->liars)
        fprintf(f, "liars     %" PRIu64 ", cut off: %" PRIu64 ", on %" PRIu64 " of %" PRIu64 " links they lied on, the last of them first after %" PRIu64
                   " messages; honest ones cut: %" PRIu64 "\n",
                r->liars, r->liars_cut, r->lie_links_cut, r->lie_links, r->cut_after_messages, r->honest_cut);
}
