// SPDX-License-Identifier: Apache-2.0
// Every secret is a text that is nowhere else: under normal work, under attack,
// and with peers that send back what they were sent, it is afterwards in nothing
// that the sidecar keeps, says or shows, at the most talkative level.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import tls from 'node:tls';
import { after, before, describe, it } from 'node:test';
import { Ca } from './peers/ca.mjs';
import { bodyOf, request1, TlsServer } from './peers/http.mjs';
import { randomId } from './peers/keys.mjs';
import { known, tell, untilAnswer, untilRecord } from './peers/scenario.mjs';
import { collect, filesBelow, traces } from './peers/traces.mjs';
import { sleep, until } from './peers/wait.mjs';
import { AUDIENCE, POLICY, World } from './peers/world.mjs';

const secret = () => randomId(24);
const quiet = (promise) => promise.catch((e) => e);

/** Sends everything back that it was sent: in header, in body, in the redirect. */
class Mirror {
    seen = 0;

    constructor(ca) {
        this.server = new TlsServer(ca.server('mirror'), (req, res) => this.#answer(req, res));
    }

    async #answer(req, res) {
        const sent = `${req.url} ${JSON.stringify(req.headers)} ${await bodyOf(req)}`;
        const [status, more] = [[500], [400], [401, { 'www-authenticate': `Bearer ${sent}` }],
            [302, { location: `${this.server.origin}/to?token=${encodeURIComponent(sent)}` }],
            [200], [429, { 'retry-after': sent }]][this.seen++ % 6];
        res.writeHead(status, { 'x-sent': encodeURIComponent(sent).slice(0, 4000), ...more,
            'content-type': 'application/json' })
            .end(`{"error": ${JSON.stringify(sent)}, "error_description": ${JSON.stringify(sent)}, `);
    }
}

describe('secrets', () => {
    let w, mirror, untrusted;
    const s = { caller: secret(), scim: secret(), poll: secret(), client: secret(),
        page: secret(), password: secret() };
    /** Sent to it, or told to it: none of it may be kept or said. */
    const sent = { wrongBearer: secret(), inUrl: secret(), claim: secret(), garbage: secret(),
        name: secret(), mail: `${secret()}@example.org`, argument: secret() };
    const tokens = [];

    function configure(c) {
        const trust = { ca: w.ca.file }, b = w.bailiff;
        const at = `${mirror.server.origin}`;
        c.log.diagnostics = { level: 'debug' };
        c.callers[0].feed = 'hr';
        c.callers.push({ name: 'remote', role: 'runtime', agents: ['/Agents/*'],
            bearer_file: b.secret('caller', s.caller) });
        c.feeds.push({
            name: 'echo', issuer: `${at}/issuer`, audience: [AUDIENCE], algorithms: ['ES256'],
            keys: { jwks_url: `${at}/jwks` }, tls: trust,
            push: { path: '/events/echo', bearer_file: b.secret('push-echo', w.pushBearer) },
            poll: { url: `${at}/poll`, auth: { bearer_file: b.secret('poll-echo', s.poll) } },
            scim: { base: `${at}/scim`, auth: { bearer_file: b.secret('scim-echo', s.scim) },
                types: { Agents: 'agent' } },
        });
        const servers = c.outbound.authorization_servers;
        servers.push({ issuer: at, revocation_url: `${at}/revoke`, tls: trust,
            auth: { client_id: 'bailiff', client_secret_file: b.secret('as-echo', s.client) } });
        servers.push({ issuer: 'https://untrusted.test', revocation_url:
            `${untrusted.server.origin}/revoke`, tls: trust,
        auth: { user: 'bailiff', password_file: b.secret('password', s.password) } });
        return c;
    }

    before(async () => {
        w = await World.make();
        mirror = new Mirror(w.ca);
        await mirror.server.start();
        w.adopt(() => mirror.server.stop());
        untrusted = { server: await new TlsServer(new Ca(join(w.dir, 'other')).server('localhost'),
            (req, res) => res.end()).start() };
        w.adopt(() => untrusted.server.stop());
        w.bailiff.writeConfig(configure(w.bailiff.config));
        w.bailiff.writePolicy(`${POLICY.replace('      - cancel:',
            '      - page\n      - cancel:')}actions:
  page:
    http: {method: POST, url: "${mirror.server.origin}/page/{{agent.id}}",
           bearer_file: ${w.bailiff.secret('page', s.page)}, ca_file: ${w.ca.file}}
`);
        await w.bailiff.init();
        await w.bailiff.start();
        await until('the key set', () => /event=loaded feed=hr /.test(w.bailiff.stderr));
    });
    after(() => w?.close());

    const push = (path, body, headers = {}) => quiet(request1(
        `https://localhost:${w.ports.push}${path}`, { method: 'POST', ca: w.ca.pem, body,
            headers: { 'content-type': 'application/secevent+jwt',
                authorization: `Bearer ${w.pushBearer}`, ...headers } }));
    const attributes = () => ({ displayName: sent.name, name: { familyName: sent.name },
        emails: [{ value: sent.mail }] });

    it('normal work, and peers that echo', async () => {
        const runtime = await w.runtime();
        for (const [i, issuer] of [w.as.issuer, mirror.server.origin,
            'https://untrusted.test'].entries()) {
            const agent = await known(w, runtime.gate, `a${i}`, attributes());
            for (let k = 0; k < 3; k++) {
                tokens.push(secret());
                await runtime.register(agent, tokens.at(-1), { issuer,
                    kind: k % 2 ? 'KIND_REFRESH_TOKEN' : 'KIND_ACCESS_TOKEN' });
            }
            await runtime.begin(agent, 'kb.search');
            w.scim.put(agent, { ...attributes(), active: false });
            await tell(w, 'deactivate', agent, { data: attributes() });
            await untilAnswer(runtime.gate, agent, 'agent_suspended');
            await untilRecord(w.bailiff, { kind: 'action', agent });
        }
        await until('all that the mirror is asked', () => mirror.seen > 12, 20000);
    });

    it('attacks', async () => {
        const good = await w.idp.mint('deactivate', '/Agents/a0',
            { claims: { email: sent.mail, note: sent.claim } });
        await push('/events/hr', good.token);
        await push('/events/hr', good.token, { authorization: `Bearer ${sent.wrongBearer}` });
        await push('/events/hr', good.token, { authorization: `Basic ${sent.wrongBearer}` });
        await push(`/events/hr?access_token=${sent.inUrl}`, good.token);
        await push(`/${sent.inUrl}`, good.token);
        await push('/events/hr', sent.garbage);
        await push('/events/hr', sent.garbage.repeat(40000));
        await push('/events/echo', good.token);
        await push('/events/hr', JSON.stringify({ note: sent.garbage }),
            { 'content-type': `text/${sent.garbage}` });
        for (const claims of [{ sub_id: { format: 'email', email: sent.mail } },
            { sub_id: { format: 'scim', uri: `/Nothing/${sent.claim}` } },
            { aud: sent.claim }, { iat: sent.claim }, { events: { [sent.claim]: {} } },
            { jti: { at: sent.claim } }]) {
            const set = await w.idp.mint('patch:notice', '/Agents/a0', { claims });
            await push('/events/hr', set.token);
        }
        const gate = w.gate(w.gateAddress);
        const as = (token) => ({ metadata: { authorization: `Bearer ${token}` } });
        await quiet(gate.check('/Agents/a0', 't', {}, as(sent.wrongBearer)));
        for (const feed of ['hr', 'echo', sent.argument]) {
            await quiet(gate.check('/Agents/a0', 't', { agent: { uri: '/Agents/a0', feed } },
                as(s.caller)));
        }
        await quiet(gate.check(`/Agents/${'x'.repeat(300)}`, sent.argument.repeat(50), {}, as(s.caller)));
        for (const [token, issuer] of [[sent.garbage.repeat(2000), w.as.issuer],
            [sent.garbage, 'https://nobody.test']]) {
            await quiet(gate.register('/Agents/a0', token,
                { issuer, agent: { uri: '/Agents/a0', feed: 'hr' } }, as(s.caller)));
        }
        await quiet(fetch(`http://127.0.0.1:${w.ports.metrics}/${sent.inUrl}?t=${sent.inUrl}`));
        await new Promise((done) => {
            const socket = tls.connect({ port: w.ports.push, host: '127.0.0.1', ca: w.ca.pem,
                servername: 'localhost' }, () => socket.end(`${sent.garbage} / HTTP/9\r\n\r\n`));
            socket.on('error', done).on('close', done).resume();
        });
        await w.bailiff.cli('set', 'inspect', sent.garbage);
        w.bailiff.signal('SIGHUP');
        w.bailiff.signal('SIGUSR2');
        await sleep(1500);
    });

    /** As text, as Basic, in a URL, in base64; and what is left when it is cut. */
    function forms(text) {
        const b64 = Buffer.from(text).toString('base64');
        return [text, text.slice(0, 14), text.slice(-14), encodeURIComponent(text), b64,
            Buffer.from(`bailiff:${text}`).toString('base64').slice(12, 40)];
    }

    it('are nowhere', async () => {
        const seen = await collect(w, [['agents', 'show', '/Agents/a0'],
            ['agents', 'show', '/Agents/a1']]);
        assert.ok(traces(seen, '/Agents/a0').length > 4, 'the search finds nothing at all');
        const all = { ...s, ...sent, push: w.pushBearer, hrScim: w.scim.bearer,
            hrPoll: w.idp.pollToken, hrClient: w.as.clients.bailiff };
        tokens.forEach((t, i) => { all[`token ${i}`] = t; });
        const found = Object.entries(all).flatMap(([name, text]) => forms(text)
            .flatMap((form) => traces(seen, form).map((where) => `${name} in ${where}`)));
        assert.deepEqual(found, []);
    });

    it('of keys are in the keys only', async () => {
        const keys = filesBelow(join(w.bailiff.dataDir, 'keys'));
        const seen = (await collect(w)).filter(([where]) => !keys.some(([k]) => k === where));
        const pem = readFileSync(w.pushCert.keyFile, 'latin1').split('\n').slice(1, 3);
        const found = keys.filter(([path]) => path.endsWith('.key'))
            .flatMap(([path, bytes]) => traces(seen, bytes.subarray(0, 32)).map((x) => [path, x]));
        assert.deepEqual([...found, ...pem.flatMap((line) => traces(seen, line))], []);
        assert.match(readFileSync(`/proc/${w.bailiff.pid}/limits`, 'utf8'), /core file size +0 +0 /);
    });
});
