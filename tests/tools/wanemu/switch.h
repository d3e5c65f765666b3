/* switch.h: which end a frame goes to
 * Shape:   source addresses are learned; a destination that is not known, or several, is every other end
 * Owner:   one thread
 * Limits:  SWITCH_MACS addresses; when full, new ones are not learned and their frames go to all
 */
#ifndef WANEMU_SWITCH_H
#define WANEMU_SWITCH_H

#include <stdint.h>

#define SWITCH_MACS 1024 /* a power of two */
#define SWITCH_ALL  UINT32_MAX

struct mac_switch {
    uint64_t mac[SWITCH_MACS]; /* with bit 48 set; 0: free */
    uint8_t end[SWITCH_MACS];
    uint32_t count;
};

/* frame: at least its 14 bytes of header. The end to give it to, or SWITCH_ALL; may be `from` itself. */
uint32_t switch_frame(struct mac_switch *s, uint32_t from, const uint8_t *frame);

#endif
