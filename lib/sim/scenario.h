/* scenario.h: a scenario's options as text
 * Shape:   name and value pairs, from the command line or lines "name = value" of a file -> struct sim_config; a later pair wins
 * Owner:   a value; texts are copied
 * Errors:  every unknown name and bad value is one line of the report, with what is allowed
 */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include "base/settings.h"
#include "sim/sim.h"

#define SIM_PAIRS_MAX 128

struct sim_pair {
    char name[32];
    char value[256];
};

struct sim_scenario {
    struct sim_pair pairs[SIM_PAIRS_MAX];
    unsigned count;
    struct sim_config cfg;
    char *matrix_text; /* freed by sim_scenario_fini */
};

void sim_scenario_init(struct sim_scenario *sc);
void sim_scenario_fini(struct sim_scenario *sc);
/* One pair; "-" in a name counts as "_". False: no such option (put into the report), or too many. */
bool sim_scenario_set(struct sim_scenario *sc, const char *name, const char *value, struct settings_report *rep);
/* A whole file's text. */
bool sim_scenario_read(struct sim_scenario *sc, const char *text, struct settings_report *rep);
/* Fills sc->cfg; the number of fatal lines in the report. The matrix is not read here: cfg.matrix is its file's name. */
unsigned sim_scenario_load(struct sim_scenario *sc, struct settings_report *rep);
void sim_scenario_help(FILE *f);
/* Every option with its value, as JSON members. */
void sim_scenario_json(const struct sim_scenario *sc, FILE *f);

#endif
