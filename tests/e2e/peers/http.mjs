// SPDX-License-Identifier: Apache-2.0
// HTTPS in both directions: a server frame for the peers, and clients for
// HTTP/1.1 and HTTP/2 that show an answer exactly as it came.
import http2 from 'node:http2';
import https from 'node:https';
import { listen, now } from './wait.mjs';

/**
 * An HTTPS server whose open connections are known, so that it can vanish like
 * a crashed one and come back on the same port.
 */
export class TlsServer {
    #sockets = new Set();
    #options;
    #handler;
    #server;

    /**
     * @param {import('./ca.mjs').Pair} pair
     * @param {(req, res) => void} handler
     * @param {object} more further TLS options
     */
    constructor(pair, handler, more = {}) {
        this.#options = { cert: pair.cert, key: pair.key, ...more };
        this.#handler = handler;
        this.port = 0;
    }

    get origin() { return `https://localhost:${this.port}`; }

    /** Listens; after a stop() on the port that it had. */
    async start(port = this.port) {
        this.#server = https.createServer(this.#options, this.#handler);
        this.#server.on('secureConnection', (s) => this.#keep(s));
        this.#server.on('connection', (s) => this.#keep(s));
        this.#server.on('tlsClientError', () => { /* the peer shows what it saw */ });
        this.port = await listen(this.#server, port);
        return this;
    }

    /** Closes the port and cuts every connection at once. */
    async stop() {
        const closed = new Promise((done) => { this.#server.close(done); });
        for (const s of this.#sockets) s.destroy();
        await closed;
    }

    #keep(socket) {
        this.#sockets.add(socket);
        socket.on('error', () => { /* cut by stop() or by the peer */ });
        socket.on('close', () => this.#sockets.delete(socket));
    }
}

/** Reads a request body as text. */
export async function bodyOf(stream) {
    const parts = [];
    for await (const part of stream) parts.push(part);
    return Buffer.concat(parts).toString('utf8');
}

/** Answers with JSON. */
export function sendJson(res, status, value, headers = {}) {
    const text = JSON.stringify(value);
    res.writeHead(status, {
        'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers,
    });
    res.end(text);
}

/**
 * @typedef {{status: number, headers: object, body: string, json: any, ms: number}} Answer
 * `json` is undefined when the body is not JSON.
 */

/**
 * One HTTP/1.1 request.
 * @returns {Promise<Answer>}
 */
export function request1(url, { method = 'GET', headers = {}, body, ca, cert, key, agent } = {}) {
    const start = now();
    return new Promise((done, fail) => {
        const req = https.request(url, { method, headers, ca, cert, key, agent }, async (res) => {
            try {
                done(answer(res.statusCode, res.headers, await bodyOf(res), start));
            } catch (e) {
                fail(e);
            }
        });
        req.on('error', fail);
        req.end(body);
    });
}

/** A kept HTTP/2 connection. `close` it when done. */
export class Http2Client {
    #session;

    constructor(origin, { ca, cert, key } = {}) {
        this.#session = http2.connect(origin, { ca, cert, key });
        this.#session.on('error', () => { /* each request reports its own */ });
    }

    /** @returns {Promise<Answer>} */
    request(path, { method = 'GET', headers = {}, body } = {}) {
        const start = now();
        return new Promise((done, fail) => {
            const stream = this.#session.request({ ':method': method, ':path': path, ...headers },
                { endStream: body === undefined });
            let head;
            stream.on('response', (h) => { head = h; });
            stream.on('error', fail);
            bodyOf(stream).then((text) => {
                if (head) done(answer(head[':status'], head, text, start));
                else fail(new Error('the stream ended without a response'));
            }, fail);
            if (body !== undefined) stream.end(body);
        });
    }

    close() { this.#session.destroy(); }
}

function answer(status, headers, body, start) {
    let json;
    try {
        json = JSON.parse(body);
    } catch { /* not JSON: json stays undefined */ }
    return { status, headers, body, json, ms: now() - start };
}
