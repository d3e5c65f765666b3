/* ws_private.h: a WebSocket connection's inside
 * Owner:   fields under "any thread" by the lock; all else by the server thread
 */
#ifndef HTTP_WS_PRIVATE_H
#define HTTP_WS_PRIVATE_H

#include <wslay/wslay.h>

#include "http/http_private.h"
#include "http/ws_frame.h"
#include "http/ws_out.h"

#define WS_BATCH         64
#define WS_BATCH_BYTES   (256u << 10)
#define WS_CLOSE_WAIT_MS 5000
#define WS_REASON_MAX    123

enum ws_state {
    WS_EXPECT_UPGRADE, /* our 101 is on its way */
    WS_EXPECT_FRAMES,
    WS_EXPECT_CLOSE, /* our close frame is queued or out; theirs is not here */
    WS_EXPECT_EOF,   /* both said close: FIN is out, what still comes is thrown away */
    WS_DEAD
};

struct ws_inbuf {
    uint8_t *data;
    size_t len, cap;
    enum ws_opcode op;
    bool in_control; /* the present frame is a control frame */
};

struct ws_conn {
    _Atomic uint32_t refs;
    struct ws_config cfg;
    void *user;
    struct http_thread *th;

    /* any thread */
    pthread_mutex_t lock;
    struct ws_out out;
    bool scheduled; /* the server thread is going to look at out by itself */
    bool parked;    /* but for deliveries alone not before the next round */
    bool posted;    /* the wake-up is in the thread's inbox, though the thread may have looked meanwhile for another reason */
    bool is_due;    /* a turn for another reason than out */
    bool gone;      /* takes nothing more */
    struct {
        uint64_t msgs, bytes;
    } told, noticed; /* drops that the server's counters have; that on_dropped has seen */
    uint16_t close_code;
    char close_reason[WS_REASON_MAX + 1];
    struct http_msg wake;
    _Atomic int holds;
    _Atomic uint64_t in_msgs, in_bytes, out_msgs, out_bytes;

    /* server thread */
    struct list link, parked_link;
    enum ws_state state;
    h2o_socket_t *sock;
    struct http_peer *peer;
    wslay_event_context_ptr wslay; /* NULL: nothing rare has happened yet */
    uint64_t rare_left;            /* bytes of the frame that wslay is reading */
    bool rare_all;                 /* wslay has all that comes */
    bool in_fragments;             /* of a message that is wslay's */
    struct ws_large {
        uint64_t left; /* bytes to come */
        uint8_t mask[4];
    } large; /* a plain frame that is gathered in `in` */
    struct ws_inbuf in;
    uint8_t head[16]; /* of a frame of wslay's whose payload comes next */
    size_t n_head;
    size_t turn_bytes; /* of input that this turn may still take */
    bool is_broken; /* what came was no frame */
    struct ws_msg *inflight[WS_BATCH];
    unsigned n_inflight;
    uint64_t rx_ms, ping_ms, closing_ms;
};

/* Under the lock: what was dropped since the last time, into the server's counters. */
void ws_conn_count_drops(struct ws_conn *c);
/* The server thread runs this connection again once it has been round the others. */
void ws_conn_wake_again(struct ws_conn *c);
/* ws_wakes.c. False: no room for one more thread. */
bool ws_wakes_add(struct ws_wakes *w, struct http_thread *th, struct http_msg *m);
/* Its round has come. */
void ws_conn_unpark(struct ws_conn *c);
/* ws_input.c */
/* Takes what has come, as far as this turn may. False: the connection cannot go on. */
bool ws_input_run(struct ws_conn *c);
/* Lets go of the socket's buffer while it is empty. */
void ws_input_give_back(struct ws_conn *c);
/* What holds the client's input: answers it does not read, or the user. */
bool ws_is_paused(struct ws_conn *c);
/* A whole message, of the kind c->in.op. */
void ws_take_message(struct ws_conn *c, struct slice m);
void ws_push_control(struct ws_conn *c, enum ws_opcode op, struct slice payload);
bool ws_inbuf_reserve(struct ws_inbuf *in, size_t more, size_t max);
/* ws_rare.c. False: no memory. */
bool ws_rare_begin(struct ws_conn *c);
void ws_rare_free(struct ws_conn *c);
void ws_rare_recv(struct ws_conn *c);
bool ws_rare_send(struct ws_conn *c);
bool ws_rare_close(struct ws_conn *c, uint16_t code, const char *reason);
bool ws_rare_refuse(struct ws_conn *c, uint16_t code); /* and reads no further */
bool ws_rare_reads(const struct ws_conn *c);
bool ws_rare_has_said_close(const struct ws_conn *c);
size_t ws_rare_waiting(const struct ws_conn *c); /* bytes that wslay has not given us yet */
uint16_t ws_rare_final_code(const struct ws_conn *c);
void ws_io_upgraded(void *arg, h2o_socket_t *sock, size_t reqsize);
/* The first turn. */
void ws_io_begin(struct ws_conn *c);
/* ws_move.c. True: it is another thread's now, or dead. */
bool ws_move(struct ws_conn *c);
/* Reads, answers, writes: whatever can be done now. May end the connection. */
void ws_io_run(struct ws_conn *c);
/* The same where only deliveries may wait. */
void ws_io_deliver(struct ws_conn *c);
void ws_io_die(struct ws_conn *c);

#endif
