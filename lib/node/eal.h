/* eal.h: starting DPDK's environment for this process
 * Shape:   CPU set of the process, a layout -> lcores; EAL arguments; rte_eal_init
 * Source:  DPDK 22.11 EAL parameters; hugepages are used when they are there, plain memory when not
 * Owner:   the main thread, once
 */
#ifndef NODE_EAL_H
#define NODE_EAL_H

#include <sched.h>

#include "node/layout.h"

#define EAL_ARGS_MAX 32 /* of the operator's */

struct eal_plan {
    unsigned ncpus;         /* that the process may use */
    struct layout layout;   /* its roles are on lcores 1..layout.lcores */
    bool has_hugepages;
    bool is_huge_forbidden; /* there are some, and we may not place memory */
    cpu_set_t all;          /* the process's CPUs */
    cpu_set_t control;      /* those for threads that may block */
    char lcores[4096];      /* --lcores */
    unsigned nic_queues;    /* queues with packet memory of EAL's; 0: none but one small port */
    const char *pci;        /* the one PCI device that is ours; NULL: none is looked at */
    char *const *args;      /* the operator's own for EAL, behind ours; borrowed */
    unsigned nargs;
};

/* all: the process's CPUs. 0, or -1 with err: what is wished cannot be. */
int eal_plan_make(struct eal_plan *p, const cpu_set_t *all, const struct layout_wish *w, unsigned net_max, char err[256]);
/* "net 1 on CPU 3, coding 0 on CPU 2, .." or which CPUs they share. */
void eal_plan_format(const struct eal_plan *p, char *out, size_t cap);
/* May this argument be handed on to EAL? Those that say which lcores there are may not: the plan says it. */
bool eal_arg_is_ours(const char *arg);
/* Starts EAL; the main thread gets its CPUs back. 0, or -1 with err. */
int eal_start(const struct eal_plan *p, const char *program, bool is_verbose, char err[256]);

#endif
