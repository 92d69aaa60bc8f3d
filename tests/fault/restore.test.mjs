// SPDX-License-Identifier: Apache-2.0
// SIGKILL at every call of `bailiff restore` that reaches the disk, and power
// cuts while it runs: the next start finds the old database, with all that was
// acknowledged, or the backup, moved beyond what was given out. Never a third
// thing, and restore can be run again.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BINARY } from '../e2e/peers/bailiff.mjs';
import { known, records, tell, untilAnswer, verdict } from '../e2e/peers/scenario.mjs';
import { until } from '../e2e/peers/wait.mjs';
import { World } from '../e2e/peers/world.mjs';
import { freshGate } from './lib/books.mjs';
import { Disk, filesOf, readTrace } from './lib/power.mjs';
import { sequence } from './lib/sequence.mjs';
import { shim, Switch } from './lib/shim.mjs';

const CUTS = Number(process.env.FAULT_CUTS ?? 40);
const SEED = Number(process.env.FAULT_SEED ?? 1);

describe('restore', () => {
    let w, copy, snapshot, early, late, epochs;

    const restore = (env = {}) => spawnSync(BINARY,
        ['restore', copy, '--force', '-c', w.bailiff.configFile, '--json'],
        { cwd: w.bailiff.dir, env: { ...process.env, ...env }, encoding: 'utf8' });

    /** The directory as it was when the sidecar died, with all that is in its WAL. */
    function begin() {
        rmSync(w.bailiff.dataDir, { recursive: true });
        cpSync(snapshot, w.bailiff.dataDir, { recursive: true });
    }

    /** What is in force, and that nothing is given out twice. @returns 'old' or 'new' */
    async function look(where) {
        const { json } = await w.bailiff.ask('agents', '--standing', 'held');
        const held = json.agents.map((a) => a.uri).sort();
        const state = held.length === 1 ? 'new' : 'old';
        const marks = () => records(w.bailiff, { kind: 'log', outcome: 'store_restored' }).length;
        assert.deepEqual(held, state === 'new' ? [early] : [early, late, w.alive].sort(), where);
        await until(`the record of a restore ${where}`,
            () => marks() === (state === 'new' ? 1 : 0));
        const gate = freshGate(w);
        const answer = await gate.check(late, 'kb.search');
        gate.close();
        assert.notEqual(verdict(answer), 'allow', where);
        assert.ok(Number(answer.epoch) > epochs, `${where}: epoch ${answer.epoch} is not new`);
        await until(`a log that is intact and signed ${where}`,
            async () => (await w.bailiff.verifyLog()).code === 0);
        assert.equal(marks(), state === 'new' ? 1 : 0, where);
        return state;
    }

    /** Starts on what is there. */
    async function whichState(where) {
        await w.bailiff.start();
        try {
            return await look(where);
        } finally {
            await w.bailiff.kill();
        }
    }

    before(async () => {
        w = await World.start();
        copy = join(w.dir, 'copy.db');
        snapshot = join(w.dir, 'snapshot');
        const gate = w.gate();
        w.alive = await known(w, gate, 'alive');
        [early, late] = [await known(w, gate, 'early'), await known(w, gate, 'late')];
        w.scim.put(early, { active: false });
        await tell(w, 'deactivate', early);
        await untilAnswer(gate, early, 'agent_suspended');
        const made = await w.bailiff.cli('backup', copy, '-c', w.bailiff.configFile);
        assert.equal(made.code, 0, made.stderr);
        w.scim.put(late, { active: false });
        await tell(w, 'deactivate', late);
        const held = await w.bailiff.ask('hold', 'add', w.alive, '--reason', 'after the backup');
        assert.equal(held.code, 0, held.stderr);
        await w.bailiff.kill();
        epochs = Math.max(...w.bailiff.log().map((r) => r.epoch ?? 0));
        cpSync(w.bailiff.dataDir, snapshot, { recursive: true });
    });
    after(() => w.close());

    /** Nothing is in the way of another attempt. */
    function restoresNow(where) {
        const { status, stderr } = restore();
        assert.equal(status, 0, `${where}: ${stderr}`);
        assert.ok(!readdirSync(w.bailiff.dataDir).includes('restore'), where);
    }

    // Death after a call is death before the next one.
    for (const [how, calls] of [['kill', 'write+sync+name+truncate'], ['torn', 'write']]) {
        it(`death at each call that reaches the disk (${how})`, async () => {
            const s = new Switch(w.dir), seen = { old: 0, new: 0 };
            begin();
            const whole = restore(s.counted(`${calls}:/data:1000000000:kill`));
            assert.equal(whole.status, 0, whole.stderr);
            const points = s.count;
            assert.ok(points > 10, `${points} calls`);
            for (let n = 1; n <= points; n++) {
                const where = `${how} at call ${n} of ${points}`;
                begin();
                const killed = restore(s.counted(`${calls}:/data:${n}:${how}`));
                assert.equal(killed.signal, 'SIGKILL', `${where}: ${killed.stderr}`);
                seen[await whichState(where)]++;
                restoresNow(where);
            }
            console.log(`${how}: ${points} deaths left ${seen.old} old and ${seen.new} new states`);
            assert.ok(seen.old > 0 && (how === 'torn' || seen.new > 0), 'all left the same');
        });
    }

    it(`${CUTS} power cuts`, async () => {
        const random = sequence(SEED), trace = join(w.dir, 'trace'), seen = { old: 0, new: 0 };
        const { dataDir } = w.bailiff;
        begin();
        const before = filesOf(dataDir);
        const whole = restore(shim('', { FAULT_TRACE: trace, FAULT_ROOT: dataDir }));
        assert.equal(whole.status, 0, whole.stderr);
        const ops = readTrace(trace);
        assert.ok(ops.length > 30, `${ops.length} operations`);
        for (let cut = 0; cut < CUTS; cut++) {
            /* Most of the danger is where files change places, at the end. */
            const upto = cut % 2 ? ops.length - random(12)
                : 1 + Math.floor((cut * ops.length) / CUTS);
            const where = `after operation ${upto} of ${ops.length} (FAULT_SEED=${SEED})`;
            const disk = new Disk(before);
            for (const op of ops.slice(0, upto)) disk.play(op);
            rmSync(dataDir, { recursive: true });
            mkdirSync(join(dataDir, 'log'), { recursive: true, mode: 0o700 });
            disk.cut(dataDir, random);
            seen[await whichState(where)]++;
            restoresNow(where);
        }
        console.log(`${CUTS} power cuts left ${seen.old} old and ${seen.new} new states`);
        assert.ok(seen.old > 0 && seen.new > 0, 'all left the same');
    });
});
