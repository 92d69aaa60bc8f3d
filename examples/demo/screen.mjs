// SPDX-License-Identifier: Apache-2.0
// What the demo prints: numbered steps, aligned columns, colour on a terminal.
const TTY = process.stdout.isTTY && !process.env.NO_COLOR;
const paint = (code) => (text) => (TTY ? `\x1b[${code}m${text}\x1b[0m` : text);

export const bold = paint('1');
export const dim = paint('2');
export const green = paint('32');
export const red = paint('31');
export const cyan = paint('36');

const LABEL = 28;
const SEEN = 56;

export const say = (line = '') => process.stdout.write(`${line.trimEnd()}\n`);

/** A label, what was seen, and the milliseconds it took, each in its column. */
function columns(label, seen, took) {
    const ms = took === undefined ? '' : `${took.toFixed(1)} ms`;
    return `    ${dim(label.padEnd(LABEL))}${seen.padEnd(SEEN)}${cyan(ms.padStart(11))}`;
}

let number = 0;

export const title = (text, note) => say(`\n${bold(text)}  ${dim(note)}`);

/** Opens the next numbered step. */
export function step(text) {
    number += 1;
    say(`\n${bold(`${String(number).padStart(2)}  ${text}`)}`);
}

/** One thing that was seen, with how long it took. */
export const row = (label, seen, took) => say(columns(label, seen, took));

/**
 * One thing that has to be so: printed either way, thrown when it is not.
 * @param {boolean} holds
 */
export function check(holds, label, seen, took) {
    say(`${columns(label, seen, took)}  ${holds ? green('ok') : red('no')}`);
    if (!holds) throw new Error(`${label}: ${seen}`);
}

/** A table under the step; columns are as wide as they need to be. */
export function table(rows) {
    const widths = rows[0].map((_, i) => Math.max(...rows.map((r) => String(r[i]).length)));
    for (const [at, cells] of rows.entries()) {
        const line = cells.map((c, i) => String(c).padEnd(widths[i])).join('  ');
        say(`    ${at === 0 ? dim(line) : line}`);
    }
}
