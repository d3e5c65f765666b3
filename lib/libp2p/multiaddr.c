#include "libp2p/multiaddr.h"

#include <assert.h>

#include "base/uvarint.h"
#include "libp2p/multiaddr_proto.h"

const char *multiaddr_err_name(int err)
{
    switch (-err) {
    case MULTIADDR_EFORMAT: return "MULTIADDR_EFORMAT";
    case MULTIADDR_EMISSING: return "MULTIADDR_EMISSING";
    case MULTIADDR_EPROTOCOL: return "MULTIADDR_EPROTOCOL";
    case MULTIADDR_EVALUE: return "MULTIADDR_EVALUE";
    case MULTIADDR_ETOOBIG: return "MULTIADDR_ETOOBIG";
    case MULTIADDR_ETRUNCATED: return "MULTIADDR_ETRUNCATED";
    case MULTIADDR_ETARGET: return "MULTIADDR_ETARGET";
    default: return "?";
    }
}

const char *multiaddr_err_text(int err)
{
    switch (-err) {
    case MULTIADDR_EFORMAT: return "it must begin with a slash";
    case MULTIADDR_EMISSING: return "it ends where the value of its last word should follow";
    case MULTIADDR_EPROTOCOL: return "it holds a protocol that is not known";
    case MULTIADDR_EVALUE: return "it holds a value that its protocol does not allow";
    case MULTIADDR_ETOOBIG: return "it is too long";
    case MULTIADDR_ETRUNCATED: return "it ends too early";
    case MULTIADDR_ETARGET: return "it is no host with a TCP port, and perhaps a peer's id behind";
    default: return "it is wrong";
    }
}

static int read_uvarint(struct rd *r, uint64_t *v)
{
    int n = uvarint_get(slice_of(r->p, rd_left(r)), v);

    if (n <= 0)
        return n == 0 ? -MULTIADDR_ETRUNCATED : -MULTIADDR_EFORMAT;
    r->p += n;
    return 0;
}

int multiaddr_next(struct rd *r, struct multiaddr_part *part)
{
    const struct multiaddr_proto *p;
    uint64_t code, len;
    int rc, size;

    if (rd_left(r) == 0)
        return 0;
    rc = read_uvarint(r, &code);
    if (rc)
        return rc;
    p = multiaddr_proto_by_code(code);
    if (!p)
        return -MULTIADDR_EPROTOCOL;
    size = multiaddr_proto_size(p);
    len = size < 0 ? 0 : (uint64_t)size;
    rc = size < 0 ? read_uvarint(r, &len) : 0;
    if (rc)
        return rc;
    part->code = p->code;
    part->value = rd_bytes(r, len);
    if (r->bad)
        return -MULTIADDR_ETRUNCATED;
    rc = multiaddr_value_check(p, part->value);
    return rc ? rc : 1;
}

int multiaddr_check(struct slice bytes)
{
    struct rd r = rd_of(bytes);
    struct multiaddr_part part;
    unsigned count = 0;
    int rc;

    if (bytes.len > MULTIADDR_MAX)
        return -MULTIADDR_ETOOBIG;
    while ((rc = multiaddr_next(&r, &part)) > 0)
        if (++count > MULTIADDR_PARTS_MAX)
            return -MULTIADDR_ETOOBIG;
    return rc;
}

int multiaddr_from_bytes(struct multiaddr *m, struct slice bytes)
{
    int rc = multiaddr_check(bytes);

    if (rc)
        return rc;
    m->len = (uint16_t)bytes.len;
    if (bytes.len)
        memcpy(m->bytes, bytes.p, bytes.len);
    return 0;
}

/* The text up to the next slash; empty ones (doubled slashes) are passed over. len 0: the end. */
static struct slice next_word(struct slice *text)
{
    struct slice word;

    while (text->len && text->p[0] == '/')
        *text = slice_of(text->p + 1, text->len - 1);
    word = slice_of(text->p, 0);
    while (word.len < text->len && text->p[word.len] != '/')
        word.len++;
    *text = slice_of(text->p + word.len, text->len - word.len);
    return word;
}

static int parse_part(const struct multiaddr_proto *p, struct slice text, struct wr *w)
{
    uint8_t value[MULTIADDR_MAX];
    ssize_t n = multiaddr_value_parse(p, text, value, sizeof(value));

    if (n < 0)
        return (int)n;
    wr_uvarint(w, p->code);
    if (multiaddr_proto_size(p) < 0)
        wr_uvarint(w, (uint64_t)n);
    wr_bytes(w, value, (size_t)n);
    return w->bad ? -MULTIADDR_ETOOBIG : 0;
}

int multiaddr_parse(struct multiaddr *m, struct slice text)
{
    uint8_t bytes[MULTIADDR_MAX];
    struct wr w = wr_of(bytes, sizeof(bytes));
    struct slice name, value = {NULL, 0};
    unsigned count = 0;

    if (text.len && text.p[0] != '/')
        return -MULTIADDR_EFORMAT;
    while ((name = next_word(&text)).len) {
        const struct multiaddr_proto *p = multiaddr_proto_by_name(name);
        int rc;
        if (!p)
            return -MULTIADDR_EPROTOCOL;
        if (++count > MULTIADDR_PARTS_MAX)
            return -MULTIADDR_ETOOBIG;
        value = multiaddr_proto_size(p) ? next_word(&text) : slice_of(NULL, 0);
        if (multiaddr_proto_size(p) && !value.len)
            return -MULTIADDR_EMISSING;
        rc = parse_part(p, value, &w);
        if (rc)
            return rc;
    }
    m->len = (uint16_t)w.len;
    memcpy(m->bytes, bytes, w.len);
    return 0;
}

ssize_t multiaddr_format(struct slice bytes, char *out, size_t cap)
{
    struct rd r = rd_of(bytes);
    struct wr w = wr_of(out, cap);
    struct multiaddr_part part;
    int rc = multiaddr_check(bytes);

    if (rc)
        return rc;
    if (bytes.len == 0)
        wr_u8(&w, '/');
    while ((rc = multiaddr_next(&r, &part)) > 0) {
        const struct multiaddr_proto *p = multiaddr_proto_by_code(part.code);
        wr_u8(&w, '/');
        wr_slice(&w, slice_str(p->name));
        if (multiaddr_proto_size(p))
            wr_u8(&w, '/');
        multiaddr_value_format(p, part.value, &w);
    }
    wr_u8(&w, 0);
    return w.bad ? -MULTIADDR_ETOOBIG : (ssize_t)w.len - 1;
}

static bool take_host(const struct multiaddr_part *part, struct multiaddr_target *t)
{
    t->kind = (enum multiaddr_code)part->code;
    switch (part->code) {
    case MULTIADDR_IP4:
    case MULTIADDR_IP6: memcpy(t->ip, part->value.p, part->value.len); return true;
    case MULTIADDR_DNS:
    case MULTIADDR_DNS4:
    case MULTIADDR_DNS6:
    case MULTIADDR_DNSADDR: t->host = part->value; return true;
    default: return false;
    }
}

int multiaddr_target(struct slice bytes, struct multiaddr_target *out)
{
    enum { HOST, PORT, PEER, END } expects = HOST;
    struct multiaddr_target t = {0};
    struct rd r = rd_of(bytes);
    struct multiaddr_part part;
    int rc;

    if (bytes.len > MULTIADDR_MAX)
        return -MULTIADDR_ETOOBIG;
    while ((rc = multiaddr_next(&r, &part)) > 0) {
        if (expects == HOST && take_host(&part, &t)) {
            expects = part.code == MULTIADDR_DNSADDR ? PEER : PORT;
        } else if (expects == PORT && part.code == MULTIADDR_TCP) {
            t.port = (uint16_t)(part.value.p[0] << 8 | part.value.p[1]);
            expects = PEER;
        } else if (expects == PEER && part.code == MULTIADDR_P2P) {
            rc = peer_id_from_bytes(&t.peer, part.value);
            assert(rc == 0); /* multiaddr_next has checked it */
            expects = END;
        } else {
            return -MULTIADDR_ETARGET;
        }
    }
    if (rc < 0)
        return rc;
    if (expects == HOST || expects == PORT)
        return -MULTIADDR_ETARGET;
    *out = t;
    return 0;
}

int multiaddr_add_peer(struct multiaddr *m, const struct peer_id *peer)
{
    struct wr w = {m->bytes, m->len, sizeof(m->bytes), false};

    wr_uvarint(&w, MULTIADDR_P2P);
    wr_uvarint(&w, peer->len);
    wr_slice(&w, peer_id_slice(peer));
    if (w.bad)
        return -MULTIADDR_ETOOBIG;
    m->len = (uint16_t)w.len;
    return 0;
}

void multiaddr_of_tcp(struct multiaddr *m, const uint8_t *ip, size_t ip_len, uint16_t port,
                      const struct peer_id *peer)
{
    struct wr w = wr_of(m->bytes, sizeof(m->bytes));

    assert(ip_len == 4 || ip_len == 16);
    wr_uvarint(&w, ip_len == 4 ? MULTIADDR_IP4 : MULTIADDR_IP6);
    wr_bytes(&w, ip, ip_len);
    wr_uvarint(&w, MULTIADDR_TCP);
    wr_be(&w, port, 2);
    m->len = (uint16_t)w.len;
    if (peer && peer->len)
        (void)multiaddr_add_peer(m, peer); /* it fits */
}
