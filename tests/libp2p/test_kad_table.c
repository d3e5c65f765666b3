#include "vec.h"

#include "base/rng.h"
#include "libp2p/kad_store.h"
#include "libp2p/kad_table.h"

#define SEC 1000000000ull

static struct peer_id id_of(unsigned i)
{
    uint8_t key[32] = {(uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16), 9};
    struct peer_id id;

    peer_id_from_ed25519(&id, key);
    return id;
}

static void test_kad_key_is_the_sha256_of_the_id(void **state)
{
    json_t *root = vec_load("kad_dht.json"), *v;
    size_t i;

    json_array_foreach(vec_get(root, "kad_ids"), i, v)
    {
        struct bytes id = vec_hex(v, "multihash"), want = vec_hex(v, "sha256");
        struct kad_key k = kad_key_of(bytes_slice(id));
        assert_slice(slice_of(k.b, sizeof(k.b)), bytes_slice(want));
        free(id.p);
        free(want.p);
    }
    json_decref(root);
}

static void test_kad_key_compares_by_xor(void **state)
{
    struct kad_key t = {{0x80}}, a = {{0x81}}, b = {{0x00}}, c = {{0x80}};

    assert_true(kad_key_compare(&t, &a, &b) < 0);
    assert_true(kad_key_compare(&t, &b, &a) > 0);
    assert_int_equal(kad_key_compare(&t, &a, &a), 0);
    assert_int_equal(kad_key_common_bits(&t, &a), 7);
    assert_int_equal(kad_key_common_bits(&t, &b), 0);
    assert_int_equal(kad_key_common_bits(&t, &c), KAD_KEY_BITS);
}

/* 2,000 come; the far bucket keeps the first KAD_K, and nobody pushes them out while they answer. */
static void test_kad_table_keeps_who_came_first(void **state)
{
    struct kad_table t;
    struct peer_id self = id_of(0), first = {0}, late = {0};
    unsigned in_far = 0;

    kad_table_init(&t, &self);
    assert_false(kad_table_add(&t, &self, 0));
    for (unsigned i = 1; i <= 2000; i++) {
        struct peer_id id = id_of(i);
        struct kad_key key = kad_key_of(peer_id_slice(&id));
        bool is_far = kad_key_common_bits(&t.self, &key) == 0, is_in = kad_table_add(&t, &id, i);
        in_far += is_far && is_in;
        if (is_far && is_in && !first.len)
            first = id;
        if (is_far && !is_in)
            late = id;
    }
    assert_int_equal(in_far, KAD_K);
    assert_true(t.count > 100 && t.count < 220);
    assert_true(kad_table_has(&t, &first));
    assert_false(kad_table_add(&t, &late, KAD_STALE_NS));
    assert_true(kad_table_add(&t, &late, KAD_STALE_NS + 2000 * SEC)); /* the quietest makes way */
    assert_false(kad_table_has(&t, &first));
    kad_table_fini(&t);
}

static void test_kad_table_drops_who_does_not_answer(void **state)
{
    struct kad_table t;
    struct peer_id self = id_of(0), a = id_of(1);

    kad_table_init(&t, &self);
    kad_table_add(&t, &a, 0);
    kad_table_failed(&t, &a);
    assert_true(kad_table_has(&t, &a));
    kad_table_add(&t, &a, 1); /* it answered: the count begins anew */
    kad_table_failed(&t, &a);
    kad_table_failed(&t, &a);
    assert_false(kad_table_has(&t, &a));
    assert_int_equal(t.count, 0);
    kad_table_fini(&t);
}

/* Against a plain search over all that are in it. */
static void test_kad_table_finds_the_nearest(void **state)
{
    struct kad_table t;
    struct peer_id self = id_of(0);
    struct kad_entry near[KAD_K];

    kad_table_init(&t, &self);
    for (unsigned i = 1; i <= 300; i++) {
        struct peer_id id = id_of(i);
        kad_table_add(&t, &id, 0);
    }
    for (unsigned i = 0; i < 50; i++) {
        struct peer_id target = id_of(1000 + i), except = id_of(1 + i);
        struct kad_key key = kad_key_of(peer_id_slice(&target));
        unsigned n = kad_table_closest(&t, &key, &except, near, KAD_K), nearer = 0;
        assert_int_equal(n, KAD_K);
        for (unsigned j = 1; j < n; j++)
            assert_true(kad_key_compare(&key, &near[j - 1].key, &near[j].key) < 0);
        for (unsigned j = 1; j <= 300; j++) {
            struct peer_id id = id_of(j);
            struct kad_key k = kad_key_of(peer_id_slice(&id));
            nearer += j != 1 + i && kad_table_has(&t, &id) && kad_key_compare(&key, &k, &near[n - 1].key) <= 0;
        }
        assert_int_equal(nearer, KAD_K);
    }
    kad_table_fini(&t);
}

static void test_kad_table_says_which_bucket_is_stale(void **state)
{
    struct kad_table t;
    struct peer_id self = id_of(0);
    unsigned b = 0;

    kad_table_init(&t, &self);
    assert_false(kad_table_stale(&t, SEC, &b, 100 * SEC));
    for (unsigned i = 1; i <= 64; i++) {
        struct peer_id id = id_of(i);
        kad_table_add(&t, &id, 0);
    }
    assert_true(kad_table_stale(&t, SEC, &b, 100 * SEC));
    assert_int_equal(b, 0);
    for (unsigned i = 1; i <= 64; i++) { /* a lookup of each */
        struct peer_id id = id_of(i);
        struct kad_key key = kad_key_of(peer_id_slice(&id));
        kad_table_looked_up(&t, &key, 100 * SEC);
    }
    kad_table_looked_up(&t, &t.self, 100 * SEC);
    assert_false(t.buckets[0] && kad_table_stale(&t, SEC, &b, 100 * SEC) && b == 0);
    b = 0;
    assert_true(kad_table_stale(&t, SEC, &b, 200 * SEC));
    kad_table_fini(&t);
}

static void test_kad_store_bounds_each_peer_and_all(void **state)
{
    struct kad_store *s = calloc(1, sizeof(*s));
    struct peer_id flood = id_of(1), honest = id_of(2), got[KAD_K];
    uint8_t key[KAD_PROVIDE_KEY_MAX + 1] = {0};

    assert_true(kad_store_provide(s, slice_of("key", 3), &honest, 0));
    for (unsigned i = 0; i < 10 * KAD_PROVIDERS; i++) {
        memcpy(key, &i, sizeof(i));
        assert_true(kad_store_provide(s, slice_of(key, 8), &flood, 1 + i));
    }
    assert_int_equal(kad_store_providers(s, slice_of("key", 3), got, KAD_K, SEC), 1);
    assert_true(peer_id_is_equal(&got[0], &honest));
    assert_true(kad_store_provide(s, slice_of("key", 3), &honest, 5 * SEC)); /* again: once in it, and longer */
    assert_int_equal(kad_store_providers(s, slice_of("key", 3), got, KAD_K, KAD_PROVIDE_NS + SEC), 1);
    assert_int_equal(kad_store_providers(s, slice_of("key", 3), got, KAD_K, KAD_PROVIDE_NS + 5 * SEC), 0);
    assert_false(kad_store_provide(s, slice_of(key, sizeof(key)), &honest, 0));
    assert_false(kad_store_provide(s, slice_of(key, 0), &honest, 0));
    free(s);
}

static void test_kad_store_takes_public_keys_alone(void **state)
{
    static const uint8_t protobuf[36] = {8, 1, 18, 32, 5};
    struct kad_store *s = calloc(1, sizeof(*s));
    uint8_t key[4 + PEER_ID_MAX] = "/pk/", other[4 + PEER_ID_MAX] = "/pk/";
    struct peer_id id;
    struct slice k;

    peer_id_from_key(&id, slice_of(protobuf, sizeof(protobuf)));
    memcpy(key + 4, id.bytes, id.len);
    k = slice_of(key, 4u + id.len);
    assert_int_equal(kad_store_get(s, k, 0).len, 0);
    assert_true(kad_store_put(s, k, slice_of(protobuf, sizeof(protobuf)), 0));
    assert_slice(kad_store_get(s, k, 1), slice_of(protobuf, sizeof(protobuf)));
    assert_int_equal(kad_store_get(s, k, KAD_VALUE_NS).len, 0);
    memcpy(other + 4, id.bytes, id.len);
    other[20] ^= 1; /* another's id */
    assert_false(kad_store_put(s, slice_of(other, k.len), slice_of(protobuf, sizeof(protobuf)), 0));
    assert_false(kad_store_put(s, slice_of("/v/key", 6), slice_of("value", 5), 0));
    for (unsigned i = 0; i < 2 * KAD_VALUES; i++) {
        uint8_t p[36] = {8, 1, 18, 32, 1, (uint8_t)i};
        peer_id_from_key(&id, slice_of(p, sizeof(p)));
        memcpy(key + 4, id.bytes, id.len);
        assert_true(kad_store_put(s, slice_of(key, 4u + id.len), slice_of(p, sizeof(p)), 10 + i));
    }
    assert_int_equal(kad_store_get(s, slice_of(key, 4u + id.len), 1).len, 36);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kad_key_is_the_sha256_of_the_id),
        cmocka_unit_test(test_kad_key_compares_by_xor),
        cmocka_unit_test(test_kad_table_keeps_who_came_first),
        cmocka_unit_test(test_kad_table_drops_who_does_not_answer),
        cmocka_unit_test(test_kad_table_finds_the_nearest),
        cmocka_unit_test(test_kad_table_says_which_bucket_is_stale),
        cmocka_unit_test(test_kad_store_bounds_each_peer_and_all),
        cmocka_unit_test(test_kad_store_takes_public_keys_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
