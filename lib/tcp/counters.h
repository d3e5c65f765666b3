/* counters.h: what a TCP stack counts; every drop has its name here
 * Owner:   the stack's lcore writes; others read a copy
 */
#ifndef TCP_COUNTERS_H
#define TCP_COUNTERS_H

#include <stdint.h>

#define TCP_COUNTERS(X)                                                                                      \
    /* traffic */                                                                                            \
    X(rx_frames)       /* frames given to the stack */                                                       \
    X(rx_bytes)        /* their bytes */                                                                     \
    X(rx_segments)     /* TCP segments that passed all checks of form */                                     \
    X(rx_data_bytes)   /* payload inside the window and new to us */                                           \
    X(tx_segments)     /* TCP segments handed out; a GSO one counts once */                                  \
    X(tx_data_bytes)   /* payload handed out, retransmissions included */                                    \
    X(tx_rtx_segments) /* of these: retransmissions */                                                       \
    X(tx_rtx_bytes)    /* their payload */                                                                   \
    X(tx_failed)       /* segments the caller could not send */                                              \
    X(tx_rst)          /* resets sent */                                                                     \
    X(tx_challenge)    /* challenge ACKs (RFC 5961) */                                                       \
    /* connections */                                                                                        \
    X(conn_active)      /* tcp_connect calls that began */                                                   \
    X(conn_passive)     /* SYNs that made a half-open connection */                                          \
    X(conn_established) /* handshakes that ended well */                                                     \
    X(conn_reset)       /* ended by the peer's RST */                                                        \
    X(conn_timeout)     /* ended by our own patience */                                                      \
    X(conn_refused)     /* RST or port-unreachable to our SYN */                                             \
    X(conn_aborted)     /* tcp_abort */                                                                      \
    X(syncookie_sent)     /* SYNs answered without remembering them: no room for half-open ones */              \
    X(syncookie_accepted) /* connections made of the ACK that brought one back */                           \
    X(syncookie_early)    /* what overtook such an ACK: dropped, its peer sends it again */                    \
    X(syncookie_failed)   /* ACKs to a listener that brought none of ours */                                \
    X(timewait_reused)  /* TIME_WAIT left early for a newer connection (RFC 6191) */                         \
    /* recovery */                                                                                           \
    X(rto_fired)       /* retransmission timeouts */                                                         \
    X(fast_recovery)   /* recoveries entered by SACK or duplicate ACKs */                                    \
    X(ecn_agreed)      /* handshakes that agreed on congestion marks (RFC 3168) */                           \
    X(ecn_marks)       /* marked packets received */                                                         \
    X(ecn_reduced)     /* windows reduced for marks echoed by the peer */                                    \
    X(pace_late)       /* bursts for which the loop came too late to make up for it */                       \
    X(tail_probes)     /* tail loss probes sent (RFC 8985) */                                                \
    X(repair_probes)   /* probes while a loss was being repaired */                                            \
    X(probe_repaired)  /* of these: repaired a loss that nothing else told of */                             \
    X(reordering_seen) /* connections whose path was found to reorder */                                     \
    X(rtx_lost_again)  /* retransmissions found lost without a timeout */                                    \
    X(spurious_undone) /* window reductions taken back (RFC 3522) */                                         \
    X(sack_reneged)    /* peers that took back a SACK */                                                     \
    X(dsack_seen)      /* duplicate SACKs received (RFC 2883) */                                             \
    X(probe_sent)      /* zero-window probes */                                                              \
    X(pmtu_lowered)    /* smaller packets because a router said so */                                        \
    X(pmtu_blackhole)  /* smaller packets because full ones timed out in silence */                          \
    X(pmtu_raised)     /* larger packets tried again */                                                      \
    X(keepalive_sent)  /* keepalive probes */                                                                \
    X(neigh_moved)     /* known neighbours that turned out to have another MAC */                            \
    /* drops: form */                                                                                        \
    X(drop_eth_short)   /* no whole Ethernet header */                                                       \
    X(drop_eth_type)    /* neither IP nor ARP */                                                             \
    X(drop_eth_dst)     /* not our MAC nor broadcast */                                                      \
    X(drop_arp_form)    /* malformed ARP */                                                                  \
    X(drop_arp_other)   /* ARP about others */                                                               \
    X(drop_nd_form)     /* malformed Neighbour Discovery */                                                  \
    X(drop_nd_other)    /* ND about others, or that proves nothing */                                        \
    X(drop_ip_form)     /* header length, version, total length */                                           \
    X(drop_ip_csum)     /* header checksum */                                                                \
    X(drop_ip_dst)      /* not our address */                                                                \
    X(drop_ip_src)      /* a source no host may have */                                                      \
    X(drop_ip_fragment) /* fragments: our peers' TCP sets DF */                                              \
    X(drop_ip_proto)    /* neither TCP nor ICMP */                                                           \
    X(drop_icmp_form)   /* malformed, of no use, or about no conn of ours */                                 \
    X(drop_icmp_rate)   /* echo beyond the rate or the queue */                                              \
    X(drop_tcp_form)    /* header length or options */                                                       \
    X(drop_tcp_csum)    /* checksum */                                                                       \
    X(drop_tcp_port)    /* nobody listens; answered by RST when the address is ours alone */                 \
    /* drops: limits */                                                                                      \
    X(drop_conn_full)     /* connection table full */                                                        \
    X(drop_backlog)       /* half-open evicted or refused by the backlog */                                  \
    X(drop_half_open)     /* half-open timed out, refused or reset */                                        \
    X(drop_rx_memory)     /* receive pool exhausted */                                                       \
    X(drop_ooo_limit)     /* out-of-order pieces or ranges beyond the bound */                               \
    X(drop_ctl_full)      /* queue of RST, ARP and ICMP replies full */                                      \
    X(drop_rst_rate)      /* resets to strangers beyond the rate */                                          \
    X(drop_neigh_full)    /* neighbour cache full of entries in use */                                       \
    X(drop_neigh_unknown) /* reply needed a neighbour nobody knows */                                        \
    X(drop_timewait_full) /* oldest TIME_WAIT evicted */                                                     \
    /* drops: TCP rules */                                                                                   \
    X(drop_window)       /* sequence outside the window */                                                   \
    X(drop_paws)         /* old timestamp (RFC 7323) */                                                      \
    X(drop_no_timestamp) /* timestamp missing though agreed */                                               \
    X(drop_ack)          /* ACK of what was never sent, or too old (RFC 5961) */                             \
    X(drop_no_ack)       /* segment without ACK in a synchronized state */                                   \
    X(drop_syn)          /* SYN inside a connection */                                                       \
    X(drop_rst)          /* RST that did not match exactly */                                                \
    X(drop_duplicate)    /* payload already received, bytes */                                               \
    X(drop_beyond)       /* payload beyond our window, bytes */                                              \
    X(drop_after_close)  /* payload after their FIN, segments */                                            \
    X(drop_timewait)     /* segments to TIME_WAIT, answered or not */                                        \
    X(drop_ack_rate)     /* answers to bad segments not sent: beyond the rate */

struct tcp_counters {
#define TCP_COUNTER_FIELD(name) uint64_t name;
    TCP_COUNTERS(TCP_COUNTER_FIELD)
#undef TCP_COUNTER_FIELD
};

#endif
