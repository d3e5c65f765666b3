#include "sim/reference.h"

#include <math.h>
#include <stdlib.h>

#include "gf/gf.h"
#include "rlnc/rlnc.h"
#include "sim/sim_int.h"

/* What a node holds of a message: independent vectors as they came. */
struct held {
    struct rlnc_rank rank;
    uint8_t *rows; /* k of k */
    bool is_sent, is_delivered;
};

struct reference {
    struct sim *sim;
    uint32_t node;
    struct held *held; /* by message */
    uint32_t *mesh;    /* ends, chosen once */
    uint32_t nmesh;
};

struct reference *reference_new(struct sim *s, uint32_t node)
{
    struct reference *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->sim = s;
    r->node = node;
    r->held = calloc(s->cfg->messages, sizeof(*r->held));
    if (r->held)
        return r;
    free(r);
    return NULL;
}

void reference_free(struct reference *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->sim->cfg->messages; i++)
        free(r->held[i].rows);
    free(r->held);
    free(r->mesh);
    free(r);
}

static void choose_mesh(struct reference *r)
{
    struct sim_node *n = &r->sim->nodes[r->node];
    uint32_t d = r->sim->cfg->d ? r->sim->cfg->d : 6;

    r->mesh = calloc(n->nends + 1, sizeof(*r->mesh));
    if (!r->mesh)
        abort();
    for (uint32_t i = 0; i < n->nends; i++)
        r->mesh[i] = i;
    for (; r->nmesh < d && r->nmesh < n->nends; r->nmesh++) {
        uint32_t at = r->nmesh + (uint32_t)rng_below(&r->sim->core_rng, n->nends - r->nmesh), t = r->mesh[at];

        r->mesh[at] = r->mesh[r->nmesh];
        r->mesh[r->nmesh] = t;
    }
}

static struct held *held_of(struct reference *r, uint32_t message)
{
    struct held *h = &r->held[message];
    unsigned k = r->sim->cfg->k;

    if (!h->rows) {
        h->rows = calloc(1, (size_t)k * k + rlnc_rank_bytes(k));
        if (!h->rows)
            abort();
        rlnc_rank_init(&h->rank, k, h->rows + (size_t)k * k);
    }
    return h;
}

/* A mixture of all rows, on its way to one peer. Wire: message, coefficients; the payload counts in length alone. */
static void send_mixed(struct reference *r, const struct held *h, uint32_t message, uint32_t end)
{
    unsigned k = r->sim->cfg->k;
    struct buf *b = buf_new(4 + k);
    uint8_t weight[RLNC_K_MAX];

    if (!b)
        abort();
    memcpy(b->data, &message, 4);
    memset(b->data + 4, 0, k);
    rlnc_coefs_random(weight, h->rank.rank, &r->sim->core_rng);
    for (unsigned i = 0; i < h->rank.rank; i++)
        gf_mad(b->data + 4, h->rows + (size_t)i * k, weight[i], k);
    b->len = 4 + k;
    sim_link_send(r->sim, r->node, end, b, 64u + k + (r->sim->cfg->bytes + k - 1) / k);
}

static void send_all(struct reference *r, struct held *h, uint32_t message)
{
    unsigned n = (unsigned)ceil(r->sim->cfg->k * r->sim->cfg->mult) * r->sim->cfg->reference_copies, at;

    if (!r->mesh)
        choose_mesh(r);
    h->is_sent = true;
    at = r->nmesh ? (unsigned)rng_below(&r->sim->core_rng, r->nmesh) : 0;
    for (unsigned i = 0; i < n && r->nmesh; i++)
        send_mixed(r, h, message, r->mesh[at++ % r->nmesh]);
}

void reference_publish(struct reference *r, uint32_t message)
{
    struct held *h = held_of(r, message);
    unsigned k = r->sim->cfg->k;

    for (unsigned i = 0; i < k; i++) {
        memset(h->rows + (size_t)i * k, 0, k);
        h->rows[(size_t)i * k + i] = 1;
        rlnc_rank_add_source(&h->rank, i);
    }
    h->is_delivered = true;
    send_all(r, h, message);
}

void reference_input(struct reference *r, uint32_t end, struct slice frame)
{
    unsigned k = r->sim->cfg->k;
    uint32_t message;
    struct held *h;

    (void)end;
    memcpy(&message, frame.p, 4);
    h = held_of(r, message);
    r->sim->reference_in++;
    if (h->is_delivered || !rlnc_rank_add(&h->rank, frame.p + 4)) {
        r->sim->reference_useless++;
        return;
    }
    memcpy(h->rows + (size_t)(h->rank.rank - 1u) * k, frame.p + 4, k);
    if (!h->is_sent && h->rank.rank >= r->sim->cfg->threshold * k)
        send_all(r, h, message);
    if (!rlnc_rank_is_full(&h->rank))
        return;
    h->is_delivered = true;
    sim_node_delivered(r->sim, r->node, message);
}
