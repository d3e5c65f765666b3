/* fake_hub.h: makes and ends the hub of fake_hub.c */
#ifndef TESTS_FAKE_HUB_H
#define TESTS_FAKE_HUB_H

#include "node/hub.h"

struct hub *fake_hub_new(uint32_t max_bytes, const char *mode);
/* Returns how many payloads were never released, and a million more when a subscriber is left: 0 is right. */
int fake_hub_free(struct hub *h);

#endif
