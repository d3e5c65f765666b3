/* kad_store.h: what a DHT server keeps for others: who provides a key, and public keys
 * Shape:   ADD_PROVIDER, PUT_VALUE -> kept or refused; key -> providers, value
 * Source:  libp2p specs kad-dht, "Content routing" and "Value routing". Of values only "/pk/<id>" can be checked by anyone:
 *          the value must hash to the id. All others are refused, as by any server without their validator
 * Owner:   one kad core
 * Limits:  KAD_PROVIDERS entries, KAD_PROVIDERS_EACH of one peer, KAD_VALUES values of KAD_VALUE_MAX bytes: the oldest goes
 */
#ifndef LIBP2P_KAD_STORE_H
#define LIBP2P_KAD_STORE_H

#include "libp2p/kad_wire.h"

#define KAD_PROVIDERS       1024
#define KAD_PROVIDERS_EACH  32
#define KAD_PROVIDE_KEY_MAX 80
#define KAD_PROVIDE_NS      (48 * 3600 * 1000000000ull)
#define KAD_VALUES          64
#define KAD_VALUE_MAX       600 /* an RSA key of 4096 bits */
#define KAD_VALUE_NS        (48 * 3600 * 1000000000ull)

struct kad_provider {
    uint8_t key[KAD_PROVIDE_KEY_MAX];
    uint8_t key_len; /* 0: free */
    struct peer_id peer;
    uint64_t expires_ns;
};

struct kad_value {
    struct peer_id id; /* len 0: free */
    uint16_t len;
    uint8_t bytes[KAD_VALUE_MAX];
    uint64_t expires_ns;
};

struct kad_store {
    struct kad_provider providers[KAD_PROVIDERS];
    struct kad_value values[KAD_VALUES];
};

/* False: the key has no acceptable length. */
bool kad_store_provide(struct kad_store *s, struct slice key, const struct peer_id *peer, uint64_t now);
unsigned kad_store_providers(const struct kad_store *s, struct slice key, struct peer_id *out, unsigned cap, uint64_t now);
/* False: not a "/pk/" record, or not the key of that id. */
bool kad_store_put(struct kad_store *s, struct slice key, struct slice value, uint64_t now);
/* Borrowed; len 0: none. */
struct slice kad_store_get(const struct kad_store *s, struct slice key, uint64_t now);

#endif
