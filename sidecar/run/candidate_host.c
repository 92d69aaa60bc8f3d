// SPDX-License-Identifier: Apache-2.0
/* The candidate policy in the running sidecar: one in use, and maybe a newer
 * one that is still loading. */
#include "sidecar/run/app.h"

#include "sidecar/base/log.h"
#include "sidecar/run/candidate.h"

void candidate_host_load(struct app *a)
{
    struct fail f;
    struct span path = a->config->policy_candidate_file;
    if (path.n == 0 || a->candidate_loading != NULL)
        return;
    if (candidate_start(path, &a->candidate_loading, &f) < 0)
        log_error(LOG_POLICY, "candidate_refused", kv_why(&f));
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
    const struct policy *policy = candidate_policy(c);
    *ret = (struct in){.kind = IN_CANDIDATE, .policy = {.policy = policy}};
    log_info(LOG_POLICY, "candidate", kv_str("digest", policy->digest_hex));
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
