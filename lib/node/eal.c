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

#define MEMORY_MB     "64" /* rings, and mbufs of ethdev ports; payloads live elsewhere */
#define SPLIT_MIN_CPUS 4

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

static int nth_cpu(const cpu_set_t *set, int n)
{
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, set) && n-- == 0)
            return i;
    return 0;
}

/* "(0,3,5)": EAL's way to say that an lcore floats over these CPUs. */
static void format_set(const cpu_set_t *set, char *out, size_t cap)
{
    size_t n = (size_t)snprintf(out, cap, "(");

    for (int i = 0; i < CPU_SETSIZE && n + 8 < cap; i++)
        if (CPU_ISSET(i, set))
            n += (size_t)snprintf(out + n, cap - n, "%s%d", n > 1 ? "," : "", i);
    snprintf(out + n, cap - n, ")");
}

void eal_plan_make(struct eal_plan *p, unsigned lcores)
{
    char all[160];

    *p = (struct eal_plan){0};
    if (sched_getaffinity(0, sizeof(p->all), &p->all))
        CPU_SET(0, &p->all);
    p->ncpus = (unsigned)CPU_COUNT(&p->all);
    p->has_split = lcores ? lcores > 1 : p->ncpus >= SPLIT_MIN_CPUS;
    p->workers = p->has_split ? 2 : 1;
    p->has_hugepages = has_hugepages();
    p->is_huge_forbidden = p->has_hugepages && !may_place_memory();
    if (p->is_huge_forbidden)
        p->has_hugepages = false;
    p->control = p->all;
    format_set(&p->all, all, sizeof(all));
    if (p->ncpus < SPLIT_MIN_CPUS) { /* shared CPUs: the scheduler places us better than a pin would */
        snprintf(p->lcores, sizeof(p->lcores), p->has_split ? "0@%s,1@%s,2@%s" : "0@%s,1@%s", all, all, all);
        return;
    }
    int a = nth_cpu(&p->all, (int)p->ncpus - 1), b = nth_cpu(&p->all, (int)p->ncpus - 2);
    CPU_CLR(a, &p->control);
    if (p->has_split)
        CPU_CLR(b, &p->control);
    snprintf(p->lcores, sizeof(p->lcores), p->has_split ? "0@%s,1@%d,2@%d" : "0@%s,1@%d", all, a, b);
}

int eal_start(const struct eal_plan *p, const char *program, bool is_verbose, char err[256])
{
    const char *argv[24];
    int argc = 0;

    argv[argc++] = program;
    argv[argc++] = "--lcores";
    argv[argc++] = p->lcores;
    argv[argc++] = "-m";
    argv[argc++] = MEMORY_MB;
    if (p->pci) {
        argv[argc++] = "-a";
        argv[argc++] = p->pci;
    } else {
        argv[argc++] = "--no-pci";
    }
    argv[argc++] = "--no-shconf";
    if (!telemetry_has_folder())
        argv[argc++] = "--no-telemetry";
    argv[argc++] = is_verbose ? "--log-level=lib.*:info" : "--log-level=*:error";
    argv[argc++] = p->has_hugepages ? "--in-memory" : "--no-huge";
    argv[argc] = NULL;
    if (rte_eal_init(argc, (char **)(uintptr_t)argv) < 0) {
        snprintf(err, 256, "DPDK's environment did not start: %s", rte_strerror(rte_errno));
        return -1;
    }
    /* EAL binds the calling thread to its main lcore; later threads would inherit that. */
    pthread_setaffinity_np(pthread_self(), sizeof(p->control), &p->control);
    return 0;
}
