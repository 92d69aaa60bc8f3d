// SPDX-License-Identifier: Apache-2.0
// A transmitter of security events: signs SETs, publishes its keys, pushes
// (RFC 8935) and serves polling (RFC 8936).
import { payloadOf, URI } from './events.mjs';
import { bodyOf, Http2Client, request1, sendJson, TlsServer } from './http.mjs';
import { randomId, SigningKey, signRaw, signSet } from './keys.mjs';
import { PollStream } from './poll_stream.mjs';
import { now } from './wait.mjs';

export class Idp {
    /** Keys in the JWKS, by the name a test uses for them. */
    keys = new Map();
    /** Reads of the JWKS: {at, headers}. */
    jwksReads = [];
    /** `{status}` or `{body}` instead of the key set; {} is good behaviour. */
    jwksFault = {};
    jwksMaxAge = 300;
    pollToken = `poll-${randomId()}`;
    /** Every push and its answer. */
    pushes = [];
    #streams = new Map();
    #server;
    #ca;
    #push = {};

    /** @param {import('./ca.mjs').Ca} ca */
    constructor(ca, name = 'idp') {
        this.#ca = ca;
        this.#server = new TlsServer(ca.server(name), (req, res) => {
            this.#serve(req, res).catch((e) => sendJson(res, 500, { error: e.message }));
        });
        for (const alg of ['ES256', 'RS256']) this.addKey(alg.toLowerCase(), alg);
    }

    async start() {
        await this.#server.start();
        this.issuer ??= this.#server.origin;
        this.jwksUrl = `${this.#server.origin}/jwks.json`;
        return this;
    }

    async stop() {
        this.#push.h2?.close();
        await this.#server.stop();
    }

    /** Comes back on the same port after stop(). */
    restart() { return this.#server.start(); }

    /** Publishes a new key under `name`; an old one of that name is dropped. */
    addKey(name, alg, kid = `${name}-${randomId(6)}`) {
        const key = new SigningKey(alg, kid);
        this.keys.set(name, key);
        return key;
    }

    /** @returns {PollStream} made at first use */
    stream(name) {
        if (!this.#streams.has(name)) this.#streams.set(name, new PollStream());
        return this.#streams.get(name);
    }

    pollUrl(name) { return `${this.#server.origin}/poll/${name}`; }

    /** Where push() sends: {url, audience, bearer?, cert?, key?}. */
    pushTo(target) {
        this.#push.h2?.close();
        this.#push = { ...target };
        this.audience = target.audience ?? this.audience;
    }

    /**
     * Claims of one SET. `event` is a name of events.mjs or a list of them; any
     * claim is replaced by `claims`, where undefined removes it.
     */
    claims(event, uri, { payload, claims = {} } = {}) {
        const events = Object.fromEntries([event].flat().map((name) =>
            [URI[name] ?? name, payload ?? payloadOf(name)]));
        const all = {
            iss: this.issuer, aud: this.audience, iat: Math.floor(Date.now() / 1000),
            jti: randomId(), txn: randomId(8), sub_id: { format: 'scim', uri }, events, ...claims,
        };
        return Object.fromEntries(Object.entries(all).filter(([, v]) => v !== undefined));
    }

    /**
     * Mints a SET. `key` names one of `keys` (or is a SigningKey), `header`
     * replaces header members.
     * @returns {Promise<{jti: string, claims: object, token: string}>}
     */
    async mint(event, uri, options = {}) {
        const claims = this.claims(event, uri, options);
        return { jti: claims.jti, claims, token: await this.sign(claims, options) };
    }

    /** Signs claims as they are. */
    sign(claims, { key = 'es256', header } = {}) {
        return signSet(this.keys.get(key) ?? key, claims, header);
    }

    /** Signs texts as they are; see signRaw(). */
    signText(headerText, payloadText, key = 'es256') {
        return signRaw(this.keys.get(key) ?? key, headerText, payloadText);
    }

    /**
     * Pushes a compact token (or what mint() gave).
     * @param {{http2?: boolean, method?: string, contentType?: string, auth?: string|null,
     *     headers?: object, path?: string}} how
     * @returns {Promise<import('./http.mjs').Answer>}
     */
    async push(set, how = {}) {
        const sentAt = now();
        const answer = await this.#deliver(set.token ?? set, how);
        this.pushes.push({ jti: set.jti, sentAt, answeredAt: now(), answer });
        return answer;
    }

    /** Mints and pushes; the answer carries the SET as `set`. */
    async tell(event, uri, options = {}) {
        const set = await this.mint(event, uri, options);
        return { ...await this.push(set, options), set };
    }

    /** Mints and queues for polling; returns the stream's item. */
    async offer(stream, event, uri, options = {}) {
        const set = await this.mint(event, uri, options);
        return this.stream(stream).queue(set.jti, set.token);
    }

    #deliver(body, how) {
        const to = this.#push;
        const url = new URL(how.path ?? to.url, to.url);
        const auth = how.auth === undefined ? to.bearer && `Bearer ${to.bearer}` : how.auth;
        const method = how.method ?? 'POST';
        const headers = {
            accept: 'application/json',
            'content-type': how.contentType ?? 'application/secevent+jwt',
            ...(auth ? { authorization: auth } : {}), ...how.headers,
        };
        const tls = { ca: this.#ca.pem, cert: to.cert, key: to.key };
        if (!how.http2) return request1(url, { method, headers, body, ...tls });
        to.h2 ??= new Http2Client(url.origin, tls);
        return to.h2.request(url.pathname, { method, headers, body });
    }

    async #serve(req, res) {
        const { pathname } = new URL(req.url, this.issuer);
        if (pathname === '/jwks.json') this.#serveKeys(req, res);
        else if (pathname.startsWith('/poll/')) await this.#servePoll(req, res, pathname.slice(6));
        else sendJson(res, 404, { error: 'not found' });
    }

    #serveKeys(req, res) {
        this.jwksReads.push({ at: now(), headers: req.headers });
        const { status = 200, body } = this.jwksFault;
        const keys = body ?? { keys: [...this.keys.values()].map((k) => k.jwk) };
        sendJson(res, status, keys, { 'cache-control': `max-age=${this.jwksMaxAge}` });
    }

    async #servePoll(req, res, name) {
        const stream = this.stream(name);
        const body = await bodyOf(req);
        if (stream.fault.status) return sendJson(res, stream.fault.status, {});
        if (req.method !== 'POST') return sendJson(res, 405, {});
        if (req.headers.authorization !== `Bearer ${this.pollToken}`) {
            return sendJson(res, 401, {}, { 'www-authenticate': 'Bearer' });
        }
        const gone = new AbortController();
        res.on('close', () => gone.abort());
        const answer = await stream.poll(JSON.parse(body), req.headers, gone.signal);
        return answer && sendJson(res, 200, answer);
    }
}
