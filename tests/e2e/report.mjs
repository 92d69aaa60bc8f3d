// SPDX-License-Identifier: Apache-2.0
// Runs the test files one after the other (each starts servers and a bailiff of
// its own) and says in one line per file what passed; failures in full. Another
// suite with such files says so in $SUITE and $SUITE_DIR.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const SUITE = process.env.SUITE ?? 'e2e';
const HERE = process.env.SUITE_DIR ?? fileURLToPath(new URL('.', import.meta.url));
const FILE_MS = Number(process.env.FILE_MS ?? 900000);

/** @returns {Promise<{output: string, passed: number, failed: number, ms: number}>} */
function runFile(file) {
    const start = Date.now();
    const child = spawn(process.execPath, ['--test', '--test-reporter=tap', file],
        { cwd: HERE, stdio: ['ignore', 'pipe', 'pipe'], timeout: FILE_MS });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text) => { output += text; });
    }
    return new Promise((done) => {
        child.on('close', (code) => {
            done({ ...count(output, code), output, ms: Date.now() - start });
        });
    });
}

/** Whatever has not passed (skipped and cancelled tests, too) has failed. */
function count(output, code) {
    const number = (word) => Number(output.match(new RegExp(`^# ${word} (\\d+)$`, 'm'))?.[1] ?? 0);
    const passed = number('pass');
    const failed = number('tests') - passed;
    return { passed, failed: code !== 0 && failed === 0 ? 1 : failed };
}

const asked = process.argv.slice(2).map((name) => `${name}.test.mjs`);
const files = asked.length > 0 ? asked
    : readdirSync(HERE).filter((f) => f.endsWith('.test.mjs')).sort();
const total = { passed: 0, failed: 0 };
for (const file of files) {
    const { passed, failed, output, ms } = await runFile(file);
    total.passed += passed;
    total.failed += failed;
    if (failed > 0) console.log(output);
    const name = file.replace('.test.mjs', '').padEnd(14);
    console.log(`  ${name} ${passed} passed, ${failed} failed  (${(ms / 1000).toFixed(1)} s)`);
}
console.log(`${SUITE}: ${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;
