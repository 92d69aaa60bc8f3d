// SPDX-License-Identifier: Apache-2.0
// Hostile and malformed tokens, each with the answer it must get; none of them
// may undo or lose what was accepted before.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TOKENS } from './peers/hostile.mjs';
import { signRaw } from './peers/keys.mjs';
import { ask, known, tell, useWorld } from './peers/scenario.mjs';

describe('the token-level negative list', () => {
    const held = useWorld();
    let gate;

    it('first accepts two deactivations', async () => {
        const { w } = held;
        gate = w.gate();
        for (const id of ['1', '2']) await tell(w, 'deactivate', await known(w, gate, id));
    });

    for (const [what, make, want, unknown] of TOKENS) {
        it(`${what}: ${want}`, async () => {
            const { w } = held;
            const token = await make(w.idp);
            const first = await w.idp.push(token);
            if (unknown && first.status === 503) {
                assert.ok(first.headers['retry-after']);
                return;
            }
            const seen = first.status === 400 ? first.json.err : first.status;
            assert.equal(seen, want, first.body);
            const again = await w.idp.push(token);
            assert.deepEqual([again.status, again.json?.err], [first.status, first.json?.err],
                'the same answer again (8935-R11)');
        });
    }

    it('nothing that was accepted is lost', async () => {
        for (const id of ['1', '2']) {
            assert.equal(await ask(gate, `/Agents/${id}`), 'agent_suspended');
        }
    });

    it('an authentic event that breaks the notice rules still forces a read (9967-R13)',
        async () => {
            const { w } = held;
            const agent = await known(w, gate, '3');
            const before = w.scim.readsOf(agent).length;
            w.scim.put(agent, { displayName: 'changed' });
            const { status } = await w.idp.tell('patch:notice', agent, { payload: {} });
            assert.equal(status, 400);
            assert.equal(await ask(gate, agent), 'allow');
            assert.equal(w.scim.readsOf(agent).length, before + 1);
        });

    it('a forged event does not force a read', async () => {
        const { w } = held;
        const agent = '/Agents/3';
        const before = w.scim.readsOf(agent).length;
        const token = signRaw(null, '{"alg":"none"}', JSON.stringify(w.idp.claims('patch', agent)));
        assert.equal((await w.idp.push(token)).status, 400);
        assert.equal(await ask(gate, agent), 'allow');
        assert.equal(w.scim.readsOf(agent).length, before);
    });
});
