/* pkt_text.c: the words of packet scripts */
#include "pkt.h"
#include "testing.h"

#include <ctype.h>

static const struct {
    char letter;
    uint8_t flag;
} flag_letters[] = {{'S', TCP_SYN}, {'F', TCP_FIN}, {'R', TCP_RST}, {'P', TCP_PSH}, {'A', TCP_ACK}, {'E', 0x40}, {'C', 0x80}};

void pkt_fail(struct pkt *p, const char *format, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    fail_msg("%s:%u%s at %.6f s: %s\n    line: %s", p->file, p->line_number, p->is_v6 ? " (IPv6)" : "",
             (double)(p->now - p->start_ns) / 1e9, text, p->line);
    abort();
}

unsigned pkt_words(char *text, char *words[PKT_WORDS])
{
    static char open[] = "[", close[] = "]";
    unsigned n = 0;

    for (char *c = text; *c && *c != '#';) {
        if (n + 2 >= PKT_WORDS)
            return n;
        if (isspace((unsigned char)*c) || *c == ',')
            *c++ = 0;
        else if (*c == '[' || *c == ']') {
            words[n++] = *c == '[' ? open : close;
            *c++ = 0;
        } else {
            words[n++] = c;
            while (*c && !isspace((unsigned char)*c) && !strchr(",[]#", *c))
                c++;
            if (*c == '#')
                *c = 0;
        }
    }
    return n;
}

int64_t pkt_number(struct pkt *p, const char *word)
{
    char *end;
    long long v = strtoll(word, &end, 0);

    if (end == word || *end)
        pkt_fail(p, "'%s' is no number", word);
    return v;
}

uint64_t pkt_time(struct pkt *p, const char *word)
{
    char *end;
    double v = strtod(word, &end);

    if (end == word || v < 0)
        pkt_fail(p, "'%s' is no time", word);
    if (strcmp(end, "ms") == 0)
        v /= 1000;
    else if (strcmp(end, "us") == 0)
        v /= 1000000;
    else if (*end && strcmp(end, "s") != 0)
        pkt_fail(p, "'%s' is no time", word);
    return (uint64_t)(v * 1e9 + 0.5);
}

/* ---- segments read ---- */

static uint8_t parse_flags(struct pkt *p, const char *word)
{
    uint8_t flags = 0;

    for (const char *c = word; *c; c++) {
        unsigned i = 0;
        while (i < sizeof(flag_letters) / sizeof(*flag_letters) && flag_letters[i].letter != *c)
            i++;
        if (i == sizeof(flag_letters) / sizeof(*flag_letters) && *c != '.')
            pkt_fail(p, "'%s' are no flags", word);
        flags |= *c == '.' ? 0 : flag_letters[i].flag;
    }
    return flags;
}

/* SEQ or SEQ+LEN */
static void parse_place(struct pkt *p, char *word, struct pkt_seg *s)
{
    char *plus = strchr(word + 1, '+');

    if (plus)
        *plus = 0;
    s->seq = pkt_number(p, word);
    if (plus)
        s->len = (uint32_t)pkt_number(p, plus + 1);
    if (plus)
        *plus = '+';
}

/* LO-HI */
static void parse_sack(struct pkt *p, const char *word, struct pkt_seg *s)
{
    char *end;
    long long lo = strtoll(word, &end, 10), hi;

    if (*end != '-' || s->opt.sack_count == TCP_SACK_BLOCKS)
        pkt_fail(p, "'%s' is no SACK block, or one too many", word);
    hi = pkt_number(p, end + 1);
    s->opt.sack[s->opt.sack_count++] = (struct seq_range){(uint32_t)lo, (uint32_t)hi};
}

static bool is_number(const char *word)
{
    return isdigit((unsigned char)word[0]) || (word[0] == '-' && isdigit((unsigned char)word[1]));
}

/* After "ts": up to two numbers or stars. */
static unsigned parse_ts(struct pkt *p, char **words, unsigned n, struct pkt_seg *s)
{
    unsigned used = 0;

    s->opt.has_ts = true;
    s->is_ts_val_free = s->is_ts_ecr_free = true;
    for (; used < 2 && used < n && (words[used][0] == '*' || is_number(words[used])); used++) {
        if (words[used][0] == '*')
            continue;
        *(used ? &s->ts_ecr : &s->ts_val) = pkt_number(p, words[used]);
        *(used ? &s->is_ts_ecr_free : &s->is_ts_val_free) = false;
    }
    return used;
}

/* Between the brackets; returns the words used, the closing one included. */
static unsigned parse_block(struct pkt *p, char **words, unsigned n, struct pkt_seg *s)
{
    unsigned i = 0;

    s->has_block = true;
    while (i < n && strcmp(words[i], "]") != 0) {
        const char *w = words[i++];
        const char *arg = i < n ? words[i] : "";
        if (strcmp(w, "mss") == 0 && ++i) {
            s->opt.has_mss = true;
            s->opt.mss = (uint16_t)pkt_number(p, arg);
        } else if (strcmp(w, "ws") == 0 && ++i) {
            s->opt.has_wscale = true;
            s->opt.wscale = (uint8_t)pkt_number(p, arg);
        } else if (strcmp(w, "sackok") == 0)
            s->opt.has_sack_ok = true;
        else if (strcmp(w, "nots") == 0)
            s->no_ts = true;
        else if (strcmp(w, "ts") == 0)
            i += parse_ts(p, words + i, n - i, s);
        else if (strcmp(w, "sack") == 0)
            while (i < n && is_number(words[i]))
                parse_sack(p, words[i++], s);
        else
            pkt_fail(p, "'%s' is no option", w);
    }
    if (i == n)
        pkt_fail(p, "']' is missing");
    return i + 1;
}

void pkt_segment_parse(struct pkt *p, char **words, unsigned n, struct pkt_seg *s)
{
    unsigned i = 2;

    *s = (struct pkt_seg){.flow = s->flow};
    if (n < 2)
        pkt_fail(p, "a segment needs flags and a sequence number");
    s->flags = parse_flags(p, words[0]);
    parse_place(p, words[1], s);
    while (i < n) {
        const char *w = words[i++];
        if (strcmp(w, "[") == 0)
            i += parse_block(p, words + i, n - i, s);
        else if (i == n)
            pkt_fail(p, "'%s' wants a number", w);
        else if (strcmp(w, "ack") == 0) {
            s->has_ack = true;
            s->ack = pkt_number(p, words[i++]);
        } else if (strcmp(w, "win") == 0) {
            s->has_win = true;
            s->win = (uint32_t)pkt_number(p, words[i++]);
        } else if (strcmp(w, "packets") == 0)
            s->packet = (uint16_t)pkt_number(p, words[i++]);
        else
            pkt_fail(p, "'%s' is not part of a segment", w);
    }
}

/* ---- segments written ---- */

static size_t put(char *out, size_t cap, size_t at, const char *format, ...)
{
    va_list ap;

    if (at >= cap)
        return at;
    va_start(ap, format);
    int n = vsnprintf(out + at, cap - at, format, ap);
    va_end(ap);
    return at + (size_t)n;
}

void pkt_segment_text(const struct pkt *p, const struct pkt_seg *s, char *out, size_t cap)
{
    char flags[9];
    unsigned n = 0;

    for (unsigned i = 0; i < sizeof(flag_letters) / sizeof(*flag_letters); i++)
        if (s->flags & flag_letters[i].flag)
            flags[n++] = flag_letters[i].letter;
    flags[n] = 0;
    size_t at = put(out, cap, 0, "%.6f @%u %s %lld+%u ack %lld win %u", (double)(s->at_ns - p->start_ns) / 1e9,
                    s->flow, flags, (long long)s->seq, s->len, (long long)s->ack, s->win);
    if (s->packet)
        at = put(out, cap, at, " packets %u", s->packet);
    at = put(out, cap, at, " [");
    if (s->opt.has_mss)
        at = put(out, cap, at, " mss %u", s->opt.mss);
    if (s->opt.has_sack_ok)
        at = put(out, cap, at, " sackok");
    if (s->opt.has_wscale)
        at = put(out, cap, at, " ws %u", s->opt.wscale);
    if (s->opt.has_ts)
        at = put(out, cap, at, " ts %lld %lld", (long long)s->ts_val, (long long)s->ts_ecr);
    for (unsigned i = 0; i < s->opt.sack_count; i++)
        at = put(out, cap, at, "%s %d-%d", i ? "" : " sack", (int)s->opt.sack[i].lo, (int)s->opt.sack[i].hi);
    put(out, cap, at, " ]");
}
