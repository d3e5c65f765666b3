/* attack_gossip: what hostile peers do to a gossipsub network, with and without scores
 * Prints a table; the same runs in small are tests (tests/pubsub/test_attack.c)
 * argv: [honest] [sybils] [messages] [seed] [number of one attack]
 */
#include <stdio.h>
#include <stdlib.h>

#include "pubsub/attack.h"

static unsigned arg(int argc, char **argv, int i, unsigned def)
{
    return argc > i ? (unsigned)strtoul(argv[i], NULL, 10) : def;
}

int main(int argc, char **argv)
{
    struct attack_size size = {.honest = arg(argc, argv, 1, 40), .sybils = arg(argc, argv, 2, 120), .degree = 5,
                               .sybil_links = 8, .takeover_s = 70, .messages = arg(argc, argv, 3, 200)};
    unsigned seed = arg(argc, argv, 4, 1), only = arg(argc, argv, 5, ATTACK_COUNT);

    printf("%u honest nodes (each dials %u), %u sybils (each with %u honest peers), %u messages of 1000 bytes, 5/s;\n"
           "links 20 to 80 ms; the attack runs for %u s before the first measured message; seed %u\n\n",
           size.honest, size.degree, size.sybils, size.sybil_links, size.messages, size.takeover_s, seed);
    printf("| attack | scores | delivered | p50 ms | p99 ms | max ms | mesh places of sybils | sybils shut out | honest blamed |\n"
           "|---|---|---|---|---|---|---|---|---|\n");
    for (enum attack_kind k = 0; k < ATTACK_COUNT; k++)
        for (enum attack_scoring s = 0; s < ATTACK_SCORINGS && (only == ATTACK_COUNT || only == k); s++) {
            struct attack_result r = attack_run(k, s, &size, seed);
            printf("| %s | %s | %.2f %% | %.0f | %.0f | %.0f | %.0f %% | %.0f %% | %u |\n", attack_names[k], attack_scorings[s],
                   r.wanted ? 100.0 * r.delivered / r.wanted : 0, r.p50_ms, r.p99_ms, r.max_ms, 100 * r.mesh_share,
                   100 * r.shut_out, r.blamed);
            fflush(stdout);
        }
    return 0;
}
