/* protocol_vectors.c: writes the test vectors of docs/PROTOCOL.md 13 from this tree's code
 * Usage:   protocol_vectors               the JSON on stdout (tests/vectors/coded_protocol.json is made so)
 *          protocol_vectors --check FILE  0 when FILE holds exactly that
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "gf/gf.h"
#include "pubsub/coded_int.h"
#include "pubsub/generation_hash.h"
#include "pubsub/generation_header.h"

enum { FIELD_MAX = 1 << 16, CODED_EACH = 3 };

static struct key_pair key;
static struct peer_id self;
static struct rng rng;
static uint8_t space[FIELD_MAX];

static json_t *hex(struct slice s)
{
    char *text = malloc(2 * s.len + 1);
    json_t *j;

    hex_encode(text, s);
    j = json_string(text);
    free(text);
    return j;
}

static json_t *hex_of(const void *p, size_t len)
{
    return hex(slice_of(p, len));
}

static json_t *written(const struct wr *w)
{
    if (w->bad)
        abort();
    return hex(slice_of(w->p, w->len));
}

static json_t *number(uint64_t v)
{
    return json_integer((json_int_t)v);
}

static uint8_t *pattern(uint32_t size, unsigned salt)
{
    uint8_t *p = malloc(size ? size : 1);

    for (uint32_t j = 0; j < size; j++)
        p[j] = (uint8_t)(j * 7 + j / 251 + salt);
    return p;
}

/* ---- arithmetic, hashes, lots ---- */

static json_t *gf(void)
{
    static const uint8_t some[] = {0, 1, 2, 3, 0x1d, 0x57, 0x80, 0x83, 0xc0, 0xff};
    json_t *products = json_array(), *inverses = json_array();

    for (size_t a = 0; a < sizeof(some); a++)
        for (size_t b = a; b < sizeof(some); b++)
            json_array_append_new(products, json_pack("[i,i,i]", some[a], some[b], gf_byte_mul(some[a], some[b])));
    for (size_t a = 1; a < sizeof(some); a++)
        json_array_append_new(inverses, json_pack("[i,i]", some[a], gf_byte_inv(some[a])));
    return json_pack("{s:i,s:o,s:o}", "polynomial", GF_POLY, "products", products, "inverses", inverses);
}

static json_t *shard_hashes(void)
{
    static const uint32_t sizes[] = {1, 2, 63, 64, 16383, 16384, 16385, 32768, 40000};
    json_t *list = json_array();

    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t *p = pattern(sizes[i], i), hash[CODED_HASH_BYTES];

        generation_hash_shard(slice_of(p, sizes[i]), hash);
        json_array_append_new(list, json_pack("{s:o,s:i,s:o}", "size", number(sizes[i]), "salt", i, "hash", hex_of(hash, sizeof(hash))));
        free(p);
    }
    return list;
}

static json_t *lots(void)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < 6; i++) {
        uint8_t id[CODED_ID_BYTES];
        uint32_t tag = (uint32_t)rng_below(&rng, 1ull << 32);
        uint64_t lot;
        char text[20];

        rng_fill(&rng, id, sizeof(id));
        lot = coded_near_lot(id, i * 51, tag);
        snprintf(text, sizeof(text), "%016lx", (unsigned long)lot);
        json_array_append_new(list, json_pack("{s:o,s:i,s:o,s:s}", "id", hex_of(id, sizeof(id)), "index", i * 51, "tag", number(tag), "lot", text));
    }
    return list;
}

/* ---- messages ---- */

struct message {
    const char *topic;
    uint64_t seqno;
    uint32_t size;
    unsigned factor, salt;
};

static json_t *shard_field(const uint8_t *id, unsigned rank, unsigned flags, struct slice coefs, struct slice sent, struct slice payload)
{
    struct coded_shard s = {.id = id, .coefs = coefs, .sent = sent, .payload = payload, .rank = (uint8_t)rank, .flags = (uint8_t)flags};
    struct wr w = wr_of(space, sizeof(space));

    coded_shard_put(&w, &s);
    wr_slice(&w, payload);
    return written(&w);
}

static json_t *source_fields(const struct rlnc_shape *s, const uint8_t *id, const uint8_t *payload)
{
    static const uint8_t sent[8] = {0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4};
    json_t *list = json_array();

    for (unsigned i = 0; i < s->k; i++) {
        uint8_t index = (uint8_t)i;
        struct rlnc_row r = rlnc_source_row(s, payload, i);

        json_array_append_new(list, shard_field(id, i == 0 ? s->k : i, 0, slice_of(&index, 1), slice_of(sent, i % 3 * 4), slice_of(r.p, r.len)));
    }
    return list;
}

/* n mixtures of all source shards, then one of every other shard. */
static json_t *coded_fields(const struct rlnc_shape *s, const uint8_t *id, const uint8_t *payload, unsigned n)
{
    json_t *list = json_array();
    uint8_t coefs[RLNC_K_MAX], *out = malloc(s->shard_bytes);

    for (unsigned i = 0; i <= n; i++) {
        rlnc_coefs_random(coefs, s->k, &rng);
        for (unsigned j = 1; i == n && j < s->k; j += 2)
            coefs[j] = 0;
        rlnc_expect(s, payload, coefs, out);
        json_array_append_new(list, json_pack("{s:o,s:o,s:o}", "coefficients", hex_of(coefs, s->k), "payload", hex_of(out, s->shard_bytes), "field",
                                              shard_field(id, s->k - 1u, i % 2, slice_of(coefs, s->k), (struct slice){0}, slice_of(out, s->shard_bytes))));
    }
    free(out);
    return list;
}

static json_t *message(const struct message *m)
{
    struct rlnc_shape s;
    uint8_t *payload = pattern(m->size, m->salt), id[CODED_ID_BYTES];
    struct coded_header h;
    struct pb_field f;
    struct buf *field;
    struct rd r;
    json_t *j;

    rlnc_shape_init(&s, m->size, generation_header_k(m->size, m->factor));
    field = generation_header_make(&key, &self, slice_str(m->topic), m->seqno, &s, payload, 0);
    r = rd_of(buf_slice(field));
    if (pb_next(&r, &f) <= 0 || coded_header_read(f.bytes, &h) || generation_header_verify(&h))
        abort();
    generation_header_id(&h, id);
    j = json_pack("{s:s,s:o,s:o,s:i,s:i,s:i,s:o,s:o,s:o,s:o}", "topic", m->topic, "seqno", number(m->seqno), "size", number(m->size),
                  "salt", m->salt, "factor", m->factor, "k", s.k, "shard_bytes", number(s.shard_bytes), "core_bytes", number(h.core.len),
                  "id", hex_of(id, sizeof(id)), "header", hex(buf_slice(field)));
    if (m->size <= 4096) {
        json_object_set_new(j, "source", source_fields(&s, id, payload));
        json_object_set_new(j, "coded", coded_fields(&s, id, payload, s.k <= 16 ? s.k : CODED_EACH));
    }
    buf_unref(field);
    free(payload);
    return j;
}

static json_t *messages(void)
{
    static const struct message list[] = {
        {"demo", 1, 2, 2, 0},           {"demo", 2, 10, 4, 1}, {"demo", 3, 9, 8, 2}, /* 8 would leave shards empty: 5 */
        {"a longer topic/with signs", 1700000000000000000ull, 1000, 16, 3},
        {"demo", 0, 1020, 255, 4},      {"demo", UINT64_MAX >> 1, 60001, 3, 5}, /* shards of two leaves */
    };
    json_t *out = json_array();

    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        json_array_append_new(out, message(&list[i]));
    return out;
}

/* ---- the other fields ---- */

static json_t *indices(const struct coded_bits *b)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < 256; i++)
        if (coded_bits_has(b, i))
            json_array_append_new(list, json_integer(i));
    return list;
}

static struct coded_bits some_bits(unsigned k, unsigned step)
{
    struct coded_bits b = {{0}};

    for (unsigned i = 0; step && i < k; i += step)
        coded_bits_put(&b, i);
    return b;
}

static json_t *have(const uint8_t *id, unsigned k, unsigned rank, unsigned step)
{
    struct coded_have h = {.id = id, .verified = some_bits(k, step), .rank = (uint8_t)rank};
    struct wr w = wr_of(space, sizeof(space));

    coded_have_put(&w, &h, k);
    return json_pack("{s:s,s:o,s:i,s:i,s:o,s:o}", "type", "have", "id", hex_of(id, CODED_ID_BYTES), "k", k, "rank", rank, "verified",
                     indices(&h.verified), "field", written(&w));
}

static json_t *want(const uint8_t *id, unsigned k, unsigned rank, unsigned step, unsigned count, unsigned flags)
{
    struct coded_bits verified = some_bits(k, step), skip = coded_bits_minus(some_bits(k, 3), verified);
    struct coded_want a = {.id = id, .verified = verified, .skip = skip, .rank = (uint8_t)rank, .count = (uint8_t)count, .flags = (uint8_t)flags};
    struct wr w = wr_of(space, sizeof(space));

    coded_want_put(&w, &a, k);
    return json_pack("{s:s,s:o,s:i,s:i,s:o,s:o,s:i,s:i,s:o}", "type", "want", "id", hex_of(id, CODED_ID_BYTES), "k", k, "rank", rank,
                     "verified", indices(&verified), "skip", indices(&skip), "count", count, "flags", flags, "field", written(&w));
}

static json_t *near(const char *topic, unsigned n)
{
    uint8_t tags[CODED_NEAR_MAX * CODED_TAG_BYTES];
    struct coded_near a = {slice_str(topic), slice_of(tags, n * CODED_TAG_BYTES)};
    struct wr w = wr_of(space, sizeof(space));

    rng_fill(&rng, tags, sizeof(tags));
    coded_near_put(&w, &a);
    return json_pack("{s:s,s:s,s:o,s:o}", "type", "near", "topic", topic, "tags", hex(a.tags), "field", written(&w));
}

static json_t *fields(void)
{
    uint8_t id[CODED_ID_BYTES];
    json_t *list = json_array();

    rng_fill(&rng, id, sizeof(id));
    json_array_append_new(list, have(id, 4, 0, 0));
    json_array_append_new(list, have(id, 4, 3, 2));
    json_array_append_new(list, have(id, 16, 12, 5));
    json_array_append_new(list, have(id, 255, 200, 2));
    json_array_append_new(list, have(id, 255, 255, 0));
    json_array_append_new(list, want(id, 4, 0, 0, 0, CODED_WANT_HEADER));
    json_array_append_new(list, want(id, 9, 5, 2, 4, CODED_WANT_SECOND_HAND));
    json_array_append_new(list, want(id, 255, 128, 2, 127, CODED_WANT_SOURCE_ONLY | CODED_WANT_HEADER));
    json_array_append_new(list, near("demo", 0));
    json_array_append_new(list, near("demo", 3));
    json_array_append_new(list, near("demo", CODED_NEAR_MAX));
    return list;
}

/* ---- what is refused ---- */

/* A field's content, and what its reader says. */
static void refuse(json_t *list, unsigned field, const struct wr *w)
{
    struct slice s = slice_of(w->p, w->len);
    struct coded_header h;
    struct coded_shard sh;
    struct coded_have ha;
    struct coded_want wa;
    struct coded_near n;
    int err = 0;

    switch (field) {
    case CODED_HEADER: err = coded_header_read(s, &h); break;
    case CODED_SHARD: err = coded_shard_read(s, &sh); break;
    case CODED_HAVE: err = coded_have_read(s, &ha); break;
    case CODED_WANT: err = coded_want_read(s, &wa); break;
    case CODED_NEAR: err = coded_near_read(s, &n); break;
    }
    if (!err || w->bad)
        abort();
    json_array_append_new(list, json_pack("{s:i,s:o,s:s}", "number", field, "content", hex(s), "rule", coded_err_name(err)));
}

struct shape { /* of a header: what one case changes */
    uint64_t size, k, shard, seqno;
    unsigned topic, from, hashes, signature;
};

static const struct shape good = {1000, 4, 250, 7, 4, 38, 128, 64};

static struct wr header(const struct shape *s)
{
    static const uint8_t zeroes[1024];
    struct wr w = wr_of(space, sizeof(space));

    pb_put_bytes(&w, 1, slice_of(zeroes, s->topic));
    pb_put_bytes(&w, 2, slice_of(zeroes, s->from));
    pb_put_varint(&w, 3, s->seqno);
    pb_put_varint(&w, 4, s->size);
    pb_put_varint(&w, 5, s->k);
    pb_put_varint(&w, 6, s->shard);
    pb_put_bytes(&w, 7, slice_of(zeroes, s->hashes));
    pb_put_bytes(&w, 8, slice_of(zeroes, s->signature));
    return w;
}

static void refuse_header(json_t *list, const struct shape *s)
{
    struct wr w = header(s);

    refuse(list, CODED_HEADER, &w);
}

static void refused_headers(json_t *list)
{
    struct wr w = header(&good);
    struct shape s;

#define REFUSE(change)                \
    do {                              \
        s = good;                     \
        change;                       \
        refuse_header(list, &s);      \
    } while (0)
    REFUSE(s.topic = 0);
    REFUSE(s.topic = 257);
    REFUSE(s.from = 0);
    REFUSE(s.from = 45);
    REFUSE(s.size = 0);
    REFUSE(s.size = 1ull << 32);
    REFUSE(s.k = 1);
    REFUSE(s.k = 256);
    REFUSE(s.shard = 249);
    REFUSE(s.shard = 251);
    REFUSE(s.size = 5; s.shard = 2); /* the last shard would be empty */
    REFUSE(s.hashes = 127);
    REFUSE(s.hashes = 160);
    REFUSE(s.signature = 0);
    REFUSE(s.signature = 73);
#undef REFUSE
    w = header(&good);
    w.len--; /* cut short */
    refuse(list, CODED_HEADER, &w);
    w = header(&good);
    pb_put_varint(&w, 9, 0); /* a field too many */
    refuse(list, CODED_HEADER, &w);
    w = wr_of(space, sizeof(space)); /* seqno before the topic */
    pb_put_varint(&w, 3, 7);
    refuse(list, CODED_HEADER, &w);
    w = header(&good); /* seqno 7 in two bytes */
    memmove(space + 48, space + 47, w.len - 47);
    if (space[46] != 3 << 3 || space[48] != 7)
        abort();
    space[47] = 0x87;
    space[48] = 0;
    w.len++;
    refuse(list, CODED_HEADER, &w);
}

static struct wr shard(size_t id, uint64_t rank, size_t coefs, size_t tags)
{
    static const uint8_t ones[1024] = {1, 1, 1, 1};
    struct wr w = wr_of(space, sizeof(space));

    pb_put_bytes(&w, 1, slice_of(ones, id));
    pb_put_varint(&w, 2, rank);
    pb_put_bytes(&w, 3, slice_of(ones, coefs));
    if (tags)
        pb_put_bytes(&w, 5, slice_of(ones, tags));
    return w;
}

static void refused_shards(json_t *list)
{
    struct wr w = shard(16, 1, 1, 0);

    refuse(list, CODED_SHARD, &w); /* no payload */
    pb_put_bytes(&w, 15, SLICE_LIT("x"));
    pb_put_varint(&w, 4, 0); /* something after it */
    refuse(list, CODED_SHARD, &w);
#define REFUSE(id, rank, coefs, tags)                 \
    do {                                              \
        w = shard(id, rank, coefs, tags);             \
        pb_put_bytes(&w, 15, SLICE_LIT("x"));         \
        refuse(list, CODED_SHARD, &w);                \
    } while (0)
    REFUSE(15, 1, 1, 0);
    REFUSE(17, 1, 1, 0);
    REFUSE(16, 256, 1, 0);
    REFUSE(16, 1, 0, 0);
    REFUSE(16, 1, 256, 0);
    REFUSE(16, 1, 1, 5);
    REFUSE(16, 1, 1, 132);
#undef REFUSE
    w = wr_of(space, sizeof(space));
    pb_put_varint(&w, 1, 1); /* an id that is a number */
    refuse(list, CODED_SHARD, &w);
}

static void refused_others(json_t *list)
{
    static const uint8_t zeroes[512];

    for (unsigned field = CODED_HAVE; field <= CODED_WANT; field++) {
        struct wr w = wr_of(space, sizeof(space));

        refuse(list, field, &w); /* no id */
        pb_put_bytes(&w, 1, slice_of(zeroes, 16));
        pb_put_bytes(&w, 3, slice_of(zeroes, 33)); /* more than 256 indices */
        refuse(list, field, &w);
        w = wr_of(space, sizeof(space));
        pb_put_bytes(&w, 1, slice_of(zeroes, 16));
        pb_put_varint(&w, 2, 256);
        refuse(list, field, &w);
    }
    for (unsigned i = 0; i < 4; i++) {
        struct wr w = wr_of(space, sizeof(space));

        pb_put_bytes(&w, 1, slice_of(zeroes, i == 0 ? 0 : i == 1 ? 257 : 4));
        pb_put_bytes(&w, 2, slice_of(zeroes, i == 2 ? 6 : i == 3 ? 260 : 4));
        refuse(list, CODED_NEAR, &w);
    }
}

static json_t *malformed(void)
{
    json_t *list = json_array();

    refused_headers(list);
    refused_shards(list);
    refused_others(list);
    return list;
}

static json_t *all(void)
{
    uint8_t seed[32];
    char text[PEER_ID_TEXT_MAX];
    json_t *j;

    for (unsigned i = 0; i < sizeof(seed); i++)
        seed[i] = (uint8_t)(i + 1);
    key_pair_from_seed(&key, seed);
    key_pair_peer_id(&key, &self);
    rng_init_seeded(&rng, 1);
    peer_id_format(&self, text);
    j = json_pack("{s:{s:o,s:o,s:s,s:o}}", "key", "seed", hex_of(seed, sizeof(seed)), "peer_id", hex(peer_id_slice(&self)), "peer_id_text",
                  text, "tag", number(coded_tag_of(&self)));
    /* One by one: they draw from one generator, and arguments may be computed in any order. */
    json_object_set_new(j, "gf", gf());
    json_object_set_new(j, "shard_hash", shard_hashes());
    json_object_set_new(j, "lot", lots());
    json_object_set_new(j, "messages", messages());
    json_object_set_new(j, "fields", fields());
    json_object_set_new(j, "malformed", malformed());
    return j;
}

static int check(const char *path, const char *text)
{
    FILE *f = fopen(path, "rb");
    char *got;
    size_t len;

    if (!f) {
        perror(path);
        return 1;
    }
    got = malloc(strlen(text) + 2);
    len = fread(got, 1, strlen(text) + 2, f);
    fclose(f);
    if (len == strlen(text) + 1 && !memcmp(got, text, strlen(text)) && got[len - 1] == '\n') {
        free(got);
        return 0;
    }
    free(got);
    fprintf(stderr, "%s is not what this tree makes: protocol_vectors >%s\n", path, path);
    return 1;
}

int main(int argc, char **argv)
{
    json_t *j = all();
    char *text = json_dumps(j, JSON_INDENT(1));
    int rc = 0;

    if (argc == 3 && !strcmp(argv[1], "--check"))
        rc = check(argv[2], text);
    else
        puts(text);
    free(text);
    json_decref(j);
    key_pair_fini(&key);
    return rc;
}
