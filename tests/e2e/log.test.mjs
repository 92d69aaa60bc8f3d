// SPDX-License-Identifier: Apache-2.0
// The decision log: complete, verifiable offline, and changes are seen.
import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { ask, audited, known, tell } from './peers/scenario.mjs';
import { logFiles, tamperedCopy } from './peers/tamper.mjs';
import { World } from './peers/world.mjs';

describe('the decision log', () => {
    let w;

    it('has one line per thing that happened, numbered without a gap', async () => {
        w = await World.start();
        const gate = w.gate();
        const agent = await known(w, gate, '1');
        const { jti } = await tell(w, 'deactivate', agent);
        assert.equal(await ask(gate, agent), 'agent_suspended');
        await w.idp.tell('deactivate', agent, { claims: { aud: 'https://x.test' } });
        await audited(w);
        const log = w.bailiff.log();
        log.forEach((r, i) => {
            assert.equal(r.seq, log[0].seq + i);
            assert.equal(r.v, 1);
            assert.match(r.time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
        });
        for (const kind of ['event', 'verdict', 'action', 'gate', 'read', 'log']) {
            assert.ok(log.some((r) => r.kind === kind), `no ${kind} record`);
        }
        const denied = log.find((r) => r.kind === 'gate' && r.reason === 'agent_suspended');
        assert.equal(denied.agent, agent);
        assert.ok(log.some((r) => r.kind === 'event' && r.jti === jti));
    });

    const hurt = (name, edit) => it(`verify sees ${name}`, async () => {
        const copy = tamperedCopy(w.bailiff.logDir, join(w.dir, name.replace(/\W/g, '-')), edit);
        const { code, stdout, stderr } = await w.bailiff.verifyLog(copy);
        assert.equal(code, 1, stdout + stderr);
    });
    hurt('one changed letter');
    hurt('a removed line', (lines) => lines.filter((_, i) => i !== 1));
    hurt('two exchanged lines', ([a, b, ...rest]) => [b, a, ...rest]);
    hurt('a line put in', (lines) => [lines[0], ...lines]);
    hurt('a cut tail', (lines) => lines.slice(0, -2));
    hurt('an empty log', () => []);

    it('a checkpoint that is kept elsewhere finds a rewritten past', async () => {
        const kept = join(w.bailiff.logDir, 'checkpoint');
        const same = await w.bailiff.verifyLog(w.bailiff.logDir,
            '--checkpoint', kept);
        assert.equal(same.code, 0, same.stdout + same.stderr);
    });

    it('says how much is not signed when lines follow the last checkpoint', async () => {
        const copy = tamperedCopy(w.bailiff.logDir, join(w.dir, 'longer'), (lines) => lines);
        const last = w.bailiff.log().at(-1);
        appendFileSync(join(copy, logFiles(copy).at(-1)),
            `${JSON.stringify({ ...last, seq: last.seq + 1 })}\n`);
        const { stdout, stderr } = await w.bailiff.verifyLog(copy);
        assert.match(stdout + stderr, /1 .*(unsigned|not (yet )?signed)/);
    });

    after(() => w.close());
});
