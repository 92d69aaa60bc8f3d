// SPDX-License-Identifier: Apache-2.0
// docs/rollout.md, carried out: every command of the page runs here, in the
// order of the page, and answers what the page says. GOLDEN_UPDATE=1 writes
// the answers into the page instead; look at the difference before committing.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BINARY } from './peers/bailiff.mjs';
import { isOutput, steps } from './peers/document.mjs';
import { ask, audited, known, records, tell, untilAnswer } from './peers/scenario.mjs';
import { PATIENCE_MS, until } from './peers/wait.mjs';
import { World } from './peers/world.mjs';
import { toYaml } from './peers/yaml.mjs';

const PAGE = fileURLToPath(new URL('../../docs/rollout.md', import.meta.url));
/** The page's days are days to come, whenever this runs. */
const [YEAR, LATER] = ['2027-', '2999-'];
const later = (text) => text.replaceAll(YEAR, LATER);
const sha256 = (text) => createHash('sha256').update(text).digest('hex');

/** What the commands of the page see as /etc/bailiff and /var/lib/bailiff. */
class Machine {
    /** Digests of files as they are here, and as the page has them. */
    #digests = [];

    constructor(w) {
        this.w = w;
        this.bin = join(w.dir, 'bin');
        mkdirSync(this.bin);
        // Names the configuration of this world wherever a command can be told.
        writeFileSync(join(this.bin, 'bailiff'), `#!/bin/sh
for words in "$1 $2" "$1"; do
    case "$words $(${BINARY} help $words 2>/dev/null)" in
    policy\\ explain*|policy\\ check*) break ;;    # there it asks for more
    agents\\ *|jobs\\ *|*--config\\ FILE*) exec ${BINARY} "$@" -c ${w.bailiff.configFile} ;;
    *usage:*) break ;;
    esac
done
exec ${BINARY} "$@"
`);
        chmodSync(join(this.bin, 'bailiff'), 0o755);
    }

    here(text) {
        const b = this.w.bailiff;
        let mine = later(text).replaceAll('/var/lib/bailiff', b.dataDir)
            .replaceAll('/etc/bailiff', b.dir);
        for (const [page, real] of this.#digests) {
            mine = mine.replace(/\b[0-9a-f]{8,64}\b/g,
                (hex) => (page.startsWith(hex) ? real.slice(0, hex.length) : hex));
        }
        return mine;
    }

    there(text) {
        const b = this.w.bailiff;
        let its = text.replaceAll(b.dataDir, '/var/lib/bailiff').replaceAll(b.dir, '/etc/bailiff')
            .replaceAll(LATER, YEAR).replace(/ +$/gm, '');
        for (const [page, real] of this.#digests) {
            its = its.replaceAll(real, page).replaceAll(real.slice(0, 16), page.slice(0, 16));
        }
        return its.replace(/\s+$/, '');
    }

    /** Is it the digest of a file that the page has? */
    isPolicy(digest) { return this.#digests.some(([page]) => page.startsWith(digest)); }

    write({ name, text }) {
        this.#digests.push([sha256(text), sha256(later(text))]);
        writeFileSync(join(this.w.bailiff.dir, name), later(text), { mode: 0o600 });
    }

    /** A part of bailiff.yaml, beside what this world needs. */
    configure({ name, text }) {
        assert.equal(name, 'bailiff.yaml');
        const { policy, ...rest } = this.w.bailiff.config;
        writeFileSync(this.w.bailiff.configFile, toYaml(rest) + text, { mode: 0o600 });
    }

    async service(verb) {
        const b = this.w.bailiff;
        if (verb === 'reload') return b.signal('SIGHUP');
        if (verb === 'restart') await b.stop();
        await b.start();
        return until('the key set', () => /event=loaded feed=hr /.test(b.stderr));
    }

    async run(command) {
        const [, verb] = /^systemctl (\w+) bailiff$/.exec(command) ?? [];
        if (verb) {
            await this.service(verb);
            return '';
        }
        return new Promise((done) => {
            execFile('/bin/sh', ['-c', `exec 2>&1\n${this.here(command)}`], {
                cwd: this.w.bailiff.dir, timeout: PATIENCE_MS,
                env: { ...process.env, PATH: `${this.bin}:${process.env.PATH}` },
            }, (error, stdout) => done(this.there(stdout)));
        });
    }
}

/** Without what differs from run to run: times, ages, widths, digests of other files. */
const steady = (text, isPolicy) => text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replace(/\d+(ms|s|m|h|d) ago|\bnow\b/g, 'AGO')
    .replace(/^ *\d+ +(?=TIME)/gm, 'N ')
    .replace(/\b([0-9a-f]{64}|[0-9a-f]{16})\b/g, (digest) => (isPolicy(digest) ? digest : 'DIGEST'))
    .replace(/^( +policy-team)\+[0-9a-f]{8}\+\S+/gm, '$1+KEY')
    .replace(/[ \t]+/g, ' ').replace(/ $/gm, '');

/* ---- what happens meanwhile ---- */

const PAYERS = { groups: [{ value: 'g-payments' }] };

async function questions(w, table) {
    const gate = w.gate();
    for (const [agent, ...tools] of table) {
        for (const tool of tools) assert.equal(await ask(gate, agent, tool), 'allow', `${agent} ${tool}`);
    }
}

const leaves = async (w, agent, answer) => {
    w.scim.put(agent, { active: false });
    await tell(w, 'deactivate', agent);
    await untilAnswer(w.gate(), agent, answer);
};

const scenes = {
    async 'a week'(w) {
        for (const id of ['billing-1', 'billing-2']) w.agent(id, PAYERS);
        for (const id of ['support-1', 'report-1', 'old-1']) w.agent(id);
        await questions(w, [
            ['/Agents/billing-1', 'payments.send', 'payments.send', 'kb.search'],
            ['/Agents/billing-2', 'payments.send', 'payments.refund'],
            ['/Agents/support-1', 'kb.search', 'kb.read', 'tickets.close'],
            ['/Agents/report-1', 'payments.list', 'kb.search'],
            ['/Agents/old-1', 'kb.search'],
        ]);
        await leaves(w, '/Agents/old-1', 'agent_inactive');
        assert.equal(await ask(w.gate(), '/Agents/nobody'), 'unknown_agent');
        await until('the reads', () => records(w.bailiff, { kind: 'read' }).length >= 7);
    },

    async 'a day'(w) {
        w.agent('old-2');
        await questions(w, [
            ['/Agents/billing-1', 'payments.send', 'kb.search'],
            ['/Agents/report-1', 'payments.list', 'payments.send'],
            ['/Agents/old-2', 'kb.search'],
        ]);
        await leaves(w, '/Agents/old-2', 'agent_inactive');
        // An effect of one side alone counts when the other had ten seconds for it.
        await until('the differences', async () => {
            const { json } = await w.bailiff.ask('policy', 'candidate');
            return json.totals.length >= 5;
        });
        await until('their records', () => records(w.bailiff, { kind: 'candidate' }).length >= 5);
    },

    async 'it is enforced'(w) {
        const gate = w.gate();
        await known(w, gate, 'support-1');
        assert.equal(await ask(gate, '/Agents/report-1', 'payments.send'), 'gate_rule');
        assert.equal(await ask(gate, '/Agents/billing-1', 'payments.send'), 'allow');
        const left = await known(w, gate, 'old-3');
        await leaves(w, left, 'agent_suspended');
        await until('the event and the read to hold it', () =>
            records(w.bailiff, { kind: 'action', action: 'hold', agent: left }).length === 2);
    },

    async 'it is as before'(w) {
        await untilAnswer(w.gate(), '/Agents/report-1', 'allow', 'payments.send');
    },
};

describe('from the audit week to enforcement', () => {
    let w, machine;
    const page = readFileSync(PAGE, 'utf8').split('\n');
    const answers = [];

    before(async () => {
        w = await World.make({ policy: '' });
        await w.bailiff.init();
        machine = new Machine(w);
    });
    after(async () => {
        try {
            if (w.bailiff.pid) await audited(w);
        } finally {
            await w.close();
        }
        if (process.env.GOLDEN_UPDATE) {
            for (const { from, to, seen } of answers.reverse()) {
                page.splice(from, to - from, ...(seen === '' ? [] : seen.split('\n')));
            }
            writeFileSync(PAGE, page.join('\n'));
        }
    });

    let broken;

    async function carryOut(step) {
        assert.equal(broken, undefined, 'what came before has failed');
        broken = step.line;
        await play(step);
        broken = undefined;
    }

    const matches = (wanted, seen) => isOutput(...[wanted, seen].map((text) =>
        steady(text, (digest) => machine.isPolicy(digest))));

    async function play(step) {
        if (step.kind === 'file') return machine.write(step);
        if (step.kind === 'part') return machine.configure(step);
        if (step.kind === 'world') return scenes[step.name](w);
        const seen = await machine.run(step.text);
        if (process.env.GOLDEN_UPDATE && !step.output.includes('...')) answers.push({ ...step, seen });
        else if (!matches(step.output, seen)) assert.equal(seen, step.output);
        return undefined;
    }

    for (const step of steps(PAGE)) {
        it(`line ${step.line}: ${(step.text ?? step.name).split('\n')[0]}`, () => carryOut(step));
    }
});
