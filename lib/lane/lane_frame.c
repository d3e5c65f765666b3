#include "lane/lane_frame.h"

#include <string.h>

#include "base/rd.h"

#define LENGTH_BYTES 4

static bool read_hello(struct lane_frame *f, struct rd *r)
{
    bool is_ours = rd_u8(r) == LANE_VERSION;

    f->secret = rd_bytes(r, LANE_SECRET_BYTES);
    return is_ours && !r->bad && rd_left(r) == 0;
}

static bool read_ready(struct lane_frame *f, struct rd *r)
{
    f->max_payload = rd_be32(r);
    return !r->bad && rd_left(r) == 0;
}

static bool read_publish(struct lane_frame *f, struct rd *r)
{
    f->number = rd_be32(r);
    f->topic = rd_bytes(r, rd_be16(r));
    f->payload = rd_bytes(r, rd_left(r));
    return !r->bad && f->topic.len <= LANE_TOPIC_MAX && f->payload.len <= LANE_PAYLOAD_MAX;
}

static bool read_answer(struct lane_frame *f, struct rd *r)
{
    uint8_t outcome;

    f->number = rd_be32(r);
    outcome = rd_u8(r);
    f->outcome = (enum lane_outcome)outcome;
    if (outcome == LANE_REFUSED) {
        f->http = rd_be16(r);
        f->text = rd_bytes(r, rd_left(r));
    }
    return !r->bad && outcome <= LANE_REFUSED && rd_left(r) == 0 && f->text.len <= LANE_TEXT_MAX;
}

ssize_t lane_frame_read(struct lane_frame *f, struct slice s)
{
    struct rd r = rd_of(s);
    uint32_t len;
    bool is_good = false;

    if (s.len < LENGTH_BYTES)
        return 0;
    len = rd_be32(&r);
    if (len == 0 || len > LANE_FRAME_MAX - LENGTH_BYTES)
        return -1;
    if (rd_left(&r) < len)
        return 0;
    r.end = r.p + len;
    *f = (struct lane_frame){.type = (enum lane_type)rd_u8(&r)};
    switch (f->type) {
    case LANE_HELLO: is_good = read_hello(f, &r); break;
    case LANE_READY: is_good = read_ready(f, &r); break;
    case LANE_PUBLISH: is_good = read_publish(f, &r); break;
    case LANE_ANSWER: is_good = read_answer(f, &r); break;
    }
    return is_good ? (ssize_t)(LENGTH_BYTES + len) : -1;
}

bool lane_frame_may_be_hello(struct slice s)
{
    static const uint8_t head[] = {0, 0, 0, LANE_HELLO_BYTES - LENGTH_BYTES, LANE_HELLO};
    size_t n = s.len < sizeof(head) ? s.len : sizeof(head);

    return n == 0 || memcmp(s.p, head, n) == 0;
}

static void put_head(struct wr *w, enum lane_type type, size_t len)
{
    wr_be(w, 1 + len, LENGTH_BYTES);
    wr_u8(w, (uint8_t)type);
}

static void put_answer(struct wr *w, const struct lane_frame *f)
{
    struct slice text = f->text;

    if (f->outcome != LANE_REFUSED) {
        put_head(w, f->type, 5);
        wr_be(w, f->number, 4);
        wr_u8(w, (uint8_t)f->outcome);
        return;
    }
    text.len = text.len < LANE_TEXT_MAX ? text.len : LANE_TEXT_MAX;
    put_head(w, f->type, 7 + text.len);
    wr_be(w, f->number, 4);
    wr_u8(w, (uint8_t)f->outcome);
    wr_be(w, f->http, 2);
    wr_slice(w, text);
}

void lane_frame_write(struct wr *w, const struct lane_frame *f)
{
    switch (f->type) {
    case LANE_HELLO:
        put_head(w, f->type, 1 + f->secret.len);
        wr_u8(w, LANE_VERSION);
        wr_slice(w, f->secret);
        break;
    case LANE_READY:
        put_head(w, f->type, 4);
        wr_be(w, f->max_payload, 4);
        break;
    case LANE_PUBLISH:
        put_head(w, f->type, 6 + f->topic.len + f->payload.len);
        wr_be(w, f->number, 4);
        wr_be(w, f->topic.len, 2);
        wr_slice(w, f->topic);
        wr_slice(w, f->payload);
        break;
    case LANE_ANSWER: put_answer(w, f); break;
    }
}
