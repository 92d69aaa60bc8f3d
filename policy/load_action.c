// SPDX-License-Identifier: Apache-2.0
/*
 * `actions:` named HTTP requests that rules and deadlines refer to.
 */
#include "policy/load.h"

#include <string.h>

#define STATUS_MAX (sizeof(((struct policy_action *)0)->success) / 2)
#define HEADER_MAX 8

/* Every `{{` has its `}}` and a dotted name between them. */
static bool template_ok(struct span s)
{
    for (size_t i = 0; i + 1 < s.n; i++) {
        if (s.p[i] != '{' || s.p[i + 1] != '{')
            continue;
        size_t end = i + 2;
        while (end < s.n && ((s.p[end] >= 'a' && s.p[end] <= 'z') ||
                             (s.p[end] >= '0' && s.p[end] <= '9') ||
                             s.p[end] == '_' || s.p[end] == '.'))
            end++;
        if (end == i + 2 || end + 1 >= s.n || s.p[end] != '}' ||
            s.p[end + 1] != '}')
            return false;
        i = end + 1;
    }
    return true;
}

static void load_template(struct loader *l, const struct doc *d, void *field)
{
    load_text(l, d, field);
    if (d->kind == DOC_TEXT && !template_ok(d->text))
        load_error(l, d, "a placeholder is {{name}} or {{name.part}}",
                   "a placeholder is not closed or not a name");
}

static void load_url(struct loader *l, const struct doc *d, void *field)
{
    load_template(l, d, field);
    if (d->kind != DOC_TEXT || d->text.n == 0 ||
        span_starts(d->text, SPAN("https://")))
        return;
    if (span_starts(d->text, SPAN("http://")))
        load_warning(l, d, "use https://", "this request is not encrypted");
    else
        load_error(l, d, NULL, "a URL starts with https://");
}

static void load_path(struct loader *l, const struct doc *d, void *field)
{
    load_text(l, d, field);
    if (d->kind == DOC_TEXT && d->text.n > 0 && d->text.p[0] != '/')
        load_error(l, d, NULL, "a file must be an absolute path");
}

static void load_method(struct loader *l, const struct doc *d, void *field)
{
    static const char *const words[] = {"GET",   "POST",   "PUT",
                                        "PATCH", "DELETE", NULL};
    struct span *to = field;
    unsigned i;
    if (load_word(l, d, "method", words, &i))
        *to = span_str(words[i]);
}

static void load_preset(struct loader *l, const struct doc *d, void *field)
{
    static const char *const words[] = {"slack-webhook", "pagerduty", NULL};
    struct span *to = field;
    unsigned i;
    if (load_word(l, d, "preset", words, &i))
        *to = span_str(words[i]);
}

static unsigned load_statuses(struct loader *l, const struct doc *d,
                              uint16_t *to)
{
    const struct doc *it = d->kind == DOC_LIST ? d->first : d;
    unsigned count = d->kind == DOC_LIST ? d->count : 1, n = 0;
    if (count == 0 || count > STATUS_MAX) {
        load_error(l, d, NULL, "1 to %zu statuses", STATUS_MAX);
        return 0;
    }
    for (; n < count && it != NULL; it = it->next) {
        if (it->kind != DOC_INT || it->integer < 100 || it->integer > 599) {
            load_error(l, it, NULL, "an HTTP status is 100 to 599");
            return 0;
        }
        to[n++] = (uint16_t)it->integer;
    }
    return n;
}

static void load_success(struct loader *l, const struct doc *d, void *field)
{
    struct policy_action *a = field;
    a->success_count = load_statuses(l, d, a->success);
}

static void load_done(struct loader *l, const struct doc *d, void *field)
{
    struct policy_action *a = field;
    a->done_already_count = load_statuses(l, d, a->done_already);
}

static bool header_name_ok(struct span s)
{
    static const char odd[] = "()<>@,;:\\\"/[]?={}";
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7F ||
            memchr(odd, s.p[i], sizeof odd - 1) != NULL)
            return false;
    return s.n > 0;
}

static bool has_control(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] == 0x7F)
            return true;
    return false;
}

static void load_headers(struct loader *l, const struct doc *d, void *field)
{
    struct policy_action *a = field;
    if (d->kind != DOC_MAP || d->count > HEADER_MAX) {
        load_error(l, d, NULL, "headers must be a map of at most %d",
                   HEADER_MAX);
        return;
    }
    DOC_EACH (it, d) {
        struct policy_header *h = &a->headers[a->header_count];
        if (!header_name_ok(it->key))
            load_key_error(l, it, NULL, "'%.*s' is not a header name",
                           PRSPAN(it->key));
        load_template(l, it, &h->value);
        if (has_control(it->text))
            load_error(l, it, NULL, "a control character in a header");
        h->name = load_copy(l, it->key);
        a->header_count++;
    }
}

static const struct member http_members[] = {
    {"preset", load_preset, offsetof(struct policy_action, preset), false},
    {"method", load_method, offsetof(struct policy_action, method), false},
    {"url", load_url, offsetof(struct policy_action, url), false},
    {"url_file", load_path, offsetof(struct policy_action, url_file), false},
    {"key_file", load_path, offsetof(struct policy_action, key_file), false},
    {"headers", load_headers, 0, false},
    {"body", load_template, offsetof(struct policy_action, body), false},
    {"content_type", load_text, offsetof(struct policy_action, content_type),
     false},
    {"bearer_file", load_path, offsetof(struct policy_action, bearer_file),
     false},
    {"ca_file", load_path, offsetof(struct policy_action, ca_file), false},
    {"success", load_success, 0, false},
    {"done_already", load_done, 0, false},
};

static void check_preset(struct loader *l, const struct doc *d,
                         const struct policy_action *a)
{
    bool slack = span_eq(a->preset, SPAN("slack-webhook"));
    const char *need = slack ? "url_file" : "key_file";
    if (doc_get(d, span_str(need)) == NULL)
        load_error(l, d, NULL, "preset %.*s needs '%s'", PRSPAN(a->preset),
                   need);
    static const char *const fixed[] = {"method", "body", "content_type", NULL};
    for (unsigned i = 0; fixed[i] != NULL; i++) {
        const struct doc *it = doc_get(d, span_str(fixed[i]));
        if (it != NULL)
            load_key_error(l, it, "remove it, or remove the preset",
                           "preset %.*s decides '%s'", PRSPAN(a->preset),
                           fixed[i]);
    }
}

static void load_http(struct loader *l, const struct doc *d, void *field)
{
    struct policy_action *a = field;
    if (!LOAD_MEMBERS(l, d, "http", http_members, a))
        return;
    bool url = doc_get(d, SPAN("url")) != NULL;
    bool url_file = doc_get(d, SPAN("url_file")) != NULL;
    if (a->preset.n > 0)
        check_preset(l, d, a);
    else if (doc_get(d, SPAN("key_file")) != NULL)
        load_key_error(l, doc_get(d, SPAN("key_file")), "use bearer_file",
                       "key_file belongs to a preset");
    else if (!url && !url_file)
        load_error(l, d, NULL, "http needs 'url' or 'url_file'");
    if (url && url_file)
        load_key_error(l, doc_get(d, SPAN("url_file")), NULL,
                       "'url' and 'url_file' exclude each other");
    if (a->method.n == 0)
        a->method = SPAN("POST");
}

static const struct member action_members[] = {
    {"http", load_http, 0, true},
};

static bool is_step_word(struct span name)
{
    static const char *const words[] = {"hold",   "refresh", "cancel",
                                        "revoke", "purge",   "release",
                                        "notify", "action",  NULL};
    for (unsigned i = 0; words[i] != NULL; i++)
        if (span_eq(name, span_str(words[i])))
            return true;
    return false;
}

void load_actions(struct loader *l, const struct doc *d, void *policy)
{
    struct policy *p = policy;
    if (d->kind != DOC_MAP) {
        load_error(l, d, NULL, "actions must be a map of names");
        return;
    }
    struct policy_action *a =
        load_list(l, d, "actions", POLICY_ACTIONS_MAX, sizeof *a);
    p->actions = a;
    for (const struct doc *it = d->first; a != NULL && it != NULL;
         it = it->next) {
        struct policy_action *one = &a[p->action_count++];
        if (!load_is_name(it->key) || is_step_word(it->key))
            load_key_error(l, it,
                           is_step_word(it->key)
                               ? "it is the name of a step"
                               : "use lower-case letters, digits, - and _",
                           "'%.*s' cannot name an action", PRSPAN(it->key));
        one->name = load_copy(l, it->key);
        one->line = it->key_line;
        (void)LOAD_MEMBERS(l, it, "an action", action_members, one);
    }
}
