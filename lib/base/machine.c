#include "base/machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

static void read_cpu(struct machine *m)
{
    unsigned long long v[8] = {0}, total = 0, idle;
    FILE *f = fopen("/proc/stat", "r");

    if (!f)
        return;
    int n = fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]);
    fclose(f);
    if (n < 4)
        return;
    for (int i = 0; i < 8; i++)
        total += v[i];
    idle = v[3] + v[4];
    /* Counters may go back a little (iowait, stolen time): then the last figure stands. */
    if (total > m->total && total - idle >= m->busy && total - idle - m->busy <= total - m->total)
        m->cpu_used = 100.0 * (double)(total - idle - m->busy) / (double)(total - m->total);
    m->busy = total - idle;
    m->total = total;
}

static void read_memory(struct machine *m)
{
    unsigned long long total = 0, available = 0, v;
    char line[128];
    FILE *f = fopen("/proc/meminfo", "r");

    if (!f)
        return;
    while (fgets(line, sizeof(line), f)) {
        if (sscanf(line, "MemTotal: %llu", &v) == 1)
            total = v;
        else if (sscanf(line, "MemAvailable: %llu", &v) == 1)
            available = v;
    }
    fclose(f);
    if (total)
        m->memory_used = 100.0 * (double)(total - available) / (double)total;
}

static void read_disk(struct machine *m)
{
    struct statvfs fs;

    if (statvfs("/", &fs) == 0 && fs.f_blocks)
        m->disk_used = 100.0 * (double)(fs.f_blocks - fs.f_bavail) / (double)fs.f_blocks;
}

void machine_read(struct machine *m)
{
    read_cpu(m);
    read_memory(m);
    read_disk(m);
}
