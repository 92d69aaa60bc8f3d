// SPDX-License-Identifier: Apache-2.0
// kill -9 while events stream in, again and again; then the books are compared:
// what was acknowledged must be in effect, once, and the log must verify.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ask, audited, known, records } from './peers/scenario.mjs';
import { sleep, until } from './peers/wait.mjs';
import { World } from './peers/world.mjs';

const KILLS = Number(process.env.E2E_KILLS ?? 50);
const PER_ROUND = 12;

/** A repeatable sequence of numbers below `n` (a linear congruence). */
function sequence(seed) {
    let state = seed;
    return (n) => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return state % n;
    };
}

describe(`${KILLS} crashes`, () => {
    it('every acknowledged event is in effect, once; the log verifies', async () => {
        const seed = Number(process.env.E2E_SEED ?? 1);
        const random = sequence(seed);
        const w = await World.start();
        try {
            const sent = await crashes(w, random);
            await settle(w, sent);
            await compare(w, sent, seed);
            await audited(w);
        } finally {
            await w.close();
        }
    });
});

/** Kills it while events stream in; returns what was sent, by jti. */
async function crashes(w, random) {
    const sent = new Map();
    for (let round = 0; round < KILLS; round++) {
        const streaming = stream(w, sent, round);
        await sleep(random(60));
        await w.bailiff.kill();
        await streaming;
        await w.bailiff.start();
    }
    return sent;
}

/** Deactivates a handful of agents, by push and by poll, whatever becomes of it. */
async function stream(w, sent, round) {
    await Promise.all(Array.from({ length: PER_ROUND }, async (_, i) => {
        const agent = w.agent(`c${round}-${i}`, { active: false });
        const set = await w.idp.mint('deactivate', agent);
        const entry = { agent, set, acked: false };
        sent.set(set.jti, entry);
        if (i % 3 === 0) {
            entry.item = w.idp.stream('hr').queue(set.jti, set.token);
            return;
        }
        const answer = await w.idp.push(set).catch(() => null);
        entry.acked = answer?.status === 202;
        assert.ok(!answer || [202, 503].includes(answer.status), answer?.body);
    }));
}

/** What polling still owes is delivered; pushes that failed are not repeated. */
async function settle(w, sent) {
    await until('all polled events', () =>
        [...sent.values()].every((e) => !e.item || e.item.ackedAt));
    for (const e of sent.values()) if (e.item) e.acked = true;
}

async function compare(w, sent, seed) {
    const gate = w.gate();
    const acked = [...sent.values()].filter((e) => e.acked);
    assert.ok(acked.length > KILLS, `only ${acked.length} were acknowledged (seed ${seed})`);
    const probe = await known(w, gate, 'alive');
    assert.equal(await ask(gate, probe), 'allow');
    for (const { agent, set } of acked) {
        const answer = await ask(gate, agent);
        assert.equal(answer, 'agent_suspended', `${set.jti} was acknowledged (seed ${seed})`);
    }
    const seen = new Map();
    for (const r of records(w.bailiff, { kind: 'event', event: 'deactivate' })) {
        if (!sent.has(r.jti) || r.outcome === 'duplicate') continue;
        seen.set(r.jti, (seen.get(r.jti) ?? 0) + 1);
    }
    for (const { set } of acked) {
        assert.equal(seen.get(set.jti), 1, `${set.jti} in the log (seed ${seed})`);
    }
    assert.ok([...seen.values()].every((n) => n === 1), `accepted twice (seed ${seed})`);
}
