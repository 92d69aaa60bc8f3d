// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { until } from '../../e2e/peers/wait.mjs';

const HARM = fileURLToPath(new URL('./harm.py', import.meta.url));

/** Runs harm.py; its lines. */
export const harm = (...args) => execFileSync('/usr/bin/python3', [HARM, ...args],
    { encoding: 'utf8', maxBuffer: 1 << 26, env: { PYTHONDONTWRITEBYTECODE: '1' } })
    .split('\n').slice(0, -1);

/** Until nothing is left to fold: what was said so far is in the state table. */
export const folded = (w) => until('everything is folded', async () => {
    const text = await (await fetch(`http://127.0.0.1:${w.ports.metrics}/metrics`)).text();
    const of = (name) => Number(new RegExp(`^bailiff_store_${name} (\\d+)$`, 'm').exec(text)[1]);
    return of('folded_seq') === of('seq');
});
