/* memif_ctl.c: who says what when (memif_ctl.h) */
#include "drivers/memif_ctl.h"

#define NAME "codecast"

const char *memif_err_name(int err)
{
    static const char *const names[] = {"ok",        "not a memif message", "message out of turn", "another version or mode", "too many or too large",
                                        "bad descriptor", "bad ring",         "bad slot",            "no memory",
                                        "too slow"};
    unsigned i = (unsigned)(err < 0 ? -err : err);

    return i < sizeof(names) / sizeof(names[0]) ? names[i] : "unknown";
}

/* ---- fields ---- */

static uint16_t get16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static void put16(uint8_t *p, uint16_t v)
{
    memcpy(p, &v, sizeof(v));
}

static void put32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof(v));
}

static void put_text(uint8_t *p, const char *text, size_t cap)
{
    size_t n = strlen(text);

    memcpy(p, text, n < cap ? n : cap - 1);
}

/* ---- saying ---- */

static void say(struct memif_ctl *c, enum memif_msg_type type, int fd)
{
    memset(c->out, 0, sizeof(c->out));
    put16(c->out, type);
    c->out_fd = fd;
    c->has_out = true;
}

static void say_hello(struct memif_ctl *c)
{
    say(c, MEMIF_MSG_HELLO, -1);
    put_text(c->out + MEMIF_HELLO_NAME, NAME, MEMIF_NAME_BYTES);
    put16(c->out + MEMIF_HELLO_MIN_VERSION, MEMIF_VERSION);
    put16(c->out + MEMIF_HELLO_MAX_VERSION, MEMIF_VERSION);
    put16(c->out + MEMIF_HELLO_MAX_REGION, MEMIF_REGIONS_MAX - 1);
    c->out[MEMIF_HELLO_MAX_LOG2] = MEMIF_LOG2_MAX; /* the rings' highest indices are 0 */
}

static void say_init(struct memif_ctl *c)
{
    say(c, MEMIF_MSG_INIT, -1);
    put16(c->out + MEMIF_INIT_VERSION, MEMIF_VERSION);
    put32(c->out + MEMIF_INIT_ID, c->id);
    put_text(c->out + MEMIF_INIT_NAME, NAME, MEMIF_NAME_BYTES);
}

static void say_region(struct memif_ctl *c, uint16_t i)
{
    say(c, MEMIF_MSG_ADD_REGION, c->regions[i].fd);
    put16(c->out + MEMIF_REGION_INDEX, i);
    memcpy(c->out + MEMIF_REGION_SIZE, &c->regions[i].size, 8);
}

static void say_ring(struct memif_ctl *c, unsigned way)
{
    const struct memif_ring_fact *r = &c->rings[way];

    say(c, MEMIF_MSG_ADD_RING, r->fd);
    put16(c->out + MEMIF_RING_FLAGS, way == MEMIF_TO_SERVER ? MEMIF_RING_TO_SERVER : 0);
    put16(c->out + MEMIF_RING_REGION, r->region);
    put32(c->out + MEMIF_RING_OFFSET, r->offset);
    c->out[MEMIF_RING_LOG2] = r->log2;
}

/* A client's offer, a step for each acknowledgement. */
static void say_next(struct memif_ctl *c)
{
    unsigned step = c->told++;

    if (step < c->nregions) {
        say_region(c, (uint16_t)step);
    } else if (step < c->nregions + 2u) {
        say_ring(c, step - c->nregions);
    } else {
        say(c, MEMIF_MSG_CONNECT, -1);
        put_text(c->out + MEMIF_CONNECT_NAME, NAME, MEMIF_NAME_BYTES);
        c->expect = MEMIF_EXPECT_CONNECTED;
    }
}

void memif_ctl_offer(struct memif_ctl *c)
{
    c->told = 0;
    c->expect = MEMIF_EXPECT_ACK;
    say_init(c);
}

void memif_ctl_accept(struct memif_ctl *c)
{
    bool is_whole = c->rings[MEMIF_TO_SERVER].is_told && c->rings[MEMIF_TO_CLIENT].is_told;

    if (!is_whole) {
        say(c, MEMIF_MSG_ACK, -1);
        c->expect = MEMIF_EXPECT_SETUP;
        return;
    }
    say(c, MEMIF_MSG_CONNECTED, -1);
    put_text(c->out + MEMIF_CONNECT_NAME, NAME, MEMIF_NAME_BYTES);
    c->expect = MEMIF_EXPECT_NOTHING;
}

void memif_ctl_refuse(struct memif_ctl *c, const char *why)
{
    say(c, MEMIF_MSG_DISCONNECT, -1);
    put_text(c->out + MEMIF_DISCONNECT_TEXT, why, MEMIF_TEXT_BYTES);
    c->expect = MEMIF_EXPECT_END;
}

bool memif_ctl_output(struct memif_ctl *c, uint8_t out[MEMIF_MSG_BYTES], int *fd)
{
    if (!c->has_out)
        return false;
    memcpy(out, c->out, MEMIF_MSG_BYTES);
    *fd = c->out_fd;
    c->has_out = false;
    return true;
}

/* ---- hearing ---- */

static int hear_hello(struct memif_ctl *c, const uint8_t *m)
{
    uint8_t log2 = m[MEMIF_HELLO_MAX_LOG2];

    if (get16(m + MEMIF_HELLO_MIN_VERSION) > MEMIF_VERSION || get16(m + MEMIF_HELLO_MAX_VERSION) < MEMIF_VERSION)
        return -MEMIF_EVERSION;
    if (log2 < MEMIF_LOG2_MIN)
        return -MEMIF_ELIMIT;
    c->log2_max = log2 < MEMIF_LOG2_MAX ? log2 : MEMIF_LOG2_MAX;
    c->expect = MEMIF_EXPECT_US;
    return MEMIF_NEWS_HELLO;
}

static int hear_init(struct memif_ctl *c, const uint8_t *m)
{
    if (get16(m + MEMIF_INIT_VERSION) != MEMIF_VERSION || m[MEMIF_INIT_MODE] != 0)
        return -MEMIF_EVERSION;
    c->id = get32(m + MEMIF_INIT_ID);
    c->expect = MEMIF_EXPECT_US;
    return MEMIF_NEWS_INIT;
}

static int hear_region(struct memif_ctl *c, const uint8_t *m, int fd, bool *is_taken)
{
    uint64_t size = get64(m + MEMIF_REGION_SIZE), room = MEMIF_REGION_BYTES_MAX;

    if (fd < 0)
        return -MEMIF_EFD;
    if (get16(m + MEMIF_REGION_INDEX) != c->nregions)
        return -MEMIF_EORDER;
    for (unsigned i = 0; i < c->nregions; i++)
        room -= c->regions[i].size;
    if (c->nregions == MEMIF_REGIONS_MAX || size == 0 || size > room)
        return -MEMIF_ELIMIT;
    c->regions[c->nregions++] = (struct memif_region_fact){fd, size};
    *is_taken = true;
    say(c, MEMIF_MSG_ACK, -1);
    return MEMIF_NEWS_NONE;
}

static int hear_ring(struct memif_ctl *c, const uint8_t *m, int fd, bool *is_taken)
{
    bool is_to_server = get16(m + MEMIF_RING_FLAGS) & MEMIF_RING_TO_SERVER;
    struct memif_ring_fact *r = &c->rings[is_to_server ? MEMIF_TO_SERVER : MEMIF_TO_CLIENT];
    uint8_t log2 = m[MEMIF_RING_LOG2];

    if (fd < 0)
        return -MEMIF_EFD;
    if (r->is_told)
        return -MEMIF_EORDER;
    if (get16(m + MEMIF_RING_INDEX) != 0 || log2 < MEMIF_LOG2_MIN || log2 > MEMIF_LOG2_MAX)
        return -MEMIF_ELIMIT;
    *r = (struct memif_ring_fact){fd, get16(m + MEMIF_RING_REGION), get32(m + MEMIF_RING_OFFSET), log2, true};
    *is_taken = true;
    say(c, MEMIF_MSG_ACK, -1);
    return MEMIF_NEWS_NONE;
}

static int hear_connect(struct memif_ctl *c)
{
    if (!c->rings[MEMIF_TO_SERVER].is_told || !c->rings[MEMIF_TO_CLIENT].is_told)
        return -MEMIF_EORDER;
    c->expect = MEMIF_EXPECT_US;
    return MEMIF_NEWS_CONNECT;
}

static int hear_setup(struct memif_ctl *c, unsigned type, const uint8_t *m, int fd, bool *is_taken)
{
    switch (type) {
    case MEMIF_MSG_ADD_REGION: return hear_region(c, m, fd, is_taken);
    case MEMIF_MSG_ADD_RING: return hear_ring(c, m, fd, is_taken);
    case MEMIF_MSG_CONNECT: return hear_connect(c);
    default: return -MEMIF_EORDER;
    }
}

static int hear_ack(struct memif_ctl *c)
{
    say_next(c);
    return MEMIF_NEWS_NONE;
}

static int hear_connected(struct memif_ctl *c)
{
    c->expect = MEMIF_EXPECT_NOTHING;
    return MEMIF_NEWS_UP;
}

static int hear_goodbye(struct memif_ctl *c, const uint8_t *m)
{
    memcpy(c->text, m + MEMIF_DISCONNECT_TEXT, MEMIF_TEXT_BYTES);
    c->expect = MEMIF_EXPECT_END;
    return MEMIF_NEWS_GONE;
}

int memif_ctl_input(struct memif_ctl *c, struct slice msg, int fd, bool *is_taken)
{
    unsigned type;

    *is_taken = false;
    if (msg.len != MEMIF_MSG_BYTES)
        return -MEMIF_EFORM;
    type = get16(msg.p);
    if (type == MEMIF_MSG_NONE || type > MEMIF_MSG_DISCONNECT)
        return -MEMIF_EFORM;
    if (type == MEMIF_MSG_DISCONNECT && c->expect != MEMIF_EXPECT_END)
        return hear_goodbye(c, msg.p);
    if (c->expect == MEMIF_EXPECT_SETUP && !c->has_out)
        return hear_setup(c, type, msg.p, fd, is_taken);
    if (c->expect == MEMIF_EXPECT_HELLO && type == MEMIF_MSG_HELLO)
        return hear_hello(c, msg.p);
    if (c->expect == MEMIF_EXPECT_INIT && type == MEMIF_MSG_INIT)
        return hear_init(c, msg.p);
    if (c->expect == MEMIF_EXPECT_ACK && type == MEMIF_MSG_ACK && !c->has_out)
        return hear_ack(c);
    if (c->expect == MEMIF_EXPECT_CONNECTED && type == MEMIF_MSG_CONNECTED)
        return hear_connected(c);
    return -MEMIF_EORDER;
}

void memif_ctl_init(struct memif_ctl *c, bool is_server, uint32_t id)
{
    *c = (struct memif_ctl){.is_server = is_server, .id = id, .out_fd = -1};
    c->expect = is_server ? MEMIF_EXPECT_INIT : MEMIF_EXPECT_HELLO;
    for (unsigned i = 0; i < MEMIF_REGIONS_MAX; i++)
        c->regions[i].fd = -1;
    c->rings[0].fd = c->rings[1].fd = -1;
    if (is_server)
        say_hello(c);
}
