// SPDX-License-Identifier: Apache-2.0
/*
 * The two standard services every gRPC port offers: grpc.health.v1.Health
 * (Check and Watch) and server reflection (v1 and v1alpha), the latter from
 * the FileDescriptorSet that the build embeds.
 */
#ifndef SIDECAR_IO_GRPC_SERVICES_H
#define SIDECAR_IO_GRPC_SERVICES_H

#include "sidecar/io/server.h"

struct grpc_health; /* owned by the wiring; loop thread */

int grpc_health_new(struct grpc_health **ret, struct fail *f) must_use;
void grpc_health_free(struct grpc_health *h);
/* Changes the answer for "" and every known service and tells watchers. */
void grpc_health_set(struct grpc_health *h, bool serving);

/* Methods to copy into a server's table; handlers take the health object as
 * found by `grpc_health_of(ctx)`, set here. */
extern const struct grpc_method grpc_health_methods[2];
extern const struct grpc_method grpc_reflection_methods[2];
void grpc_services_set_health(struct grpc_health *(*health_of)(void *ctx));

#endif
