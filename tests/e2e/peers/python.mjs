// SPDX-License-Identifier: Apache-2.0
// The gate as the C core implementation of gRPC sees it.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PATIENCE_MS } from './wait.mjs';

const HERE = fileURLToPath(new URL('.', import.meta.url));
/** Debian's interpreter: it is the one that sees Debian's python3-grpcio. */
const PYTHON = '/usr/bin/python3';

/**
 * Sends requests through python3-grpcio, one after the other over one channel.
 * @param {string} target as gRPC names it: 'unix:/...' or 'host:port'
 * @param {object[]} requests see gate_client.py
 * @returns {Promise<object[]>}
 */
export function python(target, requests) {
    return new Promise((done, fail) => {
        const child = execFile(PYTHON,
            [join(HERE, 'gate_client.py'), join(HERE, '../../../proto'), target],
            { timeout: PATIENCE_MS }, (error, stdout, stderr) => {
                if (error) fail(new Error(`${error.message}\n${stderr}`));
                else done(stdout.trim().split('\n').map((line) => JSON.parse(line)));
            });
        child.stdin.end(requests.map((r) => `${JSON.stringify(r)}\n`).join(''));
    });
}
