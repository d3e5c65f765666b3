/* ws_private.h: a WebSocket connection's inside
 * Owner:   fields under "any thread" by the lock; all else by the server thread
 */
#ifndef HTTP_WS_PRIVATE_H
#define HTTP_WS_PRIVATE_H

#include <wslay/wslay.h>

#include "http/http_private.h"
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
    bool posted;    /* the wake-up is in the thread's inbox, though the thread may have looked meanwhile for another reason */
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
    struct list link;
    enum ws_state state;
    h2o_socket_t *sock;
    struct http_peer *peer;
    wslay_event_context_ptr wslay;
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
void ws_io_upgraded(void *arg, h2o_socket_t *sock, size_t reqsize);
/* Reads, answers, writes: whatever can be done now. May end the connection. */
void ws_io_run(struct ws_conn *c);
void ws_io_die(struct ws_conn *c);

#endif
