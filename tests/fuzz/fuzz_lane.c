/* fuzz_lane.c: frames of lanes: what is read is within the input, and written again gives the same bytes */
#include <assert.h>
#include <stdlib.h>

#include "lane/lane_frame.h"

static void check_inside(struct slice part, struct slice all)
{
    assert(part.len == 0 || (part.p >= all.p && part.p + part.len <= all.p + all.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice s = slice_of(data, size);
    struct lane_frame f;
    ssize_t n;

    while ((n = lane_frame_read(&f, s)) > 0) {
        struct wr w = wr_counter();
        uint8_t *copy = malloc((size_t)n);

        assert((size_t)n <= s.len && n <= (ssize_t)LANE_FRAME_MAX);
        check_inside(f.secret, s);
        check_inside(f.topic, s);
        check_inside(f.payload, s);
        check_inside(f.text, s);
        lane_frame_write(&w, &f);
        assert(w.len == (size_t)n);
        w = wr_of(copy, (size_t)n);
        lane_frame_write(&w, &f);
        assert(!w.bad && memcmp(copy, s.p, (size_t)n) == 0);
        free(copy);
        s = slice_of(s.p + n, s.len - (size_t)n);
    }
    return 0;
}
