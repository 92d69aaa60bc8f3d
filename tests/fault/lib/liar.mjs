// SPDX-License-Identifier: Apache-2.0
// A TLS server whose every answer is a byte sequence of the test's choosing: it
// stands in for the SCIM server, the authorization server, the key server and a
// transmitter that is polled.
import tls from 'node:tls';
import { gzipSync } from 'node:zlib';
import { listen, sleep } from '../../e2e/peers/wait.mjs';

const head = (status, headers) => `HTTP/1.1 ${status}\r\n${Object.entries(headers)
    .map(([n, v]) => `${n}: ${v}\r\n`).join('')}\r\n`;
const JSON_TYPE = { 'content-type': 'application/json' };
const ACTIVE = JSON.stringify({ id: 'x', active: true, pad: 'x'.repeat(1 << 16) });
const bomb = gzipSync(Buffer.alloc(200 << 20, 0x20), { level: 9 });

/** Writes `chunk` again and again until the peer or the test has had enough. */
async function forever(socket, chunk, waitMs = 0) {
    while (!socket.destroyed) {
        if (!socket.write(chunk)) await new Promise((done) => {
            socket.once('drain', done).once('close', done);
        });
        await sleep(waitMs);
    }
}

/** [what it is, (socket) => ...]: answers that must never count as one. */
export const LIES = [
    ['silence', () => {}],
    ['a cut before the first byte', (s) => s.destroy()],
    ['a reset in the head', (s) => { s.write('HTTP/1.1 20'); s.destroy(); }],
    ['half an answer', (s) => { s.write(head('200 OK', { ...JSON_TYPE, 'content-length': 9999 }));
        s.end('{"active":tr'); }],
    ['a head without end', (s) => forever(s, `x-${'a'.repeat(60)}: 1\r\n`)],
    ['one byte a second', (s) => { s.write('HTTP/1.1 200 OK\r\n');
        return forever(s, 'a', 1000); }],
    ['a body without end', (s) => { s.write(head('200 OK', { ...JSON_TYPE,
        'transfer-encoding': 'chunked' })); return forever(s, `10000\r\n${ACTIVE.slice(0, 65536)}\r\n`); }],
    ['a length of 1 TB', (s) => { s.write(head('200 OK', { ...JSON_TYPE,
        'content-length': 1e12 })); return forever(s, ACTIVE); }],
    ['a gzip bomb', (s) => { s.write(head('200 OK', { ...JSON_TYPE, 'content-encoding': 'gzip',
        'content-length': bomb.length })); s.end(bomb); }],
    ['a page of HTML', (s) => { s.write(head('200 OK', { 'content-type': 'text/html',
        'content-length': 9 })); s.end('<h1>hi<h1'); }],
    ['garbage', (s) => s.end(Buffer.alloc(4096, 0xa5))],
    ['HTTP/2 without being asked', (s) => s.end(Buffer.from('000006040000000000', 'hex'))],
    ['100 times 100 Continue', (s) => s.end('HTTP/1.1 100 Continue\r\n\r\n'.repeat(100))],
    ['a redirect to itself', (s, origin) => s.end(head('307 Temporary Redirect',
        { location: `${origin}/again`, 'content-length': 0 }))],
    ['a redirect to plain http', (s) => s.end(head('302 Found',
        { location: 'http://127.0.0.1:1/', 'content-length': 0 }))],
    ['a redirect to a file', (s) => s.end(head('302 Found',
        { location: 'file:///etc/passwd', 'content-length': 0 }))],
    ['another protocol', (s) => s.end(head('101 Switching Protocols',
        { upgrade: 'websocket', connection: 'upgrade' }))],
];

export class Liar {
    /**
     * What happens to a connection that has sent something: (socket, origin, what
     * it has sent) => ...; null: nothing.
     */
    lie = null;
    /** Connections so far. */
    asked = 0;
    #sockets = new Set();
    #server;

    constructor(ca, name) {
        const { cert, key } = ca.server(name);
        this.#server = tls.createServer({ cert, key }, (s) => this.#serve(s));
        this.#server.on('tlsClientError', () => { /* the peer went away */ });
    }

    async start() {
        this.origin = `https://localhost:${await listen(this.#server)}`;
        return this;
    }

    stop() {
        this.#server.close();
        for (const s of this.#sockets) s.destroy();
    }

    #serve(s) {
        this.#sockets.add(s);
        s.on('error', () => { /* cut */ }).on('close', () => this.#sockets.delete(s));
        s.once('data', (bytes) => {
            this.asked++;
            this.lie?.(s, this.origin, bytes.toString('latin1'));
        });
    }
}
