// SPDX-License-Identifier: Apache-2.0
// An agent runtime on @grpc/grpc-js: asks the gate before each tool call, keeps
// leases, follows the directives of a watch. RuntimeServer is the variant that
// is called instead of watching.
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';
import { randomId } from './keys.mjs';
import { now, PATIENCE_MS } from './wait.mjs';

const PROTO_DIR = fileURLToPath(new URL('../../../proto/', import.meta.url));

/** Packages of proto/: `bailiff.v1` and `grpc.health.v1`. */
export const protos = grpc.loadPackageDefinition(loader.loadSync(
    ['gate.proto', 'runtime.proto', 'health.proto'],
    { includeDirs: [PROTO_DIR], longs: String, enums: String, keepCase: true, defaults: true,
        oneofs: true },
));

export const { status: GRPC } = grpc;
export const insecure = () => grpc.credentials.createInsecure();
export const tls = (ca, pair) => grpc.credentials.createSsl(ca, pair?.key, pair?.cert);

/**
 * Calls a unary method and resolves with its answer; an error carries `code`
 * and `details` as gRPC gives them.
 */
export function call(client, method, request, { deadlineMs = PATIENCE_MS, metadata = {} } = {}) {
    const meta = new grpc.Metadata();
    for (const [name, value] of Object.entries(metadata)) meta.set(name, value);
    return new Promise((done, fail) => {
        client[method](request, meta, { deadline: Date.now() + deadlineMs },
            (error, answer) => (error ? fail(error) : done(answer)));
    });
}

/** The gate as a client sees it; every method is unary except watch(). */
export class GateClient {
    constructor(address, credentials = insecure(), options = {}) {
        this.stub = new protos.bailiff.v1.AgentGate(address, credentials, options);
    }

    check(agent, tool, more = {}, how) {
        return call(this.stub, 'Check', { agent: { uri: agent }, tool, ...more }, how);
    }

    begin(agent, tool, more = {}, how) {
        return call(this.stub, 'BeginToolCall',
            { agent: { uri: agent }, tool, call_id: randomId(), ...more }, how);
    }

    renew(leaseId, how) {
        return call(this.stub, 'RenewToolCall', { lease_id: leaseId }, how);
    }

    end(leaseId, outcome = 'OUTCOME_OK', how) {
        return call(this.stub, 'EndToolCall', { lease_id: leaseId, outcome }, how);
    }

    ack(runtime, ack, how) {
        return call(this.stub, 'Ack', { runtime, ack }, how);
    }

    register(agent, token, more = {}, how) {
        return call(this.stub, 'RegisterCredential', {
            agent: { uri: agent }, credential_id: randomId(), kind: 'KIND_ACCESS_TOKEN',
            token: Buffer.from(token), ...more,
        }, how);
    }

    close() { this.stub.close(); }
}

/**
 * A tool that runs until it is done or stopped. `ended` resolves with the
 * outcome; `stoppedAt` tells when a cancel reached it.
 */
export class ToolCall {
    constructor(agent, tool, callId) {
        Object.assign(this, { agent, tool, callId, beganAt: now() });
        this.ended = new Promise((done) => { this.finish = done; });
    }

    stop() {
        this.stoppedAt = now();
        this.finish('OUTCOME_CANCELLED');
    }
}

/** A runtime that watches: stops its calls when told and confirms it. */
export class Runtime {
    /** @type {Map<string, ToolCall>} what runs here now, by call id */
    calls = new Map();
    /** Directives as they came: {at, ...Directive}. */
    directives = [];
    /** Everything else on the stream: {at, kind, ...}. */
    notices = [];
    /** 'obey' confirms; 'silent' neither stops nor answers; 'refuse' answers no. */
    manner = 'obey';
    #stream;

    constructor(address, name = 'runtime-a', credentials = insecure(), options = {}) {
        this.name = name;
        this.gate = new GateClient(address, credentials, options);
    }

    /**
     * Asks for a call and, when allowed, runs it until end() or a cancel.
     * @returns {Promise<{answer: object, call?: ToolCall}>}
     */
    async begin(agent, tool, { callId = randomId(), ...more } = {}, how = {}) {
        const call = new ToolCall(agent, tool, callId);
        this.calls.set(callId, call);
        const answer = await this.gate.begin(agent, tool,
            { call_id: callId, runtime: this.name, ...more }, how);
        if (answer.decision !== 'DECISION_ALLOW') {
            this.calls.delete(callId);
            return { answer };
        }
        call.leaseId = answer.lease_id;
        return { answer, call };
    }

    async end(call, outcome = 'OUTCOME_OK') {
        this.calls.delete(call.callId);
        call.finish(outcome);
        return this.gate.end(call.leaseId, outcome);
    }

    register(agent, token, more = {}) {
        return this.gate.register(agent, token, { runtime: this.name, ...more });
    }

    /** Opens the watch and resolves with its SnapshotEnd. */
    async watch({ labels = [], lastEpoch = '0' } = {}) {
        this.#stream = this.gate.stub.Watch();
        const snapshot = new Promise((done, fail) => {
            this.#stream.on('data', (message) => {
                this.#receive(message);
                if (message.kind === 'snapshot_end') done(message.snapshot_end);
            });
            this.#stream.on('error', (e) => {
                this.notices.push({ at: now(), kind: 'error', code: e.code, text: e.details });
                fail(e);
            });
            this.#stream.on('end', () => this.notices.push({ at: now(), kind: 'end' }));
        });
        snapshot.catch(() => { /* reported to whoever awaits it */ });
        this.#stream.write({
            hello: {
                runtime: this.name, labels, last_epoch: lastEpoch,
                calls: [...this.calls.values()].map((c) => ({
                    agent: { uri: c.agent }, tool: c.tool, call_id: c.callId,
                    lease_id: c.leaseId ?? '',
                })),
            },
        });
        return snapshot;
    }

    ping() { this.#stream.write({ ping: {} }); }

    /** Ends the watch without a word, like a runtime that died. */
    unwatch() {
        this.#stream?.cancel();
        this.#stream = undefined;
    }

    close() {
        this.unwatch();
        this.gate.close();
    }

    /** Confirms a directive on the stream. */
    confirm(directive, calls, done = true) {
        this.#stream.write({ ack: { directive_id: directive.directive_id, calls, done } });
    }

    #receive(message) {
        if (message.kind !== 'directive') {
            this.notices.push({ at: now(), kind: message.kind, ...message[message.kind] });
            return;
        }
        const { directive } = message;
        this.directives.push({ at: now(), ...directive });
        if (this.manner === 'silent') return;
        if (this.manner === 'refuse') this.confirm(directive, [], false);
        else this.confirm(directive, this.#stopAll(directive));
    }

    #stopAll({ type, call_ids: ids }) {
        if (type !== 'TYPE_CANCEL') return [];
        return ids.map((id) => {
            const running = this.calls.get(id);
            this.calls.delete(id);
            running?.stop();
            return { call_id: id, outcome: running ? 'OUTCOME_CANCELLED' : 'OUTCOME_OK' };
        });
    }
}

/** A runtime that serves AgentRuntime. Calls put into `calls` can be cancelled. */
export class RuntimeServer {
    /** @type {Map<string, ToolCall>} */
    calls = new Map();
    /** Requests as they came: {at, method, metadata, ...request}. */
    requests = [];
    /** 'obey', 'error' (UNAVAILABLE), 'hang' (no answer) or 'running' (cannot stop). */
    manner = 'obey';
    #server = new grpc.Server();

    /** Listens on 127.0.0.1 without TLS, or with `pair`. */
    async start(pair, ca) {
        this.#server.addService(protos.bailiff.v1.AgentRuntime.service, {
            CancelToolCalls: (c, reply) => this.#answer('CancelToolCalls', c, reply,
                (r) => ({ calls: this.#cancel(r) })),
            Purge: (c, reply) => this.#answer('Purge', c, reply,
                (r) => ({ done: r.targets, failed: [] })),
        });
        const credentials = pair
            ? grpc.ServerCredentials.createSsl(ca,
                [{ private_key: pair.key, cert_chain: pair.cert }], Boolean(ca))
            : grpc.ServerCredentials.createInsecure();
        this.port = await new Promise((done, fail) => {
            this.#server.bindAsync('127.0.0.1:0', credentials,
                (e, port) => (e ? fail(e) : done(port)));
        });
        return this;
    }

    stop() { this.#server.forceShutdown(); }

    #answer(method, { request, metadata }, reply, work) {
        this.requests.push({ at: now(), method, metadata: metadata.getMap(), ...request });
        if (this.manner === 'hang') return;
        if (this.manner === 'error') reply({ code: GRPC.UNAVAILABLE, details: 'not now' });
        else reply(null, work(request));
    }

    #cancel({ agent_uri: agent, call_ids: ids }) {
        const all = [...this.calls.values()].filter((c) => c.agent === agent);
        const wanted = ids.length ? ids : all.map((c) => c.callId);
        return wanted.map((id) => ({ call_id: id, state: this.#stop(id) }));
    }

    #stop(id) {
        const running = this.calls.get(id);
        if (!running) return 'STATE_NOT_FOUND';
        if (this.manner === 'running') return 'STATE_RUNNING';
        this.calls.delete(id);
        running.stop();
        return 'STATE_CANCELLED';
    }
}

