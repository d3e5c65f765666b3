#include "libp2p/peer_record.h"

#include "base/pb.h"

enum { FIELD_PEER_ID = 1, FIELD_SEQ = 2, FIELD_ADDRESSES = 3 };
enum { FIELD_MULTIADDR = 1 };

static const struct slice domain = SLICE_LIT("libp2p-peer-record");
static const struct slice payload_type = SLICE_LIT("\x03\x01");

const char *peer_record_err_name(int err)
{
    switch (-err) {
    case PEER_RECORD_EFORMAT: return "PEER_RECORD_EFORMAT";
    case PEER_RECORD_ESIGNER: return "PEER_RECORD_ESIGNER";
    default: return envelope_err_name(err);
    }
}

/* One AddressInfo; what we cannot read is dropped, not the record. */
static int take_address(struct slice in, struct peer_record *record)
{
    struct rd r = rd_of(in);
    struct slice addr = {NULL, 0};
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&r, &f)) > 0)
        if (pb_is(&f, FIELD_MULTIADDR, PB_BYTES))
            addr = f.bytes;
    if (rc < 0)
        return rc;
    if (record->naddrs < PEER_RECORD_ADDRS_MAX && addr.len && multiaddr_check(addr) == 0)
        record->addrs[record->naddrs++] = addr;
    else
        record->dropped++;
    return 0;
}

static int decode(struct slice in, struct peer_record *record)
{
    struct rd r = rd_of(in);
    struct pb_field f;
    int rc;

    memset(record, 0, sizeof(*record));
    while ((rc = pb_next(&r, &f)) > 0) {
        if (pb_is(&f, FIELD_PEER_ID, PB_BYTES))
            rc = peer_id_from_bytes(&record->id, f.bytes);
        else if (pb_is(&f, FIELD_SEQ, PB_VARINT))
            record->seq = f.u;
        else if (pb_is(&f, FIELD_ADDRESSES, PB_BYTES))
            rc = take_address(f.bytes, record);
        if (rc < 0)
            break;
    }
    return rc < 0 || !record->id.len ? -PEER_RECORD_EFORMAT : 0;
}

int peer_record_open(struct slice envelope, struct peer_record *out)
{
    struct peer_record record;
    struct public_key signer;
    struct slice payload;
    struct peer_id id;
    int rc = envelope_open(envelope, domain, payload_type, &signer, &payload);

    if (!rc)
        rc = decode(payload, &record);
    if (rc)
        return rc;
    public_key_peer_id(&signer, &id);
    if (!peer_id_is_equal(&id, &record.id))
        return -PEER_RECORD_ESIGNER;
    *out = record;
    return 0;
}

ssize_t peer_record_seal(const struct key_pair *key, uint64_t seq, const struct slice *addrs, size_t count,
                         uint8_t *out, size_t cap)
{
    uint8_t payload[ENVELOPE_MAX];
    struct wr w = wr_of(payload, sizeof(payload));
    struct peer_id id;

    key_pair_peer_id(key, &id);
    pb_put_bytes(&w, FIELD_PEER_ID, peer_id_slice(&id));
    pb_put_varint(&w, FIELD_SEQ, seq);
    for (size_t i = 0; i < count; i++) {
        pb_put_head(&w, FIELD_ADDRESSES, 1 + uvarint_size(addrs[i].len) + addrs[i].len);
        pb_put_bytes(&w, FIELD_MULTIADDR, addrs[i]);
    }
    return w.bad ? -ENVELOPE_ETOOBIG
                 : envelope_seal(key, domain, payload_type, slice_of(payload, w.len), out, cap);
}
