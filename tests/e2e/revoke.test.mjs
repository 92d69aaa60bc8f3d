// SPDX-License-Identifier: Apache-2.0
// Tokens an agent holds: sealed at rest, revoked at a real authorization
// server, with a secret and with a signed assertion.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { known, tell, untilRecord, useWorld } from './peers/scenario.mjs';
import { filesBelow } from './peers/traces.mjs';
import { sleep, until } from './peers/wait.mjs';

for (const revokeBy of ['secret', 'assertion']) {
    describe(`revocation with a client ${revokeBy}`, () => {
        const held = useWorld({ revokeBy });

        it('revokes every token of a stopped agent, once, and no other', async () => {
            const { w } = held;
            const runtime = await w.runtime();
            const agent = await known(w, runtime.gate, 'a');
            const other = await known(w, runtime.gate, 'b');
            const tokens = await Promise.all([w.as.token(), w.as.token(), w.as.token()]);
            const safe = await w.as.token();
            for (const t of tokens) await runtime.register(agent, t, { issuer: w.as.issuer });
            await runtime.register(other, safe, { issuer: w.as.issuer });
            const { jti, set } = await tell(w, 'deactivate', agent);
            for (const t of tokens) await until('revoked', async () => !await w.as.isActive(t));
            await untilRecord(w.bailiff,
                { kind: 'action', action: 'revoke', jti, outcome: 'confirmed' });
            assert.equal(await w.as.isActive(safe), true);
            const count = w.as.revocations.length;
            assert.equal(count, 3);
            assert.equal((await w.idp.push(set)).status, 202);
            await sleep(300);
            assert.equal(w.as.revocations.length, count, 'a duplicate revoked again');
        });

        it('tries again after 503 and honours Retry-After', async () => {
            const { w } = held;
            const runtime = await w.runtime();
            const agent = await known(w, runtime.gate, 'c');
            const token = await w.as.token();
            await runtime.register(agent, token, { issuer: w.as.issuer });
            w.as.revocationFault = { status: 503, headers: { 'retry-after': '1' } };
            const before = w.as.revocations.length;
            await tell(w, 'deactivate', agent);
            await until('an attempt', () => w.as.revocations.length > before);
            w.as.revocationFault = null;
            await until('revoked', async () => !await w.as.isActive(token));
            const [first, second] = w.as.revocations.slice(before);
            assert.ok(second.at - first.at >= 950, `${second.at - first.at} ms between`);
        });

        it('survives an authorization server that is away', async () => {
            const { w } = held;
            const runtime = await w.runtime();
            const agent = await known(w, runtime.gate, 'd');
            const token = await w.as.token();
            await runtime.register(agent, token, { issuer: w.as.issuer });
            await w.as.stop();
            await tell(w, 'deactivate', agent);
            await sleep(500);
            await w.as.restart();
            await until('revoked', async () => !await w.as.isActive(token));
        });

        it('nothing registered is said so, never called confirmed', async () => {
            const { w } = held;
            const gate = w.gate();
            const agent = await known(w, gate, 'e');
            const { jti } = await tell(w, 'deactivate', agent);
            const record = await untilRecord(w.bailiff, { kind: 'action', action: 'revoke', jti });
            assert.equal(record.outcome, 'nothing_registered');
            assert.equal(record.reach, 0);
        });

        it('a token is nowhere in clear: not in a file, not in the log, not on stderr',
            async () => {
                const { w } = held;
                const runtime = await w.runtime();
                const agent = await known(w, runtime.gate, 'f');
                const token = `secret-${await w.as.token()}`;
                await runtime.register(agent, token, { issuer: w.as.issuer });
                await tell(w, 'deactivate', agent);
                await sleep(300);
                const secrets = [token, w.as.clients.bailiff, w.scim.bearer, w.pushBearer];
                for (const [path, bytes] of filesBelow(w.bailiff.dataDir)) {
                    for (const s of secrets) assert.ok(!bytes.includes(s), `${s} in ${path}`);
                }
                for (const s of secrets) assert.ok(!w.bailiff.stderr.includes(s), s);
            });
    });
}
