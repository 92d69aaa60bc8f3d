// SPDX-License-Identifier: Apache-2.0
/*
 * Names in conditions that are nearly a known one. Servers have attributes of
 * their own, so a name that resembles none is left alone.
 */
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

static const char *const of_call[] = {"run_id", NULL};

static void find_near(struct near *n, struct span word,
                      const char *const *known)
{
    *n = (struct near){.word = word};
    for (unsigned i = 0; known[i] != NULL; i++) {
        if (span_ieq(word, span_str(known[i]))) {
            *n = (struct near){.word = word}; /* known: no advice */
            return;
        }
        near_try(n, span_str(known[i]));
    }
}

static void warn_word(struct warner *w, const struct doc *d, struct span word,
                      const char *const *known, const char *what)
{
    struct near n;
    char advice[FAIL_TEXT_MAX];
    find_near(&n, word, known);
    if (word.n > 0 && n.best.n > 0)
        warn_inside(w, d, word, near_advice(&n, advice),
                    "'%.*s' is no known name of %s", PRSPAN(word), what);
}

void warn_path_names(struct warner *w, const struct doc *d,
                     const struct attr_path *path)
{
    if (path->urn.n > 0 && !filter_urn_is_core(path->urn))
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
        warn_word(w, d, p->sub, of_call, "a member of a call");
    else
        warn_path_names(w, d, p);
}
