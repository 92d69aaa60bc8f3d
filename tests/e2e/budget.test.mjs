// SPDX-License-Identifier: Apache-2.0
// An event about a large group of which many members are at work: the SCIM
// server is not taken down, and nobody is believed meanwhile.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ask, tell, useWorld } from './peers/scenario.mjs';
import { now, until } from './peers/wait.mjs';
import { GROUP_POLICY as policy } from './peers/world.mjs';

const MEMBERS = 2000; // of which the sidecar has met as many as are at work
const AT_WORK = 200;
const RATE = 100;
const CONCURRENCY = 4;
const ASKED_MEANWHILE = 20;
const GROUP = '/Groups/crowd';

function configure(config) {
    Object.assign(config.feeds[0].scim, { rate: RATE, concurrency: CONCURRENCY });
    return config;
}

/** The most arrivals in any window of `ms`. */
function busiest(reads, ms) {
    let most = 0;
    for (let from = 0, to = 0; to < reads.length; to++) {
        while (reads[to].at - reads[from].at > ms) from++;
        most = Math.max(most, to - from + 1);
    }
    return most;
}

/** Notes the most reads that were answered at the same time. */
function watchConcurrency(scim) {
    const seen = { most: 0 };
    const timer = setInterval(() => { seen.most = Math.max(seen.most, scim.inFlight); }, 1);
    return { seen, stop: () => clearInterval(timer) };
}

describe('a group event for very many', () => {
    const held = useWorld({ policy, configure });
    const id = (i) => `crowd-${i}`;
    const ids = Array.from({ length: MEMBERS }, (_, i) => id(i));

    it('running calls of the members are there', async () => {
        const { w } = held;
        w.scim.put(GROUP, { displayName: 'crowd', members: ids.map((value) => ({ value })) });
        for (const one of ids) w.agent(one, { groups: [{ value: 'crowd' }] });
        held.runtime = await w.runtime();
        for (let i = 0; i < AT_WORK; i += CONCURRENCY) {
            const some = ids.slice(i, Math.min(i + CONCURRENCY, AT_WORK));
            const begun = await Promise.all(some.map((one) =>
                held.runtime.begin(`/Agents/${one}`, 'kb.search')));
            for (const { answer } of begun) assert.equal(answer.decision, 'DECISION_ALLOW');
        }
    });

    it('reads keep to the rate and the concurrency, and cover everybody', async () => {
        const { w } = held;
        const gate = w.gate();
        const before = w.scim.reads.length;
        w.scim.fault = { slow: 20 };
        const watch = watchConcurrency(w.scim);
        for (const one of ids.slice(0, AT_WORK)) w.scim.put(`/Agents/${one}`, { active: true });
        const told = await tell(w, 'patch:notice', GROUP, { payload: { attributes: ['members'] } });

        // Who is asked about meanwhile waits for a read of after the event.
        const asked = ids.slice(AT_WORK - ASKED_MEANWHILE, AT_WORK);
        const verdicts = await Promise.all(asked.map((one) => ask(gate, `/Agents/${one}`)));
        const read = (one) => w.scim.reads.findLast((r) => r.path === `/Agents/${one}`);
        verdicts.forEach((verdict, i) => {
            if (verdict === 'allow') assert.ok(read(asked[i]).at > told.at, asked[i]);
            else assert.equal(verdict, 'refresh_pending', asked[i]);
        });

        await until('a read of everybody at work', () => {
            const seen = new Set(w.scim.reads.slice(before).filter((r) => r.status)
                .map((r) => r.path));
            return ids.slice(0, AT_WORK).every((one) => seen.has(`/Agents/${one}`));
        }, 50);
        watch.stop();
        const reads = w.scim.reads.slice(before);
        assert.ok(watch.seen.most > 1 && watch.seen.most <= CONCURRENCY,
            `${watch.seen.most} at once`);
        // Arrival is not departure: a few may come late together.
        assert.ok(busiest(reads, 1000) <= 1.2 * RATE, `${busiest(reads, 1000)} in a second`);
        assert.ok(reads.length < 2 * AT_WORK, `${reads.length} reads: nobody is read for nothing`);
        assert.ok(now() - told.at > (1000 * AT_WORK) / (1.2 * RATE), 'faster than the rate');
    });

    it('then all go on, without another read', async () => {
        const { w } = held;
        const gate = w.gate();
        w.scim.fault = null;
        const before = w.scim.reads.length;
        for (const one of ids.slice(0, AT_WORK)) {
            assert.equal(await ask(gate, `/Agents/${one}`), 'allow', one);
        }
        assert.equal(w.scim.reads.length, before);
        assert.equal(held.runtime.calls.size, AT_WORK, 'nothing was cancelled');
    });
});
