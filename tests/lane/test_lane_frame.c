/* test_lane_frame.c: frames of lanes: there and back, truncated, split, wrong */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lane/lane_frame.h"

static const uint8_t secret[LANE_SECRET_BYTES] = {1, 2, 3};

static const struct lane_frame samples[] = {
    {.type = LANE_HELLO, .secret = {secret, sizeof(secret)}},
    {.type = LANE_READY, .max_payload = 65536},
    {.type = LANE_PUBLISH, .number = 7, .topic = SLICE_LIT("topic"), .payload = SLICE_LIT("payload")},
    {.type = LANE_PUBLISH, .number = 0xffffffff, .topic = SLICE_LIT(""), .payload = SLICE_LIT("")},
    {.type = LANE_ANSWER, .number = 7, .outcome = LANE_PUBLISHED},
    {.type = LANE_ANSWER, .number = 8, .outcome = LANE_DEDUPLICATED},
    {.type = LANE_ANSWER, .number = 9, .outcome = LANE_REFUSED, .http = 413, .text = SLICE_LIT("message too large")},
    {.type = LANE_ANSWER, .number = 9, .outcome = LANE_REFUSED, .http = 503, .text = SLICE_LIT("")},
};
#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

static size_t write_one(uint8_t *out, size_t cap, const struct lane_frame *f)
{
    struct wr w = wr_of(out, cap);

    lane_frame_write(&w, f);
    assert_false(w.bad);
    return w.len;
}

static void assert_same(const struct lane_frame *a, const struct lane_frame *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->number, b->number);
    assert_int_equal(a->max_payload, b->max_payload);
    assert_int_equal(a->outcome, b->outcome);
    assert_int_equal(a->http, b->http);
    assert_true(slice_is_equal(a->secret, b->secret));
    assert_true(slice_is_equal(a->topic, b->topic));
    assert_true(slice_is_equal(a->payload, b->payload));
    assert_true(slice_is_equal(a->text, b->text));
}

static void test_frames_come_back(void **state)
{
    uint8_t buf[512];
    struct lane_frame f;

    for (size_t i = 0; i < SAMPLES; i++) {
        size_t n = write_one(buf, sizeof(buf), &samples[i]);

        assert_int_equal(lane_frame_read(&f, slice_of(buf, n)), n);
        assert_same(&f, &samples[i]);
        if (f.type == LANE_PUBLISH)
            assert_int_equal(n, lane_publish_bytes(f.topic.len, f.payload.len));
        else if (f.type == LANE_ANSWER)
            assert_true(n <= LANE_ANSWER_MAX);
    }
}

static void test_frame_is_awaited_at_each_truncation(void **state)
{
    struct lane_frame f;

    for (size_t i = 0; i < SAMPLES; i++) {
        uint8_t buf[512];
        size_t n = write_one(buf, sizeof(buf), &samples[i]);

        for (size_t len = 0; len < n; len++) {
            uint8_t *exact = malloc(len ? len : 1); /* what reads past the end meets the sanitizer */

            memcpy(exact, buf, len);
            assert_int_equal(lane_frame_read(&f, slice_of(exact, len)), 0);
            free(exact);
        }
    }
}

/* All samples in a row, cut in two at every place: the same frames come out. */
static void test_frames_come_out_at_each_split(void **state)
{
    uint8_t all[2048];
    size_t len = 0;

    for (size_t i = 0; i < SAMPLES; i++)
        len += write_one(all + len, sizeof(all) - len, &samples[i]);
    for (size_t cut = 0; cut <= len; cut++) {
        size_t at = 0, i = 0, upto = cut;
        struct lane_frame f;

        for (;;) {
            ssize_t n = lane_frame_read(&f, slice_of(all + at, upto - at));

            assert_true(n >= 0);
            if (n > 0) {
                assert_true(i < SAMPLES);
                assert_same(&f, &samples[i++]);
                at += (size_t)n;
            } else if (upto == len) {
                break;
            } else {
                upto = len;
            }
        }
        assert_int_equal(i, SAMPLES);
        assert_int_equal(at, len);
    }
}

static void test_wrong_frames_are_refused(void **state)
{
    static const struct {
        const char *name;
        uint8_t bytes[20];
        size_t len;
    } table[] = {
        {"no type", {0, 0, 0, 0}, 4},
        {"longer than any", {0, 2, 0, 0, 3}, 5},
        {"4 GiB", {255, 255, 255, 255, 3}, 5},
        {"type 0", {0, 0, 0, 1, 0}, 5},
        {"type 5", {0, 0, 0, 1, 5}, 5},
        {"hello without a secret", {0, 0, 0, 2, 1, 1}, 6},
        {"ready too short", {0, 0, 0, 4, 2, 0, 0, 0}, 8},
        {"ready too long", {0, 0, 0, 6, 2, 0, 0, 0, 0, 0}, 10},
        {"publish without a topic's length", {0, 0, 0, 6, 3, 0, 0, 0, 0, 0}, 10},
        {"publish with a topic beyond its end", {0, 0, 0, 8, 3, 0, 0, 0, 0, 0, 2, 'x'}, 12},
        {"answer without an outcome", {0, 0, 0, 5, 4, 0, 0, 0, 0}, 9},
        {"answer of outcome 3", {0, 0, 0, 6, 4, 0, 0, 0, 0, 3}, 10},
        {"published, and more", {0, 0, 0, 7, 4, 0, 0, 0, 0, 0, 0}, 11},
        {"refused without a status", {0, 0, 0, 7, 4, 0, 0, 0, 0, 2, 1}, 11},
    };
    struct lane_frame f;

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        print_message("%s\n", table[i].name);
        assert_int_equal(lane_frame_read(&f, slice_of(table[i].bytes, table[i].len)), -1);
    }
}

static void test_limits_hold(void **state)
{
    uint8_t *buf = calloc(1, LANE_FRAME_MAX + 16), *bytes = calloc(1, LANE_PAYLOAD_MAX + 1);
    struct lane_frame f = {.type = LANE_PUBLISH, .topic = {bytes, LANE_TOPIC_MAX}, .payload = {bytes, LANE_PAYLOAD_MAX}}, got;
    char text[LANE_TEXT_MAX + 50];

    assert_int_equal(lane_frame_read(&got, slice_of(buf, write_one(buf, LANE_FRAME_MAX + 16, &f))), LANE_FRAME_MAX);
    f.topic.len = LANE_TOPIC_MAX - 1;
    f.payload.len = LANE_PAYLOAD_MAX + 1;
    assert_int_equal(lane_frame_read(&got, slice_of(buf, write_one(buf, LANE_FRAME_MAX + 16, &f))), -1);
    f.topic.len = LANE_TOPIC_MAX + 1;
    f.payload.len = 0;
    assert_int_equal(lane_frame_read(&got, slice_of(buf, write_one(buf, LANE_FRAME_MAX + 16, &f))), -1);
    memset(text, 'x', sizeof(text)); /* cut by us, refused of others */
    f = (struct lane_frame){.type = LANE_ANSWER, .outcome = LANE_REFUSED, .http = 503, .text = {(uint8_t *)text, sizeof(text)}};
    assert_int_equal(write_one(buf, LANE_FRAME_MAX, &f), LANE_ANSWER_MAX);
    assert_int_equal(lane_frame_read(&got, slice_of(buf, LANE_ANSWER_MAX)), LANE_ANSWER_MAX);
    assert_int_equal(got.text.len, LANE_TEXT_MAX);
    buf[3]++;
    assert_int_equal(lane_frame_read(&got, slice_of(buf, LANE_ANSWER_MAX + 1)), -1);
    free(buf);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_come_back),
        cmocka_unit_test(test_frame_is_awaited_at_each_truncation),
        cmocka_unit_test(test_frames_come_out_at_each_split),
        cmocka_unit_test(test_wrong_frames_are_refused),
        cmocka_unit_test(test_limits_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
