// SPDX-License-Identifier: Apache-2.0
#include "sidecar/run/app.h"

void metrics_request(void *ctx, struct http_req *r)
{
    (void)ctx;
    http_reply(r, 404, NULL, 0, SPAN(""));
}
