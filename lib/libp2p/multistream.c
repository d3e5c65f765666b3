#include "libp2p/multistream.h"

#include <assert.h>

#include "base/wr.h"

enum expects { EXPECTS_HEADER, EXPECTS_NAME, EXPECTS_NOTHING };
enum owes { OWES_NOTHING, OWES_NA, OWES_LS, OWES_NAME };

const char *mss_err_name(int err)
{
    switch (-err) {
    case MSS_ELENGTH: return "MSS_ELENGTH";
    case MSS_ENEWLINE: return "MSS_ENEWLINE";
    case MSS_EHEADER: return "MSS_EHEADER";
    case MSS_EANSWER: return "MSS_EANSWER";
    case MSS_EREFUSED: return "MSS_EREFUSED";
    case MSS_ETRIES: return "MSS_ETRIES";
    default: return "?";
    }
}

/* The length prefix: one or two bytes, minimal, 1..1024. */
static int read_prefix(struct mss_reader *r, uint8_t byte)
{
    r->left |= (uint16_t)((byte & 0x7f) << (7 * r->prefix));
    if (++r->prefix == 1 && byte & 0x80)
        return 0;
    if (byte & 0x80 || r->left == 0 || (r->prefix == 2 && byte == 0) || r->left > MSS_MESSAGE_MAX)
        return -MSS_ELENGTH;
    r->prefix = 0;
    r->in_body = true;
    r->is_long = r->left - 1 > MSS_NAME_MAX;
    r->kept = 0;
    return 0;
}

/* All but the newline is kept, unless it is too long to be any name of ours. */
static int read_body(struct mss_reader *r, struct slice *in)
{
    size_t take = in->len < r->left ? in->len : r->left;
    bool is_last = take == r->left;
    size_t text = is_last ? take - 1 : take;

    if (!r->is_long && text) {
        memcpy(r->text + r->kept, in->p, text);
        r->kept = (uint16_t)(r->kept + text);
    }
    r->left = (uint16_t)(r->left - take);
    *in = slice_of(in->p + take, in->len - take);
    if (!is_last)
        return 0;
    r->in_body = false;
    return in->p[-1] == '\n' ? 1 : -MSS_ENEWLINE;
}

/* 1: a message is complete in r->text; 0: all of in is used; or an error. */
static int read_message(struct mss_reader *r, struct slice *in)
{
    while (in->len) {
        int rc;
        if (r->in_body) {
            rc = read_body(r, in);
        } else {
            rc = read_prefix(r, in->p[0]);
            *in = slice_of(in->p + 1, in->len - 1);
        }
        if (rc)
            return rc;
    }
    return 0;
}

static bool message_is(const struct mss_reader *r, const char *text)
{
    return !r->is_long && slice_is_equal(slice_of(r->text, r->kept), slice_str(text));
}

static void put_message(struct wr *w, const char *text)
{
    size_t len = strlen(text);

    wr_uvarint(w, len + 1);
    wr_bytes(w, text, len);
    wr_u8(w, '\n');
}

/* Hands out the part of msg behind *sent; true once all of it is out. */
static bool drain(const struct wr *msg, uint16_t *sent, uint8_t *out, size_t cap, size_t *len)
{
    size_t left = msg->len - *sent;

    *len = left < cap ? left : cap;
    memcpy(out, msg->p + *sent, *len);
    *sent = (uint16_t)(*sent + *len);
    if (*sent < msg->len)
        return false;
    *sent = 0;
    return true;
}

void mss_listener_init(struct mss_listener *l, const char *const *names, size_t count)
{
    *l = (struct mss_listener){.names = names, .count = (uint16_t)count, .state = EXPECTS_HEADER};
}

static void listener_refuse(struct mss_listener *l)
{
    l->owed = OWES_NA;
    l->tries++;
}

static void listener_take_name(struct mss_listener *l)
{
    for (uint16_t i = 0; i < l->count; i++) {
        if (!message_is(&l->reader, l->names[i]))
            continue;
        l->choice = i;
        l->state = EXPECTS_NOTHING;
        l->owed = OWES_NAME;
        return;
    }
    listener_refuse(l);
}

static void listener_take(struct mss_listener *l)
{
    if (l->state == EXPECTS_HEADER) {
        if (message_is(&l->reader, MSS_HEADER)) {
            l->state = EXPECTS_NAME;
            l->owes_header = true;
        } else {
            listener_refuse(l); /* as js does: another version may be asked for next */
        }
    } else if (message_is(&l->reader, "ls")) {
        l->owed = OWES_LS;
        l->tries++;
    } else {
        listener_take_name(l);
    }
}

ssize_t mss_listener_input(struct mss_listener *l, struct slice in)
{
    size_t given = in.len;

    while (l->state != EXPECTS_NOTHING && l->owed == OWES_NOTHING) {
        int rc = read_message(&l->reader, &in);
        if (rc < 0)
            return rc;
        if (rc == 0)
            break;
        if (l->tries >= MSS_TRIES_MAX)
            return -MSS_ETRIES;
        listener_take(l);
    }
    return (ssize_t)(given - in.len);
}

/* The answer to ls is one message: the names as messages, then a newline. Names that would not fit are left out. */
static void put_names(struct wr *w, const struct mss_listener *l)
{
    size_t body = 1;
    uint16_t fit = 0;

    for (; fit < l->count; fit++) {
        size_t len = strlen(l->names[fit]) + 1;
        if (body + uvarint_size(len) + len > MSS_MESSAGE_MAX)
            break;
        body += uvarint_size(len) + len;
    }
    wr_uvarint(w, body);
    for (uint16_t i = 0; i < fit; i++)
        put_message(w, l->names[i]);
    wr_u8(w, '\n');
}

size_t mss_listener_output(struct mss_listener *l, uint8_t *out, size_t cap)
{
    uint8_t scratch[sizeof(MSS_HEADER) + 2 + MSS_MESSAGE_MAX + 2];
    struct wr w = wr_of(scratch, sizeof(scratch));
    size_t len;

    if (!l->owes_header && l->owed == OWES_NOTHING)
        return 0;
    if (l->owes_header)
        put_message(&w, MSS_HEADER);
    switch ((enum owes)l->owed) {
    case OWES_NA: put_message(&w, "na"); break;
    case OWES_LS: put_names(&w, l); break;
    case OWES_NAME: put_message(&w, l->names[l->choice]); break;
    case OWES_NOTHING: break;
    }
    assert(!w.bad);
    if (drain(&w, &l->sent, out, cap, &len)) {
        l->owes_header = false;
        l->owed = OWES_NOTHING;
    }
    return len;
}

bool mss_listener_is_done(const struct mss_listener *l)
{
    return l->state == EXPECTS_NOTHING;
}

unsigned mss_listener_choice(const struct mss_listener *l)
{
    assert(mss_listener_is_done(l));
    return l->choice;
}

void mss_dialer_init(struct mss_dialer *d, const char *const *names, size_t count, bool is_lazy)
{
    assert(count >= 1);
    *d = (struct mss_dialer){.names = names,
                             .count = is_lazy ? 1 : (uint16_t)count,
                             .state = EXPECTS_HEADER,
                             .owes_header = true,
                             .owes_name = true};
}

static int dialer_take(struct mss_dialer *d)
{
    if (d->state == EXPECTS_HEADER) {
        if (!message_is(&d->reader, MSS_HEADER))
            return -MSS_EHEADER;
        d->state = EXPECTS_NAME;
        return 0;
    }
    if (message_is(&d->reader, d->names[d->choice])) {
        d->state = EXPECTS_NOTHING;
        return 0;
    }
    if (!message_is(&d->reader, "na"))
        return -MSS_EANSWER;
    if (d->choice + 1 == d->count)
        return -MSS_EREFUSED;
    d->choice++;
    d->owes_name = true;
    return 0;
}

ssize_t mss_dialer_input(struct mss_dialer *d, struct slice in)
{
    size_t given = in.len;

    /* An answer to a proposal that is not out yet is left where it is: nobody honest has sent it. */
    while (d->state == EXPECTS_HEADER || (d->state == EXPECTS_NAME && !d->owes_name)) {
        int rc = read_message(&d->reader, &in);
        if (rc > 0)
            rc = dialer_take(d);
        else if (rc == 0)
            break;
        if (rc < 0)
            return rc;
    }
    return (ssize_t)(given - in.len);
}

size_t mss_dialer_output(struct mss_dialer *d, uint8_t *out, size_t cap)
{
    uint8_t scratch[2 * (MSS_NAME_MAX + 3)];
    struct wr w = wr_of(scratch, sizeof(scratch));
    size_t len;

    if (!d->owes_name)
        return 0;
    if (d->owes_header)
        put_message(&w, MSS_HEADER);
    put_message(&w, d->names[d->choice]);
    assert(!w.bad);
    if (drain(&w, &d->sent, out, cap, &len))
        d->owes_header = d->owes_name = false;
    return len;
}

bool mss_dialer_is_done(const struct mss_dialer *d)
{
    return d->state == EXPECTS_NOTHING;
}

unsigned mss_dialer_choice(const struct mss_dialer *d)
{
    assert(mss_dialer_is_done(d) || d->count == 1);
    return d->choice;
}
