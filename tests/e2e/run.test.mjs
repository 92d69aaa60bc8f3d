// SPDX-License-Identifier: Apache-2.0
// The life of the process: reload, drain, refusals to start.
import assert from 'node:assert/strict';
import { chmodSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Bailiff } from './peers/bailiff.mjs';
import { ask, audited, known, tell, untilRecord, useWorld } from './peers/scenario.mjs';
import { sleep, until } from './peers/wait.mjs';
import { POLICY, World } from './peers/world.mjs';

const CLOSED = POLICY.replace('gate:\n', 'gate:\n  - {name: none, tools: ["kb.*"], '
    + 'require: \'groups.value eq "g-x"\'}\n');

describe('reload', () => {
    const held = useWorld();

    it('SIGHUP takes a new policy, at once for the gate', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, '1');
        w.bailiff.writePolicy(CLOSED);
        w.bailiff.signal('SIGHUP');
        await until('the new policy', async () => await ask(gate, agent) === 'gate_rule');
        assert.equal(await ask(gate, agent, 'deploy'), 'allow');
    });

    it('holds outlive the policy that made them', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = w.agent('2');
        assert.equal(await ask(gate, agent, 'deploy'), 'allow');
        await tell(w, 'deactivate', agent);
        w.bailiff.writePolicy('apiVersion: bailiff/v1\nkind: Policy\nrules: []\n');
        w.bailiff.signal('SIGHUP');
        await until('the empty policy', async () => await ask(gate, '/Agents/1') === 'allow');
        assert.equal(await ask(gate, agent), 'agent_suspended');
    });
});

describe('stop and start', () => {
    it('SIGTERM answers what is under way and exits with 0', async () => {
        const w = await World.start();
        const gate = w.gate();
        const agent = await known(w, gate, '1');
        w.scim.put(agent, {});
        w.scim.fault = { slow: 300 };
        await tell(w, 'patch:notice', agent);
        const waiting = ask(gate, agent).catch((e) => `error ${e.code}`);
        const pushes = Promise.allSettled(Array.from({ length: 20 }, () =>
            w.idp.tell('patch:notice', '/Agents/9')));
        await sleep(30);
        await audited(w);
        assert.ok(await waiting, 'a question hung');
        const answers = await pushes;
        const accepted = answers.filter((a) => a.value?.status === 202).map((a) => a.value.set.jti);
        await w.bailiff.start();
        for (const jti of accepted) await untilRecord(w.bailiff, { kind: 'event', jti });
        await audited(w);
        await w.close();
    });

    it('standing survives a restart; a stopped agent is still stopped', async () => {
        const w = await World.start();
        const gate = w.gate();
        const agent = await known(w, gate, '1');
        await tell(w, 'deactivate', agent);
        await audited(w);
        await w.bailiff.start();
        assert.equal(await ask(w.gate(), agent), 'agent_suspended');
        await audited(w);
        await w.close();
    });

    it('a revocation that was not confirmed is resumed after kill -9', async () => {
        const w = await World.start();
        const runtime = await w.runtime();
        const agent = await known(w, runtime.gate, '1');
        const token = await w.as.token();
        await runtime.register(agent, token, { issuer: w.as.issuer });
        await w.as.stop();
        await tell(w, 'deactivate', agent);
        await w.bailiff.kill();
        await w.as.restart();
        await w.bailiff.start();
        await until('revoked', async () => !await w.as.isActive(token));
        await audited(w);
        await w.close();
    });

    it('after a start an agent is read again before it is allowed', async () => {
        const w = await World.start();
        const agent = await known(w, w.gate(), '1');
        await audited(w);
        w.scim.put(agent, { active: false });
        await w.bailiff.start();
        assert.notEqual(await ask(w.gate(), agent), 'allow');
        await audited(w);
        await w.close();
    });

    it('a second bailiff on the same data is refused', async () => {
        const w = await World.start();
        const twin = new Bailiff(w.bailiff.dir, w.bailiff.config, POLICY);
        await assert.rejects(twin.start());
        assert.match(twin.stderr, /lock|already|use/);
        await audited(w);
        await w.close();
    });

    it('refuses to start: no keys, files others can write, a lost database', async () => {
        const w = await World.make();
        await assert.rejects(w.bailiff.start(), /key/);
        await w.bailiff.init();
        chmodSync(w.bailiff.policyFile, 0o666);
        await assert.rejects(w.bailiff.start(), /policy\.yaml/);
        chmodSync(w.bailiff.policyFile, 0o600);
        await w.bailiff.start();
        await known(w, w.gate(), '1');
        await audited(w);
        for (const suffix of ['', '-wal', '-shm']) {
            rmSync(join(w.bailiff.dataDir, `bailiff.db${suffix}`), { force: true });
        }
        await assert.rejects(w.bailiff.start());
        await w.close();
    });
});
