// SPDX-License-Identifier: Apache-2.0
// May this agent act? Every way in and out of that state, with real reads.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GRPC } from './peers/runtime.mjs';
import {
    ask, known, records, tell, untilAnswer, untilRecord, useWorld, verdict,
} from './peers/scenario.mjs';
import { now, sleep, timed, until } from './peers/wait.mjs';
import { POLICY } from './peers/world.mjs';

/** How long a read counts for nothing when its ETag is the one of before. */
const SETTLE_MS = 5000;

describe('standing', () => {
    const held = useWorld();
    const reads = (agent) => held.w.scim.readsOf(agent).length;

    it('an unknown agent is looked up once, then decided from memory', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, 'new');
        for (let i = 0; i < 5; i++) assert.equal(await ask(gate, agent), 'allow');
        assert.equal(reads(agent), 1);
    });

    it('an agent that the provider does not have is denied', async () => {
        assert.notEqual(await ask(held.w.gate(), '/Agents/nobody'), 'allow');
    });

    it('a User under /Agents rules is not an agent', async () => {
        const { w } = held;
        w.scim.put('/Users/u1', { active: true });
        assert.notEqual(await ask(w.gate(), '/Users/u1'), 'allow');
    });

    it('a patch makes questions wait for one fresh read, shared by all', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, 'patched');
        w.scim.put(agent, { roles: [{ value: 'more' }] });
        w.scim.fault = { slow: 200 };
        await tell(w, 'patch:notice', agent);
        const before = reads(agent);
        const [answers, ms] = await timed(() =>
            Promise.all(Array.from({ length: 20 }, () => ask(gate, agent))));
        w.scim.fault = null;
        assert.ok(answers.every((a) => a === 'allow'), answers.join());
        assert.ok(ms >= 150, `they did not wait: ${ms} ms`);
        assert.equal(reads(agent), before + 1);
    });

    it('a deadline of the caller is kept: refresh_pending before it passes', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, 'hurried');
        w.scim.put(agent, {});
        w.scim.fault = { slow: 1800 };
        await tell(w, 'patch:notice', agent);
        // The answer leaves 20 ms before the deadline: a busy machine may lose
        // one such race, not three.
        const answers = [];
        for (let i = 0; i < 3; i++) {
            answers.push(await ask(gate, agent, 'kb.search', { deadlineMs: 400 })
                .catch((e) => GRPC[e.code]));
        }
        assert.ok(answers.includes('refresh_pending'), answers.join());
        w.scim.fault = null;
        await untilAnswer(gate, agent, 'allow');
    });

    it('deactivate: denied at once, the call cancelled, the token revoked, all confirmed',
        async () => {
            const { w } = held;
            const runtime = await w.runtime();
            const agent = await known(w, runtime.gate, 'stopped');
            const token = await w.as.token();
            await runtime.register(agent, token, { issuer: w.as.issuer });
            const { call } = await runtime.begin(agent, 'deploy');
            w.scim.put(agent, { active: false });
            const { jti } = await tell(w, 'deactivate', agent);
            assert.equal(await ask(runtime.gate, agent), 'agent_suspended');
            assert.equal(await call.ended, 'OUTCOME_CANCELLED');
            await until('the revocation', async () => !await w.as.isActive(token));
            for (const action of ['cancel', 'revoke']) {
                await untilRecord(w.bailiff, { kind: 'action', action, jti, outcome: 'confirmed' });
            }
        });

    it('an activate alone loosens nothing; with a fresh active read it releases', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = '/Agents/stopped';
        await tell(w, 'activate', agent);
        assert.equal(await ask(gate, agent), 'agent_suspended');
        w.scim.put(agent, { active: true });
        await tell(w, 'activate', agent);
        await untilAnswer(gate, agent, 'allow');
    });

    it('a stale replica releases nothing before the settle time', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, 'lagging');
        w.scim.fault = { stale: true };
        await tell(w, 'deactivate', agent);
        const start = now();
        await tell(w, 'activate', agent);
        do {
            const answer = await ask(gate, agent);
            if (now() - start < SETTLE_MS) assert.equal(answer, 'agent_suspended');
            await sleep(100);
        } while (now() - start < 1500);
        w.scim.fault = null;
    });

    it('a delete stays until an operator says otherwise', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, 'deleted');
        await tell(w, 'delete', agent);
        w.scim.put(agent, { active: true });
        await tell(w, 'activate', agent);
        await sleep(500);
        assert.notEqual(await ask(gate, agent), 'allow');
    });

    it('found_inactive: a read alone suspends', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, 'quiet');
        w.scim.put(agent, { active: false });
        await tell(w, 'patch:notice', agent);
        assert.notEqual(await ask(gate, agent), 'allow');
        await untilRecord(w.bailiff, { agent, hold: 'suspended' });
    });

    for (const [what, fault] of [
        ['401', { status: 401 }], ['403', { status: 403 }], ['500', { status: 500 }],
        ['429', { status: 429, headers: { 'retry-after': '1' } }], ['garbage', { garbage: true }],
        ['a truncated body', { truncated: true }], ['another id', { wrongId: true }],
        ['a redirect to another origin', { redirect: 'https://127.0.0.1:1' }],
        ['active as a string', { edit: (r) => ({ ...r, active: 'true' }) }],
        ['no active', { edit: ({ active, ...r }) => r }],
        ['all dead', 'down'], ['404 of everything', { status: 404 }],
    ]) {
        it(`${what} from SCIM: denied while it lasts, and it says nothing of the agent`,
            async () => {
                const { w } = held;
                const gate = w.gate();
                const agent = await known(w, gate, `f-${what.replace(/\W/g, '-')}`);
                w.scim.put(agent, { displayName: 'changed' });
                if (fault === 'down') await w.scim.stop();
                else w.scim.fault = fault;
                await tell(w, 'patch:notice', agent);
                assert.notEqual(await ask(gate, agent), 'allow');
                if (fault === 'down') await w.scim.restart();
                w.scim.fault = null;
                const holds = records(w.bailiff, { agent, event: 'found_gone' });
                assert.equal(holds.length, 0, 'it was taken for gone');
                w.scim.put(agent, { displayName: 'again' });
                await tell(w, 'patch:notice', agent);
                await untilAnswer(gate, agent, 'allow');
            });
    }

    it('404 for one agent of a healthy server means gone', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, 'gone');
        w.scim.remove(agent);
        await tell(w, 'patch:notice', agent);
        assert.notEqual(await ask(gate, agent), 'allow');
        await untilRecord(w.bailiff, { agent, hold: 'suspended' });
    });

    it('contradicting URIs in one SET: the restrictive one holds (9967-R9)', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, 'both');
        await tell(w, ['activate', 'deactivate'], agent);
        assert.equal(await ask(gate, agent), 'agent_suspended');
    });

    it('an event that nobody knows still forces a read (9967-R35)', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, 'odd');
        const before = reads(agent);
        w.scim.put(agent, { displayName: 'changed' });
        await tell(w, 'urn:ietf:params:scim:event:prov:frobnicate', agent, { payload: {} });
        assert.equal(await ask(gate, agent), 'allow');
        assert.equal(reads(agent), before + 1);
    });

    it('feed.remove leaves the agent uncovered until feed.add and a read', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, 'removed');
        await tell(w, 'feed:remove', agent);
        assert.equal(await ask(gate, agent), 'agent_uncovered');
        w.scim.put(agent, {});
        await tell(w, 'feed:add', agent);
        await untilAnswer(gate, agent, 'allow');
    });

    it('a Begin is never allowed after a restriction was answered', async () => {
        const { w } = held;
        const runtime = await w.runtime('racer');
        const agent = await known(w, runtime.gate, 'raced');
        let told = false;
        const answers = [];
        const asking = (async () => {
            for (let i = 0; i < 200; i++) {
                const before = told;
                const { answer, call } = await runtime.begin(agent, 'kb.search');
                answers.push([before, verdict(answer)]);
                if (call) call.ended.then(() => {});
            }
        })();
        await sleep(20);
        await tell(w, 'deactivate', agent);
        told = true;
        await asking;
        const late = answers.filter(([after]) => after);
        assert.ok(late.every(([, v]) => v === 'agent_suspended'), JSON.stringify(late));
        await until('all calls stopped', () => runtime.calls.size === 0);
    });
});

describe('age', () => {
    const held = useWorld({
        policy: POLICY.replace('max_age: 15m', 'max_age: 1s')
            .replace('{timeout: 20s}', '{timeout: 1s, when_old: {allow_for: 8s}}'),
    });

    it('an old read is repeated before the next answer, with a condition', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, 'old');
        await sleep(1100);
        assert.equal(await ask(gate, agent), 'allow');
        const [first, second] = w.scim.readsOf(agent);
        assert.equal(second.conditional?.replace('W/', ''), first.etag.replace('W/', ''));
        assert.equal(second.status, 304);
    });

    it('mere age is bridged while SCIM is away, a change is not', async () => {
        const { w } = held;
        const gate = w.gate();
        const aged = await known(w, gate, 'aged');
        const changed = await known(w, gate, 'changed');
        await w.scim.stop();
        await tell(w, 'patch:notice', changed);
        await sleep(1100);
        assert.equal(await ask(gate, aged), 'allow');
        assert.notEqual(await ask(gate, changed), 'allow');
        await until('the end of the bridge', async () => await ask(gate, aged) !== 'allow');
        await w.scim.restart();
        await untilAnswer(gate, aged, 'allow');
    });
});
