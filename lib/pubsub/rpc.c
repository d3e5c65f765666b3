#include "pubsub/rpc.h"

const char *pubsub_rpc_err_name(int err)
{
    switch (err < 0 ? -err : err) {
    case 0: return "ok";
    case RPC_EFORMAT: return "malformed protobuf";
    case RPC_ELIMIT: return "too many items in one RPC";
    default: return "unknown";
    }
}

static bool subscription(struct slice body, struct rpc_item *it)
{
    struct rd rd = rd_of(body);
    struct pb_field f;
    bool is_subscribe = false;
    int rc;

    while ((rc = pb_next(&rd, &f)) > 0) {
        if (pb_is(&f, SUBOPTS_F_SUBSCRIBE, PB_VARINT))
            is_subscribe = f.u != 0;
        else if (pb_is(&f, SUBOPTS_F_TOPIC, PB_BYTES))
            it->topic = f.bytes;
    }
    it->type = is_subscribe ? RPC_SUBSCRIBE : RPC_UNSUBSCRIBE;
    return rc == 0;
}

/* IHAVE, GRAFT and PRUNE: their topic and, for PRUNE, the backoff. Fields after a malformed one do not count. */
static bool control_entry(struct slice body, struct rpc_item *it)
{
    struct rd rd = rd_of(body);
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&rd, &f)) > 0) {
        if (it->type == RPC_IWANT || it->type == RPC_IDONTWANT || it->type == RPC_EXTENSIONS)
            continue;
        if (pb_is(&f, IHAVE_F_TOPIC, PB_BYTES)) /* field 1 in all three */
            it->topic = f.bytes;
        else if (it->type == RPC_PRUNE && pb_is(&f, PRUNE_F_BACKOFF, PB_VARINT))
            it->backoff_s = f.u;
    }
    it->body = body;
    it->ids = (struct rpc_ids){rd_of(body), it->type == RPC_IHAVE ? (uint32_t)IHAVE_F_IDS : (uint32_t)IDS_F_IDS};
    return rc == 0;
}

/* The next entry of the control message under the cursor: 1, 0 at its end, -1 malformed. */
static int control_next(struct rd *rd, struct rpc_item *it)
{
    static const uint8_t types[] = {
        [CONTROL_F_IHAVE] = RPC_IHAVE, [CONTROL_F_IWANT] = RPC_IWANT,         [CONTROL_F_GRAFT] = RPC_GRAFT,
        [CONTROL_F_PRUNE] = RPC_PRUNE, [CONTROL_F_IDONTWANT] = RPC_IDONTWANT, [CONTROL_F_EXTENSIONS] = RPC_EXTENSIONS,
    };
    struct pb_field f;
    int rc;

    while ((rc = pb_next(rd, &f)) > 0) {
        if (f.type != PB_BYTES || f.number < CONTROL_F_IHAVE || f.number > CONTROL_F_EXTENSIONS)
            continue;
        it->type = (enum rpc_item_type)types[f.number];
        return control_entry(f.bytes, it) ? 1 : -1;
    }
    return rc;
}

/* 1 an item, 0 the clean end, -1 malformed. */
static int item_next(struct rpc_reader *r, struct rpc_item *it)
{
    struct pb_field f;
    int rc;

    for (;;) {
        *it = (struct rpc_item){0};
        if ((rc = control_next(&r->control, it)) != 0)
            return rc;
        const uint8_t *start = r->rpc.p;
        if ((rc = pb_next(&r->rpc, &f)) <= 0)
            return rc;
        if (f.type != PB_BYTES)
            continue;
        if (f.number == RPC_F_CONTROL) {
            r->control = rd_of(f.bytes);
            continue;
        }
        it->body = f.bytes;
        it->whole = slice_of(start, (size_t)(r->rpc.p - start));
        it->number = f.number;
        if (f.number == RPC_F_SUBSCRIPTIONS)
            return subscription(f.bytes, it) ? 1 : -1;
        if (f.number == RPC_F_PUBLISH || f.number >= RPC_F_EXTENSION) {
            it->type = f.number == RPC_F_PUBLISH ? RPC_MESSAGE : RPC_EXTENSION;
            return 1;
        }
    }
}

/* Message ids or PX entries of a checked item. */
static int count_inner(const struct rpc_item *it, unsigned *ids)
{
    struct rpc_ids left = it->ids;
    struct rd rd = rd_of(it->body);
    struct rpc_px px;
    struct slice id;

    if (it->type == RPC_IHAVE || it->type == RPC_IWANT || it->type == RPC_IDONTWANT)
        while (rpc_ids_next(&left, &id))
            ++*ids;
    if (it->type == RPC_PRUNE) {
        while (rpc_px_next(&rd, &px))
            ++*ids;
        if (rd_left(&rd))
            return -RPC_EFORMAT;
    }
    return *ids > RPC_IDS_MAX ? -RPC_ELIMIT : 0;
}

int rpc_check(struct slice frame)
{
    struct rpc_reader r = rpc_reader_of(frame);
    struct rpc_item it;
    unsigned items = 0, ids = 0;
    int rc;

    while ((rc = item_next(&r, &it)) > 0) {
        if (++items > RPC_ITEMS_MAX)
            return -RPC_ELIMIT;
        if ((rc = count_inner(&it, &ids)))
            return rc;
    }
    return rc ? -RPC_EFORMAT : 0;
}

struct rpc_reader rpc_reader_of(struct slice frame)
{
    return (struct rpc_reader){.rpc = rd_of(frame), .control = rd_of((struct slice){0})};
}

bool rpc_next(struct rpc_reader *r, struct rpc_item *it)
{
    return item_next(r, it) > 0;
}

bool rpc_ids_next(struct rpc_ids *ids, struct slice *id)
{
    struct pb_field f;

    while (pb_next(&ids->rd, &f) > 0)
        if (pb_is(&f, ids->field, PB_BYTES)) {
            *id = f.bytes;
            return true;
        }
    return false;
}

bool rpc_px_next(struct rd *prune, struct rpc_px *px)
{
    struct pb_field f, g;
    int rc;

    for (;;) {
        struct rd before = *prune;
        if (pb_next(prune, &f) <= 0)
            return false;
        if (!pb_is(&f, PRUNE_F_PEERS, PB_BYTES))
            continue;
        struct rd rd = rd_of(f.bytes);
        *px = (struct rpc_px){0};
        while ((rc = pb_next(&rd, &g)) > 0) {
            if (pb_is(&g, PEER_INFO_F_ID, PB_BYTES))
                px->peer_id = g.bytes;
            else if (pb_is(&g, PEER_INFO_F_RECORD, PB_BYTES))
                px->record = g.bytes;
        }
        if (rc < 0) {
            *prune = before; /* bytes left tell the check that this entry is malformed */
            return false;
        }
        return true;
    }
}

void rpc_put_subscription(struct wr *w, struct slice topic, bool is_subscribe)
{
    struct wr n = wr_counter();

    for (int pass = 0; pass < 2; pass++) {
        struct wr *o = pass ? w : &n;
        if (pass)
            pb_put_head(w, RPC_F_SUBSCRIPTIONS, n.len);
        pb_put_varint(o, SUBOPTS_F_SUBSCRIBE, is_subscribe);
        pb_put_bytes(o, SUBOPTS_F_TOPIC, topic);
    }
}

static size_t bytes_field_size(size_t len)
{
    return 1 + uvarint_size(len) + len; /* field numbers below 16 */
}

void rpc_put_graft(struct wr *control, struct slice topic)
{
    pb_put_head(control, CONTROL_F_GRAFT, bytes_field_size(topic.len));
    pb_put_bytes(control, GRAFT_F_TOPIC, topic);
}

void rpc_put_need(struct wr *w, struct slice topic)
{
    pb_put_head(w, RPC_F_NEED, bytes_field_size(topic.len));
    pb_put_bytes(w, NEED_F_TOPIC, topic);
}

bool rpc_need_read(struct slice body, struct slice *topic)
{
    struct rd rd = rd_of(body);
    struct pb_field f;
    int rc;

    *topic = (struct slice){0};
    while ((rc = pb_next(&rd, &f)) > 0) {
        if (f.number == NEED_F_TOPIC && f.type != PB_BYTES)
            return false;
        if (f.number == NEED_F_TOPIC)
            *topic = f.bytes;
    }
    return rc == 0;
}

void rpc_put_extensions(struct wr *w, bool has_test)
{
    struct wr inner = wr_counter();

    if (has_test)
        pb_put_varint(&inner, EXTENSIONS_F_TEST, 1);
    pb_put_head(w, RPC_F_CONTROL, bytes_field_size(inner.len));
    pb_put_head(w, CONTROL_F_EXTENSIONS, inner.len);
    if (has_test)
        pb_put_varint(w, EXTENSIONS_F_TEST, 1);
}

bool rpc_extensions_has_test(struct slice body)
{
    struct rd rd = rd_of(body);
    struct pb_field f;
    bool has = false;

    while (pb_next(&rd, &f) > 0)
        if (pb_is(&f, EXTENSIONS_F_TEST, PB_VARINT))
            has = f.u != 0;
    return has;
}

void rpc_put_px(struct wr *peers, const struct rpc_px *px)
{
    pb_put_head(peers, PRUNE_F_PEERS,
                bytes_field_size(px->peer_id.len) + (px->record.len ? bytes_field_size(px->record.len) : 0));
    pb_put_bytes(peers, PEER_INFO_F_ID, px->peer_id);
    if (px->record.len)
        pb_put_bytes(peers, PEER_INFO_F_RECORD, px->record);
}

void rpc_put_prune_px(struct wr *control, struct slice topic, struct slice peers, uint64_t backoff_s)
{
    size_t len = bytes_field_size(topic.len) + peers.len + (backoff_s ? 1 + uvarint_size(backoff_s) : 0);

    pb_put_head(control, CONTROL_F_PRUNE, len);
    pb_put_bytes(control, PRUNE_F_TOPIC, topic);
    wr_slice(control, peers);
    if (backoff_s)
        pb_put_varint(control, PRUNE_F_BACKOFF, backoff_s);
}
