// SPDX-License-Identifier: Apache-2.0
// Backup files that somebody else made: cut, foreign, with a schema that would
// run something, in odd places, changed while they are read. `bailiff restore`
// and `bailiff check` say what is wrong, soon; nothing of it is run, and the
// database that was there is there as it was, to the byte.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
    closeSync, copyFileSync, cpSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync,
    statSync, symlinkSync, truncateSync, writeFileSync, writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BINARY } from '../e2e/peers/bailiff.mjs';
import { known } from '../e2e/peers/scenario.mjs';
import { filesBelow } from '../e2e/peers/traces.mjs';
import { World } from '../e2e/peers/world.mjs';
import { folded, harm } from './lib/harm.mjs';

const PAGE = 4096;
const ADDRESS_KIB = 1500000;
const WORDS = new RegExp(['is not a database', 'is not a regular file', 'is not as this program',
    'belongs to another program', 'has version', 'integrity_check', 'malformed', 'is missing',
    'cannot be read', 'No such file', 'is empty', 'unknown kind', 'of another type', 'gives',
    'disk image', 'symbolic links', 'journal (row|fact|record)', 'nothing can follow',
    'file is not a database', 'cut off', 'unable to open'].join('|'));

describe('backups that nobody made', () => {
    let w, good, bad;
    const sanitized = readFileSync(BINARY).includes('__asan_init');

    before(async () => {
        w = await World.start();
        await known(w, w.gate(), 'alive');
        assert.equal((await w.bailiff.ask('hold', 'add', '/Agents/alive', '--reason', 'x')).code, 0);
        good = join(w.dir, 'good.db');
        bad = join(w.dir, 'bad.db');
        await folded(w);
        await w.bailiff.stop();
        const made = await w.bailiff.cli('backup', good, '-c', w.bailiff.configFile);
        assert.equal(made.code, 0, made.stderr);
        cpSync(w.bailiff.dataDir, join(w.dir, 'save'), { recursive: true });
    });
    after(() => w.close());

    function run(...words) {
        const line = [BINARY, ...words, '-c', w.bailiff.configFile];
        const limits = sanitized ? '' : `ulimit -v ${ADDRESS_KIB}; `;
        return spawnSync('sh', ['-c', `${limits}exec "$@"`, 'sh', ...line],
            { cwd: w.bailiff.dir, encoding: 'utf8', timeout: 30000 });
    }

    /** Each file and its bytes; the lock names whoever looked last. */
    const state = () => filesBelow(w.bailiff.dataDir).filter(([path]) => !path.endsWith('lock'))
        .map(([path, bytes]) => `${path} ${createHash('sha256').update(bytes).digest('hex')}`);

    function clear() {
        for (const suffix of ['', '-wal', '-shm', '-journal']) {
            rmSync(bad + suffix, { recursive: true, force: true });
        }
    }

    /** Refused in words, soon, with nothing changed. */
    function refused(where, from = bad) {
        const old = state();
        const { status, signal, stdout, stderr } = run('restore', from, '--force');
        assert.ok(signal === null && (status === 3 || status === 4),
            `${where}: ${status} ${signal} ${stdout}${stderr}`);
        assert.match(stderr, WORDS, where);
        assert.doesNotMatch(stderr, /Sanitizer|runtime error|out of memory/, where);
        assert.deepEqual(state(), old, where);
    }

    /** Taken, and what it was is there again for the next one. */
    function taken(where, from = bad) {
        const { status, stderr } = run('restore', from, '--force');
        assert.equal(status, 0, `${where}: ${stderr}`);
        rmSync(w.bailiff.dataDir, { recursive: true });
        cpSync(join(w.dir, 'save'), w.bailiff.dataDir, { recursive: true });
    }

    function eachHarm(pick, look) {
        for (const name of harm('list', good).filter(pick)) {
            clear();
            copyFileSync(good, bad);
            harm('apply', bad, name);
            look(name);
        }
    }

    it('cut at every page, and within', () => {
        const { size } = statSync(good);
        for (let n = 0; n < size; n += PAGE / 2) {
            clear();
            copyFileSync(good, bad);
            truncateSync(bad, n);
            refused(`${n} of ${size} bytes`);
        }
    });

    it('with another schema, or of another version or program', () => {
        let tried = 0;
        eachHarm((name) => /^(no table|a |an |another|statistics|version)/.test(name)
            && !/^(a hold|an edge)/.test(name), (name) => { tried++; refused(name); });
        assert.ok(tried > 12, `${tried} tried`);
    });

    it('of another program altogether', () => {
        for (const statements of [
            'CREATE TABLE a(b); INSERT INTO a VALUES(1)',
            'CREATE VIEW journal AS SELECT 1 AS seq, 2 AS wall_ms, 3 AS body',
            'CREATE VIRTUAL TABLE journal USING fts5(seq, wall_ms, body)',
        ]) {
            clear();
            execFileSync('/usr/bin/python3', ['-c', 'import sqlite3,sys;'
                + 'd=sqlite3.connect(sys.argv[1]);d.executescript(sys.argv[2])', bad, statements]);
            refused(statements);
        }
    });

    it('that are no files', () => {
        clear();
        mkdirSync(bad);
        refused('a directory');
        clear();
        execFileSync('mkfifo', [bad]);
        refused('a pipe');
        for (const device of ['/dev/null', '/dev/zero', '/dev/full']) refused(device, device);
        refused('of the kernel', '/proc/self/maps');
        clear();
        symlinkSync(join(w.dir, 'nothing'), bad);
        refused('a link to nothing');
        clear();
        symlinkSync(bad, bad);
        refused('a link to itself');
        clear();
        symlinkSync(good, bad);
        taken('a link to a backup');
        clear();
        symlinkSync(w.dir, bad);
        taken('through a linked directory', join(bad, 'good.db'));
    });

    it('large and empty', () => {
        clear();
        writeFileSync(bad, '');
        truncateSync(bad, 2 ** 40);
        refused('a terabyte of nothing');
        for (const pages of [0, 2 ** 28, 2 ** 32 - 2]) {
            clear();
            copyFileSync(good, bad);
            truncateSync(bad, 2 ** 40);
            const fd = openSync(bad, 'r+'), count = Buffer.alloc(4);
            count.writeUInt32BE(pages);
            writeSync(fd, count, 0, 4, 28);
            closeSync(fd);
            refused(`${pages} pages`);
        }
    });

    it('with files beside them', () => {
        for (const suffix of ['-wal', '-journal']) {
            for (const [what, bytes] of [['nothing', ''], ['zeros', Buffer.alloc(PAGE * 4)],
                ['noise', Buffer.alloc(PAGE * 4, 0xa5)], ['another database', readFileSync(good)]]) {
                clear();
                copyFileSync(good, bad);
                writeFileSync(bad + suffix, bytes);
                /* A WAL shows whose it is; what may be a journal must not be passed over. */
                const cut = suffix === '-journal' && /noise|another/.test(what);
                (cut ? refused : taken)(`${what} as ${suffix}`);
            }
        }
    });

    it('that change while they are read', () => {
        const { size } = statSync(good);
        let refusals = 0;
        for (let i = 0; i < 6; i++) {
            clear();
            copyFileSync(good, bad);
            const script = 'import os,sys,random\nf=os.open(sys.argv[1],os.O_RDWR)\n'
                + 'while 1: os.pwrite(f,os.urandom(64),random.randrange(100,int(sys.argv[2])))';
            const writer = spawn('/usr/bin/python3', ['-c', script, bad, `${size}`]);
            const { status, signal, stderr } = run('restore', bad, '--force');
            writer.kill('SIGKILL');
            assert.ok([0, 3, 4].includes(status), `${status} ${signal} ${stderr}`);
            refusals += status !== 0;
            assert.ok(!readdirSync(w.bailiff.dataDir).includes('restore'));
            if (status === 0) assert.equal(run('check', '--deep').status, 0);
            rmSync(w.bailiff.dataDir, { recursive: true });
            cpSync(join(w.dir, 'save'), w.bailiff.dataDir, { recursive: true });
        }
        console.log(`${refusals} of 6 refused`);
    });
});
