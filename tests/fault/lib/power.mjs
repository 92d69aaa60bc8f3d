// SPDX-License-Identifier: Apache-2.0
// A disk that forgets: plays the trace of shim.c up to some operation and makes
// the files as a power cut there may leave them. What was synced is there. Of
// what was not, any part may be: for names a prefix (file systems journal them
// in order), for the decision log a prefix of the bytes (it only grows), for the
// database any set of 512-byte sectors.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const SECTOR = 512;

/** Files below `dir`, relative, without shared memory and locks. */
export function filesOf(dir, below = '') {
    return readdirSync(join(dir, below), { withFileTypes: true }).flatMap((e) => {
        const path = below ? `${below}/${e.name}` : e.name;
        if (e.isDirectory()) return filesOf(dir, path);
        return /-shm$|lock$/.test(e.name) ? [] : [[path, readFileSync(join(dir, path))]];
    });
}

/** Parses a trace into operations {op, path, to?, at?, bytes?}. */
export function readTrace(file, upto = Infinity) {
    const data = readFileSync(file);
    const ops = [];
    for (let i = 0; i < Math.min(data.length, upto);) {
        const end = data.indexOf(10, i);
        const [op, path, a, b] = data.toString('utf8', i, end).split(' ');
        i = end + 1;
        if (op === 'w') {
            ops.push({ op, path, at: Number(a), bytes: data.subarray(i, i + Number(b)) });
            i += Number(b);
        } else {
            ops.push({ op, path, to: a, at: Number(a) });
        }
        ops.at(-1).end = i;
    }
    return ops;
}

class Inode {
    durable = Buffer.alloc(0);
    pending = [];

    sync() {
        this.durable = this.pending.reduce(applied, this.durable);
        this.pending = [];
    }

    /** What may be found after the cut. */
    survivor(random, grows) {
        if (!grows) return this.pending.filter(() => random(2)).map((o) => torn(o, random))
            .reduce(applied, this.durable);
        const kept = this.pending.slice(0, random(this.pending.length + 1));
        const next = this.pending[kept.length];
        if (next?.op === 'w') {
            kept.push({ ...next, bytes: next.bytes.subarray(0, random(next.bytes.length)) });
        }
        return kept.reduce(applied, this.durable);
    }
}

/** Some sectors of a write did not make it. */
function torn(o, random) {
    if (o.op !== 'w' || random(3) > 0) return o;
    const from = random(Math.ceil(o.bytes.length / SECTOR)) * SECTOR;
    const to = Math.min(o.bytes.length, from + SECTOR * (1 + random(4)));
    return { op: 'w', at: o.at + from, bytes: o.bytes.subarray(from, to) };
}

function applied(content, { op, at, bytes }) {
    if (op === 't') {
        const out = Buffer.alloc(at);
        content.copy(out, 0, 0, at);
        return out;
    }
    const out = Buffer.alloc(Math.max(content.length, at + bytes.length));
    content.copy(out);
    bytes.copy(out, at);
    return out;
}

export class Disk {
    #names = new Map(); // as the program sees them
    #durable = new Map(); // as a cut would leave them, before #changes
    #changes = []; // names changed and not yet synced

    /** @param {string} root the directory as it was before the trace */
    constructor(files) {
        for (const [path, bytes] of files) {
            const inode = new Inode();
            inode.durable = bytes;
            this.#names.set(path, inode);
            this.#durable.set(path, inode);
        }
    }

    play({ op, path, to, at, bytes }) {
        if (op === 'c') this.#rename({ path, inode: new Inode() });
        else if (op === 'r') this.#rename({ path: to, inode: this.#names.get(path), from: path });
        else if (op === 'l') this.#rename({ path: to, inode: this.#names.get(path) });
        else if (op === 'u') this.#rename({ path, inode: null });
        else if (op === 's' && !this.#names.has(path)) this.#syncNames(path);
        else if (op === 's') this.#names.get(path).sync();
        else this.#names.get(path)?.pending.push({ op, at, bytes });
    }

    /** Writes to `dir` what a power cut now may leave. */
    cut(dir, random) {
        const names = new Map(this.#durable);
        for (const c of this.#changes.slice(0, random(this.#changes.length + 1))) change(names, c);
        for (const [path, inode] of names) {
            mkdirSync(dirname(join(dir, path)), { recursive: true, mode: 0o700 });
            writeFileSync(join(dir, path), inode.survivor(random, /\.jsonl$/.test(path)),
                { mode: path.startsWith('keys/') ? 0o400 : 0o600 });
        }
    }

    #rename(c) {
        change(this.#names, c);
        this.#changes.push(c);
    }

    #syncNames(dir) {
        const inside = (p) => (dirname(p) === dir);
        for (const c of this.#changes.filter((x) => inside(x.path))) change(this.#durable, c);
        this.#changes = this.#changes.filter((x) => !inside(x.path));
    }
}

function change(names, { path, inode, from }) {
    if (from !== undefined) names.delete(from);
    if (inode) names.set(path, inode);
    else names.delete(path);
}
