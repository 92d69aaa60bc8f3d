// SPDX-License-Identifier: Apache-2.0
// Groups and owners: an event about somebody else that reaches agents.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ask, known, tell, untilAnswer, untilRecord, useWorld } from './peers/scenario.mjs';
import { POLICY } from './peers/world.mjs';

const RULES = `rules:
  - name: group-changed
    events: [patch, put, delete]
    subject: group
    applies_to: members
    do: [refresh]
  - name: owner-left
    events: deactivate
    subject: user
    applies_to: {owned_agents: {left: last_owner}}
    do:
      - hold: {review: {by: 'groups.value eq "g-managers"', within: 24h, otherwise: suspended}}
`;
const GATE = `gate:
  - {name: payments, tools: ["payments.*"], require: 'groups.value eq "g-pay"'}
`;
const policy = POLICY.replace('rules:\n', RULES).replace('gate:\n', GATE);

describe('groups and owners', () => {
    const held = useWorld({ policy });

    it('a group event makes its members stale; the gate then follows the new groups', async () => {
        const { w } = held;
        const gate = w.gate();
        const member = await known(w, gate, 'm', { groups: [{ value: 'g-pay' }] });
        const other = await known(w, gate, 'o');
        w.scim.put('/Groups/g-pay', { displayName: 'pay', members: [{ value: 'm' }] });
        assert.equal(await ask(gate, member, 'payments.refund'), 'allow');
        assert.equal(await ask(gate, other, 'payments.refund'), 'gate_rule');
        const before = w.scim.readsOf(other).length;
        w.scim.put(member, { groups: [] });
        w.scim.put('/Groups/g-pay', { members: [] });
        await tell(w, 'patch:notice', '/Groups/g-pay', { payload: { attributes: ['members'] } });
        assert.equal(await ask(gate, member, 'payments.refund'), 'gate_rule');
        assert.equal(await ask(gate, other), 'allow');
        assert.equal(w.scim.readsOf(other).length, before, 'not a member: not read');
    });

    it('a member that is added is read, too', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = '/Agents/m';
        w.scim.put(agent, { groups: [{ value: 'g-pay' }] });
        w.scim.put('/Groups/g-pay', { members: [{ value: 'm' }] });
        await tell(w, 'patch:notice', '/Groups/g-pay', { payload: { attributes: ['members'] } });
        await untilAnswer(gate, agent, 'allow', 'payments.refund');
    });

    it('the last owner leaves: the agent waits for a review, others go on', async () => {
        const { w } = held;
        const gate = w.gate();
        for (const user of ['u1', 'u2']) w.scim.put(`/Users/${user}`, { active: true });
        const orphan = await known(w, gate, 'orphan', { owners: [{ value: 'u1' }] });
        const shared = await known(w, gate, 'shared',
            { owners: [{ value: 'u1' }, { value: 'u2' }] });
        w.scim.put('/Users/u1', { active: false });
        await tell(w, 'deactivate', '/Users/u1');
        await untilAnswer(gate, orphan, 'agent_in_review');
        // Its own ETag has not changed: the read counts after the settle time.
        await untilAnswer(gate, shared, 'allow');
        await untilRecord(w.bailiff, { agent: orphan, hold: 'review' });
    });

    it('the review is listed; a person whom the policy does not name cannot decide it', async () => {
        const { w } = held;
        const list = await w.bailiff.ask('review', 'list');
        assert.equal(list.code, 0, list.stderr);
        assert.ok(list.stdout.includes('/Agents/orphan'), list.stdout);
        for (const verb of ['approve', 'deny']) {
            const answer = await w.bailiff.ask('review', verb, '/Agents/orphan',
                '--reason', 'not mine to say');
            assert.equal(answer.code, 1, answer.stdout + answer.stderr);
        }
        assert.equal(await ask(w.gate(), '/Agents/orphan'), 'agent_in_review');
    });

    it('an event about a group never stops an agent of that name', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, 'same');
        await tell(w, 'deactivate', '/Groups/same');
        await tell(w, 'deactivate', '/Users/same');
        assert.equal(await ask(gate, agent), 'allow');
    });
});
