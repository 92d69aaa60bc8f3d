// SPDX-License-Identifier: Apache-2.0
// What most tests do: bring up a world, ask the gate, wait for a record, and at
// the end prove that the sidecar stops cleanly and its log verifies.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { now, until } from './wait.mjs';
import { World } from './world.mjs';

/**
 * Starts a world before the tests of a suite and audits it afterwards.
 * @returns {{w: World}} filled in before the first test
 */
export function useWorld(options) {
    const held = {};
    before(async () => { held.w = await World.start(options); });
    after(async () => {
        if (!held.w) return;
        try {
            await audited(held.w);
        } finally {
            await held.w.close();
        }
    });
    return held;
}

/** SIGTERM ends the sidecar with 0, and the log it leaves verifies. */
export async function audited({ bailiff }) {
    const { code, signal } = await bailiff.stop();
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, bailiff.stderr);
    const verified = await bailiff.verifyLog();
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    return verified;
}

/** An answer of the gate as 'allow' or as its reason code. */
export const verdict = ({ decision, reason }) =>
    (decision === 'DECISION_ALLOW' ? 'allow' : reason?.code || 'deny without a reason');

/** Asks without registering a call; 'allow' or a reason code. */
export const ask = async (gate, agent, tool = 'kb.search', how = {}) =>
    verdict(await gate.check(agent, tool, {}, how));

/** Waits until the gate answers `wanted`. */
export const untilAnswer = (gate, agent, wanted, tool) =>
    until(`${wanted} for ${agent}`, async () => {
        const seen = await ask(gate, agent, tool);
        if (seen === wanted) return true;
        throw new Error(`answer ${seen}`);
    }, 20);

/** Waits for a record that fits all `members` (values or predicates). */
export function untilRecord(bailiff, members) {
    const fits = (r) => Object.entries(members).every(([name, want]) =>
        (typeof want === 'function' ? want(r[name]) : r[name] === want));
    return until(`a record with ${JSON.stringify(members)}`, () => bailiff.log().find(fits));
}

/** Records that fit all `members`. */
export const records = (bailiff, members) => bailiff.log().filter((r) =>
    Object.entries(members).every(([name, want]) => r[name] === want));

/** Pushes an event and insists on 202. */
export async function tell(w, event, uri, options) {
    const answer = await w.idp.tell(event, uri, options);
    assert.equal(answer.status, 202, answer.body);
    return { jti: answer.set.jti, at: now(), set: answer.set };
}

/**
 * Makes the gate know the agent as allowed: its first read, or another where a
 * busy machine did not bring that in time.
 */
export async function known(w, gate, id, attributes) {
    const uri = w.agent(id, attributes);
    await untilAnswer(gate, uri, 'allow');
    return uri;
}
