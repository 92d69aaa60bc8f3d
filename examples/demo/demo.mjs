// SPDX-License-Identifier: Apache-2.0
// A complete world on this machine, seen through one agent's day: it works, its
// identity changes, it is deactivated. Everything is real: signed tokens over
// TLS, a SCIM provider, an OAuth authorization server, gRPC, the sidecar. Every
// figure is measured in this run; a step that does not happen ends it with 1.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { now, timed, until } from '../../tests/e2e/peers/wait.mjs';
import { World } from '../../tests/e2e/peers/world.mjs';
import { tamperedCopy } from '../../tests/e2e/peers/tamper.mjs';
import { check, dim, green, red, row, say, step, table, title } from './screen.mjs';

const TOO_LONG_MS = 55000;
const AGENT = '/Agents/7';
const policy = readFileSync(fileURLToPath(new URL('policy.yaml', import.meta.url)), 'utf8');

/** What the decision log has to show at the end, one record for each. */
const story = [];

/** Opens a step; records of its story are looked for from here on. */
function chapter(w, text) {
    step(text);
    const from = w.bailiff.log().length;
    return (what, matches) => story.push({ text: what, from, matches });
}

const allowed = (answer) => answer.decision === 'DECISION_ALLOW';
const words = ({ decision, reason }) =>
    `${decision.replace('DECISION_', '').toLowerCase()} (${reason?.code ?? ''})`;

async function startWorld() {
    step('the world starts');
    const [w, made] = await timed(() => World.make({ policy }));
    w.agent('7', { displayName: 'Release agent', roles: [{ value: 'deployer' }] });
    row('identity provider', `${w.idp.issuer}  keys: ES256, RS256  push, poll`, made);
    row('SCIM provider', `${w.scim.base}${AGENT}  active: true`);
    row('authorization server', `${w.as.issuer}  RFC 7009, RFC 7662`);
    await w.bailiff.init();
    const [, ready] = await timed(() => w.bailiff.start());
    row('bailiff', `ready, gate on ${w.unixGate.replace(`unix:${w.dir}/`, '')}`, ready);
    const [runtime, watching] = await timed(() => w.runtime('runtime-a'));
    row('agent runtime', 'watches for directives over gRPC', watching);
    return { w, runtime };
}

async function work({ w, runtime }) {
    const remember = chapter(w, 'the agent works');
    const [first, cold] = await timed(() => runtime.begin(AGENT, 'kb.search'));
    check(allowed(first.answer), 'first tool call', `${words(first.answer)}, after one SCIM read`,
        cold);
    check(w.scim.readsOf(AGENT).length === 1, 'reads at the SCIM provider', '1');
    await runtime.end(first.call);
    const [second, warm] = await timed(() => runtime.begin(AGENT, 'kb.search'));
    check(allowed(second.answer), 'second tool call', `${words(second.answer)}, from memory`, warm);
    check(w.scim.readsOf(AGENT).length === 1, 'reads at the SCIM provider', 'still 1');
    await runtime.end(second.call);
    remember('the agent works', (r) => r.kind === 'gate' && r.tool === 'kb.search');
}

async function patch({ w, runtime }) {
    const remember = chapter(w, 'prov:patch:notice arrives by polling, signed with RS256');
    w.scim.put(AGENT, { roles: [{ value: 'deployer' }, { value: 'reviewer' }] });
    w.scim.fault = { slow: 60 };
    const before = w.scim.readsOf(AGENT).length;
    const offered = now();
    const item = await w.idp.offer('hr', 'patch:notice', AGENT, {
        key: 'rs256', payload: { version: w.scim.etag(AGENT), attributes: ['roles'] },
    });
    await until('the acknowledgement', () => item.ackedAt, 1);
    check(true, 'acknowledged, so durable', `jti ${item.jti}`, item.ackedAt - offered);
    const [answers, waited] = await timed(() => Promise.all(Array.from({ length: 5 }, () =>
        runtime.gate.check(AGENT, 'kb.search'))));
    check(answers.every(allowed), '5 questions at once', 'all waited for a fresh read, then allow',
        waited);
    const reads = w.scim.readsOf(AGENT).length - before;
    check(reads === 1, 'reads at the SCIM provider', `${reads} (it takes 60 ms there)`);
    w.scim.fault = null;
    remember('the patch', (r) => r.kind === 'event' && r.jti === item.jti);
    remember('one fresh read', (r) => r.kind === 'read' && r.agent === AGENT);
}

async function deactivate({ w, runtime }) {
    step('the agent has a token and a tool call under way');
    const token = await w.as.token();
    await runtime.register(AGENT, token, { issuer: w.as.issuer });
    check(await w.as.isActive(token), 'token', 'registered; introspection says active');
    const { answer, call } = await runtime.begin(AGENT, 'deploy.release');
    check(allowed(answer), 'deploy.release', `${words(answer)}, running`);

    const remember = chapter(w, 'prov:deactivate arrives by push, signed with ES256');
    w.scim.put(AGENT, { active: false });
    const start = now();
    const pushed = await w.idp.tell('deactivate', AGENT);
    check(pushed.status === 202, 'transmitter is answered', `${pushed.status}, so durable`,
        pushed.ms);
    const [next, asked] = await timed(() => runtime.begin(AGENT, 'kb.search'));
    check(!allowed(next.answer), 'next tool call', `${words(next.answer)}`, asked);
    const outcome = await call.ended;
    check(outcome === 'OUTCOME_CANCELLED', 'deploy.release', 'cancelled by directive',
        call.stoppedAt - start);
    await until('the revocation', async () => !await w.as.isActive(token), 2);
    check(true, 'token', 'revoked; introspection says inactive', w.as.revocations[0].at - start);
    const { jti } = pushed.set;
    const done = (action) => (r) => r.kind === 'action' && r.action === action && r.jti === jti
        && r.outcome === 'confirmed';
    const records = await until('confirmations in the log', () => {
        const log = w.bailiff.log();
        return log.find(done('cancel')) && log.find(done('revoke')) && log;
    });
    check(true, 'both confirmed', `${records.length} records`, now() - start);
    remember('the deactivation', (r) => r.kind === 'event' && r.jti === jti);
    remember('what the policy says', (r) => r.kind === 'verdict' && r.jti === jti);
    remember('the hold', (r) => r.action === 'hold' && r.outcome === 'set' && r.jti === jti);
    remember('the refusal', (r) => r.kind === 'gate' && r.reason === 'agent_suspended');
    remember('the call is cancelled', done('cancel'));
    remember('the token is revoked', done('revoke'));
    return token;
}

async function activate({ w, runtime }, token) {
    const remember = chapter(w, 'prov:activate arrives; only a fresh read may loosen');
    await w.idp.tell('activate', AGENT);
    const early = await runtime.gate.check(AGENT, 'kb.search');
    check(!allowed(early), 'SCIM still says false', words(early));
    w.scim.put(AGENT, { active: true });
    await w.idp.tell('activate', AGENT);
    const back = await until('the release', async () => {
        const answer = await runtime.gate.check(AGENT, 'kb.search');
        return allowed(answer) && answer;
    });
    check(true, 'SCIM says true', words(back));
    check(!await w.as.isActive(token), 'the old token', 'stays revoked');
    remember('the release', (r) => r.action === 'hold' && r.outcome === 'lifted');
}

async function evidence({ w }) {
    step('the decision log, one line per step');
    /* An allow does not wait for the record of the read that it rests on. */
    const log = await until('a record of each step', () => {
        const lines = w.bailiff.log();
        for (const { text, from, matches } of story) {
            if (!lines.slice(from).some(matches)) throw new Error(`no record of: ${text}`);
        }
        return lines;
    });
    const line = ({ text, from, matches }) => {
        const r = log.slice(from).find(matches);
        return [r.seq, r.time.slice(11, 23), r.kind,
            r.tool ?? r.action ?? r.event ?? '', r.rule ?? '',
            r.outcome ?? '', r.reason ?? '', text];
    };
    table([['seq', 'time', 'kind', 'what', 'rule', 'outcome', 'reason', 'step'],
        ...story.map(line)]);

    step('an auditor checks it, offline');
    const stopped = await w.bailiff.stop();
    check(stopped.code === 0, 'bailiff stops', `exit ${stopped.code}`, stopped.ms);
    const [good, took] = await timed(() => w.bailiff.verifyLog());
    check(good.code === 0, 'bailiff log verify', good.stdout.trim().split('\n')[0], took);
    const copy = tamperedCopy(w.bailiff.logDir, join(w.dir, 'tampered'));
    const bad = await w.bailiff.verifyLog(copy);
    check(bad.code === 1, 'the same, one byte changed',
        (bad.stderr || bad.stdout).trim().split('\n')[0]);
}

const began = now();
const guard = setTimeout(() => {
    say(red(`\nnot done after ${TOO_LONG_MS / 1000} s`));
    process.exit(1);
}, TOO_LONG_MS);
title('bailiff demo', 'every figure is measured in this run');
let world;
try {
    world = await startWorld();
    await work(world);
    await patch(world);
    const token = await deactivate(world);
    await activate(world, token);
    await evidence(world);
    say(`\n${green('all of it happened')}  ${dim(`${((now() - began) / 1000).toFixed(1)} s`)}\n`);
} catch (e) {
    say(`\n${red('this did not happen')}: ${e.message}`);
    if (world) say(dim(world.w.bailiff.stderr.split('\n').slice(-20).join('\n')));
    process.exitCode = 1;
}
clearTimeout(guard);
await world?.w.close();
