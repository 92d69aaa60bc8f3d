// SPDX-License-Identifier: Apache-2.0
// Everything that a sidecar keeps, says and shows, to be searched for a text.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const COMMANDS = [['status'], ['agents'], ['jobs'], ['jobs', 'list'], ['feeds'], ['review', 'list']];

/** Files below `dir` as [path, bytes]. */
export const filesBelow = (dir) => readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((f) => f.isFile()).map((f) => join(f.path, f.name))
    .map((path) => [path, readFileSync(path)]);

/**
 * [where, bytes] of the running sidecar of `w`: its files, a backup, its standard
 * error, its arguments and environment, what HTTP shows, what commands print.
 */
export async function collect(w, more = []) {
    const { bailiff: b } = w;
    const seen = [['stderr', Buffer.from(b.stderr)]];
    for (const name of ['environ', 'cmdline']) {
        seen.push([name, readFileSync(`/proc/${b.pid}/${name}`)]);
    }
    for (const path of ['/metrics', '/readyz', '/healthz', '/nothing']) {
        const answer = await fetch(`http://127.0.0.1:${w.ports.metrics}${path}`).catch(() => null);
        if (answer) seen.push([path, Buffer.from(await answer.text())]);
    }
    const copy = join(w.dir, 'traces.db'), c = ['-c', b.configFile];
    const said = [...await Promise.all([...COMMANDS, ...more].map((words) => b.ask(...words))),
        await b.cli('backup', copy, ...c), await b.cli('history', 'export', ...c),
        await b.cli('check', '--deep', ...c), await b.cli('log', 'query', b.logDir)];
    said.forEach(({ code, stdout, stderr }, i) => {
        assert.equal(code, 0, stderr);
        seen.push([`command ${i}`, Buffer.from(stdout + stderr)]);
    });
    seen.push([copy, readFileSync(copy)], ...filesBelow(b.dataDir));
    rmSync(copy);
    return seen;
}

/** Where `text` is in what collect() gave. */
export const traces = (seen, text) => seen.filter(([, bytes]) => bytes.includes(text))
    .map(([where]) => where);
