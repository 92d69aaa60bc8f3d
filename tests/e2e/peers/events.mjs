// SPDX-License-Identifier: Apache-2.0
// What security events look like: URIs and well-formed payloads of RFC 9967,
// CAEP 1.0, RISC 1.0 and SSF 1.0.
const SCIM = 'urn:ietf:params:scim:event:';
const CAEP = 'https://schemas.openid.net/secevent/caep/event-type/';
const RISC = 'https://schemas.openid.net/secevent/risc/event-type/';
const SSF = 'https://schemas.openid.net/secevent/ssf/event-type/';

export const AGENT_SCHEMA = 'urn:ietf:params:scim:schemas:core:2.0:Agent';
const PATCH_OP = 'urn:ietf:params:scim:api:messages:2.0:PatchOp';

const named = (base, names) => Object.fromEntries(names.map((n) => [n, base + n]));

/** Short name to event URI. */
export const URI = {
    'feed:add': `${SCIM}feed:add`,
    'feed:remove': `${SCIM}feed:remove`,
    'create:notice': `${SCIM}prov:create:notice`,
    'create:full': `${SCIM}prov:create:full`,
    'patch:notice': `${SCIM}prov:patch:notice`,
    'patch:full': `${SCIM}prov:patch:full`,
    'put:notice': `${SCIM}prov:put:notice`,
    'put:full': `${SCIM}prov:put:full`,
    delete: `${SCIM}prov:delete`,
    activate: `${SCIM}prov:activate`,
    deactivate: `${SCIM}prov:deactivate`,
    asyncresp: `${SCIM}misc:asyncresp`,
    ...named(CAEP, ['session-revoked', 'token-claims-change', 'credential-change',
        'assurance-level-change', 'device-compliance-change', 'session-established',
        'session-presented', 'risk-level-change']),
    ...named(RISC, ['account-credential-change-required', 'account-purged', 'account-disabled',
        'account-enabled', 'identifier-changed', 'identifier-recycled', 'credential-compromise',
        'opt-in', 'opt-out-initiated', 'opt-out-cancelled', 'opt-out-effective',
        'recovery-activated', 'recovery-information-changed', 'sessions-revoked']),
    ...named(SSF, ['verification', 'stream-updated']),
};

/** The twelve of RFC 9967 section 7.4. */
export const SCIM_EVENTS = Object.keys(URI).filter((name) => URI[name].startsWith(SCIM));
export const CAEP_EVENTS = Object.keys(URI).filter((name) => URI[name].startsWith(CAEP));
export const RISC_EVENTS = Object.keys(URI).filter((name) => URI[name].startsWith(RISC));

const agentData = (over) => ({
    schemas: [AGENT_SCHEMA], agentUserName: 'agent', active: true, ...over,
});

const PAYLOADS = {
    'create:notice': () => ({ version: 'W/"c1"', attributes: ['id', 'active'] }),
    'create:full': () => ({ version: 'W/"c1"', data: agentData() }),
    'patch:notice': () => ({ attributes: ['roles'] }),
    'patch:full': () => ({
        data: {
            schemas: [PATCH_OP],
            Operations: [{ op: 'replace', path: 'active', value: false }],
        },
    }),
    'put:notice': () => ({ attributes: ['active', 'displayName'] }),
    'put:full': () => ({ data: agentData() }),
    asyncresp: () => ({ method: 'PATCH', status: '200', version: 'W/"c2"' }),
    'token-claims-change': () => ({ claims: { role: 'reader' } }),
    'credential-change': () => ({ credential_type: 'x509', change_type: 'revoke' }),
    'assurance-level-change': () => ({ namespace: 'NIST-AAL', current_level: 'nist-aal1' }),
    'device-compliance-change': () => ({
        previous_status: 'compliant', current_status: 'not-compliant',
    }),
    'risk-level-change': () => ({ principal: 'USER', current_level: 'HIGH' }),
    'identifier-changed': () => ({ 'new-value': 'other@corp.example' }),
    'credential-compromise': () => ({ credential_type: 'password' }),
    'stream-updated': () => ({ status: 'enabled' }),
};

/** A payload that its specification allows; most events have an empty one. */
export const payloadOf = (name) => (PAYLOADS[name] ?? (() => ({})))();
