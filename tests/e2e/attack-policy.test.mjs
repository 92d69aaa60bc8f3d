// SPDX-License-Identifier: Apache-2.0
// Hostile files, folders and peers around policies, backups and stopping,
// against the running program.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import tls from 'node:tls';
import { ask, known, untilAnswer, untilRecord, useWorld } from './peers/scenario.mjs';
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
        const [{ code }, ms] = await timed(() => w.bailiff.stop());
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
            await untilAnswer(gate, agent, 'gate_rule');
        } finally {
            clearInterval(noise);
        }
    });
});

describe('the operators\' socket', () => {
    const held = useWorld({
        configure: (c, w) => {
            const candidate = join(w.dir, 'candidate');
            execFileSync('mkfifo', [candidate]);
            return { ...c, policy: { ...c.policy, candidate } };
        },
    });

    const send = (method, path, body = '') => new Promise((done, fail) => {
        const req = http.request({ socketPath: held.w.bailiff.adminSocket, method, path,
            headers: { 'content-type': 'application/json',
                'content-length': Buffer.byteLength(body) } }, (res) => {
            let text = '';
            res.on('data', (part) => { text += part; });
            res.on('end', () => done({ status: res.statusCode, text }));
        });
        req.on('error', fail);
        req.end(body);
    });

    const digest = (text) => `/v1/policy/text?digest=${text}`;
    const REFUSED = [
        ['GET', '/v1/policy/text', ''],
        ['GET', digest(''), ''],
        ['GET', digest('%00'.repeat(64)), ''],
        ['GET', digest('..%2f..%2fkeys%2flog.key'), ''],
        ['GET', digest(`${'a'.repeat(64)}%2f`), ''],
        ['GET', digest('A'.repeat(64)), ''],
        ['GET', digest('a'.repeat(8000)), ''],
        ['GET', `${digest('a'.repeat(64))}&digest=..`, ''],
        ['POST', '/v1/policy', '{}'],
        ['GET', '/v1/policy/reload', ''],
        ['DELETE', '/v1/policy/history', ''],
        ['POST', '/v1/policy/reload', ''],
        ['POST', '/v1/policy/reload', '[]'],
        ['POST', '/v1/policy/reload', '{"reason":1}'],
        ['POST', '/v1/policy/reload', '{"reason":"x","as":"root"}'],
        ['POST', '/v1/policy/reload', '{"reason":"x","file":"/etc/passwd"}'],
        ['POST', '/v1/policy/reload', `{"reason":"${'r'.repeat(300000)}"}`],
        ['POST', '/v1/policy/reload', `${'['.repeat(20000)}`],
    ];

    for (const [method, path, body] of REFUSED) {
        it(`refuses ${method} ${path.slice(0, 60)} ${body.slice(0, 40)}`, async () => {
            const { status, text } = await send(method, path, body);
            assert.ok(status >= 400 && status < 500, `${status} ${text}`);
            assert.doesNotMatch(text, /PRIVATE|root:/);
        });
    }

    it('many reloads at once are few reloads', async () => {
        const answers = await Promise.all(Array.from({ length: 60 },
            () => send('POST', '/v1/policy/reload', '{"reason":"flood"}')));
        assert.ok(answers.every(({ status }) => [200, 429].includes(status)));
        assert.ok(answers.some(({ status }) => status === 200));
    });

    it('a candidate that is a pipe is refused, and nothing waits for it', async () => {
        const { w } = held;
        const { text } = await send('GET', '/v1/candidate');
        assert.match(text, /"refused".*not a regular file/);
        const gate = w.gate();
        await known(w, gate, '1');
        assert.equal(await ask(gate, '/Agents/1'), 'allow');
    });
});
