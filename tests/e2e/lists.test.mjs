// SPDX-License-Identifier: Apache-2.0
// Many stale agents, few requests: what a list read is worth, and that a server
// whose lists are refused, wrong or not complete never makes an answer wrong.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ask, tell, untilRecord, useWorld } from './peers/scenario.mjs';
import { until } from './peers/wait.mjs';
import { GROUP_POLICY as policy } from './peers/world.mjs';

const AT_WORK = 500;
const LIST = 100;
const CONCURRENCY = 4;
const GROUP = '/Groups/crowd';
const SEARCH = '/Agents/.search';

function configure(config) {
    Object.assign(config.feeds[0].scim,
        { rate: 200, concurrency: CONCURRENCY, list_reads: LIST });
    return config;
}

const ids = Array.from({ length: AT_WORK }, (_, i) => `crowd-${i}`);
const uriOf = (id) => `/Agents/${id}`;
/** Whom a read is about. */
const urisOf = (read) => read.ids?.map(uriOf) ?? [read.path];

/** Members of one group, all with a running call. */
async function allAtWork(held) {
    const { w } = held;
    w.scim.put(GROUP, { displayName: 'crowd', members: ids.map((value) => ({ value })) });
    for (const id of ids) w.agent(id, { groups: [{ value: 'crowd' }] });
    held.runtime = await w.runtime();
    for (let i = 0; i < AT_WORK; i += CONCURRENCY) {
        const begun = await Promise.all(ids.slice(i, i + CONCURRENCY).map((id) =>
            held.runtime.begin(uriOf(id), 'kb.search')));
        for (const { answer } of begun) assert.equal(answer.decision, 'DECISION_ALLOW');
    }
}

/** Something about every member changes, and an event about the group says so. */
async function groupEvent(w, who = ids) {
    const before = w.scim.reads.length;
    for (const id of who) w.scim.put(uriOf(id), { displayName: 'changed' });
    await tell(w, 'patch:notice', GROUP, { payload: { attributes: ['members'] } });
    return before;
}

/** Waits until nobody is stale, and proves it at the gate. */
async function allCurrent(w, who = ids) {
    const gate = w.gate();
    await until('all are current', async () => {
        const { json } = await w.bailiff.ask('agents', 'list', '--standing', 'stale');
        if (json.agents.length > 0) throw new Error(`${json.agents.length} are stale`);
        return true;
    }, 50);
    const before = w.scim.reads.length;
    for (const id of who) assert.equal(await ask(gate, uriOf(id)), 'allow', id);
    // Who is held is read again in its own time.
    const again = w.scim.reads.slice(before).flatMap(urisOf);
    assert.deepEqual(again.filter((uri) => who.some((id) => uriOf(id) === uri)), [],
        'nobody was stale');
}

const isList = (read) => read.path === SEARCH;

describe('a group event for very many, with list reads', () => {
    const held = useWorld({ policy, configure });

    it('running calls of the members are there', () => allAtWork(held));

    it('all are current again after a handful of requests', async () => {
        const { w } = held;
        const before = await groupEvent(w);
        await allCurrent(w);
        const reads = w.scim.reads.slice(before);
        const lists = reads.filter(isList);
        assert.ok(reads.length <= AT_WORK / 10, `${reads.length} requests`);
        assert.ok(lists.length >= (AT_WORK - reads.length) / LIST, `${lists.length} lists`);
        for (const { ids: asked } of lists) assert.ok(asked.length > 1 && asked.length <= LIST);
        const seen = new Set(reads.flatMap(urisOf));
        assert.ok(ids.every((id) => seen.has(uriOf(id))), 'everybody was read');
        assert.equal(held.runtime.calls.size, AT_WORK, 'nothing was cancelled');
    });

    const suspended = ids.at(-1);
    const gone = ids.at(-2);

    it('a list tightens: who is inactive in it is held at once', async () => {
        const { w } = held;
        w.scim.put(uriOf(suspended), { active: false });
        const before = await groupEvent(w);
        await untilRecord(w.bailiff, { kind: 'action', agent: uriOf(suspended), action: 'hold' });
        await allCurrent(w, ids.slice(0, -1));
        assert.equal(await ask(w.gate(), uriOf(suspended)), 'agent_suspended');
        const reads = w.scim.reads.slice(before);
        assert.ok(reads.some((r) => r.ids?.includes(suspended)), 'it was in a list');
    });

    it('what a list leaves out, doubles or makes up is read alone; nobody is held', async () => {
        const { w } = held;
        const [omitted, twofold, bare] = ids.slice(-5, -2);
        w.scim.remove(uriOf(gone));
        w.scim.fault = {
            only: SEARCH.slice(1),
            edit: (list) => {
                const all = list.Resources.filter((r) => r.id !== omitted);
                const two = all.find((r) => r.id === twofold);
                delete all.find((r) => r.id === bare)?.groups;
                if (two) all.push({ ...two, active: false });
                all[0] = { ...all[0], id: 'stranger', active: false };
                return { ...list, Resources: all };
            },
        };
        const before = await groupEvent(w, ids.slice(0, -2));
        await allCurrent(w, ids.slice(0, -2));
        w.scim.fault = null;
        const reads = w.scim.reads.slice(before);
        assert.ok(reads.some(isList));
        for (const id of [omitted, twofold, bare, gone]) {
            assert.ok(reads.some((r) => r.ids?.includes(id)), `${id} was in a list`);
            assert.ok(reads.some((r) => r.path === uriOf(id)), `${id} was read alone`);
        }
        await untilRecord(w.bailiff, { kind: 'read', agent: uriOf(gone), outcome: 'gone' });
        const { json } = await w.bailiff.ask('agents', 'list', '--standing', 'held');
        assert.deepEqual(json.agents.map((a) => a.uri).sort(), [gone, suspended].map(uriOf).sort(),
            'only who is gone or inactive is held');
        assert.equal((await w.bailiff.ask('agents', 'show', '/Agents/stranger')).code, 1);
    });

    it('a server that refuses lists is read one by one', async () => {
        const { w } = held;
        const rest = ids.slice(0, -2);
        w.scim.fault = { only: SEARCH.slice(1), status: 403 };
        const before = await groupEvent(w, rest);
        await allCurrent(w, rest);
        w.scim.fault = null;
        const reads = w.scim.reads.slice(before);
        const lists = reads.filter(isList);
        assert.ok(lists.length > 0 && lists.length < CONCURRENCY, `${lists.length} lists`);
        for (const id of rest) {
            assert.equal(reads.filter((r) => r.path === uriOf(id)).length, 1, id);
        }
        await until('a word', () => /event=list_failed .*status=403/.test(w.bailiff.stderr));
    });
});
