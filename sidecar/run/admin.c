// SPDX-License-Identifier: Apache-2.0
#include "sidecar/run/app.h"

void admin_request(void *ctx, struct http_req *r)
{
    (void)ctx;
    http_reply(r, 404, NULL, 0, SPAN(""));
}

void admin_done(struct app *a, struct waiter *w, int rc, struct span text)
{
    (void)a;
    (void)rc;
    (void)text;
    waiter_free(w);
}
