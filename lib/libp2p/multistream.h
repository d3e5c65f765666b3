/* multistream.h: multistream-select 1.0, the protocol choice at the head of a connection and of each stream
 * Shape:   bytes -> bytes consumed; state -> bytes to send; ends with one protocol of a list
 * Source:  multistream-select spec; behaviour of go, rust and js as far as they differ
 * Owner:   the connection's lcore
 * Memory:  caller places it (about 200 bytes); input is borrowed until return; the protocol lists are borrowed until
 *          the choice is made and must be immutable. Nothing to fini
 * Errors:  input returns bytes consumed, or -MSS_E…; after an error only drop the stream or connection
 * Limits:  a message is at most 1024 bytes, newline included; names longer than MSS_NAME_MAX are refused unread; at
 *          most MSS_TRIES_MAX refusals; no input is taken while an answer waits to be sent, so a peer that does not
 *          read costs nothing more
 *
 * Use, both roles:
 *     n = mss_x_input(x, in);           consumed bytes; stops at the end of the choice: the rest of `in` is the next
 *                                       layer's and must be handed to it, not dropped
 *     k = mss_x_output(x, out, cap);    until it returns 0; then give input again what is left of `in`
 *     mss_x_is_done(x)                  then mss_x_choice(x) is an index into the list
 * On done the answer may still wait in output: send it before the next layer's first bytes.
 */
#ifndef LIBP2P_MULTISTREAM_H
#define LIBP2P_MULTISTREAM_H

#include <sys/types.h>

#include "base/slice.h"

#define MSS_HEADER      "/multistream/1.0.0"
#define MSS_MESSAGE_MAX 1024 /* bytes after the length, newline included */
#define MSS_NAME_MAX    127  /* bytes of a name that we can match, newline excluded */
#define MSS_TRIES_MAX   64   /* questions a listener answers before it gives up */

enum mss_err {
    MSS_ELENGTH = 1, /* message of length 0, over 1024, or a broken length prefix */
    MSS_ENEWLINE,    /* message without its newline */
    MSS_EHEADER,     /* the listener did not answer with our header */
    MSS_EANSWER,     /* neither our proposal nor na */
    MSS_EREFUSED,    /* na to everything we proposed (or to the one lazy proposal) */
    MSS_ETRIES,      /* the dialer asked too often */
};

const char *mss_err_name(int err);

/* Reads one message: length, text, newline. Part of the two machines below. */
struct mss_reader {
    uint16_t left;  /* bytes of the message not yet read */
    uint16_t kept;  /* bytes in text */
    uint8_t prefix; /* bytes of the length prefix read so far; 0 again in the body */
    bool in_body, is_long;
    char text[MSS_NAME_MAX + 1];
};

struct mss_listener {
    struct mss_reader reader;
    const char *const *names;
    uint16_t count, choice;
    uint8_t state, owed, tries; /* enums of multistream.c */
    bool owes_header;
    uint16_t sent; /* bytes of the owed answers already handed out */
};

/* names: count protocol ids, each at most MSS_NAME_MAX bytes, borrowed; also the answer to ls. */
void mss_listener_init(struct mss_listener *l, const char *const *names, size_t count);
ssize_t mss_listener_input(struct mss_listener *l, struct slice in);
size_t mss_listener_output(struct mss_listener *l, uint8_t *out, size_t cap);
bool mss_listener_is_done(const struct mss_listener *l);
unsigned mss_listener_choice(const struct mss_listener *l); /* only when done */

struct mss_dialer {
    struct mss_reader reader;
    const char *const *names;
    uint16_t count, choice;
    uint8_t state;
    bool owes_header, owes_name;
    uint16_t sent;
};

/* names: in order of preference, borrowed, count >= 1. Output is ready at once: header and first proposal together.
 * is_lazy: the caller will write its first bytes right behind our output, before the answer is in. Only the first
 * name is proposed then, and na is -MSS_EREFUSED, since those bytes cannot be taken back. */
void mss_dialer_init(struct mss_dialer *d, const char *const *names, size_t count, bool is_lazy);
ssize_t mss_dialer_input(struct mss_dialer *d, struct slice in);
size_t mss_dialer_output(struct mss_dialer *d, uint8_t *out, size_t cap);
bool mss_dialer_is_done(const struct mss_dialer *d);
unsigned mss_dialer_choice(const struct mss_dialer *d); /* when done; when lazy always 0 */

#endif
