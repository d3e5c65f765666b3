#include "libp2p/kad_wire.h"

#include "base/pb.h"
#include "libp2p/multiaddr.h"

enum { FIELD_TYPE = 1, FIELD_KEY = 2, FIELD_RECORD = 3, FIELD_CLOSER = 8, FIELD_PROVIDERS = 9 };
enum { RECORD_KEY = 1, RECORD_VALUE = 2, RECORD_RECEIVED = 5 };
enum { PEER_ID = 1, PEER_ADDR = 2, PEER_CONNECTION = 3 };

static int take_record(struct slice in, struct kad_msg *m)
{
    struct rd r = rd_of(in);
    struct pb_field f;
    int rc;

    m->has_record = true;
    while ((rc = pb_next(&r, &f)) > 0) {
        if (pb_is(&f, RECORD_KEY, PB_BYTES))
            m->record_key = f.bytes;
        else if (pb_is(&f, RECORD_VALUE, PB_BYTES))
            m->record_value = f.bytes;
        else if (pb_is(&f, RECORD_RECEIVED, PB_BYTES))
            m->record_received = f.bytes;
    }
    return rc;
}

static void take_addr(struct slice addr, struct kad_peer *p, unsigned *dropped)
{
    if (p->naddrs < KAD_ADDRS_MAX && addr.len && multiaddr_check(addr) == 0)
        p->addrs[p->naddrs++] = addr;
    else
        ++*dropped;
}

/* A peer that cannot be read is dropped, not the message: others may use ids and addresses that we do not know. */
static int take_peer(struct slice in, struct kad_peer *list, unsigned *count, unsigned *dropped)
{
    struct kad_peer p = {0};
    struct rd r = rd_of(in);
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&r, &f)) > 0) {
        if (pb_is(&f, PEER_ID, PB_BYTES)) {
            if (peer_id_from_bytes(&p.id, f.bytes))
                p.id.len = 0;
        } else if (pb_is(&f, PEER_ADDR, PB_BYTES)) {
            take_addr(f.bytes, &p, dropped);
        } else if (pb_is(&f, PEER_CONNECTION, PB_VARINT)) {
            p.connection = f.u <= KAD_CANNOT_CONNECT ? (enum kad_connection)f.u : KAD_NOT_CONNECTED;
        }
    }
    if (rc < 0)
        return rc;
    if (p.id.len && *count < KAD_PEERS_MAX)
        list[(*count)++] = p;
    else
        ++*dropped;
    return 0;
}

static int take_field(const struct pb_field *f, struct kad_msg *m)
{
    if (f->number == FIELD_TYPE && f->type == PB_VARINT) {
        if (f->u >= KAD_TYPES)
            return -1;
        m->type = (enum kad_type)f->u;
    } else if (pb_is(f, FIELD_KEY, PB_BYTES)) {
        if (f->bytes.len > KAD_KEY_MAX)
            return -1;
        m->key = f->bytes;
    } else if (pb_is(f, FIELD_RECORD, PB_BYTES)) {
        return take_record(f->bytes, m);
    } else if (pb_is(f, FIELD_CLOSER, PB_BYTES)) {
        return take_peer(f->bytes, m->closer, &m->ncloser, &m->dropped);
    } else if (pb_is(f, FIELD_PROVIDERS, PB_BYTES)) {
        return take_peer(f->bytes, m->providers, &m->nproviders, &m->dropped);
    }
    return 0;
}

int kad_decode(struct slice in, struct kad_msg *m)
{
    struct rd r = rd_of(in);
    struct pb_field f;
    int rc;

    memset(m, 0, sizeof(*m));
    if (in.len > KAD_MESSAGE_MAX)
        return -1;
    while ((rc = pb_next(&r, &f)) > 0)
        if (take_field(&f, m))
            return -1;
    return rc;
}

static void put_peer_body(struct wr *w, const struct kad_peer *p)
{
    pb_put_bytes(w, PEER_ID, peer_id_slice(&p->id));
    for (unsigned i = 0; i < p->naddrs; i++)
        pb_put_bytes(w, PEER_ADDR, p->addrs[i]);
    if (p->connection != KAD_NOT_CONNECTED)
        pb_put_varint(w, PEER_CONNECTION, p->connection);
}

static void put_peers(struct wr *w, uint32_t field, const struct kad_peer *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct wr size = wr_counter();
        put_peer_body(&size, &list[i]);
        pb_put_head(w, field, size.len);
        put_peer_body(w, &list[i]);
    }
}

static void put_record_body(struct wr *w, const struct kad_msg *m)
{
    pb_put_bytes(w, RECORD_KEY, m->record_key);
    pb_put_bytes(w, RECORD_VALUE, m->record_value);
    if (m->record_received.len)
        pb_put_bytes(w, RECORD_RECEIVED, m->record_received);
}

ssize_t kad_encode(const struct kad_msg *m, uint8_t *out, size_t cap)
{
    struct wr w = wr_of(out, cap < KAD_MESSAGE_MAX ? cap : KAD_MESSAGE_MAX);

    if (m->type != KAD_PUT_VALUE) /* proto3: the first is not written */
        pb_put_varint(&w, FIELD_TYPE, m->type);
    if (m->key.len)
        pb_put_bytes(&w, FIELD_KEY, m->key);
    if (m->has_record) {
        struct wr size = wr_counter();
        put_record_body(&size, m);
        pb_put_head(&w, FIELD_RECORD, size.len);
        put_record_body(&w, m);
    }
    put_peers(&w, FIELD_CLOSER, m->closer, m->ncloser);
    put_peers(&w, FIELD_PROVIDERS, m->providers, m->nproviders);
    return w.bad ? -1 : (ssize_t)w.len;
}
