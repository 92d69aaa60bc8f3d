// SPDX-License-Identifier: Apache-2.0
// `bailiff set verify` judges tokens as a feed does, without a sidecar.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BINARY } from './peers/bailiff.mjs';
import { Ca } from './peers/ca.mjs';
import { TOKENS } from './peers/hostile.mjs';
import { Idp } from './peers/idp.mjs';
import { PATIENCE_MS } from './peers/wait.mjs';

describe('bailiff set verify', () => {
    let dir;
    let idp;
    before(async () => {
        dir = mkdtempSync(join(tmpdir(), 'verify-'));
        idp = await new Idp(new Ca(join(dir, 'ca'))).start();
        idp.audience = 'https://bailiff.test/streams/hr';
        const keys = [...idp.keys.values()].map((k) => k.jwk);
        writeFileSync(join(dir, 'keys.json'), JSON.stringify({ keys }));
    });
    after(async () => {
        await idp.stop();
        rmSync(dir, { recursive: true, force: true });
    });

    /** Resolves with {code, said}. */
    const verify = (token) => {
        const file = join(dir, 'token');
        writeFileSync(file, token);
        const args = ['set', 'verify', '--jwk', join(dir, 'keys.json'), '--issuer', idp.issuer,
            '--audience', idp.audience, '--base', 'https://scim.test/v2', file];
        return new Promise((done) => {
            execFile(BINARY, args, { timeout: PATIENCE_MS }, (error, stdout, stderr) => {
                done({ code: error ? error.code : 0, said: stdout + stderr });
            });
        });
    };

    for (const [what, make, want] of TOKENS) {
        it(`${what}: ${want}`, async () => {
            const { code, said } = await verify(await make(idp));
            assert.equal(code, want === 202 ? 0 : 1, said);
            if (want !== 202) assert.ok(said.includes(want), said);
        });
    }
});
