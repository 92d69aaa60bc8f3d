// SPDX-License-Identifier: Apache-2.0
// A candidate policy beside the active one: it is told what happens, decides
// nothing, and says where it would have differed.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ask, audited, known, records, tell, untilAnswer, untilRecord } from './peers/scenario.mjs';
import { sleep, until } from './peers/wait.mjs';
import { POLICY, World } from './peers/world.mjs';

const STRICTER = `${POLICY}  - {name: pay, tools: ["pay.*"], require: 'groups.value eq "g-pay"'}\n`;

describe('candidate policy', () => {
    let w, path;
    const view = async () => (await w.bailiff.ask('policy', 'candidate')).json;
    const write = (text) => writeFileSync(path, text, { mode: 0o600 });
    /** Feeds are polled, so that steps go on and differences come back. */
    const untilTotal = (what) => until(`a total of ${what}`, async () => {
        const c = await view();
        return c.totals.find((t) => t.what === what);
    });

    before(async () => {
        w = await World.make();
        try {
            path = join(w.bailiff.dir, 'candidate.yaml');
            write(STRICTER);
            w.bailiff.writeConfig({
                ...w.bailiff.config,
                policy: { file: w.bailiff.policyFile, candidate: path },
            });
            await w.bailiff.init();
            await w.bailiff.start();
            await until('the key set', () => /event=loaded feed=hr /.test(w.bailiff.stderr));
            await until('the candidate', async () => (await view()).state === 'active');
        } catch (e) {
            await w.close();
            throw e;
        }
    });
    after(async () => {
        try {
            await audited(w);
        } finally {
            await w.close();
        }
    });

    it('records the questions that it would have answered differently', async () => {
        const gate = w.gate();
        const payer = await known(w, gate, 'payer', { groups: [{ value: 'g-pay' }] });
        const plain = await known(w, gate, 'plain');
        for (const agent of [payer, plain]) {
            assert.equal(await ask(gate, agent, 'pay.out'), 'allow');
        }
        const total = await untilTotal('allow -> deny gate_rule');
        assert.equal(total.rule, 'pay');
        const record = await untilRecord(w.bailiff, { kind: 'candidate', agent: plain });
        const { digest } = await view();
        assert.deepEqual(
            [record.rule, record.tool, record.action, record.why, record.target, record.would],
            ['pay', 'pay.out', 'answer', 'allow -> deny gate_rule', digest.slice(0, 16), true]);
        assert.equal(records(w.bailiff, { kind: 'candidate', agent: payer }).length, 0);
        assert.equal((await view()).dropped, 0);
    });

    it('is counted in the metrics and shown to people', async () => {
        const response = await fetch(`http://127.0.0.1:${w.ports.metrics}/metrics`);
        assert.match(await response.text(), /^bailiff_candidate_questions_changed_total 1$/m);
        const text = await w.bailiff.cli('policy', 'candidate', '--socket', w.bailiff.adminSocket);
        assert.equal(text.code, 0, text.stderr);
        assert.match(text.stdout, /pay +allow -> deny gate_rule +1 /);
    });

    it('what both do is no difference', async () => {
        const gate = w.gate();
        const agent = await known(w, gate, 'both');
        w.scim.put(agent, { active: false });
        await tell(w, 'deactivate', agent);
        assert.equal(await ask(gate, agent), 'agent_suspended');
        await untilRecord(w.bailiff, { kind: 'action', action: 'hold', agent });
        assert.equal((await view()).totals.length, 1);
    });

    it('a bad one is refused with its place; the one before stays', async () => {
        const { digest } = await view();
        write(STRICTER.replace('everything', 'Every Thing'));
        w.bailiff.signal('SIGHUP');
        const gate = w.gate();
        await until('the refusal', () =>
            /event=candidate_refused .*candidate\.yaml:\d+:\d+:/.test(w.bailiff.stderr));
        assert.equal((await view()).digest, digest);
        assert.equal(await ask(gate, '/Agents/payer'), 'allow');
        const checked = await w.bailiff.cli('check', '-c', w.bailiff.configFile);
        assert.equal(checked.code, 1, checked.stderr);
        assert.match(checked.stdout, /candidate\.yaml:\d+:\d+:/);
    });

    it('bailiff check runs its tests too', async () => {
        const checked = async (expected) => {
            write(`${STRICTER}tests:
  - name: who may pay
    given: {agent: {uri: /Agents/7, active: true, groups: [g-pay]}}
    event: {activate: /Agents/7}
    expect: {gate: {tool: pay.out, decision: ${expected}}}
`);
            return w.bailiff.cli('check', '--json', '-c', w.bailiff.configFile);
        };
        const bad = await checked('deny');
        assert.equal(bad.code, 1, bad.stdout + bad.stderr);
        const finding = JSON.parse(bad.stdout).files.find((f) => f.key === 'policy.candidate');
        assert.match(finding.text, /who may pay/);
        const good = await checked('allow');
        assert.equal(good.code, 0, good.stdout + good.stderr);
        assert.match(JSON.parse(good.stdout).candidate.digest, /^[0-9a-f]{64}$/);
    });

    it('a better one takes over; rules that would stop an agent are told', async () => {
        const before = (await view()).digest;
        write(POLICY.replace('gate:', `  - name: risk
    events: [caep.risk-level-change]
    do: [{hold: suspended}]
gate:`));
        w.bailiff.signal('SIGHUP');
        const gate = w.gate();
        await until('the new one', async () => (await view()).digest !== before);
        const agent = await known(w, gate, 'risky');
        await tell(w, 'risk-level-change', agent);
        await untilAnswer(gate, agent, 'allow');
        const total = await until('the effect', async () => {
            await ask(gate, agent);
            await sleep(200);
            // It does not know holds of before: it may find who is inactive anew.
            return (await view()).totals.find((t) =>
                t.what === 'hold suspended' && t.rule === 'risk');
        });
        assert.deepEqual([total.would, total.would_not], [1, 0]);
        const record = await untilRecord(w.bailiff,
            { kind: 'candidate', agent, action: 'hold suspended' });
        assert.equal(record.outcome, 'would');
    });

    it('decides by attributes that only it names, once agents were read again', async () => {
        const before = (await view()).digest;
        const gate = w.gate();
        const reads = (agent) => w.scim.readsOf(agent);
        const early = await known(w, gate, 'early', { title: 'clerk' });
        write(`${POLICY}  - {name: titles, tools: ["pay.*"], require: 'title eq "chief"'}\n`);
        w.bailiff.signal('SIGHUP');
        await until('the new one', async () => (await view()).digest !== before);
        const { questions_undecidable: open } = await view();
        const readBefore = reads(early).length;
        assert.equal(await ask(gate, early, 'pay.out'), 'allow');
        assert.equal(reads(early).length, readBefore); // it has not become stale
        await until('an open question', async () => (await view()).questions_undecidable > open);
        assert.ok((await view()).totals.every((t) => t.rule !== 'titles'));
        const clerk = await known(w, gate, 'clerk', { title: 'clerk' });
        const chief = await known(w, gate, 'chief', { title: 'chief' });
        assert.match(reads(clerk).at(-1).query.get('attributes'), /\btitle\b/);
        w.scim.put(early, { displayName: 'moved on' });
        await tell(w, 'patch:notice', early); // and is read again
        await untilAnswer(gate, early, 'allow');
        for (const agent of [chief, clerk, early]) {
            assert.equal(await ask(gate, agent, 'pay.out'), 'allow');
        }
        const total = await until('two differences', async () =>
            (await view()).totals.find((t) => t.rule === 'titles' && t.would === 2));
        assert.equal(total.what, 'allow -> deny gate_rule');
        assert.equal((await view()).questions_undecidable, open + 1);
    });

    it('knows from the start what reads have found', async () => {
        const before = (await view()).digest;
        write(STRICTER);
        w.bailiff.signal('SIGHUP');
        await until('the new one', async () => (await view()).digest !== before);
        const gate = w.gate();
        assert.equal(await ask(gate, '/Agents/clerk', 'pay.out'), 'allow');
        await untilTotal('allow -> deny gate_rule');
        assert.equal((await view()).questions_undecidable, 0);
    });
});
