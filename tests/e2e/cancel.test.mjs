// SPDX-License-Identifier: Apache-2.0
// Stopping tool calls: only what a runtime confirms is confirmed.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RuntimeServer, ToolCall } from './peers/runtime.mjs';
import { known, records, tell, untilRecord, useWorld } from './peers/scenario.mjs';
import { sleep, until } from './peers/wait.mjs';

describe('runtimes that watch', () => {
    const held = useWorld();
    const cancelOf = (jti, outcome) => untilRecord(held.w.bailiff,
        { kind: 'action', action: 'cancel', jti, outcome });

    it('ten calls of one agent end, one of another goes on', async () => {
        const { w } = held;
        const runtime = await w.runtime();
        const agent = await known(w, runtime.gate, '1');
        const other = await known(w, runtime.gate, '2');
        const begun = await Promise.all(Array.from({ length: 10 }, (_, i) =>
            runtime.begin(agent, `tool.${i}`)));
        const bystander = await runtime.begin(other, 'tool');
        const { jti } = await tell(w, 'deactivate', agent);
        const ends = await Promise.all(begun.map(({ call }) => call.ended));
        assert.ok(ends.every((e) => e === 'OUTCOME_CANCELLED'));
        const record = await cancelOf(jti, 'confirmed');
        assert.deepEqual([record.reach, record.confirmed], [10, 10]);
        assert.equal(bystander.call.stoppedAt, undefined);
    });

    it('a runtime that says nothing is not confirmed: the job fails at its deadline', async () => {
        const { w } = held;
        const runtime = await w.runtime('mute');
        const agent = await known(w, runtime.gate, '3');
        await runtime.begin(agent, 'deploy');
        runtime.manner = 'silent';
        const { jti } = await tell(w, 'deactivate', agent);
        const record = await cancelOf(jti, 'failed');
        assert.equal(record.confirmed, 0);
        assert.equal(records(w.bailiff, { action: 'cancel', jti, outcome: 'confirmed' }).length, 0);
    });

    it('nothing running is said so', async () => {
        const { w } = held;
        const runtime = await w.runtime('idle');
        const agent = await known(w, runtime.gate, '4');
        const { jti } = await tell(w, 'deactivate', agent);
        const record = await cancelOf(jti, 'nothing_registered');
        assert.equal(record.reach, 0);
    });

    it('a call that ended before is not cancelled', async () => {
        const { w } = held;
        const runtime = await w.runtime('quick');
        const agent = await known(w, runtime.gate, '5');
        const { call } = await runtime.begin(agent, 'deploy');
        await runtime.end(call);
        const { jti } = await tell(w, 'deactivate', agent);
        await cancelOf(jti, 'nothing_registered');
        assert.ok(runtime.directives.every((d) => d.type !== 'TYPE_CANCEL'));
    });

    it('Renew tells a runtime without a watch to stop', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, '6');
        const begun = await gate.begin(agent, 'deploy', { runtime: 'deaf' });
        await tell(w, 'deactivate', agent);
        const renewed = await gate.renew(begun.lease_id);
        assert.equal(renewed.stop, true);
        assert.ok(renewed.reason.code);
    });

    it('Ack confirms for a runtime that cannot write on the stream', async () => {
        const { w } = held;
        const runtime = await w.runtime('half');
        const agent = await known(w, runtime.gate, '7');
        const { call } = await runtime.begin(agent, 'deploy');
        runtime.manner = 'silent';
        const { jti } = await tell(w, 'deactivate', agent);
        const cancel = await until('the cancel', () =>
            runtime.directives.find((d) => d.type === 'TYPE_CANCEL'));
        await runtime.gate.ack('half', {
            directive_id: cancel.directive_id, done: true,
            calls: [{ call_id: call.callId, outcome: 'OUTCOME_CANCELLED' }],
        });
        await cancelOf(jti, 'confirmed');
    });
});

describe('runtimes that are called', () => {
    let served;
    const held = useWorld({
        configure: async (c, w) => {
            served = await new RuntimeServer().start();
            w.adopt(() => served.stop());
            c.outbound.runtimes = [{ name: 'served', address: `127.0.0.1:${served.port}` }];
            return c;
        },
    });

    /** A call of the served runtime, allowed by the gate and running there. */
    async function running(id) {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, id);
        const call = new ToolCall(agent, 'deploy', `call-${id}`);
        served.calls.set(call.callId, call);
        await gate.begin(agent, 'deploy', { call_id: call.callId, runtime: 'served' });
        return { agent, call };
    }
    const cancelOf = (jti, outcome) => untilRecord(held.w.bailiff,
        { kind: 'action', action: 'cancel', jti, outcome });

    it('CancelToolCalls stops the call and its answer confirms it', async () => {
        const { w } = held;
        const { agent, call } = await running('1');
        const { jti } = await tell(w, 'deactivate', agent);
        assert.equal(await call.ended, 'OUTCOME_CANCELLED');
        await cancelOf(jti, 'confirmed');
        const [request] = served.requests;
        assert.equal(request.agent_uri, agent);
        assert.deepEqual(request.call_ids, [call.callId]);
        assert.equal(request.cause_jti, jti);
    });

    it('an error is tried again', async () => {
        const { w } = held;
        const { agent, call } = await running('2');
        served.manner = 'error';
        const before = served.requests.length;
        const { jti } = await tell(w, 'deactivate', agent);
        await until('an attempt', () => served.requests.length > before);
        served.manner = 'obey';
        assert.equal(await call.ended, 'OUTCOME_CANCELLED');
        await cancelOf(jti, 'confirmed');
    });

    for (const manner of ['hang', 'running']) {
        it(`a runtime that answers with "${manner}" is never confirmed`, async () => {
            const { w } = held;
            const { agent } = await running(manner);
            served.manner = manner;
            const { jti } = await tell(w, 'deactivate', agent);
            await cancelOf(jti, 'failed');
            served.manner = 'obey';
            await sleep(200);
            const confirmed = records(w.bailiff, { action: 'cancel', jti, outcome: 'confirmed' });
            assert.equal(confirmed.length, 0);
        });
    }
});
