// SPDX-License-Identifier: Apache-2.0
#ifndef SIDECAR_FEED_RULES_H
#define SIDECAR_FEED_RULES_H

#include "adapters/sources/set.h"
#include "sidecar/config/config.h"

/* What the configured feed accepts; borrows from it. */
struct set_rules feed_rules(const struct config_feed *f);

#endif
