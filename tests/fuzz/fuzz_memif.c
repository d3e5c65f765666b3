/* A memif conversation: the first byte says which end hears it, then messages follow, each behind a byte that says whether a
 * descriptor comes along. What an end says between is heard by nobody. */
#include <assert.h>
#include <stdint.h>

#include "drivers/memif_ctl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t out[MEMIF_MSG_BYTES];
    struct memif_ctl c;
    int fd, next_fd = 10;

    if (len == 0)
        return 0;
    memif_ctl_init(&c, data[0] & 1, 3);
    for (size_t at = 1; at < len && c.expect != MEMIF_EXPECT_END;) {
        bool has_fd = data[at] & 1, is_taken = false;
        size_t n = len - at - 1 < MEMIF_MSG_BYTES ? len - at - 1 : MEMIF_MSG_BYTES;
        int rc;

        while (memif_ctl_output(&c, out, &fd))
            ;
        rc = memif_ctl_input(&c, slice_of(data + at + 1, n), has_fd ? next_fd : -1, &is_taken);
        assert(!is_taken || (has_fd && rc >= 0));
        next_fd += is_taken;
        assert(next_fd <= 10 + MEMIF_REGIONS_MAX + 2);
        if (rc < 0)
            memif_ctl_refuse(&c, memif_err_name(rc));
        else if (rc == MEMIF_NEWS_HELLO)
            memif_ctl_offer(&c);
        else if (rc == MEMIF_NEWS_INIT || rc == MEMIF_NEWS_CONNECT)
            memif_ctl_accept(&c);
        at += 1 + n;
    }
    assert(c.nregions <= MEMIF_REGIONS_MAX && c.text[MEMIF_TEXT_BYTES] == 0);
    return 0;
}
