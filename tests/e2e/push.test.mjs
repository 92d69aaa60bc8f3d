// SPDX-License-Identifier: Apache-2.0
// RFC 8935 from the transmitter's side: what each request is answered with.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { ask, known, tell, useWorld } from './peers/scenario.mjs';

describe('pushing', () => {
    const held = useWorld();

    for (const http2 of [false, true]) {
        const version = http2 ? 'HTTP/2' : 'HTTP/1.1';

        it(`accepts with 202 and an empty body over ${version} (8935-R3)`, async () => {
            const { w } = held;
            for (const key of ['es256', 'rs256']) {
                const { status, body, headers } = await w.idp.tell('patch:notice', '/Agents/1',
                    { http2, key });
                assert.equal(status, 202, body);
                assert.equal(body, '');
                assert.equal(headers['content-length'], '0');
            }
        });

        it(`refuses a bad SET with err, description, language over ${version} (8935-R4)`,
            async () => {
                const { w } = held;
                const { status, json, headers } = await w.idp.tell('deactivate', '/Agents/1',
                    { http2, claims: { aud: 'https://somebody.else' } });
                assert.equal(status, 400);
                assert.equal(json.err, 'invalid_audience');
                assert.equal(typeof json.description, 'string');
                assert.ok(json.description.length > 0);
                assert.match(headers['content-type'], /^application\/json/);
                assert.equal(headers['content-language'], 'en');
            });

        it(`asks for the bearer over ${version}`, async () => {
            const { w } = held;
            for (const auth of [null, 'Bearer wrong', 'Basic Og==', `bearer${w.pushBearer}`]) {
                const { status, headers } = await w.idp.tell('deactivate', '/Agents/1',
                    { http2, auth });
                assert.equal(status, 401, auth);
                assert.match(headers['www-authenticate'], /^Bearer/);
            }
        });

        it(`refuses wrong method, type and path over ${version} (8935-R20)`, async () => {
            const { w } = held;
            const set = await w.idp.mint('deactivate', '/Agents/1');
            const get = await w.idp.push('', { http2, method: 'GET' });
            assert.equal(get.status, 405);
            assert.equal(get.headers.allow, 'POST');
            const type = await w.idp.push(set, { http2, contentType: 'application/json' });
            assert.equal(type.status, 415);
            assert.equal((await w.idp.push(set, { http2, path: '/events/none' })).status, 404);
        });
    }

    it('refuses a body that is too large with 413', async () => {
        const { w } = held;
        for (const http2 of [false, true]) {
            for (const kib of [257, 300, 768]) {
                const { status } = await w.idp.push('a'.repeat(kib * 1024), { http2 });
                assert.equal(status, 413, `${kib} KiB, http2 ${http2}`);
            }
        }
    });

    it('accepts parameters of the media type and a chunked body (8935-R21)', async () => {
        const { w } = held;
        const set = await w.idp.mint('patch:notice', '/Agents/1');
        const more = { 'transfer-encoding': 'chunked' };
        const { status } = await w.idp.push(set, {
            contentType: 'application/secevent+jwt; charset=utf-8', headers: more,
        });
        assert.equal(status, 202);
    });

    it('refuses plain text on the TLS port and goes on', async () => {
        const { w } = held;
        const socket = connect(w.ports.push, '127.0.0.1');
        socket.on('error', () => { /* reset is as good as closed */ });
        socket.write('POST /events/hr HTTP/1.1\r\nHost: localhost\r\n\r\n');
        const parts = [];
        socket.on('data', (part) => parts.push(part));
        await new Promise((done) => { socket.on('close', done); });
        assert.doesNotMatch(Buffer.concat(parts).toString('latin1'), /^HTTP\/1.1 2/);
        await tell(w, 'patch:notice', '/Agents/1');
    });

    it('has not lost or invented anything meanwhile', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, '2');
        assert.equal(await ask(gate, '/Agents/2'), 'allow');
        await tell(w, 'deactivate', agent);
        assert.equal(await ask(gate, agent), 'agent_suspended');
    });
});
