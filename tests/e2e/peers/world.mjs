// SPDX-License-Identifier: Apache-2.0
// A complete world: transmitter, SCIM provider, authorization server and a
// configured bailiff, all on this machine, all in one temporary directory.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AuthServer } from './as.mjs';
import { Bailiff } from './bailiff.mjs';
import { Ca } from './ca.mjs';
import { Idp } from './idp.mjs';
import { randomId } from './keys.mjs';
import { GateClient, Runtime } from './runtime.mjs';
import { Scim } from './scim.mjs';
import { freePort, until } from './wait.mjs';

/** What rules and gate rules the tests use when they bring none. */
export const POLICY = `apiVersion: bailiff/v1
kind: Policy
defaults:
  unknown_agent: lookup
  max_age: 15m
  refresh: {timeout: 20s}
rules:
  - name: stop
    events: [deactivate, delete, found_inactive, found_gone]
    do:
      - hold: suspended
      - cancel: {calls: all, within: 2s}
      - revoke: {tokens: all, within: 30s}
  - name: come-back
    events: [activate, refreshed]
    where: 'active eq true'
    do: [{release: {suspended: {set_by: [stop]}}}]
gate:
  - {name: everything, tools: ["*"], require: 'active eq true'}
`;

/** POLICY, and members are read again when something is said of their group. */
export const GROUP_POLICY = POLICY.replace('rules:\n', `rules:
  - name: group-changed
    events: [patch]
    subject: group
    applies_to: members
    do: [refresh]
`);

export class World {
    /** Everything to be closed at the end, latest first. */
    #open = [];

    /** Starts all peers and writes bailiff's files; bailiff itself waits for start(). */
    static async make({ policy = POLICY, configure = (c) => c, revokeBy = 'secret' } = {}) {
        const w = new World();
        w.dir = mkdtempSync(join(tmpdir(), 'bailiff-'));
        w.ca = new Ca(join(w.dir, 'ca'));
        w.idp = await new Idp(w.ca).start();
        w.scim = await new Scim(w.ca).start();
        w.as = await new AuthServer(w.ca).start();
        w.ports = { gate: await freePort(), push: await freePort(), metrics: await freePort() };
        w.pushCert = w.ca.server('bailiff');
        w.pushBearer = randomId(24);
        w.bailiff = new Bailiff(join(w.dir, 'bailiff'), {}, policy);
        w.bailiff.writeConfig(await configure(w.#config(revokeBy), w));
        w.idp.pushTo({
            url: `https://localhost:${w.ports.push}/events/hr`, audience: AUDIENCE,
            bearer: w.pushBearer,
        });
        return w;
    }

    /** make(), keys and a running bailiff that knows the transmitter's keys. */
    static async start(options) {
        const w = await World.make(options);
        await w.bailiff.init();
        await w.bailiff.start();
        await until('the key set', () => /event=loaded feed=hr /.test(w.bailiff.stderr));
        return w;
    }

    get gateAddress() { return `127.0.0.1:${this.ports.gate}`; }

    get unixGate() { return `unix:${join(this.bailiff.dir, 'gate.sock')}`; }

    /** An agent of the SCIM provider; returns its path. */
    agent(id, attributes = {}) {
        this.scim.put(`/Agents/${id}`, {
            agentUserName: id, displayName: `Agent ${id}`, active: true, ...attributes,
        });
        return `/Agents/${id}`;
    }

    /** A watching runtime over the Unix socket; closed with the world. */
    async runtime(name = 'runtime-a') {
        const runtime = new Runtime(this.unixGate, name);
        this.#open.push(() => runtime.close());
        await runtime.watch();
        return runtime;
    }

    gate(address = this.unixGate, credentials) {
        const client = new GateClient(address, credentials);
        this.#open.push(() => client.close());
        return client;
    }

    /** Something to be closed with the world. */
    adopt(close) { this.#open.push(close); }

    /** Stops everything and removes the directory. */
    async close() {
        for (const close of this.#open.reverse()) await close();
        if (this.bailiff.pid) await this.bailiff.kill();
        await Promise.all([this.idp.stop(), this.scim.stop(), this.as.stop()]);
        rmSync(this.dir, { recursive: true, force: true });
    }

    #config(revokeBy) {
        const { bailiff: b, idp, scim, as, ports, ca } = this;
        const uid = process.getuid();
        const trust = { ca: ca.file };
        return {
            listen: {
                gate: [
                    { address: this.unixGate, mode: '0600' },
                    { address: `127.0.0.1:${ports.gate}` },
                ],
                push: [{
                    address: `127.0.0.1:${ports.push}`,
                    tls: { cert: this.pushCert.certFile, key: this.pushCert.keyFile },
                }],
                admin: { address: `unix:${b.adminSocket}`, mode: '0600' },
                metrics: { address: `127.0.0.1:${ports.metrics}` },
            },
            feeds: [{
                name: 'hr', issuer: idp.issuer, audience: [AUDIENCE],
                algorithms: ['ES256', 'RS256'],
                keys: { jwks_url: idp.jwksUrl }, tls: trust,
                push: { path: '/events/hr', bearer_file: b.secret('push', this.pushBearer) },
                poll: {
                    url: idp.pollUrl('hr'), wait: '30s',
                    auth: { bearer_file: b.secret('poll', idp.pollToken) },
                },
                scim: {
                    base: scim.base, auth: { bearer_file: b.secret('scim', scim.bearer) },
                    types: { Agents: 'agent', Users: 'user', Groups: 'group' },
                },
            }],
            callers: [{ name: 'runtime-a', role: 'runtime', uid, agents: ['/Agents/*'] }],
            operators: [{ name: 'ops', uid }],
            policy: { file: b.policyFile },
            store: { dir: b.dataDir },
            log: { dir: b.logDir, origin: 'bailiff/test' },
            keys: {
                seal: join(b.dataDir, 'keys', 'seal.key'),
                log: join(b.dataDir, 'keys', 'log.key'),
            },
            outbound: {
                authorization_servers: [{
                    issuer: as.issuer, revocation_url: as.revocationUrl, tls: trust,
                    auth: revokeBy === 'secret'
                        ? {
                            client_id: 'bailiff',
                            client_secret_file: b.secret('as', as.clients.bailiff),
                        }
                        : {
                            client_id: 'bailiff-jwt', audience: as.issuer,
                            private_key_file: b.secret('as.pem', as.assertionKey.privatePem),
                            kid: as.assertionKey.kid, algorithm: 'ES256',
                        },
                }],
            },
        };
    }
}

/** The audience under which bailiff receives. */
export const AUDIENCE = 'https://bailiff.test/streams/hr';
