// SPDX-License-Identifier: Apache-2.0
// Rolling out policies: watched files, refusals that keep the old policy,
// history and rollback, signatures and replays, and a crash at any moment.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, symlinkSync,
    writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { BINARY } from './peers/bailiff.mjs';
import { ask, known, records, untilAnswer, useWorld } from './peers/scenario.mjs';
import { until } from './peers/wait.mjs';
import { POLICY } from './peers/world.mjs';

const STRICT = POLICY.replace('gate:\n', 'gate:\n  - {name: none, tools: ["kb.*"], '
    + 'require: \'groups.value eq "g-x"\'}\n');
const variant = (n, text = POLICY) => `${text}# variant ${n}\n`;
const sha256 = (text) => createHash('sha256').update(text).digest('hex');
const status = async (w) => (await w.bailiff.ask('policy', 'status')).json;
const history = async (w) => (await w.bailiff.ask('policy', 'history')).json.history;
const reload = (w) => w.bailiff.ask('policy', 'reload', '--reason', 'a test');
const untilDigest = (w, text) => until('the new policy',
    async () => (await status(w)).digest === sha256(text), 50);
const refusedWith = (w, why) => until(`a refusal with ${why}`,
    async () => why.test((await status(w)).last_refusal?.error ?? ''), 50);
const readyz = async (w) => (await fetch(`http://127.0.0.1:${w.ports.metrics}/readyz`)).json();

describe('a watched policy file', () => {
    const held = useWorld({
        configure: (c, w) => {
            // As a ConfigMap is mounted: policy.yaml -> ..data/policy.yaml, ..data -> ..1
            const mount = join(w.dir, 'mount');
            mkdirSync(join(mount, '..1'), { recursive: true });
            writeFileSync(join(mount, '..1', 'policy.yaml'), POLICY, { mode: 0o600 });
            symlinkSync('..1', join(mount, '..data'));
            symlinkSync('..data/policy.yaml', join(mount, 'policy.yaml'));
            c.policy = { file: join(mount, 'policy.yaml'), watch: true };
            return c;
        },
    });
    const at = (...path) => join(held.w.dir, 'mount', ...path);
    function swapData(name, text) {
        mkdirSync(at(name));
        writeFileSync(at(name, 'policy.yaml'), text, { mode: 0o600 });
        symlinkSync(name, at('..tmp'));
        renameSync(at('..tmp'), at('..data'));
    }

    it('a swapped link is taken', async () => {
        const { w } = held;
        await known(w, w.gate(), '1');
        swapData('..2', STRICT);
        await untilDigest(w, STRICT);
        assert.equal(await ask(w.gate(), '/Agents/1'), 'gate_rule');
    });

    it('a file written in two halves is taken when it is whole', async () => {
        const { w } = held;
        const next = variant(1, STRICT);
        const cut = next.indexOf('rules:') + 20;
        writeFileSync(at('..2', 'policy.yaml'), next.slice(0, cut));
        await refusedWith(w, /line \d+/);
        assert.equal((await status(w)).digest, sha256(STRICT));
        assert.equal(await ask(w.gate(), '/Agents/1'), 'gate_rule');
        writeFileSync(at('..2', 'policy.yaml'), next);
        await untilDigest(w, next);
    });

    it('a file that goes away changes nothing', async () => {
        const { w } = held;
        const before = await status(w);
        rmSync(at('..data'));
        await refusedWith(w, /No such file/);
        const now = await status(w);
        assert.equal(now.digest, before.digest);
        assert.equal(now.since, before.since);
        swapData('..3', POLICY);
        await untilDigest(w, POLICY);
        await untilAnswer(w.gate(), '/Agents/1', 'allow');
    });
});

describe('history and rollback', () => {
    const held = useWorld();
    const kept = () => readdirSync(join(held.w.bailiff.dataDir, 'policies'));

    it('every active text is kept, what was refused is told', async () => {
        const { w } = held;
        await known(w, w.gate(), '1');
        w.bailiff.writePolicy(STRICT);
        const strict = await reload(w);
        assert.deepEqual([strict.code, strict.json.outcome], [0, 'active']);
        assert.equal(await ask(w.gate(), '/Agents/1'), 'gate_rule');
        w.bailiff.writePolicy('rules: [');
        const bad = await reload(w);
        assert.deepEqual([bad.code, bad.json.outcome], [1, 'refused']);
        assert.match(bad.json.error, /^line \d+, column \d+: /);
        w.bailiff.writePolicy(STRICT);
        assert.equal((await reload(w)).json.outcome, 'unchanged');
        const told = await until('three entries',
            async () => { const h = await history(w); return h.length === 3 && h; });
        assert.deepEqual(told.map((e) => e.outcome), ['refused', 'active', 'active']);
        assert.deepEqual(told.slice(1).map((e) => e.digest), [sha256(STRICT), sha256(POLICY)]);
        for (const text of [POLICY, STRICT]) {
            const file = join(w.bailiff.dataDir, 'policies', `${sha256(text)}.yaml`);
            assert.equal(readFileSync(file, 'utf8'), text);
            assert.equal(statSync(file).mode & 0o777, 0o600);
        }
        const shown = await w.bailiff.cli('policy', 'history', '--socket', w.bailiff.adminSocket,
            '--show', sha256(POLICY).slice(0, 12));
        assert.equal(shown.stdout, POLICY);
    });

    it('it can be read without a sidecar', async () => {
        const { w } = held;
        const offline = await until('the history file', async () => {
            const r = await w.bailiff.cli('policy', 'history', '--json', '--dir', w.bailiff.dataDir);
            return r.json?.history?.length === 3 && r.json.history;
        });
        assert.deepEqual(offline, await history(w));
        const shown = await w.bailiff.cli('policy', 'history', '--dir', w.bailiff.dataDir,
            '--show', sha256(STRICT));
        assert.equal(shown.stdout, STRICT);
    });

    it('back to the policy before, as a record with a reason', async () => {
        const { w } = held;
        const silent = await w.bailiff.ask('policy', 'rollback');
        assert.equal(silent.code, 2);
        const done = await w.bailiff.ask('policy', 'rollback', '-1', '--reason', 'too strict');
        assert.deepEqual([done.code, done.json?.outcome], [0, 'active'], done.stderr);
        assert.equal(readFileSync(w.bailiff.policyFile, 'utf8'), POLICY);
        assert.equal(statSync(w.bailiff.policyFile).mode & 0o777, 0o600);
        await untilAnswer(w.gate(), '/Agents/1', 'allow');
        const [record] = await until('the record', () => {
            const r = records(w.bailiff, { kind: 'operator', action: 'policy_rollback' });
            return r.length > 0 && r;
        });
        assert.deepEqual([record.person, record.why, record.outcome],
            ['ops', 'too strict', 'active']);
        const before = await w.bailiff.ask('policy', 'rollback', sha256(STRICT).slice(0, 10),
            '--reason', 'and back');
        assert.equal(before.json.active, sha256(STRICT));
    });

    it('a rollback that is refused puts the file back', async () => {
        const { w } = held;
        const other = join(w.dir, 'elsewhere.yaml');
        writeFileSync(other, 'as it was', { mode: 0o640 });
        const missing = await w.bailiff.ask('policy', 'rollback', 'ffffffffff', '--reason', 'x');
        assert.equal(missing.code, 1);
        // The sidecar reads its own file, which others can write now: refused.
        const mode = statSync(w.bailiff.policyFile).mode;
        execFileSync('chmod', ['0666', w.bailiff.policyFile]);
        const text = readFileSync(w.bailiff.policyFile, 'utf8');
        const refused = await w.bailiff.ask('policy', 'rollback', '-1', '--reason', 'x');
        assert.equal(refused.code, 1, refused.stdout);
        assert.equal(refused.json.outcome, 'refused');
        assert.match(refused.json.error, /others can write/);
        assert.equal(readFileSync(w.bailiff.policyFile, 'utf8'), text);
        execFileSync('chmod', [(mode & 0o777).toString(8), w.bailiff.policyFile]);
        assert.equal((await status(w)).digest, sha256(text));
        assert.deepEqual(readdirSync(w.bailiff.dir).filter((f) => f.includes('rollback')), []);
    });

    it('kill -9 right after a reload: the newest is in force, its text is kept', async () => {
        const { w } = held;
        for (let i = 0; i < 5; i++) {
            const text = variant(i);
            w.bailiff.writePolicy(text);
            w.bailiff.signal('SIGHUP');
            await new Promise((done) => { setTimeout(done, i * 4); });
            await w.bailiff.kill();
            await w.bailiff.start();
            assert.equal((await status(w)).digest, sha256(text));
            assert.ok(kept().includes(`${sha256(text)}.yaml`));
            assert.equal((await history(w))[0].digest, sha256(text));
        }
        assert.ok(kept().length <= 65);
    });
});

describe('signed policies', () => {
    const key = (w, name) => join(w.dir, `${name}.key`);
    const pub = (w, name) => join(w.dir, `${name}.pub`);
    const held = useWorld({
        configure: (c, w) => {
            for (const name of ['team', 'other', 'admin']) {
                execFileSync(BINARY, ['policy', 'keygen', name, '-o', key(w, name)]);
            }
            c.policy.keys = [pub(w, 'team')];
            writeFileSync(w.bailiff.policyFile, POLICY, { mode: 0o600 });
            sign(w, w.bailiff.policyFile, 5);
            return c;
        },
    });
    function sign(w, file, serial, { by = 'team', kind = 'policy', ...more } = {}) {
        execFileSync(BINARY, ['policy', 'sign', file, '--key', key(w, by), '--serial', `${serial}`,
            '--kind', kind, ...(more.notAfter ? ['--not-after', more.notAfter] : [])]);
    }
    /** Writes and signs policy.yaml, then reloads. */
    async function roll(text, serial, how) {
        const { w } = held;
        w.bailiff.writePolicy(text);
        if (serial) sign(w, w.bailiff.policyFile, serial, how);
        return (await reload(w)).json;
    }
    const soon = (ms) => new Date(Date.now() + ms).toISOString();

    it('a higher serial is taken and shown everywhere', async () => {
        const { w } = held;
        assert.equal((await roll(variant(1), 6)).outcome, 'active');
        const now = await status(w);
        assert.deepEqual([now.pinned, now.signature.signed_by, now.signature.serial],
            [true, 'team', 6]);
        const metrics = await (await fetch(`http://127.0.0.1:${w.ports.metrics}/metrics`)).text();
        assert.match(metrics, new RegExp(`bailiff_policy_info{digest="${sha256(variant(1))}",`
            + 'mode="enforce",serial="6"} 1'));
        assert.equal((await readyz(w)).policy_signature.serial, 6);
        await until('its record', () =>
            records(w.bailiff, { kind: 'policy', outcome: 'active' }).at(-1).serial === 6);
    });

    it('everything else is refused, and the old one stays', async () => {
        const { w } = held;
        const cases = [
            ['an older one', variant(0), 5, {}, /replay: serial 5 is not above 6/],
            ['the same serial', variant(2), 6, {}, /replay: serial 6 is not above 6/],
            ['another key', variant(2), 7, { by: 'other' }, /'other', which is none of the 1 pinned/],
            ['another kind', variant(2), 7, { kind: 'config' }, /made for a config/],
            ['not signed again', variant(3), 0, {}, /made for a (file with another|config)/],
        ];
        for (const [name, text, serial, how, why] of cases) {
            const answer = await roll(text, serial, how);
            assert.equal(answer.outcome, 'refused', name);
            assert.match(answer.error, why, name);
            assert.equal(answer.active, sha256(variant(1)), name);
        }
        rmSync(`${w.bailiff.policyFile}.sig`);
        assert.match((await reload(w)).json.error, /is missing: keys are pinned/);
        const back = await w.bailiff.ask('policy', 'rollback', '-1', '--reason', 'x');
        assert.equal(back.code, 1);
        assert.match(back.stderr, /needs a new signature/);
    });

    it('a replay is refused after kill -9 too', async () => {
        const { w } = held;
        assert.equal((await roll(variant(4), 8)).outcome, 'active');
        await w.bailiff.kill();
        w.bailiff.writePolicy(POLICY);
        sign(w, w.bailiff.policyFile, 7);
        await assert.rejects(w.bailiff.start(), /replay: serial 7 is not above 8/);
        w.bailiff.writePolicy(variant(4));
        sign(w, w.bailiff.policyFile, 8);
        await w.bailiff.start();
        assert.equal((await status(w)).signature.serial, 8);
    });

    it('signed again: renewed, and no agent is read anew', async () => {
        const { w } = held;
        sign(w, w.bailiff.policyFile, 9);
        assert.equal((await reload(w)).json.outcome, 'renewed');
        assert.equal((await status(w)).signature.serial, 9);
    });

    it('what expires is enforced, with a warning; what has expired is not taken', async () => {
        const { w } = held;
        const end = soon(10000);
        assert.equal((await roll(STRICT, 10, { notAfter: end })).outcome, 'active');
        const signature = readFileSync(`${w.bailiff.policyFile}.sig`);
        w.bailiff.writePolicy(variant(6));
        sign(w, w.bailiff.policyFile, 11, { notAfter: end });
        await until('the end', async () => (await readyz(w)).warnings.length > 0, 50);
        const ready = await readyz(w);
        assert.deepEqual([ready.ready, ready.warnings], [true, ['policy_signature_expired']]);
        await until('the warning', () => /event=signature_expired/.test(w.bailiff.stderr));
        assert.match((await reload(w)).json.error, /expired: not_after is/);
        w.agent('7');
        assert.equal(await ask(w.gate(), '/Agents/7'), 'gate_rule');
        w.bailiff.writePolicy(STRICT); // the one in force: a restart must not end enforcement
        writeFileSync(`${w.bailiff.policyFile}.sig`, signature);
        await w.bailiff.kill();
        await w.bailiff.start();
        assert.deepEqual((await readyz(w)).warnings, ['policy_signature_expired']);
        sign(w, w.bailiff.policyFile, 12);
        assert.equal((await reload(w)).json.outcome, 'renewed');
        assert.deepEqual((await readyz(w)).warnings, []);
    });

    it('the configuration, too: pinned from outside of it', async () => {
        const { w } = held;
        const b = w.bailiff;
        await b.stop();
        b.runArgs = ['--signed-by', pub(w, 'admin')];
        await assert.rejects(b.start(), /bailiff.yaml.sig is missing/);
        sign(w, b.configFile, 3, { by: 'admin', kind: 'config' });
        const checked = await b.cli('check', '-c', b.configFile, ...b.runArgs);
        assert.equal(checked.code, 0, checked.stdout);
        await b.start();
        assert.equal((await status(w)).config_signature.serial, 3);
        await b.kill();
        const keys = b.config.policy.keys;
        b.writeConfig({ ...b.config, policy: { file: b.policyFile } });
        await assert.rejects(b.start(), /another SHA-256/);
        // Without keys of its own, the policy must be signed by those of the configuration.
        sign(w, b.configFile, 4, { by: 'admin', kind: 'config' });
        await assert.rejects(b.start(), /'team', which is none of the 1 pinned/);
        b.writeConfig({ ...b.config, policy: { file: b.policyFile, keys } });
        sign(w, b.configFile, 2, { by: 'admin', kind: 'config' });
        await assert.rejects(b.start(), /replay: serial 2 is not above 3/);
        sign(w, b.configFile, 5, { by: 'admin', kind: 'config' });
        await b.start();
        assert.equal((await status(w)).config_signature.serial, 5);
    });
});
