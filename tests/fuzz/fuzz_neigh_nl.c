/* Netlink messages of neighbours: whatever they say, reading ends, and news are whole. */
#include <assert.h>

#include "drivers/neigh_nl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct slice in = slice_of(data, len);
    size_t before = len + 1;
    struct neigh_news news;
    enum neigh_nl kind;

    while ((kind = neigh_nl_next(&in, &news)) != NEIGH_NL_END) {
        assert(in.len < before && in.len <= len);
        assert(kind != NEIGH_NL_NEWS || news.word <= NEIGH_WORD_GONE);
        assert(kind != NEIGH_NL_BAD || in.len == 0);
        before = in.len;
    }
    assert(in.len == 0);
    return 0;
}
