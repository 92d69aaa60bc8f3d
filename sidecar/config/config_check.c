// SPDX-License-Identifier: Apache-2.0
/*
 * What one key cannot say alone: combinations that would be unsafe or could
 * never work. Positions come from the tree; values from the snapshot, where a
 * value that was refused is empty and is not complained about twice.
 */
#include "sidecar/config/config_rows.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#define GROUPS_MAX 256
#define ACCOUNT_BYTES_MAX 16384

/* The n-th entry of a list, or the list itself. */
static const struct doc *nth(const struct doc *list, unsigned n)
{
    const struct doc *d = list == NULL ? NULL : list->first;
    while (d != NULL && n-- > 0)
        d = d->next;
    return d == NULL ? list : d;
}

/* A member of a member; falls back to what is there. */
static const struct doc *at(const struct doc *d, struct span a, struct span b)
{
    const struct doc *outer = doc_get(d, a);
    if (outer == NULL)
        return d;
    const struct doc *inner = b.n == 0 ? NULL : doc_get(outer, b);
    return inner == NULL ? outer : inner;
}

/* ---- listeners ---- */

static bool is_unix(struct span address)
{
    return span_starts(address, SPAN("unix:"));
}

static void check_listen(struct loader *l, const struct doc *d,
                         const struct config_listen *a)
{
    const struct doc *where = at(d, SPAN("address"), SPAN(""));
    if (a->address.n == 0)
        return;
    if (a->cert_file.n == 0 && !config_address_local(a->address))
        config_error(l, where, "add tls: {cert: FILE, key: FILE}",
                     "'%.*s' without TLS: plain TCP is for loopback only",
                     PRSPAN(a->address));
    if (a->client_required && a->client_ca_file.n == 0)
        config_error(l, at(d, SPAN("tls"), SPAN("client_required")),
                     "add client_ca: FILE",
                     "client_required needs CA certificates to check against");
    if (is_unix(a->address) && (a->unix_mode & 0007) != 0)
        config_warn(l, at(d, SPAN("mode"), SPAN("")), NULL,
                    "every local user can connect to %.*s", PRSPAN(a->address));
}

static bool listed_twice(const struct config_listen *list, unsigned at_index)
{
    for (unsigned i = 0; i < at_index; i++)
        if (list[at_index].address.n > 0 &&
            span_eq(list[i].address, list[at_index].address) &&
            !span_ends(list[i].address, SPAN(":0")))
            return true;
    return false;
}

static void check_listeners(struct loader *l, const struct doc *d,
                            const struct config_listen *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        check_listen(l, nth(d, i), &list[i]);
        if (listed_twice(list, i))
            config_error(l, nth(d, i), NULL, "'%.*s' is there twice",
                         PRSPAN(list[i].address));
    }
}

/* ---- the admin socket ---- */

static const struct config_operator *operator_of(const struct config *c,
                                                 int64_t uid)
{
    for (unsigned i = 0; i < c->operator_count; i++)
        if (c->operators[i].uid == uid)
            return &c->operators[i];
    return NULL;
}

static bool in_group(uid_t uid, int64_t gid)
{
    char scratch[ACCOUNT_BYTES_MAX];
    struct passwd pw, *found = NULL;
    gid_t groups[GROUPS_MAX];
    int count = GROUPS_MAX;
    (void)getpwuid_r(uid, &pw, scratch, sizeof scratch, &found);
    if (found == NULL)
        return false;
    if (getgrouplist(pw.pw_name, pw.pw_gid, groups, &count) < 0)
        return true; /* too many to tell: assume the worse */
    for (int i = 0; i < count; i++)
        if ((int64_t)groups[i] == gid)
            return true;
    return false;
}

/* Could a process of this user connect? Connecting needs write permission;
 * root ignores modes. */
static bool can_open(const struct config_listen *admin, int64_t uid)
{
    const int64_t gid =
        admin->unix_gid >= 0 ? admin->unix_gid : (int64_t)getegid();
    if (uid == 0 || (admin->unix_mode & 0002) != 0)
        return true;
    if (uid == (int64_t)geteuid())
        return (admin->unix_mode & 0200) != 0;
    return (admin->unix_mode & 0020) != 0 && in_group((uid_t)uid, gid);
}

/*
 * An agent that can reach the admin socket could lift its own hold. The server
 * also refuses users who are not operators, but a socket that a caller cannot
 * even open is the stronger fence. One exception: a person may be an operator
 * and own a runtime or gateway (one-user machines); then the file says so
 * twice, and we say it once more. An agent is never an operator.
 */
static void check_admin_caller(struct loader *l, const struct config *c,
                               const struct doc *where, unsigned i)
{
    const struct config_caller *caller = &c->callers[i];
    if (caller->uid < 0 || !can_open(&c->admin, caller->uid))
        return;
    const struct config_operator *op = operator_of(c, caller->uid);
    if (op != NULL && caller->role != CALLER_AGENT)
        config_warn(l, where, NULL,
                    "caller '%.*s' and operator '%.*s' are one user (%lld): "
                    "its processes can lift holds",
                    PRSPAN(caller->name), PRSPAN(op->name),
                    (long long)caller->uid);
    else
        config_error(l, where,
                     "run bailiff as a user of its own, and keep "
                     "listen.admin at mode \"0600\" or a group without "
                     "callers",
                     "caller '%.*s' (user %lld) could open the admin socket",
                     PRSPAN(caller->name), (long long)caller->uid);
}

static void check_admin(struct loader *l, const struct doc *root,
                        const struct config *c)
{
    const struct doc *d = at(root, SPAN("listen"), SPAN("admin"));
    const struct doc *where = at(d, SPAN("address"), SPAN(""));
    if (c->admin.address.n > 0 && !is_unix(c->admin.address))
        config_error(l, where, "use unix:/run/bailiff/admin.sock",
                     "the admin address must be a Unix socket");
    if ((c->admin.unix_mode & 0007) != 0)
        config_error(l, at(d, SPAN("mode"), SPAN("")), "use \"0600\"",
                     "every local user could open the admin socket");
    const struct doc *callers = doc_get(root, SPAN("callers"));
    for (unsigned i = 0; i < c->caller_count; i++)
        check_admin_caller(l, c, at(nth(callers, i), SPAN("uid"), SPAN("")), i);
}

/* ---- feeds ---- */

static void check_url(struct loader *l, const struct doc *where,
                      struct span url, bool allow_http)
{
    if (!span_starts(url, SPAN("http://")))
        return;
    if (!config_host_is_loopback(config_url_host(url)))
        config_error(l, where, NULL, "http: is for loopback only; use https:");
    else if (!allow_http)
        config_error(l, where, "for a test on loopback set allow_http: true",
                     "http: is not allowed; use https:");
}

/* Sets auth->kind from what is there. */
static void check_auth(struct loader *l, const struct doc *d,
                       struct config_auth *auth, bool token_url_needed)
{
    const bool basic = auth->user.n > 0 || auth->password_file.n > 0;
    const bool secret = auth->client_secret_file.n > 0;
    const bool assertion = auth->private_key_file.n > 0;
    const bool client = auth->client_id.n > 0 || secret || assertion;
    if (d == NULL || d->kind != DOC_MAP)
        return;
    if ((auth->bearer_file.n > 0) + basic + client > 1 ||
        (secret && assertion)) {
        config_error(l, d, NULL,
                     "choose one: bearer_file; user and password_file; "
                     "client_id with client_secret_file or private_key_file");
    } else if (auth->bearer_file.n > 0) {
        auth->kind = AUTH_BEARER_FILE;
    } else if (basic) {
        auth->kind = AUTH_BASIC;
        if (auth->user.n == 0 || auth->password_file.n == 0)
            config_error(l, d, NULL, "user and password_file go together");
    } else if (client) {
        auth->kind = secret ? AUTH_CLIENT_SECRET : AUTH_PRIVATE_KEY_JWT;
        if (auth->client_id.n == 0 || (!secret && !assertion))
            config_error(l, d, NULL,
                         "client_id goes with client_secret_file or "
                         "private_key_file");
        if (token_url_needed && auth->token_url.n == 0)
            config_error(l, d, NULL,
                         "token_url is missing: where the client gets its "
                         "access token");
    } else {
        config_error(l, d, NULL, "auth says nothing usable");
    }
}

static void check_trust(struct loader *l, const struct doc *d,
                        const struct config_trust *t)
{
    if ((t->cert_file.n == 0) != (t->key_file.n == 0))
        config_error(l, at(d, SPAN("tls"), SPAN("")), NULL,
                     "cert and key go together");
}

static void check_keys(struct loader *l, const struct doc *d,
                       const struct config_feed *feed)
{
    const struct doc *keys = doc_get(d, SPAN("keys"));
    const int given = (feed->jwks_url.n > 0) + (feed->jwks_file.n > 0) +
                      (feed->pem_file.n > 0);
    if (keys == NULL || keys->kind != DOC_MAP)
        return;
    if (given != 1 && (given > 1 || keys->count == 0))
        config_error(l, keys, NULL,
                     "choose one: jwks_url, jwks_file or pem_file");
    if (feed->pem_kid.n > 0 && feed->pem_file.n == 0)
        config_error(l, keys, NULL, "pem_kid goes with pem_file");
    check_url(l, at(d, SPAN("keys"), SPAN("jwks_url")), feed->jwks_url,
              feed->trust.allow_http);
}

static bool any_client_ca(const struct config_listen *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (list[i].client_ca_file.n > 0)
            return true;
    return false;
}

static void check_push(struct loader *l, const struct doc *d,
                       const struct config *c, const struct config_feed *feed)
{
    const struct doc *push = doc_get(d, SPAN("push"));
    const bool by_cert =
        feed->push_spiffe_id.n > 0 || feed->push_cert_sha256.n > 0;
    if (push == NULL || push->kind != DOC_MAP)
        return;
    if (c->push_count == 0)
        config_error_key(l, push, "add listen.push",
                         "push needs an address to listen on");
    if (feed->push_bearer_file.n == 0 && !by_cert)
        config_warn(l, push, "add bearer_file, spiffe_id or cert_sha256",
                    "whoever reaches the push address can make bailiff check "
                    "signatures");
    if (by_cert && c->push_count > 0 && !any_client_ca(c->push, c->push_count))
        config_error(l, push, "add client_ca to the tls of listen.push",
                     "client certificates are not asked for");
}

static void check_feed_unique(struct loader *l, const struct doc *d,
                              const struct config *c, unsigned i)
{
    const struct config_feed *feed = &c->feeds[i];
    for (unsigned k = 0; k < i; k++) {
        const struct config_feed *other = &c->feeds[k];
        if (feed->name.n > 0 && span_eq(feed->name, other->name))
            config_error(l, at(d, SPAN("name"), SPAN("")), NULL,
                         "feed '%.*s' is already on line %u",
                         PRSPAN(feed->name), other->line);
        if (feed->push_path.n > 0 && span_eq(feed->push_path, other->push_path))
            config_error(l, at(d, SPAN("push"), SPAN("path")), NULL,
                         "path is already used by the feed on line %u",
                         other->line);
    }
}

static void check_feed(struct loader *l, const struct doc *d,
                       const struct config *c, struct config_feed *feed)
{
    const struct doc *poll = doc_get(d, SPAN("poll"));
    const struct doc *scim = doc_get(d, SPAN("scim"));
    const bool http = feed->trust.allow_http;
    check_trust(l, d, &feed->trust);
    check_keys(l, d, feed);
    check_push(l, d, c, feed);
    if (doc_get(d, SPAN("push")) == NULL && poll == NULL && d->kind == DOC_MAP)
        config_error(l, d, "push: {path: /events/NAME} or poll: {url: ...}",
                     "feed has neither push nor poll");
    check_url(l, at(d, SPAN("poll"), SPAN("url")), feed->poll_url, http);
    check_auth(l, doc_get(poll, SPAN("auth")), &feed->poll_auth, true);
    check_url(l, at(poll, SPAN("auth"), SPAN("token_url")),
              feed->poll_auth.token_url, http);
    check_url(l, at(d, SPAN("scim"), SPAN("base")), feed->scim_base, http);
    check_auth(l, doc_get(scim, SPAN("auth")), &feed->scim_auth, true);
    check_url(l, at(scim, SPAN("auth"), SPAN("token_url")),
              feed->scim_auth.token_url, http);
    while (span_ends(feed->scim_base, SPAN("/")))
        feed->scim_base.n--;
    if (span_find(feed->scim_base, '?', 0) < feed->scim_base.n)
        config_error(l, at(d, SPAN("scim"), SPAN("base")), NULL,
                     "the SCIM base must not have a query");
}

/* ---- callers and operators ---- */

static bool feed_exists(const struct config *c, struct span name)
{
    for (unsigned i = 0; i < c->feed_count; i++)
        if (span_eq(c->feeds[i].name, name))
            return true;
    return false;
}

static void check_identity(struct loader *l, const struct doc *d,
                           const struct config *c,
                           const struct config_caller *caller)
{
    const int given = (caller->uid >= 0) + (caller->spiffe_id.n > 0) +
                      (caller->cert_sha256_hex.n > 0) +
                      (caller->bearer_file.n > 0);
    const bool named = doc_get(d, SPAN("uid")) != NULL ||
                       doc_get(d, SPAN("spiffe_id")) != NULL ||
                       doc_get(d, SPAN("cert_sha256")) != NULL ||
                       doc_get(d, SPAN("bearer_file")) != NULL;
    if (given > 1 || !named)
        config_error(l, d, NULL,
                     "choose how it is known: uid, spiffe_id, "
                     "cert_sha256 or bearer_file");
    if (given == 1 && caller->uid < 0 && caller->bearer_file.n == 0 &&
        !any_client_ca(c->gate, c->gate_count))
        config_error(l, d,
                     "add tls with client_ca to an address of "
                     "listen.gate",
                     "no gate address asks for client certificates");
}

static void check_agents(struct loader *l, const struct doc *d,
                         const struct config_caller *caller)
{
    const struct doc *where = at(d, SPAN("agents"), SPAN(""));
    for (unsigned i = 0; i < caller->agents.count; i++)
        if (caller->agents.at[i].n == 0 || (caller->agents.at[i].p[0] != '/' &&
                                            caller->agents.at[i].p[0] != '*'))
            config_error(l, nth(where, i), "for example \"/Agents/*\"",
                         "a pattern of agents begins with /");
    const struct span role = doc_text(d, SPAN("role"));
    if (span_eq(role, SPAN("agent")) && caller->agents.count > 0 &&
        (caller->agents.count > 1 ||
         span_find(caller->agents.at[0], '*', 0) < caller->agents.at[0].n))
        config_error(l, where, "use role: runtime for several agents",
                     "a caller with role agent asks for one agent only");
}

static bool same_identity(const struct config_caller *a,
                          const struct config_caller *b)
{
    return (a->uid >= 0 && a->uid == b->uid) ||
           (a->spiffe_id.n > 0 && span_eq(a->spiffe_id, b->spiffe_id)) ||
           (a->cert_sha256_hex.n > 0 &&
            span_eq(a->cert_sha256_hex, b->cert_sha256_hex));
}

static void check_caller(struct loader *l, const struct doc *d,
                         const struct config *c, unsigned i)
{
    const struct config_caller *caller = &c->callers[i];
    if (d->kind != DOC_MAP)
        return;
    check_identity(l, d, c, caller);
    check_agents(l, d, caller);
    if (caller->feed.n > 0 && !feed_exists(c, caller->feed))
        config_error(l, at(d, SPAN("feed"), SPAN("")), NULL,
                     "there is no feed '%.*s'", PRSPAN(caller->feed));
    for (unsigned k = 0; k < i; k++) {
        if (caller->name.n > 0 && span_eq(caller->name, c->callers[k].name))
            config_error(l, at(d, SPAN("name"), SPAN("")), NULL,
                         "caller '%.*s' is already on line %u",
                         PRSPAN(caller->name), c->callers[k].line);
        if (same_identity(caller, &c->callers[k]))
            config_error(l, d, NULL,
                         "the caller on line %u has the same identity",
                         c->callers[k].line);
    }
}

static void check_operators(struct loader *l, const struct doc *list,
                            const struct config *c)
{
    for (unsigned i = 0; i < c->operator_count; i++)
        for (unsigned k = 0; k < i; k++)
            if (c->operators[i].uid >= 0 &&
                c->operators[i].uid == c->operators[k].uid)
                config_error(
                    l, nth(list, i), "one user, one name: records must say who",
                    "user %lld is already on line %u",
                    (long long)c->operators[i].uid, c->operators[k].line);
}

/* ---- outbound ---- */

static void check_servers(struct loader *l, const struct doc *list,
                          struct config *c)
{
    for (unsigned i = 0; i < c->server_count; i++) {
        struct config_auth_server *s = &c->servers[i];
        const struct doc *d = nth(list, i);
        const bool http = s->trust.allow_http;
        check_trust(l, d, &s->trust);
        check_url(l, at(d, SPAN("revocation_url"), SPAN("")), s->revocation_url,
                  http);
        check_auth(l, doc_get(d, SPAN("auth")), &s->auth, false);
        check_url(l, at(d, SPAN("auth"), SPAN("token_url")), s->auth.token_url,
                  http);
        for (unsigned k = 0; k < i; k++)
            if (s->issuer.n > 0 && span_eq(s->issuer, c->servers[k].issuer))
                config_error(l, d, NULL, "issuer is already on line %u",
                             c->servers[k].line);
    }
}

static void check_runtimes(struct loader *l, const struct doc *list,
                           const struct config *c)
{
    for (unsigned i = 0; i < c->runtime_count; i++) {
        const struct config_runtime *r = &c->runtimes[i];
        const struct doc *d = nth(list, i);
        if (r->address.n > 0 && r->ca_file.n == 0 &&
            !config_address_local(r->address))
            config_error(l, at(d, SPAN("address"), SPAN("")),
                         "add tls: {ca: FILE}",
                         "'%.*s' without TLS: plain TCP is for loopback only",
                         PRSPAN(r->address));
        if ((r->cert_file.n == 0) != (r->key_file.n == 0))
            config_error(l, at(d, SPAN("tls"), SPAN("")), NULL,
                         "cert and key go together");
        for (unsigned k = 0; k < i; k++)
            if (r->name.n > 0 && span_eq(r->name, c->runtimes[k].name))
                config_error(l, at(d, SPAN("name"), SPAN("")), NULL,
                             "runtime '%.*s' is already on line %u",
                             PRSPAN(r->name), c->runtimes[k].line);
    }
}

/* ---- defaults that depend on other values ---- */

static void derive(struct loader *l, const struct doc *root, struct config *c)
{
    const struct doc *listen = doc_get(root, SPAN("listen"));
    const struct span store = c->store_dir;
    if (doc_get(listen, SPAN("gate")) == NULL) {
        c->gate[0] = (struct config_listen){
            .address = SPAN("unix:/run/bailiff/gate.sock"),
            .unix_mode = 0660,
            .unix_gid = -1,
        };
        c->gate_count = 1;
    }
    if (c->log_dir.n == 0)
        c->log_dir = config_printf(l, "%.*s/log", PRSPAN(store));
    if (c->seal_key_file.n == 0)
        c->seal_key_file =
            config_printf(l, "%.*s/keys/seal.key", PRSPAN(store));
    if (c->log_key_file.n == 0)
        c->log_key_file = config_printf(l, "%.*s/keys/log.key", PRSPAN(store));
    if (c->policy_file.n > 0 && c->policy_signature_file.n == 0)
        c->policy_signature_file =
            config_printf(l, "%.*s.sig", PRSPAN(c->policy_file));
    const struct doc *admin = doc_get(listen, SPAN("admin"));
    if (admin != NULL)
        c->admin.line = admin->line;
}

static void check_limits(struct loader *l, const struct doc *root,
                         const struct config *c)
{
    if (c->limits.parked_per_agent > c->limits.parked_max)
        config_error(l, at(root, SPAN("limits"), SPAN("parked_per_agent")),
                     NULL, "parked_per_agent is more than parked_max");
}

static void check_policy(struct loader *l, const struct doc *root,
                         const struct config *c)
{
    const bool asks = c->policy_keys.count > 0 || c->policy_watch ||
                      c->policy_signature_file.n > 0;
    if (asks && c->policy_file.n == 0)
        config_error(l, doc_get(root, SPAN("policy")), NULL,
                     "keys, signature and watch are about a file: file is "
                     "missing");
}

void config_cross_check(struct loader *l, const struct doc *root,
                        struct config *c)
{
    if (root->kind != DOC_MAP)
        return;
    derive(l, root, c);
    const struct doc *listen = doc_get(root, SPAN("listen"));
    check_listeners(l, doc_get(listen, SPAN("gate")), c->gate, c->gate_count);
    check_listeners(l, doc_get(listen, SPAN("push")), c->push, c->push_count);
    if (c->metrics.address.n > 0)
        check_listen(l, doc_get(listen, SPAN("metrics")), &c->metrics);
    check_admin(l, root, c);
    const struct doc *feeds = doc_get(root, SPAN("feeds"));
    for (unsigned i = 0; i < c->feed_count; i++) {
        check_feed(l, nth(feeds, i), c, &c->feeds[i]);
        check_feed_unique(l, nth(feeds, i), c, i);
    }
    const struct doc *callers = doc_get(root, SPAN("callers"));
    for (unsigned i = 0; i < c->caller_count; i++)
        check_caller(l, nth(callers, i), c, i);
    check_operators(l, doc_get(root, SPAN("operators")), c);
    const struct doc *outbound = doc_get(root, SPAN("outbound"));
    check_servers(l, doc_get(outbound, SPAN("authorization_servers")), c);
    check_runtimes(l, doc_get(outbound, SPAN("runtimes")), c);
    check_policy(l, root, c);
    check_limits(l, root, c);
}
