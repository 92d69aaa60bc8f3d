// SPDX-License-Identifier: Apache-2.0
// What people decide: reviews that rules open, and jobs that do not get done.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ask, known, records, tell, untilAnswer, untilRecord, useWorld }
    from './peers/scenario.mjs';
import { sleep, until } from './peers/wait.mjs';
import { POLICY } from './peers/world.mjs';

/** A rule whose event opens a review that members of `group` decide. */
const review = (name, event, group, more) => `  - name: ${name}
    events: risc.${event}
    do: [{hold: {review: {by: 'groups.value eq "${group}"', ${more}}}}]
`;

describe('reviews', () => {
    const LOOK = 'credential-compromise';
    const BOARD = 'account-credential-change-required';
    const HURRY = 'identifier-changed';
    const policy = POLICY.replace('rules:\n', `rules:\n${
        review('look', LOOK, 'g-managers', 'within: 24h')}${
        review('board-only', BOARD, 'g-board', 'within: 24h')}${
        review('hurry', HURRY, 'g-managers', 'within: 4s, otherwise: suspended')}`);
    const held = useWorld({
        policy,
        configure: (c) => {
            c.operators[0].groups = ['g-staff', 'g-managers'];
            return c;
        },
    });
    const reviews = async () => (await held.w.bailiff.ask('review', 'list')).json.reviews;
    const decide = (verb, agent, ...more) =>
        held.w.bailiff.ask('review', verb, agent, '--reason', 'looked at it', ...more);

    /** An agent that waits for a review because of `event`. */
    async function waiting(id, event) {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, id);
        const { jti } = await tell(w, event, agent);
        assert.equal(await ask(gate, agent), 'agent_in_review');
        return { agent, gate, jti };
    }

    it('approve: the agent may act again, and the record says who and why', async () => {
        const { agent, gate, jti } = await waiting('1', LOOK);
        const [open] = (await reviews()).filter((r) => r.agent === agent);
        assert.equal(open.set_by, 'rule look');
        assert.ok(open.cause.includes(jti));
        assert.equal((await held.w.bailiff.ask('review', 'approve', agent)).code, 2, 'no reason');
        const answer = await decide('approve', agent);
        assert.equal(answer.code, 0, answer.stderr);
        assert.deepEqual([answer.json.lifted, answer.json.left], [1, []]);
        await untilAnswer(gate, agent, 'allow');
        await untilRecord(held.w.bailiff, {
            kind: 'operator', action: 'review_approve', agent, person: 'ops', why: 'looked at it',
        });
        assert.ok((await reviews()).every((r) => r.agent !== agent));
        assert.equal((await decide('approve', agent)).code, 1, 'nothing is left to approve');
    });

    it('deny: suspended until an operator lifts it, whatever is read', async () => {
        const { w } = held;
        const { agent, gate } = await waiting('2', LOOK);
        const answer = await decide('deny', agent);
        assert.equal(answer.code, 0, answer.stderr);
        assert.equal(await ask(gate, agent), 'agent_suspended');
        await untilRecord(w.bailiff, { kind: 'operator', action: 'review_deny', agent });
        w.scim.put(agent, { displayName: 'read again' });
        await tell(w, 'activate', agent);
        assert.equal(await ask(gate, agent), 'agent_suspended');
        assert.equal((await decide('approve', agent)).code, 1, 'too late');
        const lifted = await w.bailiff.ask('hold', 'lift', agent, '--reason', 'talked');
        assert.equal(lifted.code, 0, lifted.stderr);
        await untilAnswer(gate, agent, 'allow');
    });

    it('a review of another group is refused and stays', async () => {
        const { agent, gate } = await waiting('3', BOARD);
        for (const verb of ['approve', 'deny']) {
            const answer = await decide(verb, agent);
            assert.equal(answer.code, 1);
            assert.match(answer.stderr, /does not let you decide/);
        }
        assert.equal(await ask(gate, agent), 'agent_in_review');
    });

    it('of two reviews a person decides the one that is theirs', async () => {
        const { w } = held;
        const { agent, gate } = await waiting('4', BOARD);
        const { jti } = await tell(w, LOOK, agent);
        const answer = await decide('approve', agent);
        assert.equal(answer.code, 0, answer.stderr);
        assert.deepEqual(answer.json.left.map((h) => h.set_by), ['rule board-only']);
        assert.equal(await ask(gate, agent), 'agent_in_review');
        assert.equal((await decide('approve', agent, '--cause', jti)).code, 1, 'decided already');
    });

    it('nobody decides in time: suspended, without being asked', async () => {
        const { w } = held;
        const { agent, gate } = await waiting('5', HURRY);
        await untilRecord(w.bailiff, { agent, hold: 'suspended', rule: 'hurry' });
        assert.equal(await ask(gate, agent), 'agent_suspended');
        assert.ok((await reviews()).every((r) => r.agent !== agent));
        assert.equal((await decide('approve', agent)).code, 1, 'too late');
        assert.equal(records(w.bailiff, { kind: 'operator', agent }).length, 0);
    });
});

describe('jobs at an authorization server that fails', () => {
    const held = useWorld({
        policy: POLICY.replace('rules:\n', 'rules:\n  - name: urgent\n'
            + '    events: caep.session-revoked\n'
            + '    do: [{hold: suspended}, {revoke: {tokens: all, within: 1s}}]\n'),
    });
    const jobs = async (...more) => (await held.w.bailiff.ask('jobs', 'list', ...more)).json.jobs;
    const change = (verb, id) => held.w.bailiff.ask('jobs', verb, id, '--reason', 'by hand');

    /** A stopped agent whose token could not be revoked so far, and the job. */
    async function stuck(id, event = 'deactivate', headers = { 'retry-after': '20' }) {
        const { w } = held;
        const runtime = await w.runtime(`runtime-${id}`);
        const agent = await known(w, runtime.gate, id);
        const token = await w.as.token();
        await runtime.register(agent, token, { issuer: w.as.issuer });
        w.as.revocationFault = { status: 503, headers };
        await tell(w, event, agent);
        const job = await until('a failed attempt', async () =>
            (await jobs('--agent', agent)).find((j) => j.action === 'revoke' && j.last_error));
        return { agent, token, job, gate: runtime.gate };
    }

    it('the list says what failed and when it is tried again', async () => {
        const before = Date.now();
        const { job } = await stuck('1');
        assert.equal(job.attempts, 1);
        assert.match(job.last_error, /503/);
        const next = Date.parse(job.next_at);
        assert.ok(next >= before + 15000 && next <= Date.now() + 20500, `${next - before} ms`);
        assert.equal((await change('abandon', job.id)).code, 0);
    });

    it('retry does not wait and the job gets done', async () => {
        const { w } = held;
        const { agent, token, job } = await stuck('2');
        assert.equal((await w.bailiff.ask('jobs', 'retry', job.id)).code, 2, 'no reason');
        const again = await change('retry', job.id);
        assert.equal(again.code, 0, again.stderr);
        await until('the second attempt', async () =>
            (await jobs('--agent', agent)).find((j) => j.id === job.id)?.attempts === 2);
        w.as.revocationFault = null;
        await until('revoked', async () => {
            await change('retry', job.id);
            return !await w.as.isActive(token);
        });
        await untilRecord(w.bailiff,
            { kind: 'action', action: 'revoke', agent, outcome: 'confirmed' });
        await untilRecord(w.bailiff,
            { kind: 'operator', action: 'job_retry', agent, person: 'ops', why: 'by hand' });
        assert.equal((await change('retry', job.id)).code, 1, 'it has ended');
    });

    it('abandon ends it for good, never as confirmed; the hold stays', async () => {
        const { w } = held;
        const { agent, token, job, gate } = await stuck('3', 'deactivate', {});
        const ended = await change('abandon', job.id);
        assert.equal(ended.code, 0, ended.stderr);
        assert.equal(ended.json.state, 'abandoned');
        await untilRecord(w.bailiff, { kind: 'action', agent, outcome: 'abandoned' });
        await untilRecord(w.bailiff, { kind: 'operator', action: 'job_abandon', agent });
        const tried = w.as.revocations.length;
        w.as.revocationFault = null;
        await sleep(1200);
        assert.equal(w.as.revocations.length, tried, 'tried again');
        assert.equal(await w.as.isActive(token), true);
        assert.equal(records(w.bailiff, { action: 'revoke', agent, outcome: 'confirmed' }).length,
            0);
        for (const verb of ['retry', 'abandon']) assert.equal((await change(verb, job.id)).code, 1);
        assert.equal(await ask(gate, agent), 'agent_suspended');
    });

    it('a deadline that passes is a failure', async () => {
        const { w } = held;
        const { agent, job } = await stuck('4', 'session-revoked');
        await untilRecord(w.bailiff,
            { kind: 'action', action: 'revoke', agent, outcome: 'failed' });
        const [failed] = await jobs('--agent', agent, '--state', 'failed');
        assert.equal(failed.id, job.id);
        assert.equal((await change('retry', job.id)).code, 1, 'it has ended');
    });

    it('what is no job is not found', async () => {
        for (const id of ['0000000000000000', 'ffffffffffffffff', 'x', '']) {
            assert.notEqual((await change('abandon', id)).code, 0, id);
        }
    });
});

describe('jobs that a limit withholds', () => {
    const held = useWorld({
        policy: `${POLICY}limits: {suspend: {max: 1, per: 5m}}\n`,
    });
    const many = (verb, ...more) => held.w.bailiff.ask('jobs', verb, '--withheld', ...more);

    it('are counted, then let go together', async () => {
        const { w } = held;
        const runtime = await w.runtime('many');
        const tokens = [];
        for (let i = 0; i < 6; i++) {
            const agent = await known(w, runtime.gate, `limit-${i}`);
            tokens.push(await w.as.token());
            await runtime.register(agent, tokens[i], { issuer: w.as.issuer });
            await tell(w, 'deactivate', agent);
        }
        const active = async () => (await Promise.all(tokens.map((t) => w.as.isActive(t))))
            .filter(Boolean).length;
        const listed = await until('five that wait', async () => {
            const r = await many('retry', '--rule', 'stop');
            return r.json.jobs.length === 5 && r;
        });
        assert.equal(listed.code, 1, 'nothing was done');
        assert.equal((await many('retry', '--count', '6', '--reason', 'x')).code, 1);
        assert.equal((await many('retry', '--rule', 'other', '--count', '0', '--reason', 'x')).code, 1);
        await until('one revoked', async () => await active() === 5);
        const one = await many('abandon', '--agent', '/Agents/limit-5', '--count', '1',
            '--reason', 'not this one');
        assert.equal(one.code, 0, one.stderr);
        const rest = await many('retry', '--rule', 'stop', '--count', '4', '--reason', 'all well');
        assert.equal(rest.code, 0, rest.stderr);
        assert.equal(rest.json.changed.length, 4);
        await until('four more revoked', async () => await active() === 1);
        const said = (action) => records(w.bailiff, { kind: 'operator', action });
        await until('their records', () => said('job_retry').length === 4);
        assert.equal(said('job_abandon').length, 1);
        assert.ok(said('job_retry').every((r) => r.why === 'all well' && r.person === 'ops'));
    });
});
