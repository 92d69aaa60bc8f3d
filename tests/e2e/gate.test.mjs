// SPDX-License-Identifier: Apache-2.0
// The gRPC surface, through two independent implementations of gRPC: grpc-js
// and the C core (python3-grpcio).
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';
import { randomId } from './peers/keys.mjs';
import { python } from './peers/python.mjs';
import { call, GateClient, GRPC, insecure, protos, tls } from './peers/runtime.mjs';
import { ask, known, tell, useWorld, verdict } from './peers/scenario.mjs';
import { sleep, timed, until } from './peers/wait.mjs';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const CHECK = '/bailiff.v1.AgentGate/Check';

/** A decision, or the gRPC status when the call is refused as a whole. */
async function outcome(work) {
    try {
        return verdict(await work);
    } catch (e) {
        return GRPC[e.code];
    }
}
const isRefusal = (o) => ['caller_not_allowed', 'PERMISSION_DENIED', 'UNAUTHENTICATED'].includes(o);

describe('the gate through grpc-js', () => {
    const held = useWorld();

    it('Check, Begin, Renew, End; Begin is idempotent', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, '1');
        const callId = randomId();
        const first = await gate.begin(agent, 'deploy', { call_id: callId });
        const again = await gate.begin(agent, 'deploy', { call_id: callId });
        assert.equal(verdict(first), 'allow');
        assert.equal(again.lease_id, first.lease_id);
        assert.ok(first.lease_ttl_ms > 0);
        assert.ok(first.decision_id);
        const renewed = await gate.renew(first.lease_id);
        assert.equal(renewed.stop, false);
        assert.ok(renewed.lease_ttl_ms > 0);
        await gate.end(first.lease_id);
        const gone = await gate.renew(first.lease_id).catch((e) => GRPC[e.code]);
        assert.ok(gone === 'NOT_FOUND' || gone.stop === true, JSON.stringify(gone));
    });

    it('the epoch grows with each change and never falls', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, '2');
        const epochs = [];
        for (let i = 0; i < 3; i++) {
            epochs.push(BigInt((await gate.check(agent, 't')).epoch));
            await tell(w, 'patch:notice', agent);
        }
        assert.ok(epochs[0] < epochs[1] && epochs[1] < epochs[2], epochs.join());
    });

    it('a runtime that watches gets cancels, a snapshot and a pong', async () => {
        const { w } = held;
        const runtime = await w.runtime();
        const agent = await known(w, runtime.gate, '3');
        const { call: running } = await runtime.begin(agent, 'deploy');
        await tell(w, 'deactivate', agent);
        assert.equal(await running.ended, 'OUTCOME_CANCELLED');
        const cancel = runtime.directives.find((d) => d.type === 'TYPE_CANCEL');
        assert.deepEqual(cancel.call_ids, [running.callId]);
        assert.equal(cancel.agent.uri, agent);
        assert.ok(cancel.cause_jti);
        runtime.ping();
        await until('a pong', () => runtime.notices.some((n) => n.kind === 'pong'));
    });

    it('a directive that is not acknowledged comes again after a new Hello', async () => {
        const { w } = held;
        const runtime = await w.runtime('forgetful');
        const agent = await known(w, runtime.gate, '4');
        const { call: running } = await runtime.begin(agent, 'deploy');
        runtime.manner = 'silent';
        await tell(w, 'deactivate', agent);
        await until('the cancel', () => runtime.directives.length > 0);
        runtime.unwatch();
        await sleep(100);
        runtime.manner = 'obey';
        await runtime.watch();
        assert.equal(await running.ended, 'OUTCOME_CANCELLED');
    });

    it('refuses oversized, malformed and unknown in the terms of gRPC', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, '5');
        await assert.rejects(gate.check(agent, 'x'.repeat(70000)),
            { code: GRPC.RESOURCE_EXHAUSTED });
        const strange = grpc.makeGenericClientConstructor({
            Nothing: {
                path: '/bailiff.v1.AgentGate/Nothing', requestStream: false,
                responseStream: false, requestSerialize: (b) => b, responseDeserialize: (b) => b,
            },
            Garbage: {
                path: CHECK, requestStream: false, responseStream: false,
                requestSerialize: (b) => b, responseDeserialize: (b) => b,
            },
        });
        const client = new strange(w.unixGate, insecure());
        await assert.rejects(call(client, 'Nothing', Buffer.alloc(0)),
            { code: GRPC.UNIMPLEMENTED });
        await assert.rejects(call(client, 'Garbage', Buffer.from([0x0a, 0xff, 0xff])),
            (e) => [GRPC.INVALID_ARGUMENT, GRPC.INTERNAL].includes(e.code));
        client.close();
        assert.equal(await ask(gate, agent), 'allow');
    });

    it('a compressed message is refused with UNIMPLEMENTED', async () => {
        const { w } = held;
        const client = new GateClient(w.unixGate, insecure(),
            { 'grpc.default_compression_algorithm': 2, 'grpc.default_compression_level': 2 });
        await assert.rejects(client.check('/Agents/1', 'kb.search'),
            { code: GRPC.UNIMPLEMENTED });
        client.close();
    });

    it('identifiers with NUL or without end are not cut, but refused', async () => {
        const gate = held.w.gate();
        for (const uri of ['/Agents/1\u0000x', '/Agents/', '', `/Agents/${'x'.repeat(300)}`]) {
            assert.notEqual(await outcome(gate.check(uri, 'kb.search')), 'allow');
        }
    });

    it('health and reflection answer', async () => {
        const { w } = held;
        const health = new protos.grpc.health.v1.Health(w.unixGate, insecure());
        assert.equal((await call(health, 'Check', {})).status, 'SERVING');
        assert.equal((await call(health, 'Check', { service: 'bailiff.v1.AgentGate' })).status,
            'SERVING');
        await assert.rejects(call(health, 'Check', { service: 'nope' }), { code: GRPC.NOT_FOUND });
        health.close();
        const pkg = grpc.loadPackageDefinition(loader.loadSync(join(HERE,
            'peers/reflection.proto'), { keepCase: true, oneofs: true }));
        const stub = new pkg.grpc.reflection.v1.ServerReflection(w.unixGate, insecure());
        const stream = stub.ServerReflectionInfo();
        const next = () => new Promise((done, fail) => {
            stream.once('data', done);
            stream.once('error', fail);
        });
        stream.write({ list_services: '' });
        const names = (await next()).list_services_response.service.map((s) => s.name);
        assert.ok(names.includes('bailiff.v1.AgentGate'), names.join());
        stream.write({ file_containing_symbol: 'bailiff.v1.AgentGate' });
        assert.ok((await next()).file_descriptor_response.file_descriptor_proto.length >= 1);
        stream.end();
        stub.close();
    });

    it('answers from memory in well under a millisecond or so', async () => {
        const { w } = held;
        const gate = w.gate();
        const agent = await known(w, gate, '6');
        const times = [];
        for (let i = 0; i < 200; i++) times.push((await timed(() => gate.check(agent, 't')))[1]);
        // What a busy machine adds, it does not add to each of them.
        const tenth = times.sort((a, b) => a - b)[20];
        assert.ok(tenth < 20, `nine of ten took ${tenth} ms or more`);
    });
});

describe('the gate through python3-grpcio', () => {
    const held = useWorld();

    it('unary, deadline, metadata, status codes, compression, size, unknown method', async () => {
        const { w } = held;
        const agent = await known(w, w.gate(), '1');
        const request = { agent: { uri: agent }, tool: 'kb.search' };
        const answers = await python(w.unixGate, [
            { method: CHECK, request },
            { method: CHECK, request, metadata: { 'x-trace': 'abc', 'x-raw': '1' } },
            { method: CHECK, request, gzip: true },
            { method: CHECK, request: { agent: { uri: agent }, tool: 'x'.repeat(70000) } },
            { method: '/bailiff.v1.AgentGate/Nothing', request },
            { method: '/grpc.health.v1.Health/Check', request: {} },
            { method: CHECK, request },
        ]);
        assert.equal(answers[0].ok.decision, 'DECISION_ALLOW');
        assert.equal(answers[1].ok.decision, 'DECISION_ALLOW');
        assert.deepEqual(answers.slice(2, 5).map((a) => a.code),
            ['UNIMPLEMENTED', 'RESOURCE_EXHAUSTED', 'UNIMPLEMENTED']);
        assert.equal(answers[5].ok.status, 'SERVING');
        assert.equal(answers[6].ok.decision, 'DECISION_ALLOW');
    });

    it('a deadline that passes while a read is under way', async () => {
        const { w } = held;
        const agent = await known(w, w.gate(), '2');
        w.scim.put(agent, {});
        w.scim.fault = { slow: 1500 };
        await tell(w, 'patch:notice', agent);
        const [answer] = await python(w.unixGate, [
            { method: CHECK, request: { agent: { uri: agent }, tool: 't' }, deadline: 0.4 },
        ]);
        w.scim.fault = null;
        const code = answer.code ?? answer.ok.reason.code;
        assert.ok(['refresh_pending', 'DEADLINE_EXCEEDED'].includes(code), code);
    });

    it('a watch: Hello, then the end of the snapshot', async () => {
        const [answer] = await python(held.w.unixGate, [{
            method: '/bailiff.v1.AgentGate/Watch', take: 2,
            request: [{ hello: { runtime: 'python' } }, { ping: {} }],
        }]);
        assert.deepEqual(answer.ok.map((m) => Object.keys(m)[0]), ['snapshot_end', 'pong']);
    });
});

describe('who may ask about whom', () => {
    const MINE = 'spiffe://corp.test/agent/7';
    let certs;
    const held = useWorld({
        configure: (c, w) => {
            certs = {
                server: w.ca.server('gate'), mine: w.ca.client('agent-7', MINE),
                stranger: w.ca.client('stranger', 'spiffe://corp.test/agent/8'),
            };
            c.listen.gate[1].tls = {
                cert: certs.server.certFile, key: certs.server.keyFile, client_ca: w.ca.file,
            };
            c.callers = [
                { name: 'agent-7', role: 'agent', spiffe_id: MINE, agents: ['/Agents/7'] },
                {
                    name: 'other-user', role: 'runtime', uid: process.getuid() + 4242,
                    agents: ['/Agents/*'],
                },
            ];
            return c;
        },
    });
    const over = (pair) => {
        const { w } = held;
        return w.gate(`localhost:${w.ports.gate}`, tls(w.ca.pem, pair));
    };

    it('an agent asks for itself, over TLS with its SPIFFE ID', async () => {
        held.w.agent('7');
        assert.equal(await outcome(over(certs.mine).check('/Agents/7', 't')), 'allow');
    });

    it('not for another agent', async () => {
        held.w.agent('8');
        assert.ok(isRefusal(await outcome(over(certs.mine).check('/Agents/8', 't'))));
        const register = over(certs.mine).register('/Agents/8', 'token', { issuer: 'x' });
        await assert.rejects(register);
    });

    it('a certificate that no caller has, or none at all, is refused', async () => {
        for (const pair of [certs.stranger, undefined]) {
            assert.ok(isRefusal(await outcome(over(pair).check('/Agents/7', 't'))));
        }
    });

    it('a user of the machine whom no caller names is refused', async () => {
        const { w } = held;
        assert.ok(isRefusal(await outcome(w.gate(w.unixGate).check('/Agents/7', 't'))));
    });

    it('a lease of somebody else cannot be ended', async () => {
        const begun = await over(certs.mine).begin('/Agents/7', 'deploy');
        await over(certs.stranger).end(begun.lease_id).catch(() => { /* refused is fine */ });
        const renewed = await over(certs.mine).renew(begun.lease_id);
        assert.equal(renewed.stop, false);
    });
});
