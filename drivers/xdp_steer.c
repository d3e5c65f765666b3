/* xdp_steer.c: eBPF, jumps by label; loading and attaching by bpf(2) (xdp_steer.h) */
#include "drivers/xdp_steer.h"
#include "drivers/xsk.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Offsets in an Ethernet frame whose IPv4 header has no options. */
#define OFF_TYPE   12
#define OFF_IHL    14
#define OFF_FRAG   20
#define OFF_PROTO  23
#define OFF_IP_DST 30
#define OFF_DPORT  36
#define NEEDED     38
#define OFF_PROTO6 20 /* IPv6 without extension headers */
#define OFF_IP6_DST 38
#define OFF_DPORT6 56
#define NEEDED6    58
#define PROTO_TCP  6
#define IHL_PLAIN  0x45
#define FRAGMENT   0x3fff /* an offset, or more to come */

enum reg { R0, R1, R2, R3, R6 = 6 };
enum label { L_TAKE, L_PASS, L_IP6, L_COUNT };

struct program {
    struct bpf_insn *at;
    unsigned n;
    unsigned place[L_COUNT];
    uint8_t label[XDP_STEER_MAX]; /* of each jump, plus one; 0: no jump */
};

static void put(struct program *p, uint8_t code, enum reg dst, enum reg src, int16_t off, int32_t imm)
{
    p->at[p->n++] = (struct bpf_insn){.code = code, .dst_reg = dst & 0xf, .src_reg = src & 0xf, .off = off, .imm = imm};
}

static void jump(struct program *p, uint8_t code, enum reg dst, enum reg src, int32_t imm, enum label to)
{
    p->label[p->n] = (uint8_t)(to + 1);
    put(p, code, dst, src, 0, imm);
}

/* Loads a field of the frame; on to the next when it has this value, else to the kernel. */
static void require(struct program *p, uint8_t size, int16_t off, int32_t value)
{
    put(p, BPF_LDX | BPF_MEM | size, R3, R2, off, 0);
    jump(p, BPF_JMP32 | BPF_JNE | BPF_K, R3, R0, value, L_PASS);
}

static void port_rules(struct program *p, const struct xdp_steer_rule *rule, int16_t off)
{
    put(p, BPF_LDX | BPF_MEM | BPF_H, R3, R2, off, 0);
    put(p, BPF_ALU | BPF_END | BPF_TO_BE, R3, R0, 0, 16);
    if (rule->listen_port)
        jump(p, BPF_JMP32 | BPF_JEQ | BPF_K, R3, R0, rule->listen_port, L_TAKE);
    if (rule->dial_count) {
        jump(p, BPF_JMP32 | BPF_JLT | BPF_K, R3, R0, rule->dial_first, L_PASS);
        jump(p, BPF_JMP32 | BPF_JLT | BPF_K, R3, R0, rule->dial_first + rule->dial_count, L_TAKE);
    }
}

/* To the kernel unless the frame has so many bytes. */
static void require_bytes(struct program *p, int32_t n)
{
    put(p, BPF_LDX | BPF_MEM | BPF_W, R3, R6, offsetof(struct xdp_md, data_end), 0);
    put(p, BPF_ALU64 | BPF_MOV | BPF_X, R0, R2, 0, 0);
    put(p, BPF_ALU64 | BPF_ADD | BPF_K, R0, R0, 0, n);
    jump(p, BPF_JMP | BPF_JGT | BPF_X, R0, R3, 0, L_PASS);
}

static bool has_ip6(const struct xdp_steer_rule *rule)
{
    static const uint8_t none[16];

    return memcmp(rule->ip6, none, 16) != 0;
}

static void ip6_rules(struct program *p, const struct xdp_steer_rule *rule)
{
    jump(p, BPF_JMP | BPF_JA, R0, R0, 0, L_PASS); /* what came here by IPv4 */
    p->place[L_IP6] = p->n;
    require_bytes(p, NEEDED6);
    require(p, BPF_B, OFF_PROTO6, PROTO_TCP);
    for (int16_t i = 0; i < 16; i = (int16_t)(i + 4)) {
        int32_t word;

        memcpy(&word, rule->ip6 + i, 4);
        require(p, BPF_W, (int16_t)(OFF_IP6_DST + i), word);
    }
    port_rules(p, rule, OFF_DPORT6);
}

static void resolve(struct program *p)
{
    for (unsigned i = 0; i < p->n; i++)
        if (p->label[i])
            p->at[i].off = (int16_t)(p->place[p->label[i] - 1] - i - 1);
}

unsigned xdp_steer_build(struct bpf_insn *insns, const struct xdp_steer_rule *rule, int map_fd)
{
    struct program p = {.at = insns};
    int32_t ip;

    memcpy(&ip, rule->ip4, 4);
    put(&p, BPF_ALU64 | BPF_MOV | BPF_X, R6, R1, 0, 0);
    put(&p, BPF_LDX | BPF_MEM | BPF_W, R2, R1, offsetof(struct xdp_md, data), 0);
    require_bytes(&p, NEEDED);
    if (has_ip6(rule)) {
        put(&p, BPF_LDX | BPF_MEM | BPF_H, R3, R2, OFF_TYPE, 0);
        jump(&p, BPF_JMP32 | BPF_JEQ | BPF_K, R3, R0, htons(0x86dd), L_IP6);
    }
    require(&p, BPF_H, OFF_TYPE, htons(0x0800));
    require(&p, BPF_B, OFF_IHL, IHL_PLAIN);
    require(&p, BPF_W, OFF_IP_DST, ip);
    require(&p, BPF_B, OFF_PROTO, PROTO_TCP);
    put(&p, BPF_LDX | BPF_MEM | BPF_H, R3, R2, OFF_FRAG, 0);
    jump(&p, BPF_JMP32 | BPF_JSET | BPF_K, R3, R0, htons(FRAGMENT), L_PASS);
    port_rules(&p, rule, OFF_DPORT);
    if (has_ip6(rule))
        ip6_rules(&p, rule);

    p.place[L_PASS] = p.n;
    put(&p, BPF_ALU64 | BPF_MOV | BPF_K, R0, R0, 0, XDP_PASS);
    put(&p, BPF_JMP | BPF_EXIT, R0, R0, 0, 0);

    p.place[L_TAKE] = p.n; /* without a socket for this queue: to the kernel */
    put(&p, BPF_LDX | BPF_MEM | BPF_W, R2, R6, offsetof(struct xdp_md, rx_queue_index), 0);
    put(&p, BPF_LD | BPF_DW | BPF_IMM, R1, BPF_PSEUDO_MAP_FD, 0, map_fd);
    put(&p, 0, R0, R0, 0, 0); /* the second half of the 64-bit load */
    put(&p, BPF_ALU64 | BPF_MOV | BPF_K, R3, R0, 0, XDP_PASS);
    put(&p, BPF_JMP | BPF_CALL, R0, R0, 0, BPF_FUNC_redirect_map);
    put(&p, BPF_JMP | BPF_EXIT, R0, R0, 0, 0);
    resolve(&p);
    return p.n;
}

/* ---- the kernel's side ---- */

static int bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
    return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int load(const struct bpf_insn *insns, unsigned n)
{
    union bpf_attr attr;

    memset(&attr, 0, sizeof(attr));
    attr.prog_type = BPF_PROG_TYPE_XDP;
    attr.insns = (uintptr_t)insns;
    attr.insn_cnt = n;
    attr.license = (uintptr_t) "Dual BSD/GPL"; /* of the program alone */
    strcpy(attr.prog_name, "codecast_steer");
    return bpf(BPF_PROG_LOAD, &attr);
}

const char *xdp_steer_open(struct xdp_steer *s, const struct xdp_steer_rule *rule)
{
    struct bpf_insn insns[XDP_STEER_MAX];
    union bpf_attr attr;

    *s = (struct xdp_steer){.map_fd = -1, .prog_fd = -1, .link_fd = -1};
    memset(&attr, 0, sizeof(attr));
    attr.map_type = BPF_MAP_TYPE_XSKMAP;
    attr.key_size = attr.value_size = 4;
    attr.max_entries = XDP_STEER_QUEUES;
    s->map_fd = bpf(BPF_MAP_CREATE, &attr);
    if (s->map_fd < 0)
        return "a map of sockets (CAP_BPF, CAP_NET_ADMIN?)";
    s->prog_fd = load(insns, xdp_steer_build(insns, rule, s->map_fd));
    return s->prog_fd < 0 ? "the steering program (CAP_BPF, CAP_NET_ADMIN?)" : NULL;
}

static int link_to(const struct xdp_steer *s, int ifindex, uint32_t flags)
{
    union bpf_attr attr;

    memset(&attr, 0, sizeof(attr));
    attr.link_create.prog_fd = (uint32_t)s->prog_fd;
    attr.link_create.target_ifindex = (uint32_t)ifindex;
    attr.link_create.attach_type = BPF_XDP;
    attr.link_create.flags = flags;
    return bpf(BPF_LINK_CREATE, &attr);
}

const char *xdp_steer_queue(struct xdp_steer *s, uint32_t queue, int xsk_fd)
{
    union bpf_attr attr;

    memset(&attr, 0, sizeof(attr));
    attr.map_fd = (uint32_t)s->map_fd;
    attr.key = (uintptr_t)&queue;
    attr.value = (uintptr_t)&xsk_fd;
    return bpf(BPF_MAP_UPDATE_ELEM, &attr) < 0 ? "the socket in the map" : NULL;
}

const char *xdp_steer_attach(struct xdp_steer *s, int ifindex)
{
    for (unsigned i = 0; i < XSK_BUSY_TRIES && s->link_fd < 0; i++) {
        s->is_generic = false;
        s->link_fd = link_to(s, ifindex, XDP_FLAGS_DRV_MODE);
        if (s->link_fd < 0 && errno != EBUSY && errno != EEXIST) {
            s->link_fd = link_to(s, ifindex, XDP_FLAGS_SKB_MODE);
            s->is_generic = true;
        }
        if (s->link_fd < 0 && ((errno != EBUSY && errno != EEXIST) || usleep(XSK_BUSY_WAIT_US) < 0))
            break;
    }
    return s->link_fd < 0 ? "the program on the interface (is there another one?)" : NULL;
}

void xdp_steer_detach(struct xdp_steer *s)
{
    if (s->link_fd >= 0)
        close(s->link_fd);
    s->link_fd = -1;
}

void xdp_steer_close(struct xdp_steer *s)
{
    const int fds[] = {s->link_fd, s->prog_fd, s->map_fd};

    for (unsigned i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    *s = (struct xdp_steer){.map_fd = -1, .prog_fd = -1, .link_fd = -1};
}
