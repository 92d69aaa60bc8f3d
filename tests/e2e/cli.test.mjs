// SPDX-License-Identifier: Apache-2.0
// Operator commands against a running sidecar.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ask, known, tell, untilAnswer, untilRecord, useWorld } from './peers/scenario.mjs';

describe('operator commands', () => {
    const held = useWorld();
    const has = (value, text) => JSON.stringify(value).includes(text);

    it('agents list and show tell the state and why', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, '1');
        const { jti } = await tell(w, 'deactivate', agent);
        const list = await w.bailiff.ask('agents', 'list');
        assert.equal(list.code, 0, list.stderr);
        assert.ok(has(list.json, agent), list.stdout);
        const one = await w.bailiff.ask('agents', 'show', agent);
        assert.equal(one.code, 0, one.stderr);
        assert.ok(has(one.json, 'suspended') && has(one.json, jti), one.stdout);
        assert.equal((await w.bailiff.ask('agents', 'show', '/Agents/none')).code, 1);
    });

    it('hold add and lift need a reason, act at once and are records', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, '2');
        assert.equal((await w.bailiff.ask('hold', 'add', agent)).code, 2);
        const added = await w.bailiff.ask('hold', 'add', agent, '--reason', 'drill');
        assert.equal(added.code, 0, added.stderr);
        assert.equal(await ask(gate, agent), 'agent_suspended');
        await untilRecord(w.bailiff, { kind: 'operator', agent, person: 'ops', why: 'drill' });
        const lifted = await w.bailiff.ask('hold', 'lift', agent, '--reason', 'drill is over');
        assert.equal(lifted.code, 0, lifted.stderr);
        await untilAnswer(gate, agent, 'allow');
    });

    it('feeds and jobs are listed', async () => {
        const { w } = held;
        const feeds = await w.bailiff.ask('feeds');
        assert.equal(feeds.code, 0, feeds.stderr);
        assert.ok(has(feeds.json, 'hr'), feeds.stdout);
        const jobs = await w.bailiff.ask('jobs', 'list');
        assert.equal(jobs.code, 0, jobs.stderr);
        assert.ok(jobs.json, jobs.stdout);
    });

    it('a sidecar that does not run is an environment error', async () => {
        const { w } = held;
        const { code } = await w.bailiff.cli('agents', 'list', '--socket', '/nonexistent.sock');
        assert.equal(code, 3);
    });
});
