// SPDX-License-Identifier: Apache-2.0
// A document whose code blocks are carried out: what is between the fences is
// what a reader would type, and what it answers must stand below it.
//
//   ```console          commands after `$ `, and their output; `...` alone on a
//                       line stands for any lines
//   <!-- file: NAME --> the next block is the whole of this file
//   <!-- part: NAME --> the next block is a part of this file
//   <!-- world: NAME --> meanwhile something happens, which the test plays
import { readFileSync } from 'node:fs';

const FENCE = /^```(\w*)$/;
const MARK = /^<!-- (file|part|world): (.+) -->$/;

/** @typedef {{kind: 'file'|'part'|'world'|'command', line: number, name?: string, text?: string,
 *             output?: string, from?: number, to?: number}} Step */

/** The lines of the block that opens at `at`; the index behind its last line. */
function block(lines, at) {
    const end = lines.indexOf('```', at + 1);
    if (end < 0) throw new Error(`line ${at + 1}: this block is not closed`);
    return [lines.slice(at + 1, end), end];
}

/** Each command of a console block with the lines that follow it. */
function commands(lines, first) {
    const found = [];
    for (const [i, line] of lines.entries()) {
        const line1 = first + i + 1;
        const last = found.at(-1);
        if (line.startsWith('$ ')) {
            found.push({ kind: 'command', line: line1, text: line.slice(2), output: [], from: line1 });
        } else if (last && last.output.length === 0 && last.text.endsWith('\\')) {
            last.text += `\n${line}`;
            last.from = line1;
        } else if (last) {
            last.output.push(line);
        } else {
            throw new Error(`line ${line1}: output before any command`);
        }
    }
    return found.map((c) => ({ ...c, output: c.output.join('\n'), to: c.from + c.output.length }));
}

/** @returns {Step[]} what has to be done, in the order of the page */
export function steps(path) {
    const lines = readFileSync(path, 'utf8').split('\n');
    const found = [];
    let mark;
    for (let i = 0; i < lines.length; i++) {
        const [, kind, name] = MARK.exec(lines[i]) ?? [];
        const fence = FENCE.exec(lines[i]);
        if (kind === 'world') {
            found.push({ kind, name, line: i + 1 });
        } else if (kind) {
            mark = { kind, name, line: i + 1 };
        } else if (fence) {
            const [inner, end] = block(lines, i);
            if (mark) found.push({ ...mark, text: `${inner.join('\n')}\n` });
            else if (fence[1] === 'console') found.push(...commands(inner, i + 1));
            else throw new Error(`line ${i + 1}: nothing says what this block is`);
            mark = undefined;
            i = end;
        }
    }
    return found;
}

/** Does `seen` have the lines of `wanted`, where `...` is any number of lines? */
export function isOutput(wanted, seen) {
    const pattern = wanted.split('\n').map((line) => (line.trim() === '...'
        ? '(?:.*\n)*?'
        : `${line.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}\n`)).join('');
    return new RegExp(`^${wanted === '' ? '' : pattern}$`).test(seen === '' ? '' : `${seen}\n`);
}
