#include "vec.h"

#include "base/wr.h"
#include "crypto/spki.h"

static json_t *root;

/* The key inside a PublicKey protobuf, of which only the one at its end is asked. */
static struct slice key_of(struct bytes pb)
{
    size_t head = pb.p[3] & 0x80 ? 5 : 4; /* 08 type 12 length */

    return slice_of(pb.p + head, pb.len - head);
}

static json_t *named(const char *list, const char *name)
{
    json_t *v;
    size_t i;

    json_array_foreach(vec_get(root, list), i, v)
        if (strcmp(vec_str(v, "name"), name) == 0)
            return v;
    fail_msg("no vector %s", name);
    return NULL;
}

struct signed_one {
    struct bytes pb, message, signature;
    struct slice key;
    enum spki_type type;
};

static struct signed_one load(const char *name)
{
    json_t *v = named("vectors", name);
    struct signed_one s = {vec_hex(v, "public_protobuf"), vec_hex(v, "message"), vec_hex(v, "signature"), {NULL, 0}, SPKI_RSA};

    s.key = key_of(s.pb);
    s.type = strcmp(vec_str(v, "type"), "RSA") == 0 ? SPKI_RSA : SPKI_P256;
    return s;
}

static void unload(struct signed_one *s)
{
    free(s->pb.p), free(s->message.p), free(s->signature.p);
}

static const char *const names[] = {"go-ecdsa-p256-1", "rust-ecdsa-p256", "go-rsa-2048"};

static void test_spki_refuses_what_was_not_signed(void **state)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct signed_one s = load(names[i]);
        struct slice m = bytes_slice(s.message);

        assert_int_equal(spki_check(s.type, s.key), 0);
        assert_int_equal(spki_verify(s.type, s.key, m, bytes_slice(s.signature)), 0);
        assert_int_equal(spki_verify(s.type, s.key, slice_of(m.p, m.len - 1), bytes_slice(s.signature)), -CRYPTO_EAUTH);
        for (size_t n = 0; n < s.signature.len; n++) {
            struct bytes cut = vec_copy(slice_of(s.signature.p, n));
            assert_int_equal(spki_verify(s.type, s.key, m, bytes_slice(cut)), -CRYPTO_EAUTH);
            free(cut.p);
        }
        for (size_t at = 0; at < s.signature.len; at++) {
            s.signature.p[at] ^= 1 << at % 8;
            assert_int_equal(spki_verify(s.type, s.key, m, bytes_slice(s.signature)), -CRYPTO_EAUTH);
            s.signature.p[at] ^= 1 << at % 8;
        }
        unload(&s);
    }
}

static void test_spki_refuses_each_truncation_and_flip_of_a_key(void **state)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct signed_one s = load(names[i]);

        for (size_t n = 0; n < s.key.len; n++) {
            struct bytes cut = vec_copy(slice_of(s.key.p, n));
            assert_int_equal(spki_check(s.type, bytes_slice(cut)), -CRYPTO_EKEY);
            assert_int_equal(spki_verify(s.type, bytes_slice(cut), bytes_slice(s.message), bytes_slice(s.signature)), -CRYPTO_EKEY);
            free(cut.p);
        }
        for (size_t at = 0; at < s.key.len; at++) {
            struct bytes copy = vec_copy(s.key);
            copy.p[at] ^= 1 << at % 8;
            assert_true(spki_verify(s.type, bytes_slice(copy), bytes_slice(s.message), bytes_slice(s.signature)) < 0);
            free(copy.p);
        }
        struct bytes longer = {malloc(s.key.len + 1), s.key.len + 1};
        memcpy(longer.p, s.key.p, s.key.len);
        longer.p[s.key.len] = 0;
        assert_int_equal(spki_check(s.type, bytes_slice(longer)), -CRYPTO_EKEY);
        free(longer.p);
        unload(&s);
    }
}

static void test_spki_types_are_not_mixed(void **state)
{
    struct signed_one rsa = load("go-rsa-2048"), p256 = load("go-ecdsa-p256-1");

    assert_int_equal(spki_check(SPKI_P256, rsa.key), -CRYPTO_EKEY);
    assert_int_equal(spki_check(SPKI_RSA, p256.key), -CRYPTO_EKEY);
    unload(&rsa), unload(&p256);
}

static void put_head(struct wr *w, uint8_t tag, size_t len)
{
    uint8_t head[4] = {tag, 0x82, (uint8_t)(len >> 8), (uint8_t)len};

    if (len < 0x80)
        wr_bytes(w, (uint8_t[]){tag, (uint8_t)len}, 2);
    else if (len < 0x100)
        wr_bytes(w, (uint8_t[]){tag, 0x81, (uint8_t)len}, 3);
    else
        wr_bytes(w, head, 4);
}

/* An RSA key whose modulus has so many bits, and whose lowest byte is `low`. */
static struct slice rsa_of(uint8_t *out, unsigned bits, uint8_t low, struct slice e)
{
    static const uint8_t algorithm[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};
    uint8_t n[1100] = {0}, pair[1200], outer[1300];
    struct wr p = wr_of(pair, sizeof(pair)), o = wr_of(outer, sizeof(outer)), w = wr_of(out, 1400);
    size_t bytes = (bits + 7) / 8, pad = bits % 8 == 0;

    n[pad] = (uint8_t)(1u << (bits - 1) % 8);
    n[pad + bytes - 1] |= low;
    put_head(&p, 0x02, pad + bytes);
    wr_bytes(&p, n, pad + bytes);
    put_head(&p, 0x02, e.len);
    wr_slice(&p, e);
    wr_bytes(&o, algorithm, sizeof(algorithm));
    size_t seq = p.len + (p.len < 0x80 ? 2 : p.len < 0x100 ? 3 : 4);
    put_head(&o, 0x03, 1 + seq);
    wr_bytes(&o, "", 1);
    put_head(&o, 0x30, p.len);
    wr_bytes(&o, pair, p.len);
    put_head(&w, 0x30, o.len);
    wr_bytes(&w, outer, o.len);
    assert_false(p.bad || o.bad || w.bad);
    return slice_of(out, w.len);
}

static void test_spki_rsa_sizes_are_bounded(void **state)
{
    static const struct {
        unsigned bits;
        uint8_t low;
        const char *e;
        int want;
    } table[] = {
        {2048, 1, "010001", 0},
        {2049, 1, "010001", 0},
        {8192, 1, "010001", 0},
        {2048, 1, "03", 0},
        {2048, 1, "01ffff", 0},
        {2047, 1, "010001", -CRYPTO_EKEY},
        {512, 1, "010001", -CRYPTO_EKEY},
        {8193, 1, "010001", -CRYPTO_EKEY},
        {8704, 1, "010001", -CRYPTO_EKEY},
        {2048, 2, "010001", -CRYPTO_EKEY}, /* even */
        {2048, 1, "01", -CRYPTO_EKEY},     /* anybody could sign */
        {2048, 1, "02", -CRYPTO_EKEY},
        {2048, 1, "010000", -CRYPTO_EKEY},
        {2048, 1, "020001", -CRYPTO_EKEY}, /* dear */
        {2048, 1, "7fffffff", -CRYPTO_EKEY},
        {2048, 1, "0100000001", -CRYPTO_EKEY},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct bytes e = vec_unhex(table[i].e);
        uint8_t out[1400], signature[1100] = {1};
        struct slice key = rsa_of(out, table[i].bits, table[i].low, bytes_slice(e));

        assert_int_equal(spki_check(SPKI_RSA, key), table[i].want);
        assert_int_equal(spki_verify(SPKI_RSA, key, SLICE_LIT("m"), slice_of(signature, (table[i].bits + 7) / 8)),
                         table[i].want ? table[i].want : -CRYPTO_EAUTH);
        free(e.p);
    }
}

static void test_spki_point_off_the_curve_is_no_key(void **state)
{
    struct signed_one s = load("go-ecdsa-p256-1");

    s.pb.p[s.pb.len - 1] ^= 1;
    assert_int_equal(spki_verify(SPKI_P256, s.key, bytes_slice(s.message), bytes_slice(s.signature)), -CRYPTO_EKEY);
    unload(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spki_refuses_what_was_not_signed),
        cmocka_unit_test(test_spki_refuses_each_truncation_and_flip_of_a_key),
        cmocka_unit_test(test_spki_types_are_not_mixed),
        cmocka_unit_test(test_spki_rsa_sizes_are_bounded),
        cmocka_unit_test(test_spki_point_off_the_curve_is_no_key),
    };
    int rc;

    root = vec_load("key_types.json");
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(root);
    return rc;
}
