// SPDX-License-Identifier: Apache-2.0
/*
 * Names in conditions that are nearly a known one. Servers have attributes of
 * their own, so a name that resembles none is left alone.
 */
#include <stdio.h>

#include "policy/filter_node.h"
#include "policy/near.h"
#include "policy/warn_note.h"

/* RFC 7643 sections 3.1, 4.1, 4.2, and of the drafts on agents. */
static const char *const tops[] = {"id",
                                   "externalId",
                                   "meta",
                                   "schemas",
                                   "userName",
                                   "name",
                                   "displayName",
                                   "nickName",
                                   "profileUrl",
                                   "title",
                                   "userType",
                                   "preferredLanguage",
                                   "locale",
                                   "timezone",
                                   "active",
                                   "password",
                                   "emails",
                                   "phoneNumbers",
                                   "ims",
                                   "photos",
                                   "addresses",
                                   "groups",
                                   "members",
                                   "entitlements",
                                   "roles",
                                   "x509Certificates",
                                   "description",
                                   "owners",
                                   "parent",
                                   "agentUserName",
                                   "agentType",
                                   "protocols",
                                   "applications",
                                   "oAuthConfiguration",
                                   "tool_class", /* of a call: `toolclass` */
                                   NULL};

static const char *const subs[] = {"value",
                                   "display",
                                   "type",
                                   "primary",
                                   "$ref",
                                   "formatted",
                                   "familyName",
                                   "givenName",
                                   "middleName",
                                   "honorificPrefix",
                                   "honorificSuffix",
                                   "streetAddress",
                                   "locality",
                                   "region",
                                   "postalCode",
                                   "country",
                                   "resourceType",
                                   "created",
                                   "lastModified",
                                   "location",
                                   "version",
                                   NULL};

/* RFC 7643 section 4.3. */
#define ENTERPRISE "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
static const char *const of_enterprise[] = {
    "employeeNumber", "costCenter", "organization", "division", "department",
    "manager",        NULL};

/* What every event says, and members of CAEP and RISC events. */
static const char *const of_event[] = {"feed",
                                       "issuer",
                                       "jti",
                                       "txn",
                                       "type",
                                       "uri",
                                       "version",
                                       "iat",
                                       "toe",
                                       "current_level",
                                       "previous_level",
                                       "reason_admin",
                                       "reason_user",
                                       "current_status",
                                       "previous_status",
                                       "event_timestamp",
                                       "change_type",
                                       "credential_type",
                                       "namespace",
                                       "initiating_entity",
                                       "change_direction",
                                       "principal",
                                       "risk_reason",
                                       "reason",
                                       NULL};

/* What other policy languages put before the attribute. */
static const char *const prefixes[] = {
    "agent", "user",     "group",    "subject",    "principal",
    "actor", "resource", "identity", "attributes", NULL};

static bool is_known(struct span word, const char *const *known)
{
    for (unsigned i = 0; known[i] != NULL; i++)
        if (span_ieq(word, span_str(known[i])))
            return true;
    return false;
}

static void warn_word(struct warner *w, const struct doc *d, struct span word,
                      const char *const *known, const char *what)
{
    struct near n = {.word = word};
    char advice[FAIL_TEXT_MAX];
    if (word.n == 0 || is_known(word, known))
        return;
    for (unsigned i = 0; known[i] != NULL; i++)
        near_try(&n, span_str(known[i]));
    if (n.best.n > 0)
        warn_inside(w, d, word, near_advice(&n, advice),
                    "'%.*s' is no known name of %s", PRSPAN(word), what);
}

/* `agent.active` is the sub-attribute `active` of an attribute `agent`. */
static bool warn_prefix(struct warner *w, const struct doc *d,
                        const struct attr_path *path)
{
    char advice[FAIL_TEXT_MAX];
    if (!is_known(path->attr, prefixes) || path->urn.n > 0 || path->sub.n == 0)
        return false;
    if (span_ieq(path->attr, SPAN("group")) && is_known(path->sub, subs))
        return false; /* `group.value` is `groups.value`, misspelled */
    (void)snprintf(advice, sizeof advice,
                   "a condition is about the subject itself: write '%.*s'",
                   PRSPAN(path->sub));
    warn_inside(w, d, path->attr, advice,
                "'%.*s' is read as an attribute of the subject",
                PRSPAN(path->attr));
    return true;
}

/* A call has its run and nothing else, and `tool` has no parts: such a term is
 * never fulfilled. */
static bool warn_call(struct warner *w, const struct doc *d,
                      const struct attr_path *path)
{
    const bool call = span_ieq(path->attr, SPAN("call")) &&
                      !span_ieq(path->sub, SPAN("run_id"));
    if (path->urn.n > 0 || path->sub.n == 0 ||
        (!call && !span_ieq(path->attr, SPAN("tool")) &&
         !span_ieq(path->attr, SPAN("tool_class"))))
        return false;
    warn_inside(w, d, path->attr,
                "of a call there are tool, tool_class and call.run_id",
                "'%.*s.%.*s' is nothing that is known of a call",
                PRSPAN(path->attr), PRSPAN(path->sub));
    return true;
}

void warn_path_names(struct warner *w, const struct doc *d,
                     const struct attr_path *path)
{
    if (span_ieq(path->urn, SPAN(ENTERPRISE)))
        warn_word(w, d, path->attr, of_enterprise, "an attribute");
    if ((path->urn.n > 0 && !filter_urn_is_core(path->urn)) ||
        warn_prefix(w, d, path) || warn_call(w, d, path))
        return;
    warn_word(w, d, path->attr, tops, "an attribute");
    warn_word(w, d, path->sub, subs, "a sub-attribute");
}

void warn_term_names(struct warner *w, const struct doc *d,
                     const struct filter *term)
{
    const struct attr_path *p = &term->path;
    if (term->kind != FILTER_TEST && term->kind != FILTER_ELEMENT)
        return;
    if (term->in_element)
        warn_word(w, d, p->attr, subs, "a sub-attribute");
    else if (term->source == FILTER_EVENT)
        warn_word(w, d, p->sub, of_event, "a member of an event");
    else if (term->source == FILTER_CALL)
        (void)warn_call(w, d, p);
    else
        warn_path_names(w, d, p);
}
