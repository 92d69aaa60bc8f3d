// SPDX-License-Identifier: Apache-2.0
// Hostile peers, faults and wrong use against the running program. Best run
// with the address sanitizer: BAILIFF=build/asan/bailiff tests/e2e/run.sh attack
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
    chmodSync, cpSync, mkdirSync, rmSync, truncateSync, writeFileSync,
} from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import tls from 'node:tls';
import grpc from '@grpc/grpc-js';
import { randomId } from './peers/keys.mjs';
import { ask, audited, known, tell, useWorld } from './peers/scenario.mjs';
import { collect, traces } from './peers/traces.mjs';
import { sleep, until } from './peers/wait.mjs';
import { World } from './peers/world.mjs';

/** A token that must not be seen anywhere. */
const CANARY = `canary-${randomId(24)}`;
/** Whoever hangs is cut off after 15 s; what ends in order ends before. */
const STOP_MS = 14000;
const quiet = (promise) => promise.catch((e) => e);
const many = (n, work) => Promise.all(Array.from({ length: n }, (_, i) => work(i)));

describe('requests that die', () => {
    const held = useWorld();

    it('gate questions cancelled at every moment', async () => {
        const { w } = held;
        const runtime = await w.runtime();
        const agent = await known(w, runtime.gate, 'die-1');
        w.scim.fault = { slow: 40 };
        for (let round = 0; round < 5; round++) {
            await tell(w, 'patch:notice', agent);
            await many(40, (i) => quiet(runtime.gate.check(agent, 't', {}, { deadlineMs: i * 2 })));
            await many(40, (i) => quiet(runtime.gate.begin(agent, 't',
                { runtime: runtime.name }, { deadlineMs: 1 + i })));
            await many(20, (i) => quiet(runtime.gate.register(agent, randomId(),
                { issuer: w.as.issuer, runtime: runtime.name }, { deadlineMs: 1 + (i % 7) })));
        }
        w.scim.fault = null;
        await until('allow', async () => await ask(runtime.gate, agent) === 'allow');
    });

    it('pushes cut while they are verified and stored', async () => {
        const { w } = held;
        const agent = await known(w, w.gate(), 'die-2');
        await many(60, async (i) => {
            const set = await w.idp.mint('patch:notice', agent);
            const socket = tls.connect({ port: w.ports.push, host: '127.0.0.1',
                servername: 'localhost', ca: w.ca.pem });
            socket.on('error', () => { /* cut */ });
            await new Promise((done) => { socket.once('secureConnect', done); });
            socket.write(`POST /events/hr HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${
                w.pushBearer}\r\nContent-Type: application/secevent+jwt\r\nContent-Length: ${
                set.token.length}\r\n\r\n${set.token}`);
            await sleep(i % 12);
            socket.destroy();
        });
        assert.equal((await w.idp.tell('patch:notice', agent)).status, 202);
    });

    it('pushes over HTTP/2, streams reset while under way', async () => {
        const { w } = held;
        const agent = await known(w, w.gate(), 'die-3');
        const session = http2.connect(`https://localhost:${w.ports.push}`, { ca: w.ca.pem });
        session.on('error', () => { /* closed below */ });
        await many(80, async (i) => {
            const set = await w.idp.mint('patch:notice', agent);
            const stream = session.request({ ':method': 'POST', ':path': '/events/hr',
                authorization: `Bearer ${w.pushBearer}`,
                'content-type': 'application/secevent+jwt' });
            stream.on('error', () => { /* reset */ });
            stream.end(set.token);
            await sleep(i % 15);
            stream.close(http2.constants.NGHTTP2_CANCEL);
        });
        session.destroy();
        assert.equal((await w.idp.tell('patch:notice', agent)).status, 202);
    });

    it('2,000 pushes at once: each is accepted or asked to come again', async () => {
        const { w } = held;
        const agent = await known(w, w.gate(), 'die-4');
        const sets = await many(2000, () => w.idp.mint('patch:notice', agent));
        const answers = await Promise.all(sets.map((s) => quiet(w.idp.push(s, { http2: true }))));
        const seen = new Set(answers.map((a) => a.status ?? a.code ?? a.message));
        for (const status of seen) assert.ok([202, 429, 503].includes(status), [...seen].join());
        const accepted = new Set(sets.filter((_, i) => answers[i].status === 202)
            .map((s) => s.jti));
        assert.ok(accepted.size > 0);
        // What is acknowledged is in the journal; its record follows to the log.
        await until('a record of everything that was acknowledged', () => {
            const logged = new Set(w.bailiff.log().filter((r) => r.kind === 'event')
                .map((r) => r.jti));
            return [...accepted].every((jti) => logged.has(jti));
        }, 200);
    });

    it('watches that close while directives are sent; slow readers', async () => {
        const { w } = held;
        for (let i = 0; i < 8; i++) {
            const runtime = await w.runtime(`closing-${i}`);
            const agent = await known(w, runtime.gate, `watch-${i}`);
            await many(20, () => runtime.begin(agent, 't'));
            const told = tell(w, 'deactivate', agent);
            await sleep(i * 2);
            runtime.unwatch();
            await told;
            runtime.close();
        }
    });
});

describe('wrong use of the gate', () => {
    const held = useWorld();

    it('two streams of one runtime, Hello twice, Hello with 4,096 calls', async () => {
        const { w } = held;
        const a = await w.runtime('twin');
        const b = await w.runtime('twin');
        const agent = await known(w, a.gate, 'twin');
        const { call } = await b.begin(agent, 't');
        const stream = a.gate.stub.Watch();
        const seen = [];
        stream.on('data', (m) => seen.push(m));
        stream.on('error', (e) => seen.push(e));
        for (const n of [1, 4096, 0, 4097]) {
            stream.write({ hello: { runtime: 'big', calls: Array.from({ length: n }, (_, i) => ({
                agent: { uri: agent }, tool: 't', call_id: `c${i}` })) } });
        }
        await until('answers', () => seen.length >= 1);
        await tell(w, 'deactivate', agent);
        assert.equal(await call.ended, 'OUTCOME_CANCELLED');
        stream.cancel();
        await sleep(50);
    });

    it('identifiers: empty, oversized, NUL, not UTF-8, in every field', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, 'ids');
        const bad = ['', 'x'.repeat(257), 'x'.repeat(60000), 'a\u0000b', '\u0007', '\u202e'];
        const attempts = [];
        for (const v of bad) {
            attempts.push(
                () => gate.check(v, 't'), () => gate.check(agent, v),
                () => gate.check(agent, 't', { run_id: v, trace_id: v }),
                () => gate.check(agent, 't', { agent: { uri: agent, feed: v } }),
                () => gate.begin(v, v), () => gate.begin(agent, 't', { call_id: v }),
                () => gate.begin(agent, 't', { runtime: v }), () => gate.renew(v),
                () => gate.begin(agent, 't', { run_id: v, trace_id: v }),
                () => gate.end(v), () => gate.ack(v, { directive_id: v, done: true }),
                () => gate.ack('runtime-a', { directive_id: v, detail: v,
                    calls: [{ call_id: v, outcome: 'OUTCOME_CANCELLED' }] }),
                () => gate.register(v, 'x', { issuer: w.as.issuer }),
                () => gate.register(agent, v, { issuer: w.as.issuer }),
                () => gate.register(agent, 'x', { issuer: v }),
                () => gate.register(agent, 'x', { issuer: w.as.issuer, credential_id: v }),
                () => gate.register(agent, 'x', { issuer: w.as.issuer, runtime: v }),
            );
        }
        for (const attempt of attempts) await quiet(attempt());
        assert.equal(await ask(gate, agent), 'allow');
    });

    it('raw bytes that are not UTF-8 or no protobuf never allow', async () => {
        const { w } = held;
        const raw = (path) => ({ path, requestStream: false, responseStream: false,
            requestSerialize: (x) => x, responseDeserialize: (x) => x });
        const names = ['Check', 'BeginToolCall', 'RenewToolCall', 'EndToolCall', 'Ack',
            'RegisterCredential', 'Watch'];
        const Client = grpc.makeGenericClientConstructor(Object.fromEntries(names.map((n) =>
            [n, raw(`/bailiff.v1.AgentGate/${n}`)])));
        const client = new Client(w.unixGate, grpc.credentials.createInsecure());
        const field = (n, bytes) => Buffer.concat([Buffer.from([n << 3 | 2, bytes.length]), bytes]);
        const messages = [
            Buffer.alloc(0), Buffer.from([0xff]), Buffer.alloc(65000, 0x0a),
            Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
            field(1, Buffer.from([0xc3, 0x28])),
            Buffer.concat([field(1, field(1, Buffer.from('/Agents/1'))),
                field(2, Buffer.from([0xff, 0xfe]))]),
            Buffer.concat([field(1, field(1, Buffer.from([0x2f, 0xf0, 0x28]))),
                field(2, Buffer.from('t'))]),
        ];
        for (const name of names) {
            for (const m of messages) {
                const answer = await new Promise((done) => {
                    client[name](m, new grpc.Metadata(), { deadline: Date.now() + 1000 },
                        (e, a) => done(e ?? a));
                });
                assert.ok(answer instanceof Error || answer.length === 0
                    || !(['Check', 'BeginToolCall'].includes(name) && answer[1] === 1), name);
            }
        }
        client.close();
    });
});

describe('foreign property', () => {
    const TOKENS = { one: randomId(24), two: randomId(24) };
    const held = useWorld({
        configure: (c, w) => {
            c.callers = ['one', 'two'].map((name) => ({ name, role: 'runtime',
                bearer_file: w.bailiff.secret(name, TOKENS[name]), agents: [`/Agents/${name}-*`] }));
            return c;
        },
    });
    const as = (name) => ({ metadata: { authorization: `Bearer ${TOKENS[name]}` } });

    it('leases, directives, agents and credentials of another caller', async () => {
        const { w } = held;
        const gate = w.gate();
        const mine = w.agent('one-1');
        const begun = await gate.begin(mine, 't', { runtime: 'r1' }, as('one'));
        assert.equal(begun.decision, 'DECISION_ALLOW');
        const foreign = await gate.check(mine, 't', {}, as('two')).catch((e) => e);
        assert.notEqual(foreign.decision, 'DECISION_ALLOW');
        const renewed = await quiet(gate.renew(begun.lease_id, as('two')));
        assert.ok(renewed instanceof Error || renewed.stop, JSON.stringify(renewed));
        await assert.rejects(gate.end(begun.lease_id, 'OUTCOME_OK', as('two')));
        assert.equal((await gate.renew(begun.lease_id, as('one'))).stop, false);
        await assert.rejects(gate.register(mine, 'x', { issuer: w.as.issuer }, as('two')));
        await tell(w, 'deactivate', mine);
        const stolen = await quiet(gate.begin(mine, 't', { runtime: 'r1' }, as('two')));
        assert.notEqual(stolen.decision, 'DECISION_ALLOW');
    });
});
describe('stopping', () => {
    const POLICY = `apiVersion: bailiff/v1
kind: Policy
defaults: {unknown_agent: lookup, refresh: {timeout: 2s}}
rules:
  - name: stop
    events: [deactivate, found_inactive]
    do:
      - hold: suspended
      - cancel: {calls: all, within: 2s, otherwise: [page]}
      - revoke: {tokens: all, within: 60s}
      - page
actions:
  page: {http: {method: POST, url: "http://127.0.0.1:1/page"}}
gate:
  - {name: everything, tools: ["*"], require: 'active eq true'}
`;

    for (const round of [0, 1, 2]) {
        it(`under load, with everything hanging (${round})`, async () => {
            const w = await World.start({ policy: POLICY });
            const runtime = await w.runtime();
            runtime.manner = 'silent';
            const agents = [];
            for (let i = 0; i < 5; i++) {
                const agent = await known(w, runtime.gate, `stop-${i}`);
                await runtime.begin(agent, 't');
                await runtime.register(agent, randomId(), { issuer: w.as.issuer });
                agents.push(agent);
            }
            const slow = await known(w, runtime.gate, 'slow');
            const hanging = net.createServer(() => { /* never answers */ });
            await w.as.stop();
            await new Promise((done) => {
                hanging.listen(Number(new URL(w.as.issuer).port), '127.0.0.1', done);
            });
            w.scim.fault = { slow: 5000 };
            for (const agent of agents) await tell(w, 'deactivate', agent);
            await tell(w, 'patch:notice', slow);
            const questions = many(20, () => quiet(runtime.gate.check(slow, 't')));
            for (let i = 0; i < 200; i++) await w.idp.offer('hr', 'patch:notice', slow);
            const sets = await many(300, () => w.idp.mint('patch:notice', slow));
            const pushes = sets.map((s) => quiet(w.idp.push(s, { http2: true })));
            const strangers = await many(50, () => w.idp.mint('patch:notice', slow,
                { header: { kid: randomId() } }));
            const refused = strangers.map((s) => quiet(w.idp.push(s, { http2: true })));
            await sleep(round * 60);
            const { code, signal, ms } = await w.bailiff.stop();
            assert.deepEqual({ code, signal }, { code: 0, signal: null }, w.bailiff.stderr);
            assert.ok(ms < STOP_MS, `it took ${ms} ms`);
            assert.equal((await w.bailiff.verifyLog()).code, 0);
            await questions;
            await Promise.all(refused);
            const answers = await Promise.all(pushes);
            const logged = new Set(w.bailiff.log().map((r) => r.jti));
            sets.forEach((set, i) => {
                if (answers[i].status === 202) assert.ok(logged.has(set.jti), 'lost');
            });
            for (const { jti } of w.idp.stream('hr').acked) assert.ok(logged.has(jti), 'lost');
            w.scim.fault = null;
            await w.bailiff.start();
            const gate = w.gate();
            for (const agent of agents) assert.equal(await ask(gate, agent), 'agent_suspended');
            await audited(w);
            hanging.close();
            await w.close();
        });
    }

    it('SIGHUP storms with good, bad, empty, huge and unreadable policies', async () => {
        const w = await World.start({ policy: POLICY });
        const gate = w.gate();
        const agent = await known(w, gate, 'hup');
        const policies = [POLICY, 'apiVersion: bailiff/v1\nkind: Policy\n', '', 'x: [', '\u0000',
            `# ${'x'.repeat(3000000)}`, `a: ${'['.repeat(5000)}`, POLICY.replace('page', 'pager'),
            POLICY.replace('60s', '61s')];
        let running = true;
        const traffic = (async () => {
            for (let i = 0; running; i++) {
                await quiet(w.idp.tell(i % 9 ? 'patch:notice' : 'activate', agent));
                await quiet(gate.check(agent, 't'));
            }
        })();
        for (let i = 0; i < 150; i++) {
            if (i % 10 === 9) chmodSync(w.bailiff.policyFile, 0o666);
            else {
                chmodSync(w.bailiff.policyFile, 0o600);
                w.bailiff.writePolicy(policies[i % policies.length]);
            }
            for (const s of ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGHUP']) w.bailiff.signal(s);
            await sleep(5);
        }
        running = false;
        await traffic;
        chmodSync(w.bailiff.policyFile, 0o600);
        w.bailiff.writePolicy(POLICY);
        w.bailiff.signal('SIGHUP');
        await until('allow', async () => await ask(gate, agent) === 'allow');
        for (const s of ['SIGHUP', 'SIGUSR1', 'SIGTERM', 'SIGUSR1', 'SIGHUP', 'SIGTERM']) {
            w.bailiff.signal(s);
        }
        await audited(w);
        await w.close();
    });
});

/** A small file system at `dir`, or false where this user may not mount one. */
function mountSmall(dir) {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=0700', 'tmpfs', dir]);
    return status === 0;
}

function fill(file) {
    for (let bytes = 1 << 20; bytes > 10; bytes >>= 1) {
        try {
            for (;;) writeFileSync(file, Buffer.alloc(bytes), { flag: 'a' });
        } catch { /* the next smaller piece */ }
    }
}

describe('a full disk', () => {
    it('denies and answers 503 at once, and recovers by itself', async (t) => {
        const w = await World.make();
        const dir = w.bailiff.dataDir;
        if (!mountSmall(dir)) {
            t.diagnostic('SKIP: mounting needs root');
            await w.close();
            return;
        }
        try {
            await w.bailiff.init();
            await w.bailiff.start();
            const gate = w.gate();
            const agent = await known(w, gate, '1');
            const filler = join(dir, 'filler');
            fill(filler);
            const acked = [];
            let refused = 0;
            for (let i = 0; i < 40; i++) {
                const answer = await w.idp.tell('patch:notice', agent);
                if (answer.status === 202) acked.push(answer.set.jti);
                else assert.equal(answer.status, 503);
                refused += answer.status === 503;
            }
            assert.ok(refused > 0);
            assert.equal(await ask(gate, agent), 'store_blocked');
            await assert.rejects(gate.register(agent, 'x', { issuer: w.as.issuer },
                { deadlineMs: 3000 }));
            rmSync(filler);
            await until('202 again', async () =>
                (await w.idp.tell('patch:notice', agent)).status === 202);
            await until('allow', async () => await ask(gate, agent) === 'allow');
            const logged = new Set(w.bailiff.log().map((r) => r.jti));
            for (const jti of acked) assert.ok(logged.has(jti), 'lost');
            fill(filler);
            await quiet(w.idp.tell('patch:notice', agent));
            const { signal, ms } = await w.bailiff.stop();
            assert.equal(signal, null, 'it hung');
            assert.ok(ms < STOP_MS, `it took ${ms} ms`);
            rmSync(filler);
            await w.bailiff.start();
            await audited(w);
        } finally {
            if (w.bailiff.pid) await w.bailiff.kill();
            spawnSync('umount', ['-l', dir]);
            await w.close();
        }
    });
});

describe('peers that lie', () => {
    const PAGES = [];
    const pager = http.createServer((req, res) => {
        PAGES.push(req.url);
        req.resume().on('end', () => res.end());
    });
    let port;
    const held = useWorld({
        configure: async (c, w) => {
            await new Promise((done) => { pager.listen(0, '127.0.0.1', done); });
            port = pager.address().port;
            w.adopt(() => { pager.closeAllConnections(); pager.close(); });
            w.bailiff.writePolicy(`apiVersion: bailiff/v1
kind: Policy
defaults: {unknown_agent: lookup, refresh: {timeout: 2s}}
rules:
  - name: stop
    events: [deactivate]
    do:
      - hold: suspended
      - cancel: {calls: all, within: 1s, otherwise: [page-cancel]}
      - revoke: {tokens: all, within: 2s, otherwise: [page-revoke]}
actions:
  page-cancel: {http: {method: POST, url: "http://127.0.0.1:${port}/cancel/{{agent.id}}"}}
  page-revoke: {http: {method: POST, url: "http://127.0.0.1:${port}/revoke/{{agent.id}}"}}
`);
            return c;
        },
    });
    const paged = (path) => until(`a page at ${path}`, () => PAGES.includes(path));

    it('a SCIM server that lies is never believed to allow', async () => {
        const { w } = held;
        const gate = w.gate();
        const lies = [
            { wrongId: true }, { garbage: true }, { truncated: true }, { redirect: w.scim.base },
            { status: 200 }, { status: 500 }, { status: 302 },
            { edit: (r) => ({ ...r, active: 'true' }) }, { edit: (r) => ({ ...r, active: 1 }) },
            { edit: (r) => ({ ...r, active: [true] }) }, { edit: () => [] },
            { edit: (r) => ({ ...r, active: true, Active: false }) },
            { edit: (r) => ({ Active: true, ...r, active: false }) },
            { edit: (r) => ({ ...r, padding: 'x'.repeat(1100000) }) },
            { edit: ({ active, ...rest }) => rest }, { slow: 2500 },
        ];
        for (const [i, lie] of lies.entries()) {
            const agent = w.agent(`lie-${i}`);
            w.scim.fault = lie;
            assert.notEqual(await ask(gate, agent), 'allow', JSON.stringify(lie));
        }
        w.scim.fault = null;
    });

    it('an authorization server that refuses, hangs, or says come back in a year', async () => {
        const { w } = held;
        const runtime = await w.runtime();
        const faults = [{ status: 503 }, { status: 503, headers: { 'retry-after': '31536000' } },
            { status: 400 }, { status: 302, headers: { location: w.as.issuer } }];
        for (const [i, fault] of faults.entries()) {
            const agent = await known(w, runtime.gate, `as-${i}`);
            await runtime.register(agent, CANARY, { issuer: w.as.issuer });
            w.as.revocationFault = fault;
            await tell(w, 'deactivate', agent);
            await paged(`/revoke/as-${i}`);
        }
        w.as.revocationFault = null;
    });

    it('a runtime that never confirms, confirms the wrong thing, or for another', async () => {
        const { w } = held;
        const silent = await w.runtime('silent');
        silent.manner = 'silent';
        const liar = await w.runtime('liar');
        const agent = await known(w, silent.gate, 'rt-0');
        const { call } = await silent.begin(agent, 't');
        await tell(w, 'deactivate', agent);
        const order = await until('the cancel', () =>
            silent.directives.find((d) => d.type === 'TYPE_CANCEL'));
        const cancelled = [{ call_id: call.callId, outcome: 'OUTCOME_CANCELLED' }];
        liar.confirm({ directive_id: order.directive_id }, cancelled);
        for (const [runtime, id, calls] of [['liar', order.directive_id, cancelled],
            ['silent', 'no-such', cancelled], ['silent', order.directive_id, []],
            ['silent', order.directive_id, [{ call_id: 'x', outcome: 'OUTCOME_CANCELLED' }]]]) {
            await quiet(silent.gate.ack(runtime, { directive_id: id, calls, done: true }));
        }
        await paged('/cancel/rt-0');
    });

    it('a transmitter that repeats, mislabels, refuses, and sends 5,000 at once', async () => {
        const { w } = held;
        const stream = w.idp.stream('hr');
        const agent = await known(w, w.gate(), 'poll');
        const [one, two] = await many(2, () => w.idp.mint('patch:notice', agent));
        stream.queue('not-its-jti', one.token);
        stream.queue('x'.repeat(2000), two.token);
        for (const junk of ['', 'a.b.c', '{}', 'x'.repeat(100000)]) {
            stream.queue(randomId(), junk);
        }
        await until('a refusal', () => stream.items.get('not-its-jti').err);
        assert.equal(stream.items.get('not-its-jti').ackedAt, undefined);
        for (const status of [401, 500, 302]) {
            stream.fault = { status };
            stream.wake();
            await sleep(100);
        }
        stream.fault = { exceedMax: true };
        const before = stream.acked.length;
        const sets = await many(5000, () => w.idp.mint('patch:notice', agent));
        for (const s of sets) stream.queue(s.jti, s.token);
        await until('most of them', () => stream.acked.length > before + 4900, 200);
    });

    it('after all that no secret has left its place', async () => {
        const { w } = held;
        w.bailiff.signal('SIGUSR2');
        await sleep(200);
        const seen = await collect(w);
        for (const secret of [CANARY, w.pushBearer, w.scim.bearer, w.idp.pollToken,
            w.as.clients.bailiff, Buffer.from(`bailiff:${w.as.clients.bailiff}`).toString('base64')]) {
            assert.deepEqual(traces(seen, secret), [], secret);
        }
    });
});

describe('damage', () => {
    it('a refusal to start is exit code 3 or 4, never a crash', async () => {
        const w = await World.start();
        const { bailiff: b } = w;
        await known(w, w.gate(), '1');
        await audited(w);
        const save = `${b.dataDir}.save`;
        cpSync(b.dataDir, save, { recursive: true });
        const database = join(b.dataDir, 'bailiff.db');
        const line = join(b.dataDir, 'log', '00000001.jsonl');
        // Where somebody has to change a file it is 4: trying again would be vain.
        for (const [code, ...damages] of [[3,
            () => rmSync(database), () => writeFileSync(database, ''),
            () => writeFileSync(database, Buffer.alloc(40000, 0x5a)),
            () => truncateSync(database, 5000), () => truncateSync(line, 100),
            () => writeFileSync(line, Buffer.alloc(99, 0x7a)),
        ], [4,
            () => rmSync(join(b.dataDir, 'keys', 'seal.key')),
            () => chmodSync(join(b.dataDir, 'keys', 'seal.key'), 0o644),
            () => chmodSync(b.dataDir, 0o777),
        ]]) {
            for (const damage of damages) {
                damage();
                await assert.rejects(b.start(), String(damage));
                assert.deepEqual(await b.exited, { code, signal: null }, b.stderr);
                rmSync(b.dataDir, { recursive: true });
                cpSync(save, b.dataDir, { recursive: true });
                chmodSync(b.dataDir, 0o700);
            }
        }
        await b.start();
        await audited(w);
        await w.close();
    });
});
