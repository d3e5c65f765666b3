/* af_packet_filter.c: classic BPF, jumps by label (af_packet_filter.h) */
#include "drivers/af_packet_filter.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <string.h>

/* Offsets in an Ethernet frame. */
#define OFF_TYPE     12
#define OFF_IP       14
#define OFF_FRAG     20
#define OFF_PROTO    23
#define OFF_IP_SRC   26
#define OFF_IP_DST   30
#define OFF_ARP_SPA  28
#define OFF_ARP_TPA  38
#define OFF_PROTO6   20
#define OFF_IP6_SRC  34 /* its last four bytes */
#define OFF_IP6_DST  38
#define OFF_ICMP6    54
#define IP6_BYTES    40
#define FRAG_MASK    0x1fff
#define TYPE_IP4     0x0800
#define TYPE_ARP     0x0806
#define TYPE_IP6     0x86dd
#define PROTO_ICMP   1
#define PROTO_TCP    6
#define PROTO_ICMP6  58
#define ICMP_UNREACH 3
#define ICMP6_UNREACH 1
#define ICMP6_TOO_BIG 2
#define ICMP6_ADVERT 136
#define MIX          0x9e3779b1u /* spreads what differs in few bits: neighbours' addresses, ports in a row */
#define MIX_SHIFT    16

/* Labels above any real jump; resolved at the end. */
enum label { NEXT = 200, L_IP, L_IP6, L_TCP, L_TCP4, L_TCP6, L_ICMP, L_FLOW, L_ACCEPT, L_DROP, L_COUNT };

struct program {
    struct sock_filter *at;
    unsigned n;
    unsigned place[L_COUNT - NEXT];
};

static void load(struct program *p, uint16_t code, uint32_t k)
{
    p->at[p->n++] = (struct sock_filter){code, 0, 0, k};
}

static void jump(struct program *p, uint16_t op, uint32_t k, enum label yes, enum label no)
{
    p->at[p->n++] = (struct sock_filter){(uint16_t)(BPF_JMP | BPF_K | op), (uint8_t)yes, (uint8_t)no, k};
}

static void mark(struct program *p, enum label l)
{
    p->place[l - NEXT] = p->n;
}

static uint8_t resolve(const struct program *p, unsigned i, uint8_t label)
{
    return label == NEXT ? 0 : (uint8_t)(p->place[label - NEXT] - i - 1);
}

/* X has the IP header's length, M[0] what is mixed of the peer's address. */
static void flow(struct program *p, const struct af_packet_filter *f)
{
    mark(p, L_FLOW);
    load(p, BPF_LD | BPF_H | BPF_IND, OFF_IP);
    load(p, BPF_MISC | BPF_TAX, 0);
    load(p, BPF_LD | BPF_MEM, 0);
    load(p, BPF_ALU | BPF_ADD | BPF_X, 0);
    load(p, BPF_ALU | BPF_MUL | BPF_K, MIX);
    load(p, BPF_ALU | BPF_RSH | BPF_K, MIX_SHIFT);
    load(p, BPF_ALU | BPF_MOD | BPF_K, f->nroles);
    jump(p, BPF_JEQ, f->role, L_ACCEPT, L_DROP);
}

static uint32_t word_at(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static bool has_ip6(const struct af_packet_filter *f)
{
    static const uint8_t none[16];

    return memcmp(f->ip6, none, 16) != 0;
}

static void ip6(struct program *p, const struct af_packet_filter *f)
{
    mark(p, L_IP6);
    for (unsigned i = 0; i < 4; i++) {
        load(p, BPF_LD | BPF_W | BPF_ABS, OFF_IP6_DST + 4 * i);
        jump(p, BPF_JEQ, word_at(f->ip6 + 4 * i), NEXT, L_DROP);
    }
    load(p, BPF_LD | BPF_B | BPF_ABS, OFF_PROTO6);
    jump(p, BPF_JEQ, PROTO_TCP, L_TCP6, NEXT);
    jump(p, BPF_JEQ, PROTO_ICMP6, NEXT, L_DROP);
    load(p, BPF_LD | BPF_B | BPF_ABS, OFF_ICMP6);
    jump(p, BPF_JEQ, ICMP6_UNREACH, L_ACCEPT, NEXT);
    jump(p, BPF_JEQ, ICMP6_TOO_BIG, L_ACCEPT, NEXT);
    jump(p, BPF_JEQ, ICMP6_ADVERT, L_ACCEPT, L_DROP);

    mark(p, L_TCP6);
    load(p, BPF_LD | BPF_W | BPF_ABS, OFF_IP6_SRC);
    load(p, BPF_ST, 0);
    load(p, BPF_LDX | BPF_IMM, IP6_BYTES);
    jump(p, BPF_JGE, 0, L_TCP, L_TCP); /* always */
}

unsigned af_packet_flow_role(const uint8_t ip4[4], uint16_t port, unsigned nroles)
{
    return nroles > 1 ? ((word_at(ip4) + port) * MIX >> MIX_SHIFT) % nroles : 0;
}

unsigned af_packet_filter_build(struct sock_filter *insns, const struct af_packet_filter *f)
{
    uint32_t ip = word_at(f->ip4);
    struct program p = {.at = insns};

    load(&p, BPF_LD | BPF_W | BPF_LEN, 0);
    jump(&p, BPF_JGE, f->min_bytes, NEXT, L_DROP);
    if (f->max_bytes)
        jump(&p, BPF_JGT, f->max_bytes, L_DROP, NEXT);
    load(&p, BPF_LD | BPF_H | BPF_ABS, OFF_TYPE);
    jump(&p, BPF_JEQ, TYPE_IP4, L_IP, NEXT);
    if (has_ip6(f))
        jump(&p, BPF_JEQ, TYPE_IP6, L_IP6, NEXT);
    jump(&p, BPF_JEQ, TYPE_ARP, NEXT, L_DROP);
    load(&p, BPF_LD | BPF_W | BPF_ABS, OFF_ARP_TPA);
    jump(&p, BPF_JEQ, ip, L_ACCEPT, NEXT);
    load(&p, BPF_MISC | BPF_TAX, 0);
    load(&p, BPF_LD | BPF_W | BPF_ABS, OFF_ARP_SPA);
    jump(&p, BPF_JEQ | BPF_X, 0, L_ACCEPT, L_DROP);

    if (has_ip6(f))
        ip6(&p, f);

    mark(&p, L_IP);
    load(&p, BPF_LD | BPF_W | BPF_ABS, OFF_IP_DST);
    jump(&p, BPF_JEQ, ip, NEXT, L_DROP);
    load(&p, BPF_LD | BPF_H | BPF_ABS, OFF_FRAG);
    jump(&p, BPF_JSET, FRAG_MASK, L_DROP, NEXT);
    load(&p, BPF_LDX | BPF_B | BPF_MSH, OFF_IP); /* X = IP header bytes */
    load(&p, BPF_LD | BPF_B | BPF_ABS, OFF_PROTO);
    jump(&p, BPF_JEQ, PROTO_TCP, L_TCP4, NEXT);
    jump(&p, BPF_JEQ, PROTO_ICMP, L_ICMP, L_DROP);

    mark(&p, L_ICMP);
    load(&p, BPF_LD | BPF_B | BPF_IND, OFF_IP);
    jump(&p, BPF_JEQ, ICMP_UNREACH, L_ACCEPT, L_DROP);

    mark(&p, L_TCP4);
    load(&p, BPF_LD | BPF_W | BPF_ABS, OFF_IP_SRC);
    load(&p, BPF_ST, 0);
    mark(&p, L_TCP);
    load(&p, BPF_LD | BPF_H | BPF_IND, OFF_IP + 2);
    if (f->listen_port)
        jump(&p, BPF_JEQ, f->listen_port, f->nroles > 1 ? L_FLOW : L_ACCEPT, NEXT);
    if (f->dial_count) {
        jump(&p, BPF_JGE, f->dial_first, NEXT, L_DROP);
        jump(&p, BPF_JGT, (uint32_t)f->dial_first + f->dial_count - 1, L_DROP, L_ACCEPT);
    } else {
        load(&p, BPF_RET | BPF_K, 0);
    }
    if (f->nroles > 1)
        flow(&p, f);
    mark(&p, L_ACCEPT);
    load(&p, BPF_RET | BPF_K, 0xffffffff);
    mark(&p, L_DROP);
    load(&p, BPF_RET | BPF_K, 0);

    for (unsigned i = 0; i < p.n; i++)
        if (BPF_CLASS(insns[i].code) == BPF_JMP) {
            insns[i].jt = resolve(&p, i, insns[i].jt);
            insns[i].jf = resolve(&p, i, insns[i].jf);
        }
    return p.n;
}
