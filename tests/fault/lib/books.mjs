// SPDX-License-Identifier: Apache-2.0
// The books of all peers: what each was promised, and the audit that compares
// them with what the sidecar does and says after a death.
import assert from 'node:assert/strict';
import { ask } from '../../e2e/peers/scenario.mjs';
import { GateClient, insecure, Runtime } from '../../e2e/peers/runtime.mjs';
import { until } from '../../e2e/peers/wait.mjs';

/** A connection of its own: no back-off left over from the life before. */
const FRESH = { 'grpc.use_local_subchannel_pool': 1 };

export const freshGate = (w) => new GateClient(w.unixGate, insecure(), FRESH);
export const freshRuntime = (w) => new Runtime(w.unixGate, 'runtime-a', insecure(), FRESH);

/** No waiting makes this right. */
class Loosened extends Error {
    get isFinal() { return true; }
}

/** Never allowed; and once the start is durable, for the right reason. */
export const suspended = (gate, agent, why) => until(`suspension: ${why}`, async () => {
    const answer = await ask(gate, agent);
    if (answer === 'agent_suspended') return true;
    if (answer === 'allow') throw new Loosened(`${agent} is allowed: ${why}`);
    throw new Error(answer);
});

/** Allowed, as soon as the start is durable. */
export const allowed = (gate, agent) => until(`${agent} to be allowed`, async () => {
    const answer = await ask(gate, agent);
    if (answer === 'allow') return true;
    throw new Error(answer);
});

export class Books {
    /** Statements sent: {agent, jti, acked, item?, call?, token?, registered?}. */
    sent = [];
    /** Holds of operators: {agent, answered}. */
    holds = [];
    #checked = 0;

    constructor(w) { this.w = w; }

    get acked() { return this.sent.filter((e) => e.acked || e.item?.ackedAt); }

    /** Pushes, and notes whether it was acknowledged. */
    async push(event, agent, more = {}) {
        const set = await this.w.idp.mint(event, agent);
        const entry = { agent, jti: set.jti, token: set.token, acked: false, ...more };
        this.sent.push(entry);
        const answer = await this.w.idp.push(set).catch(() => null);
        entry.acked = answer?.status === 202;
        assert.ok(!answer || [202, 503].includes(answer.status), answer?.body);
        return entry;
    }

    async offer(event, agent) {
        const set = await this.w.idp.mint(event, agent);
        const item = this.w.idp.stream('hr').queue(set.jti, set.token);
        this.sent.push({ agent, jti: set.jti, token: set.token, item });
    }

    async hold(agent) {
        const entry = { agent, answered: false };
        this.holds.push(entry);
        const { code } = await this.w.bailiff.ask('hold', 'add', agent, '--reason', 'audit');
        entry.answered = code === 0;
    }

    /** What was promised since the last audit is kept: the gate says no. */
    async restrictionsHold(gate, entries = this.sent.slice(this.#checked)) {
        for (const e of entries.filter((x) => x.acked || x.item?.ackedAt)) {
            await suspended(gate, e.agent, `${e.jti} was acknowledged`);
        }
        for (const h of this.holds.filter((x) => x.answered).slice(-3)) {
            await suspended(gate, h.agent, `hold of ${h.agent}`);
        }
        this.#checked = this.sent.length;
    }

    async logVerifies() {
        const verified = await this.w.bailiff.verifyLog();
        assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    }

    /** The log verifies and is without a gap. */
    async logIsComplete() {
        await this.logVerifies();
        const lines = this.w.bailiff.log();
        lines.forEach((r, i) => assert.equal(r.seq, i + 1, 'a gap in the log'));
        return lines;
    }

    /** After everything has settled: each peer's book against the log. */
    async compare(gate) {
        const { w } = this;
        await until('what polling still owes', () => this.sent.every((e) => !e.item
            || e.item.ackedAt));
        await this.restrictionsHold(gate, this.sent);
        const lines = await this.logIsComplete();
        this.#eventsOnce(lines);
        await this.#callsStopped();
        await this.#tokensRevoked(lines);
        const cancelled = new Set(lines.filter((r) => r.kind === 'action'
            && /cancel/.test(r.action ?? '')).map((r) => r.agent));
        for (const agent of this.told ?? []) {
            assert.ok(cancelled.has(agent), `the runtime was told about ${agent}, the log was not`);
        }
        const reads = lines.filter((r) => r.kind === 'read' && r.outcome === 'ok').length;
        assert.ok(reads <= w.scim.reads.length, 'more reads in the log than at the SCIM server');
        return lines;
    }

    #eventsOnce(lines) {
        const seen = new Map();
        for (const r of lines) {
            if (r.kind === 'event' && r.outcome !== 'duplicate') {
                seen.set(r.jti, (seen.get(r.jti) ?? 0) + 1);
            }
        }
        for (const e of this.acked) assert.equal(seen.get(e.jti), 1, `${e.jti} in the log`);
        for (const [jti, n] of seen) assert.equal(n, 1, `${jti} was accepted ${n} times`);
    }

    /** Directives reach running calls, in this life or after a later hello. */
    async #callsStopped() {
        for (const e of this.acked.filter((x) => x.call)) {
            await until(`the call of ${e.agent} to be stopped`, () => e.call.stoppedAt);
        }
    }

    async #tokensRevoked(lines) {
        const revoked = new Set(lines.filter((r) => r.action === 'revoke').map((r) => r.agent));
        for (const e of this.acked.filter((x) => x.registered)) {
            await until(`the token of ${e.agent} to be revoked`,
                async () => !await this.w.as.isActive(e.access), 50);
            assert.ok(revoked.has(e.agent), `${e.agent} was revoked, the log does not say so`);
        }
    }
}
