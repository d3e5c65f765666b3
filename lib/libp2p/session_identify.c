/* session_identify.c: identify's messages, and what we keep of the peer's. */
#include <stdlib.h>

#include "base/pb.h"
#include "base/uvarint.h"
#include "libp2p/session_pvt.h"

/* go and js: 8 KiB in a message, up to 10 messages that are merged. */
#define MESSAGE_BYTES_MAX 8192
#define MESSAGES_MAX      10

enum field {
    FIELD_PUBLIC_KEY = 1, FIELD_LISTEN_ADDR = 2, FIELD_PROTOCOL = 3, FIELD_OBSERVED = 4, FIELD_VERSION = 5,
    FIELD_AGENT = 6, FIELD_RECORD = 8,
};

/* ---- reading ---- */

/* Bodies of messages one behind the other: as protobuf has it, that is their merger. */
struct identify_reader {
    uint8_t prefix[UVARINT_MAX];
    uint8_t prefix_have;
    uint32_t left, messages;
    size_t len, cap;
    uint8_t *bytes;
};

struct identify_reader *identify_reader_new(void)
{
    return calloc(1, sizeof(struct identify_reader));
}

void identify_reader_free(struct identify_reader *r)
{
    if (r)
        free(r->bytes);
    free(r);
}

/* One byte of a length prefix. */
static int read_prefix(struct identify_reader *r, uint8_t byte)
{
    uint64_t len;
    int n;

    r->prefix[r->prefix_have++] = byte;
    n = uvarint_get(slice_of(r->prefix, r->prefix_have), &len);
    if (n == 0)
        return r->prefix_have < UVARINT_MAX ? 0 : -1;
    if (n < 0 || len > MESSAGE_BYTES_MAX || ++r->messages > MESSAGES_MAX)
        return -1;
    r->prefix_have = 0;
    r->left = (uint32_t)len;
    if (r->len + r->left > r->cap) {
        uint8_t *grown = realloc(r->bytes, r->len + r->left);
        if (!grown)
            return -1;
        r->bytes = grown;
        r->cap = r->len + r->left;
    }
    return 0;
}

int identify_reader_input(struct identify_reader *r, struct slice in)
{
    while (in.len) {
        size_t n = r->left < in.len ? r->left : in.len;
        if (n == 0) {
            if (read_prefix(r, in.p[0]) < 0)
                return -1;
            in = slice_of(in.p + 1, in.len - 1);
            continue;
        }
        memcpy(r->bytes + r->len, in.p, n);
        r->len += n;
        r->left -= (uint32_t)n;
        in = slice_of(in.p + n, in.len - n);
    }
    return 0;
}

/* ---- keeping ---- */

struct message {
    struct slice key;
    bool has_agent, has_version, has_observed, has_record;
    struct session_identity id;
};

static void take_field(struct message *m, const struct pb_field *f)
{
    struct session_identity *id = &m->id;

    switch (f->number) {
    case FIELD_PUBLIC_KEY: m->key = f->bytes; break;
    case FIELD_LISTEN_ADDR:
        if (id->naddrs < SESSION_MAX_ADDRS)
            id->addrs[id->naddrs++] = f->bytes;
        break;
    case FIELD_PROTOCOL:
        if (id->nprotocols < SESSION_MAX_PROTOCOLS)
            id->protocols[id->nprotocols++] = f->bytes;
        break;
    case FIELD_OBSERVED: id->observed = f->bytes, m->has_observed = true; break;
    case FIELD_VERSION: id->protocol_version = f->bytes, m->has_version = true; break;
    case FIELD_AGENT: id->agent = f->bytes, m->has_agent = true; break;
    case FIELD_RECORD: id->record = f->bytes, m->has_record = true; break;
    default: break;
    }
}

static int decode(struct slice in, struct message *m)
{
    struct rd r = rd_of(in);
    struct pb_field f;
    int n;

    memset(m, 0, sizeof(*m));
    while ((n = pb_next(&r, &f)) > 0)
        if (f.type == PB_BYTES)
            take_field(m, &f);
    return n;
}

/* What a push leaves out stays as it was. */
static void merge(struct message *m, const struct session_identity *old)
{
    struct session_identity *id = &m->id;

    if (!m->has_agent)
        id->agent = old->agent;
    if (!m->has_version)
        id->protocol_version = old->protocol_version;
    if (!m->has_observed)
        id->observed = old->observed;
    if (!m->has_record)
        id->record = old->record;
    if (!id->nprotocols) {
        id->nprotocols = old->nprotocols;
        memcpy(id->protocols, old->protocols, sizeof(old->protocols));
    }
    if (!id->naddrs) {
        id->naddrs = old->naddrs;
        memcpy(id->addrs, old->addrs, sizeof(old->addrs));
    }
}

static size_t total_bytes(const struct session_identity *id)
{
    size_t n = id->agent.len + id->protocol_version.len + id->observed.len + id->record.len;

    for (unsigned i = 0; i < id->nprotocols; i++)
        n += id->protocols[i].len;
    for (unsigned i = 0; i < id->naddrs; i++)
        n += id->addrs[i].len;
    return n;
}

/* Copies s behind what b holds and lets s point there. */
static void move_in(struct buf *b, struct slice *s)
{
    uint8_t *to = b->data + b->len;

    if (s->len)
        memcpy(to, s->p, s->len);
    b->len += (uint32_t)s->len;
    s->p = to;
}

/* One block for all that is kept, whichever messages it came from. */
static struct buf *gather(struct session_identity *id)
{
    struct buf *b = buf_new((uint32_t)total_bytes(id));

    if (!b)
        return NULL;
    move_in(b, &id->agent);
    move_in(b, &id->protocol_version);
    move_in(b, &id->observed);
    move_in(b, &id->record);
    for (unsigned i = 0; i < id->nprotocols; i++)
        move_in(b, &id->protocols[i]);
    for (unsigned i = 0; i < id->naddrs; i++)
        move_in(b, &id->addrs[i]);
    return b;
}

static bool has_protocol(const struct session_identity *id, const char *name)
{
    for (unsigned i = 0; i < id->nprotocols; i++)
        if (slice_is_equal(id->protocols[i], slice_str(name)))
            return true;
    return false;
}

static bool is_peers_key(const struct session *s, struct slice key)
{
    struct peer_id id;

    peer_id_from_key(&id, key);
    return peer_id_is_equal(&id, &s->peer);
}

int identify_finish(struct session *s, struct identify_reader *r, bool is_push)
{
    struct message m;
    struct buf *b;

    if (r->left || r->prefix_have || !r->messages || decode(slice_of(r->bytes, r->len), &m) < 0)
        return -1;
    if (m.key.len && !is_peers_key(s, m.key))
        return -1;
    if (s->identity)
        merge(&m, s->identity);
    b = gather(&m.id);
    if (!b || (!s->identity && !(s->identity = calloc(1, sizeof(*s->identity))))) {
        buf_unref(b);
        return -1;
    }
    m.id.is_push = is_push;
    buf_unref(s->identity_bytes);
    s->identity_bytes = b;
    *s->identity = m.id;
    s->takes_push = has_protocol(s->identity, IDENTIFY_PUSH_ID);
    return 0;
}

/* ---- writing ---- */

static void put_text(struct wr *w, enum field f, const char *text)
{
    pb_put_bytes(w, f, slice_str(text));
}

static void put_message(const struct session *s, bool is_push, unsigned naddrs, struct wr *w)
{
    const struct session_local *l = s->cfg.local;

    pb_put_bytes(w, FIELD_PUBLIC_KEY, slice_of(s->cfg.identity->key_pb, sizeof(s->cfg.identity->key_pb)));
    for (unsigned i = 0; i < naddrs; i++)
        pb_put_bytes(w, FIELD_LISTEN_ADDR, multiaddr_slice(&l->addrs[i]));
    for (unsigned i = 0; i < KIND_APP; i++)
        put_text(w, FIELD_PROTOCOL, s->names[i]);
    for (unsigned i = 0; i < l->nprotocols; i++)
        put_text(w, FIELD_PROTOCOL, l->protocols[i]);
    if (s->remote.len && !is_push)
        pb_put_bytes(w, FIELD_OBSERVED, multiaddr_slice(&s->remote));
    put_text(w, FIELD_VERSION, l->protocol_version ? l->protocol_version : "ipfs/0.1.0");
    if (l->agent)
        put_text(w, FIELD_AGENT, l->agent);
    if (l->record.len && naddrs == l->naddrs)
        pb_put_bytes(w, FIELD_RECORD, l->record);
}

static size_t message_bytes(const struct session *s, bool is_push, unsigned naddrs)
{
    struct wr size = wr_counter();

    put_message(s, is_push, naddrs, &size);
    return size.len;
}

size_t identify_create(const struct session *s, bool is_push, uint8_t *out, size_t cap)
{
    unsigned naddrs = s->cfg.local->naddrs;
    struct wr w = wr_of(out, cap);

    /* Addresses are what may be too many: leave out the last ones, and the record, which has them all. */
    while (naddrs && message_bytes(s, is_push, naddrs) + UVARINT_MAX > cap)
        naddrs--;
    wr_uvarint(&w, message_bytes(s, is_push, naddrs));
    put_message(s, is_push, naddrs, &w);
    return w.bad ? 0 : w.len;
}
