#include "vec.h"

#include "base/rng.h"
#include "crypto/sha256.h"

static void assert_hex(const uint8_t *got, size_t len, const char *want)
{
    char text[129];

    hex_encode(text, slice_of(got, len));
    assert_string_equal(text, want);
}

static void test_sha256_known_answers(void **state)
{
    /* FIPS 180-4 examples */
    static const struct {
        const char *in, *want;
    } table[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    uint8_t out[32];

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        sha256_of(slice_str(table[i].in), out);
        assert_hex(out, 32, table[i].want);
    }
}

/* In pieces, forked, and several at a time: all the same. */
static void test_sha256_pieces_equal_the_whole(void **state)
{
    static uint8_t in[1000];
    struct rng rng;
    struct slice many[100];
    uint8_t whole[100][32], at_once[100][32];

    rng_init_seeded(&rng, 3);
    rng_fill(&rng, in, sizeof(in));
    for (size_t i = 0; i < 100; i++) {
        struct sha256 s, fork;
        uint8_t out[32];
        size_t len = i < 70 ? i : rng_below(&rng, sizeof(in)), cut = len ? rng_below(&rng, len + 1) : 0;
        many[i] = slice_of(in, len);
        sha256_of(many[i], whole[i]);
        sha256_init(&s);
        sha256_update(&s, slice_of(in, cut));
        fork = s;
        sha256_update(&s, slice_of(in + cut, len - cut));
        sha256_final(&s, out);
        assert_memory_equal(out, whole[i], 32);
        for (size_t k = cut; k < len; k++)
            sha256_update(&fork, slice_of(in + k, 1));
        sha256_final(&fork, out);
        assert_memory_equal(out, whole[i], 32);
    }
    sha256_many(many, 100, at_once);
    assert_memory_equal(at_once, whole, sizeof(whole));
}

/* Any count of inputs of any lengths, so that lanes run out at every moment; each input ends at its block of the heap. */
static void test_sha256_many_equals_one_at_a_time(void **state)
{
    enum { MAX = 9 };
    struct rng rng;
    struct slice in[MAX];
    uint8_t *data[MAX], want[32], got[MAX][32];

    rng_init_seeded(&rng, 4);
    for (unsigned round = 0; round < 700; round++) {
        size_t count = 1 + rng_below(&rng, MAX);

        for (size_t i = 0; i < count; i++) {
            size_t len = i == 0 && round < 300 ? round : rng_below(&rng, round % 3 ? 200 : 20000);

            data[i] = malloc(len ? len : 1);
            rng_fill(&rng, data[i], len);
            in[i] = slice_of(len ? data[i] : NULL, len);
        }
        sha256_many(in, count, got);
        for (size_t i = 0; i < count; i++) {
            sha256_of(in[i], want);
            assert_memory_equal(got[i], want, 32);
            free(data[i]);
        }
    }
    sha256_many(in, 0, got);
}

static void test_hmac_known_answers(void **state)
{
    /* RFC 4231, cases 1, 2, 3 and 6 */
    uint8_t key1[20], key3[20], data3[50], key6[131], out[32];

    memset(key1, 0x0b, sizeof(key1));
    hmac_sha256_of(slice_of(key1, sizeof(key1)), slice_str("Hi There"), out);
    assert_hex(out, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    hmac_sha256_of(slice_str("Jefe"), slice_str("what do ya want for nothing?"), out);
    assert_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key3, 0xaa, sizeof(key3));
    memset(data3, 0xdd, sizeof(data3));
    hmac_sha256_of(slice_of(key3, sizeof(key3)), slice_of(data3, sizeof(data3)), out);
    assert_hex(out, 32, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    memset(key6, 0xaa, sizeof(key6));
    hmac_sha256_of(slice_of(key6, sizeof(key6)),
                   slice_str("Test Using Larger Than Block-Size Key - Hash Key First"), out);
    assert_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* Noise's HKDF is RFC 5869 with empty info: its case 3 gives the first 42 bytes for an empty salt of 32 zeroes. */
static void test_hkdf_known_answer(void **state)
{
    uint8_t ck[32] = {0}, ikm[22], out[3][32], in_place[3][32];

    memset(ikm, 0x0b, sizeof(ikm));
    hkdf_sha256(ck, slice_of(ikm, sizeof(ikm)), 2, out);
    assert_hex(out[0], 42,
               "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
    hkdf_sha256(ck, slice_of(ikm, sizeof(ikm)), 3, out);
    memset(in_place, 0, sizeof(in_place));
    hkdf_sha256(in_place[0], slice_of(ikm, sizeof(ikm)), 3, in_place);
    assert_memory_equal(out, in_place, sizeof(out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256_known_answers),
        cmocka_unit_test(test_sha256_pieces_equal_the_whole),
        cmocka_unit_test(test_sha256_many_equals_one_at_a_time),
        cmocka_unit_test(test_hmac_known_answers),
        cmocka_unit_test(test_hkdf_known_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
