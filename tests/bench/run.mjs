// SPDX-License-Identifier: Apache-2.0
// make bench: what the program does on one core beside what that core could do
// at most, measured in the same run. Figures only; nothing is asserted, but a
// run with wrong answers says so. Client and server have a core each.
//
//   node run.mjs build/release [seconds]
import { execFile, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const [build = 'build/release', secondsArg = '5'] = process.argv.slice(2);
const seconds = Number(secondsArg);
const tools = resolve(build, 'tests/bench');
process.env.BAILIFF = resolve(build, 'bailiff');
const { Bailiff } = await import('../e2e/peers/bailiff.mjs');

const SERVER_CORE = '0';
const CLIENT_CORE = availableParallelism() > 1 ? '1' : '0';
const CONNECTIONS = 8;
const STREAMS = 16;
const AGENTS = 100;
const PUSH_CONNECTIONS = 64;
const SETS = { ES256: 40000, RS256: 6000 };
const TABLE = [26, 12, 9, 9, 12, 7];

const POLICY = `apiVersion: bailiff/v1
kind: Policy
defaults: {unknown_agent: lookup, max_age: 24h}
gate:
  - {name: everything, tools: ["*"], require: 'active eq true'}
`;

const dir = mkdtempSync(join(process.env.BENCH_DIR ?? '/var/tmp', 'bailiff-bench-'));
const running = new Set();

/** name value lines of a tool, as an object of numbers. */
function figures(text) {
    return Object.fromEntries(text.trim().split('\n').map((l) => l.split(' '))
        .map(([name, value]) => [name, Number(value)]));
}

async function tool(core, name, ...args) {
    const run = promisify(execFile);
    try {
        const { stdout } = await run('taskset',
            ['-c', core, join(tools, name), ...args.map(String)], { timeout: 180000 });
        return figures(stdout);
    } catch (error) {
        if (error.stdout) return figures(error.stdout); // errors are among the figures
        throw new Error(`${name}: ${error.stderr || error.message}`);
    }
}

/** A tool that stays; resolves when it has printed the word. */
function daemon(core, word, name, ...args) {
    const child = spawn('taskset', ['-c', core, join(tools, name), ...args.map(String)],
        { stdio: ['pipe', 'pipe', 'inherit'] });
    running.add(child);
    let text = '';
    child.finished = new Promise((done) => {
        child.on('exit', () => { running.delete(child); done(figures(text.replace(`${word}\n`, ''))); });
    });
    return new Promise((done, fail) => {
        child.stdout.setEncoding('utf8').on('data', (more) => {
            text += more;
            if (text.includes(word)) done(child);
        });
        child.on('exit', () => fail(new Error(`${name} ended early: ${text}`)));
    });
}

function row(...cells) {
    console.log(cells.map((c, i) => (i === 0 ? String(c).padEnd(TABLE[0]) : String(c).padStart(TABLE[i])))
        .join(' '));
}

const ratio = (value, limit) => (limit > 0 ? `${(100 * value / limit).toFixed(0)} %` : '-');

/** SCIM reads are answered here: every agent exists and is active. */
function scim() {
    const server = http.createServer((req, res) => {
        const id = req.url.split('?')[0].split('/').pop();
        res.writeHead(200, { 'content-type': 'application/scim+json', etag: `W/"${id}-1"` });
        res.end(JSON.stringify({
            schemas: ['urn:ietf:params:scim:schemas:core:2.0:Agent'],
            id, active: true, meta: { resourceType: 'Agent', version: `W/"${id}-1"` },
        }));
    });
    return new Promise((done) => server.listen(0, '127.0.0.1', () => done(server)));
}

async function port() {
    const server = http.createServer();
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    const { port: free } = server.address();
    await new Promise((done) => server.close(done));
    return free;
}

function config(b, name, ports, scimPort) {
    const uid = process.getuid();
    const fast = { rate: 1000000, burst: 1000000 };
    return {
        listen: {
            gate: [
                { address: `unix:${join(b.dir, 'gate.sock')}`, mode: '0600' },
                { address: `127.0.0.1:${ports.gate}` },
            ],
            push: [{ address: `127.0.0.1:${ports.push}` }],
            admin: { address: `unix:${join(b.dir, 'admin.sock')}`, mode: '0600' },
        },
        feeds: [{
            name: 'bench', issuer: 'https://bench.invalid', audience: ['https://bailiff.invalid'],
            algorithms: ['ES256', 'RS256'], keys: { jwks_file: join(dir, `${name}.jwks`) },
            allow_http: true,
            push: { path: '/events/bench', bearer_file: b.secret('push', 'bench-bearer') },
            scim: { base: `http://127.0.0.1:${scimPort}/scim/v2`, rate: 10000 },
        }],
        callers: [{ name: 'bench', role: 'runtime', uid, agents: ['/Agents/*'], ...fast }],
        operators: [{ name: 'bench-operator', uid: uid + 1 }],
        policy: { file: b.policyFile },
        store: { dir: b.dataDir },
        limits: { push_per_s: 1000000 },
    };
}

/** A running sidecar pinned to the server's core. */
async function sidecar(name, scimPort) {
    const b = new Bailiff(join(dir, name), {}, POLICY);
    b.ports = { gate: await port(), push: await port() };
    b.writeConfig(config(b, name, b.ports, scimPort));
    await b.init();
    await b.start();
    execFileSync('taskset', ['-acp', SERVER_CORE, String(b.pid)], { stdio: 'ignore' });
    running.add({ kill: () => b.signal('SIGKILL') });
    return b;
}

function anonymousKb(pid) {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    return Number(/^Anonymous:\s+(\d+) kB/m.exec(text)[1]);
}

async function bareGate(address) {
    const server = await daemon(SERVER_CORE, 'ready', 'bare_grpc', address, 60);
    const got = await tool(CLIENT_CORE, 'grpc_load', address, CONNECTIONS, STREAMS, seconds, AGENTS);
    server.kill();
    return got;
}

async function gate(scimPort) {
    const tcp = `127.0.0.1:${await port()}`;
    const limits = { unix: await bareGate(`unix:${join(dir, 'bare.sock')}`), tcp: await bareGate(tcp) };
    row('limit: bare nghttp2 (unix)', limits.unix['questions/s'], limits.unix.p50_us, limits.unix.p99_us);
    row('limit: bare nghttp2 (tcp)', limits.tcp['questions/s'], limits.tcp.p50_us, limits.tcp.p99_us);
    const push = await daemon(CLIENT_CORE, 'signed', 'push_load', '127.0.0.1:1', '/', 'ES256', 1, 1, 1,
        join(dir, 'gate.jwks'), 'none');
    push.kill();
    const b = await sidecar('gate', scimPort);
    for (const [kind, address] of [['unix', `unix:${join(b.dir, 'gate.sock')}`],
        ['tcp', `127.0.0.1:${b.ports.gate}`]]) {
        await tool(CLIENT_CORE, 'grpc_load', address, 1, 4, 1, AGENTS); // the first reads
        const got = await tool(CLIENT_CORE, 'grpc_load', address, CONNECTIONS, STREAMS, seconds, AGENTS);
        row(`gate Check (${kind})`, got['questions/s'], got.p50_us, got.p99_us,
            limits[kind]['questions/s'], ratio(got['questions/s'], limits[kind]['questions/s']));
        if (got.denied || got.errors) console.log(`  ${got.denied} denied, ${got.errors} errors`);
    }
    console.log(`memory with ${AGENTS} agents: ${anonymousKb(b.pid)} kB anonymous`);
    await b.stop();
}

async function sets(alg, scimPort) {
    const verify = await tool(SERVER_CORE, 'raw_verify', alg, 2);
    row(`limit: ${alg} verify`, verify['verify/s'], '', '');
    const name = `push-${alg.toLowerCase()}`;
    const pushPort = await port();
    // Signing takes a while, so it comes first; the port is fixed beforehand.
    const load = await daemon(CLIENT_CORE, 'signed', 'push_load', `127.0.0.1:${pushPort}`,
        '/events/bench', alg, SETS[alg], PUSH_CONNECTIONS, AGENTS, join(dir, `${name}.jwks`), 'bench-bearer');
    const b = new Bailiff(join(dir, name), {}, POLICY);
    b.writeConfig(config(b, name, { gate: await port(), push: pushPort }, scimPort));
    await b.init();
    await b.start();
    running.add({ kill: () => b.signal('SIGKILL') });
    execFileSync('taskset', ['-acp', SERVER_CORE, String(b.pid)], { stdio: 'ignore' });
    load.stdin.write('go\n');
    const got = await load.finished;
    row(`SETs pushed (${alg})`, got['SETs/s'], got.p50_us, got.p99_us, verify['verify/s'],
        ratio(got['SETs/s'], verify['verify/s']));
    if (got.refused) console.log(`  ${got.refused} refused, the last with ${got.odd_status}`);
    await b.stop();
}

try {
    console.log(`server on core ${SERVER_CORE}, client on core ${CLIENT_CORE}, ` +
        `${CONNECTIONS} connections x ${STREAMS} streams, ${seconds} s each, decision log and store on`);
    row('', 'per second', 'p50 us', 'p99 us', 'limit', 'ratio');
    for (const lines of [1, 64]) {
        const got = await tool(SERVER_CORE, 'raw_append', join(dir, 'append'), lines, 2);
        row(`limit: append, ${lines}/fdatasync`, got['lines/s'], '', '');
    }
    const provider = await scim();
    await gate(provider.address().port);
    for (const alg of Object.keys(SETS)) await sets(alg, provider.address().port);
    provider.close();
} catch (error) {
    console.log(`bench stopped: ${error.message}`);
    process.exitCode = 1;
} finally {
    for (const child of running) child.kill();
    rmSync(dir, { recursive: true, force: true });
}
process.exit();
