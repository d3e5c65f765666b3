/* config.h: lines that say how the network is
 * Shape:   a line of text -> settings of a struct wan; said at the start or while it runs
 *              all delay 10ms jitter 1ms rate 100Mbit queue 64KiB loss 1%
 *              0 1 delay 5ms          between the ends 0 and 1, both ways; 0>1: one way; *: every other end
 *              node 3 up 10Mbit down 50Mbit queue 100kB mark 30kB
 *              seed 7                 the same chance as at a start with --seed 7
 *          A pair has delay, jitter, rate, queue, mark, loss, reorder (on, off); a node up, down (rates), queue, mark. A # begins a comment
 * Units:   ns, us, ms, s; bit, kbit, Mbit, Gbit a second; B, kB, MB, KiB, MiB; loss in %. 0: none, no bound
 * Errors:  0, or -1 with the reason in err; a line with an error changes nothing
 */
#ifndef WANEMU_CONFIG_H
#define WANEMU_CONFIG_H

#include "wan.h"

int wan_config_line(struct wan *w, const char *line, char err[128]);

#endif
