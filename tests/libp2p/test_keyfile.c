#include "vec.h"

#include "libp2p/keyfile.h"

#define ALICE_ID "12D3KooWQCkBm1BYtkHpocxCwMgR8yjitEeHGx8spzcDLGt2gkBm"
#define ALICE_KEY                                                                                            \
    "CAESQCvYBsl/DgCvGh/DMo+nY6kmlyPI24+sT5OvcdsYbW6Q1b9KP8znF7A4i8wnSevBSK2ZabI/Re4bYF/Vh3hXasQ="
#define CONTENT "{\"Key\":\"" ALICE_KEY "\",\"ID\":\"" ALICE_ID "\"}"

static struct key_pair alice;

static int setup(void **state)
{
    json_t *root = vec_load("keys.json");
    struct bytes seed = vec_hex(json_array_get(vec_get(root, "vectors"), 3), "seed");

    key_pair_from_seed(&alice, seed.p);
    free(seed.p);
    json_decref(root);
    return 0;
}

/* A file around this JSON, with the right sum. */
static struct bytes file_of(const char *json)
{
    struct bytes b = {malloc(8 + strlen(json)), 8 + strlen(json)};
    uint64_t sum = keyfile_sum(slice_str(json));

    for (unsigned i = 0; i < 8; i++)
        b.p[i] = (uint8_t)(sum >> 8 * i);
    memcpy(b.p + 8, json, strlen(json));
    return b;
}

static void test_keyfile_sum_known_answers(void **state)
{
    /* CRC-64/GO-ISO: the check value of the CRC catalogue, and Go's own test table */
    assert_true(keyfile_sum(slice_str("123456789")) == 0xb90956c775a41001u);
    assert_true(keyfile_sum(slice_str("")) == 0);
    assert_true(keyfile_sum(slice_str("a")) == 0x3420000000000000u);
    assert_true(keyfile_sum(slice_str("ab")) == 0x36c4200000000000u);
}

static void test_keyfile_returns_what_it_took(void **state)
{
    uint8_t out[KEYFILE_MAX];
    ssize_t n = keyfile_format(&alice, out, sizeof(out));
    struct key_pair read;
    struct keyfile_why why;

    assert_slice(slice_of(out + 8, (size_t)n - 8), slice_str(CONTENT));
    assert_int_equal(keyfile_parse(&read, slice_of(out, (size_t)n), &why), 0);
    assert_memory_equal(&read.ed25519, &alice.ed25519, sizeof(alice.ed25519));
    for (size_t cap = 0; cap < (size_t)n; cap++) {
        uint8_t *small = malloc(cap + !cap);
        assert_int_equal(keyfile_format(&alice, small, cap), -KEYFILE_ESPACE);
        free(small);
    }
}

static const struct {
    const char *name, *json;
    int want;
} table[] = {
    {"compact", CONTENT, 0},
    {"spaces and a newline at the end", " {\n\t\"Key\" : \"" ALICE_KEY "\" ,\r\n \"ID\":\"" ALICE_ID "\" }\n",
     0},
    {"the other order", "{\"ID\":\"" ALICE_ID "\",\"Key\":\"" ALICE_KEY "\"}", 0},
    {"members beside",
     "{\"v\":1,\"Key\":\"" ALICE_KEY "\",\"x\":null,\"ID\":\"" ALICE_ID "\",\"y\":\"\xc3\xa9\\n\"}", 0},
    {"slashes escaped",
     "{\"Key\":\"CAESQCvYBsl\\/DgCvGh\\u002fDMo+nY6kmlyPI24+sT5OvcdsYbW6Q1b9KP8znF7A4i8wnSevBSK2ZabI/Re4bYF/"
     "Vh3hXasQ\\u003D\",\"ID\":\"" ALICE_ID "\"}",
     0},
    {"id as a CID",
     "{\"Key\":\"" ALICE_KEY
     "\",\"ID\":\"bafzaajaiaejcbvn7ji74zzyxwa4ixtbhjhv4csfntfu3ep2f5ynwax6vq54fo2we\"}",
     0},
    {"empty", "", -KEYFILE_EJSON},
    {"no object", "[]", -KEYFILE_EJSON},
    {"no members", "{}", -KEYFILE_EJSON},
    {"no ID", "{\"Key\":\"" ALICE_KEY "\"}", -KEYFILE_EJSON},
    {"no Key", "{\"ID\":\"" ALICE_ID "\"}", -KEYFILE_EJSON},
    {"Key no string", "{\"Key\":1,\"ID\":\"" ALICE_ID "\"}", -KEYFILE_EJSON},
    {"trailing text", CONTENT "x", -KEYFILE_EJSON},
    {"trailing comma", "{\"Key\":\"" ALICE_KEY "\",\"ID\":\"" ALICE_ID "\",}", -KEYFILE_EJSON},
    {"control character", "{\"Key\":\"\n\",\"ID\":\"" ALICE_ID "\"}", -KEYFILE_EJSON},
    {"nested", "{\"a\":{},\"Key\":\"" ALICE_KEY "\",\"ID\":\"" ALICE_ID "\"}", -KEYFILE_EJSON},
    {"bad escape", "{\"Key\":\"\\q\",\"ID\":\"" ALICE_ID "\"}", -KEYFILE_EJSON},
    {"escape of a surrogate", "{\"Key\":\"\\ud800\",\"ID\":\"" ALICE_ID "\"}", -KEYFILE_EJSON},
    {"key empty", "{\"Key\":\"\",\"ID\":\"" ALICE_ID "\"}", -KEYFILE_EKEY},
    {"key no base64", "{\"Key\":\"?\",\"ID\":\"" ALICE_ID "\"}", -KEYFILE_EKEY},
    {"key cut", "{\"Key\":\"CAESQCvYBsl/\",\"ID\":\"" ALICE_ID "\"}", -KEYFILE_EKEY},
    {"halves of two keys",
     "{\"Key\":\"CAESQCvYBsl/DgCvGh/DMo+nY6kmlyPI24+sT5OvcdsYbW6Q1b9KP8znF7A4i8wnSevBSK2ZabI/Re4bYF/"
     "Vh3hXasU=\",\"ID\":"
     "\"" ALICE_ID "\"}",
     -KEYFILE_EKEY},
    {"a Secp256k1 key with her id",
     "{\"Key\":\"CAISIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\",\"ID\":\"" ALICE_ID "\"}",
     -KEYFILE_EID},
    {"a Secp256k1 key that is 0",
     "{\"Key\":\"CAISIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"ID\":\"" ALICE_ID "\"}",
     -KEYFILE_EKEY},
    {"an RSA key",
     "{\"Key\":\"CAASIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\",\"ID\":\"" ALICE_ID "\"}",
     -KEYFILE_ETYPE},
    {"a type that nobody knows",
     "{\"Key\":\"CAkSIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\",\"ID\":\"" ALICE_ID "\"}",
     -KEYFILE_ETYPE},
    {"another's id",
     "{\"Key\":\"" ALICE_KEY "\",\"ID\":\"12D3KooWRkZhiRhsqmrQ28rt73K7V3aCBpqKrLGSXmZ99PTcTZby\"}",
     -KEYFILE_EID},
    {"no id at all", "{\"Key\":\"" ALICE_KEY "\",\"ID\":\"\"}", -KEYFILE_EID},
};

static void test_keyfile_table(void **state)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct bytes f = file_of(table[i].json);
        struct key_pair read;
        struct keyfile_why why;
        char line[256];
        int rc = keyfile_parse(&read, bytes_slice(f), &why);

        if (rc != table[i].want)
            fail_msg("%s: %s", table[i].name, keyfile_err_name(rc));
        if (rc == 0)
            assert_memory_equal(&read.ed25519, &alice.ed25519, sizeof(alice.ed25519));
        keyfile_explain(rc, &why, line, sizeof(line));
        if (rc == -KEYFILE_ETYPE)
            assert_string_equal(line, strstr(table[i].name, "nobody knows")
                                          ? "unsupported key type unknown in the key file; supported: Ed25519, Secp256k1"
                                          : "unsupported key type RSA in the key file; supported: Ed25519, Secp256k1");
        if (rc == -KEYFILE_EID) /* the id that the key has */
            assert_non_null(strstr(line, strstr(table[i].name, "Secp256k1") ? "16Uiu2" : ALICE_ID));
        assert_int_equal(keyfile_parse(&read, bytes_slice(f), NULL), rc);
        free(f.p);
    }
}

static void test_keyfile_prints_both_sums(void **state)
{
    struct bytes f = file_of(CONTENT);
    struct key_pair read = {0}, before = read;
    struct keyfile_why why;
    char line[256], want[256];
    uint64_t sum = keyfile_sum(slice_str(CONTENT));

    f.p[0] ^= 1;
    assert_int_equal(keyfile_parse(&read, bytes_slice(f), &why), -KEYFILE_ESUM);
    assert_true(why.computed_sum == sum && why.stored_sum == (sum ^ 1));
    keyfile_explain(-KEYFILE_ESUM, &why, line, sizeof(line));
    snprintf(want, sizeof(want), "checksum mismatch: the key file says 0x%016llx, its content has 0x%016llx",
             (unsigned long long)sum ^ 1, (unsigned long long)sum);
    assert_string_equal(line, want);
    assert_memory_equal(&read, &before, sizeof(read));
    free(f.p);
}

static void test_keyfile_finds_every_flip_and_cut(void **state)
{
    struct bytes f = file_of(CONTENT);
    struct key_pair read;
    static uint8_t big[KEYFILE_MAX + 1];

    for (size_t bit = 0; bit < f.len * 8; bit++) {
        f.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(keyfile_parse(&read, bytes_slice(f), NULL), -KEYFILE_ESUM);
        f.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < f.len; n++) {
        struct bytes cut = vec_copy(slice_of(f.p, n));
        int rc = keyfile_parse(&read, bytes_slice(cut), NULL);
        assert_int_equal(rc, n < 8 ? -KEYFILE_ESIZE : -KEYFILE_ESUM);
        free(cut.p);
    }
    /* cuts that carry the right sum: the JSON parser's turn */
    for (size_t n = 0; n + 8 < f.len; n++) {
        char text[512];
        memcpy(text, CONTENT, n);
        text[n] = 0;
        struct bytes cut = file_of(text);
        assert_int_equal(keyfile_parse(&read, bytes_slice(cut), NULL), -KEYFILE_EJSON);
        free(cut.p);
    }
    assert_int_equal(keyfile_parse(&read, slice_of(big, sizeof(big)), NULL), -KEYFILE_ESIZE);
    free(f.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keyfile_sum_known_answers),
        cmocka_unit_test(test_keyfile_returns_what_it_took),
        cmocka_unit_test(test_keyfile_table),
        cmocka_unit_test(test_keyfile_prints_both_sums),
        cmocka_unit_test(test_keyfile_finds_every_flip_and_cut),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
