// SPDX-License-Identifier: Apache-2.0
// Diagnostics are lossy on purpose: who does not read standard error, as a
// stalled container runtime, must not hold up the gate.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pairs } from './peers/bailiff.mjs';
import { ask, known, useWorld } from './peers/scenario.mjs';
import { sleep, until } from './peers/wait.mjs';

/** More than pipes, sockets and the test's own buffers take. */
const MANY = 2 << 20;

/** Refused statements fill the ring of recent lines, which a signal prints. */
async function refuse(w, count) {
    const { token } = await w.idp.mint('deactivate', '/Agents/any', { claims: { aud: 'other' } });
    for (let i = 0; i < count; i++) {
        const { status } = await w.idp.push({ token });
        assert.equal(status, 400);
    }
}

async function lost(w) {
    const text = await (await fetch(`http://127.0.0.1:${w.ports.metrics}/metrics`)).text();
    return Number(/^bailiff_diagnostics_lost_total (\d+)$/m.exec(text)[1]);
}

describe('standard error that nobody reads', () => {
    const held = useWorld({ configure: (c) => c });

    it('does not hold up the gate, and the lost lines are counted', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, 'alive');
        await refuse(w, 300);
        w.bailiff.signal('SIGUSR2');
        await until('the ring', () => /end of recent/.test(w.bailiff.stderr));
        const ring = w.bailiff.stderr.slice(w.bailiff.stderr.indexOf('---- recent')).length;
        assert.equal(await lost(w), 0);

        w.bailiff.listen(false);
        for (let bytes = 0; bytes < MANY; bytes += ring) {
            w.bailiff.signal('SIGUSR2');
            await sleep(2);
            assert.equal(await ask(gate, agent), 'allow');
        }
        await refuse(w, 5);
        const count = await until('lost lines', () => lost(w));
        assert.ok(count > 1000, String(count));

        w.bailiff.listen(true);
        await until('all of the lost lines are said', async () => {
            const said = w.bailiff.stderr.split('\n').map(pairs)
                .filter((p) => p.event === 'diagnostics_lost');
            return said.reduce((sum, p) => sum + Number(p.lines), 0) === await lost(w);
        });
        for (const line of w.bailiff.stderr.split('\n').filter(Boolean)) {
            assert.match(line, /^(time=\S+ level=\w+ component=\w+ event=\w+|---- )/);
        }
    });

    it('does not keep it from stopping', async () => {
        const { w } = held;
        await refuse(w, 300);
        w.bailiff.listen(false);
        for (let i = 0; i < 40; i++) {
            w.bailiff.signal('SIGUSR2');
            await sleep(2);
        }
    });
});
