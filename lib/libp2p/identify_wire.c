#include "libp2p/identify_wire.h"

#include "base/pb.h"
#include "libp2p/multiaddr.h"

enum field {
    FIELD_PUBLIC_KEY = 1,
    FIELD_LISTEN_ADDR = 2,
    FIELD_PROTOCOL = 3,
    FIELD_OBSERVED = 4,
    FIELD_VERSION = 5,
    FIELD_AGENT = 6,
    FIELD_RECORD = 8,
};

static void take_addr(struct identify *m, struct slice s)
{
    if (m->naddrs < IDENTIFY_ADDRS_MAX && s.len && multiaddr_check(s) == 0)
        m->addrs[m->naddrs++] = s;
    else
        m->dropped++;
}

static void take_protocol(struct identify *m, struct slice s)
{
    if (m->nprotocols < IDENTIFY_PROTOCOLS_MAX && s.len && s.len <= IDENTIFY_NAME_MAX)
        m->protocols[m->nprotocols++] = s;
    else
        m->dropped++;
}

static void take_text(struct identify *m, struct slice *to, struct slice s)
{
    if (s.len <= IDENTIFY_NAME_MAX)
        *to = s;
    else
        m->dropped++;
}

static void take_observed(struct identify *m, struct slice s)
{
    if (multiaddr_check(s) == 0)
        m->observed = s;
    else
        m->dropped++;
}

static void take_field(struct identify *m, const struct pb_field *f)
{
    switch (f->number) {
    case FIELD_PUBLIC_KEY: m->public_key = f->bytes; break;
    case FIELD_LISTEN_ADDR: take_addr(m, f->bytes); break;
    case FIELD_PROTOCOL: take_protocol(m, f->bytes); break;
    case FIELD_OBSERVED: take_observed(m, f->bytes); break;
    case FIELD_VERSION: take_text(m, &m->protocol_version, f->bytes); break;
    case FIELD_AGENT: take_text(m, &m->agent, f->bytes); break;
    case FIELD_RECORD: m->record = f->bytes; break;
    default: break;
    }
}

int identify_decode(struct slice in, struct identify *out)
{
    struct rd r = rd_of(in);
    struct identify m = {0};
    struct pb_field f;
    int rc;

    if (in.len > IDENTIFY_READ_MAX)
        return -1;
    while ((rc = pb_next(&r, &f)) > 0)
        if (f.type == PB_BYTES)
            take_field(&m, &f);
    if (rc < 0)
        return -1;
    *out = m;
    return 0;
}

static void put_if(struct wr *w, enum field number, struct slice s)
{
    if (s.p)
        pb_put_bytes(w, number, s);
}

/* In the order that js writes. */
static void put(struct wr *w, const struct identify *m, unsigned naddrs, bool has_record)
{
    put_if(w, FIELD_VERSION, m->protocol_version);
    put_if(w, FIELD_AGENT, m->agent);
    put_if(w, FIELD_PUBLIC_KEY, m->public_key);
    for (unsigned i = 0; i < naddrs; i++)
        pb_put_bytes(w, FIELD_LISTEN_ADDR, m->addrs[i]);
    put_if(w, FIELD_OBSERVED, m->observed);
    for (unsigned i = 0; i < m->nprotocols; i++)
        pb_put_bytes(w, FIELD_PROTOCOL, m->protocols[i]);
    if (has_record)
        put_if(w, FIELD_RECORD, m->record);
}

ssize_t identify_encode(const struct identify *m, uint8_t *out, size_t cap)
{
    if (cap > IDENTIFY_WRITE_MAX)
        cap = IDENTIFY_WRITE_MAX;
    for (unsigned cut = 0; cut <= m->naddrs + 1; cut++) {
        struct wr w = wr_of(out, cap);
        put(&w, m, cut ? m->naddrs - (cut - 1) : m->naddrs, cut == 0);
        if (!w.bad)
            return (ssize_t)w.len;
    }
    return -1;
}
