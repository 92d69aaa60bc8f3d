// SPDX-License-Identifier: Apache-2.0
// The real program under test: configured in a directory of its own, started,
// asked through its command line, stopped or killed.
import { execFile, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { now, PATIENCE_MS, sleep } from './wait.mjs';
import { toYaml } from './yaml.mjs';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** The binary: $BAILIFF, or what `make` builds. */
export const BINARY = resolve(ROOT, process.env.BAILIFF ?? 'build/release/bailiff');

/** @typedef {{code: number, stdout: string, stderr: string, json: any}} CliResult */

export class Bailiff {
    /** stderr of the running (or last) process. */
    stderr = '';
    /** name=value pairs of the line that said it is ready. */
    ready = {};
    /** More arguments of `bailiff run`. */
    runArgs = [];
    #process;
    #exit;

    /**
     * @param {string} dir a directory for this instance alone
     * @param {object} config as in bailiff.yaml; see world.mjs for a complete one
     * @param {string} policy text of policy.yaml
     */
    constructor(dir, config, policy) {
        this.dir = dir;
        this.config = config;
        this.configFile = join(dir, 'bailiff.yaml');
        this.policyFile = join(dir, 'policy.yaml');
        this.dataDir = join(dir, 'data');
        this.logDir = join(dir, 'data', 'log');
        for (const d of [dir, this.dataDir, join(dir, 'secrets')]) {
            mkdirSync(d, { recursive: true, mode: 0o700 });
        }
        this.writeConfig();
        this.writePolicy(policy);
    }

    /** Stores a secret readable by its owner only; returns the path. */
    secret(name, text) {
        const file = join(this.dir, 'secrets', name);
        writeFileSync(file, `${text}\n`, { mode: 0o600 });
        chmodSync(file, 0o600);
        return file;
    }

    writeConfig(config = this.config) {
        this.config = config;
        writeFileSync(this.configFile, toYaml(config), { mode: 0o600 });
    }

    writePolicy(text) { writeFileSync(this.policyFile, text, { mode: 0o600 }); }

    /** Makes the keys; once per directory. */
    async init() {
        const result = await this.cli('init', '--dir', this.dataDir, '--origin',
            this.config.log.origin);
        if (result.code !== 0) throw new Error(`init: ${result.stderr}`);
    }

    /**
     * Starts it and resolves when it says that it is ready. `env` is added to the
     * environment; `wrap` is a command that runs it, as [program, ...words].
     */
    async start({ env = {}, wrap = [] } = {}) {
        this.stderr = '';
        const [program, ...words] = [...wrap, BINARY, 'run', '-c', this.configFile, ...this.runArgs];
        const child = spawn(program, words, {
            cwd: this.dir, stdio: ['ignore', 'ignore', 'pipe'],
            env: { ...process.env, ...env },
        });
        this.#process = child;
        this.#exit = new Promise((done) => {
            child.on('error', (e) => done({ code: null, signal: e.message }));
            /* Only with the end of its standard error all that it said is here. */
            child.on('exit', () => child.stderr.resume());
            child.on('close', (code, signal) => done({ code, signal }));
        });
        let gone;
        this.#exit.then((how) => { gone = how; });
        child.stderr.setEncoding('utf8').on('data', (text) => { this.stderr += text; });
        const end = now() + PATIENCE_MS;
        for (;;) {
            const [line] = /\bevent=ready\b.*\n/.exec(this.stderr) ?? [];
            if (line) {
                this.ready = pairs(line);
                return this;
            }
            if (gone) throw new Error(`it ended with ${JSON.stringify(gone)}: ${this.stderr}`);
            if (now() > end) throw new Error(`not ready after ${PATIENCE_MS} ms: ${this.stderr}`);
            await sleep(5);
        }
    }

    get pid() { return this.#process?.pid; }

    /** Resolves with {code, signal} when the process is gone and its last word read. */
    get exited() { return this.#exit; }

    signal(name) { this.#process.kill(name); }

    /** Whether anybody reads its standard error. */
    listen(on) { this.#process.stderr[on ? 'resume' : 'pause'](); }

    /** SIGTERM; resolves with {code, signal, ms}. */
    async stop() {
        const start = now();
        this.signal('SIGTERM');
        const timer = setTimeout(() => this.signal('SIGKILL'), PATIENCE_MS);
        const how = await this.#exit;
        clearTimeout(timer);
        return { ...how, ms: now() - start };
    }

    /** kill -9, as a crash of the program does it. */
    async kill() {
        this.signal('SIGKILL');
        return this.#exit;
    }

    /**
     * Runs a command of the same binary.
     * @returns {Promise<CliResult>} `json` is parsed stdout, if it is JSON
     */
    cli(...args) {
        return new Promise((done) => {
            execFile(BINARY, args, { cwd: this.dir, timeout: PATIENCE_MS, maxBuffer: 1 << 26 },
                (error, stdout, stderr) => {
                    done({ code: error ? error.code : 0, stdout, stderr, json: parse(stdout) });
                });
        });
    }

    /** A command that talks to the running sidecar, with --json. */
    ask(...args) {
        return this.cli(...args, '--json', '--socket', this.adminSocket);
    }

    get adminSocket() { return join(this.dir, 'admin.sock'); }

    /** Whole lines of the decision log, parsed, oldest first. */
    log() {
        return readdirSync(this.logDir).filter((f) => f.endsWith('.jsonl')).sort()
            .flatMap((f) => readFileSync(join(this.logDir, f), 'utf8').split('\n').slice(0, -1))
            .map((line) => JSON.parse(line));
    }

    /** `bailiff log verify` on this log, or on a copy, with this log's public key. */
    verifyLog(dir = this.logDir, ...args) {
        return this.cli('log', 'verify', dir, '--key', join(this.dataDir, 'keys', 'log.pub'),
            ...args);
    }
}

/** name=value pairs of a diagnostic line; values may be quoted. */
export function pairs(line) {
    return Object.fromEntries([...line.matchAll(/([\w.-]+)=("(?:[^"\\]|\\.)*"|\S+)/g)]
        .map(([, name, value]) => [name, value.startsWith('"') ? JSON.parse(value) : value]));
}

function parse(text) {
    try {
        return JSON.parse(text);
    } catch {
        return undefined;
    }
}
