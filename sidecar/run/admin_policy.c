// SPDX-License-Identifier: Apache-2.0
/* Operators' view of the policy in force, and taking the file again. */
#include "sidecar/base/doc.h"
#include "sidecar/io/file.h"
#include "sidecar/run/admin.h"
#include "sidecar/run/rollout.h"

static int64_t wall_now(void)
{
    struct in now = {.kind = IN_TICK};
    app_now(&now);
    return now.wall_ms;
}

void rollout_put_signature(struct json_out *j, const char *key,
                           const struct policy_sig *s, bool expired)
{
    if (s == NULL)
        return;
    json_open_map(j, key);
    json_str(j, "signed_by", s->signer);
    json_u64(j, "serial", s->serial);
    if (s->not_after_ms != INT64_MAX)
        json_time(j, "not_after", s->not_after_ms);
    json_bool(j, "expired", expired);
    json_close_map(j);
}

int admin_show_policy(struct admin_ask *q, struct fail *f)
{
    const struct app *a = q->app;
    struct json_out *j = &q->json;
    struct rollout_view v;
    struct engine_stats s;
    (void)f;
    rollout_view(a, wall_now(), &v);
    engine_stats_get(a->engine, &s);
    json_open_map(j, NULL);
    json_str(j, "digest",
             v.policy->digest_hex[0] == 0 ? "built-in" : v.policy->digest_hex);
    json_str(j, "mode", s.audit ? "audit" : "enforce");
    if (v.policy->mode.audit)
        json_time(j, "audit_until", v.policy->mode.until_ms);
    json_time(j, "since", v.since_ms);
    if (a->config->policy_file.n > 0)
        json_text(j, "file", a->config->policy_file);
    if (v.file_ms > 0)
        json_time(j, "file_modified", v.file_ms);
    json_bool(j, "watch", a->config->policy_watch);
    json_bool(j, "pinned", v.pinned);
    rollout_put_signature(j, "signature", v.sig, v.expired);
    json_str(j, "config_digest", a->config->digest_hex);
    json_bool(j, "config_pinned", v.config_pinned);
    rollout_put_signature(j, "config_signature", v.config_sig,
                          v.config_expired);
    if (v.refusal != NULL) {
        json_open_map(j, "last_refusal");
        policy_history_show(v.refusal, j);
        json_close_map(j);
    }
    json_close_map(j);
    return 0;
}

int admin_show_policy_history(struct admin_ask *q, struct fail *f)
{
    struct json_out *j = &q->json;
    struct rollout_view v;
    (void)f;
    rollout_view(q->app, wall_now(), &v);
    json_open_map(j, NULL);
    json_open_list(j, "history");
    for (unsigned i = v.history->count; i > 0; i--) {
        json_open_map(j, NULL);
        policy_history_show(&v.history->at[i - 1], j);
        json_close_map(j);
    }
    json_close_list(j);
    json_close_map(j);
    return 0;
}

/* A small file of our own directory, read by a person's command now and then:
 * not worth a thread. */
int admin_show_policy_text(struct admin_ask *q, struct fail *f)
{
    struct span text;
    const unsigned char *digest = mem_copy(&q->arena.mem, q->digest);
    if (digest == NULL)
        return fail(f, RC_UNAVAILABLE, "out of memory");
    TRY(policy_shelf_read(&q->arena.mem, q->app->config->store_dir,
                          (const char *)digest, &text, f));
    json_open_map(&q->json, NULL);
    json_text(&q->json, "digest", q->digest);
    json_text(&q->json, "text", text);
    json_close_map(&q->json);
    return 0;
}

int admin_reload(struct admin_ask *q, const struct admin_verb *v,
                 struct fail *f)
{
    const struct doc *body;
    TRY(admin_body(q, v, &body, f));
    const struct span as = doc_text(body, SPAN("as"));
    const bool rollback = span_eq(as, SPAN("rollback"));
    if (as.n > 0 && !rollback)
        return fail(f, RC_INVALID, "as must be rollback");
    return rollout_ask(q->app, q->req, q->who->name,
                       doc_text(body, SPAN("reason")), rollback, f);
}
