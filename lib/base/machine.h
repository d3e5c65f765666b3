/* machine.h: how busy this machine is: the percentages of health answers
 * Shape:   /proc and statvfs -> percent; the CPU's over the time since the last reading
 * Owner:   one thread, or under the caller's lock
 */
#ifndef BASE_MACHINE_H
#define BASE_MACHINE_H

#include <stdint.h>

struct machine {
    uint64_t busy, total;                    /* jiffies at the last reading */
    double cpu_used, memory_used, disk_used; /* percent */
};

/* Reads anew; m starts zeroed. Figures that cannot be read stay as they were. */
void machine_read(struct machine *m);

#endif
