/* session_identify.c: identify's messages, and what we keep of the peer's. */
#include <stdlib.h>

#include "base/uvarint.h"
#include "libp2p/identify_wire.h"
#include "libp2p/session_pvt.h"

/* go and js: 8 KiB in a message, up to 10 messages that are merged. */
#define MESSAGE_BYTES_MAX 8192
#define MESSAGES_MAX      10

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

static void set_if(struct slice *to, struct slice s)
{
    if (s.p)
        *to = s;
}

/* Adds what m says to what was known: a push leaves out what stays as it was. */
static void merge(struct session_identity *id, const struct identify *m)
{
    set_if(&id->agent, m->agent);
    set_if(&id->protocol_version, m->protocol_version);
    set_if(&id->observed, m->observed);
    set_if(&id->record, m->record);
    if (m->nprotocols) {
        id->nprotocols = m->nprotocols;
        memcpy(id->protocols, m->protocols, sizeof(id->protocols));
    }
    if (m->naddrs) {
        id->naddrs = m->naddrs;
        memcpy(id->addrs, m->addrs, sizeof(id->addrs));
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

_Static_assert(SESSION_MAX_PROTOCOLS == IDENTIFY_PROTOCOLS_MAX && SESSION_MAX_ADDRS == IDENTIFY_ADDRS_MAX, "copied whole");

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
    struct session_identity id = {0};
    struct identify m;
    struct buf *b;

    if (r->left || r->prefix_have || !r->messages || identify_decode(slice_of(r->bytes, r->len), &m) < 0)
        return -1;
    if (m.public_key.len && !is_peers_key(s, m.public_key))
        return -1;
    if (s->identity)
        id = *s->identity;
    id.is_push = is_push;
    merge(&id, &m);
    b = gather(&id);
    if (!b || (!s->identity && !(s->identity = malloc(sizeof(*s->identity))))) {
        buf_unref(b);
        return -1;
    }
    buf_unref(s->identity_bytes);
    s->identity_bytes = b;
    *s->identity = id;
    s->takes_push = has_protocol(s->identity, IDENTIFY_PUSH_ID);
    return 0;
}

/* ---- writing ---- */

static void add_protocol(struct identify *m, const char *name)
{
    if (m->nprotocols < IDENTIFY_PROTOCOLS_MAX)
        m->protocols[m->nprotocols++] = slice_str(name);
}

size_t identify_create(const struct session *s, bool is_push, uint8_t *out, size_t cap)
{
    const struct session_local *l = s->cfg.local;
    struct identify m = {
        .public_key = slice_of(s->cfg.identity->key_pb, s->cfg.identity->key_pb_len),
        .protocol_version = slice_str(l->protocol_version ? l->protocol_version : "ipfs/0.1.0"),
        .record = l->record.len ? l->record : (struct slice){NULL, 0},
    };
    uint8_t prefix[UVARINT_MAX];
    ssize_t n;

    if (l->agent)
        m.agent = slice_str(l->agent);
    if (s->remote.len && !is_push)
        m.observed = multiaddr_slice(&s->remote);
    for (unsigned i = 0; i < KIND_APP; i++)
        add_protocol(&m, s->names[i]);
    for (unsigned i = 0; i < l->nprotocols; i++)
        add_protocol(&m, l->protocols[i]);
    for (; m.naddrs < l->naddrs && m.naddrs < IDENTIFY_ADDRS_MAX; m.naddrs++)
        m.addrs[m.naddrs] = multiaddr_slice(&l->addrs[m.naddrs]);
    n = identify_encode(&m, out + sizeof(prefix), cap - sizeof(prefix));
    if (n < 0)
        return 0;
    unsigned k = uvarint_put(prefix, (uint64_t)n);
    memcpy(out, prefix, k);
    memmove(out + k, out + sizeof(prefix), (size_t)n);
    return k + (size_t)n;
}
