// SPDX-License-Identifier: Apache-2.0
// RFC 8936 as a transmitter sees it, in good and in bad times.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ask, known, untilAnswer, useWorld } from './peers/scenario.mjs';
import { sleep, until } from './peers/wait.mjs';

const settled = (item) => until(`an answer to ${item.jti}`, () => item.ackedAt ?? item.errAt);

/** Sooner than a long poll of 30 s ends, with time for a busy machine. */
const AT_ONCE_MS = 10000;

describe('polling', () => {
    const held = useWorld({
        configure: (c) => {
            c.feeds[0].poll.max_events = 2;
            return c;
        },
    });
    const stream = () => held.w.idp.stream('hr');

    it('acknowledges at once, while the next long poll waits (8936-R2)', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, '1');
        const item = await w.idp.offer('hr', 'deactivate', agent, { key: 'rs256' });
        await settled(item);
        const took = item.ackedAt - item.queuedAt;
        assert.ok(took < AT_ONCE_MS, `acknowledged after ${took} ms`);
        assert.equal(await ask(gate, agent), 'agent_suspended');
    });

    it('reports a bad SET with setErrs and a language (8936-R5)', async () => {
        const { w } = held;
        const item = await w.idp.offer('hr', 'deactivate', '/Agents/1',
            { claims: { aud: 'https://somebody.else' } });
        await settled(item);
        assert.equal(item.ackedAt, undefined);
        assert.equal(item.err.err, 'invalid_audience');
        assert.equal(typeof item.err.description, 'string');
        assert.equal(item.language, 'en');
        const took = item.errAt - item.queuedAt;
        assert.ok(took < AT_ONCE_MS, `reported after ${took} ms`);
    });

    it('refuses an outer name that is not the jti, under the outer name (8936-R11)', async () => {
        const { w } = held;
        const set = await w.idp.mint('deactivate', '/Agents/1');
        const item = stream().queue('another-name', set.token);
        await settled(item);
        assert.equal(item.err.err, 'invalid_request');
    });

    it('takes more than maxEvents and a missing moreAvailable (8936-R8, R9)', async () => {
        const { w } = held;
        stream().fault = { exceedMax: true, omitMore: true };
        const items = await Promise.all(Array.from({ length: 7 }, (_, i) =>
            w.idp.offer('hr', 'patch:notice', `/Agents/m${i}`)));
        for (const item of items) await settled(item);
        stream().fault = {};
        assert.ok(items.every((i) => i.ackedAt));
    });

    it('fetches on while there is more', async () => {
        const { w } = held;
        const items = await Promise.all(Array.from({ length: 9 }, (_, i) =>
            w.idp.offer('hr', 'patch:notice', `/Agents/n${i}`)));
        for (const item of items) await settled(item);
        assert.ok(stream().requests.every((r) => r.body.maxEvents <= 2));
    });

    it('answers good and bad of one batch each for itself (8936-R16)', async () => {
        const { w } = held;
        const good = await w.idp.offer('hr', 'patch:notice', '/Agents/1');
        const bad = await w.idp.offer('hr', 'patch:notice', '/Agents/1',
            { claims: { iat: 'no' } });
        await Promise.all([settled(good), settled(bad)]);
        assert.ok(good.ackedAt);
        assert.equal(bad.err.err, 'invalid_request');
    });

    it('acknowledges a redelivery again (8936-R6)', async () => {
        const { w } = held;
        const item = await w.idp.offer('hr', 'patch:notice', '/Agents/1');
        await settled(item);
        const again = stream().queue(item.jti, item.token);
        await settled(again);
        assert.ok(again.ackedAt);
    });

    for (const status of [401, 429, 503]) {
        it(`backs off after ${status} and comes back`, async () => {
            const { w } = held;
            stream().fault = { status };
            stream().wake();
            await sleep(300);
            const item = await w.idp.offer('hr', 'patch:notice', '/Agents/1');
            await sleep(700);
            assert.equal(item.ackedAt, undefined);
            stream().fault = {};
            await settled(item);
            assert.ok(item.ackedAt);
        });
    }

    it('survives a transmitter that vanishes, and loses no event', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, '8');
        await w.idp.stop();
        const item = await w.idp.offer('hr', 'deactivate', agent);
        await sleep(500);
        await w.idp.restart();
        await settled(item);
        await untilAnswer(gate, agent, 'agent_suspended');
    });
});
