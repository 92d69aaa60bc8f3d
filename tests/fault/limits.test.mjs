// SPDX-License-Identifier: Apache-2.0
// Few descriptors and little memory (F14, F15): requests may be refused; what is
// running stays well, comes back, and keeps what it acknowledged.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { ask, audited, known, untilAnswer } from '../e2e/peers/scenario.mjs';
import { sleep, until } from '../e2e/peers/wait.mjs';
import { World } from '../e2e/peers/world.mjs';
import { freshGate, suspended } from './lib/books.mjs';

const keysLoaded = (w) => until('the key set', () =>
    /event=loaded feed=hr /.test(w.bailiff.stderr));

/** Opens up to `n` connections to the push address and leaves them there. */
const crowd = (w, n) => Array.from({ length: n }, () => {
    const s = connect(w.ports.push, '127.0.0.1');
    s.on('error', () => { /* refused, or cut: what it is for */ });
    return s;
});

describe('few descriptors', () => {
    it('64 of them and 200 connections: the disk still gets its share', async () => {
        const w = await World.make();
        try {
            await w.bailiff.init();
            await w.bailiff.start({ wrap: ['prlimit', '--nofile=64:64', '--'] });
            await keysLoaded(w);
            const gate = freshGate(w);
            const agent = await known(w, gate, 'one');
            const sockets = crowd(w, 200);
            await sleep(300);
            // The connection that is there goes on working, and is recorded.
            await untilAnswer(gate, agent, 'allow');
            const other = w.agent('two');
            const answer = await ask(gate, other); // needs a new connection to SCIM
            assert.ok(['allow', 'refresh_failed', 'refresh_pending'].includes(answer), answer);
            for (const s of sockets) s.destroy();
            await untilAnswer(gate, other, 'allow');
            const set = await w.idp.mint('deactivate', agent);
            await until('202', async () => (await w.idp.push(set)).status === 202);
            assert.equal(await ask(gate, agent), 'agent_suspended');
            gate.close();
            await until('descriptors to come back', () =>
                readdirSync(`/proc/${w.bailiff.pid}/fd`).length < 50);
            await audited(w);
        } finally {
            await w.close();
        }
    });
});

describe('little memory', () => {
    it('an address space that is used up: refusals, no crash, nothing lost', async () => {
        const w = await World.start();
        try {
            const gate = freshGate(w), kept = [];
            let refused = 0;
            await known(w, gate, 'alive');
            execFileSync('prlimit', ['--pid', w.bailiff.pid, `--as=${mapped(w) + (2 << 20)}`]);
            for (let round = 0; round < 25; round++) {
                const sets = await Promise.all(Array.from({ length: 40 }, (_, i) =>
                    w.idp.mint('deactivate', w.agent(`r${round}-${i}`, { active: false }))));
                const answers = await Promise.all(sets.map((s) => w.idp.push(s)
                    .catch(() => ({ status: 0 }))));
                answers.forEach((a, i) => {
                    assert.ok([202, 503, 429, 0].includes(a.status), `${a.status} ${a.body}`);
                    if (a.status === 202) kept.push(sets[i].claims.sub_id.uri);
                    else refused++;
                });
            }
            for (const agent of kept.slice(0, 5)) {
                assert.notEqual(await ask(gate, agent).catch(() => 'refused'), 'allow');
            }
            gate.close();
            const { code, signal } = await w.bailiff.stop();
            assert.deepEqual([[0, 3].includes(code), signal], [true, null], w.bailiff.stderr);
            await w.bailiff.start();
            const again = freshGate(w);
            for (const agent of kept) await suspended(again, agent, 'it was acknowledged');
            again.close();
            await audited(w);
            console.log(`${kept.length} acknowledged, ${refused} refused`);
        } finally {
            await w.close();
        }
    });
});

describe('a start with too little', () => {
    let w, bytes;
    before(async () => {
        w = await World.start();
        bytes = mapped(w);
        await w.bailiff.stop();
    });
    after(() => w.close());

    for (const n of [8, 10, 12, 14, 16, 20, 24, 32]) {
        it(`${n} descriptors: it starts, or says why not`, () =>
            startsOrSaysWhyNot(w, ['prlimit', `--nofile=${n}:${n}`, '--']));
    }

    for (const part of [0.1, 0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]) {
        it(`${part} of its address space: it starts, or says why not`, () =>
            startsOrSaysWhyNot(w, ['prlimit', `--as=${Math.floor(bytes * part)}`, '--']));
    }
});

/** Bytes of address space of the running program. */
function mapped(w) {
    const [pages] = readFileSync(`/proc/${w.bailiff.pid}/statm`, 'utf8').split(' ');
    return Number(pages) * 4096;
}

/** Under `wrap` it starts and stops, or ends with a reason; and without it, it is well. */
async function startsOrSaysWhyNot(w, wrap) {
    const started = await w.bailiff.start({ wrap }).then(() => true, () => false);
    if (started) await w.bailiff.stop();
    const { code, signal } = await w.bailiff.exited;
    assert.equal(signal, null, w.bailiff.stderr);
    // 127: the loader could not map the libraries
    assert.ok(started ? code === 0 : [3, 127].includes(code), `${code}: ${w.bailiff.stderr}`);
    assert.notEqual(w.bailiff.stderr, '');
    await w.bailiff.start();
    await audited(w);
}
