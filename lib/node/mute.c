#include "node/mute.h"

void mute_stream_ready(struct mute *m, uint64_t now)
{
    m->since_ns = now ? now : 1;
}

void mute_stream_gone(struct mute *m)
{
    m->since_ns = 0;
}

void mute_opened(struct mute *m, uint64_t conn)
{
    m->opened_on = conn;
}

void mute_heard(struct mute *m, uint64_t conn)
{
    m->heard_on = conn;
    m->tries = 0;
}

void mute_conn_down(struct mute *m, uint64_t conn, uint64_t now)
{
    if (m->opened_on == conn)
        m->opened_on = 0;
    if (m->heard_on != conn)
        return;
    m->heard_on = 0;
    if (m->since_ns)
        m->since_ns = now;
}

bool mute_is_due(struct mute *m, uint64_t now)
{
    if (!m->since_ns || m->heard_on || m->tries >= MUTE_TRIES || now - m->since_ns < MUTE_NS << m->tries)
        return false;
    m->tries++;
    m->since_ns = now;
    return true;
}

bool mute_is_lost(const struct mute *m)
{
    return m->tries > 1 && !m->opened_on && !m->heard_on;
}
