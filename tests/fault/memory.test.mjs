// SPDX-License-Identifier: Apache-2.0
// The n-th allocation of the whole process fails, in whatever library it is,
// with n spread over a life that starts, takes an event, answers, revokes and
// stops. It may refuse to start and refuse requests; it may not crash, allow
// what is held, or forget what it acknowledged.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { sleep } from '../e2e/peers/wait.mjs';
import { World } from '../e2e/peers/world.mjs';
import { Books, freshGate } from './lib/books.mjs';
import { Switch } from './lib/shim.mjs';

const POINTS = Number(process.env.FAULT_ALLOCATIONS ?? 120);

/** One life's requests; those that fail for want of memory are no matter. */
async function work(w, books, round) {
    const gate = freshGate(w);
    const agent = w.agent(`m${round}`, { active: false });
    await gate.check(w.alive, 'kb.search').catch(() => {});
    await books.push('deactivate', agent);
    const after = await gate.check(agent, 'kb.search').catch(() => null);
    if (books.sent.at(-1).acked && after) {
        assert.equal(after.decision, 'DECISION_DENY', `${agent} was suspended`);
    }
    gate.close();
}

/** Lives with one failing allocation; the exit code tells how it bore it. */
async function live(w, books, n) {
    const s = new Switch(w.dir);
    await w.bailiff.start({ env: s.counted(`alloc::${n}:ENOMEM`) }).catch(() => {});
    const gone = await Promise.race([w.bailiff.exited, sleep(0)]);
    if (!gone) {
        await work(w, books, n).finally(() => w.bailiff.signal('SIGTERM'));
    }
    const { code, signal } = await w.bailiff.exited;
    assert.ok(signal === null && [0, 3].includes(code),
        `allocation ${n}: ended with ${signal ?? code}\n${w.bailiff.stderr}`);
    return s.count;
}

describe(`${POINTS} failing allocations`, () => {
    it('no crash, nothing loosened, nothing forgotten', async () => {
        const w = await World.start();
        const books = new Books(w);
        try {
            w.alive = w.agent('alive');
            await w.bailiff.stop();
            const all = await live(w, books, 1000000000);
            assert.ok(all > 1000, `${all} allocations`);
            const crashes = [];
            for (let i = 0; i < POINTS; i++) {
                const n = 1 + Math.floor((i * all) / POINTS);
                await live(w, books, n).catch((e) => crashes.push(e.message));
            }
            assert.deepEqual(crashes, []);
            await w.bailiff.start();
            await books.compare(freshGate(w));
        } finally {
            await w.close();
        }
    });
});
