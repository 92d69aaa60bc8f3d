// SPDX-License-Identifier: Apache-2.0
// Disks that are full, fail or lie: the states of the store and the log, how
// they are shown, and that nothing acknowledged is lost (F1, F2).
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ask, audited, known, records, untilAnswer, untilRecord } from '../e2e/peers/scenario.mjs';
import { until } from '../e2e/peers/wait.mjs';
import { World } from '../e2e/peers/world.mjs';
import { freshGate, suspended } from './lib/books.mjs';
import { Switch } from './lib/shim.mjs';

const keysLoaded = (w) => until('the key set', () =>
    /event=loaded feed=hr /.test(w.bailiff.stderr));
const http = async (w, path) => {
    const answer = await fetch(`http://127.0.0.1:${w.ports.metrics}${path}`);
    return { status: answer.status, body: await answer.text() };
};
/** Diagnostics and records have threads of their own: an answer may be first. */
const untilSaid = (w, word) => until(`${word} on standard error`, () => word.test(w.bailiff.stderr));
const untilLogged = (w, outcome) => untilRecord(w.bailiff, { kind: 'log', outcome });
const metric = async (w, line) => (await http(w, '/metrics')).body.includes(`${line}\n`);

/** A world whose program meets `fault` while the switch is on. */
async function faulty(fault) {
    const w = await World.make();
    await w.bailiff.init();
    const s = new Switch(w.dir);
    await w.bailiff.start({ env: s.env(fault) });
    await keysLoaded(w);
    return { w, s, gate: freshGate(w) };
}

/** Deactivates a new agent; resolves with [agent, status]. */
async function deactivate(w, id) {
    const agent = w.agent(id, { active: false });
    return [agent, (await w.idp.tell('deactivate', agent)).status];
}

async function blocksAndRecovers(w, gate, fill, free) {
    const alive = await known(w, gate, 'alive');
    const [kept, status] = await deactivate(w, 'before');
    assert.equal(status, 202);
    fill();
    const refused = await until('a refusal', async () => {
        const [agent, answer] = await deactivate(w, `full${Math.random()}`);
        return answer === 503 && agent;
    });
    assert.equal(await ask(gate, refused), 'store_blocked');
    assert.equal(await ask(gate, alive), 'store_blocked');
    const ready = await http(w, '/readyz');
    assert.equal(ready.status, 503);
    assert.match(ready.body, /store_blocked/);
    assert.ok(await metric(w, 'bailiff_store_state{state="blocked"} 1'));
    await untilSaid(w, /level=error component=store event=blocked /);
    const status1 = await w.bailiff.ask('status');
    assert.equal(status1.code, 1);
    assert.equal(status1.json.store, 'blocked');
    free();
    await untilAnswer(gate, alive, 'allow');
    assert.equal((await http(w, '/readyz')).status, 200);
    await untilSaid(w, /component=store event=recovered/);
    await suspended(gate, refused, 'it was in memory, and the row was kept');
    await suspended(gate, kept, 'it was acknowledged');
    assert.equal((await deactivate(w, 'later'))[1], 202);
    for (const outcome of ['store_blocked', 'store_recovered']) await untilLogged(w, outcome);
}

describe('a full disk under the database', () => {
    it('blocks and recovers (ENOSPC in every write)', async () => {
        const { w, s, gate } = await faulty('write:bailiff.db:1:ENOSPC:0');
        try {
            await blocksAndRecovers(w, gate, () => s.on(), () => s.off());
            await audited(w);
        } finally {
            gate.close();
            await w.close();
        }
    });
});

/** An error that does not pass: latched, said, exit 3, nothing acknowledged lost. */
async function poisons(fault, { word, record }) {
    const { w, s, gate } = await faulty(fault);
    try {
        const alive = await known(w, gate, 'alive');
        const [kept, status] = await deactivate(w, 'before');
        assert.equal(status, 202);
        s.on();
        const [, refused] = await deactivate(w, 'after').catch(() => [null, 503]);
        if (word === 'poisoned') assert.equal(refused, 503);
        // What it still answers until it is gone is a deny.
        for (let i = 0; i < 50; i++) {
            const answer = await ask(gate, alive).catch(() => 'gone');
            assert.notEqual(i > 0 && word === 'poisoned' && answer, 'allow');
            if (answer === 'gone') break;
        }
        assert.deepEqual(await w.bailiff.exited, { code: 3, signal: null }, w.bailiff.stderr);
        assert.match(w.bailiff.stderr, new RegExp(word));
        assert.match(w.bailiff.stderr, /event=fatal/);
        if (record) {
            assert.ok(records(w.bailiff, { kind: 'log' }).some((r) => r.outcome === record));
        }
        s.off();
        await w.bailiff.start();
        const again = freshGate(w);
        await suspended(again, kept, 'it was acknowledged before');
        await untilAnswer(again, alive, 'allow');
        again.close();
        await audited(w);
    } finally {
        gate.close();
        await w.close();
    }
}

describe('errors that latch', () => {
    const STORE = { word: 'poisoned', record: 'store_poisoned' }, LOG = { word: 'cannot be written' };
    for (const [what, fault, how] of [
        ['EIO in a write of the WAL', 'write:bailiff.db-wal:1:EIO', STORE],
        ['a failed fsync of the WAL', 'sync:bailiff.db-wal:1:EIO', STORE],
        ['EIO in a write of the log', 'write:.jsonl:1:EIO', LOG],
        ['a failed fsync of the log', 'sync:.jsonl:1:EIO', LOG],
        ['EIO in a write of the log checkpoint', 'write:checkpoint:1:EIO', LOG],
        ['a failed fsync of the log checkpoint', 'sync:checkpoint:1:EIO', LOG],
    ]) it(what, () => poisons(fault, how));
});

describe('a checkpoint of the WAL that fails at the end', () => {
    for (const [what, fault] of [
        ['in a write', 'write:bailiff.db$:1:EIO:0'], ['in its fsync', 'sync:bailiff.db$:1:EIO:0'],
    ]) {
        it(what, async () => {
            const { w, s, gate } = await faulty(fault);
            try {
                const [kept, status] = await deactivate(w, 'before');
                assert.equal(status, 202);
                s.on();
                const { code } = await w.bailiff.stop();
                assert.equal(code, 3, w.bailiff.stderr);
                s.off();
                await w.bailiff.start();
                const again = freshGate(w);
                await suspended(again, kept, 'it is in the WAL');
                again.close();
                await audited(w);
            } finally {
                gate.close();
                await w.close();
            }
        });
    }
});

describe('a full disk under the decision log', () => {
    it('stalls answers, then recovers', async () => {
        const { w, s, gate } = await faulty('write:.jsonl:1:ENOSPC:0');
        try {
            const alive = await known(w, gate, 'alive');
            s.on();
            await untilAnswer(gate, alive, 'log_stalled');
            await untilSaid(w, /component=records event=full/);
            assert.equal(await ask(gate, alive), 'log_stalled');
            s.off();
            await untilAnswer(gate, alive, 'allow');
            await untilSaid(w, /component=records event=recovered/);
            await audited(w);
        } finally {
            gate.close();
            await w.close();
        }
    });
});
