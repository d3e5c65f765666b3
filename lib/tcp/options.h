/* options.h: TCP options read and written
 * Shape:   option bytes <-> struct tcp_options
 * Source:  RFC 9293 3.1, RFC 7323, RFC 2018, RFC 2883
 * Errors:  parse: 0, or -1 when an option's length contradicts itself or the space; unknown options are skipped
 */
#ifndef TCP_OPTIONS_H
#define TCP_OPTIONS_H

#include "base/slice.h"
#include "tcp/seqset.h"
#include "tcp/tcp_wire.h"

struct tcp_options {
    bool has_mss, has_wscale, has_sack_ok, has_ts;
    uint8_t wscale; /* at most TCP_WSCALE_MAX */
    uint16_t mss;
    uint32_t ts_val, ts_ecr;
    uint8_t sack_count;
    struct seq_range sack[TCP_SACK_BLOCKS]; /* as received: not checked */
};

int tcp_options_parse(struct tcp_options *o, struct slice bytes);
/* Writes in the usual order, padded to four bytes; returns the length. SACK blocks that no longer fit in
 * TCP_OPT_MAX are left out. */
unsigned tcp_options_build(uint8_t out[TCP_OPT_MAX], const struct tcp_options *o);

#endif
