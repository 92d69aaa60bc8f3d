// SPDX-License-Identifier: Apache-2.0
// SIGHUP: certificates change under running connections, policies change with
// a record, and what cannot be used changes nothing.
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { connect } from 'node:tls';
import { fingerprint } from './peers/ca.mjs';
import { Runtime, tls } from './peers/runtime.mjs';
import { ask, known, records, tell, untilAnswer, useWorld } from './peers/scenario.mjs';
import { until } from './peers/wait.mjs';
import { POLICY } from './peers/world.mjs';

/** Fingerprint of the certificate that a new connection to `port` is shown. */
function shown(w, port) {
    return new Promise((done, fail) => {
        const socket = connect({ host: 'localhost', port, ca: w.ca.pem, ALPNProtocols: ['h2'] });
        socket.on('error', fail);
        socket.on('secureConnect', () => {
            done(socket.getPeerCertificate().fingerprint256.replaceAll(':', '').toLowerCase());
            socket.destroy();
        });
    });
}

/** How often the program has said `event` on stderr. */
const said = (w, event) => w.bailiff.stderr.split('\n')
    .filter((line) => line.includes(`event=${event}`)).length;

describe('certificates and SIGHUP', () => {
    const RUNTIME = 'spiffe://corp.test/runtime/a';
    let first, second, mine, runtime, agent;
    const held = useWorld({
        configure: (c, w) => {
            [first, second] = [w.ca.server('first'), w.ca.server('second')];
            mine = w.ca.client('runtime-a', RUNTIME);
            c.listen.gate[1].tls = {
                cert: first.certFile, key: first.keyFile, client_ca: w.ca.file,
            };
            c.listen.push[0].tls = { cert: first.certFile, key: first.keyFile };
            c.callers.push({
                name: 'runtime-tls', role: 'runtime', spiffe_id: RUNTIME, agents: ['/Agents/*'],
            });
            return c;
        },
    });

    /** Sends SIGHUP and waits until the policy and the certificates were seen to. */
    async function reload() {
        const { w } = held;
        const before = said(w, 'unchanged');
        w.bailiff.signal('SIGHUP');
        await until('the reload', () => said(w, 'unchanged') > before);
        await known(w, w.gate(), 'after');
    }
    const bothShow = async (pair) => {
        const { w } = held;
        for (const port of [w.ports.gate, w.ports.push]) {
            assert.equal(await shown(w, port), fingerprint(pair.cert));
        }
    };
    const stillWatching = async () => {
        const pongs = () => runtime.notices.filter((n) => n.kind === 'pong').length;
        const before = pongs();
        runtime.ping();
        await until('a pong', () => pongs() > before);
        assert.ok(runtime.notices.every((n) => !['end', 'error'].includes(n.kind)));
    };

    it('a running watch outlives the change, new connections see the new one', async () => {
        const { w } = held;
        runtime = new Runtime(`localhost:${w.ports.gate}`, 'runtime-a', tls(w.ca.pem, mine));
        w.adopt(() => runtime.close());
        await runtime.watch();
        agent = await known(w, runtime.gate, '1');
        await bothShow(first);
        await tell(w, 'patch:notice', '/Agents/9', { http2: true });
        first.text = readFileSync(first.certFile);
        copyFileSync(second.keyFile, first.keyFile);
        copyFileSync(second.certFile, first.certFile);
        await bothShow(first);
        await reload();
        await bothShow(second);
        await stillWatching();
        await tell(w, 'patch:notice', '/Agents/9', { http2: true });
    });

    it('a certificate that is broken, gone or of another key keeps the old', async () => {
        const { w } = held;
        const cases = [
            [first.certFile, 'no certificate\n'], [first.certFile, ''],
            [first.certFile, first.text], [first.keyFile, 'no key\n'],
        ];
        for (const [file, text] of cases) {
            const kept = readFileSync(file);
            const before = said(w, 'tls_reload_refused');
            writeFileSync(file, text);
            await reload();
            await until('a word on gate and push', () =>
                said(w, 'tls_reload_refused') >= before + 2);
            assert.equal(said(w, 'tls_reload_refused'), before + 2);
            writeFileSync(file, kept);
            await bothShow(second);
            await stillWatching();
        }
        assert.ok(!w.bailiff.stderr.includes('PRIVATE KEY'));
    });

    it('the watch of before still stops calls', async () => {
        const { w } = held;
        const { call: running } = await runtime.begin(agent, 'deploy');
        await tell(w, 'deactivate', agent);
        assert.equal(await running.ended, 'OUTCOME_CANCELLED');
    });
});

describe('policies and SIGHUP', () => {
    const held = useWorld();
    const NEXT = POLICY.replace('gate:\n', 'gate:\n  - {name: none, tools: ["kb.*"], '
        + 'require: \'groups.value eq "g-x"\'}\n');
    const policies = (outcome) => records(held.w.bailiff, { kind: 'policy', outcome });
    const digest = async () => (await held.w.bailiff.ask('status')).json.policy_digest;

    it('a good one is a record with both digests', async () => {
        const { w } = held;
        const agent = await known(w, w.gate(), '1');
        const [old, count] = [await digest(), policies('active').length];
        w.bailiff.writePolicy(NEXT);
        w.bailiff.signal('SIGHUP');
        const record = await until('a record', () => policies('active')[count]);
        const fresh = await digest();
        assert.notEqual(fresh, old);
        assert.deepEqual([record.why, record.target], [fresh, old]);
        assert.equal(await ask(w.gate(), agent), 'gate_rule');
    });

    it('bad ones are records that say why, and the old one goes on', async () => {
        const { w } = held;
        const good = await digest();
        const active = policies('active').length;
        const cases = [
            ['rules: [', /^line \d+, column 1: /], ['', /apiVersion/],
            [NEXT.replace('hold: suspended', 'hold: forever'), /forever/],
            [NEXT.replace('groups.value eq', 'groups.value equals'), /^line \d+, column \d+: .*eq/],
        ];
        for (const [i, [text, why]] of cases.entries()) {
            w.bailiff.writePolicy(text);
            w.bailiff.signal('SIGHUP');
            const record = await until(`refusal ${i}`, () => policies('refused')[i]);
            assert.match(record.why, why);
            assert.equal(await ask(w.gate(), '/Agents/1'), 'gate_rule');
        }
        assert.equal(await digest(), good);
        assert.equal(policies('active').length, active);
        w.bailiff.writePolicy(POLICY);
        w.bailiff.signal('SIGHUP');
        await untilAnswer(w.gate(), '/Agents/1', 'allow');
        assert.equal(policies('active').at(-1).target, good);
    });
});
