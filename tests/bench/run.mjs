// SPDX-License-Identifier: Apache-2.0
// make bench: what the program does on one core beside what that core could do
// at most, measured in the same run. Figures only; nothing is asserted, but
// each row says what was answered. Client and server have a core each.
//
//   node run.mjs build/release [seconds per row [part...]]
//
// BENCH_MEMORY_MB is what the largest population may take; free memory else.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import { availableParallelism, freemem } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const [build = 'build/release', secondsArg = '2', ...only] = process.argv.slice(2);
const ms = Math.round(Number(secondsArg) * 1000);
const tools = resolve(build, 'tests/bench');
process.env.BAILIFF = resolve(build, 'bailiff');
const { Bailiff } = await import('../e2e/peers/bailiff.mjs');

const SERVER_CORE = '0';
const CLIENT_CORE = availableParallelism() > 1 ? '1' : '0';
const LOADS = [[1, 1], [10, 1], [10, 10], [10, 100]]; // connections x streams
const AGENTS = 100;
const MANY_AGENTS = 10000;
const PUSH_CONNECTIONS = 256;
const SETS = { RS256: 12000, ES256: 20000 };
const TOOL_MS = 300000;
const VERIFY_SECONDS = 2;
const FULL = [100000, 1000000]; // agents, jtis
const FULL_NAME = '100,000 and 1,000,000';
const CALLS = 50000;
const CALLERS = 5000; // agents that the calls are of: each is read once
const CURVE = [100, 10000, 1000000];
const AGENT_BYTES = 700; // of the engine in CURVE, with some room
const MEMORY = Number(process.env.BENCH_MEMORY_MB ?? 0) * 2 ** 20 || freemem();
const AT_WORK = [100000, CALLS, 10000]; // agents, calls, jobs; as many wait as may
const MEMBERS = 10000;
const ANSWER_BYTES = 60; // of the bare server; about what an allow has
const REST_MS = 5000; // after which what a burst needed has been given back
const GATE_TOKEN = 'bench-gate-token';
const PUSH_TOKEN = 'bench-push-token';
const COLUMNS = [22, -10, -9, -9, -10, -6, 0];

const POLICY = `apiVersion: bailiff/v1
kind: Policy
defaults: {unknown_agent: lookup, max_age: 24h}
gate:
  - {name: everything, tools: ["*"], require: 'active eq true'}
`;

const dir = mkdtempSync(join(process.env.BENCH_DIR ?? '/var/tmp', 'bailiff-bench-'));
const running = new Set();

/** "name value" lines of a tool, as an object of numbers. */
function figures(text) {
    return Object.fromEntries(text.trim().split('\n').map((l) => l.split(' '))
        .map(([name, value]) => [name, Number(value)]));
}

async function tool(core, name, ...args) {
    const run = promisify(execFile);
    try {
        const { stdout } = await run('taskset',
            ['-c', core, join(tools, name), ...args.map(String)], { timeout: TOOL_MS });
        return figures(stdout);
    } catch (error) {
        if (error.stdout) return figures(error.stdout); // errors are among the figures
        throw new Error(`${name}: ${error.stderr || error.message}`);
    }
}

/** A tool that stays; resolves when it has printed the word. */
function daemon(cores, word, name, ...args) {
    const child = spawn('taskset', ['-c', cores, join(tools, name), ...args.map(String)],
        { stdio: ['pipe', 'pipe', 'inherit'] });
    running.add(child);
    let text = '';
    child.finished = new Promise((done) => {
        child.on('exit', () => {
            running.delete(child);
            done(figures(text.replace(`${word}\n`, '')));
        });
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
    console.log(cells.map((cell, i) => {
        const width = COLUMNS[i];
        return width < 0 ? String(cell).padStart(-width) : String(cell).padEnd(width);
    }).join(' ').trimEnd());
}

const ratio = (value, limit) => (limit > 0 ? `${(100 * value / limit).toFixed(0)} %` : '-');

const answers = (got) => `${got.allowed} allow, ${got.denied} deny` +
    `${got.errors ? `, ${got.errors} ERRORS` : ''}${got.denied ? ' <- NOT A BENCH OF ALLOWS' : ''}`;

/** SCIM reads are answered here: every agent exists and is active. */
function scim() {
    const server = http.createServer({ keepAlive: true }, (req, res) => {
        const id = req.url.split('?')[0].split('/').pop();
        res.writeHead(200, { 'content-type': 'application/scim+json', etag: `W/"${id}-1"` });
        res.end(JSON.stringify({
            schemas: ['urn:ietf:params:scim:schemas:core:2.0:Agent'],
            id, active: true, meta: { resourceType: 'Agent', version: `W/"${id}-1"` },
        }));
    });
    return new Promise((done) => { server.listen(0, '127.0.0.1', () => done(server)); });
}

async function port() {
    const server = http.createServer();
    await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
    const { port: free } = server.address();
    await new Promise((done) => { server.close(done); });
    return free;
}

function config(b, jwks, ports, scimPort) {
    const keys = join(b.dataDir, 'keys');
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
            algorithms: ['ES256', 'RS256'], keys: { jwks_file: jwks }, allow_http: true,
            push: { path: '/events/bench', bearer_file: b.secret('push', PUSH_TOKEN) },
            scim: { base: `http://127.0.0.1:${scimPort}/scim/v2`, rate: 10000, concurrency: 64 },
        }],
        callers: [{
            name: 'bench', role: 'runtime', bearer_file: b.secret('gate', GATE_TOKEN),
            agents: ['/Agents/*'], rate: 1000000, burst: 1000000,
        }],
        operators: [{ name: 'bench-operator', uid: process.getuid() + 1 }],
        policy: { file: b.policyFile },
        store: { dir: b.dataDir },
        log: { dir: b.logDir, origin: 'bailiff/bench' },
        keys: { seal: join(keys, 'seal.key'), log: join(keys, 'log.key') },
        limits: { push_per_s: 1000000 },
    };
}

/** A running sidecar with all its threads on the server's core. */
async function sidecar(name, jwks, ports, scimPort) {
    const b = new Bailiff(join(dir, name), {}, POLICY);
    b.writeConfig(config(b, jwks, ports, scimPort));
    b.gates = { unix: `unix:${join(b.dir, 'gate.sock')}`, tcp: `127.0.0.1:${ports.gate}` };
    await b.init();
    await b.start();
    running.add({ kill: () => b.signal('SIGKILL') });
    execFileSync('taskset', ['-acp', SERVER_CORE, String(b.pid)], { stdio: 'ignore' });
    return b;
}

const load = (address, connections, streams, time, agents, ...calls) => tool(CLIENT_CORE,
    'grpc_load', address, connections, streams, time, agents, GATE_TOKEN, ...calls);

function anonymousKb(pid) {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    return Number(/^Anonymous:\s+(\d+) kB/m.exec(text)[1]);
}

async function jwksFile() {
    const file = join(dir, 'gate.jwks');
    const signer = await daemon(CLIENT_CORE, 'signed', 'push_load', '127.0.0.1:1', '/', 'ES256',
        1, 1, 1, file, 'none');
    signer.kill();
    return file;
}

/** Limit and program take turns, so that a busy machine slows both. */
async function gate(scimPort) {
    row('', 'per second', 'p50 us', 'p99 us', 'limit', 'ratio', 'answers');
    const bare = { unix: `unix:${join(dir, 'bare.sock')}`, tcp: `127.0.0.1:${await port()}` };
    for (const address of Object.values(bare)) {
        await daemon(SERVER_CORE, 'ready', 'bare_grpc', address, ANSWER_BYTES);
    }
    const b = await sidecar('gate', await jwksFile(), { gate: await port(), push: await port() },
        scimPort);
    const memory = { idle: anonymousKb(b.pid) };
    await load(b.gates.unix, 1, 50, 0, AGENTS); // the first reads
    memory[`${AGENTS} agents`] = anonymousKb(b.pid);
    for (const kind of ['unix', 'tcp']) {
        for (const [connections, streams] of LOADS) {
            const limit = await load(bare[kind], connections, streams, ms, AGENTS);
            const got = await load(b.gates[kind], connections, streams, ms, AGENTS);
            row(`Check ${kind} ${connections}x${streams}`, got['questions/s'], got.p50_us,
                got.p99_us, limit['questions/s'],
                ratio(got['questions/s'], limit['questions/s']), answers(got));
        }
    }
    memory[`${AGENTS} agents, after load`] = anonymousKb(b.pid);
    await new Promise((done) => { setTimeout(done, REST_MS); });
    memory[`${AGENTS} agents, later`] = anonymousKb(b.pid);
    const many = await load(b.gates.unix, 1, 50, 0, MANY_AGENTS);
    memory[`${MANY_AGENTS} agents`] = anonymousKb(b.pid);
    await b.stop();
    console.log(`\nanonymous memory, kB (first questions: ${answers(many)})`);
    for (const [when, kb] of Object.entries(memory)) row(`  ${when}`, kb);
}

/** One engine with very many agents; what the figures should stay under. */
async function scale() {
    const figure = (name, value, unit, limit) =>
        row(`  ${name}`, value, '', '', limit, limit ? ratio(value, limit) : '', unit);
    row('very many agents', 'measured', '', '', 'limit', 'ratio', 'unit');
    const small = await tool(SERVER_CORE, 'bench_scale', 'memory', 100, 0, 0);
    figure('100 agents', small.all_kb, 'kB anonymous, engine only', 8 * 1024);
    const full = await tool(SERVER_CORE, 'bench_scale', 'memory', ...FULL, CALLS);
    figure(FULL_NAME, full.all_kb, 'kB anonymous, engine only', 120 * 1024);
    figure('an agent', full.bytes_an_agent, 'bytes', 600);
    figure('a jti', Math.round(full.jtis_kb * 1024 / FULL[1]), 'bytes', '');
    figure('a live call', full.bytes_a_call, 'bytes', 200);
    for (const agents of CURVE) {
        if (agents * AGENT_BYTES > MEMORY) {
            row(`  ask, ${agents} agents`, '-', '', '', '', '', 'left out: memory');
            continue;
        }
        const ask = await tool(SERVER_CORE, 'bench_scale', 'ask', agents);
        figure(`ask, ${agents} agents`, ask.again_ns, 'ns a question, any agent', '');
        figure('  the same ten', ask.ten_ns, 'ns a question', '');
    }
    const group = await tool(SERVER_CORE, 'bench_scale', 'group', MEMBERS);
    figure(`group of ${MEMBERS}`, group.denied_us, 'us, event to last member held', 50000);
    const work = await tool(SERVER_CORE, 'bench_scale', 'tick', ...AT_WORK);
    figure('a tick, all at work', work.tick_ns, 'ns', '');
    figure('an event, all at work', work.event_ns, 'ns', '');
    const store = join(dir, 'scale');
    mkdirSync(store, { mode: 0o700 });
    await tool(SERVER_CORE, 'bench_scale', 'store', store, ...FULL);
    const start = await tool(SERVER_CORE, 'bench_scale', 'load', store);
    figure('start, open and check', start.open_ms, 'ms', '');
    figure('start, load', start.load_ms, `ms, ${start.facts} facts`, '');
    figure('start, all', start.ready_ms, 'ms to ready, after a crash', 1000);
    figure('  processor time', start.cpu_ms, 'ms, of all threads', 1000);
}

/** Processor time of a process so far, ms. */
function cpuMs(pid) {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10; // ticks of 1/100 s
}

/** The whole program with very many agents: start after a crash, memory. */
async function wholeSidecar(scimPort) {
    const figure = (name, value, unit, limit) =>
        row(`  ${name}`, value, '', '', limit, limit ? ratio(value, limit) : '', unit);
    const b = new Bailiff(join(dir, 'whole'), {}, POLICY);
    b.writeConfig(config(b, await jwksFile(), { gate: await port(), push: await port() },
        scimPort));
    await b.init();
    await tool(SERVER_CORE, 'bench_scale', 'store', b.dataDir, ...FULL,
        b.config.feeds[0].scim.base);
    await b.start({ readyMs: TOOL_MS }); // writes the records of the rows to the log
    running.add({ kill: () => b.signal('SIGKILL') });
    await b.kill();
    const from = performance.now();
    await b.start({ readyMs: TOOL_MS });
    figure('whole sidecar, start', Math.round(performance.now() - from),
        'ms to ready, after kill -9', 1000);
    figure('  processor time', cpuMs(b.pid), 'ms, of all threads', 1000);
    figure('  memory', anonymousKb(b.pid), 'kB anonymous', '');
    const begun = await load(`unix:${join(b.dir, 'gate.sock')}`, 1, 50, 0, CALLERS, CALLS);
    figure(`  and ${CALLS} calls`, anonymousKb(b.pid), `kB anonymous; ${answers(begun)}`,
        120 * 1024);
    await b.stop();
}

/** Signing takes a while, so it comes first, on all cores. */
async function pushes(alg, count, name, pushPort) {
    const jwks = join(dir, `${name}.jwks`);
    const signer = await daemon(`${SERVER_CORE},${CLIENT_CORE}`, 'signed', 'push_load',
        `127.0.0.1:${pushPort}`, '/events/bench', alg, count, PUSH_CONNECTIONS, AGENTS, jwks,
        PUSH_TOKEN);
    execFileSync('taskset', ['-acp', CLIENT_CORE, String(signer.pid)], { stdio: 'ignore' });
    return { jwks, signer };
}

async function sets(alg, scimPort, append) {
    const limit = (await tool(SERVER_CORE, 'raw_verify', alg, VERIFY_SECONDS))['verify/s'];
    const name = `push-${alg.toLowerCase()}`;
    const pushPort = await port();
    const { jwks, signer } = await pushes(alg, SETS[alg], name, pushPort);
    const b = await sidecar(name, jwks, { gate: await port(), push: pushPort }, scimPort);
    signer.stdin.write('go\n');
    const got = await signer.finished;
    row(`SETs ${alg} push`, got['SETs/s'], got.p50_us, got.p99_us, limit,
        ratio(got['SETs/s'], limit),
        `${got.accepted} accepted, ${got.refused} refused` +
        `${got.refused ? `, the last with ${got.odd_status}` : ''}`);
    row('  beside the append', '', '', '', append, ratio(got['SETs/s'], append));
    await b.stop();
}

async function allSets(scimPort) {
    row('', 'per second', 'p50 us', 'p99 us', 'limit', 'ratio', 'answers');
    const append = {};
    for (const lines of [1, 64]) {
        append[lines] = (await tool(SERVER_CORE, 'raw_append', join(dir, 'append'), lines,
            1))['lines/s'];
        row(`append, ${lines}/fdatasync`, append[lines]);
    }
    for (const alg of Object.keys(SETS)) await sets(alg, scimPort, append[64]);
}

function policies() {
    for (const name of ['bench_policy', 'bench_replay'])
        console.log(execFileSync('taskset', ['-c', SERVER_CORE, join(tools, name)],
            { encoding: 'utf8' }).trimEnd());
}

try {
    console.log(`server on core ${SERVER_CORE}, client on core ${CLIENT_CORE}, ` +
        `${ms / 1000} s each, decision log and store on; the limit of Check is a bare nghttp2\n` +
        'server, of SETs a loop that only verifies, and a loop of append and fdatasync');
    const provider = await scim();
    const scimPort = provider.address().port;
    const parts = {
        gate: () => gate(scimPort), sets: () => allSets(scimPort), policy: policies,
        scale, whole: () => wholeSidecar(scimPort),
    };
    for (const name of only.length > 0 ? only : Object.keys(parts)) {
        await parts[name]();
        console.log('');
    }
    provider.close();
} catch (error) {
    console.log(`bench stopped: ${error.stack}`);
    process.exitCode = 1;
} finally {
    for (const child of running) child.kill();
    rmSync(dir, { recursive: true, force: true });
}
process.exit();
