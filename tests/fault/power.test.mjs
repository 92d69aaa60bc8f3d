// SPDX-License-Identifier: Apache-2.0
// Power cuts: one life is recorded, every write, sync and rename of it; then the
// disk is cut at many points, each time with other leftovers of what was not
// synced, and the program starts on what is left. What was acknowledged before
// the cut must be in force; the log must verify, without its torn tail.
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { describe, it } from 'node:test';
import { join } from 'node:path';
import { sleep, until } from '../e2e/peers/wait.mjs';
import { World } from '../e2e/peers/world.mjs';
import { freshGate, suspended } from './lib/books.mjs';
import { Disk, filesOf, readTrace } from './lib/power.mjs';
import { sequence } from './lib/sequence.mjs';
import { shim } from './lib/shim.mjs';

const CUTS = Number(process.env.FAULT_CUTS ?? 60);
const SEED = Number(process.env.FAULT_SEED ?? 1);

/** A life of 40 statements; each remembers how long the trace was when it was acknowledged. */
async function record(w, trace) {
    const sent = [];
    const length = () => statSync(trace).size;
    await w.bailiff.start({
        env: shim('', { FAULT_TRACE: trace, FAULT_ROOT: w.bailiff.dataDir }),
    });
    await until('the key set', () => /event=loaded feed=hr /.test(w.bailiff.stderr));
    for (let i = 0; i < 40; i++) {
        const agent = w.agent(`p${i}`, { active: false });
        const answer = await w.idp.tell('deactivate', agent);
        if (answer.status === 202) sent.push({ agent, at: length() });
        if (i % 10 === 9) await sleep(250); // folding, checkpoints
    }
    await w.bailiff.stop();
    return sent;
}

/** Starts on what the cut has left. */
async function revive(w, sent, at, where) {
    const promised = sent.filter((e) => e.at <= at);
    await w.bailiff.start();
    const gate = freshGate(w);
    for (const { agent } of promised.slice(-4)) {
        await suspended(gate, agent, where);
    }
    const { json } = await w.bailiff.ask('agents', '--standing', 'held');
    assert.ok(json.agents.length >= promised.length,
        `${json.agents.length} of ${promised.length} are held ${where}`);
    await until(`a log that is intact and signed ${where}`,
        async () => (await w.bailiff.verifyLog()).code === 0);
    gate.close();
    await w.bailiff.kill();
}

describe(`${CUTS} power cuts`, () => {
    it('what was acknowledged is in force afterwards', async () => {
        const w = await World.make();
        const random = sequence(SEED);
        try {
            await w.bailiff.init();
            const { dataDir } = w.bailiff;
            const before = filesOf(dataDir), trace = join(w.dir, 'trace');
            const sent = await record(w, trace);
            assert.equal(sent.length, 40);
            const ops = readTrace(trace);
            assert.ok(ops.length > 200, `${ops.length} operations`);
            for (let cut = 0; cut < CUTS; cut++) {
                const upto = 1 + Math.floor(((cut + random(1000) / 1000) * ops.length) / CUTS);
                const disk = new Disk(before);
                for (const op of ops.slice(0, upto)) disk.play(op);
                rmSync(dataDir, { recursive: true });
                mkdirSync(dataDir, { mode: 0o700 });
                mkdirSync(join(dataDir, 'log'), { mode: 0o700 });
                disk.cut(dataDir, random);
                const at = ops[upto - 1].end;
                await revive(w, sent, at, `after operation ${upto} (FAULT_SEED=${SEED})`);
            }
        } catch (e) {
            e.message += `\n${w.bailiff.stderr}`;
            throw e;
        } finally {
            await w.close();
        }
    });
});
