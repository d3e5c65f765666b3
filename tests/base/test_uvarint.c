#include "testing.h"

#include <jansson.h>

#include "base/text.h"
#include "base/uvarint.h"

static void test_uvarint_vectors(void **state)
{
    json_error_t e;
    json_t *root = json_load_file(VECTORS_DIR "/varint.json", 0, &e), *v;
    size_t i, seen = 0;

    assert_non_null(root);
    json_t *list = json_object_get(root, "vectors");
    if (!list)
        list = json_object_get(root, "encode");
    assert_true(json_is_array(list));
    json_array_foreach(list, i, v)
    {
        json_t *val = json_object_get(v, "value");
        const char *hex = json_string_value(json_object_get(v, "hex"));
        uint64_t want = json_is_string(val) ? strtoull(json_string_value(val), NULL, 10) : (uint64_t)json_integer_value(val);
        uint8_t bytes[16], out[UVARINT_MAX];
        uint64_t got;
        assert_non_null(hex);
        ssize_t n = hex_decode(bytes, sizeof(bytes), slice_str(hex));
        assert_int_equal(uvarint_put(out, want), n);
        assert_memory_equal(out, bytes, (size_t)n);
        assert_int_equal(uvarint_size(want), n);
        assert_int_equal(uvarint_get(slice_of(bytes, (size_t)n), &got), n);
        assert_true(got == want);
        for (ssize_t cut = 0; cut < n; cut++)
            assert_int_equal(uvarint_get(slice_of(bytes, (size_t)cut), &got), 0);
        seen++;
    }
    assert_true(seen > 5);
    json_decref(root);
}

static void test_uvarint_strict_refuses_nonminimal(void **state)
{
    uint64_t v;

    assert_int_equal(uvarint_get(slice_of("\x80\x00", 2), &v), UVARINT_BAD);
    assert_int_equal(uvarint_get(slice_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10), &v), UVARINT_BAD);
    assert_int_equal(uvarint_get(slice_of("\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 9), &v), 9);
    assert_true(v == INT64_MAX);
}

static void test_uvarint_pb_takes_ten_bytes(void **state)
{
    uint64_t v;

    assert_int_equal(uvarint_get_pb(slice_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10), &v), 10);
    assert_true(v == UINT64_MAX);
    assert_int_equal(uvarint_get_pb(slice_of("\x80\x00", 2), &v), 2);
    assert_true(v == 0);
    assert_int_equal(uvarint_get_pb(slice_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11), &v), UVARINT_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uvarint_vectors),
        cmocka_unit_test(test_uvarint_strict_refuses_nonminimal),
        cmocka_unit_test(test_uvarint_pb_takes_ten_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
