// SPDX-License-Identifier: Apache-2.0
/* Configuration to engine settings, and who is at the other end of a
 * connection. */
#include <string.h>

#include "sidecar/base/log.h"
#include "sidecar/base/number_text.h"
#include "sidecar/feed_rules.h"
#include "sidecar/run/app.h"

#define SECRET_BYTES_MAX 8192

static struct span segment_of(const struct config_feed *f,
                              enum subject_kind kind)
{
    for (unsigned i = 0; i < f->type_count; i++)
        if (f->types[i].kind == kind)
            return f->types[i].segment;
    return SPAN("");
}

/* As many as the server may be asked at once, but not more than leave within
 * a second: a read that waits long for its turn times out. */
static unsigned reads_max(const struct config_feed *f)
{
    unsigned most = f->scim_concurrency > 0 ? f->scim_concurrency
                                            : SCIM_CONCURRENCY_DEFAULT;
    unsigned rate =
        f->scim_rate_per_s > 0 ? f->scim_rate_per_s : SCIM_RATE_DEFAULT;
    return most < rate ? most : rate;
}

/* Feeds with one SCIM base share it; the first one's types count. */
static unsigned base_of(struct engine_conf *c, const struct config_feed *f)
{
    for (unsigned i = 0; i < c->base_count; i++)
        if (span_eq(c->bases[i].url, f->scim_base))
            return i;
    must(c->base_count < ENGINE_BASES_MAX);
    c->bases[c->base_count] = (struct engine_base){
        .url = f->scim_base,
        .agent_segment = segment_of(f, SUBJECT_AGENT),
        .user_segment = segment_of(f, SUBJECT_USER),
        .group_segment = segment_of(f, SUBJECT_GROUP),
        .reads_max = reads_max(f),
        .list_max = f->scim_list_reads,
    };
    return c->base_count++;
}

static int read_secret(struct app *a, struct span path, struct span *ret,
                       struct fail *f)
{
    *ret = SPAN("");
    if (path.n == 0)
        return 0;
    TRY(config_read_file(&a->secrets.mem, path, SECRET_BYTES_MAX, true, ret,
                         f));
    return ret->n > 0 ? 0 : fail(f, RC_CONFIG, "%.*s is empty", PRSPAN(path));
}

static int build_feed(struct app *a, unsigned i, struct fail *f)
{
    const struct config_feed *from = &a->config->feeds[i];
    struct app_feed *to = &a->feeds[i];
    struct engine_conf *c = &a->engine_conf;
    to->app = a;
    to->index = i;
    to->conf = from;
    to->rules = feed_rules(from);
    TRY(read_secret(a, from->push_bearer_file, &to->push_secret, f));
    c->feeds[i] = (struct engine_feed){
        .name = from->name, .issuer = from->issuer, .base = base_of(c, from)};
    c->feed_count = i + 1;
    return 0;
}

static int build_caller(struct app *a, unsigned i, struct fail *f)
{
    const struct config_caller *from = &a->config->callers[i];
    struct engine_conf *c = &a->engine_conf;
    bool bad = false;
    int base = conf_base_of_feed(a, from->feed, &bad);
    if (bad)
        return fail(f, RC_CONFIG, "caller %.*s names no configured feed",
                    PRSPAN(from->name));
    c->callers[i] =
        (struct engine_caller){.name = from->name,
                               .base = base,
                               .agents = from->agents,
                               .whole_runtime = from->role != CALLER_AGENT};
    c->caller_count = i + 1;
    a->callers[i].tokens = from->burst;
    return read_secret(a, from->bearer_file, &a->callers[i].bearer, f);
}

static void build_limits(struct app *a)
{
    const struct config_limits *l = &a->config->limits;
    a->engine_conf.limits = (struct engine_limits){
        .subjects_max = l->agents_max * 2, /* people and groups, too */
        .calls_max = l->calls_max,
        .parked_max = l->parked_max,
        .parked_per_agent = l->parked_per_agent,
        .jobs_max = l->jobs_max,
        .jtis_max = l->jtis_max,
        .credentials_max = l->agents_max,
        .holds_max = l->holds_max,
        .lease_ms = l->lease_ms,
        .log_stall_ms = l->log_stall_ms,
        .jti_keep_ms = l->jti_keep_ms,
    };
}

int conf_build(struct app *a, struct fail *f)
{
    struct engine_conf *c = &a->engine_conf;
    for (unsigned i = 0; i < a->config->feed_count; i++)
        TRY(build_feed(a, i, f));
    for (unsigned i = 0; i < a->config->caller_count; i++)
        TRY(build_caller(a, i, f));
    for (unsigned i = 0; i < a->config->runtime_count; i++)
        c->served_runtimes[c->served_runtime_count++] =
            a->config->runtimes[i].name;
    build_limits(a);
    memcpy(c->config_digest, a->config->digest_hex, 16);
    return 0;
}

/* ------------------------------------------------------------ who is who */

static bool bearer_matches(struct span authorization, struct span secret)
{
    struct span prefix = SPAN("Bearer ");
    return secret.n > 0 && authorization.n > prefix.n &&
           span_ieq(span_sub(authorization, 0, prefix.n), prefix) &&
           span_eq_secret(span_sub(authorization, prefix.n, authorization.n),
                          secret);
}

int conf_caller_of(const struct app *a, const struct peer *p,
                   struct span authorization)
{
    for (unsigned i = 0; i < a->config->caller_count; i++) {
        const struct config_caller *c = &a->config->callers[i];
        if (p->kind == PEER_UNIX && c->uid >= 0 && (int64_t)p->uid == c->uid)
            return (int)i;
        if (p->has_cert && c->spiffe_id.n > 0 &&
            span_eq(p->spiffe_id, c->spiffe_id))
            return (int)i;
        if (p->has_cert && c->cert_sha256_hex.n > 0 &&
            hex_is(c->cert_sha256_hex, p->cert_sha256))
            return (int)i;
        if (bearer_matches(authorization, a->callers[i].bearer))
            return (int)i;
    }
    return -1;
}

const struct config_operator *conf_operator_of(const struct app *a,
                                               const struct peer *p)
{
    for (unsigned i = 0; i < a->config->operator_count; i++)
        if (p->kind == PEER_UNIX &&
            a->config->operators[i].uid == (int64_t)p->uid)
            return &a->config->operators[i];
    return NULL;
}

int conf_base_of_feed(const void *app, struct span feed, bool *ret_bad)
{
    const struct app *a = app;
    if (feed.n == 0)
        return -1;
    for (unsigned i = 0; i < a->engine_conf.feed_count; i++)
        if (span_eq(a->engine_conf.feeds[i].name, feed))
            return (int)a->engine_conf.feeds[i].base;
    *ret_bad = true;
    return -1;
}

bool conf_take_token(double *tokens, int64_t *refilled_ms, double rate,
                     double burst, int64_t now_ms)
{
    *tokens += (double)(now_ms - *refilled_ms) * rate / 1000.0;
    if (*tokens > burst)
        *tokens = burst;
    *refilled_ms = now_ms;
    if (*tokens < 1.0)
        return false;
    *tokens -= 1.0;
    return true;
}
