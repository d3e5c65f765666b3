#include "node/eal.h"

#include <errno.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "node/telemetry.h"
#include <sys/syscall.h>
#include <unistd.h>

/* Rings, and mbufs of ethdev ports; payloads live elsewhere. Hugepages are taken as they are needed; without them all is said at the start: */
#define MEMORY_MB       64u
#define QUEUE_MEMORY_MB 32u /* 2048 mbufs of 9 KiB, none across pages, in one piece of the heap */

/* Are there hugepages that we may map? Asking the kernel is the only sure test. */
static bool has_hugepages(void)
{
    size_t size = 64u << 20;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

    if (p == MAP_FAILED)
        return false;
    munmap(p, size);
    return true;
}

/* EAL places hugepages on the right NUMA node and fails when it may not: docker's default profile forbids it without
 * CAP_SYS_NICE. A kernel without NUMA has no such call, and EAL then does without. */
static bool may_place_memory(void)
{
    int mode;

    return syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0) == 0 || errno == ENOSYS;
}

/* The n-th from the end. */
static int last_cpu(const cpu_set_t *set, unsigned n)
{
    for (int i = CPU_SETSIZE - 1; i >= 0; i--)
        if (CPU_ISSET(i, set) && n-- == 0)
            return i;
    return 0;
}

/* "(0,3,5)": EAL's way to say that an lcore floats over these CPUs. */
static size_t format_set(const cpu_set_t *set, char *out, size_t cap)
{
    size_t n = (size_t)snprintf(out, cap, "(");

    for (int i = 0; i < CPU_SETSIZE && n + 8 < cap; i++)
        if (CPU_ISSET(i, set))
            n += (size_t)snprintf(out + n, cap - n, "%s%d", n > 1 ? "," : "", i);
    return n + (size_t)snprintf(out + n, cap - n, ")");
}

int eal_plan_make(struct eal_plan *p, const cpu_set_t *all, const struct layout_wish *w, unsigned net_max, char err[256])
{
    char cpus[160];
    size_t n;

    *p = (struct eal_plan){.all = *all, .control = *all, .ncpus = (unsigned)CPU_COUNT(all)};
    if (layout_make(&p->layout, p->ncpus, w, net_max, err))
        return -1;
    p->has_hugepages = has_hugepages();
    p->is_huge_forbidden = p->has_hugepages && !may_place_memory();
    if (p->is_huge_forbidden)
        p->has_hugepages = false;
    format_set(&p->all, cpus, sizeof(cpus));
    n = (size_t)snprintf(p->lcores, sizeof(p->lcores), "0@%s", cpus);
    for (unsigned i = 0; i < p->layout.lcores; i++) {
        int cpu = last_cpu(&p->all, i);
        if (!p->layout.is_pinned) {
            n += (size_t)snprintf(p->lcores + n, sizeof(p->lcores) - n, ",%u@%s", i + 1, cpus);
            continue;
        }
        n += (size_t)snprintf(p->lcores + n, sizeof(p->lcores) - n, ",%u@%d", i + 1, cpu);
        CPU_CLR(cpu, &p->control);
    }
    return 0;
}

void eal_plan_format(const struct eal_plan *p, char *out, size_t cap)
{
    const struct layout *l = &p->layout;
    size_t n = 0;

    out[0] = 0;
    if (!p->layout.is_pinned) {
        n = (size_t)snprintf(out, cap, "%u lcore%s over CPUs ", l->lcores, l->lcores > 1 ? "s" : "");
        format_set(&p->all, out + n, cap - n);
        return;
    }
    if (l->lcores == 1) {
        snprintf(out, cap, "net and coding on CPU %d", last_cpu(&p->all, 0));
        return;
    }
    for (unsigned i = 0; i < l->lcores && n + 40 < cap; i++)
        n += (size_t)snprintf(out + n, cap - n, "%s%s %u on CPU %d", i ? ", " : "", i < l->net ? "net" : "coding", i < l->net ? i : i - l->net,
                              last_cpu(&p->all, i));
}

bool eal_arg_is_ours(const char *arg)
{
    static const char *const names[] = {"--lcores", "--main-lcore", "--service-corelist", "-l", "-c", "-s", "-S"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t len = strlen(names[i]);
        bool is_long = names[i][1] == '-';
        if (strncmp(arg, names[i], len) == 0 && (!is_long || arg[len] == 0 || arg[len] == '='))
            return true;
    }
    return false;
}

static bool names_devices(const struct eal_plan *p)
{
    for (unsigned i = 0; i < p->nargs; i++)
        if (strncmp(p->args[i], "-a", 2) == 0 || strncmp(p->args[i], "--allow", 7) == 0 || strncmp(p->args[i], "-b", 2) == 0 ||
            strncmp(p->args[i], "--block", 7) == 0 || strcmp(p->args[i], "--no-pci") == 0)
            return true;
    return false;
}

int eal_start(const struct eal_plan *p, const char *program, bool is_verbose, char err[256])
{
    const char *argv[16 + EAL_ARGS_MAX];
    unsigned mb = MEMORY_MB;
    char memory[16];
    int argc = 0;

    if (!p->has_hugepages && p->nic_queues > 1)
        mb += (p->nic_queues - 1) * QUEUE_MEMORY_MB;
    snprintf(memory, sizeof(memory), "%u", mb);
    argv[argc++] = program;
    argv[argc++] = "--lcores";
    argv[argc++] = p->lcores;
    argv[argc++] = "-m";
    argv[argc++] = memory;
    if (p->pci) {
        argv[argc++] = "-a";
        argv[argc++] = p->pci;
    } else if (!names_devices(p)) {
        argv[argc++] = "--no-pci";
    }
    argv[argc++] = "--no-shconf";
    if (!telemetry_has_folder())
        argv[argc++] = "--no-telemetry";
    argv[argc++] = is_verbose ? "--log-level=lib.*:info" : "--log-level=*:error";
    argv[argc++] = p->has_hugepages ? "--in-memory" : "--no-huge";
    for (unsigned i = 0; i < p->nargs && i < EAL_ARGS_MAX; i++)
        argv[argc++] = p->args[i];
    argv[argc] = NULL;
    if (rte_eal_init(argc, (char **)(uintptr_t)argv) < 0) {
        snprintf(err, 256, "DPDK's environment did not start: %s", rte_strerror(rte_errno));
        return -1;
    }
    /* EAL binds the calling thread to its main lcore; later threads would inherit that. */
    pthread_setaffinity_np(pthread_self(), sizeof(p->control), &p->control);
    return 0;
}
