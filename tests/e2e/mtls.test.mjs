// SPDX-License-Identifier: Apache-2.0
// Who is at the other end of a TLS connection: transmitters and callers that
// are known by their certificate.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { connect } from 'node:tls';
import { Ca, fingerprint } from './peers/ca.mjs';
import { call, GRPC, Runtime, tls } from './peers/runtime.mjs';
import { ask, known, tell, useWorld } from './peers/scenario.mjs';
import { freePort } from './peers/wait.mjs';
import { AUDIENCE } from './peers/world.mjs';

const HR = 'spiffe://corp.test/transmitter/hr';
const IT = 'spiffe://corp.test/transmitter/it';
const AUDIENCE_IT = 'https://bailiff.test/streams/it';

/** Certificates for senders: right ones, wrong ones, one of another authority. */
function senders(w) {
    const elsewhere = new Ca(join(w.dir, 'other-ca'));
    const two = `URI:${HR},URI:${IT}`;
    return {
        hr: w.ca.client('hr', HR), it: w.ca.client('it', IT),
        renewed: w.ca.client('it-renewed', IT),
        prefix: w.ca.client('prefix', `${HR}/more`),
        two: w.ca.issue('two', two, 'clientAuth'),
        named: w.ca.issue('named', 'DNS:corp.test', 'clientAuth'),
        forged: elsewhere.client('forged', HR),
    };
}

describe('transmitters known by their certificate', () => {
    let certs;
    let strictPort;
    const held = useWorld({
        configure: async (c, w) => {
            certs = senders(w);
            strictPort = await freePort();
            const [listen] = c.listen.push;
            listen.tls.client_ca = w.ca.file;
            c.listen.push.push({
                address: `127.0.0.1:${strictPort}`, tls: { ...listen.tls, client_required: true },
            });
            const [hr] = c.feeds;
            const it = structuredClone({ ...hr, poll: undefined });
            hr.push = { path: '/events/hr', spiffe_id: HR };
            it.push = { path: '/events/it', cert_sha256: fingerprint(certs.it.cert) };
            Object.assign(it, { name: 'it', audience: [AUDIENCE_IT] });
            c.feeds.push(it);
            return c;
        },
    });

    /** Pushes to a feed with the certificate `pair`, or with none. */
    function push(feed, pair, { port = held.w.ports.push, ...how } = {}) {
        const { w } = held;
        w.idp.pushTo({
            url: `https://localhost:${port}/events/${feed}`,
            audience: feed === 'hr' ? AUDIENCE : AUDIENCE_IT, cert: pair?.cert, key: pair?.key,
        });
        return w.idp.tell('patch:notice', '/Agents/1', how);
    }

    for (const http2 of [false, true]) {
        const version = http2 ? 'HTTP/2' : 'HTTP/1.1';

        it(`the SPIFFE ID or the fingerprint lets a sender in over ${version}`, async () => {
            for (const feed of ['hr', 'it']) {
                const { status, body } = await push(feed, certs[feed], { http2 });
                assert.equal(status, 202, `${feed}: ${body}`);
            }
        });

        it(`any other certificate, or none, gets 401 over ${version}`, async () => {
            const wrong = {
                hr: ['it', 'prefix', 'two', 'named', 'none'],
                it: ['hr', 'renewed', 'two', 'named', 'none'],
            };
            for (const [feed, names] of Object.entries(wrong)) {
                for (const name of names) {
                    const { status, headers } = await push(feed, certs[name], { http2 });
                    assert.equal(status, 401, `${name} for ${feed}`);
                    assert.ok(headers['www-authenticate'], name);
                }
            }
        });

        it(`a bearer does not replace the certificate over ${version}`, async () => {
            for (const auth of [`Bearer ${held.w.pushBearer}`, 'Bearer wrong']) {
                assert.equal((await push('hr', undefined, { http2, auth })).status, 401);
            }
        });

        it(`another authority is not believed over ${version}`, async () => {
            await assert.rejects(push('hr', certs.forged, { http2 }));
        });

        it(`client_required: without a certificate no HTTP at all over ${version}`, async () => {
            await assert.rejects(push('hr', undefined, { http2, port: strictPort }));
            assert.equal((await push('hr', certs.hr, { http2, port: strictPort })).status, 202);
            assert.equal((await push('hr', certs.it, { http2, port: strictPort })).status, 401);
        });
    }

    /**
     * Announces a body of `length` bytes, sends `first` of them and `more` when
     * the answer has begun; resolves with all that came until the end.
     */
    function oversized(length, first, more) {
        const { w } = held;
        const { cert, key } = certs.hr;
        const socket = connect({ host: 'localhost', port: w.ports.push, ca: w.ca.pem, cert, key });
        let text = '';
        socket.write(`POST /events/hr HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${length}\r\n`
            + 'Content-Type: application/secevent+jwt\r\n\r\n');
        if (first > 0) socket.write('a'.repeat(first));
        socket.on('data', (part) => {
            if (text === '' && more > 0) socket.write('a'.repeat(more));
            text += part;
        });
        return new Promise((done, fail) => {
            socket.on('end', () => { socket.end(); done(text); });
            socket.on('error', fail);
        });
    }

    it('413 over HTTP/1.1 reaches a sender that is still writing', async () => {
        const large = 300 * 1024;
        for (const [first, more] of [[0, 0], [1024, 0], [32768, 16384], [0, 49152]]) {
            const text = await oversized(large, first, more);
            assert.match(text, /^HTTP\/1\.1 413 /, `${first} and ${more} bytes`);
            assert.match(text, /\r\nconnection: close\r\n/i);
        }
        assert.equal((await push('hr', certs.hr)).status, 202);
    });
});

describe('callers known by their SPIFFE ID', () => {
    const MINE = 'spiffe://corp.test/runtime/a';
    let certs;
    const held = useWorld({
        configure: (c, w) => {
            certs = {
                server: w.ca.server('gate'), mine: w.ca.client('runtime-a', MINE),
                printed: w.ca.client('printed', 'spiffe://corp.test/runtime/p'),
                stranger: w.ca.client('stranger', `${MINE}b`),
                forged: new Ca(join(w.dir, 'other-ca')).client('forged', MINE),
            };
            c.listen.gate[1].tls = {
                cert: certs.server.certFile, key: certs.server.keyFile, client_ca: w.ca.file,
            };
            c.callers = [
                { name: 'runtime-a', role: 'runtime', spiffe_id: MINE, agents: ['/Agents/a-*'] },
                {
                    name: 'runtime-p', role: 'runtime', agents: ['/Agents/p-*'],
                    cert_sha256: fingerprint(certs.printed.cert),
                },
            ];
            return c;
        },
    });
    const address = () => `localhost:${held.w.ports.gate}`;
    const over = (name) => held.w.gate(address(), tls(held.w.ca.pem, certs[name]));
    const refused = (work, ...codes) => assert.rejects(work, (e) => {
        assert.ok(codes.includes(GRPC[e.code]), `${GRPC[e.code]}: ${e.details}`);
        return true;
    });

    it('each may ask for its own agents', async () => {
        const { w } = held;
        w.agent('a-1');
        w.agent('p-1');
        assert.equal(await ask(over('mine'), '/Agents/a-1'), 'allow');
        assert.equal(await ask(over('printed'), '/Agents/p-1'), 'allow');
    });

    it('and for no others', async () => {
        for (const [name, agent] of [['mine', '/Agents/p-1'], ['printed', '/Agents/a-1']]) {
            assert.equal(await ask(over(name), agent), 'caller_not_allowed', name);
        }
    });

    it('an unknown SPIFFE ID and no certificate are UNAUTHENTICATED on every method', async () => {
        for (const name of ['stranger', 'none']) {
            const gate = over(name);
            await refused(gate.check('/Agents/a-1', 't'), 'UNAUTHENTICATED');
            await refused(gate.begin('/Agents/a-1', 't'), 'UNAUTHENTICATED');
            await refused(gate.renew('lease'), 'UNAUTHENTICATED');
            await refused(gate.end('lease'), 'UNAUTHENTICATED');
            await refused(gate.register('/Agents/a-1', 'token', { issuer: 'x' }),
                'UNAUTHENTICATED');
            await refused(call(gate.stub, 'Ack', { runtime: 'x', ack: {} }), 'UNAUTHENTICATED');
            const runtime = new Runtime(address(), name, tls(held.w.ca.pem, certs[name]));
            await refused(runtime.watch(), 'UNAUTHENTICATED');
            runtime.close();
        }
    });

    it('a certificate of another authority does not connect', async () => {
        await refused(over('forged').check('/Agents/a-1', 't', {}, { deadlineMs: 2000 }),
            'UNAVAILABLE', 'DEADLINE_EXCEEDED');
    });

    it('a runtime over TLS watches, is stopped and confirms', async () => {
        const { w } = held;
        const runtime = new Runtime(address(), 'runtime-a', tls(w.ca.pem, certs.mine));
        w.adopt(() => runtime.close());
        await runtime.watch();
        const agent = await known(w, runtime.gate, 'a-2');
        const { call: running } = await runtime.begin(agent, 'deploy');
        await tell(w, 'deactivate', agent);
        assert.equal(await running.ended, 'OUTCOME_CANCELLED');
    });
});
