/* ws_rare.c: what wslay does for a connection: closing, messages in fragments, and everything that is against the rules
 * Note:    plain frames never come here (ws_input.c), and most connections live without a wslay context, which takes 8 KiB. It is given
 *          whole frames at a time, or, once something cannot be a frame, all that follows. It answers errors by itself; its
 *          frames join our reply queue. Message bytes are gathered here and not by wslay, which would hold one heap block a fragment
 */
#include <stdlib.h>

#include "http/ws_private.h"

static ssize_t on_want_bytes(wslay_event_context_ptr w, uint8_t *buf, size_t len, int flags, void *arg)
{
    struct ws_conn *c = arg;
    h2o_buffer_t *in = c->sock->input;

    (void)flags;
    if (in->size == 0 || c->turn_bytes == 0 || (!c->rare_all && c->rare_left == 0) || ws_is_paused(c)) {
        wslay_event_set_error(w, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    if (len > in->size)
        len = in->size;
    if (len > c->turn_bytes)
        len = c->turn_bytes;
    if (!c->rare_all && len > c->rare_left)
        len = c->rare_left;
    c->rare_left -= c->rare_all ? 0 : len;
    c->turn_bytes -= len;
    memcpy(buf, in->bytes, len);
    h2o_buffer_consume(&c->sock->input, len);
    return (ssize_t)len;
}

/* wslay's own frames: pongs, our pings, close. It gives header and payload one after the other: they become one message, or
 * one that another thread sends would come between them. */
static ssize_t on_have_bytes(wslay_event_context_ptr w, const uint8_t *data, size_t len, int flags, void *arg)
{
    static const uint8_t close_1002[] = {0x88, 2, 0x03, 0xea};
    struct ws_conn *c = arg;
    enum ws_push rc = WS_PUSH_NOMEM;
    size_t taken = len;
    struct ws_msg *m;

    if (c->is_broken && len == 2 && data[0] == 0x88 && data[1] == 0) { /* the peer shall hear why */
        data = close_1002;
        len = sizeof(close_1002);
    }
    if ((flags & WSLAY_MSG_MORE) && c->n_head + len <= sizeof(c->head)) {
        memcpy(c->head + c->n_head, data, len);
        c->n_head += len;
        return (ssize_t)taken;
    }
    m = ws_msg_new(c->n_head + len);
    if (m) {
        memcpy(ws_msg_data(m), c->head, c->n_head);
        memcpy(ws_msg_data(m) + c->n_head, data, len);
        ws_msg_seal_raw(m, c->n_head + len);
        c->n_head = 0;
        pthread_mutex_lock(&c->lock);
        rc = ws_out_push(&c->out, WS_REPLY, m);
        pthread_mutex_unlock(&c->lock);
        ws_msg_unref(m);
    }
    if (rc != WS_PUSHED) {
        wslay_event_set_error(w, WSLAY_ERR_CALLBACK_FAILURE);
        return -1;
    }
    return (ssize_t)taken;
}

static void refuse_message(struct ws_conn *c, uint16_t code)
{
    wslay_event_queue_close(c->wslay, code, NULL, 0);
    wslay_event_shutdown_read(c->wslay);
}

static void on_frame_start(wslay_event_context_ptr w, const struct wslay_event_on_frame_recv_start_arg *f,
                           void *arg)
{
    struct ws_conn *c = arg;

    (void)w;
    c->in.in_control = wslay_is_ctrl_frame(f->opcode);
    if (f->opcode == WSLAY_CONNECTION_CLOSE && f->payload_length == 1) /* half a code */
        refuse_message(c, WSLAY_CODE_PROTOCOL_ERROR);
    if (c->in.in_control)
        return;
    if (f->opcode != WSLAY_CONTINUATION_FRAME) {
        c->in.len = 0;
        c->in.op = f->opcode == WSLAY_TEXT_FRAME ? WS_TEXT : WS_BINARY;
    }
    if (f->payload_length > c->cfg.max_message_bytes - c->in.len)
        refuse_message(c, WSLAY_CODE_MESSAGE_TOO_BIG);
}

static void on_frame_chunk(wslay_event_context_ptr w, const struct wslay_event_on_frame_recv_chunk_arg *f,
                           void *arg)
{
    struct ws_conn *c = arg;

    if (c->in.in_control || !f->data_length || !wslay_event_get_read_enabled(w))
        return;
    if (!ws_inbuf_reserve(&c->in, f->data_length, c->cfg.max_message_bytes)) {
        refuse_message(c, WSLAY_CODE_INTERNAL_SERVER_ERROR);
        return;
    }
    memcpy(c->in.data + c->in.len, f->data, f->data_length);
    c->in.len += f->data_length;
}

static void on_msg(wslay_event_context_ptr w, const struct wslay_event_on_msg_recv_arg *m, void *arg)
{
    struct ws_conn *c = arg;

    if (!wslay_is_ctrl_frame(m->opcode) && wslay_event_get_read_enabled(w))
        ws_take_message(c, slice_of(c->in.data, c->in.len));
}

bool ws_rare_begin(struct ws_conn *c)
{
    static const struct wslay_event_callbacks callbacks = {.recv_callback = on_want_bytes,
                                                           .send_callback = on_have_bytes,
                                                           .on_frame_recv_start_callback = on_frame_start,
                                                           .on_frame_recv_chunk_callback = on_frame_chunk,
                                                           .on_msg_recv_callback = on_msg};

    if (c->wslay)
        return true;
    if (wslay_event_context_server_init(&c->wslay, &callbacks, c) != 0) {
        c->wslay = NULL;
        return false;
    }
    wslay_event_config_set_no_buffering(c->wslay, 1);
    wslay_event_config_set_max_recv_msg_length(c->wslay, c->cfg.max_message_bytes);
    return true;
}

void ws_rare_free(struct ws_conn *c)
{
    if (c->wslay)
        wslay_event_context_free(c->wslay);
    c->wslay = NULL;
}

/* A frame that cannot be one is the end: wslay queues a close frame without a code and reads no further. */
void ws_rare_recv(struct ws_conn *c)
{
    if (!wslay_event_get_read_enabled(c->wslay) || wslay_event_recv(c->wslay) == 0)
        return;
    c->is_broken = true;
    wslay_event_shutdown_read(c->wslay);
}

bool ws_rare_send(struct ws_conn *c)
{
    return !c->wslay || !wslay_event_want_write(c->wslay) || wslay_event_send(c->wslay) == 0;
}

bool ws_rare_close(struct ws_conn *c, uint16_t code, const char *reason)
{
    if (!ws_rare_begin(c))
        return false;
    wslay_event_queue_close(c->wslay, code, (const uint8_t *)reason, strlen(reason));
    return true;
}

bool ws_rare_refuse(struct ws_conn *c, uint16_t code)
{
    if (!ws_rare_begin(c))
        return false;
    refuse_message(c, code);
    return true;
}

bool ws_rare_reads(const struct ws_conn *c)
{
    return !c->wslay || wslay_event_get_read_enabled(c->wslay);
}

bool ws_rare_has_said_close(const struct ws_conn *c)
{
    return c->wslay && wslay_event_get_close_sent(c->wslay);
}

size_t ws_rare_waiting(const struct ws_conn *c)
{
    return !c->wslay ? 0
                     : wslay_event_get_queued_msg_length(c->wslay) +
                           WS_OUT_ITEM_COST * wslay_event_get_queued_msg_count(c->wslay);
}

uint16_t ws_rare_final_code(const struct ws_conn *c)
{
    if (c->wslay && wslay_event_get_close_received(c->wslay))
        return wslay_event_get_status_code_received(c->wslay);
    if (ws_rare_has_said_close(c))
        return wslay_event_get_status_code_sent(c->wslay);
    return 1006;
}
