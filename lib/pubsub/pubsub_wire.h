/* pubsub_wire.h: gossipsub's RPC on the wire: field numbers and limits, nothing else
 * Source:  libp2p specs pubsub/README.md, gossipsub v1.0, v1.1 (PRUNE peers, backoff), v1.2 (IDONTWANT), v1.3
 *          (extensions);
 *          numbers from 100 up are the coded extension's (docs/PROTOCOL.md). Unknown fields are skipped everywhere
 */
#ifndef PUBSUB_PUBSUB_WIRE_H
#define PUBSUB_PUBSUB_WIRE_H

enum rpc_field { RPC_F_SUBSCRIPTIONS = 1, RPC_F_PUBLISH = 2, RPC_F_CONTROL = 3, RPC_F_EXTENSION = 100, RPC_F_NEED = 105 };
enum need_field { NEED_F_TOPIC = 1 };
enum subopts_field { SUBOPTS_F_SUBSCRIBE = 1, SUBOPTS_F_TOPIC = 2 };
enum message_field {
    MESSAGE_F_FROM = 1,
    MESSAGE_F_DATA = 2,
    MESSAGE_F_SEQNO = 3,
    MESSAGE_F_TOPIC = 4,
    MESSAGE_F_SIGNATURE = 5,
    MESSAGE_F_KEY = 6
};
enum control_field {
    CONTROL_F_IHAVE = 1,
    CONTROL_F_IWANT = 2,
    CONTROL_F_GRAFT = 3,
    CONTROL_F_PRUNE = 4,
    CONTROL_F_IDONTWANT = 5,
    CONTROL_F_EXTENSIONS = 6
};
/* v1.3: what a peer can do beyond its version's messages. The test extension's number is also that of its RPC field. */
enum extensions_field { EXTENSIONS_F_TEST = 6492434 };
enum ihave_field { IHAVE_F_TOPIC = 1, IHAVE_F_IDS = 2 };
enum ids_field { IDS_F_IDS = 1 }; /* IWANT and IDONTWANT */
enum graft_field { GRAFT_F_TOPIC = 1 };
enum prune_field { PRUNE_F_TOPIC = 1, PRUNE_F_PEERS = 2, PRUNE_F_BACKOFF = 3 };
enum peer_info_field { PEER_INFO_F_ID = 1, PEER_INFO_F_RECORD = 2 };

#define MESSAGE_SIGN_PREFIX  "libp2p-pubsub:"
#define MESSAGE_SEQNO_BYTES  8
#define MESSAGE_ID_MAX       64 /* bytes of an id that we look at; longer ones are nobody's */

/* What one RPC may hold. RPC_ITEMS_MAX and RPC_IDS_MAX are about abuse: a frame beyond them is refused whole. */
#define RPC_ITEMS_MAX 20000 /* subscriptions, messages, control entries and extension fields together */
#define RPC_IDS_MAX   20000 /* message ids, and peers of PRUNEs */

/* js-libp2p answers all that one RPC asks for in one RPC, however large. So we ask for no more at a time than this, or for
 * one message if that may be larger; whoever bounds inbound RPCs leaves this much room beside the largest message. */
#define IWANT_ANSWER_BYTES (1u << 20)

#endif
