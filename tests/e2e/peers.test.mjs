// SPDX-License-Identifier: Apache-2.0
// The peers themselves, tested against each other and against other
// implementations (jose, openssl), so that a failing test of bailiff is not a
// fault of its world.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import grpc from '@grpc/grpc-js';
import { compactVerify, createLocalJWKSet, decodeProtectedHeader } from 'jose';
import { AuthServer } from './peers/as.mjs';
import { Ca } from './peers/ca.mjs';
import { CAEP_EVENTS, RISC_EVENTS, SCIM_EVENTS } from './peers/events.mjs';
import { bodyOf, request1, TlsServer } from './peers/http.mjs';
import { Idp } from './peers/idp.mjs';
import { SigningKey, signRaw } from './peers/keys.mjs';
import { python } from './peers/python.mjs';
import { call, GateClient, insecure, protos, Runtime, RuntimeServer, ToolCall }
    from './peers/runtime.mjs';
import { Scim } from './peers/scim.mjs';
import { now, sleep, timed, until } from './peers/wait.mjs';
import { toYaml } from './peers/yaml.mjs';

let dir;
let ca;
before(() => {
    dir = mkdtempSync(join(tmpdir(), 'peers-'));
    ca = new Ca(join(dir, 'ca'));
});
after(() => rmSync(dir, { recursive: true, force: true }));

describe('the transmitter', () => {
    let idp;
    before(async () => { idp = await new Idp(ca).start(); });
    after(() => idp.stop());

    const jwks = async () => (await request1(idp.jwksUrl, { ca: ca.pem })).json;

    it('signs every event so that jose verifies it with the published keys', async () => {
        for (const alg of ['PS256', 'EdDSA', 'ES384']) idp.addKey(alg.toLowerCase(), alg);
        const keys = createLocalJWKSet(await jwks());
        const names = [...SCIM_EVENTS, ...CAEP_EVENTS, ...RISC_EVENTS, 'verification'];
        assert.equal(SCIM_EVENTS.length, 12);
        for (const key of ['es256', 'rs256', 'ps256', 'eddsa', 'es384']) {
            for (const name of names) {
                const { token } = await idp.mint(name, '/Agents/7', { key });
                const { protectedHeader } = await compactVerify(token, keys);
                assert.equal(protectedHeader.typ, 'secevent+jwt');
            }
        }
    });

    it('signs raw texts validly, so that only the text is at fault', async () => {
        for (const [name, key] of idp.keys) {
            const token = idp.signText(JSON.stringify({ alg: key.alg, kid: key.kid }),
                '{"iss":"a","iss":"b"}', name);
            await compactVerify(token, createLocalJWKSet(await jwks()));
        }
    });

    it('makes hostile tokens: none, and HMAC with a public key', () => {
        const none = signRaw(null, '{"alg":"none"}', '{}');
        assert.match(none, /\.$/);
        const hmac = signRaw({ hmac: idp.keys.get('rs256').publicPem }, '{"alg":"HS256"}', '{}');
        assert.equal(decodeProtectedHeader(hmac).alg, 'HS256');
    });

    it('rotates keys', async () => {
        const old = idp.keys.get('es256').kid;
        idp.addKey('es256', 'ES256');
        const kids = (await jwks()).keys.map((k) => k.kid);
        assert.ok(!kids.includes(old));
        assert.ok(kids.includes(idp.keys.get('es256').kid));
    });

    it('lets any claim be replaced or removed', async () => {
        const claims = idp.claims('delete', '/Agents/7', { claims: { jti: 7, iat: undefined } });
        assert.equal(claims.jti, 7);
        assert.ok(!('iat' in claims));
    });

    it('pushes over HTTP/1.1 and records the answer', async () => {
        const seen = [];
        const receiver = await new TlsServer(ca.server('receiver'), async (req, res) => {
            seen.push({ headers: req.headers, body: await bodyOf(req) });
            res.writeHead(202).end();
        }).start();
        idp.pushTo({ url: `${receiver.origin}/events`, bearer: 'b', audience: 'aud' });
        const answer = await idp.tell('deactivate', '/Agents/7');
        assert.equal(answer.status, 202);
        assert.equal(seen[0].body, answer.set.token);
        assert.equal(seen[0].headers['content-type'], 'application/secevent+jwt');
        assert.equal(seen[0].headers.authorization, 'Bearer b');
        assert.equal(idp.pushes.at(-1).answer.status, 202);
        await receiver.stop();
    });

    describe('serving RFC 8936', () => {
        const poll = (body, more = {}) => request1(idp.pollUrl('s'), {
            method: 'POST', ca: ca.pem, body: JSON.stringify(body), agent: more.agent,
            headers: { authorization: `Bearer ${idp.pollToken}`, ...more.headers },
        });

        it('answers a long poll the moment something is there', async () => {
            setTimeout(() => { idp.offer('s', 'deactivate', '/Agents/1'); }, 100);
            const [answer, ms] = await timed(() => poll({}));
            const [jti] = Object.keys(answer.json.sets);
            assert.equal(idp.stream('s').items.get(jti).token, answer.json.sets[jti]);
            assert.ok(ms >= 90 && ms < 1000, `took ${ms}`);
            await poll({ ack: [jti], maxEvents: 0, returnImmediately: true });
            assert.deepEqual(idp.stream('s').acked.map((i) => i.jti), [jti]);
        });

        it('gives at most maxEvents, says there is more, redelivers, records errors', async () => {
            const stream = idp.stream('s');
            stream.redeliverMs = 50;
            for (let i = 0; i < 3; i++) await idp.offer('s', 'delete', `/Agents/${i}`);
            const first = await poll({ maxEvents: 2, returnImmediately: true });
            assert.equal(Object.keys(first.json.sets).length, 2);
            assert.equal(first.json.moreAvailable, true);
            await sleep(60);
            const again = await poll({ returnImmediately: true });
            assert.equal(Object.keys(again.json.sets).length, 3);
            const [bad, ...good] = Object.keys(again.json.sets);
            await poll({
                ack: good, setErrs: { [bad]: { err: 'invalid_key', description: 'x' } },
                maxEvents: 0, returnImmediately: true,
            }, { headers: { 'content-language': 'en' } });
            assert.equal(stream.open.length, 0);
            assert.deepEqual(stream.refused.map((i) => [i.jti, i.err.err, i.language]),
                [[bad, 'invalid_key', 'en']]);
        });

        it('asks for the bearer and survives a peer that leaves', async () => {
            assert.equal((await poll({}, { headers: { authorization: 'Bearer no' } })).status, 401);
            const agent = new Agent({ keepAlive: true });
            const leaving = poll({}, { agent });
            await sleep(50);
            agent.destroy();
            await assert.rejects(leaving);
            const item = await idp.offer('s', 'delete', '/Agents/9');
            await sleep(50);
            assert.equal(item.deliveries.length, 0, 'given to nobody');
            const { json } = await poll({});
            assert.ok(json.sets[item.jti]);
        });
    });

    it('vanishes and comes back on the same port', async () => {
        await idp.stop();
        await assert.rejects(jwks());
        await idp.restart();
        assert.ok((await jwks()).keys.length > 0);
    });
});

describe('the SCIM provider', () => {
    let scim;
    const get = (path, headers = {}) => request1(scim.base + path, {
        ca: ca.pem, headers: { authorization: `Bearer ${scim.bearer}`, ...headers },
    });
    before(async () => {
        scim = await new Scim(ca).start();
        scim.put('/Agents/7', { active: true, roles: [{ value: 'r' }] });
    });
    after(() => scim.stop());

    it('answers with ETag, projection, 304, 404 and 401, and records each read', async () => {
        const full = await get('/Agents/7');
        assert.equal(full.json.roles[0].value, 'r');
        assert.equal(full.headers.etag, full.json.meta.version);
        const some = await get('/Agents/7?attributes=active');
        assert.deepEqual(Object.keys(some.json).sort(), ['active', 'id', 'meta', 'schemas']);
        const etag = full.headers.etag.replace('W/', '');
        assert.equal((await get('/Agents/7', { 'if-none-match': etag })).status, 304);
        assert.equal((await get('/Agents/8')).status, 404);
        assert.equal((await get('/Agents/7', { authorization: 'Bearer x' })).status, 401);
        assert.deepEqual(scim.readsOf('/Agents/7').map((r) => r.status), [200, 200, 304, 401]);
    });

    it('lists with a filter', async () => {
        scim.put('/Agents/8', { active: false });
        const filter = encodeURIComponent('id eq "8" or id eq "nobody"');
        const { json } = await get(`/Agents?filter=${filter}`);
        assert.equal(json.totalResults, 1);
        assert.equal(json.Resources[0].id, '8');
    });

    it('a stale replica keeps the old version and ETag', async () => {
        scim.fault = { stale: true };
        const old = scim.etag('/Agents/7');
        scim.put('/Agents/7', { active: false });
        const stale = await get('/Agents/7');
        assert.equal(stale.json.active, true);
        assert.equal(stale.headers.etag, old);
        scim.fault = null;
        assert.equal((await get('/Agents/7')).json.active, false);
    });

    it('shows each fault', async () => {
        const faults = [
            [{ status: 429, headers: { 'retry-after': '1' } },
                (a) => a.status === 429 && a.headers['retry-after'] === '1'],
            [{ garbage: true }, (a) => a.status === 200 && a.json === undefined],
            [{ redirect: 'https://elsewhere.test' }, (a) => a.status === 308],
            [{ wrongId: true }, (a) => a.json.id === 'somebody-else'],
            [{ edit: (r) => ({ ...r, active: 'true' }) }, (a) => a.json.active === 'true'],
            [{ slow: 60 }, (a) => a.ms >= 55],
            [{ status: 403, only: 'Agents/8' }, (a) => a.status === 200],
        ];
        for (const [fault, holds] of faults) {
            scim.fault = fault;
            assert.ok(holds(await get('/Agents/7')), JSON.stringify(fault));
        }
        scim.fault = { truncated: true };
        await assert.rejects(get('/Agents/7'));
        scim.fault = null;
    });
});

describe('the authorization server', () => {
    let as;
    before(async () => { as = await new AuthServer(ca).start(); });
    after(() => as.stop());

    const revoke = (token, headers, more = {}) => request1(as.revocationUrl, {
        method: 'POST', ca: ca.pem, body: new URLSearchParams({ token, ...more }).toString(),
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    });
    const basic = () => ({
        authorization: `Basic ${Buffer.from(`bailiff:${as.clients.bailiff}`).toString('base64')}`,
    });

    it('revokes for a client with a secret; introspection then says inactive', async () => {
        const token = await as.token();
        assert.equal(await as.isActive(token), true);
        assert.equal((await revoke(token, basic())).status, 200);
        assert.equal(await as.isActive(token), false);
        assert.equal((await revoke(token, basic())).status, 200);
        assert.equal(as.revocations.length, 2);
    });

    it('revokes for a client with a signed assertion, once per jti', async () => {
        const token = await as.token();
        const { privateKey, kid } = as.assertionKey;
        const { SignJWT } = await import('jose');
        const assertion = await new SignJWT({ jti: 'a1' })
            .setProtectedHeader({ alg: 'ES256', kid }).setIssuer('bailiff-jwt')
            .setSubject('bailiff-jwt').setAudience(as.issuer).setIssuedAt()
            .setExpirationTime('1m').sign(privateKey);
        const how = {
            client_id: 'bailiff-jwt', client_assertion: assertion,
            client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        };
        assert.equal((await revoke(token, {}, how)).status, 200);
        assert.equal(await as.isActive(token), false);
        assert.equal((await revoke(token, {}, how)).status, 401);
    });

    it('refuses a wrong secret and shows a fault', async () => {
        const wrong = { authorization: `Basic ${Buffer.from('bailiff:no').toString('base64')}` };
        assert.equal((await revoke('x', wrong)).status, 401);
        as.revocationFault = { status: 503, headers: { 'retry-after': '1' } };
        assert.equal((await revoke('x', basic())).status, 503);
        as.revocationFault = null;
    });
});

describe('the runtime', () => {
    /** A gate that allows, and sends one cancel for each begun call. */
    async function scriptedGate() {
        const acks = [];
        let watch;
        const server = new grpc.Server();
        server.addService(protos.bailiff.v1.AgentGate.service, {
            BeginToolCall: (c, reply) => reply(null,
                { decision: 'DECISION_ALLOW', lease_id: `l-${c.request.call_id}` }),
            Watch: (stream) => {
                watch = stream;
                stream.on('data', (m) => {
                    if (m.kind === 'hello') stream.write({ snapshot_end: { epoch: '5' } });
                    if (m.kind === 'ack') acks.push(m.ack);
                });
                stream.on('error', () => { /* the runtime left */ });
            },
        });
        const port = await new Promise((done, fail) => {
            server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(),
                (e, p) => (e ? fail(e) : done(p)));
        });
        return { server, port, acks, send: (directive) => watch.write({ directive }) };
    }

    it('begins a call, obeys a cancel and confirms it', async () => {
        const gate = await scriptedGate();
        const runtime = new Runtime(`127.0.0.1:${gate.port}`);
        assert.equal((await runtime.watch()).epoch, '5');
        const { call: running } = await runtime.begin('/Agents/7', 'deploy');
        gate.send({ directive_id: 'd1', type: 'TYPE_CANCEL', call_ids: [running.callId, 'old'] });
        assert.equal(await running.ended, 'OUTCOME_CANCELLED');
        assert.ok(now() - running.stoppedAt < 1000);
        await until('the confirmation', () => gate.acks.length === 1);
        assert.deepEqual(gate.acks[0].calls.map((c) => c.outcome),
            ['OUTCOME_CANCELLED', 'OUTCOME_OK']);
        runtime.manner = 'silent';
        gate.send({ directive_id: 'd2', type: 'TYPE_BLOCK' });
        await until('the directive', () => runtime.directives.length === 2);
        assert.equal(gate.acks.length, 1);
        runtime.close();
        gate.server.forceShutdown();
    });

    it('the Python client speaks to the same gate', async () => {
        const gate = await scriptedGate();
        const check = '/bailiff.v1.AgentGate/Check';
        const answers = await python(`127.0.0.1:${gate.port}`, [
            { method: '/bailiff.v1.AgentGate/BeginToolCall', request: { call_id: 'c' } },
            { method: check, request: { tool: 't' } },
            { method: '/bailiff.v1.AgentGate/Watch', request: [{ hello: {} }], take: 1 },
        ]);
        assert.equal(answers[0].ok.lease_id, 'l-c');
        assert.equal(answers[1].code, 'UNIMPLEMENTED');
        assert.equal(answers[2].ok[0].snapshot_end.epoch, '5');
        gate.server.forceShutdown();
    });

    it('shows status codes of a method that is not there', async () => {
        const gate = await scriptedGate();
        const client = new GateClient(`127.0.0.1:${gate.port}`);
        await assert.rejects(client.check('/Agents/7', 't'), { code: grpc.status.UNIMPLEMENTED });
        client.close();
        gate.server.forceShutdown();
    });

    it('serves CancelToolCalls', async () => {
        const served = await new RuntimeServer().start();
        const running = new ToolCall('/Agents/7', 'deploy', 'c1');
        served.calls.set('c1', running);
        const stub = new protos.bailiff.v1.AgentRuntime(`127.0.0.1:${served.port}`, insecure());
        const cancel = (ids) => call(stub, 'CancelToolCalls',
            { directive_id: 'd', agent_uri: '/Agents/7', call_ids: ids });
        const { calls } = await cancel(['c1', 'c2']);
        assert.deepEqual(calls.map((c) => c.state), ['STATE_CANCELLED', 'STATE_NOT_FOUND']);
        assert.equal(await running.ended, 'OUTCOME_CANCELLED');
        served.manner = 'error';
        await assert.rejects(cancel([]), { code: grpc.status.UNAVAILABLE });
        stub.close();
        served.stop();
    });
});

describe('small tools', () => {
    it('keys of each algorithm have their kind', () => {
        assert.equal(new SigningKey('EdDSA', 'k').jwk.crv, 'Ed25519');
        assert.equal(new SigningKey('RS256', 'k', { modulusLength: 1024 }).jwk.n.length, 171);
    });

    it('YAML is written in blocks', () => {
        const yaml = toYaml({ a: [{ b: 'x: y', c: [] }, 2], d: { e: true, f: undefined } });
        assert.equal(yaml, 'a:\n  - b: "x: y"\n    c: []\n  - 2\nd:\n  e: true\n');
    });
});
