/* eal.h: starting DPDK's environment for this process
 * Shape:   CPU set of the process -> lcores; EAL arguments; rte_eal_init
 * Source:  DPDK 22.11 EAL parameters; hugepages are used when they are there, plain memory when not
 * Owner:   the main thread, once
 */
#ifndef NODE_EAL_H
#define NODE_EAL_H

#include <sched.h>
#include <stdbool.h>

struct eal_plan {
    unsigned ncpus;         /* that the process may use */
    bool has_split;         /* net and coding on lcores of their own */
    bool has_hugepages;
    bool is_huge_forbidden; /* there are some, and we may not place memory */
    unsigned workers;       /* lcores 1..workers */
    cpu_set_t all;          /* the process's CPUs */
    cpu_set_t control;      /* those for threads that may block */
    char lcores[256];       /* --lcores */
    const char *pci;        /* the one PCI device that is ours; NULL: none is looked at */
};

/* lcores: 0 by CPUs, 1 together, 2 split. */
void eal_plan_make(struct eal_plan *p, unsigned lcores);
/* Starts EAL; the main thread gets its CPUs back. 0, or -1 with err. */
int eal_start(const struct eal_plan *p, const char *program, bool is_verbose, char err[256]);

#endif
