// SPDX-License-Identifier: Apache-2.0
// Backup while events stream in, and the way back: what was in the backup is in
// force again, nothing is allowed without a fresh read, no epoch is given out
// twice, and the log goes on without a gap.
import assert from 'node:assert/strict';
import {
    cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ask, audited, known, records, tell, untilAnswer } from './peers/scenario.mjs';
import { until } from './peers/wait.mjs';
import { World } from './peers/world.mjs';

describe('backup and restore', () => {
    let w, copy;
    const cli = (...args) => w.bailiff.cli(...args, '-c', w.bailiff.configFile, '--json');
    /** Puts the copy in place without the command, tries to start, and takes it back. */
    async function refusesByHand() {
        const parts = ['bailiff.db', 'bailiff.db-wal', 'bailiff.db-shm'];
        const { dataDir } = w.bailiff, save = join(w.dir, 'save');
        mkdirSync(save);
        for (const f of parts) renameSync(join(dataDir, f), join(save, f));
        cpSync(copy, join(dataDir, 'bailiff.db'));
        await assert.rejects(w.bailiff.start(), /bailiff restore/);
        assert.deepEqual(await w.bailiff.exited, { code: 3, signal: null }, w.bailiff.stderr);
        for (const f of parts) rmSync(join(dataDir, f), { force: true });
        for (const f of parts) renameSync(join(save, f), join(dataDir, f));
    }

    before(async () => { w = await World.start(); copy = join(w.dir, 'copy.db'); });
    after(() => w.close());

    it('a backup while events stream in is complete and does not hold them up', async () => {
        const gate = w.gate();
        w.alive = await known(w, gate, 'alive');
        const early = await known(w, gate, 'early');
        w.scim.put(early, { active: false });
        await tell(w, 'deactivate', early);
        const runtime = await w.runtime();
        w.owner = await known(w, gate, 'owner');
        w.access = await w.as.token();
        await runtime.register(w.owner, w.access, { issuer: w.as.issuer });
        w.as.revocationFault = { status: 503 };
        w.scim.put(w.owner, { active: false });
        await tell(w, 'deactivate', w.owner);
        let going = true, sent = 0;
        const streaming = (async () => {
            for (; going; sent++) {
                const answer = await w.idp.tell('patch:notice', w.alive);
                assert.equal(answer.status, 202);
            }
        })();
        const { code, json, stderr } = await cli('backup', copy);
        const during = sent;
        await until('more events', () => sent > during + 5);
        going = false;
        await streaming;
        assert.equal(code, 0, stderr);
        assert.ok(json.facts > 4 && json.last_row > 4, JSON.stringify(json));
        assert.equal(statSync(copy).mode & 0o777, 0o600);
        const again = await cli('backup', copy);
        assert.equal(again.code, 1, again.stdout);
        assert.match(again.stderr, /already/);
        const deep = await cli('check', '--deep');
        assert.match(deep.stdout, /database intact/);
        assert.equal((await cli('restore', copy)).code, 1, 'it runs');
    });

    it('an old database is refused when put there by hand, and taken from restore', async () => {
        const late = await known(w, w.gate(), 'late');
        w.scim.put(late, { active: false });
        await tell(w, 'deactivate', late);
        await w.bailiff.ask('hold', 'add', w.alive, '--reason', 'after the backup');
        await w.bailiff.kill();
        w.late = late;
        w.epochs = Math.max(...w.bailiff.log().map((r) => r.epoch ?? 0));
        await refusesByHand();
        const refused = await cli('restore', copy);
        assert.equal(refused.code, 1, refused.stdout);
        assert.match(refused.stderr, /--force/);
        const { code, json, stderr } = await cli('restore', copy, '--force');
        assert.equal(code, 0, stderr);
        assert.match(json.aside, /^bailiff\.db\.before-/);
        assert.ok(existsSync(join(w.bailiff.dataDir, json.aside)));
        assert.ok(json.log_row > json.last_row);
    });

    it('what was in the backup is in force; every agent is read again first', async () => {
        const reads = w.scim.readsOf(w.alive).length;
        await w.bailiff.start();
        const gate = w.gate();
        await untilAnswer(gate, '/Agents/early', 'agent_suspended');
        await untilAnswer(gate, w.alive, 'allow');
        assert.ok(w.scim.readsOf(w.alive).length > reads);
        assert.notEqual(await ask(gate, w.late), 'allow'); // its event is lost, its state is not
        const { json } = await w.bailiff.ask('jobs', 'list');
        assert.ok(json.jobs.some((j) => j.agent === w.owner && j.action === 'revoke'));
        w.as.revocationFault = null;
        await until('the revocation', async () => !await w.as.isActive(w.access), 50);
        const said = records(w.bailiff, { kind: 'log', outcome: 'store_restored' });
        assert.equal(said.length, 1);
        const later = w.bailiff.log().filter((r) => r.seq > said[0].seq && r.epoch > 0);
        assert.ok(later.length > 0);
        for (const r of later) assert.ok(r.epoch > w.epochs, `${r.epoch} is not new`);
    });

    it('redelivered events are accepted once more, and the log is whole', async () => {
        const set = await tell(w, 'deactivate', w.late);
        await untilAnswer(w.gate(), w.late, 'agent_suspended');
        assert.equal((await w.idp.push(set.set)).status, 202);
        await w.bailiff.kill();
        await w.bailiff.start();
        const accepted = () => records(w.bailiff, { jti: set.jti, kind: 'event' })
            .filter((r) => r.outcome !== 'duplicate').length;
        await until('its record', () => accepted() > 0);
        await audited(w);
        assert.equal(accepted(), 1);
        w.bailiff.log().forEach((r, i) => assert.equal(r.seq, i + 1));
        assert.equal(records(w.bailiff, { kind: 'log', outcome: 'store_restored' }).length, 1);
    });

    it('a backup that cannot be trusted is refused, and nothing changes', async () => {
        const bad = join(w.dir, 'bad.db');
        writeFileSync(bad, 'no database', { mode: 0o600 });
        const refused = await cli('restore', bad, '--force');
        assert.equal(refused.code, 3, refused.stdout);
        const missing = await cli('restore', join(w.dir, 'nothing'), '--force');
        assert.equal(missing.code, 3);
        assert.deepEqual(readdirSync(w.bailiff.dataDir).filter((f) => f === 'restore'), []);
        await w.bailiff.start();
        await untilAnswer(w.gate(), w.late, 'agent_suspended');
        await audited(w);
        rmSync(copy);
    });
});
