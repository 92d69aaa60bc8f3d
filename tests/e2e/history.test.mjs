// SPDX-License-Identifier: Apache-2.0
// What would have happened: a recorded run is exported and replayed. The policy
// that was active must do what it did; another one must differ where it differs.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ask, audited, known, records, tell, untilAnswer, untilRecord } from './peers/scenario.mjs';
import { until } from './peers/wait.mjs';
import { POLICY, World } from './peers/world.mjs';

const RECORDED = POLICY
    .replace('tools: ["*"], require: \'active eq true\'}',
        'tools: ["*"], require: \'active eq true\'}\n' +
        '  - {name: pay, tools: ["pay.*"], require: \'groups.value eq "g-pay"\'}')
    .replace('gate:', `  - name: risk
    events: [caep.risk-level-change]
    where: 'event.current_level eq "HIGH"'
    do: [{hold: {review: {by: 'groups.value eq "g-ops"', within: 24h}}}]
gate:`);

/** The recorded run: who is known, stopped, released, held by a person, and a crash between. */
async function run(w) {
    const gate = w.gate();
    const payer = await known(w, gate, 'payer', {
        groups: [{ value: 'g-pay', display: 'Payroll' }], name: { givenName: 'Kim' },
    });
    const plain = await known(w, gate, 'plain');
    for (let i = 0; i < 5; i++) assert.equal(await ask(gate, payer, 'pay.out'), 'allow');
    assert.equal(await ask(gate, plain, 'pay.out'), 'gate_rule');
    assert.equal(await ask(gate, '/Agents/nobody'), 'unknown_agent');
    const stopped = await known(w, gate, 'stopped');
    w.scim.put(stopped, { active: false });
    await tell(w, 'deactivate', stopped);
    assert.equal(await ask(gate, stopped), 'agent_suspended');
    w.scim.put(stopped, { active: true });
    await tell(w, 'activate', stopped);
    await untilAnswer(gate, stopped, 'allow');
    /* An allow does not wait for the row of the read it rests on, and a crash may take that row. */
    const reads = () => records(w.bailiff, { kind: 'read', agent: stopped });
    await until('the last read', () => reads().at(-1)?.outcome === 'qualified');
    return { payer, plain, stopped };
}

async function afterCrash(w, { payer, plain }) {
    const gate = w.gate();
    await untilAnswer(gate, payer, 'allow', 'pay.out');
    await tell(w, 'risk-level-change', plain);
    await untilAnswer(gate, plain, 'agent_in_review');
    const { code, stderr } = await w.bailiff.ask('hold', 'add', payer, '--reason', 'secret words');
    assert.equal(code, 0, stderr);
    assert.equal(await ask(gate, payer, 'pay.out'), 'agent_suspended');
    await untilRecord(w.bailiff, { kind: 'operator', agent: payer });
}

describe('history', () => {
    let w, file, agents;
    const diff = (...args) => w.bailiff.cli('policy', 'diff', ...args, '--json');
    const policy = (name, text) => {
        const path = join(w.dir, name);
        writeFileSync(path, text, { mode: 0o600 });
        return path;
    };
    const entries = () => readFileSync(file, 'utf8').trim().split('\n').map((l) => JSON.parse(l));

    before(async () => {
        w = await World.start({ policy: RECORDED });
        agents = await run(w);
        await w.bailiff.kill();
        await w.bailiff.start();
        await afterCrash(w, agents);
        file = join(w.dir, 'history.jsonl');
    });
    after(async () => {
        try {
            await audited(w);
        } finally {
            await w.close();
        }
    });

    it('is exported beside a running sidecar, in the order in which it happened', async () => {
        const { code, stderr } = await w.bailiff.cli('history', 'export', '-c',
            w.bailiff.configFile, '-o', file);
        assert.equal(code, 0, stderr);
        const all = entries();
        const kinds = new Set(all.map((e) => e.kind));
        for (const kind of ['start', 'policy', 'event', 'read', 'question', 'operator', 'effect']) {
            assert.ok(kinds.has(kind), `${kind} in ${[...kinds]}`);
        }
        assert.equal(all.filter((e) => e.kind === 'start').length, 2);
        const about = all.filter((e) => e.uri === agents.stopped);
        const at = (fits) => about.findIndex(fits);
        const first = at((e) => e.kind === 'question' && e.outcome === 'allow');
        const event = at((e) => e.kind === 'event' && e.parts[0].type === 'deactivate');
        const denied = at((e) => e.kind === 'question' && e.reason === 'agent_suspended');
        assert.ok(first >= 0 && first < event && event < denied, JSON.stringify(about));
    });

    it('holds nothing that the policy does not name, and no person', () => {
        const text = readFileSync(file, 'utf8');
        for (const secret of ['Payroll', 'Kim', 'agentUserName', 'displayName', 'Agent payer',
            'secret words', '"ops', w.pushBearer, 'eyJ']) {
            assert.ok(!text.includes(secret), `${secret} in the history`);
        }
        assert.ok(text.includes('g-pay'), 'the policy asks for groups');
        const risk = entries().find((e) => e.kind === 'event' &&
            e.parts[0].type === 'caep.risk-level-change');
        assert.deepEqual(Object.keys(risk.parts[0].payload), ['current_level']);
    });

    it('the policy that was active does what happened', async () => {
        const { code, json, stdout, stderr } = await diff(w.bailiff.policyFile, '--history', file);
        assert.equal(code, 0, stdout + stderr);
        assert.equal(json.same, true);
        assert.equal(json.skipped, 0);
        assert.ok(json.questions >= 12, stdout);
        assert.deepEqual(json.undecidable, []);
        const running = await diff(w.bailiff.policyFile, '-c', w.bailiff.configFile);
        assert.equal(running.code, 0, running.stdout + running.stderr);
        const twice = await diff(w.bailiff.policyFile, w.bailiff.policyFile, '--history', file);
        assert.equal(twice.code, 0, twice.stdout);
    });

    it('a stricter gate rule differs in the questions that it denies', async () => {
        const strict = policy('strict.yaml', RECORDED.replace('"g-pay"', '"g-other"'));
        const { code, json, stdout } = await diff(strict, '--history', file);
        assert.equal(code, 1, stdout);
        const row = json.differences.find((d) => d.agent === agents.payer);
        assert.equal(row.what, 'allow -> deny gate_rule');
        assert.equal(row.rule, 'pay');
        assert.equal(row.new, 6);
        assert.ok(json.differences.every((d) => d.rule === 'pay'), stdout);
        const both = await diff(w.bailiff.policyFile, strict, '--history', file);
        assert.deepEqual(both.json.differences, json.differences);
        const text = await w.bailiff.cli('policy', 'diff', strict, '--history', file);
        assert.match(text.stdout, /pay +allow -> deny gate_rule +- +6 +1/);
    });

    it('a rule that is gone is missed: its holds, and the denies that followed', async () => {
        const loose = policy('loose.yaml', RECORDED.replace(
            'events: [deactivate, delete, found_inactive, found_gone]', 'events: [delete]'));
        const { code, json, stdout } = await diff(w.bailiff.policyFile, loose, '--history', file);
        assert.equal(code, 1, stdout);
        const hold = json.differences.find((d) => d.what === 'hold suspended');
        assert.deepEqual([hold.agent, hold.rule, hold.old, hold.new],
            [agents.stopped, 'stop', 1, 0]);
        assert.ok(json.differences.some((d) => d.what === 'cancel' && d.rule === 'stop'), stdout);
    });

    it('what the history does not hold is named, not guessed', async () => {
        const wants = policy('wants.yaml', RECORDED.replace('groups.value eq "g-pay"',
            'entitlements.value eq "pay"'));
        const { json, stdout } = await diff(w.bailiff.policyFile, wants, '--history', file);
        assert.deepEqual(json.undecidable,
            [{ attribute: 'entitlements.value', questions: 8, statements: 0 }], stdout);
        assert.equal(json.questions_undecidable, 8);
        assert.ok(!json.differences.some((d) => d.rule === 'pay'), stdout);
    });

    it('with the log alone, what needs reads is not decidable', async () => {
        const { json, stdout } = await diff(w.bailiff.policyFile, '--log', w.bailiff.logDir);
        assert.ok(json.questions_undecidable > 0, stdout);
        assert.ok(json.statements >= 3, stdout);
    });

    it('a damaged history is told about, not believed', async () => {
        const bad = join(w.dir, 'bad.jsonl');
        writeFileSync(bad, `${readFileSync(file, 'utf8')}{"t":1}\nnonsense\n{"t":-1,"kind":"read"}\n`);
        const { code, json } = await diff(w.bailiff.policyFile, '--history', bad);
        assert.equal(code, 0);
        assert.equal(json.skipped, 2);
        assert.equal((await diff(w.bailiff.policyFile, '--history', '/nonexistent')).code, 3);
    });

    it('a first policy is made from it: loads, and allows what was allowed', async () => {
        const made = await w.bailiff.cli('policy', 'init', '--from-history', '--history', file);
        assert.equal(made.code, 0, made.stderr);
        assert.match(made.stderr, /questions replayed: 0 that were allowed would be denied/);
        assert.match(made.stdout, /every agent that used these is in: g-pay/);
        assert.match(made.stdout, /^ +pay: \["pay\.\*"\]$/m);
        assert.match(made.stdout, /deactivate from hr: 1$/m);
        const checked = await w.bailiff.cli('policy', 'check', policy('first.yaml', made.stdout));
        assert.equal(checked.code, 0, checked.stdout + checked.stderr);
        assert.doesNotMatch(checked.stdout, /warning/);
        const tested = await w.bailiff.cli('policy', 'test', join(w.dir, 'first.yaml'));
        assert.equal(tested.code, 0, tested.stdout + tested.stderr);
        assert.match(tested.stdout, /\/Agents\/payer may use pay\.out$/m);
        assert.match(tested.stdout, /^[1-9]\d* passed, 0 failed$/m);
    });
});
