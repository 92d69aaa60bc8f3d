// SPDX-License-Identifier: Apache-2.0
// A database changed by hand, one change at a time (lib/harm.py makes them). The
// start is refused, with words that say where and what to do; or what starts is
// no looser than before: who was held is held, or it says whom it cannot hold.
// Nothing crashes, hangs or takes memory without end, no command either.
import assert from 'node:assert/strict';
import { cpSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BINARY } from '../e2e/peers/bailiff.mjs';
import { ask, known, tell, untilAnswer, untilRecord } from '../e2e/peers/scenario.mjs';
import { World } from '../e2e/peers/world.mjs';
import { freshGate } from './lib/books.mjs';
import { folded, harm } from './lib/harm.mjs';
import { sequence } from './lib/sequence.mjs';

const COUNT = process.env.FAULT_ROWS ?? '30'; // or 'all', or the name of one change
const SEED = Number(process.env.FAULT_SEED ?? 1);
const ADDRESS_KIB = 1500000;

/** Which of the names: all, one, or so many of them by the seed. */
function chosen(names) {
    if (COUNT === 'all') return names;
    if (Number.isNaN(Number(COUNT))) return names.filter((n) => n === COUNT);
    const random = sequence(SEED), left = [...names];
    return Array.from({ length: Math.min(Number(COUNT), left.length) },
        () => left.splice(random(left.length), 1)[0]);
}

/** No trace of a crash in what a process said. */
const intact = (text, where) =>
    assert.doesNotMatch(text, /Sanitizer|runtime error|must\(|[Aa]ssert|stack:/, where);

describe('rows that nobody wrote', () => {
    let w, snapshot;
    const held = ['/Agents/held', '/Agents/stopped'];

    before(async () => {
        w = await World.start({ configure: (c) => ({ ...c, store: { ...c.store, legal_hold: true } }) });
        const runtime = await w.runtime(), b = w.bailiff;
        for (const id of ['alive', 'held', 'stopped']) await known(w, runtime.gate, id);
        await runtime.begin('/Agents/stopped', 'kb.search');
        await runtime.register('/Agents/stopped', await w.as.token(), { issuer: w.as.issuer });
        await runtime.register('/Agents/alive', await w.as.token(), { issuer: w.as.issuer });
        w.as.revocationFault = { status: 503 }; // a job stays open
        w.scim.put('/Agents/stopped', { active: false });
        await tell(w, 'deactivate', '/Agents/stopped');
        await untilAnswer(runtime.gate, '/Agents/stopped', 'agent_suspended');
        await folded(w); // so much
        assert.equal((await b.ask('hold', 'add', '/Agents/held', '--reason', 'rows')).code, 0);
        await tell(w, 'patch:notice', '/Agents/alive');
        await untilRecord(b, { kind: 'operator' });
        await b.kill();
        harm('complete', join(b.dataDir, 'bailiff.db'));
        snapshot = join(w.dir, 'snapshot');
        cpSync(b.dataDir, snapshot, { recursive: true });
    });
    after(() => w.close());

    function begin(name) {
        const { dataDir } = w.bailiff;
        rmSync(dataDir, { recursive: true, force: true });
        cpSync(snapshot, dataDir, { recursive: true });
        harm('apply', join(dataDir, 'bailiff.db'), name);
    }

    /** Commands that read the file: an answer, whatever it is. */
    async function commandsSurvive(name) {
        const copy = join(w.dir, 'copy.db'), c = ['-c', w.bailiff.configFile];
        rmSync(copy, { force: true });
        for (const words of [['check', '--deep'], ['backup', copy], ['history', 'export']]) {
            const { code, stdout, stderr } = await w.bailiff.cli(...words, ...c);
            assert.ok([0, 1, 3, 4].includes(code), `${words[0]}: ${code} ${stderr}`);
            intact(stdout + stderr, `${words[0]}: ${name}`);
            assert.doesNotMatch(stderr, /out of memory/, words[0]);
        }
    }

    /** @returns {Promise<string>} 'refused' or 'started' */
    async function start() {
        const sanitized = readFileSync(BINARY).includes('__asan_init');
        const wrap = sanitized ? [] : ['sh', '-c', `ulimit -v ${ADDRESS_KIB}; exec "$@"`, 'sh'];
        try {
            await w.bailiff.start({ wrap, readyMs: 20000 });
            return 'started';
        } catch (e) {
            assert.match(e.message, /^it ended with /);
            return 'refused';
        }
    }

    async function refusedInWords() {
        const { stderr, exited } = w.bailiff;
        assert.deepEqual(await exited, { code: 3, signal: null }, stderr);
        assert.match(stderr, new RegExp('`bailiff restore`|is not as this program makes it'
            + '|belongs to another program|install the newer program'), stderr);
        assert.doesNotMatch(stderr, /out of memory/);
    }

    /** Who was held is; where the change made another's hold of it, it is said. */
    async function noLooser() {
        const gate = freshGate(w);
        try {
            for (const uri of held) {
                const answer = await ask(gate, uri);
                if (answer === 'allow') {
                    assert.match(w.bailiff.stderr, /holds_or_jobs_of_no_feed/, `${uri} is allowed`);
                }
            }
        } finally {
            gate.close();
        }
        const { code, stdout, stderr } = await w.bailiff.ask('jobs', 'list');
        assert.equal(code, 0, stderr);
        intact(stdout, 'jobs');
    }

    it('are refused in words, or loosen nothing', { timeout: 3600000 }, async () => {
        const names = harm('list', join(snapshot, 'bailiff.db')), tried = chosen(names);
        const seen = { refused: 0, started: 0 }, failures = [];
        for (const name of tried) {
            try {
                begin(name);
                await commandsSurvive(name);
                const how = await start();
                seen[how]++;
                if (how === 'refused') await refusedInWords();
                else await noLooser();
                await w.bailiff.kill();
                intact(w.bailiff.stderr, name);
            } catch (e) {
                failures.push(`FAULT_ROWS='${name}': ${e.message}`);
                await w.bailiff.kill();
            }
        }
        console.log(`${tried.length} of ${names.length} changes (FAULT_SEED=${SEED}): `
            + `${seen.refused} refused, ${seen.started} started`);
        assert.deepEqual(failures, []);
        assert.ok(tried.length > 0 && (tried.length === 1 || seen.refused > 0 && seen.started > 0));
    });
});
