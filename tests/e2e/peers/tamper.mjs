// SPDX-License-Identifier: Apache-2.0
// A decision log as somebody with access to the disk would leave it.
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Names of the log's files, oldest first. */
export const logFiles = (dir) => readdirSync(dir).filter((f) => f.endsWith('.jsonl')).sort();

/**
 * Copies the log to `copy` and edits its lines there.
 * @param {(lines: string[]) => string[]} edit of the first file; by default one
 *     letter in the middle line is replaced
 * @returns {string} `copy`
 */
export function tamperedCopy(dir, copy, edit = changeOneLetter) {
    cpSync(dir, copy, { recursive: true });
    const file = join(copy, logFiles(copy)[0]);
    const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
    writeFileSync(file, edit(lines).map((l) => `${l}\n`).join(''));
    return copy;
}

function changeOneLetter(lines) {
    const middle = Math.floor(lines.length / 2);
    return lines.map((line, i) => {
        if (i !== middle) return line;
        return line.includes('"outcome":"deny"')
            ? line.replace('"outcome":"deny"', '"outcome":"allow"')
            : line.replace(/"time":"(\d)/, (_, d) => `"time":"${(Number(d) + 1) % 10}`);
    });
}
