/* fuzz_multistream.c: both machines; the same bytes in one piece and in small ones must come to the same end
 * Input: first byte: role, laziness, chunk size; the rest is what the peer sends
 */
#include <stdlib.h>

#include "libp2p/multistream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *const names[] = {"/yamux/1.0.0", "/noise", "/ipfs/id/1.0.0"};

struct run {
    int err;
    unsigned choice;
    size_t used, answered;
};

static struct run run_listener(struct slice in, size_t chunk)
{
    struct run run = {.choice = 99};
    struct mss_listener l;
    uint8_t out[64];

    mss_listener_init(&l, names, 3);
    while (!run.err && !mss_listener_is_done(&l)) {
        size_t give = in.len - run.used < chunk ? in.len - run.used : chunk, n, before = run.answered;
        ssize_t took = mss_listener_input(&l, slice_of(in.p + run.used, give));
        if (took < 0)
            run.err = (int)took;
        else
            run.used += (size_t)took;
        while (!run.err && (n = mss_listener_output(&l, out, 1 + chunk % sizeof(out))))
            run.answered += n;
        if (took <= 0 && run.answered == before)
            break;
    }
    if (!run.err && mss_listener_is_done(&l))
        run.choice = mss_listener_choice(&l);
    return run;
}

static struct run run_dialer(struct slice in, size_t chunk, bool is_lazy)
{
    struct run run = {.choice = 99};
    struct mss_dialer d;
    uint8_t out[64];

    mss_dialer_init(&d, names, 3, is_lazy);
    while (!run.err && !mss_dialer_is_done(&d)) {
        size_t n, before = run.answered, give;
        ssize_t took;
        while ((n = mss_dialer_output(&d, out, 1 + chunk % sizeof(out))))
            run.answered += n;
        give = in.len - run.used < chunk ? in.len - run.used : chunk;
        took = mss_dialer_input(&d, slice_of(in.p + run.used, give));
        if (took < 0)
            run.err = (int)took;
        else
            run.used += (size_t)took;
        if (took <= 0 && run.answered == before)
            break;
    }
    if (!run.err && mss_dialer_is_done(&d))
        run.choice = mss_dialer_choice(&d);
    return run;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct run whole, parts;
    struct slice in;
    uint8_t how;

    if (!len)
        return 0;
    how = data[0];
    in = slice_of(data + 1, len - 1);
    if (how & 1) {
        whole = run_listener(in, in.len + !in.len);
        parts = run_listener(in, 1 + (how >> 2));
    } else {
        whole = run_dialer(in, in.len + !in.len, how & 2);
        parts = run_dialer(in, 1 + (how >> 2), how & 2);
    }
    /* on an error the answers before it may not have gone out yet */
    if (whole.err != parts.err || whole.choice != parts.choice ||
        (!whole.err && (whole.used != parts.used || whole.answered != parts.answered)))
        abort();
    return 0;
}
