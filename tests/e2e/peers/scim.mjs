// SPDX-License-Identifier: Apache-2.0
// A SCIM 2.0 service provider (RFC 7644) for /Agents, /Users and /Groups, with
// ETags, projection and a set of faults that can be switched on.
import { AGENT_SCHEMA } from './events.mjs';
import { sendJson, TlsServer } from './http.mjs';
import { randomId } from './keys.mjs';
import { now, sleep } from './wait.mjs';

const SCHEMAS = {
    Agents: AGENT_SCHEMA,
    Users: 'urn:ietf:params:scim:schemas:core:2.0:User',
    Groups: 'urn:ietf:params:scim:schemas:core:2.0:Group',
};
const ALWAYS = ['schemas', 'id', 'meta'];
const TYPE = 'application/scim+json';

/** @typedef {{at: number, path: string, query: URLSearchParams, status?: number,
 *     etag?: string, conditional?: string}} ScimRead `at` is when it arrived;
 *     `status` and `etag` are there once it is answered */

export class Scim {
    bearer = `scim-${randomId()}`;
    /** @type {ScimRead[]} reads of resources, in the order of their arrival */
    reads = [];
    /** Reads that have arrived and are not answered yet. */
    inFlight = 0;
    /**
     * What goes wrong from now on; null is good behaviour.
     * {slow: ms}, {status, headers?}, {garbage: true}, {truncated: true},
     * {redirect: url}, {wrongId: true}, {stale: true} (a replica that stays at
     * the state of the moment this was set), {edit: (resource) => resource}.
     * `only: 'Agents/7'` limits it to one path (relative to the base).
     */
    #fault = null;
    #now = new Map();
    #replica = new Map();
    #server;

    /** @param {import('./ca.mjs').Ca} ca */
    constructor(ca, name = 'scim') {
        this.#server = new TlsServer(ca.server(name), (req, res) => {
            this.#serve(req, res).catch((e) => this.#error(res, 500, e.message));
        });
    }

    async start() {
        await this.#server.start();
        this.base = `${this.#server.origin}/scim/v2`;
        return this;
    }

    stop() { return this.#server.stop(); }

    /** Comes back on the same port after stop(). */
    restart() { return this.#server.start(); }

    get fault() { return this.#fault; }

    set fault(fault) {
        this.#fault = fault;
        if (fault?.stale) this.#replica = new Map(this.#now);
    }

    /**
     * Creates a resource or merges attributes into it; the version moves on.
     * @param {string} uri '/Agents/7'
     * @returns {string} the ETag now
     */
    put(uri, attributes) {
        const [, type, id] = uri.split('/');
        const old = this.#now.get(uri);
        const version = (old?.version ?? 0) + 1;
        const etag = `W/"${id}.${version}"`;
        const resource = {
            schemas: [SCHEMAS[type]], id, ...old?.resource, ...attributes,
            meta: {
                resourceType: type.slice(0, -1), version: etag, location: `${this.base}${uri}`,
                lastModified: new Date().toISOString(),
            },
        };
        this.#now.set(uri, { resource, version, etag });
        return etag;
    }

    remove(uri) { this.#now.delete(uri); }

    etag(uri) { return this.#now.get(uri)?.etag; }

    /** Reads of one resource. */
    readsOf(uri) { return this.reads.filter((r) => r.path === uri); }

    async #serve(req, res) {
        const url = new URL(req.url, this.base);
        const path = url.pathname.replace('/scim/v2', '');
        const fault = !this.#fault?.only || `/${this.#fault.only}` === path ? this.#fault : null;
        const read = {
            at: now(), path, query: url.searchParams, conditional: req.headers['if-none-match'],
        };
        res.on('finish', () => {
            Object.assign(read, { status: res.statusCode, etag: res.etag });
        });
        if (path !== '/ServiceProviderConfig') this.reads.push(read);
        this.inFlight++;
        res.on('close', () => { this.inFlight--; });
        if (fault?.slow) await sleep(fault.slow);
        this.#answer(req, res, url, path, fault ?? {});
    }

    #answer(req, res, url, path, fault) {
        if (fault.status) return this.#error(res, fault.status, 'fault', fault.headers);
        if (fault.redirect) {
            return this.#error(res, 308, 'moved', { location: fault.redirect + path });
        }
        if (req.headers.authorization !== `Bearer ${this.bearer}`) {
            return this.#error(res, 401, 'who are you?', { 'www-authenticate': 'Bearer' });
        }
        if (req.method !== 'GET') return this.#error(res, 501, 'this provider is only read');
        if (path === '/ServiceProviderConfig') return this.#send(res, 200, PROVIDER_CONFIG);
        const from = fault.stale ? this.#replica : this.#now;
        if (path.split('/').length === 2) return this.#list(res, url, path, from);
        return this.#get(req, res, url, from.get(path), fault);
    }

    #get(req, res, url, entry, fault) {
        if (!entry) return this.#error(res, 404, 'no such resource');
        if (fault.garbage) return res.writeHead(200, { 'content-type': TYPE }).end('<html>{');
        const condition = req.headers['if-none-match'];
        if (condition && !fault.edit && strong(condition) === strong(entry.etag)) {
            res.etag = entry.etag;
            return res.writeHead(304, { etag: entry.etag }).end();
        }
        let body = project(entry.resource, url.searchParams.get('attributes'));
        if (fault.wrongId) body = { ...body, id: 'somebody-else' };
        if (fault.edit) body = fault.edit(structuredClone(body));
        if (fault.truncated) return this.#truncate(res, body);
        return this.#send(res, 200, body, { etag: entry.etag });
    }

    /** Lists a type; understands `id eq "..."` joined by `or`, or no filter. */
    #list(res, url, path, from) {
        const filter = url.searchParams.get('filter');
        const ids = filter && [...filter.matchAll(/id eq "([^"]*)"/g)].map((m) => m[1]);
        const found = [...from.entries()]
            .filter(([uri, e]) => uri.startsWith(`${path}/`)
                && (!ids || ids.includes(e.resource.id)))
            .map(([, e]) => project(e.resource, url.searchParams.get('attributes')));
        const start = Number(url.searchParams.get('startIndex') ?? 1);
        const count = Number(url.searchParams.get('count') ?? 200);
        const page = found.slice(start - 1, start - 1 + count);
        this.#send(res, 200, {
            schemas: ['urn:ietf:params:scim:api:messages:2.0:ListResponse'],
            totalResults: found.length, startIndex: start, itemsPerPage: page.length,
            Resources: page,
        });
    }

    #send(res, status, body, headers = {}) {
        res.etag = headers.etag;
        sendJson(res, status, body, { 'content-type': TYPE, ...headers });
    }

    #error(res, status, detail, headers = {}) {
        this.#send(res, status, {
            schemas: ['urn:ietf:params:scim:api:messages:2.0:Error'],
            status: String(status), detail,
        }, headers);
    }

    #truncate(res, body) {
        const text = JSON.stringify(body);
        res.writeHead(200, { 'content-type': TYPE, 'content-length': text.length });
        res.write(text.slice(0, text.length / 2), () => res.destroy());
    }
}

const PROVIDER_CONFIG = {
    schemas: ['urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig'],
    patch: { supported: false }, bulk: { supported: false, maxOperations: 0, maxPayloadSize: 0 },
    filter: { supported: true, maxResults: 200 }, changePassword: { supported: false },
    sort: { supported: false }, etag: { supported: true },
    authenticationSchemes: [{
        type: 'oauthbearertoken', name: 'OAuth Bearer Token', description: 'RFC 6750',
    }],
    securityEvents: { asyncRequest: 'none', eventUris: [] },
};

/** RFC 9110 weak comparison ignores the prefix. */
const strong = (etag) => etag.replace(/^W\//, '');

/** RFC 7644 3.9: the listed attributes and those always returned. */
function project(resource, attributes) {
    if (!attributes) return resource;
    const wanted = attributes.split(',').map((a) => a.replace(/^urn:.*:/, '').split('.')[0]
        .toLowerCase());
    return Object.fromEntries(Object.entries(resource).filter(([name]) =>
        ALWAYS.includes(name) || wanted.includes(name.toLowerCase())));
}
