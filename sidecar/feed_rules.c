// SPDX-License-Identifier: Apache-2.0
#include "sidecar/feed_rules.h"

struct set_rules feed_rules(const struct config_feed *f)
{
    struct set_rules r = {
        .feed = f->name,
        .issuer = f->issuer,
        .audiences = f->audiences.at,
        .audience_count = f->audiences.count,
        .base = f->scim_base,
        .type_count = f->type_count,
        .algs = f->algs,
        .allow_untyped = f->allow_untyped,
        .allow_sub = f->allow_sub,
        .allow_exp = f->allow_exp,
        .uri_aliases = f->uri_aliases,
        .future_ms = f->future_ms,
        .stream_id = f->stream_id,
    };
    for (unsigned i = 0; i < f->type_count; i++) {
        r.types[i].segment = f->types[i].segment;
        r.types[i].kind = f->types[i].kind;
    }
    return r;
}
