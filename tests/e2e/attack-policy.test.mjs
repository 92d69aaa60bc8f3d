// SPDX-License-Identifier: Apache-2.0
// Hostile files, folders and peers around policies, backups and stopping,
// against the running program.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import tls from 'node:tls';
import { ask, audited, known, untilAnswer, untilRecord, useWorld } from './peers/scenario.mjs';
import { sleep, timed, until } from './peers/wait.mjs';
import { POLICY } from './peers/world.mjs';

const DENIES = POLICY.replace('gate:\n', 'gate:\n  - {name: none, tools: ["kb.*"], '
    + 'require: \'groups.value eq "g-x"\'}\n');

describe('stopping while a target is down', () => {
    const held = useWorld();

    it('a pause that ends meanwhile does not keep it from stopping', async () => {
        const { w } = held;
        const runtime = await w.runtime();
        const agent = await known(w, runtime.gate, '1');
        w.as.revocationFault = { status: 503, headers: { 'retry-after': '2' } };
        for (let i = 0; i < 6; i++) {
            await runtime.register(agent, `token-${i}`, { issuer: w.as.issuer });
        }
        w.scim.put(agent, { active: false });
        await w.idp.tell('deactivate', agent);
        await untilRecord(w.bailiff, { kind: 'action', outcome: 'target_down' });
        // What is half sent is waited for, longer than the target's pause.
        const slow = tls.connect({ port: w.ports.push, host: '127.0.0.1',
            servername: 'localhost', ca: w.ca.pem });
        slow.on('error', () => { /* cut */ });
        await new Promise((done) => { slow.once('secureConnect', done); });
        slow.write('POST /events/hr HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\na');
        await sleep(100);
        const [{ code }, ms] = await timed(() => w.bailiff.stop({ ms: 30000 }));
        assert.equal(code, 0, w.bailiff.stderr);
        assert.ok(ms > 2000, `${ms} ms: the test held nothing up`);
        w.as.revocationFault = null;
        await w.bailiff.start();
    });
});

describe('a watched policy in a folder that is never quiet', () => {
    const held = useWorld({
        configure: (c) => ({ ...c, policy: { ...c.policy, watch: true } }),
    });

    it('a stricter policy is taken all the same', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, '1');
        const noise = setInterval(
            () => writeFileSync(join(w.bailiff.dir, 'noise'), `${Math.random()}`), 50);
        try {
            w.bailiff.writePolicy(DENIES);
            await untilAnswer(gate, agent, 'gate_rule', 'kb.search', 20000);
        } finally {
            clearInterval(noise);
        }
    });
});
