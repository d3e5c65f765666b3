/* ws_input.c: what a client sends, frame by frame
 * Note:    a whole message in one frame, pings and pongs are taken from the socket's buffer as they lie there; the rest is wslay's
 *          (ws_rare.c). A frame that is larger than WAIT_BYTES is gathered in a buffer of ours as it comes
 */
#include <stdlib.h>

#include "http/http_json.h"
#include "http/ws_private.h"

#define WAIT_BYTES (16u << 10)
#define KEEP_BYTES (64u << 10) /* an input buffer above this is given back after its message */

bool ws_inbuf_reserve(struct ws_inbuf *in, size_t more, size_t max)
{
    size_t cap = in->cap ? in->cap : 4096;
    uint8_t *p;

    if (more <= in->cap - in->len)
        return true;
    while (cap < in->len + more)
        cap *= 2;
    if (cap > max && max >= in->len + more)
        cap = max;
    p = realloc(in->data, cap);
    if (!p)
        return false;
    in->data = p;
    in->cap = cap;
    return true;
}

bool ws_is_paused(struct ws_conn *c)
{
    size_t n;

    if (atomic_load(&c->holds) > 0)
        return true;
    pthread_mutex_lock(&c->lock);
    n = c->out.replies.bytes;
    pthread_mutex_unlock(&c->lock);
    return n + ws_rare_waiting(c) > c->cfg.pause_bytes;
}

void ws_take_message(struct ws_conn *c, struct slice m)
{
    if (c->state == WS_EXPECT_FRAMES) {
        http_count(&c->in_msgs);
        atomic_fetch_add_explicit(&c->in_bytes, m.len, memory_order_relaxed);
        if (c->cfg.on_message)
            c->cfg.on_message(c, c->user, c->in.op, m);
    }
    c->in.len = 0;
    if (c->in.cap > KEEP_BYTES) {
        free(c->in.data);
        c->in.data = NULL;
        c->in.cap = 0;
    }
}

/* c->in.op says which kind it is. False: no memory to refuse it with. */
static bool take_whole(struct ws_conn *c, struct slice m)
{
    if (c->in.op == WS_TEXT && !http_utf8_is_valid(m))
        return ws_rare_refuse(c, WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA);
    ws_take_message(c, m);
    return true;
}

void ws_push_control(struct ws_conn *c, enum ws_opcode op, struct slice payload)
{
    struct ws_msg *m = ws_msg_copy(op, payload);

    if (!m)
        return; /* a pong that is missed is no harm that the lack of memory is not already */
    pthread_mutex_lock(&c->lock);
    ws_out_push(&c->out, WS_REPLY, m);
    pthread_mutex_unlock(&c->lock);
    ws_msg_unref(m);
}

static void consume(struct ws_conn *c, size_t n)
{
    h2o_buffer_consume(&c->sock->input, n);
    c->turn_bytes -= n < c->turn_bytes ? n : c->turn_bytes;
}

/* More of a large frame. */
static bool take_part(struct ws_conn *c)
{
    struct ws_large *l = &c->large;
    size_t n = c->sock->input->size;

    if (n > l->left)
        n = (size_t)l->left;
    if (!ws_inbuf_reserve(&c->in, n, c->cfg.max_message_bytes))
        return ws_rare_refuse(c, WSLAY_CODE_INTERNAL_SERVER_ERROR);
    ws_frame_unmask(c->in.data + c->in.len, (const uint8_t *)c->sock->input->bytes, n, l->mask, c->in.len);
    c->in.len += n;
    l->left -= n;
    consume(c, n);
    return l->left || take_whole(c, slice_of(c->in.data, c->in.len));
}

/* A frame that is here as a whole. */
static bool take_frame(struct ws_conn *c, const struct ws_frame *f)
{
    uint8_t *payload = (uint8_t *)c->sock->input->bytes + f->head;
    struct slice m = slice_of(payload, (size_t)f->len);
    bool is_good = true;

    ws_frame_unmask(payload, payload, (size_t)f->len, f->mask, 0);
    if (f->op == WS_PING && c->state == WS_EXPECT_FRAMES)
        ws_push_control(c, WS_PONG, m);
    if (!ws_frame_is_control(f)) {
        c->in.op = (enum ws_opcode)f->op;
        is_good = take_whole(c, m);
    }
    consume(c, f->head + (size_t)f->len);
    return is_good;
}

/* Whether we take this one, or wslay. */
static bool is_plain(const struct ws_conn *c, const struct ws_frame *f)
{
    if (ws_frame_is_control(f))
        return f->op != WS_CLOSE;
    return f->is_last && f->op != WS_CONTINUATION && !c->in_fragments && f->len <= c->cfg.max_message_bytes;
}

static bool give_wslay(struct ws_conn *c, const struct ws_frame *f)
{
    c->rare_left = f->head + f->len;
    if (!ws_frame_is_control(f))
        c->in_fragments = !f->is_last;
    return ws_rare_begin(c);
}

enum { IS_FATAL = -1, IS_STUCK = 0, IS_ON = 1 };

/* At the beginning of a frame. */
static int next_frame(struct ws_conn *c)
{
    h2o_buffer_t *in = c->sock->input;
    struct ws_frame f;

    switch (ws_frame_read(&f, slice_of(in->bytes, in->size))) {
    case WS_FRAME_MORE: return IS_STUCK;
    case WS_FRAME_ODD: c->rare_all = true; return ws_rare_begin(c) ? IS_ON : IS_FATAL;
    case WS_FRAME: break;
    }
    if (!is_plain(c, &f))
        return give_wslay(c, &f) ? IS_ON : IS_FATAL;
    if (f.head + f.len <= in->size)
        return take_frame(c, &f) ? IS_ON : IS_FATAL;
    if (f.head + f.len <= WAIT_BYTES)
        return IS_STUCK;
    c->large.left = f.len;
    memcpy(c->large.mask, f.mask, sizeof(f.mask));
    c->in.op = (enum ws_opcode)f.op;
    c->in.len = 0;
    consume(c, f.head);
    return IS_ON;
}

static int take_some(struct ws_conn *c)
{
    size_t before = c->sock->input->size;

    if (c->large.left)
        return take_part(c) ? IS_ON : IS_FATAL;
    if (!c->rare_left && !c->rare_all)
        return next_frame(c);
    ws_rare_recv(c);
    return c->sock->input->size < before ? IS_ON : IS_STUCK;
}

bool ws_input_run(struct ws_conn *c)
{
    int rc = IS_ON;

    while (rc == IS_ON && c->sock->input->size && c->turn_bytes && ws_rare_reads(c) && !ws_is_paused(c))
        rc = take_some(c);
    return rc != IS_FATAL;
}

void ws_input_give_back(struct ws_conn *c)
{
    if (c->sock && c->sock->input->size == 0 && c->sock->input->capacity) {
        h2o_buffer_dispose(&c->sock->input);
        h2o_buffer_init(&c->sock->input, &h2o_socket_buffer_prototype);
    }
}
