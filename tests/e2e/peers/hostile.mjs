// SPDX-License-Identifier: Apache-2.0
// Hostile, malformed and merely unusual tokens, each with the answer it must
// get: 202, or an error code of RFC 8935 section 2.4.
import { URI } from './events.mjs';
import { b64u, signRaw } from './keys.mjs';

export const AGENT = '/Agents/1';

/** A well-formed token with some claims changed. */
const claims = (change, event = 'patch:notice') => (idp) =>
    idp.mint(event, AGENT, { claims: change }).then((set) => set.token);
/** ... with header members changed. */
const header = (change) => (idp) => {
    const key = idp.keys.get('es256');
    const text = JSON.stringify({ typ: 'secevent+jwt', alg: 'ES256', kid: key.kid, ...change });
    return idp.signText(text, JSON.stringify(idp.claims('patch:notice', AGENT)));
};
/** ... with a payload made of text. */
const text = (edit) => (idp) => {
    const key = idp.keys.get('es256');
    return idp.signText(JSON.stringify({ typ: 'secevent+jwt', alg: 'ES256', kid: key.kid }),
        edit(JSON.stringify(idp.claims('patch:notice', AGENT))));
};
/** ... with another subject. */
const subject = (id) => claims({ sub_id: id });
const uri = (value) => subject({ format: 'scim', uri: value });
/** ... with this payload for this event. */
const payload = (event, value) => (idp) =>
    idp.mint(event, AGENT, { payload: value }).then((set) => set.token);
/** A good token, its text edited. */
const edited = (edit) => (idp) => claims({})(idp).then(edit);

const forged = (idp, alg) => {
    const { kid, publicPem } = idp.keys.get('rs256');
    const head = JSON.stringify({ typ: 'secevent+jwt', alg, kid });
    const body = JSON.stringify(idp.claims('activate', AGENT));
    return signRaw(alg === 'HS256' ? { hmac: publicPem } : null, head, body);
};
const manyEvents = Object.fromEntries(Array.from({ length: 17 }, (_, i) =>
    [`urn:example:event:${i}`, {}]));
const response = { schemas: ['urn:ietf:params:scim:api:messages:2.0:Error'], status: '409' };

/**
 * The kid may belong to a key that is just being rolled out. While the key set
 * may not be fetched again yet, the sender is asked to come back (503).
 */
const UNKNOWN = true;

/**
 * [what it is, (idp) => the token or a promise of it, the answer, UNKNOWN?]; all
 * are about AGENT.
 */
export const TOKENS = [
    ['alg none', (idp) => forged(idp, 'none'), 'invalid_key'],
    ['alg nOnE', (idp) => forged(idp, 'nOnE'), 'invalid_key'],
    ['HS256 with the RSA public key', (idp) => forged(idp, 'HS256'), 'invalid_key'],
    ['no signature', edited((t) => t.replace(/[^.]*$/, '')), 'invalid_key'],
    ['a bad signature', edited((t) => t.slice(0, -8) + (t.endsWith('AAAAAAAA') ? 'B' : 'A')
        .repeat(8)), 'invalid_key'],
    ['an unknown kid', header({ kid: 'nobody' }), 'invalid_key', UNKNOWN],
    ['a kid of 10 kB', header({ kid: 'k'.repeat(10000) }), 'invalid_request'],
    ['a kid that is a path', header({ kid: '../../etc/passwd' }), 'invalid_key', UNKNOWN],
    ['an alg that the key is not for', header({ alg: 'RS256' }), 'invalid_key'],
    ['a JWE', edited((t) => `${t}.AAAA.AAAA`), 'invalid_request'],
    ['the JSON serialization', edited((t) => {
        const [p, b, s] = t.split('.');
        return JSON.stringify({ protected: p, payload: b, signature: s });
    }), 'invalid_request'],
    ['four dots', edited((t) => `${t}..`), 'invalid_request'],
    ['two parts', edited((t) => t.split('.').slice(0, 2).join('.')), 'invalid_request'],
    ['nothing', () => '', 'invalid_request'],
    ['padding', edited((t) => `${t}=`), 'invalid_request'],
    ['a newline inside', edited((t) => `${t.slice(0, 30)}\n${t.slice(30)}`), 'invalid_request'],
    ['iss twice', text((t) => t.replace('{', '{"iss":"https://other.test",')), 'invalid_request'],
    ['an event URI twice', text((t) => t.replace('"events":{', `"events":{"${
        URI['patch:notice']}":{"attributes":["a"]},`)), 'invalid_request'],
    ['a payload that is no JSON', text((t) => t.slice(0, -1)), 'invalid_request'],
    ['a payload with a trailing comma', text((t) => `${t.slice(0, -1)},}`), 'invalid_request'],
    ['no events', claims({ events: {} }), 'invalid_request'],
    ['events as an array', claims({ events: [] }), 'invalid_request'],
    ['events as a string', claims({ events: 'x' }), 'invalid_request'],
    ['an event that is a string', claims({ events: { [URI.deactivate]: 'x' } }),
        'invalid_request'],
    ['no jti', claims({ jti: undefined }), 'invalid_request'],
    ['a numeric jti', claims({ jti: 7 }), 'invalid_request'],
    ['no iat', claims({ iat: undefined }), 'invalid_request'],
    ['iat as a string', claims({ iat: '1790000000' }), 'invalid_request'],
    ['iat with a fraction', claims({ iat: 1790000000.25 }), 202],
    ['iat far in the future', claims({ iat: 4102444800 }), 'invalid_request'],
    ['us second in aud', (idp) => claims({ aud: ['https://x.test', idp.audience] })(idp), 202],
    ['no aud', claims({ aud: undefined }), 'invalid_audience'],
    ['another aud', claims({ aud: 'https://x.test' }), 'invalid_audience'],
    ['iss with a trailing slash', (idp) => claims({ iss: `${idp.issuer}/` })(idp),
        'invalid_issuer'],
    ['no iss', claims({ iss: undefined }), 'invalid_request'],
    ['sub', claims({ sub: 'x' }), 'invalid_request'],
    ['exp', claims({ exp: 4102444800 }), 'invalid_request'],
    ['typ JWT', header({ typ: 'JWT' }), 'invalid_request'],
    ['no typ', header({ typ: undefined }), 'invalid_request'],
    ['typ with prefix and capitals', header({ typ: 'application/SECEVENT+JWT' }), 202],
    ['crit', header({ crit: ['x'], x: 1 }), 'invalid_request'],
    ['a key in the header', (idp) => header({ jwk: idp.keys.get('es256').jwk, kid: 'mine' })(idp),
        'invalid_key', UNKNOWN],
    ['no sub_id', claims({ sub_id: undefined }), 'invalid_request'],
    ['sub_id in the event only', claims({
        sub_id: undefined,
        events: { [URI.deactivate]: { sub_id: { format: 'scim', uri: AGENT } } },
    }), 'invalid_request'],
    ['sub_id without uri', subject({ format: 'scim' }), 'invalid_request'],
    ['uri with a host', uri('https://evil.test/Agents/1'), 'invalid_request'],
    ['uri //evil', uri('//evil.test/x'), 'invalid_request'],
    ['uri with ..%2f', uri('/Agents/..%2fUsers%2f1'), 'invalid_request'],
    ['uri with dots', uri('/Agents/../Users'), 'invalid_request'],
    ['uri with a query', uri('/Agents/1?x=1'), 'invalid_request'],
    ['uri with a fragment', uri('/Agents/1#x'), 'invalid_request'],
    ['uri with NUL', uri('/Agents/1\u0000'), 'invalid_request'],
    ['uri of a type that is not configured', uri('/Devices/1'), 'access_denied'],
    ['id against uri', subject({ format: 'scim', uri: AGENT, id: '2' }), 'invalid_request'],
    ['id as in uri', subject({ format: 'scim', uri: AGENT, id: '1' }), 202],
    ['data and attributes', payload('patch:notice', { attributes: ['a'], data: {} }),
        'invalid_request'],
    ['neither data nor attributes', payload('patch:notice', {}), 'invalid_request'],
    ['full with attributes', payload('patch:full', { attributes: ['a'] }), 'invalid_request'],
    ['notice with data', payload('put:notice', { data: {} }), 'invalid_request'],
    ['prov:delete:full, which does not exist', payload(`${URI.delete}:full`, {}), 202],
    ['a draft spelling', payload('urn:ietf:params:SCIM:event:prov:deactivate', {}), 202],
    ['an event nobody knows', payload('https://events.test/new', {}), 202],
    ['17 event URIs', claims({ events: manyEvents }), 'invalid_request'],
    ['asyncresp with a numeric status', payload('asyncresp', { method: 'PATCH', status: 200 }),
        202],
    ['asyncresp with {code}', payload('asyncresp', { method: 'PUT', status: { code: '200' } }),
        202],
    ['asyncresp: an error without response', payload('asyncresp',
        { method: 'PATCH', status: '409' }), 'invalid_request'],
    ['asyncresp: an error with response', payload('asyncresp',
        { method: 'PATCH', status: '409', response }), 202],
    ['a txn of a bulk request, index 0', claims({ txn: 'bulk:0' }), 202],
    ['a txn of a bulk request, index n', claims({ txn: 'bulk:7' }), 202],
    ['a UTF-8 BOM', text((t) => `\ufeff${t}`), 'invalid_request'],
    ['a lone surrogate', text((t) => t.replace('"txn":"', '"txn":"\\ud800')), 'invalid_request'],
    ['deep nesting', text((t) => t.replace('"events"', `"x":${'['.repeat(500)}${
        ']'.repeat(500)},"events"`)), 'invalid_request'],
    ['non-canonical base64', edited((t) => {
        const [h, p, s] = t.split('.');
        const last = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
        return [h, p, s.slice(0, -1) + last[last.indexOf(s.at(-1)) + 1]].join('.');
    }), 'invalid_request'],
    ['an unencoded header', (idp) => `{}.${b64u('{}')}.${idp.keys.size}`, 'invalid_request'],
];
