// SPDX-License-Identifier: Apache-2.0
#include "policy/event_type.h"

#include "policy/near.h"

static const struct {
    const char *name;
    const char *uri;
    bool forms;
} types[EVENT_TYPE_COUNT] = {
#define X(id, name, uri, forms) [EVENT_##id] = {name, uri, forms},
    EVENT_TYPE_MAP(X)
#undef X
};

const char *event_type_name(enum event_type t)
{
    return types[t].name;
}

const char *event_type_uri(enum event_type t)
{
    return types[t].uri;
}

#define INTERNAL                                                               \
    (EVENT_BIT(EVENT_REFRESHED) | EVENT_BIT(EVENT_FOUND_INACTIVE) |            \
     EVENT_BIT(EVENT_FOUND_GONE) | EVENT_BIT(EVENT_FEED_SILENT) |              \
     EVENT_BIT(EVENT_OPERATOR) | EVENT_BIT(EVENT_SCHEDULED) |                  \
     EVENT_BIT(EVENT_IDLE))
#define ALL_TYPES (EVENT_BIT(EVENT_TYPE_COUNT) - 1)

const char *event_family_name(unsigned i)
{
    static const char *const names[] = {"*", "feed.*", "caep.*", "risc.*",
                                        "ssf.*"};
    return i < sizeof names / sizeof names[0] ? names[i] : NULL;
}

event_mask event_family(struct span pattern)
{
    event_mask found = 0;
    for (unsigned i = 0; event_family_name(i) != NULL; i++) {
        struct span name = span_str(event_family_name(i));
        if (!span_eq(pattern, name))
            continue;
        struct span prefix = span_sub(name, 0, name.n - 1);
        for (unsigned t = 0; t < EVENT_TYPE_COUNT; t++)
            if (span_starts(span_str(types[t].name), prefix))
                found |= EVENT_BIT(t);
    }
    return found & ALL_TYPES & ~INTERNAL;
}

enum event_type event_type_from_uri(struct span uri, enum event_form *ret_form)
{
    struct span base = uri;
    enum event_form form = FORM_PLAIN;
    if (span_ends(uri, SPAN(":notice"))) {
        form = FORM_NOTICE;
        base = span_sub(uri, 0, uri.n - SPAN(":notice").n);
    } else if (span_ends(uri, SPAN(":full"))) {
        form = FORM_FULL;
        base = span_sub(uri, 0, uri.n - SPAN(":full").n);
    }
    *ret_form = FORM_PLAIN;
    for (unsigned t = 0; t < EVENT_TYPE_COUNT; t++) {
        if (types[t].uri[0] == 0 || types[t].forms != (form != FORM_PLAIN))
            continue;
        if (span_eq(base, span_str(types[t].uri))) {
            *ret_form = form;
            return (enum event_type)t;
        }
    }
    return EVENT_UNKNOWN;
}

bool event_type_from_name(struct span name, enum event_type *ret)
{
    for (unsigned t = 0; t < EVENT_TYPE_COUNT; t++) {
        if (span_eq(name, span_str(types[t].name))) {
            *ret = (enum event_type)t;
            return true;
        }
    }
    enum event_form form;
    enum event_type found = event_type_from_uri(name, &form);
    for (unsigned t = 0; found == EVENT_UNKNOWN && t < EVENT_TYPE_COUNT; t++)
        if (types[t].uri[0] != 0 && span_eq(name, span_str(types[t].uri)))
            found = (enum event_type)t;
    *ret = found;
    return found != EVENT_UNKNOWN;
}

/* What stands behind the last ':' or '.': drafts, URIs and other products put
 * all sorts of things before it. */
static struct span last_part(struct span name)
{
    size_t at = name.n;
    while (at > 0 && name.p[at - 1] != ':' && name.p[at - 1] != '.')
        at--;
    return span_sub(name, at, name.n);
}

void event_type_near(struct near *n, struct span name)
{
    for (unsigned i = 0; event_family_name(i) != NULL; i++)
        near_try(n, span_str(event_family_name(i)));
    for (unsigned t = 0; t < EVENT_TYPE_COUNT; t++)
        near_try(n, span_str(event_type_name((enum event_type)t)));
    for (unsigned t = 0; t < EVENT_TYPE_COUNT && n->best.n == 0; t++) {
        struct span known = span_str(event_type_name((enum event_type)t));
        if (span_ieq(last_part(known), last_part(name)))
            n->best = known;
    }
}
