// SPDX-License-Identifier: Apache-2.0
/* The candidate policy in the running sidecar: one in use, and maybe a newer
 * one that is still loading. */
#include "sidecar/run/app.h"

#include "sidecar/base/log.h"
#include "sidecar/core/history.h"
#include "sidecar/run/candidate.h"

void candidate_host_load(struct app *a)
{
    struct fail f;
    struct span path = a->config->policy_candidate_file;
    if (path.n == 0 || a->candidate_loading != NULL)
        return;
    if (candidate_start(path, &a->candidate_wake, &a->candidate_loading, &f) <
        0)
        log_error(LOG_POLICY, "candidate_refused", kv_why(&f));
}

/* What reads have found so far, a slice each time there is room for it. */
static void tell_known(struct app *a)
{
    struct in now = {.kind = IN_TICK};
    struct buf slice;
    if (!a->candidate_begins || !candidate_beg(a->candidate, true))
        return;
    app_now(&now);
    buf_init(&slice, mem_system(), HISTORY_TEXT_BYTES_MAX);
    a->candidate_begins = engine_put_known(a->engine, now.now_ms, now.wall_ms,
                                           &a->candidate_known, &slice);
    if (buf_ok(&slice))
        candidate_push(a->candidate, false, buf_span(&slice));
    candidate_flush(a->candidate);
    if (!a->candidate_begins)
        (void)candidate_beg(a->candidate, false);
    buf_fini(&slice);
}

static void on_wake(uv_async_t *h)
{
    struct app *a = container_of(h, struct app, candidate_wake);
    struct in in = {.kind = IN_TICK};
    if (a->stopping)
        return;
    tell_known(a);
    if ((a->candidate != NULL && candidate_has(a->candidate)) ||
        (a->candidate_loading != NULL && candidate_has(a->candidate_loading)))
        ignore_rc(app_step(a, &in)); /* takes what it has to say */
}

void candidate_host_init(struct app *a)
{
    must(uv_async_init(&a->loop, &a->candidate_wake, on_wake) == 0);
}

void candidate_host_quit(struct app *a)
{
    if (a->candidate_loading != NULL)
        candidate_quit(a->candidate_loading);
    if (a->candidate != NULL)
        candidate_quit(a->candidate);
    if (a->candidate_old != NULL)
        candidate_quit(a->candidate_old);
}

void candidate_host_close(struct app *a)
{
    candidate_stop(a->candidate_loading);
    candidate_stop(a->candidate);
    candidate_stop(a->candidate_old);
    a->candidate_loading = a->candidate = a->candidate_old = NULL;
}

static void push(struct app *a, bool record, struct span bytes)
{
    if (a->candidate != NULL)
        candidate_push(a->candidate, record, bytes);
    if (a->candidate_loading != NULL)
        candidate_push(a->candidate_loading, record, bytes);
}

void candidate_host_row(struct app *a, struct span body)
{
    struct journal_body row;
    if (a->candidate == NULL && a->candidate_loading == NULL)
        return;
    if (journal_read_body(body, &row, NULL) >= 0)
        push(a, false, row.input);
}

void candidate_host_record(struct app *a, struct span tail)
{
    push(a, true, tail);
}

void candidate_host_flush(struct app *a)
{
    if (a->candidate != NULL)
        candidate_flush(a->candidate);
    if (a->candidate_loading != NULL)
        candidate_flush(a->candidate_loading);
}

/* True when the new one takes over: the engine has to be told. */
static bool take_loaded(struct app *a, struct in *ret)
{
    struct candidate *c = a->candidate_loading;
    enum candidate_state state = candidate_state(c);
    struct fail why;
    if (state == CANDIDATE_LOADING)
        return false;
    a->candidate_loading = NULL;
    if (state == CANDIDATE_REFUSED) {
        candidate_why(c, &why);
        log_error(LOG_POLICY, "candidate_refused", kv_why(&why));
        if (a->candidate == NULL)
            a->candidate = c; /* to be shown */
        else
            candidate_stop(c);
        return false;
    }
    a->candidate_old = a->candidate;
    a->candidate = c;
    a->candidate_begins = true;
    a->candidate_known = 0;
    ignore_rc(uv_async_send(&a->candidate_wake)); /* after the step to come */
    *ret = (struct in){.kind = IN_CANDIDATE};
    ret->policy.policy = candidate_policy(c);
    log_info(LOG_POLICY, "candidate",
             kv_str("digest", ret->policy.policy->digest_hex));
    return true;
}

bool candidate_host_next(struct app *a, struct in *ret)
{
    /* Its policy was the engine's until the step before. */
    if (a->candidate_old != NULL) {
        candidate_stop(a->candidate_old);
        a->candidate_old = NULL;
    }
    if (a->candidate_loading != NULL && candidate_has(a->candidate_loading) &&
        take_loaded(a, ret))
        return true;
    return a->candidate != NULL && candidate_has(a->candidate) &&
           candidate_next(a->candidate, ret);
}
