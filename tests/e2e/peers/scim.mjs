// SPDX-License-Identifier: Apache-2.0
// A SCIM 2.0 service provider (RFC 7644) for /Agents, /Users and /Groups, with
// ETags, projection and a set of faults that can be switched on.
import { AGENT_SCHEMA } from './events.mjs';
import { bodyOf, sendJson, TlsServer } from './http.mjs';
import { randomId } from './keys.mjs';
import { now, sleep } from './wait.mjs';

const SCHEMAS = {
    Agents: AGENT_SCHEMA,
    Users: 'urn:ietf:params:scim:schemas:core:2.0:User',
    Groups: 'urn:ietf:params:scim:schemas:core:2.0:Group',
};
const ALWAYS = ['schemas', 'id', 'meta'];
const TYPE = 'application/scim+json';
const MESSAGES = 'urn:ietf:params:scim:api:messages:2.0';

/** @typedef {{at: number, path: string, query: URLSearchParams, status?: number,
 *     etag?: string, conditional?: string, ids?: string[]}} ScimRead `at` is when
 *     it arrived; `status` and `etag` are there once it is answered; `ids` are those
 *     that a query asked for */

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
     * the state of the moment this was set), {edit: (resource) => resource} (of a
     * query: its ListResponse).
     * `only: 'Agents/7'` limits it to one path (relative to the base);
     * 'Agents/.search' is the query for many.
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
        await this.#answer(req, res, url, path, fault ?? {}, read);
    }

    #answer(req, res, url, path, fault, read) {
        if (fault.status) return this.#error(res, fault.status, 'fault', fault.headers);
        if (fault.redirect) {
            return this.#error(res, 308, 'moved', { location: fault.redirect + path });
        }
        if (req.headers.authorization !== `Bearer ${this.bearer}`) {
            return this.#error(res, 401, 'who are you?', { 'www-authenticate': 'Bearer' });
        }
        const from = fault.stale ? this.#replica : this.#now;
        if (req.method === 'POST' && path.endsWith('/.search')) {
            return this.#search(req, res, path, from, fault, read);
        }
        if (req.method !== 'GET') return this.#error(res, 501, 'this provider is only read');
        if (path === '/ServiceProviderConfig') return this.#send(res, 200, PROVIDER_CONFIG);
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

    /** A query without URL parameters (RFC 7644 3.4.3). */
    async #search(req, res, path, from, fault, read) {
        const asked = JSON.parse(await bodyOf(req));
        if (!asked.schemas?.includes(`${MESSAGES}:SearchRequest`)) {
            return this.#error(res, 400, 'not a SearchRequest');
        }
        read.ids = idsOf(asked.filter);
        const list = listOf(from, path.replace(/\/\.search$/, ''), read.ids,
            asked.attributes?.join(','), asked.startIndex, asked.count);
        if (fault.garbage) return res.writeHead(200, { 'content-type': TYPE }).end('<html>{');
        if (fault.truncated) return this.#truncate(res, list);
        return this.#send(res, 200, fault.edit ? fault.edit(structuredClone(list)) : list);
    }

    #list(res, url, path, from) {
        const filter = url.searchParams.get('filter');
        this.#send(res, 200, listOf(from, path, filter && idsOf(filter),
            url.searchParams.get('attributes'),
            Number(url.searchParams.get('startIndex') ?? 1),
            Number(url.searchParams.get('count') ?? 200)));
    }

    #send(res, status, body, headers = {}) {
        res.etag = headers.etag;
        sendJson(res, status, body, { 'content-type': TYPE, ...headers });
    }

    #error(res, status, detail, headers = {}) {
        this.#send(res, status, {
            schemas: [`${MESSAGES}:Error`],
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

/** Understands `id eq "..."` joined by `or`. */
const idsOf = (filter) => [...filter.matchAll(/id eq "([^"]*)"/g)].map((m) => m[1]);

/** A page of the resources of a type: those of these ids, or all. */
function listOf(from, path, ids, attributes, start = 1, count = 200) {
    const found = ids
        ? ids.map((id) => from.get(`${path}/${id}`)).filter((e) => e)
        : [...from.entries()].filter(([uri]) => uri.startsWith(`${path}/`)).map(([, e]) => e);
    const page = found.slice(start - 1, start - 1 + count)
        .map((e) => project(e.resource, attributes));
    return {
        schemas: [`${MESSAGES}:ListResponse`],
        totalResults: found.length, startIndex: start, itemsPerPage: page.length,
        Resources: page,
    };
}

/** RFC 7644 3.9: the listed attributes and those always returned. */
function project(resource, attributes) {
    if (!attributes) return resource;
    const wanted = attributes.split(',').map((a) => a.replace(/^urn:.*:/, '').split('.')[0]
        .toLowerCase());
    return Object.fromEntries(Object.entries(resource).filter(([name]) =>
        ALWAYS.includes(name) || wanted.includes(name.toLowerCase())));
}
