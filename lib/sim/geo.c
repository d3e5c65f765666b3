#include "sim/geo.h"

#include <stdlib.h>

#define REGIONS 10

/* Share of the nodes in percent, and round trips in ms. Order: us-east, us-west, canada, sao paulo, london, frankfurt, mumbai,
 * singapore, tokyo, sydney. */
static const uint8_t share[REGIONS] = {22, 14, 4, 3, 12, 22, 5, 8, 6, 4};
static const uint16_t rtt_ms[REGIONS][REGIONS] = {
    {2, 64, 16, 115, 76, 92, 188, 216, 150, 200},    {64, 2, 60, 174, 138, 154, 218, 168, 100, 140},
    {16, 60, 2, 124, 80, 94, 190, 214, 146, 198},    {115, 174, 124, 2, 186, 202, 300, 324, 258, 312},
    {76, 138, 80, 186, 2, 16, 112, 168, 212, 264},   {92, 154, 94, 202, 16, 2, 120, 158, 226, 288},
    {188, 218, 190, 300, 112, 120, 2, 58, 124, 152}, {216, 168, 214, 324, 168, 158, 58, 2, 70, 94},
    {150, 100, 146, 258, 212, 226, 124, 70, 2, 104}, {200, 140, 198, 312, 264, 288, 152, 94, 104, 2},
};
#define MILE_MIN_NS (1 * SIM_MS)
#define MILE_MAX_NS (8 * SIM_MS)

/* Numbers up to the end of the line; NULL at the end of the text. */
static const char *read_row(const char *p, uint64_t *out, uint32_t cap, uint32_t *n)
{
    char *end;

    *n = 0;
    while (*p && *p != '\n') {
        double v = strtod(p, &end);

        if (end == p) {
            p++; /* commas and blanks */
            continue;
        }
        if (*n < cap && v >= 0 && v < 1e6)
            out[(*n)++] = (uint64_t)(v * 1e6);
        else
            (*n) = cap + 1;
        p = end;
    }
    return *p ? p + 1 : NULL;
}

static const char *read_matrix(struct sim_geo *g, const char *text)
{
    enum { MAX = 4096 };
    uint64_t *first = malloc(MAX * sizeof(*first));
    uint32_t n, rows = 0;

    if (!text || !first) {
        free(first);
        return "delay matrix: there is no text to read";
    }
    read_row(text, first, MAX, &g->places);
    free(first);
    if (!g->places || g->places > MAX)
        return "delay matrix: the first line must have 1 to 4096 delays in ms";
    g->matrix = calloc((size_t)g->places * g->places, sizeof(*g->matrix));
    while (g->matrix && text && rows < g->places) {
        text = read_row(text, g->matrix + (size_t)rows * g->places, g->places, &n);
        if (n == g->places)
            rows++;
        else if (n)
            return "delay matrix: a line is longer or shorter than the first";
    }
    return g->matrix && rows == g->places ? NULL : "delay matrix: it must be square";
}

const char *sim_geo_init(struct sim_geo *g, const struct sim_config *cfg)
{
    *g = (struct sim_geo){.kind = cfg->delay, .min_ns = (uint64_t)(cfg->delay_ms * 1e6)};
    g->max_ns = (uint64_t)(cfg->delay_max_ms * 1e6);
    if (g->max_ns < g->min_ns)
        g->max_ns = g->min_ns;
    return g->kind == SIM_DELAY_MATRIX ? read_matrix(g, cfg->matrix) : NULL;
}

void sim_geo_fini(struct sim_geo *g)
{
    free(g->matrix);
}

struct sim_place sim_geo_place(const struct sim_geo *g, uint32_t node, struct rng *rng)
{
    struct sim_place p = {0};
    uint64_t at = rng_below(rng, 100);

    if (g->kind == SIM_DELAY_MATRIX) {
        p.region = node % g->places;
    } else if (g->kind == SIM_DELAY_WORLD) {
        while (at >= share[p.region])
            at -= share[p.region++];
        p.mile_ns = MILE_MIN_NS + rng_below(rng, MILE_MAX_NS - MILE_MIN_NS);
    }
    return p;
}

uint64_t sim_geo_delay(const struct sim_geo *g, const struct sim_place *a, const struct sim_place *b, struct rng *rng)
{
    switch (g->kind) {
    case SIM_DELAY_WORLD: return rtt_ms[a->region][b->region] * SIM_MS / 2 + a->mile_ns + b->mile_ns;
    case SIM_DELAY_MATRIX: return g->matrix[(size_t)a->region * g->places + b->region];
    case SIM_DELAY_RANDOM: return g->min_ns + rng_below(rng, g->max_ns - g->min_ns + 1);
    default: return g->min_ns;
    }
}
