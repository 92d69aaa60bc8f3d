// SPDX-License-Identifier: Apache-2.0
#include "adapters/sources/poll.h"

#include "adapters/json_doc.h"
#include "sidecar/base/json_out.h"

static void put_err(struct buf *out, const struct poll_err *e)
{
    struct json_out j;
    json_out_init(&j, out);
    json_open_map(&j, NULL);
    json_text(&j, "err", e->err);
    json_text(&j, "description", e->description);
    json_close_map(&j);
}

void poll_request_write(const struct poll_request *r, struct buf *out)
{
    struct json_out j;
    json_out_init(&j, out);
    json_open_map(&j, NULL);
    json_u64(&j, "maxEvents", r->max_events);
    json_bool(&j, "returnImmediately", r->return_immediately);
    if (r->ack_count > 0) {
        json_open_list(&j, "ack");
        for (size_t i = 0; i < r->ack_count; i++)
            json_text(&j, NULL, r->acks[i]);
        json_close_list(&j);
    }
    if (r->err_count > 0) {
        json_open_map(&j, "setErrs");
        for (size_t i = 0; i < r->err_count; i++) {
            json_key(&j, r->errs[i].jti);
            put_err(out, &r->errs[i]);
        }
        json_close_map(&j);
    }
    json_close_map(&j);
}

static int parse_sets(struct mem *m, const struct doc *sets,
                      struct poll_answer *ret, struct fail *f)
{
    size_t n = sets->count < POLL_SETS_MAX ? sets->count : POLL_SETS_MAX;
    ret->truncated = sets->count > n;
    ret->sets = mem_array(m, n, sizeof ret->sets[0]);
    if (ret->sets == NULL)
        return fail(f, RC_NO_MEMORY, "no memory for %zu sets", n);
    DOC_EACH (it, sets) {
        if (ret->set_count == n)
            break;
        struct poll_set *s = &ret->sets[ret->set_count++];
        s->jti = it->key;
        s->token = it->kind == DOC_TEXT ? it->text : (struct span){NULL, 0};
    }
    return 0;
}

int poll_answer_parse(struct mem *m, struct span text, struct poll_answer *ret,
                      struct fail *f)
{
    const struct doc *d;
    *ret = (struct poll_answer){.set_count = 0};
    TRY(json_doc_parse(m, text, POLL_ANSWER_BYTES_MAX, &d, f));
    if (d->kind != DOC_MAP)
        return fail(f, RC_PROTOCOL, "a poll answer is an object, not a %s",
                    doc_kind_word(d->kind));
    const struct doc *sets = doc_get(d, SPAN("sets"));
    const struct doc *more = doc_get(d, SPAN("moreAvailable"));
    if (more != NULL && more->kind != DOC_BOOL)
        return fail(f, RC_PROTOCOL, "moreAvailable is a %s",
                    doc_kind_word(more->kind));
    ret->more = more != NULL && more->truth;
    if (sets == NULL) /* only `sets` says that this is a poll answer at all */
        return fail(f, RC_PROTOCOL, "a poll answer without sets");
    if (sets->kind != DOC_MAP)
        return fail(f, RC_PROTOCOL, "sets is a %s", doc_kind_word(sets->kind));
    TRY(parse_sets(m, sets, ret, f));
    ret->more = ret->more || ret->truncated;
    return 0;
}
