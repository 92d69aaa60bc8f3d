// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const HARM = fileURLToPath(new URL('./harm.py', import.meta.url));

/** Runs harm.py; its lines. */
export const harm = (...args) => execFileSync('/usr/bin/python3', [HARM, ...args],
    { encoding: 'utf8', maxBuffer: 1 << 26, env: { PYTHONDONTWRITEBYTECODE: '1' } })
    .split('\n').slice(0, -1);
