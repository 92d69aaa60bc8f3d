// SPDX-License-Identifier: Apache-2.0
// Several transmitters, their keys, and tokens that come more than once.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CAEP_EVENTS, RISC_EVENTS, SCIM_EVENTS } from './peers/events.mjs';
import { Idp } from './peers/idp.mjs';
import { ask, known, records, tell, untilRecord, useWorld } from './peers/scenario.mjs';
import { until } from './peers/wait.mjs';

const AUDIENCE_2 = 'https://bailiff.test/streams/it';

describe('feeds', () => {
    const held = useWorld({ configure: (c) => c });

    it('accepts every event of RFC 9967, CAEP and RISC', async () => {
        const { w } = held;
        for (const name of [...SCIM_EVENTS, ...CAEP_EVENTS, ...RISC_EVENTS]) {
            const { status, body } = await w.idp.tell(name, '/Agents/any');
            assert.equal(status, 202, `${name}: ${body}`);
        }
    });

    it('accepts an unsolicited verification and a stream update', async () => {
        const { w } = held;
        for (const name of ['verification', 'stream-updated']) {
            await tell(w, name, '', { claims: { sub_id: { format: 'opaque', id: 's' } } });
        }
    });

    it('a duplicate gets the same answer and acts once', async () => {
        const { w } = held;
        const runtime = await w.runtime();
        const agent = await known(w, runtime.gate, 'dup');
        await runtime.register(agent, await w.as.token(), { issuer: w.as.issuer });
        const set = await w.idp.mint('deactivate', agent);
        const answers = await Promise.all(Array.from({ length: 5 }, () => w.idp.push(set)));
        assert.ok(answers.every((a) => a.status === 202));
        await untilRecord(w.bailiff,
            { kind: 'action', action: 'revoke', jti: set.jti, outcome: 'confirmed' });
        const item = w.idp.stream('hr').queue(set.jti, set.token);
        await until('the same by polling', () => item.ackedAt);
        assert.equal(w.as.revocations.length, 1);
        assert.equal(records(w.bailiff, { kind: 'verdict', jti: set.jti }).length, 1);
    });

    it('two payloads under one jti: recorded, and the agent is read again', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, 'two');
        w.scim.put(agent, { displayName: 'first' });
        const { jti } = await tell(w, 'patch:notice', agent);
        assert.equal(await ask(gate, agent), 'allow');
        const before = w.scim.readsOf(agent).length;
        w.scim.put(agent, { displayName: 'changed' });
        await w.idp.tell('put:notice', agent, { claims: { jti } });
        await untilRecord(w.bailiff, { jti, outcome: 'equivocation' });
        assert.equal(await ask(gate, agent), 'allow');
        assert.equal(w.scim.readsOf(agent).length, before + 1);
    });

    it('a new key is fetched when its first token comes; a flood of unknown ones is not',
        async () => {
            const { w } = held;
            w.idp.addKey('fresh', 'ES256');
            await tell(w, 'patch:notice', '/Agents/any', { key: 'fresh' });
            const before = w.idp.jwksReads.length;
            const stranger = w.idp.addKey('stranger', 'ES256');
            w.idp.keys.delete('stranger');
            for (let i = 0; i < 50; i++) {
                const { status } = await w.idp.tell('patch:notice', '/Agents/any',
                    { key: stranger, header: { kid: `nobody-${i}` } });
                assert.ok([400, 503].includes(status), String(status));
            }
            const fetched = w.idp.jwksReads.length - before;
            assert.ok(fetched <= 2, `${fetched} fetches for 50 unknown keys`);
        });
});

describe('two issuers', () => {
    let second;
    const held = useWorld({
        configure: (c, w) => {
            second = new Idp(w.ca, 'idp-2');
            const it = structuredClone(c.feeds[0]);
            delete it.poll;
            // Keys from a file: this issuer is not reachable at all.
            it.keys = { jwks_file: w.bailiff.secret('it.jwks',
                JSON.stringify({ keys: [...second.keys.values()].map((k) => k.jwk) })) };
            Object.assign(it, { name: 'it', issuer: 'https://it.test', audience: [AUDIENCE_2] });
            it.push.path = '/events/it';
            c.feeds.push(it);
            second.issuer = it.issuer;
            second.pushTo({
                url: `https://localhost:${w.ports.push}/events/it`, audience: AUDIENCE_2,
                bearer: w.pushBearer,
            });
            return c;
        },
    });

    it('each is accepted on its own path with its own keys', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, '1');
        await tell(w, 'patch:notice', agent);
        assert.equal((await second.tell('deactivate', agent)).status, 202);
        assert.equal(await ask(gate, agent), 'agent_suspended');
    });

    it('neither may speak for the other', async () => {
        const { w } = held;
        const cases = [
            [w.idp, { path: '/events/it' }, 'invalid_issuer'],
            [second, { path: '/events/hr' }, 'invalid_issuer'],
            [second, { path: '/events/hr', claims: { iss: w.idp.issuer, aud: w.idp.audience } },
                'invalid_key'],
            [w.idp, { path: '/events/it', claims: { iss: second.issuer, aud: AUDIENCE_2 } },
                'invalid_key'],
        ];
        for (const [idp, how, want] of cases) {
            const { status, json } = await idp.tell('deactivate', '/Agents/9', how);
            assert.equal(status, 400);
            assert.ok(json.err === want || json.err === 'invalid_key', `${json.err}, not ${want}`);
        }
    });

    it('the same jti of two issuers is two events', async () => {
        const { w } = held;
        const claims = { jti: 'shared-jti' };
        assert.equal((await w.idp.tell('patch:notice', '/Agents/5', { claims })).status, 202);
        assert.equal((await second.tell('put:notice', '/Agents/5', { claims })).status, 202);
        assert.equal(records(w.bailiff, { outcome: 'equivocation' }).length, 0);
    });
});

describe('a transmitter changes its keys', () => {
    const held = useWorld();

    it('a key that it has taken back is not trusted after the next refresh', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, '1');
        const old = w.idp.keys.get('es256');
        await tell(w, 'patch:notice', '/Agents/9', { key: old });
        w.idp.addKey('es256', 'ES256');
        await tell(w, 'patch:notice', '/Agents/9');
        // Its name is unknown again: until the keys may be fetched, "come back later".
        const renamed = { kid: w.idp.keys.get('es256').kid };
        const nameless = { kid: undefined };
        for (const [header, want] of [[{}, [400, 503]], [renamed, [400]], [nameless, [400]]]) {
            const { status, json } = await w.idp.tell('deactivate', agent, { key: old, header });
            assert.ok(want.includes(status), `${status} for ${JSON.stringify(header)}`);
            if (status === 400) assert.match(json.err, /^invalid_(key|request)$/);
        }
        assert.equal(await ask(gate, agent), 'allow');
        await tell(w, 'patch:notice', '/Agents/9', { key: 'rs256' });
    });
});
