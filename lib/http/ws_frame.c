#include "http/ws_frame.h"

#define CONTROL_MAX 125

static bool is_known(uint8_t op)
{
    return op <= 2 || (op >= 8 && op <= 10);
}

static uint64_t get_be(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;

    while (n--)
        v = v << 8 | *p++;
    return v;
}

enum ws_frame_kind ws_frame_read(struct ws_frame *f, struct slice s)
{
    uint8_t len7;
    unsigned ext;

    if (s.len < 2)
        return WS_FRAME_MORE;
    len7 = s.p[1] & 0x7f;
    ext = len7 == 126 ? 2 : len7 == 127 ? 8 : 0;
    *f = (struct ws_frame){.op = s.p[0] & 15, .is_last = s.p[0] >> 7, .head = 2 + ext + 4, .len = len7};
    if ((s.p[0] & 0x70) || !is_known(f->op) || !(s.p[1] & 0x80))
        return WS_FRAME_ODD;
    if (ws_frame_is_control(f) && (len7 > CONTROL_MAX || !f->is_last))
        return WS_FRAME_ODD;
    if (s.len < f->head)
        return WS_FRAME_MORE;
    if (ext)
        f->len = get_be(s.p + 2, ext);
    if ((ext == 2 && f->len < 126) || (ext == 8 && (f->len < 0x10000 || f->len >> 63)))
        return WS_FRAME_ODD; /* not the shortest form */
    memcpy(f->mask, s.p + 2 + ext, 4);
    return WS_FRAME;
}

void ws_frame_unmask(uint8_t *out, const uint8_t *in, size_t n, const uint8_t mask[4], uint64_t at)
{
    uint8_t turned[8];
    uint64_t m, w;
    size_t i = 0;

    for (unsigned k = 0; k < 8; k++)
        turned[k] = mask[(at + k) & 3];
    memcpy(&m, turned, 8);
    for (; i + 8 <= n; i += 8) {
        memcpy(&w, in + i, 8);
        w ^= m;
        memcpy(out + i, &w, 8);
    }
    for (; i < n; i++)
        out[i] = in[i] ^ turned[i & 7];
}
