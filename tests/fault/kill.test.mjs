// SPDX-License-Identifier: Apache-2.0
// SIGKILL at every point of the path: before, in the middle of and after the
// n-th write, sync, rename, open, send of a life that starts, takes events,
// answers, revokes, cancels and stops. After each death a new life must keep
// every promise of the one before.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { audited } from '../e2e/peers/scenario.mjs';
import { sleep, until } from '../e2e/peers/wait.mjs';
import { World } from '../e2e/peers/world.mjs';
import { allowed, Books, freshGate, freshRuntime } from './lib/books.mjs';
import { sequence } from './lib/sequence.mjs';
import { Switch } from './lib/shim.mjs';

const KILLS = Number(process.env.FAULT_KILLS ?? 310);
const SEED = Number(process.env.FAULT_SEED ?? 1);

/** [calls, path, how]; each is swept over the calls that a whole life makes. */
const SWEEPS = [
    ['write+sync', 'bailiff.db-wal', 'late'], ['write', 'bailiff.db-wal', 'torn'],
    ['sync', 'bailiff.db', 'kill'], ['sync', 'bailiff.db', 'after'],
    ['write', '.jsonl', 'torn'], ['sync', '/log', 'after'], ['name+open+truncate', '/data/', 'after'],
    ['write', 'checkpoint', 'torn'], ['write+send', 'socket:', 'kill'],
    ['write+send', 'socket:', 'after'], ['any', '', 'kill'],
];

/** One life's work; whatever fails because the program died is no matter. */
async function work(w, books, round) {
    const gate = freshGate(w), runtime = freshRuntime(w);
    const names = ['a', 'b', 'c'].map((x) => w.agent(`${x}${round}`));
    try {
        await runtime.watch();
        const { call } = await runtime.begin(names[0], 'kb.search');
        const access = await w.as.token();
        const registered = await runtime.register(names[0], access, { issuer: w.as.issuer })
            .then(() => true, () => false);
        w.scim.put(names[0], { active: false });
        w.scim.put(names[1], { active: false });
        await books.offer('deactivate', names[1]);
        await books.push('deactivate', names[0], { call, access, registered });
        await books.hold(names[2]);
        await gate.check(w.alive, 'kb.search');
        await sleep(20);
        for (const d of runtime.directives) books.told.add(d.agent?.uri);
    } catch {
        /* it died */
    }
    // Calls that run on are told to the next life.
    for (const call of runtime.calls.values()) books.running.set(call.callId, call);
    runtime.close();
    gate.close();
}

/** The life after: promises are kept, what is running is stopped. */
async function audit(w, books) {
    const gate = freshGate(w), runtime = freshRuntime(w);
    runtime.calls = books.running;
    await runtime.watch();
    await books.restrictionsHold(gate);
    await allowed(gate, w.alive);
    runtime.close();
    gate.close();
    await books.logVerifies();
    // Runtimes report what must still be stopped, and end the rest by themselves.
    const owed = new Set(books.acked.map((e) => e.call?.callId));
    books.running = new Map([...books.running].filter(([id]) => owed.has(id)));
}

/** Lives until it is killed by the shim, or stopped when the sweep is over. */
async function live(w, books, env, round) {
    const started = await w.bailiff.start({ env }).then(() => true, () => false);
    if (started) await work(w, books, round);
    if (w.bailiff.pid) {
        const gone = await Promise.race([w.bailiff.exited, sleep(0)]);
        if (!gone) w.bailiff.signal('SIGTERM');
    }
    const { signal, code } = await w.bailiff.exited;
    assert.ok(signal === 'SIGKILL' || code === 0, `it ended with ${signal ?? code}: ${
        w.bailiff.stderr}`);
    return signal === 'SIGKILL';
}

/** How many matching calls a whole life makes. */
async function measure(w, books, [kinds, path], round) {
    const s = new Switch(w.dir);
    assert.ok(!await live(w, books, s.counted(`${kinds}:${path}:1000000000:kill`), round));
    return s.count;
}

/** One life that is to end at the n-th call, and the life after. @returns whether it was killed */
async function die(w, books, how, n) {
    const env = new Switch(w.dir).counted(`${how[0]}:${how[1]}:${n}:${how[2]}`);
    const killed = await live(w, books, env, `k${books.lives++}`);
    await w.bailiff.start();
    await audit(w, books);
    await w.bailiff.kill(); /* not counted */
    return killed;
}

/** About `share` deaths, spread over the calls of a whole life. */
async function sweep(w, books, how, share, random) {
    const points = await measure(w, books, how, `m${books.lives++}`);
    assert.ok(points > 0, `${how} matches nothing`);
    const step = Math.max(1, points / share);
    let kills = 0;
    for (let at = 0; at < points; at += step) {
        const n = 1 + Math.floor(at + (step > 1 ? random(Math.floor(step)) : 0));
        kills += await die(w, books, how, n);
    }
    return { kills, points };
}

describe(`${KILLS} deaths by SIGKILL`, () => {
    it('what was acknowledged holds, once; the books agree', async () => {
        const w = await World.start();
        const books = Object.assign(new Books(w), { lives: 0, told: new Set(), running: new Map() });
        const random = sequence(SEED);
        let kills = 0;
        try {
            w.alive = w.agent('alive');
            await w.bailiff.kill();
            let whole = 0;
            for (const [i, how] of SWEEPS.entries()) {
                const share = (KILLS - kills) / (SWEEPS.length - i);
                const start = Date.now();
                const done = await sweep(w, books, how, share, random);
                kills += done.kills;
                whole = done.points;
                console.log(`${how.join(':')}: ${done.kills} kills, ${Date.now() - start} ms`);
            }
            /* Some lives made fewer calls than the one that was measured, and so outlived theirs. */
            for (let more = 0; kills < KILLS && more < KILLS; more++) {
                kills += await die(w, books, SWEEPS.at(-1), 1 + random(whole));
            }
            assert.ok(kills >= KILLS, `only ${kills} kills`);
            await w.bailiff.start();
            const gate = freshGate(w), runtime = freshRuntime(w);
            runtime.calls = books.running;
            await runtime.watch();
            await until('the last jobs', async () => {
                const { json } = await w.bailiff.ask('jobs', 'list');
                return json.jobs.every((j) => !['pending', 'running'].includes(j.state));
            }, 100);
            await books.compare(gate);
            const deep = await w.bailiff.cli('check', '-c', w.bailiff.configFile, '--deep');
            assert.match(deep.stdout, /database intact/);
            runtime.close();
            gate.close();
            await audited(w);
            console.log(`${kills} kills, ${books.acked.length} statements acknowledged`);
        } catch (e) {
            e.message += ` (FAULT_SEED=${SEED}, life ${books.lives})\n${w.bailiff.stderr}`;
            throw e;
        } finally {
            await w.close();
        }
    });
});
