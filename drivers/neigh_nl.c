/* neigh_nl.c: reads RTM_NEWNEIGH and RTM_DELNEIGH (neigh_nl.h) */
#include "drivers/neigh_nl.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

_Static_assert(NEIGH_NL_DUMP_BYTES == NLMSG_HDRLEN + sizeof(struct ndmsg), "the request's length");

/* Cuts [0, len) and its padding off; the last one's padding may be missing. */
static struct slice take(struct slice *in, size_t len)
{
    struct slice s = slice_of(in->p, len);
    size_t padded = NLMSG_ALIGN(len);

    padded = padded < in->len ? padded : in->len;
    in->p += padded;
    in->len -= padded;
    return s;
}

struct neigh_attrs {
    struct slice dst, mac;
};

static bool read_attrs(struct slice in, struct neigh_attrs *out)
{
    struct rtattr h;

    while (in.len >= sizeof(h)) {
        struct slice a;

        memcpy(&h, in.p, sizeof(h));
        if (h.rta_len < sizeof(h) || h.rta_len > in.len)
            return false;
        a = take(&in, h.rta_len);
        a = slice_of(a.p + sizeof(h), a.len - sizeof(h));
        if (h.rta_type == NDA_DST)
            out->dst = a;
        else if (h.rta_type == NDA_LLADDR)
            out->mac = a;
    }
    return in.len == 0;
}

static enum neigh_word word_of(unsigned state)
{
    if (state & (NUD_PERMANENT | NUD_NOARP))
        return NEIGH_WORD_FIXED;
    return state & NUD_REACHABLE ? NEIGH_WORD_FRESH : NEIGH_WORD_OLD;
}

/* 1: news; 0: of another kind (a bridge's table, a proxy, one still asked for the first time); -1: malformed. */
static int read_neigh(struct slice body, bool is_deleted, struct neigh_news *out)
{
    struct neigh_attrs a = {{NULL, 0}, {NULL, 0}};
    struct ndmsg nd;

    if (body.len < sizeof(nd))
        return -1;
    memcpy(&nd, body.p, sizeof(nd));
    if (!read_attrs(slice_of(body.p + sizeof(nd), body.len - sizeof(nd)), &a))
        return -1;
    if ((nd.ndm_family != AF_INET && nd.ndm_family != AF_INET6) || (nd.ndm_flags & NTF_PROXY))
        return 0;
    if (a.dst.len != (nd.ndm_family == AF_INET6 ? 16 : 4))
        return -1;
    *out = (struct neigh_news){.ifindex = nd.ndm_ifindex, .is_ip6 = nd.ndm_family == AF_INET6, .word = NEIGH_WORD_GONE};
    memcpy(out->ip, a.dst.p, a.dst.len);
    if (is_deleted || (nd.ndm_state & NUD_FAILED))
        return 1;
    if (nd.ndm_state == NUD_NONE || (nd.ndm_state & NUD_INCOMPLETE) || a.mac.len != sizeof(out->mac))
        return 0;
    out->word = word_of(nd.ndm_state);
    memcpy(out->mac, a.mac.p, sizeof(out->mac));
    return 1;
}

bool neigh_nl_is_busy(int error)
{
    return error == EAGAIN || error == EBUSY || error == EINTR || error == ENOBUFS || error == ENOMEM;
}

/* An error of 0 is an acknowledgement. */
static enum neigh_nl read_error(struct slice body)
{
    int error;

    if (body.len < sizeof(error))
        return NEIGH_NL_BAD;
    memcpy(&error, body.p, sizeof(error));
    if (error == 0)
        return NEIGH_NL_END;
    return error < 0 && error > -4096 && neigh_nl_is_busy(-error) ? NEIGH_NL_BUSY : NEIGH_NL_DENIED;
}

static enum neigh_nl read_message(unsigned type, struct slice body, struct neigh_news *out)
{
    int rc;

    switch (type) {
    case NLMSG_DONE: return NEIGH_NL_DONE;
    case NLMSG_ERROR: return read_error(body);
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
        rc = read_neigh(body, type == RTM_DELNEIGH, out);
        return rc < 0 ? NEIGH_NL_BAD : rc ? NEIGH_NL_NEWS : NEIGH_NL_END;
    default: return NEIGH_NL_END;
    }
}

enum neigh_nl neigh_nl_next(struct slice *in, struct neigh_news *out)
{
    while (in->len > 0) {
        enum neigh_nl kind = NEIGH_NL_BAD;
        struct nlmsghdr h;

        if (in->len >= sizeof(h)) {
            memcpy(&h, in->p, sizeof(h));
            if (h.nlmsg_len >= sizeof(h) && h.nlmsg_len <= in->len) {
                struct slice m = take(in, h.nlmsg_len);

                kind = read_message(h.nlmsg_type, slice_of(m.p + sizeof(h), m.len - sizeof(h)), out);
            }
        }
        if (kind == NEIGH_NL_BAD)
            in->len = 0;
        if (kind != NEIGH_NL_END)
            return kind;
    }
    return NEIGH_NL_END;
}

void neigh_nl_dump(uint8_t out[NEIGH_NL_DUMP_BYTES], uint32_t seq)
{
    struct nlmsghdr h = {.nlmsg_len = NEIGH_NL_DUMP_BYTES, .nlmsg_type = RTM_GETNEIGH, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, .nlmsg_seq = seq};

    memset(out, 0, NEIGH_NL_DUMP_BYTES); /* struct ndmsg: any family, any interface */
    memcpy(out, &h, sizeof(h));
}
