#include "rpc/rpc_thread.h"

#include <pthread.h>

/* Read before main, so before EAL narrows it; constant from then on. Honours taskset and the cgroup's set. */
static cpu_set_t process_cpus;

__attribute__((constructor)) static void remember_process_cpus(void)
{
    if (sched_getaffinity(0, sizeof(process_cpus), &process_cpus) != 0)
        for (int i = 0; i < CPU_SETSIZE; i++)
            CPU_SET(i, &process_cpus);
}

void rpc_thread_enter(struct rpc_thread_mask *saved, const cpu_set_t *cpus)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &saved->signals);
    if (pthread_getaffinity_np(pthread_self(), sizeof(saved->cpus), &saved->cpus) != 0)
        saved->cpus = process_cpus;
    /* a set that the cgroup forbids is refused: we then stay where we are, which is all there is */
    pthread_setaffinity_np(pthread_self(), sizeof(cpu_set_t), cpus ? cpus : &process_cpus);
}

void rpc_thread_leave(const struct rpc_thread_mask *saved)
{
    pthread_setaffinity_np(pthread_self(), sizeof(saved->cpus), &saved->cpus);
    pthread_sigmask(SIG_SETMASK, &saved->signals, NULL);
}
