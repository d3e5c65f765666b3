/* report.h: a run's results as files
 * Shape:   struct sim_result -> JSON (everything that comes to one number), CSV by message, by node and of the latencies' CDF
 * Note:    nothing in them depends on the machine or the hour: the same scenario writes the same bytes
 */
#ifndef SIM_REPORT_H
#define SIM_REPORT_H

#include <stdio.h>

#include "sim/scenario.h"
#include "sim/stats.h"

void sim_report_json(FILE *f, const struct sim_scenario *sc, const struct sim_result *r, const struct sim_stats *st);
void sim_report_messages(FILE *f, const struct sim_result *r);
void sim_report_nodes(FILE *f, const struct sim_result *r);
/* share, ms: up to 1000 points. */
void sim_report_cdf(FILE *f, const struct sim_stats *st);
/* A few lines for a person. */
void sim_report_text(FILE *f, const struct sim_result *r, const struct sim_stats *st);

#endif
