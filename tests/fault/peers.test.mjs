// SPDX-License-Identifier: Apache-2.0
// Peers on the network at their worst (F9, F10, F12, F16), against the whole
// program: servers that it asks answer with nonsense, without end or not at
// all; clients open its listeners and behave as badly. It denies, waits or
// refuses; it does not grow, does not hang, and honest peers are served.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { join } from 'node:path';
import { ask, audited, known } from '../e2e/peers/scenario.mjs';
import { sleep, timed, until } from '../e2e/peers/wait.mjs';
import { POLICY, World } from '../e2e/peers/world.mjs';
import { freshGate } from './lib/books.mjs';
import { Liar, LIES } from './lib/liar.mjs';

/** Who waits for a bad peer waits until that is given up; a busy machine is faster. */
const HELD_UP_MS = 8000;
const residentMb = (w) => Number(readFileSync(`/proc/${w.bailiff.pid}/status`, 'utf8')
    .match(/RssAnon:\s+(\d+)/)[1]) / 1024;
const descriptors = (w) => readdirSync(`/proc/${w.bailiff.pid}/fd`).length;

/** Of a revocation only the status counts (RFC 7009), so a 200 is no lie. */
const AS_LIES = LIES.filter(([what]) => !/HTML|bomb|length of 1|body without end/.test(what));

describe('servers that it asks', () => {
    let w, scim, as, idp, gate;
    before(async () => {
        w = await World.make({
            policy: POLICY.replace('timeout: 20s', 'timeout: 700ms'),
            configure: async (c, world) => {
                [scim, as, idp] = await Promise.all(['scim2', 'as2', 'idp2'].map((name) =>
                    new Liar(world.ca, name).start()));
                const [feed] = c.feeds;
                c.feeds.push({
                    ...feed, name: 'liar', issuer: 'https://liar.test', push: undefined,
                    keys: { jwks_url: `${idp.origin}/jwks.json` },
                    poll: { ...feed.poll, url: `${idp.origin}/poll` },
                    scim: { ...feed.scim, base: `${scim.origin}/scim/v2` },
                });
                const [server] = c.outbound.authorization_servers;
                AS_LIES.forEach((_, i) => c.outbound.authorization_servers.push({
                    ...server, issuer: `https://as${i}.test`, revocation_url: `${as.origin}/${i}`,
                }));
                return c;
            },
        });
        await w.bailiff.init();
        await w.bailiff.start();
        await until('the key set', () => /event=loaded feed=hr /.test(w.bailiff.stderr));
        gate = freshGate(w);
        w.alive = w.agent('alive');
        assert.equal(await check(w.alive), 'allow');
    });
    after(async () => {
        gate.close();
        for (const l of [scim, as, idp]) l.stop();
        await w.close();
    });

    const check = (agent, feed = 'hr') => gate
        .check(agent, 'kb.search', { agent: { uri: agent, feed } })
        .then((a) => (a.decision === 'DECISION_ALLOW' ? 'allow' : a.reason?.code));

    it('no lie of a SCIM server allows, and none holds up another feed', async () => {
        const before0 = residentMb(w);
        for (const [i, [what, lie]] of LIES.entries()) {
            scim.lie = lie;
            const asking = check(`/Agents/lie${i}`, 'liar');
            const [answer, ms] = await timed(() => check(w.alive));
            assert.equal(answer, 'allow', what);
            assert.ok(ms < HELD_UP_MS, `${what}: ${ms} ms`);
            assert.ok(['refresh_failed', 'refresh_pending', 'agent_unknown'].includes(await asking),
                `${what}: ${await asking}`);
        }
        assert.ok(scim.asked >= LIES.length, `${scim.asked} reads`);
        assert.ok(residentMb(w) - before0 < 40, `grew by ${residentMb(w) - before0} MB`);
    });

    it('no lie of an authorization server is a confirmation', async () => {
        const runtime = await w.runtime();
        const seen = new Set();
        as.lie = (s, origin, request) => {
            const i = Number(request.match(/^POST \/(\d+)/)?.[1] ?? 0);
            seen.add(i);
            AS_LIES[i][1](s, origin);
        };
        for (const [i] of AS_LIES.entries()) {
            const agent = w.agent(`as${i}`);
            assert.equal(await check(agent), 'allow');
            await runtime.register(agent, `token-${i}`,
                { agent: { uri: agent, feed: 'hr' }, issuer: `https://as${i}.test` });
            w.scim.put(agent, { active: false });
            assert.equal((await w.idp.tell('deactivate', agent)).status, 202);
        }
        await until('every lie to be told', () => seen.size === AS_LIES.length);
        await sleep(500);
        for (const [i, [what]] of AS_LIES.entries()) {
            const { json } = await w.bailiff.ask('jobs', 'list', '--agent', `/Agents/as${i}`);
            const revoke = json.jobs.find((j) => j.action === 'revoke');
            assert.notEqual(revoke.state, 'confirmed', what);
            assert.equal(revoke.confirmed, 0, what);
            assert.equal(await check(`/Agents/as${i}`), 'agent_suspended', what);
        }
    });

    it('no lie of a key server or a polled transmitter harms the others', async () => {
        for (const [what, lie] of LIES) {
            idp.lie = lie;
            await sleep(30);
            assert.equal(await check(w.alive), 'allow', what);
        }
        const [answer, ms] = await timed(() => w.idp.tell('patch:notice', w.alive));
        assert.equal(answer.status, 202);
        assert.ok(ms < HELD_UP_MS, `${ms} ms`);
        await until('a read', async () => await check(w.alive) === 'allow');
        const { json } = await w.bailiff.ask('feeds');
        const liar = json.feeds.find((f) => f.name === 'liar');
        assert.equal(liar.keys, 0);
        assert.ok(liar.last_error);
    });

    it('and it stops cleanly while they all hang', async () => {
        for (const l of [scim, as, idp]) [, l.lie] = LIES[0];
        await audited(w);
    });
});

describe('clients of its listeners', () => {
    let w, gate;
    before(async () => {
        w = await World.start();
        gate = freshGate(w);
        w.alive = await known(w, gate, 'alive');
        w.calm = descriptors(w);
    });
    after(async () => {
        gate.close();
        await w.close();
    });

    /** A connection to one of the three listeners. */
    const open = {
        push: () => tls.connect({ port: w.ports.push, host: 'localhost', ca: w.ca.pem }),
        raw: () => connect(w.ports.push, '127.0.0.1'),
        gate: () => connect(w.ports.gate, '127.0.0.1'),
        unix: () => connect(join(w.bailiff.dir, 'gate.sock')),
        admin: () => connect(w.bailiff.adminSocket),
        metrics: () => connect(w.ports.metrics, '127.0.0.1'),
    };
    const HEAD = 'POST /events/hr HTTP/1.1\r\nhost: x\r\ncontent-type: application/secevent+jwt\r\n';
    const all = (name, n, act) => Array.from({ length: n }, () => {
        const s = open[name]();
        s.on('error', () => { /* cut, as it may be */ });
        s.on(name === 'push' ? 'secureConnect' : 'connect', () => act(s));
        return s;
    });

    /** Honest peers are served while `sockets` are there, and all goes back to calm. */
    async function harmless(what, sockets) {
        await sleep(150);
        const [answer, ms] = await timed(() => ask(gate, w.alive));
        assert.equal(answer, 'allow', what);
        assert.ok(ms < HELD_UP_MS, `${what}: the gate took ${ms} ms`);
        const [pushed, pushMs] = await timed(() => w.idp.tell('verification', '/', {
            payload: { state: 'x' }, claims: { sub_id: { format: 'opaque', id: 'hr' } },
        }));
        assert.ok([202, 400].includes(pushed.status), `${what}: ${pushed.status}`);
        assert.ok(pushMs < HELD_UP_MS, `${what}: the push took ${pushMs} ms`);
        assert.equal((await w.bailiff.ask('status')).code, 0, what);
        for (const s of sockets) s.destroy();
        await until(`descriptors after ${what}`, () => descriptors(w) <= w.calm + 6, 50);
    }

    for (const name of Object.keys(open)) {
        it(`${name}: half-open connections that say nothing`, async () => {
            await harmless(name, all(name, 100, () => {}));
        });
        it(`${name}: a byte now and then`, async () => {
            const sockets = all(name, 60, (s) => { s.write(HEAD.slice(0, 20)); });
            const timer = setInterval(() => sockets.forEach((s) => s.writable && s.write('a')), 40);
            await harmless(name, sockets);
            clearInterval(timer);
        });
        it(`${name}: garbage`, async () => {
            await harmless(name, all(name, 60, (s) => s.write(Buffer.alloc(70000, 0x9d))));
        });
        it(`${name}: a reset in the middle of a body`, async () => {
            await harmless(name, all(name, 60, (s) => {
                s.write(`${HEAD}content-length: 5000\r\n\r\nabc`);
                setTimeout(() => (['push', 'unix', 'admin'].includes(name)
                    ? s.destroy() : s.resetAndDestroy()), 20);
            }));
        });
        it(`${name}: a body of 300 MB is announced, 5 MB are sent`, async () => {
            await harmless(name, all(name, 5, (s) => {
                s.write(`${HEAD}content-length: 300000000\r\n\r\n`);
                s.write(Buffer.alloc(5 << 20, 0x61));
            }));
        });
    }

    it('and at the end it is as small as it was, stops cleanly, the log verifies', async () => {
        assert.ok(residentMb(w) < 60, `${residentMb(w)} MB`);
        await audited(w);
    });
});
